"""Steps per second of Replay-v0, beside CartPole's numpy vector environment.

    python scripts/bench_env.py > bench_env.json

Random legal actions in one process and one thread; prints one JSON document. The machine's noise is in every figure:
compare ratios of medians, taken in turns.
"""

from __future__ import annotations

import json
import os

# Before numpy is loaded.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import tyro

from svsim.data import FeedStore, prepare
from svsim.world import StandIn, find_store, write_standin

TARGETS = {"vector_1024_views": 1_000_000, "vector_1024": 750_000, "vector_64": 400_000, "single": 20_000}
YARDSTICK_SHARE = 0.1


@dataclass(frozen=True, kw_only=True)
class Options:
    """Steps per second of Replay-v0, beside CartPole's numpy vector environment."""

    store: str | None = None
    """A store; by default the synthetic preset `small`, built anew."""
    candidates: int = 20
    """Videos on offer."""
    history: int = 50
    """Past events that an observation shows."""
    horizon: int = 10
    """Steps of an episode, at most."""
    seconds: float = 1.0
    """Length of each measurement."""
    repeats: int = 5
    """Measurements of each, in turns."""


def legal_actions(masks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Random legal slots."""
    return np.argmax(np.where(masks, rng.random(masks.shape), -1.0), axis=1)


def vector_rate(env: Any, actions: np.ndarray, seconds: float) -> float:
    """Steps per second of a vector environment, actions drawn beforehand."""
    steps = 0
    began = time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds:
        for action in actions:
            env.step(action)
        steps += len(actions)
    return steps * env.num_envs / passed


def single_rate(env: Any, actions: np.ndarray, seconds: float) -> float:
    """Steps per second of a single environment, its resets included."""
    steps = 0
    began = time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds:
        for action in actions:
            *_, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
        steps += len(actions)
    return steps / passed


def replay_actions(env: Any, rows: int) -> np.ndarray:
    """Actions of a run that are legal at every step, since the pools are longer than the horizon."""
    rng = np.random.default_rng(0)
    env.reset(seed=0)
    actions = [legal_actions(env.action_masks(), rng) for _ in range(50)]
    return np.stack(actions).reshape(50, rows)


def measurements(store: FeedStore, options: Options) -> dict[str, Callable[[], float]]:
    """What is measured, by name."""
    arguments = {
        "store": store,
        "candidates": options.candidates,
        "history": options.history,
        "horizon": options.horizon,
        # Every slot stays filled to the horizon, so that all actions are legal.
        "min_videos": options.candidates + options.horizon,
    }
    measured: dict[str, Callable[[], float]] = {}
    for name, rows, copy in (
        ("vector_1024_views", 1_024, False),
        ("vector_1024", 1_024, True),
        ("vector_64_views", 64, False),
        ("vector_64", 64, True),
    ):
        env = gym.make_vec(
            "svsim/Replay-v0", num_envs=rows, vectorization_mode="vector_entry_point", copy=copy, **arguments
        ).unwrapped
        measured[name] = bound(vector_rate, env, replay_actions(env, rows), options.seconds)
    single = gym.make("svsim/Replay-v0", **arguments).unwrapped
    single.reset(seed=0)
    slots = np.random.default_rng(0).integers(0, options.candidates, 500).tolist()
    measured["single"] = bound(single_rate, single, slots, options.seconds)
    cart = gym.make_vec("CartPole-v1", num_envs=1_024, vectorization_mode="vector_entry_point")
    cart.reset(seed=0)
    pushes = np.random.default_rng(0).integers(0, 2, (50, 1_024))
    measured["cartpole_1024"] = bound(vector_rate, cart, pushes, options.seconds)
    return measured


def bound(rate: Callable[..., float], *arguments: Any) -> Callable[[], float]:
    """A measurement that is ready to be taken."""
    return lambda: rate(*arguments)


def main(options: Options) -> None:
    """Measure in turns and print."""
    with tempfile.TemporaryDirectory(prefix="svsim-bench-") as folder:
        if options.store is None:
            store = prepare(
                write_standin(Path(folder) / "logs", StandIn(users=300, videos=2_000, rows=90_000, days=21)),
                Path(folder) / "store",
            )
        else:
            store = find_store(options.store)
        measured = measurements(store, options)
        rates: dict[str, list[float]] = {name: [] for name in measured}
        for number in range(options.repeats):
            print(f"round {number + 1} of {options.repeats}", file=sys.stderr)
            for name, measure in measured.items():
                rates[name].append(measure())
    medians = {name: statistics.median(values) for name, values in rates.items()}
    document = {
        "threads": 1,
        "store": store.fingerprint,
        "candidates": options.candidates,
        "history": options.history,
        "horizon": options.horizon,
        "steps_per_s": medians,
        "targets": TARGETS,
        "share_of_cartpole_1024": {
            name: statistics.median(a / b for a, b in zip(rates[name], rates["cartpole_1024"], strict=True))
            for name in ("vector_1024_views", "vector_1024")
        },
        "target_share": YARDSTICK_SHARE,
        "all": rates,
    }
    print(json.dumps(document, indent=1))


if __name__ == "__main__":
    main(tyro.cli(Options))
