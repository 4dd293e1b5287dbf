"""From what was found to one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from svsim._version import __version__
from svsim.data.atomic import as_output_error, write_file
from svsim.data.store import FeedStore
from svsim.errors import StoreError
from svsim.report.benchmark import in_words
from svsim.report.evaluation import evaluation_tables
from svsim.report.page.benchmark import benchmark_section
from svsim.report.page.contents import Block, Film, Section, Table, Words, blocks_of
from svsim.report.page.data import data_section
from svsim.report.page.found import Benchmark, Document, Found, Run, find
from svsim.report.page.ope import ope_section
from svsim.report.page.trainings import card_section, trainings
from svsim.report.tables import Sheet
from svsim.world.presets import built_preset_stores

__all__ = ["PAGE", "make_page", "write_report"]

PAGE = "report.html"

Item = TypeVar("Item", Benchmark, Document, Run)


def write_report(folder: Path, store: FeedStore | None = None) -> Path:
    """Write `FOLDER/report.html`: whole, or not at all.

    Args:
        folder: Of a benchmark, a suite, an off-policy evaluation, trainings, or of several of them.
        store: What the results are of; by default one that lies in the folder, or a built preset.

    Returns:
        The file.

    Raises:
        StoreError: There are no results, or none that can be read.
        OutputError: The file cannot be written.
    """
    with as_output_error(folder):
        found = find(folder, store)
        write_file(folder / PAGE, make_page(found).encode())
    return folder / PAGE


def make_page(found: Found) -> str:
    """The page: the same folder gives the same bytes.

    Raises:
        StoreError: Nothing of what was found can be shown.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    title = found.folder.resolve().name
    stores = {store.fingerprint: store for store in built_preset_stores()} | found.stores
    sections = list(_results(found, {fingerprint: store.path.name for fingerprint, store in stores.items()}))
    if not sections:
        raise next(iter(found.problems.values()))
    sections += _data(found, stores)
    if found.suite is not None:
        sections.append(_suite(found))
    environment = Environment(
        loader=PackageLoader("svsim.report.page", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["kind"] = lambda block, kind: type(block).__name__ == kind
    assets = resources.files("svsim.report.page") / "assets"
    return environment.get_template("page.html").render(
        title=title,
        summary=_summary(found),
        film=_film(found),
        sections=sections,
        version=__version__,
        style=(assets / "page.css").read_text(encoding="utf-8"),
        script=(assets / "page.js").read_text(encoding="utf-8"),
    )


def _results(found: Found, stores: Mapping[str, str]) -> Iterator[Section]:
    """Sections of what was run; what cannot be made from damaged files is taken out, and becomes a problem."""
    several = len(found.benchmarks) > 1
    about = partial(benchmark_section, command=_suite_command(found), concluding=several)
    yield from _made(found, found.benchmarks, lambda own, number: about(own, f"benchmark-{number}"))
    yield from _made(found, found.evaluations, lambda own, number: ope_section(own.told, own.name, f"ope-{number}"))
    yield from _made(found, found.offline, lambda own, number: _offline(own.told, own.name, f"offline-{number}"))
    runs = list(found.runs.values())
    cards = [run for run in runs if run.card is not None]
    yield from _made(found, cards, lambda run, number: card_section(run, f"card-{number}"))
    for place, training in trainings(runs, stores):
        sections: list[Section] = []
        with _telling(found, place):
            sections.append(training())
        yield from sections


def _made(found: Found, items: list[Item], make: Callable[[Item, int], Section]) -> list[Section]:
    """A section each; those whose files lack what today's svsim writes there leave `items`."""
    sections, good = [], []
    for number, item in enumerate(items):
        with _telling(found, item.place):
            sections.append(make(item, number))
            good.append(item)
    items[:] = good
    return sections


@contextlib.contextmanager
def _telling(found: Found, place: Path) -> Iterator[None]:
    """What is not found in damaged files becomes a problem."""
    try:
        yield
    except (KeyError, TypeError) as error:
        found.problems[str(place)] = StoreError(
            f"expected results of this version of svsim, found others ({type(error).__name__}: {error})",
            where=str(place),
            remedy="run the same command again with another --out",
        )


def _offline(told: dict[str, Any], title: str, name: str) -> Section:
    return Section(name, f"Offline metrics: {title}", blocks_of(evaluation_tables(told), name))


def _data(found: Found, stores: Mapping[str, FeedStore]) -> Iterator[Section]:
    """A section a store that the results are of."""
    wanted = [benchmark.spec["store"] for benchmark in found.benchmarks]
    wanted += [own.told["spec"]["store"] for own in found.evaluations]
    wanted += [str(run.config.get("store")) for run in found.runs.values()]
    for number, fingerprint in enumerate(dict.fromkeys(wanted)):
        name = f"data-{number}"
        if fingerprint in stores:
            yield data_section(stores[fingerprint], name)
        else:
            text = f"The store of fingerprint {fingerprint} was not found: name it by --store to see its figures."
            yield Section(name, "Data", [Words(text, "warning")])


def _suite_command(found: Found) -> str | None:
    """What ran the suite, if one was run; where its stores lie is not known to its results."""
    if found.suite is None:
        return None
    stores = ",".join(f"{name}=STORE" for name in found.suite["stores"])
    bound = f" --stores {stores}" if stores else ""
    return f"svsim benchmark --suite {found.suite['name']}{bound} --out {found.folder.resolve().name}"


def _suite(found: Found) -> Section:
    suite = found.suite or {}
    command = _suite_command(found) or ""
    rows = [(str(run["kind"]), name, str(run["store"])) for name, run in suite["runs"].items()]
    blocks: list[Block] = [Words(command, "code")]
    blocks.append(Words(f"Suite {suite['name']}, version {suite['version']}: {suite['description']}."))
    if rows:
        sheet = Sheet("suite-runs", "What it trained", ("kind", "run", "store"), rows, (0, 1, 2))
        blocks.append(Table(sheet, folded=True))
    return Section("suite", f"Suite: {suite['name']}", blocks)


def _summary(found: Found) -> list[Words]:
    """What came out, in a sentence a benchmark; what is missing."""
    words = [Words(f"{own.name}: {in_words(own.results)}", "result") for own in found.benchmarks]
    for place, error in found.problems.items():
        words.append(
            Words(f"Left out: {place}: {error.problem}" + (f"; {error.remedy}" if error.remedy else ""), "warning")
        )
    return words


def _film(found: Found) -> Film | None:
    if found.film is None:
        return None
    film, still = (f"data:image/webp;base64,{base64.b64encode(path.read_bytes()).decode()}" for path in found.film)
    return Film(
        film, still, "The feed as the environment draws it: what is served, how far it is watched, what it brings."
    )
