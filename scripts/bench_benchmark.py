"""What a benchmark costs beside its agents and environments: the runner, more workers, statistics.

    python scripts/bench_benchmark.py > bench_benchmark.json
    python scripts/bench_benchmark.py --parts runner statistics --repeats 3 > bench_benchmark.json
    python scripts/bench_benchmark.py --episodes 2048 --shard-episodes 500 --stat-episodes 200 --repeats 1   # a smoke test

Prints one JSON document; one thread a process. `runner`: the processor time of a shard that is neither the environment's nor
the agent's, at 1,024 environments with the random agent. `workers`: eight equal shards by one worker and by two, in turns
with a yardstick of the same form that no code of ours is in, since other work on the machine is in every figure; the time
that workers take to start is told beside, and taken off in `net_ratio`. `statistics`: from made shards to tables.
"""

from __future__ import annotations

import json
import os

# Before numpy is loaded.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import dataclasses
import resource
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import tyro

from svsim.benchmark import BenchmarkSpec, shard
from svsim.benchmark.executors import ProcessExecutor, make_executor
from svsim.benchmark.results import make_results
from svsim.benchmark.shard import EPISODE_METRICS, STEP_METRICS, Shard, episode_plan, play_shard
from svsim.data import FeedStore
from svsim.data.sessions import Sessions
from svsim.world import find_store

TARGETS = {"runner_share": 0.10, "ratio": 1.7, "statistics_s": 10.0}
ROWS = 1_024
SHARDS = 8
GIB = 2**30

Part = Literal["runner", "workers", "statistics"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a benchmark costs beside its agents and environments."""

    parts: tuple[Part, ...] = ("runner", "workers", "statistics")
    """What is measured."""
    store: str = "small"
    """A store, or the name of a preset."""
    episodes: int = 65_536
    """Of a shard whose runner is measured."""
    shard_episodes: int = 8_000
    """Of each of the eight shards."""
    agent: str = "linucb"
    """That plays the eight shards."""
    executors: tuple[Literal["processes", "ray"], ...] = ("processes", "ray")
    """That play them."""
    agents: int = 20
    """Whose statistics are made."""
    seeds: int = 5
    """Of each of them."""
    stat_episodes: int = 10_000
    """Of each seed."""
    resamples: int = 2_000
    """Of the users."""
    repeats: int = 5
    """Measurements of each, in turns; those of workers and statistics 3 times at most."""


# --- the runner ------------------------------------------------------------------------------------------------------


class Watch:
    """Seconds spent in some methods of some objects."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def over(self, thing: Any, *names: str) -> Any:
        """The same object, watched."""
        for name in names:
            if hasattr(thing, name):
                setattr(thing, name, self.around(getattr(thing, name)))
        return thing

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, watched."""

        def timed(*arguments: Any, **options: Any) -> Any:
            began = time.process_time()
            try:
                return call(*arguments, **options)
            finally:
                self.seconds += time.process_time() - began

        return timed


def runner_record(spec: BenchmarkSpec) -> dict[str, float]:
    """One shard of the random agent: whose its seconds are."""
    env, agent, making = Watch(), Watch(), Watch()
    make_environment, make_agent = shard.make_environment, shard.make_agent
    steps = 0
    held: deque[Any] = deque(maxlen=2)

    def counted(made: Any) -> Any:
        step = made.step

        def counting(action: Any) -> Any:
            nonlocal steps
            steps += 1
            # Thousands of last observations are freed here rather than where the runner lets go of them.
            held.append(step(action))
            return held[-1]

        made.step = env.around(counting)
        # A property is of the class.
        pool = env.around(type(made).pool.fget)
        made.__class__ = type("Watched", (type(made),), {"pool": property(pool)})
        return made

    shard.make_environment = making.around(lambda *a, **o: counted(env.over(make_environment(*a, **o), "reset")))
    shard.make_agent = lambda *a, **o: agent.over(make_agent(*a, **o), "act", "observe", "reset", "fit")
    try:
        began = time.process_time()
        played = play_shard(spec, "random", 0)
        whole = time.process_time() - began
    finally:
        shard.make_environment, shard.make_agent = make_environment, make_agent
    assert isinstance(played, Shard)
    runner = whole - env.seconds - agent.seconds - making.seconds
    return {
        "share": runner / whole,
        "seconds": whole,
        "environment_s": env.seconds,
        "agent_s": agent.seconds,
        "environments_made_s": making.seconds,
        "runner_us_a_step": 1e6 * runner / steps,
        "steps": steps,
    }


def runner_part(options: Options) -> dict[str, Any]:
    """Medians for Replay-v0 and for Feed-v0 answered by the truth."""
    common: Any = {"store": options.store, "agents": ("random",), "rails": False, "seeds": 1, "num_envs": ROWS}
    specs = {
        "replay": BenchmarkSpec(**common, split="train", episodes=options.episodes),
        # Its episodes are longer.
        "feed": BenchmarkSpec(**common, env="feed", episodes=options.episodes // 4),
    }
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in specs}
    for spec in specs.values():
        runner_record(dataclasses.replace(spec, episodes=ROWS))
    for _ in range(options.repeats):
        for name, spec in specs.items():
            runs[name].append(runner_record(spec))
    return {name: {key: median(run[key] for run in own) for key in own[0]} for name, own in runs.items()}


# --- workers ---------------------------------------------------------------------------------------------------------


def spin(amount: int) -> float:
    """A yardstick's task: Python and numpy, half and half."""
    values, total = np.random.default_rng(0).random(20_000), 0.0
    for number in range(amount):
        total += float(np.sort(values * number)[-1]) + sum(range(8_000))
    return total


def seconds_of(executor: Any, function: Callable[..., Any], tasks: list[tuple[Any, ...]]) -> tuple[float, float]:
    """How long all tasks take, workers' start included; and the processor time of processes that have ended."""
    began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in executor.map(function, tasks):
        pass
    whole, now = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return whole, now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime


def workers_part(options: Options) -> dict[str, Any]:
    """Eight equal shards by one worker and by two."""
    spec = BenchmarkSpec(
        store=options.store, agents=(options.agent,), rails=False, seeds=SHARDS, split="train", num_envs=ROWS,
        episodes=options.shard_episodes,
    )  # fmt: skip
    tasks = [(spec, options.agent, seed) for seed in range(SHARDS)]
    began = time.perf_counter()
    play_shard(*tasks[0])
    alone = time.perf_counter() - began
    began = time.perf_counter()
    spin(200)
    amount = max(1, int(200 * alone / (time.perf_counter() - began)))
    short = [(dataclasses.replace(spec, episodes=1), options.agent, seed) for seed in range(2)]
    found: dict[str, list[float]] = {}
    cpu: dict[str, list[float]] = {}
    loads = []
    for _ in range(min(options.repeats, 3)):
        loads.append(os.getloadavg()[0])
        for workers in (1, 2):
            measured: list[tuple[str, Any, Callable[..., Any], list[Any]]] = [
                ("yardstick", ProcessExecutor(workers), spin, [(amount,)] * SHARDS)
            ]
            for name in options.executors:
                executor = make_executor(name, workers)
                measured.append((f"{name}_start", executor, play_shard, short[:workers]))
                measured.append((name, executor, play_shard, tasks))
            for name, executor, function, own in measured:
                seconds, used = seconds_of(executor, function, own)
                found.setdefault(f"{name}_{workers}", []).append(seconds)
                cpu.setdefault(f"{name}_{workers}", []).append(used)
                print(name, workers, round(found[f"{name}_{workers}"][-1], 2), file=sys.stderr)
    record: dict[str, Any] = {"shard_s": alone, "load_before": loads, "seconds": found, "cores": os.cpu_count()}
    for name in ("yardstick", *options.executors):
        one, two = (np.array(found[f"{name}_{workers}"]) for workers in (1, 2))
        record[name] = {"ratio": median(one / two)}
        if name != "yardstick":
            start, started = (np.array(found[f"{name}_start_{workers}"]) for workers in (1, 2))
            record[name] |= {
                "start_s": [median(start), median(started)],
                "net_ratio": median((one - start) / (two - started)),
            }
    if "processes" in record:
        # What two workers would gain with the machine to themselves: other work slows the clock, hardly the processor time.
        one, two, start, started = (
            np.array(cpu[f"processes{part}_{workers}"]) for part in ("", "_start") for workers in (1, 2)
        )
        record["processes"]["cpu_s"] = [median(one), median(two)]
        record["processes"]["start_cpu_s"] = [median(start), median(started)]
        record["processes"]["net_ratio_by_cpu"] = median(2 * (one - start) / (two - started))
    for name in options.executors:
        record[name]["ratio_to_yardstick"] = record[name]["ratio"] / record["yardstick"]["ratio"]
    return record


# --- statistics ------------------------------------------------------------------------------------------------------


def made_shard(store: FeedStore, sessions: Sessions, skill: float, seed: int, episodes: int) -> Shard:
    """A shard as `play_shard` would leave it; agents of a seed have met the same sessions.

    Args:
        store: Whose users and videos they are.
        sessions: That are played.
        skill: Added to the metrics.
        seed: Number of the evaluation seed.
        episodes: How many.
    """
    key = episode_plan(len(sessions), episodes, seed)
    user = store.events["user"][sessions.rows[sessions.start]][(key % np.uint64(len(sessions))).astype(np.int64)]
    rng = np.random.default_rng([seed, int(1_000 * skill)])
    length = 10
    metrics = rng.gamma(2.0, 1.0, (episodes, len(EPISODE_METRICS))) + skill
    metrics[:, EPISODE_METRICS.index("length")] = length
    video = 1 + np.flatnonzero(rng.random(store.n_videos) < 0.5)
    plays = rng.multinomial(episodes * length, np.full(len(video), 1 / len(video)))
    values = {
        "key": key,
        "user_id": np.asarray(store.users["user_id"])[user].astype(np.int64),
        "group": store.user_group[user],
        "metrics": metrics,
        "step_episodes": np.where(np.arange(128) < length, episodes, 0),
        "step_sums": np.tile(metrics[:, : len(STEP_METRICS)].sum(axis=0) / length, (128, 1)),
        "video": video,
        "plays": plays,
        "skipped": 0,
        "sessions": len(sessions),
        "pool": np.arange(1, store.n_videos + 1),
    }
    return Shard(**{item.name: values[item.name] for item in dataclasses.fields(Shard)})


def statistics_part(options: Options) -> dict[str, Any]:
    """Seconds from shards to results."""
    rails = ("random", "popularity", "logged", "oracle")
    others = tuple(f"epsilon-greedy?epsilon=0.{number + 1:02d}" for number in range(options.agents - len(rails)))
    agents = (*others, *rails)[-options.agents :]
    # Many users rather than long sessions.
    spec = BenchmarkSpec(
        store=options.store, agents=agents, seeds=options.seeds, rails=False, split="train", min_videos=1
    )
    store = find_store(options.store)
    sessions = store.sessions(spec.split, spec.session_gap_minutes).longer_than(1)
    shards = {
        name: [made_shard(store, sessions, 0.02 * number, seed, options.stat_episodes) for seed in range(options.seeds)]
        for number, name in enumerate(spec.all_agents)
    }
    validation = {name: shards[name][0] for name in ("random", "popularity") if name in shards}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024
    runs, used = [], []
    for _ in range(min(options.repeats, 3)):
        began, began_cpu = time.perf_counter(), time.process_time()
        make_results(spec, store, shards, {}, validation=validation, resamples=options.resamples)
        runs.append(time.perf_counter() - began)
        used.append(time.process_time() - began_cpu)
        print("statistics", round(runs[-1], 2), file=sys.stderr)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1_024
    return {
        "seconds": median(runs),
        "cpu_s": median(used),
        "all": runs,
        "users": len(np.unique(np.concatenate([run.user_id for run in shards[agents[0]]]))),
        "episodes": options.agents * options.seeds * options.stat_episodes,
        "more_memory_gib": (after - before) / GIB,
    }


def median(values: Any) -> float:
    """As a plain number."""
    return float(statistics.median(list(values)))


def yardstick() -> float:
    """Median seconds of a fixed amount of Python and numpy."""
    spent = []
    for _ in range(5):
        began = time.perf_counter()
        spin(100)
        spent.append(time.perf_counter() - began)
    return median(spent)


def main(options: Options) -> None:
    """Measure and print."""
    parts: dict[str, Callable[[Options], dict[str, Any]]] = {
        "runner": runner_part,
        "workers": workers_part,
        "statistics": statistics_part,
    }
    before = yardstick()
    document: dict[str, Any] = {
        "options": vars(options),
        "store": find_store(options.store).fingerprint,
        "numpy": np.__version__,
        "targets": TARGETS,
    }
    for name in options.parts:
        document[name] = parts[name](options)
        print(name, "done", file=sys.stderr)
    document["yardstick_s"] = [before, yardstick()]
    print(json.dumps(document, indent=1))


if __name__ == "__main__":
    main(tyro.cli(Options))
