"""Runs a benchmark: shards that are missing are played, then all are gathered."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from svsim.benchmark.executors import Executor, SerialExecutor
from svsim.benchmark.results import Results, load_results, make_results
from svsim.benchmark.shard import STEP_LIMIT, Shard, make_environment, play_shard
from svsim.benchmark.spec import BenchmarkSpec
from svsim.data.atomic import write_file
from svsim.data.result_folder import claimed
from svsim.errors import AgentError, OptionError
from svsim.world.presets import find_store

__all__ = ["Progress", "run"]

Progress = Callable[[int, int, str], None]
"""Told of shards: how many are done, how many there are, and which one came to an end."""

SHARDS = "shards"


def run(
    spec: BenchmarkSpec,
    out: str | Path | None = None,
    *,
    executor: Executor | None = None,
    progress: Progress | None = None,
    step_limit: float = STEP_LIMIT,
) -> Results:
    """Run a benchmark, or go on with one that was stopped.

    The same specification gives the same results, byte for byte, whatever the executor. An agent that fails is in the
    results with its error; the others go on.

    Args:
        spec: What to run.
        out: Folder of the results; None keeps them in memory only.
        executor: Who runs the shards; by default this process.
        progress: Told of each shard.
        step_limit: Seconds that an agent may take a step of all rows, on average; a slower one has failed.

    Raises:
        SvsimError: An agent cannot be made, the environment cannot be made, or `out` holds something else.
    """
    spec.check_agents()
    # What cannot be made should show before a folder is.
    make_environment(spec, 1)
    if not step_limit > 0:
        raise OptionError(f"expected a number above 0, found {step_limit}", where="--step-limit")
    executor = executor or SerialExecutor()
    if out is None:
        return _gather(spec, _play(spec, {}, executor, progress, lambda *_: None, step_limit))
    folder = Path(out)
    with claimed(folder, spec.json(), "a benchmark"):
        finished = folder / "results.json"
        if finished.is_file() and not (folder / SHARDS).exists():
            return load_results(folder)
        shards = folder / SHARDS
        shards.mkdir(exist_ok=True)
        done = _saved(spec, shards)
        played = _play(spec, done, executor, progress, lambda task, shard: _save(shards, task, shard), step_limit)
        results = _gather(spec, played)
        results.save(folder)
        if not results.failed:
            # Kept while an agent has failed: the next run tries that one again.
            shutil.rmtree(shards)
        return results


Task = tuple[int, int]
Outcome = dict[Task, Shard | AgentError]


def _play(
    spec: BenchmarkSpec,
    done: Outcome,
    executor: Executor,
    progress: Progress | None,
    keep: Callable[[Task, Shard], None],
    step_limit: float,
) -> Outcome:
    """All shards by (agent, seed): those done already and those played now."""
    outcome = dict(done)
    tasks = [(agent, seed) for agent in range(len(spec.all_agents)) for seed in range(spec.seeds)]
    missing = [task for task in tasks if task not in done]
    arguments = [(spec, spec.all_agents[agent], seed, step_limit) for agent, seed in missing]
    for number, result in executor.map(play_shard, arguments):
        task = missing[number]
        outcome[task] = result
        if isinstance(result, Shard):
            keep(task, result)
        if progress is not None:
            progress(len(outcome), len(tasks), spec.all_agents[task[0]])
    return outcome


def _gather(spec: BenchmarkSpec, outcome: Outcome) -> Results:
    shards: dict[str, list[Shard]] = {}
    errors: dict[str, str] = {}
    for number, name in enumerate(spec.all_agents):
        runs = [outcome[number, seed] for seed in range(spec.seeds)]
        failures = [result for result in runs if isinstance(result, AgentError)]
        if failures:
            errors[name] = str(failures[0])
        else:
            shards[name] = [result for result in runs if isinstance(result, Shard)]
    return make_results(spec, find_store(spec.store), shards, errors)


# --- the folder ------------------------------------------------------------------------------------------------------


def _shard_path(folder: Path, task: Task) -> Path:
    return folder / f"{task[0]:03d}-{task[1]:03d}.npz"


def _save(folder: Path, task: Task, shard: Shard) -> None:
    write_file(_shard_path(folder, task), shard.to_bytes())


def _saved(spec: BenchmarkSpec, folder: Path) -> Outcome:
    """Shards of an earlier, stopped run. They were written whole, so one that is there is good."""
    return {
        (agent, seed): Shard.load(path)
        for agent in range(len(spec.all_agents))
        for seed in range(spec.seeds)
        if (path := _shard_path(folder, (agent, seed))).is_file()
    }
