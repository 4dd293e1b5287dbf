"""Write the world of a preset, prepare it, hold its card against KuaiRand's figures; print and keep it as a page.

    python scripts/card_1k.py --out /tmp/world-1k --page docs/world-card-1k.md

The page in the documentation is this script's output.
"""

from __future__ import annotations

import dataclasses
import math
import resource
import time
from dataclasses import dataclass
from pathlib import Path

import tyro

from svsim.data.conversion import PrepareOptions, prepare
from svsim.data.store import open_store
from svsim.world import preset, world_card, write_world


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which world, and where to."""

    out: Path
    """Folder for the files and the store (2.5 GB at 1k); what is already there is used."""
    preset: str = "1k"
    """Preset of `svsim data synth`."""
    seed: int = 0
    """Of the world."""
    processes: int = 1
    """That write it."""
    page: Path | None = None
    """Where to keep the page."""


def main(options: Options) -> None:
    """Write, prepare, judge."""
    files, store = options.out / "files", options.out / "store"
    lines = []
    if not files.exists():
        start = time.perf_counter()
        config = dataclasses.replace(preset(options.preset), seed=options.seed)
        write_world(files, config, processes=options.processes)
        peak = resource.getrusage(
            resource.RUSAGE_SELF if options.processes == 1 else resource.RUSAGE_CHILDREN
        ).ru_maxrss
        lines.append(
            f"Written in {time.perf_counter() - start:.0f} s by {options.processes} process(es), at most"
            f" {peak / 2**20:.1f} GiB each."
        )
    if not store.exists():
        start = time.perf_counter()
        prepare(files, store, PrepareOptions(keep_zero_duration=True))
        lines.append(f"Prepared in {time.perf_counter() - start:.0f} s.")
    rows = world_card(open_store(store))
    judged = [row for row in rows if row.judged]
    within = sum(row.verdict == "within" for row in judged)
    head = [
        f"# The world's card at `{options.preset}`",
        "",
        f"`python scripts/card_1k.py --preset {options.preset} --seed {options.seed}`:"
        f" **{within} of {len(judged)} judged rows within tolerance ({within / len(judged):.0%})**;"
        f" {len(rows) - len(judged)} not judged. The misses and their reasons: [The world](world.md).",
        "",
        *lines,
        "",
        "| figure | world | KuaiRand | ± | n | verdict |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    body = [
        f"| {row.name} | {_number(row.figure)} | {_number(row.target)} | {_number(row.tolerance)} | {row.n:,} |"
        f" {row.verdict} |"
        for row in rows
    ]
    page = "\n".join([*head, *body]) + "\n"
    print(page)
    if options.page:
        options.page.write_text(page, encoding="utf-8")


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.4g}"


if __name__ == "__main__":
    main(tyro.cli(Options))
