"""Runs a benchmark: shards that are missing are played, then all are gathered."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from svsim.benchmark.analysis import UNPRIVILEGED_RAILS
from svsim.benchmark.executors import Executor, SerialExecutor
from svsim.benchmark.results import Results, load_results, make_results
from svsim.benchmark.shard import STEP_LIMIT, Shard, episode_plan, make_environment, play_shard
from svsim.benchmark.spec import BenchmarkSpec
from svsim.data.atomic import write_file
from svsim.data.result_folder import claimed
from svsim.errors import AgentError, OptionError, StoreError
from svsim.world.presets import find_store

__all__ = ["Progress", "run"]

Progress = Callable[[int, int, str], None]
"""Told of shards: how many are done, how many there are, and which one came to an end."""

SHARDS = "shards"
VALIDATION = "valid"


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
            # Damaged results are made anew.
            with contextlib.suppress(StoreError):
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


@dataclass(frozen=True)
class Task:
    """A shard to be played.

    Attributes:
        agent: As typed.
        seed: Number of the evaluation seed.
        validation: Whether on the validation split, where the rail that all are compared with is chosen.
        name: Of its file.
    """

    agent: str
    seed: int
    validation: bool
    name: str


Outcome = dict[Task, Shard | AgentError]


def _tasks(spec: BenchmarkSpec) -> list[Task]:
    """All shards in the order of the results."""
    tasks = [
        Task(agent, seed, False, f"{number:03d}-{seed:03d}")
        for number, agent in enumerate(spec.all_agents)
        for seed in range(spec.seeds)
    ]
    # One rail alone needs no choice, and what is tested on the validation split cannot be chosen there.
    if set(UNPRIVILEGED_RAILS) <= set(spec.all_agents) and spec.split != VALIDATION:
        tasks += [Task(agent, 0, True, f"{VALIDATION}-{agent}") for agent in UNPRIVILEGED_RAILS]
    return tasks


def _play(
    spec: BenchmarkSpec,
    done: Outcome,
    executor: Executor,
    progress: Progress | None,
    keep: Callable[[Task, Shard], None],
    step_limit: float,
) -> Outcome:
    """All shards: those done already and those played now."""
    outcome = dict(done)
    tasks = _tasks(spec)
    if any(task.validation for task in tasks) and not _has_validation(spec):
        tasks = [task for task in tasks if not task.validation]
    missing = [task for task in tasks if task not in done]
    valid = dataclasses.replace(spec, split=VALIDATION)
    arguments = [(valid if task.validation else spec, task.agent, task.seed, step_limit) for task in missing]
    for number, result in executor.map(play_shard, arguments):
        task = missing[number]
        outcome[task] = result
        if isinstance(result, Shard):
            keep(task, result)
        if progress is not None:
            progress(len(outcome), len(tasks), task.agent)
    return outcome


def _has_validation(spec: BenchmarkSpec) -> bool:
    """Whether the validation split has sessions that can be served."""
    try:
        make_environment(dataclasses.replace(spec, split=VALIDATION), 1)
    except OptionError:
        return False
    return True


def _gather(spec: BenchmarkSpec, outcome: Outcome) -> Results:
    shards: dict[str, list[Shard]] = {}
    errors: dict[str, str] = {}
    validation: dict[str, Shard] = {}
    for task, result in sorted(outcome.items(), key=lambda item: item[0].seed):
        if isinstance(result, AgentError):
            # The first failure is told.
            errors.setdefault(task.agent, spec.without_place(str(result)))
        elif task.validation:
            validation[task.agent] = result
        else:
            shards.setdefault(task.agent, []).append(result)
    shards = {name: shards[name] for name in spec.all_agents if name not in errors}
    return make_results(spec, find_store(spec.store), shards, errors, validation=validation)


# --- the folder ------------------------------------------------------------------------------------------------------


def _shard_path(folder: Path, task: Task) -> Path:
    return folder / f"{task.name}.npz"


def _save(folder: Path, task: Task, shard: Shard) -> None:
    write_file(_shard_path(folder, task), shard.to_bytes())


def _saved(spec: BenchmarkSpec, folder: Path) -> Outcome:
    """Shards of an earlier, stopped run; one that cannot be read, or is of other episodes, is played again."""
    found = ((task, _loaded(spec, task, _shard_path(folder, task))) for task in _tasks(spec))
    return {task: shard for task, shard in found if shard is not None}


def _loaded(spec: BenchmarkSpec, task: Task, path: Path) -> Shard | None:
    # Of what is no archive numpy would leave the file open.
    if not zipfile.is_zipfile(path):
        return None
    try:
        shard = Shard.load(path)
        return shard if np.array_equal(shard.key, episode_plan(shard.sessions, spec.episodes, task.seed)) else None
    except (OSError, EOFError, KeyError, ValueError, TypeError, ZeroDivisionError, zipfile.BadZipFile, zlib.error):
        return None
