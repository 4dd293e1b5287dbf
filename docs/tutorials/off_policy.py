"""What agents are worth, from a log alone; and whether that was true.

python docs/tutorials/off_policy.py [--fast]
"""

import dataclasses
import sys
from pathlib import Path
from tempfile import mkdtemp

import numpy as np

from svsim.data import prepare
from svsim.models.config import ModelConfig, TrainingConfig, preset
from svsim.models.training import train
from svsim.ope import Estimator, OPESpec, Terms, estimate, evaluate, propensity_audit
from svsim.testing import check_estimator
from svsim.world import PRESETS, find_store, write_world

# 1. A log with a random part: exposures whose video chance put there, so that its probability is known. KuaiRand has one;
# here it is a synthetic world's, whose truth can be asked afterwards. `--fast` takes a world of seconds.
FAST = "--fast" in sys.argv
folder = Path(mkdtemp())
if FAST:
    config = dataclasses.replace(PRESETS["tiny"], users=200, random_share=0.1)
    store = prepare(write_world(folder / "world", config), folder / "store")
else:
    store = find_store("small")

# 2. Is it what it is taken for? Uniform draws from a known pool, no video again and again, every day. `svsim ope` looks
# first and stops with status 3 when the answer is no.
audit = propensity_audit(store)
print(f"audit passed: {audit.passed}; {len(audit.rows):,} rows, a pool of {len(audit.pool):,} videos")

# 3. Agents: SASRec4SV, trained on the days before; LinUCB, which learns from the same days; one of your own.
model, training = preset("small")
if FAST:
    model = ModelConfig(width=16, blocks=2, length=40, buckets=64)
    training = TrainingConfig(epochs=1, batch_events=4_096)
run = train(store, folder / "sasrec4sv", model, training)

file = folder / "lively.py"
file.write_text('''"""A plug-in: served is what others of its author and tag were watched of."""

from svsim.agents import ScoringAgent
from svsim.names import CANDIDATE_FEATURES

COLUMNS = [CANDIDATE_FEATURES.index(name) for name in ("author_wtr", "tag_wtr")]


class Lively(ScoringAgent):
    """Serves the video whose author and tag are watched most."""

    def score(self, observation):
        return observation["candidates"][..., COLUMNS].sum(axis=-1)
''')

# 4. Evaluate. The question: each agent picks its best of 20 videos drawn from the pool; what does that earn, at the moments
# of the log? Nobody served these picks: rows on which an agent agrees with chance speak for the rest, with weights. The more
# candidates, the fewer rows: below a hundred effective ones an interval is not to be relied on.
agents = (f"sasrec4sv?run={run.path}", "linucb", f"{file}:Lively")
small = {"candidates": 5, "others": 30, "fit_rows": 1_000} if FAST else {}
found = evaluate(OPESpec(store=store, agents=agents, truth=True, **small))
names = [record["agent"].partition("?")[0].rpartition("/")[2] for record in found.document["policies"]]
for name, record in zip(names, found.document["policies"], strict=True):
    own = record["estimates"]["dr"]
    print(f"{name:18} {own['value']:.3f} [{own['low']:.3f}, {own['high']:.3f}]  {record['ess']:,.0f} effective rows")

# 5. Better than chance? Differences are paired by user, and p-values corrected for how many there are.
for name, record in zip(names, found.document["policies"], strict=True):
    own = record.get("difference")
    if own is not None and record["agent"] != own["against"]:
        print(f"{name:18} {own['value']:+.3f} [{own['low']:+.3f}, {own['high']:+.3f}], p {own['adjusted_p']:.4f}")

# 6. Was it true? The world knows what each pick would have earned, over moments that the log does not have.
for name, record in zip(names, found.document["policies"], strict=True):
    own, true = record["estimates"]["dr"], found.document["truth"]["values"][record["agent"]]["value"]
    print(f"{name:18} true {true:.3f}, {'inside' if own['low'] <= true <= own['high'] else 'outside'} the interval")


# 7. An estimator of your own: a class with a formula, checked against what must hold of any. Its terms become values and
# intervals as the others' do.
class CappedIPS(Estimator):
    """IPS with weights of at most so much."""

    name = "capped"
    needs = ("weight",)
    grid = (1.0, 10.0, np.inf)

    def _terms(self, rows, constant):
        return Terms(np.minimum(rows.weight, constant) * rows.reward)


check_estimator(CappedIPS())
print("check_estimator: passed")

# 8. Or hand in arrays: what came of n logged actions, and how much likelier your policy was to choose them.
rng = np.random.default_rng(0)
reward, weight, user = rng.random(1_000), rng.exponential(size=1_000), rng.integers(100, size=1_000)
value = estimate("snips", reward=reward, weight=weight, user=user)
print(f"snips {value.value:.3f} {np.round(value.interval(0.95), 3)}, {value.ess:.0f} effective rows")
