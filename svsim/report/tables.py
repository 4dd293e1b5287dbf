"""Tables as the reports print them."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["number", "plain_table", "value_and_interval"]


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
