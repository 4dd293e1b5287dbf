"""SASRec4SV: trained, stopped and resumed, judged on held-out rows, played beside popularity, trained on another signal.

python docs/tutorials/train_sasrec4sv.py [--fast] [--out FOLDER]
"""

# --8<-- [start:begin]
import argparse
import dataclasses
from pathlib import Path

import pandas as pd

from svsim.benchmark import BenchmarkSpec, run
from svsim.models.config import preset
from svsim.models.evaluation import evaluate
from svsim.models.training import train
from svsim.world import find_store

parser = argparse.ArgumentParser()
parser.add_argument("--fast", action="store_true", help="a tiny world, two epochs")
parser.add_argument("--out", type=Path, default=Path("train_sasrec4sv"))
options = parser.parse_args()
STORE, EPOCHS, CANDIDATES, SEEDS = ("tiny", 2, 5, 2) if options.fast else ("small", 3, 20, 5)
store = find_store(STORE)
# --8<-- [end:begin]

# --8<-- [start:train]
model, training = preset("small")
training = dataclasses.replace(training, epochs=EPOCHS)
MULTI = options.out / "multi"


def stop(task, done, whole):
    """Told of every step: stops in the middle of the second epoch."""
    if task == "epoch 2" and done > whole / 2:
        raise KeyboardInterrupt


try:
    train(store, MULTI, model, training, progress=stop)
except KeyboardInterrupt:
    print("stopped; kept:", *sorted(file.name for file in MULTI.iterdir()))
# --8<-- [end:train]

# --8<-- [start:resume]
multi = train(store, MULTI, model, training)
history = pd.read_csv(MULTI / "history.csv")
print(history[["epoch", "steps", "train_loss", "valid_loss"]].round(3).to_string(index=False))
# --8<-- [end:resume]

# --8<-- [start:evaluate]
RATES = "user + video rates"
found = evaluate(multi, store, baselines=[RATES], resamples=20 if options.fast else 100)
for protocol, told in found.items():
    for label in ("click", "long_view", "wtr>0.5"):
        own, rates = (
            told["labels"][label]["auc"],
            told["baselines"][RATES]["labels"][label]["auc"],
        )
        more = told["differences"][RATES][label]["auc"]
        print(
            f"{protocol:8} AUC {label:10} {own['mean']:.3f}, rates {rates['mean']:.3f},"
            f" difference {more['mean']:+.3f} [{more['low']:+.3f}, {more['high']:+.3f}]"
        )
# --8<-- [end:evaluate]

# --8<-- [start:wtg]
model, training = preset("small", head="wtg")
training = dataclasses.replace(training, epochs=EPOCHS)
wtg = train(store, options.out / "wtg", model, training)
# --8<-- [end:wtg]

# --8<-- [start:benchmark]
agents = (
    f"sasrec4sv?run={multi.path}",
    f"sasrec4sv?run={multi.path}&head=wtg",
    f"sasrec4sv?run={wtg.path}&head=wtg",
)
spec = BenchmarkSpec(store=STORE, agents=agents, candidates=CANDIDATES, seeds=SEEDS)
results = run(spec, options.out / "results")
columns = ["reward_mean", "reward_low", "reward_high", "wtg_mean", "watch_s_mean"]
table = results.table.set_index("agent")[columns].round(2)
print(table.rename(columns=lambda name: name.removesuffix("_mean")).to_string())
# --8<-- [end:benchmark]
