"""Tables as the reports print them."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Sheet", "as_sheet", "as_table", "markdown", "number", "plain_table", "short_agent", "value_and_interval"]


@dataclass(frozen=True)
class Sheet:
    """A table of text.

    Attributes:
        name: As `engagement`.
        title: What stands above.
        columns: Headings.
        rows: As many cells in each.
        left: Numbers of the columns that hold words rather than figures.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    left: tuple[int, ...] = (0,)


def as_table(sheet: Sheet) -> Table:
    """A sheet for the screen."""
    table = plain_table(sheet.title, *sheet.columns, left=sheet.left)
    for row in sheet.rows:
        table.add_row(*row)
    return table


def as_sheet(table: Table, name: str) -> Sheet:
    """What a table for the screen holds."""
    columns = [[str(cell) for cell in column.cells] for column in table.columns]
    left = tuple(place for place, column in enumerate(table.columns) if column.justify == "left")
    headings = tuple(str(column.header) for column in table.columns)
    return Sheet(name, str(table.title or ""), headings, list(zip(*columns, strict=True)), left)


def markdown(sheet: Sheet) -> str:
    """A sheet as a Markdown table, without its title."""
    lines = [sheet.columns, ("---",) * len(sheet.columns), *sheet.rows]
    cells = [[cell.replace("|", r"\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def plain_table(title: str, *columns: str, left: Collection[int] = (0,)) -> Table:
    """A table without a frame: figures to the right, the columns of the numbers `left` to the left."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place in left else "right", overflow="fold")
    return table


def number(value: float | None, digits: int = 3) -> str:
    """A number with a minus sign of its own; a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")


def value_and_interval(told: dict[str, Any], digits: int = 3) -> str:
    """`value [low, high]` of a record; the value alone where there is no interval."""
    if told["value"] is None or told["low"] is None:
        return number(told["value"], digits)
    return f"{number(told['value'], digits)} [{number(told['low'], digits)}, {number(told['high'], digits)}]"


def short_agent(agent: str) -> str:
    """An agent as typed without the folders of its files; a trained one goes by its run."""
    place, query, options = agent.partition("?")
    short = re.sub(r"run=[^&]*/", "run=", options)
    if not options.startswith("run="):
        return f"{place.rpartition('/')[2]}{query}{short}"
    run, _, rest = short.removeprefix("run=").partition("&")
    return f"{run}{'?' if rest else ''}{rest}"
