"""`svsim world card` and `svsim world show`."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import Positional

from svsim.cli.output import console, print_json
from svsim.errors import CheckFailed

__all__ = ["Card", "Show"]

LEAST_WITHIN = 0.9


@dataclass(frozen=True, kw_only=True)
class Card:
    """Hold a store's figures against KuaiRand's, row by row; ends with status 3 when fewer than nine tenths fit."""

    store: Positional[str]
    """A store's folder, or the name of a preset."""
    json: bool = False
    """Print the rows as one JSON document."""

    def run(self) -> None:
        """Print the card."""
        from rich.table import Table

        from svsim.world import find_store, world_card

        rows = world_card(find_store(self.store))
        judged = [row for row in rows if row.judged]
        within = sum(row.verdict == "within" for row in judged)
        if self.json:
            print_json([_plain(dataclasses.asdict(row)) for row in rows])
        else:
            table = Table("figure", "store", "KuaiRand", "±", "n", "verdict", box=None)
            for row in rows:
                numbers = (f"{value:.4g}" for value in (row.figure, row.target, row.tolerance))
                table.add_row(row.name, *numbers, f"{row.n:,}", row.verdict)
            screen = console()
            screen.print(table)
            screen.print(
                f"{within} of {len(judged)} judged rows within tolerance; {len(rows) - len(judged)} not judged"
            )
        if within < LEAST_WITHIN * len(judged):
            raise CheckFailed(
                f"expected {LEAST_WITHIN:.0%} of the judged rows within tolerance, found {within} of {len(judged)}",
                where=self.store,
            )


@dataclass(frozen=True, kw_only=True)
class Show:
    """Say which world a folder or a store is of."""

    folder: Positional[Path]
    """What `svsim data synth` wrote, or a store made from it."""

    def run(self) -> None:
        """Print the world's configuration as JSON."""
        from svsim.world import open_world

        print_json(open_world(self.folder).config.as_dict())


def _plain(row: dict[str, object]) -> dict[str, object]:
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()}
