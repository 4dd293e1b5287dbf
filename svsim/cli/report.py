"""`svsim report`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from svsim.cli.output import console

__all__ = ["Report"]


@dataclass(frozen=True, kw_only=True)
class Report:
    """Write FOLDER/report.html, one file that needs no network: the results in the folder as tables and figures."""

    folder: Positional[Path]
    """Of a benchmark, a suite, an off-policy evaluation, an evaluation or a training, or a folder with several of them."""
    store: str | None = None
    """The store that the results are of, where it does not lie in the folder and is no synthetic preset: for the figures of
    the data."""

    def run(self) -> None:
        """Write the page and print its path."""
        from svsim.report.page import write_report
        from svsim.world import find_store

        path = write_report(self.folder, None if self.store is None else find_store(self.store))
        console().print(str(path), soft_wrap=True)
