"""Steps per second of Replay-v0 and Feed-v0, beside CartPole's numpy vector environment.

    python scripts/bench_env.py > bench_env.json
    python scripts/bench_env.py --response RUN > bench_env.json

Random legal actions in one process and one thread; prints one JSON document. The machine's noise is in every figure:
compare ratios of medians, taken in turns. Replay-v0 plays a stand-in's log; Feed-v0 a synthetic world, answered by its
truth and, where a run is named, by the model learned from its log. `feed_kernel_us` is what a step of Feed-v0 takes beside
the model's calls; `frames` is drawing alone, after each step of a single Replay-v0.
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
from typing import Any, cast

import gymnasium as gym
import numpy as np
import tyro

from svsim.data import FeedStore, prepare
from svsim.envs import FeedEnv, FeedVectorEnv
from svsim.response import ResponseModel
from svsim.response.opening import open_response
from svsim.world import StandIn, find_store, write_standin

TARGETS = {
    "vector_1024_views": 1_000_000,
    "vector_1024": 750_000,
    "vector_64": 400_000,
    "single": 20_000,
    "frames": 50,
    "feed_truth_1024_views": 300_000,
    "feed_learned_1024_views": 100_000,
    "feed_learned_single": 5_000,
}
KERNEL_TARGETS = {"feed_truth_1024_views": 1_800, "feed_truth_single": 90}
YARDSTICK_SHARE = 0.1


@dataclass(frozen=True, kw_only=True)
class Options:
    """Steps per second of Replay-v0 and Feed-v0, beside CartPole's numpy vector environment."""

    store: str | None = None
    """Replay-v0's store; by default a stand-in, built anew."""
    feed_store: str = "small"
    """Feed-v0's store: a path, or the name of a synthetic preset."""
    response: str | None = None
    """A run of `svsim train response` on that store; without one only the truth answers."""
    candidates: int = 20
    """Videos on offer."""
    history: int = 50
    """Past events that an observation shows."""
    horizon: int = 10
    """Steps of an episode of Replay-v0, at most; a feed ends when the user leaves, at the latest after 100."""
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


def drawn_rate(env: Any, actions: np.ndarray, seconds: float) -> float:
    """Frames per second of a single environment that is drawn after every step."""
    frames, drawing = 0, 0.0
    while drawing < seconds:
        for action in actions[:20]:
            *_, terminated, truncated, _ = env.step(action)
            began = time.perf_counter()
            env.render()
            drawing += time.perf_counter() - began
            frames += 1
            if terminated or truncated:
                env.reset()
    return frames / drawing


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
    drawn = gym.make("svsim/Replay-v0", render_mode="rgb_array", **arguments).unwrapped
    drawn.reset(seed=0)
    measured["frames"] = bound(drawn_rate, drawn, slots, options.seconds)
    cart = gym.make_vec("CartPole-v1", num_envs=1_024, vectorization_mode="vector_entry_point")
    cart.reset(seed=0)
    pushes = np.random.default_rng(0).integers(0, 2, (50, 1_024))
    measured["cartpole_1024"] = bound(vector_rate, cart, pushes, options.seconds)
    return measured


class Stopwatch:
    """A response model, and the seconds that its answers take."""

    def __init__(self, model: ResponseModel) -> None:
        self.model, self.seconds = model, 0.0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.model, name)

        def timed(*arguments: Any) -> Any:
            began = time.perf_counter()
            answer = method(*arguments)
            self.seconds += time.perf_counter() - began
            return answer

        return timed


def kernel_rate(rate: Callable[..., float], env: Any, watch: Stopwatch, actions: Any, seconds: float) -> float:
    """Microseconds of a step beside the model's answers."""
    watch.seconds, began = 0.0, time.perf_counter()
    steps = rate(env, actions, seconds) * (time.perf_counter() - began) / getattr(env, "num_envs", 1)
    return (time.perf_counter() - began - watch.seconds) / steps * 1e6


def feed_measurements(options: Options) -> tuple[dict[str, Callable[[], float]], dict[str, Callable[[], float]]]:
    """Rates of Feed-v0 by name, and the microseconds of its kernel."""
    store = find_store(options.feed_store)
    pool = FeedEnv(store, candidates=1, response="truth").pool
    rates: dict[str, Callable[[], float]] = {}
    kernel: dict[str, Callable[[], float]] = {}
    for kind, response in (("truth", "truth"), ("learned", options.response)):
        if response is None:
            continue
        watch = Stopwatch(open_response(response, store, pool))
        arguments: Any = {"candidates": options.candidates, "history": options.history}
        for name, copy in ((f"feed_{kind}_1024_views", False), (f"feed_{kind}_1024", True)):
            env = FeedVectorEnv(1_024, store, copy=copy, response=watch.model, **arguments)
            env.reset(seed=0)
            actions = np.random.default_rng(0).integers(0, options.candidates, (50, 1_024))
            rates[name] = bound(vector_rate, env, actions, options.seconds)
        single = FeedEnv(store, response=watch.model, **arguments)
        single.reset(seed=0)
        slots = np.random.default_rng(0).integers(0, options.candidates, 500).tolist()
        rates[f"feed_{kind}_single"] = bound(single_rate, single, slots, options.seconds)
        timed = FeedVectorEnv(1_024, store, copy=False, response=cast(ResponseModel, watch), **arguments)
        timed.reset(seed=0)
        kernel[f"feed_{kind}_1024_views"] = bound(kernel_rate, vector_rate, timed, watch, actions, options.seconds)
        alone = FeedEnv(store, response=cast(ResponseModel, watch), **arguments)
        alone.reset(seed=0)
        kernel[f"feed_{kind}_single"] = bound(kernel_rate, single_rate, alone, watch, slots, options.seconds)
    return rates, kernel


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
        feeds, kernel = feed_measurements(options)
        rates: dict[str, list[float]] = {name: [] for name in (*measured, *feeds)}
        spent: dict[str, list[float]] = {name: [] for name in kernel}
        for number in range(options.repeats):
            print(f"round {number + 1} of {options.repeats}", file=sys.stderr)
            for name, measure in (measured | feeds).items():
                rates[name].append(measure())
            for name, measure in kernel.items():
                spent[name].append(measure())
    medians = {name: statistics.median(values) for name, values in rates.items()}
    document = {
        "threads": 1,
        "store": store.fingerprint,
        "feed_store": options.feed_store,
        "response": options.response,
        "candidates": options.candidates,
        "history": options.history,
        "horizon": options.horizon,
        "steps_per_s": medians,
        "targets": TARGETS,
        "feed_kernel_us": {name: statistics.median(values) for name, values in spent.items()},
        "feed_kernel_targets_us": KERNEL_TARGETS,
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
