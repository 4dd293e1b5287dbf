"""How far does Replay-v0's assumption move policy values? Agents' episodes answered again by the world; prints markdown.

    python scripts/replay_validity.py

Replay-v0 answers as logged in whatever order a session is served; the world knows what would have been answered in that
order. Printed for each number of candidates: every agent's value both ways, their paired difference with its 95 % interval
over seeds and users, and Kendall's tau between the two orders of the agents.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

from dataclasses import dataclass

import tyro

from svsim.benchmark.replay_validity import ReplayValidity, markdown, rank_correlation
from svsim.benchmark.shard import make_environment
from svsim.benchmark.spec import BenchmarkSpec
from svsim.world import find_store

AGENTS = (
    "random",
    "popularity",
    "logged",
    "oracle",
    "epsilon-greedy",
    "thompson-gaussian",
    "linucb",
    "lints",
    "logistic-thompson",
    "mmr",
    "user-group",
    "provider-exposure",
    "explore",
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is measured."""

    store: str = "small"
    """A store of a world, or the name of a preset."""
    agents: tuple[str, ...] = AGENTS
    """Agents as typed."""
    candidates: tuple[int, ...] = (5, 20)
    """Videos on offer; a table for each."""
    horizon: int = 10
    """Steps of an episode, at most."""
    seeds: int = 5
    """Evaluation seeds."""


def main(options: Options) -> None:
    """Measure and print."""
    store = find_store(options.store)
    validity = ReplayValidity(store)
    for candidates in options.candidates:
        spec = BenchmarkSpec(
            store=store,
            agents=options.agents,
            rails=False,
            seeds=options.seeds,
            candidates=candidates,
            horizon=options.horizon,
        )
        found = validity.measure(spec)
        sessions = make_environment(spec, 1).sessions
        print(f"## {candidates} candidates, horizon {options.horizon}\n")
        print(f"{sessions:,} sessions, {options.seeds} seeds.\n")
        print(markdown(found))
        print(f"Kendall's τ between the two orders of the agents: {rank_correlation(found):.3f}.\n")


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
