"""Does training on watch-time gain help? SASRec4SV with one head each, ranked offline and in Replay-v0.

    python scripts/compare_targets.py --store small --out targets
    python scripts/compare_targets.py --store STORE --candidates 5 --horizon 3 --session-gap none --out targets

For every target (`wtr`, `binary`, `wtg`) and seed a model is trained on that target alone. Offline, each user's test rows
are ranked by what the model predicts (history ends where the split begins): WTG@k and DCWTG@k. In the environment the same
prediction chooses what is served. Printed are means over seeds with Student's interval, and paired differences from `wtr`.
Interrupted, the same command goes on.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from scipy import stats

from svsim.benchmark import BenchmarkSpec, run
from svsim.cli.benchmark import SessionGap
from svsim.cli.output import task_progress
from svsim.data import FeedStore
from svsim.data.atomic import write_file
from svsim.world import find_store

TARGETS = ("wtr", "binary", "wtg")
ENGAGEMENT = ("reward", "wtr", "wtg", "aux")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is compared, on which data."""

    out: Path
    """Folder of runs and results."""
    store: str = "small"
    """A store, or the name of a preset."""
    preset: str = "default"
    """Of the models."""
    seeds: int = 5
    """Models of each target."""
    k: int = 3
    """Places of WTG@k and DCWTG@k."""
    candidates: int = 20
    """Videos on offer."""
    horizon: int = 10
    """Steps of an episode, at most."""
    session_gap: SessionGap = 30.0
    """A longer pause ends a session; none takes all of a user's rows in the split."""
    threads: int = 2
    """Of torch."""


def study(store: FeedStore, seed: int, options: Options) -> dict[str, dict[str, float]]:
    """Figures of every target's model of one seed."""
    from svsim.metrics import top_gains
    from svsim.models.config import preset
    from svsim.models.prediction import predict
    from svsim.models.training import train
    from svsim.models.windows import Material

    told: dict[str, dict[str, float]] = {}
    rows = store.split_rows("test")
    gain = np.asarray(store.events["wtg_gain"][rows])
    with task_progress() as tell:
        for target in TARGETS:
            model, training = preset(options.preset, head=target)
            training = dataclasses.replace(training, seed=seed)
            made = train(store, options.out / f"{target}-{seed}", model, training, progress=tell)
            score = predict(made, Material(store, made.inputs), "test", "frozen")[target]
            known = np.isfinite(gain)
            _, wtg, dcwtg = top_gains(store.events["user"][rows][known], score[known], gain[known], options.k)
            told[target] = {f"WTG@{options.k}": float(wtg.mean()), f"DCWTG@{options.k}": float(dcwtg.mean())}
    agents = {target: f"sasrec4sv?run={options.out / f'{target}-{seed}'}&head={target}" for target in TARGETS}
    spec = BenchmarkSpec(
        store=store,
        agents=tuple(agents.values()),
        rails=False,
        seeds=1,
        candidates=options.candidates,
        horizon=options.horizon,
        session_gap_minutes=options.session_gap,
    )
    records = {record["agent"]: record for record in run(spec, options.out / f"benchmark-{seed}").records}
    for target, agent in agents.items():
        told[target].update({name: records[agent]["metrics"][name]["mean"] for name in ENGAGEMENT})
    return told


def interval(values: np.ndarray[Any, Any], signed: bool = False) -> str:
    """Mean and Student's 95 % interval over seeds."""
    mean = float(values.mean())
    half = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)) if len(values) > 1 else float("nan")
    return f"{mean:+.4f} ± {half:.4f}" if signed else f"{mean:.4f} ± {half:.4f}"


def main(options: Options) -> None:
    """Train, rank, print."""
    import torch

    torch.set_num_threads(options.threads)
    store = find_store(options.store)
    options.out.mkdir(parents=True, exist_ok=True)
    found = [study(store, seed, options) for seed in range(options.seeds)]
    names = list(found[0]["wtr"])
    values = {t: {n: np.array([seed[t][n] for seed in found]) for n in names} for t in TARGETS}
    lines = ["| trained on | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    lines += [f"| {target} | " + " | ".join(interval(values[target][n]) for n in names) + " |" for target in TARGETS]
    for target in TARGETS[1:]:
        cells = [interval(values[target][name] - values["wtr"][name], signed=True) for name in names]
        lines.append(f"| {target} − wtr | " + " | ".join(cells) + " |")
    text = "\n".join(lines) + "\n"
    write_file(options.out / "targets.md", text.encode())
    write_file(options.out / "targets.json", (json.dumps(found, indent=1) + "\n").encode())
    print(text)


if __name__ == "__main__":
    main(tyro.cli(Options))
