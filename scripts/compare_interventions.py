"""What closes the gap between influencers and normal users, and what does it cost?

    python scripts/compare_interventions.py --store small --out interventions
    python scripts/compare_interventions.py --store STORE --candidates 5 --horizon 3 --session-gap none --out interventions

SASRec4SV is trained as it is and with each group weighing the same, by group DRO and by CVaR-DRO, a model for every seed;
the plain one is re-ranked for user groups, with and without a bound on their gap, and for providers. All play the same
episodes of Replay-v0. Printed are utilities and paired differences to the plain model, with 95 % intervals over seeds and
users. Interrupted, the same command goes on.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import tyro

from svsim.benchmark import BenchmarkSpec, run
from svsim.benchmark.effects import Effect, effects
from svsim.benchmark.statistics import Estimate
from svsim.cli.benchmark import SessionGap
from svsim.cli.output import task_progress
from svsim.data import FeedStore
from svsim.data.atomic import write_file
from svsim.names import INFLUENCER, NORMAL
from svsim.world import find_store

OBJECTIVES = ("mean", "reweight", "group-dro", "cvar")
PLAIN = "plain"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is compared, on which data."""

    out: Path
    """Folder of runs and results."""
    store: str = "small"
    """A store, or the name of a preset."""
    preset: str = "small"
    """Of the models."""
    seeds: int = 5
    """Models of each objective."""
    max_gap: float = 0.02
    """Bound on the groups' gap in mean reward of a step."""
    candidates: int = 20
    """Videos on offer."""
    horizon: int = 10
    """Steps of an episode, at most."""
    session_gap: SessionGap = 30.0
    """A longer pause ends a session; none takes all of a user's rows in the split."""
    threads: int = 2
    """Of torch."""


def train_models(store: FeedStore, options: Options) -> None:
    """A model for every objective and seed."""
    from svsim.models.config import preset
    from svsim.models.training import train

    model, training = preset(options.preset)
    with task_progress() as tell:
        for seed in range(options.seeds):
            for objective in OBJECTIVES:
                made = dataclasses.replace(training, seed=seed, objective=objective)
                train(store, options.out / f"{objective}-{seed}", model, made, progress=tell)


def agents(options: Options) -> dict[str, str]:
    """Agents by what they are called."""
    runs = {objective: f"sasrec4sv?run={objective}-{{seed}}" for objective in OBJECTIVES}
    return {
        PLAIN: runs["mean"],
        "re-weighting": runs["reweight"],
        "group DRO": runs["group-dro"],
        "CVaR-DRO": runs["cvar"],
        "user-group re-ranking": f"user-group?of={runs['mean']}",
        f"the same, gap ≤ {options.max_gap:g}": f"user-group?max_gap={options.max_gap}&of={runs['mean']}",
        "provider exposure": f"provider-exposure?of={runs['mean']}",
    }


def cell(estimate: Estimate, signed: bool = False) -> str:
    """Value and interval."""
    told = estimate.record()
    if told["mean"] is None or told["low"] is None:
        return "–"
    form = "+.3f" if signed else ".3f"
    return f"{told['mean']:{form}} [{told['low']:{form}}, {told['high']:{form}}]".replace("-", "−")


def lines(found: dict[str, Effect]) -> list[str]:
    """Two Markdown tables: what each brings, and what it changes."""
    text = ["| | everybody | influencers | normal users | gap | worse group |", "|---|---|---|---|---|---|"]
    for name, own in found.items():
        parts = (own.everybody, own.groups[INFLUENCER], own.groups[NORMAL], own.gap, own.worst)
        text.append(f"| {name} | " + " | ".join(map(cell, parts)) + " |")
    text += [
        "",
        "| against plain | everybody | influencers | normal users | gap | worse group |",
        "|---|---|---|---|---|---|",
    ]
    for name, own in found.items():
        if name != PLAIN:
            parts = (own.of_everybody, own.of_groups[INFLUENCER], own.of_groups[NORMAL], own.of_gap, own.of_worst)
            text.append(f"| {name} | " + " | ".join(cell(part, signed=True) for part in parts) + " |")
    return text


def main(options: Options) -> None:
    """Train, play, print."""
    import torch

    torch.set_num_threads(options.threads)
    store = find_store(options.store)
    options.out.mkdir(parents=True, exist_ok=True)
    train_models(store, options)
    named = agents(options)
    spec = BenchmarkSpec(
        store=store,
        agents=tuple(named.values()),
        seeds=options.seeds,
        runs_in=options.out,
        candidates=options.candidates,
        horizon=options.horizon,
        session_gap_minutes=options.session_gap,
    )
    with task_progress() as tell:
        results = run(
            spec, options.out / "benchmark", progress=lambda done, whole, _: tell("agents × seeds", done, whole)
        )
    found = effects(results.episodes, named[PLAIN])
    called = {agent: name for name, agent in named.items()}
    told = {called.get(agent, agent): effect for agent, effect in found.items()}
    text = "\n".join(lines(told)) + "\n"
    write_file(options.out / "interventions.md", text.encode())
    numbers = {
        name: {
            "everybody": own.of_everybody.record(),
            "groups": {group: part.record() for group, part in own.of_groups.items()},
            "gap": own.of_gap.record(),
            "worst": own.of_worst.record(),
        }
        for name, own in told.items()
    }
    write_file(options.out / "interventions.json", (json.dumps(numbers, indent=1) + "\n").encode())
    print(text)


if __name__ == "__main__":
    main(tyro.cli(Options))
