"""An agent of your own, from ten lines to the benchmark.

python docs/tutorials/your_own_agent.py [--fast] [--out FOLDER]
"""

# --8<-- [start:begin]
import argparse
import shlex
from pathlib import Path

import gymnasium as gym

from svsim.agents import make_agent, register
from svsim.benchmark import BenchmarkSpec, run
from svsim.cli import main as svsim
from svsim.testing import check_agent
from svsim.world import find_store

parser = argparse.ArgumentParser()
parser.add_argument("--fast", action="store_true", help="a tiny world")
parser.add_argument("--out", type=Path, default=Path("your_own_agent"))
options = parser.parse_args()
STORE, CANDIDATES, SEEDS = ("tiny", 5, 2) if options.fast else ("small", 20, 5)
AGENTS = Path(__file__).parent / "agents"
# --8<-- [end:begin]

# --8<-- [start:name]
agent = make_agent(f"{AGENTS}/shortest.py:Shortest")
register("shortest", f"{AGENTS}/shortest.py:Shortest")
agent = make_agent("shortest")
# --8<-- [end:name]

# --8<-- [start:check]
env = gym.make_vec(
    "svsim:svsim/Replay-v0",
    num_envs=8,
    vectorization_mode="vector_entry_point",
    store=STORE,
    candidates=CANDIDATES,
)
check_agent(agent, env)
print("check_agent: passed")
# --8<-- [end:check]

# --8<-- [start:learns]
learner = make_agent(f"{AGENTS}/by_duration.py:ByDuration")
learner.fit(find_store(STORE), seed=0)
check_agent(learner, env)
print("check_agent of the learner: passed")
# --8<-- [end:learns]

# --8<-- [start:benchmark]
agents = (f"{AGENTS}/shortest.py:Shortest", f"{AGENTS}/by_duration.py:ByDuration", "linucb")
spec = BenchmarkSpec(store=STORE, agents=agents, candidates=CANDIDATES, seeds=SEEDS)
results = run(spec, options.out / "results")
for record in results.records:
    reward = record["metrics"]["reward"]
    name = record["agent"].rpartition("/")[-1]
    interval = f"[{reward['low']:6.3f}, {reward['high']:6.3f}]"
    print(f"{name:25} {reward['mean']:6.3f} {interval}")
# --8<-- [end:benchmark]

# --8<-- [start:command]
size = f"--store {STORE} --candidates {CANDIDATES} --seeds {SEEDS}"
names = ",".join(agents)
svsim(shlex.split(f"benchmark --agents '{names}' {size} --out '{options.out}/results'"))
# --8<-- [end:command]

# --8<-- [start:wrong]
agents = (f"{AGENTS}/wrong.py:Wrong",)
spec = BenchmarkSpec(store=STORE, agents=agents, candidates=CANDIDATES, seeds=1)
for problem in run(spec).failed:
    print(problem.replace(f"{AGENTS}/", ""))
# --8<-- [end:wrong]
