"""What a benchmark's tasks name by path, and where a node finds it: under the same path, or in a copy of its own.

Copies go through Ray's object store. They are packed once where the benchmark was started, in pieces, so that no file need
fit into memory, and unpacked once on each node, into `$SVSIM_HOME/shipped`, under a name that tells the content. There
they stay for the next run.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.benchmark.spec import BenchmarkSpec
from svsim.data.atomic import atomic_folder
from svsim.errors import AgentError, BusyError, OutputError
from svsim.response.opening import TRUTH
from svsim.world.presets import PRESETS, find_store, home

__all__ = ["Cargo", "Parcel", "arrived", "by_path", "copied", "unpack"]

PIECE = 64 * 2**20
"""Bytes of a piece."""
PAUSE_S = 0.1
DIGITS = 16
"""Of the hashes in names of folders."""

# An agent's name holds an agent inside it with all its options, so that one pattern finds the paths of both.
_AGENT_FILE = re.compile(r"(?<![^=])[^?&=]+\.py(?=:)")
_RUN = re.compile(r"(?<=[?&]run=)[^&]+")


@dataclass(frozen=True)
class Parcel:
    """A folder, or a file in a folder of its own.

    Attributes:
        name: Of the folder that it is unpacked into.
        files: Path within the folder, and pieces as references into the object store.
        inner: The file's name; empty for a folder.
    """

    name: str
    files: tuple[tuple[str, tuple[Any, ...]], ...]
    inner: str = ""


Place = Parcel | str
"""A copy, or a path that nodes share."""


@dataclass(frozen=True)
class Cargo:
    """What the tasks of a benchmark need.

    Attributes:
        store: Its store: a copy, a path or the name of a preset.
        places: Trained runs, response runs and agents' files, by path as typed.
    """

    store: Place
    places: dict[str, Place]


def by_path(tasks: list[tuple[Any, ...]]) -> Cargo:
    """Everything under the path that it has here; relative ones mean our working directory, not a node's.

    Args:
        tasks: Arguments of `play_shard`.
    """
    spec: BenchmarkSpec = tasks[0][0]
    # Each node can build a preset's store by itself.
    store = str(spec.store) if spec.store in PRESETS else str(find_store(spec.store).path)
    return Cargo(store, {typed: str(Path(typed).absolute()) for typed in _named(tasks)})


def copied(tasks: list[tuple[Any, ...]], put: Callable[[Any], Any]) -> Cargo:
    """Everything packed.

    Args:
        tasks: Arguments of `play_shard`.
        put: `ray.put`.
    """
    spec: BenchmarkSpec = tasks[0][0]
    store = find_store(spec.store)
    manifest = hashlib.sha256((store.path / "manifest.json").read_bytes()).hexdigest()
    packed = _pack(store.path, f"store-{store.fingerprint[:DIGITS]}-{manifest[:DIGITS]}", put)
    # What is not there shows when its agent is made.
    there = [typed for typed in _named(tasks) if Path(typed).exists()]
    return Cargo(packed, {typed: _pack(Path(typed), f"copy-{_digest(Path(typed))[:DIGITS]}", put) for typed in there})


def arrived(cargo: Cargo, function: Callable[..., Any], spec: BenchmarkSpec, name: str, seed: int, *rest: Any) -> Any:
    """Run a task of `play_shard` on a node; what an agent did wrong is told with the paths as they were typed.

    Args:
        cargo: What it needs.
        function: `play_shard`.
        spec: The benchmark; its store is not looked at.
        name: The agent as typed.
        seed: Number of the evaluation seed.
        *rest: Further arguments.
    """
    places = {typed: _here(place) for typed, place in cargo.places.items()}
    response = _response(spec)
    moved = _moved(spec.agent_of_seed(name, seed), places)
    local = dataclasses.replace(
        spec, store=_here(cargo.store), response=places.get(response, response) if response else None, runs_in=None
    )
    result = function(local, moved, seed, *rest)
    if not isinstance(result, AgentError):
        return result
    texts = {moved: name} | {here: typed for typed, here in places.items()}
    return AgentError(
        _replaced(result.problem, texts),
        where=result.where and _replaced(result.where, texts),
        remedy=result.remedy and _replaced(result.remedy, texts),
    )


def _named(tasks: list[tuple[Any, ...]]) -> list[str]:
    """Paths that tasks name beside the store, as typed."""
    spec: BenchmarkSpec = tasks[0][0]
    names = {spec.agent_of_seed(name, seed) for _, name, seed, *_ in tasks}
    found = {path for name in names for pattern in (_AGENT_FILE, _RUN) for path in pattern.findall(name)}
    response = _response(spec)
    return sorted(found | {response} if response else found)


def _response(spec: BenchmarkSpec) -> str | None:
    """The run of the users' model, if it is one."""
    response = spec.environment_arguments.get("response")
    return None if response in (None, TRUTH) else str(response)


def _moved(name: str, places: dict[str, str]) -> str:
    """An agent with other paths; those that are not in `places` stay."""
    for pattern in (_AGENT_FILE, _RUN):
        name = pattern.sub(lambda found: places.get(found[0], found[0]), name)
    return name


def _replaced(text: str, texts: dict[str, str]) -> str:
    for old, new in texts.items():
        text = text.replace(old, new)
    return text


# --- copies ----------------------------------------------------------------------------------------------------------


def _files(path: Path) -> Iterator[tuple[str, Path]]:
    """A file, or the files in a folder, each by its path within the folder."""
    if path.is_file():
        yield path.name, path
        return
    for file in sorted(path.rglob("*")):
        if file.is_file():
            yield file.relative_to(path).as_posix(), file


def _digest(path: Path) -> str:
    """SHA-256 of names and contents."""
    whole = hashlib.sha256()
    for name, file in _files(path):
        with file.open("rb") as content:
            whole.update(f"{name}\0{hashlib.file_digest(content, 'sha256').hexdigest()}\n".encode())
    return whole.hexdigest()


def _pack(path: Path, name: str, put: Callable[[Any], Any]) -> Parcel:
    files = tuple((inside, tuple(map(put, _pieces(file)))) for inside, file in _files(path))
    return Parcel(name, files, path.name if path.is_file() else "")


def _pieces(file: Path) -> Iterator[npt.NDArray[np.uint8]]:
    size = file.stat().st_size
    for start in range(0, size, PIECE):
        yield np.fromfile(file, dtype=np.uint8, count=min(PIECE, size - start), offset=start)


def _here(place: Place) -> str:
    import ray

    return place if isinstance(place, str) else str(unpack(place, ray.get))


def unpack(parcel: Parcel, get: Callable[[Any], Iterable[int]]) -> Path:
    """Where a parcel lies on this node; the first task to ask unpacks it, others wait for that.

    Args:
        parcel: The copy.
        get: `ray.get`.

    Raises:
        OutputError: The disk refuses.
    """
    target = home() / "shipped" / parcel.name
    while not target.is_dir():
        try:
            with atomic_folder(target) as folder:
                for inside, pieces in parcel.files:
                    path = folder / inside
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with path.open("wb") as file:
                        for piece in pieces:
                            file.write(memoryview(get(piece)))  # type: ignore[arg-type]
        except BusyError:
            time.sleep(PAUSE_S)
        except OutputError:
            # Between our look and our lock another task may have been done with it.
            if not target.is_dir():
                raise
    return target / parcel.inner
