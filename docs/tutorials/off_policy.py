"""What agents are worth, from a log alone; and whether that was true.

python docs/tutorials/off_policy.py [--fast] [--out FOLDER]
"""

# --8<-- [start:begin]
import argparse
import dataclasses
from pathlib import Path

import numpy as np

from svsim.data import prepare
from svsim.ope import OPESpec, estimate, evaluate, propensity_audit
from svsim.world import PRESETS, find_store, write_world

parser = argparse.ArgumentParser()
parser.add_argument("--fast", action="store_true", help="a tiny world")
parser.add_argument("--out", type=Path, default=Path("off_policy"))
options = parser.parse_args()

STORE = options.out / "store" if options.fast else "small"
if options.fast and not STORE.exists():  # a tiny world that shows much at random
    config = dataclasses.replace(PRESETS["tiny"], users=60, days=20, random_share=0.2)
    prepare(write_world(options.out / "world", config), STORE)
store = find_store(STORE)
SIZES = {"candidates": 5, "others": 10, "fit_rows": 300} if options.fast else {}
# --8<-- [end:begin]

# --8<-- [start:audit]
audit = propensity_audit(store)
print(f"passed: {audit.passed}; {len(audit.rows):,} rows, {len(audit.pool):,} videos")
# --8<-- [end:audit]

# --8<-- [start:evaluate]
lively = Path(__file__).parent / "agents" / "lively.py"
agents = ("linucb", "epsilon-greedy", f"{lively}:Lively")
spec = OPESpec(store=store, agents=agents, truth=True, **SIZES)
found = evaluate(spec, options.out / "ope")
records = found.document["policies"]
policies = {record["agent"].rpartition("/")[2]: record for record in records}
print(f"{found.document['log']['rows']:,} rows of the test split")
for name, record in policies.items():
    matches, rows = record["matches"], record["ess"]
    print(f"{name:16} {matches:5,} matches, {rows:5,.0f} effective rows")
# --8<-- [end:evaluate]

# --8<-- [start:estimators]
truth = found.document["truth"]["values"]
print(f"{'':16} {'replay':>19} {'snips':>19} {'dr':>19}  truth")
for name, record in policies.items():
    line = f"{name:16}"
    for kind in ("replay", "snips", "dr"):
        own = record["estimates"][kind]
        line += f"  {own['value']:.2f} [{own['low']:5.2f}, {own['high']:.2f}]"
    print(f"{line}  {truth[record['agent']]['value']:.2f}")
# --8<-- [end:estimators]

# --8<-- [start:inside]
for name, record in policies.items():
    own, true = record["estimates"]["dr"], truth[record["agent"]]["value"]
    where = "inside" if own["low"] <= true <= own["high"] else "outside"
    print(f"{name:16} the truth is {where} the interval of dr")
# --8<-- [end:inside]

# --8<-- [start:differences]
for name, record in policies.items():
    if (more := record.get("difference")) and record["agent"] != more["against"]:
        interval = f"[{more['low']:+.3f}, {more['high']:+.3f}]"
        difference = f"{more['value']:+.3f} {interval}, p {more['adjusted_p']:.4f}"
        print(f"{name:16} − {more['against']} {difference}")
# --8<-- [end:differences]

# --8<-- [start:arrays]
rng = np.random.default_rng(0)
reward, weight = rng.random(1_000), rng.exponential(size=1_000)
user = rng.integers(100, size=1_000)
value = estimate("snips", reward=reward, weight=weight, user=user)
print(f"snips {value.value:.3f} {np.round(value.interval(0.95), 3)}")
# --8<-- [end:arrays]
