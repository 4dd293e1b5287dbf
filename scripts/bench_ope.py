"""Off-policy evaluation of a log of KuaiRand's size: seconds and memory.

    python scripts/bench_ope.py > bench_ope.json
    python scripts/bench_ope.py --rows 20000 --videos 300 --users 500 --large 100000 --repeats 1      # a smoke test

A made log of uniform draws, users of unequal activity. Measured in one process: all estimators of a deterministic and of a
top-k policy, weights and delta intervals included; the direct method of a softmax over all videos; a clustered bootstrap;
all estimators again on a larger log. Prints one JSON document. The yardstick is plain numpy, before and after: the machine's
noise is in every figure. Memory is what numpy allocates beside the inputs, taken in a run of its own.
"""

from __future__ import annotations

import json
import os

# Before numpy is loaded.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import tyro

from svsim.ope.estimates import TUNED, Estimate, estimate_rows
from svsim.ope.estimators import ESTIMATORS
from svsim.ope.rows import checked_rows
from svsim.ope.streaming import LowRank, softmax_expectations
from svsim.ope.top_k import TopK

TARGETS: dict[str, float] = {
    "estimators_s": 1.0,
    "estimators_peak_gib": 1.0,
    "streamed_s": 60.0,
    "bootstrap_s": 0.5,
    "large_time_ratio": 8.4,
}
GIB = 2**30
CONSTANT = 10.0
"""Of estimators that have one, where SLOPE does not choose it."""
WIDTH = 16
USERS_AT_ONCE = 512


@dataclass(frozen=True, kw_only=True)
class Options:
    """Off-policy evaluation of a log of KuaiRand's size: seconds and memory."""

    rows: int = 1_190_000
    """Of the log."""
    videos: int = 7_583
    """That it draws from, uniformly."""
    users: int = 27_285
    """Of unequal activity."""
    large: int = 10_000_000
    """Rows of the second log; 0 leaves it out."""
    top: int = 20
    """k of the top-k policy."""
    reward: Literal["binary", "real"] = "binary"
    """Clicks, or shares of a video watched."""
    resamples: int = 1_000
    """Of the bootstrap."""
    threads: int = 2
    """That stream the softmax."""
    repeats: int = 5
    """Measurements of each; those that stream or are of the second log are made 3 times at most."""
    seed: int = 0
    """Of the logs."""


@dataclass(frozen=True)
class Log:
    """n rows of uniform draws."""

    user: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    score: LowRank
    """What the policies go by."""
    model: LowRank
    """q̂ of user and video."""

    def __len__(self) -> int:
        return len(self.user)


@dataclass(frozen=True)
class Question:
    """A policy and q̂ where it goes."""

    policy: TopK
    q_at: np.ndarray
    q_logged: np.ndarray


def made_log(rows: int, options: Options) -> Log:
    """A log whose rewards follow q̂ loosely."""
    rng = np.random.default_rng([options.seed, rows])
    activity = rng.lognormal(0, 1.2, options.users)
    user = rng.choice(options.users, rows, p=activity / activity.sum())
    action = rng.integers(0, options.videos, rows)
    score, model = (
        LowRank(
            (scale * rng.normal(size=(options.users, WIDTH))).astype(np.float32),
            rng.normal(size=(options.videos, WIDTH)).astype(np.float32),
        )
        for scale in (0.3, 0.02)
    )
    # q̂ about .3.
    model.users[:, 0], model.videos[:, 0] = 0.3, 1
    chance = np.clip(_at(model, user, action) + rng.normal(0, 0.05, rows), 0, 1)
    reward = (rng.random(rows) < chance).astype(np.float64) if options.reward == "binary" else chance
    return Log(user, action, reward, score, model)


def question(log: Log, k: int) -> Question:
    """The k best of every user's, and q̂ of them."""
    users, videos = log.score.users.shape[0], log.score.videos.shape[0]
    best = np.empty((users, k), dtype=np.int32)
    for start in range(0, users, USERS_AT_ONCE):
        part = np.arange(start, min(start + USERS_AT_ONCE, users))
        best[part] = np.argpartition(log.score(part), videos - k, axis=1)[:, videos - k :]
    q_best = np.stack([_at(log.model, np.arange(users), best[:, place]) for place in range(k)], axis=1)
    policy = TopK(best[log.user])
    return Question(policy, q_best[log.user], _at(log.model, log.user, log.action).astype(np.float64))


def _at(table: LowRank, user: np.ndarray, video: np.ndarray) -> np.ndarray:
    """(n,) one number a row, a column of the factors at a time."""
    found = np.zeros(len(user), dtype=np.float32)
    for u, v in zip(table.users.T, table.videos.T, strict=True):
        found += u[user] * v[video]
    return found


def all_estimates(log: Log, asked: Question, videos: int, seconds: dict[str, float]) -> Estimate:
    """Every estimator with its interval, the seconds of each by name; DR's estimate.

    The others are not kept: an estimate may hold its terms by row, n numbers each.
    """
    began = time.perf_counter()
    rows = checked_rows(
        reward=log.reward,
        weight=asked.policy.weight(log.action, 1 / videos),
        q_logged=asked.q_logged,
        q_expected=asked.policy.q_expected(asked.q_at),
        match=asked.policy.match(log.action),
        user=log.user,
    )
    seconds["inputs"] = time.perf_counter() - began
    for name in (*ESTIMATORS, *TUNED):
        began = time.perf_counter()
        has_one = name in ESTIMATORS and ESTIMATORS[name].grid
        found = estimate_rows(name, rows, CONSTANT if has_one else None)
        found.interval()
        seconds[name] = time.perf_counter() - began
        if name == "dr":
            kept = found
    return kept


def estimators_record(log: Log, k: int, options: Options, repeats: int) -> tuple[dict[str, Any], Estimate]:
    """Median seconds of all estimators of one policy, their peak memory, and DR's estimate."""
    asked = question(log, k)
    runs: list[dict[str, float]] = []
    for _ in range(repeats):
        runs.append({})
        dr = all_estimates(log, asked, options.videos, runs[-1])
    peak = traced(lambda: all_estimates(log, asked, options.videos, {}))
    inputs = [log.user, log.action, log.reward, asked.policy.actions, asked.q_at, asked.q_logged]
    size = sum(array.nbytes for array in inputs)
    return {
        "seconds": statistics.median(sum(run.values()) for run in runs),
        "peak_gib": peak / GIB,
        "inputs_gib": size / GIB,
        "peak_to_inputs": peak / size,
        "matches": dr.matches,
        "effective_rows": round(dr.ess, 1),
        "seconds_by_estimator": {name: statistics.median(run[name] for run in runs) for name in runs[0]},
    }, dr


def traced(act: Callable[[], object]) -> int:
    """Bytes allocated at most while something ran."""
    tracemalloc.start()
    act()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def median_seconds(act: Callable[[], object], repeats: int) -> float:
    """Median time that something takes."""
    spent = []
    for _ in range(repeats):
        began = time.perf_counter()
        act()
        spent.append(time.perf_counter() - began)
    return statistics.median(spent)


def yardstick(rows: int) -> dict[str, float]:
    """Median seconds of sums by user and of a product, in plain numpy."""
    rng = np.random.default_rng(0)
    user, values = rng.integers(0, 27_285, rows), rng.random(rows)
    a = rng.random((1_024, 1_024), dtype=np.float32)
    return {
        "bincount_s": median_seconds(lambda: np.bincount(user, weights=values), 9),
        "product_1024_s": median_seconds(lambda: a @ a, 9),
    }


def measured(options: Options) -> dict[str, Any]:
    """All figures."""
    log = made_log(options.rows, options)
    few = min(options.repeats, 3)
    # scipy is loaded with the first interval.
    all_estimates(log, question(log, 1), options.videos, {})
    record: dict[str, Any] = {}
    for name, k in (("deterministic", 1), (f"top_{options.top}", options.top)):
        record[name], dr = estimators_record(log, k, options, options.repeats)
        print(name, round(record[name]["seconds"], 3), file=sys.stderr)
    record["bootstrap_s"] = median_seconds(
        lambda: dr.interval(method="bootstrap", resamples=options.resamples), options.repeats
    )

    def stream() -> None:
        softmax_expectations(log.user, log.score, log.model, actions=options.videos, threads=options.threads)

    record["streamed_s"] = median_seconds(stream, few)
    record["streamed_numbers_per_s"] = options.rows * options.videos / record["streamed_s"]
    print("streamed", round(record["streamed_s"], 1), file=sys.stderr)
    if options.large:
        log = made_log(options.large, options)
        for name, k in (("deterministic", 1), (f"top_{options.top}", options.top)):
            large, _ = estimators_record(log, k, options, few)
            large["time_ratio"] = large["seconds"] / record[name]["seconds"]
            record[f"{name}_large"] = large
            print(name, "large", round(large["seconds"], 3), file=sys.stderr)
        record["rows_ratio"] = options.large / options.rows
    return record


def main(options: Options) -> None:
    """Measure and print."""
    before = yardstick(options.rows)
    record = measured(options)
    print(
        json.dumps(
            {
                "options": vars(options),
                "numpy": np.__version__,
                "yardstick": [before, yardstick(options.rows)],
                "targets": TARGETS,
                **record,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main(tyro.cli(Options))
