"""What lies in a folder that can be reported on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svsim.benchmark.results import Results, load_results
from svsim.benchmark.spec import SUITE_FORMAT as SUITE
from svsim.benchmark.suite import RUN_OF_AGENT
from svsim.data.result_folder import SPEC
from svsim.data.run_folder import CONFIG
from svsim.data.store import FeedStore, is_store, open_store
from svsim.errors import StoreError, SvsimError
from svsim.ope.evaluation import RESULT_FILE as OPE_FILE
from svsim.ope.evaluation import read_evaluation
from svsim.ope.records import FORMAT as OPE

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Benchmark", "Document", "Found", "Run", "find"]

Told = dict[str, Any]

DEPTH = 2
"""Folders below the one that is named; a suite keeps its runs so deep."""
PROTOCOLS = {"frozen", "running"}
FILM, STILL = "film.webp", "film-still.webp"
OTHERS = ("svsim-demo",)
"""What a folder of several results may say of itself."""
OF_SUITE = ("name", "description", "version", "stores", "runs")
RUN_FORMATS = {"svsim-sasrec4sv": "sasrec4sv", "svsim-response": "response", "svsim-sb3": "sb3"}


@dataclass(frozen=True)
class Benchmark:
    """A finished benchmark: its name, folder, specification and results."""

    name: str
    place: Path
    spec: Told
    results: Results


@dataclass(frozen=True)
class Run:
    """A training: its name, folder, kind, configuration, losses or rewards by epoch or step, and its calibration card."""

    name: str
    place: Path
    kind: str
    config: Told
    history: pd.DataFrame
    card: Told | None = None


@dataclass(frozen=True)
class Document:
    """What one JSON file tells: its name, its place, its content."""

    name: str
    place: Path
    told: Told


@dataclass
class Found:
    """Everything that lies in a folder, and below it.

    Attributes:
        folder: The folder.
        suite: Of the suite that ran here, what it says.
        benchmarks: Finished ones.
        evaluations: Off-policy ones.
        offline: What `svsim evaluate --out` wrote.
        runs: Trainings, those that the benchmarks' agents name among them.
        stores: By fingerprint.
        film: A film and a frame of it.
        problems: By place, what could not be read.
    """

    folder: Path
    suite: Told | None = None
    benchmarks: list[Benchmark] = field(default_factory=list)
    evaluations: list[Document] = field(default_factory=list)
    offline: list[Document] = field(default_factory=list)
    runs: dict[Path, Run] = field(default_factory=dict)
    stores: dict[str, FeedStore] = field(default_factory=dict)
    film: tuple[Path, Path] | None = None
    problems: dict[str, SvsimError] = field(default_factory=dict)

    @property
    def anything(self) -> bool:
        """Whether there is something to report on."""
        return bool(self.benchmarks or self.evaluations or self.offline or self.runs)


def find(folder: Path, store: FeedStore | None = None) -> Found:
    """Look through a folder and two levels below it, by what the files themselves say.

    What is damaged, unfinished or of another version is told in `problems`, as long as there is something else.

    Args:
        folder: Of a benchmark, a suite, an off-policy evaluation, runs, or of several of them.
        store: What the results are of, where it lies elsewhere.

    Raises:
        StoreError: There is no such folder, it holds no results, or none that can be read.
    """
    if not folder.is_dir():
        raise StoreError("expected a folder of results, found none", where=str(folder))
    found = Found(folder)
    if store is not None:
        found.stores[store.fingerprint] = store
    for place in _places(folder, DEPTH):
        _look(found, place)
    for benchmark in found.benchmarks:
        for run in _named_runs(benchmark, folder):
            _attempt(found, run, lambda run=run: _run(found, run))  # type: ignore[misc]
    if not found.anything:
        if found.problems:
            raise next(iter(found.problems.values()))
        raise StoreError(
            "expected results of svsim benchmark, ope, evaluate --out or train, found none",
            where=str(folder),
            remedy="name the folder that was given to --out",
        )
    still = folder / STILL
    if (folder / FILM).is_file() and still.is_file():
        found.film = (folder / FILM, still)
    return found


def _places(folder: Path, depth: int) -> Iterator[Path]:
    yield folder
    if depth and not is_store(folder):
        for below in sorted(folder.iterdir()):
            if below.is_dir() and not below.name.startswith("."):
                yield from _places(below, depth - 1)


def _look(found: Found, place: Path) -> None:
    name = "." if place == found.folder else str(place.relative_to(found.folder))
    if (place / SPEC).is_file():
        form = _attempt(found, place, lambda: _json(place / SPEC).get("format"))
        if form == SUITE:
            found.suite = _attempt(found, place, lambda: _suite(place))
        elif form == OPE or (place / OPE_FILE).is_file():
            told = _attempt(found, place, lambda: _finished_ope(place))
            if told is not None:
                found.evaluations.append(Document(_called(name, place), place, told))
        elif str(place) not in found.problems and form not in OTHERS:
            results = _attempt(found, place, lambda: load_results(place))
            if results is not None:
                found.benchmarks.append(Benchmark(_called(name, place), place, _json(place / SPEC), results))
    elif (place / CONFIG).is_file():
        _attempt(found, place, lambda: _run(found, place))
    elif is_store(place):
        store = _attempt(found, place, lambda: open_store(place))
        if store is not None:
            found.stores.setdefault(store.fingerprint, store)
    for file in sorted(place.glob("*.json")):
        told = _evaluation(file)
        if told is not None:
            found.offline.append(Document(file.stem if name == "." else f"{name}/{file.stem}", file, told))


def _called(name: str, place: Path) -> str:
    return place.resolve().name if name == "." else name


def _attempt(found: Found, place: Path, act: Callable[[], Any]) -> Any:
    """What `act` gives; None where it fails, which is told."""
    try:
        return act()
    except SvsimError as error:
        found.problems[str(place)] = error
        return None


def _json(file: Path) -> Told:
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(told, dict):
            raise ValueError("no object")
    except (OSError, ValueError) as error:
        raise StoreError(f"expected a JSON object, found {error}", where=str(file)) from error
    return told


def _suite(place: Path) -> Told:
    suite = _json(place / SPEC).get("suite")
    if not isinstance(suite, dict) or not set(OF_SUITE) <= set(suite):
        raise StoreError(f"expected a suite with {', '.join(OF_SUITE)}, found another", where=str(place / SPEC))
    return suite


def _finished_ope(place: Path) -> Told:
    if not (place / OPE_FILE).is_file():
        raise StoreError(
            f"expected a finished off-policy evaluation, found no {OPE_FILE}",
            where=str(place),
            remedy="run the same command again: it goes on where it stopped",
        )
    return read_evaluation(place / OPE_FILE)


def _evaluation(file: Path) -> Told | None:
    """What `svsim evaluate` wrote; None for any other file."""
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    is_one = isinstance(told, dict) and told and set(told) <= PROTOCOLS
    return told if is_one else None


def _run(found: Found, place: Path) -> None:
    """Add a training, if it is one of ours and not there yet."""
    import pandas as pd

    key = place.resolve()
    config = _json(place / CONFIG)
    kind = RUN_FORMATS.get(str(config.get("format")))
    if kind is None or key in found.runs:
        return
    card = place / "card.json"
    try:
        history = pd.read_csv(place / "history.csv")
        if history.empty:
            raise ValueError("no rows")
    except (OSError, ValueError) as error:
        raise StoreError(
            f"expected a training with its history.csv, found {error}",
            where=str(place),
            remedy="run the same command again: it goes on where it stopped",
        ) from error
    found.runs[key] = Run(place.name, place, kind, config, history, _json(card) if card.is_file() else None)


def _named_runs(benchmark: Benchmark, folder: Path) -> Iterator[Path]:
    """Folders of the runs that agents go by: as typed, from the working directory or from beside the results."""
    for agent in benchmark.spec.get("agents", []):
        for run in RUN_OF_AGENT.findall(agent):
            places = (Path(run), benchmark.place.parent / run, folder / run)
            yield from [place for place in places if (place / CONFIG).is_file()][:1]
