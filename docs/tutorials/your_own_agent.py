"""An agent of your own, from ten lines to the benchmark.

python docs/tutorials/your_own_agent.py [STORE]
"""

import sys
from pathlib import Path
from tempfile import mkdtemp

import gymnasium as gym

from svsim.agents import make_agent, register
from svsim.benchmark import BenchmarkSpec, run
from svsim.testing import check_agent

# The name of a preset or the folder of a store. `tiny` is made in seconds; take `small`, or real logs, for figures that mean
# something.
STORE = sys.argv[1] if len(sys.argv) > 1 else "tiny"

# 1. Write it. An agent that only scores what is on offer subclasses ScoringAgent; of equal scores the first slot is served.
# Observations are batched: B episodes, K slots, and candidates (B, K, C), whose first feature is the log of the duration.
TEN_LINES = '''"""My first agent."""

from svsim.agents import ScoringAgent


class Shortest(ScoringAgent):
    """Serves the shortest video."""

    def score(self, observation):
        return -observation["candidates"][..., 0]
'''
folder = Path(mkdtemp())
file = folder / "shortest.py"
file.write_text(TEN_LINES)

# 2. Name it. By its file (or by package.module:Class) ...
agent = make_agent(f"{file}:Shortest")
# ... by a name for this process ...
register("shortest", f"{file}:Shortest")
agent = make_agent("shortest")
# ... or, in a package, by an entry point of the group `svsim.agents`, which worker processes see too: see
# examples/svsim-duration-agent. Options follow a question mark, as in "linucb?alpha=0.2&form=hybrid".

# 3. Check it. Shapes, legal slots, the same actions for the same seed, a batch that acts as its rows would alone, nothing
# known that was not shown.
env = gym.make_vec(
    "svsim:svsim/Replay-v0", num_envs=8, vectorization_mode="vector_entry_point", store=STORE, candidates=5
)
check_agent(agent, env)
print("check_agent: passed")

# 4. Put it on the benchmark: every agent meets the same sessions, and the rails tell what the figures are worth.
agents = (f"{file}:Shortest", "linucb")
results = run(BenchmarkSpec(store=STORE, agents=agents, candidates=5, horizon=5, seeds=2))
for record in results.records:
    reward = record["metrics"]["reward"]
    name = record["agent"].rpartition("/")[-1]
    print(f"{name:22} {reward['mean']:.3f} [{reward['low']:.3f}, {reward['high']:.3f}]")

# 5. What a mistake looks like. The others go on; on the command line the exit status is 2.
file.with_name("wrong.py").write_text(TEN_LINES.replace("[..., 0]", "[..., 0].mean()"))
wrong = run(BenchmarkSpec(store=STORE, agents=(f"{file.with_name('wrong.py')}:Shortest",), candidates=5, seeds=1))
print(wrong.records[0]["error"].replace(str(folder), "…"))
