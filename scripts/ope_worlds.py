"""Off-policy estimates of five policies on ten worlds, held to the truth; prints markdown.

    python scripts/ope_worlds.py --folder worlds

Each world (preset `small`, another seed) is written and prepared, SASRec4SV (preset `small`) and PPO are trained in it, and
`svsim ope` evaluates random, popularity, LinUCB and both from its random log. The truth is the one-step value over fresh
contexts of the same world. Counted: in how many of the fifty cases it lies in each estimator's 95 % interval. What is in the
folder already is used.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro


@dataclass(frozen=True, kw_only=True)
class Options:
    """How many worlds, and where."""

    folder: Path
    """Stores, runs and evaluations."""
    worlds: int = 10
    """Seeds 1, 2, …"""
    timesteps: int = 60_000
    """Of PPO."""
    processes: int = 1
    """Worlds side by side."""


def main(options: Options) -> None:
    """Make what is missing, evaluate, count."""
    options.folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(options.processes) as pool:
        found = list(pool.map(lambda seed: _world(options, seed), range(1, options.worlds + 1)))
    print(_coverage(found))
    print(_values(found))
    print(_by_case(found))


def _world(options: Options, seed: int) -> dict[str, Any]:
    folder = options.folder
    store, sasrec, ppo, out = (folder / f"{name}{seed}" for name in ("S", "sasrec", "ppo", "ope"))
    if not store.exists():
        files = folder / f"W{seed}"
        _svsim("data", "synth", "--preset", "small", "--seed", seed, "--out", files)
        _svsim("data", "prepare", files, "--out", store)
    _svsim("train", "sasrec4sv", "--preset", "small", "--store", store, "--out", sasrec, "--threads", 1)
    _svsim("train", "sb3", "--store", store, "--out", ppo, "--timesteps", options.timesteps, "--threads", 1)
    agents = f"random,popularity,linucb,sasrec4sv?run={sasrec},ppo?run={ppo}"
    _svsim("ope", "--store", store, "--agents", agents, "--truth", "--out", out)
    told: dict[str, Any] = json.loads((out / "ope.json").read_text(encoding="utf-8"))
    return told


def _svsim(*words: object) -> None:
    command = [sys.executable, "-m", "svsim", *map(str, words)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _cases(found: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any], float]]:
    """Policy, its record, its true value, for every world."""
    return [
        (record["agent"].partition("?")[0], record, told["truth"]["values"][record["agent"]]["value"])
        for told in found
        for record in told["policies"]
    ]


def _coverage(found: list[dict[str, Any]]) -> str:
    cases = _cases(found)
    lines = [
        "| estimator | truth in interval | RMSE | bias | mean width | Spearman | regret@1 |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in cases[0][1]["estimates"]:
        own = [(record["estimates"][name], true) for _, record, true in cases]
        known = [(e, true) for e, true in own if e["value"] is not None]
        inside = sum(e["low"] <= true <= e["high"] for e, true in known)
        error = np.array([e["value"] - true for e, true in known])
        width = np.mean([e["high"] - e["low"] for e, _ in known])
        judged = [told["truth"]["judgement"][name] for told in found]
        spearman, regret = (np.mean([own[key] for own in judged]) for key in ("spearman", "regret@1"))
        lines.append(
            f"| {name} | {inside} of {len(cases)} | {np.sqrt((error**2).mean()):.3f} | {error.mean():+.3f} | {width:.3f}"
            f" | {spearman:.2f} | {regret:.2f} |".replace("+-", "−").replace("| -", "| −")
        )
    return "\n".join(lines) + "\n"


def _values(found: list[dict[str, Any]]) -> str:
    """One world in full: the first."""
    told = found[0]
    names = list(told["policies"][0]["estimates"])
    policies = [record["agent"].partition("?")[0] for record in told["policies"]]
    lines = [f"| | {' | '.join(policies)} |", f"|---|{'---|' * len(policies)}"]
    truth = [told["truth"]["values"][record["agent"]]["value"] for record in told["policies"]]
    lines.append(f"| **truth** | {' | '.join(f'**{value:.3f}**' for value in truth)} |")
    sizes = [f"{record['ess']:,.0f}" for record in told["policies"]]
    lines.append(f"| effective rows of {told['log']['rows']:,} | {' | '.join(sizes)} |")
    for name in names:
        cells = []
        for record in told["policies"]:
            own = record["estimates"][name]
            cells.append("–" if own["value"] is None else f"{own['value']:.3f} [{own['low']:.3f}, {own['high']:.3f}]")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _by_case(found: list[dict[str, Any]]) -> str:
    """DR and the truth, world by world."""
    policies = [record["agent"].partition("?")[0] for record in found[0]["policies"]]
    lines = [f"| world | {' | '.join(policies)} |", f"|---|{'---|' * len(policies)}"]
    for number, told in enumerate(found, 1):
        cells = []
        for record in told["policies"]:
            own, true = record["estimates"]["dr"], told["truth"]["values"][record["agent"]]["value"]
            inside = own["low"] <= true <= own["high"]
            cells.append(f"{true:.3f} in [{own['low']:.3f}, {own['high']:.3f}]{'' if inside else ' **no**'}")
        lines.append(f"| {number} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
