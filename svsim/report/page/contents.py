"""What a page consists of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from svsim.report.tables import Sheet, as_sheet

if TYPE_CHECKING:
    import pandas as pd
    import rich.table

__all__ = ["Block", "Figure", "Film", "Panels", "Section", "Table", "Words", "blocks_of", "data_sheet", "folded"]


@dataclass(frozen=True)
class Words:
    """A paragraph.

    Attributes:
        text: Its words.
        kind: `note` is small, `result` stands out, `code` is a command or a file's text, `warning` says what is missing.
    """

    text: str
    kind: str = "note"


@dataclass(frozen=True)
class Table:
    """A table that can be sorted.

    Attributes:
        sheet: Its cells.
        failed: Rows below all others: what failed, and why.
        folded: Whether it is shown on demand alone.
    """

    sheet: Sheet
    failed: Sequence[tuple[str, str]] = ()
    folded: bool = False


@dataclass(frozen=True)
class Figure:
    """A figure with its data beside it.

    Attributes:
        title: What stands above.
        svg: An SVG element.
        data: What it was drawn from; None where a table beside it says so.
        caption: What is to be seen, and what is to be known.
    """

    title: str
    svg: str
    data: Sheet | None = None
    caption: str = ""


@dataclass(frozen=True)
class Panels:
    """Small figures side by side, as many as the page is wide."""

    figures: Sequence[Figure]


@dataclass(frozen=True)
class Film:
    """A film within the page.

    Attributes:
        source: A `data:` address.
        still: The same of one frame, for paper and for who wants nothing to move.
        caption: What is shown.
    """

    source: str
    still: str
    caption: str


Block = Words | Table | Figure | Panels | Film


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading, in the table of contents.

    Attributes:
        name: Once on the page; letters, digits and hyphens.
        title: The heading.
        blocks: What stands below.
        parts: Sections within it.
    """

    name: str
    title: str
    blocks: Sequence[Block] = ()
    parts: Sequence[Section] = field(default_factory=tuple)


def data_sheet(name: str, frame: pd.DataFrame, digits: int = 4) -> Sheet:
    """A table of figures as text.

    Args:
        name: Of the sheet.
        frame: Its columns.
        digits: Significant ones of numbers that are not whole.
    """

    def cell(value: Any) -> str:
        if isinstance(value, float):
            if value != value:
                return "–"
            text = f"{value:,.0f}" if value.is_integer() and abs(value) < 1e15 else f"{value:.{digits}g}"
            return text.replace("-", "−")
        return f"{value:,}" if isinstance(value, int) else str(value)

    columns = tuple(str(column).replace("_", " ") for column in frame.columns)
    words = tuple(place for place, kind in enumerate(frame.dtypes) if kind.kind not in "fiu")
    rows = [tuple(cell(value) for value in row) for row in frame.astype(object).to_numpy().tolist()]
    return Sheet(name, "", columns, rows, words)


def blocks_of(parts: Sequence[rich.table.Table | str], name: str) -> list[Words | Table]:
    """Tables and sentences that a screen is shown, as blocks of a page; `name` is where the tables' names begin."""
    return [
        Words(part) if isinstance(part, str) else Table(as_sheet(part, f"{name}-{number}"))
        for number, part in enumerate(parts)
    ]


def folded(blocks: Sequence[Words | Table]) -> list[Words | Table]:
    """The same, their tables shown on demand."""
    return [block if isinstance(block, Words) else replace(block, folded=True) for block in blocks]
