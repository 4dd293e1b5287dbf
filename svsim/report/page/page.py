"""From what was found to one HTML file that needs nothing else."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from svsim._version import __version__
from svsim.data.atomic import as_output_error, write_file
from svsim.data.store import FeedStore
from svsim.report.benchmark import conclusion
from svsim.report.evaluation import evaluation_tables
from svsim.report.page.benchmark import benchmark_section
from svsim.report.page.contents import Block, Film, Section, Table, Words, blocks_of
from svsim.report.page.data import data_section
from svsim.report.page.found import Found, find
from svsim.report.page.ope import ope_section
from svsim.report.page.trainings import card_section, training_sections
from svsim.report.tables import Sheet
from svsim.world.presets import built_preset_stores

__all__ = ["PAGE", "make_page", "write_report"]

PAGE = "report.html"


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
    found = find(folder, store)
    with as_output_error(folder):
        write_file(folder / PAGE, make_page(found).encode())
    return folder / PAGE


def make_page(found: Found) -> str:
    """The page: the same folder gives the same bytes."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    title = found.folder.resolve().name
    sections = list(_sections(found))
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


def _sections(found: Found) -> Iterator[Section]:
    for number, benchmark in enumerate(found.benchmarks):
        yield benchmark_section(benchmark, f"benchmark-{number}")
    for number, (name, told) in enumerate(found.evaluations.items()):
        yield ope_section(told, name, f"ope-{number}")
    for number, (name, told) in enumerate(found.offline.items()):
        yield Section(
            f"offline-{number}", f"Offline metrics: {name}", blocks_of(evaluation_tables(told), f"offline-{number}")
        )
    runs = list(found.runs.values())
    cards = [run for run in runs if run.card is not None]
    for number, run in enumerate(cards):
        yield card_section(run, f"card-{number}")
    yield from training_sections(runs)
    yield from _data(found)
    if found.suite is not None:
        yield _suite(found)


def _data(found: Found) -> Iterator[Section]:
    """A section a store that the results are of."""
    wanted = [benchmark.spec["store"] for benchmark in found.benchmarks]
    wanted += [told["spec"]["store"] for told in found.evaluations.values()]
    wanted += [str(run.config.get("store")) for run in found.runs.values()]
    known = {store.fingerprint: store for store in built_preset_stores()} | found.stores
    for number, fingerprint in enumerate(dict.fromkeys(wanted)):
        name = f"data-{number}"
        if fingerprint in known:
            yield data_section(known[fingerprint], name)
        else:
            text = f"The store of fingerprint {fingerprint} was not found: name it by --store to see its figures."
            yield Section(name, "Data", [Words(text, "warning")])


def _suite(found: Found) -> Section:
    suite = found.suite or {}
    rows = [(str(run["kind"]), name, str(run["store"])) for name, run in suite["runs"].items()]
    blocks: list[Block] = [
        Words(f"svsim benchmark --suite {suite['name']} --out {found.folder.resolve().name}", "code")
    ]
    blocks.append(Words(f"Suite {suite['name']}, version {suite['version']}: {suite['description']}."))
    if rows:
        sheet = Sheet("suite-runs", "What it trained", ("kind", "run", "store"), rows, (0, 1, 2))
        blocks.append(Table(sheet, folded=True))
    return Section("suite", f"Suite: {suite['name']}", blocks)


def _summary(found: Found) -> list[Words]:
    """What came out, in a sentence a benchmark; what is missing."""
    several = len(found.benchmarks) > 1
    words = []
    for benchmark in found.benchmarks:
        text = conclusion(benchmark.results) or "No agent was played to the end."
        words.append(Words(f"{benchmark.name}: {text}" if several else text, "result"))
    for place, error in found.problems.items():
        words.append(
            Words(f"Left out: {place}: {error.problem}" + (f"; {error.remedy}" if error.remedy else ""), "warning")
        )
    return words


def _film(found: Found) -> Film | None:
    if found.film is None:
        return None
    film, still = (f"data:image/webp;base64,{base64.b64encode(path.read_bytes()).decode()}" for path in found.film)
    return Film(film, still, "The feed, as the environment draws it.")
