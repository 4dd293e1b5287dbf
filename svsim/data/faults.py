"""Finding the first line at fault, by plain Python: slow, exact, and only when the fast parser has refused a block."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from svsim.data.schema import INT64, Column, in_range
from svsim.errors import DataError

__all__ = ["first_fault"]

_INTEGRAL = re.compile(r"[+-]?\d+(?:\.0*)?")
_FRACTION = re.compile(r"[+-]?(?:\d+\.\d*|\.\d+)(?:[eE][+-]?\d+)?")


def first_fault(text: bytes, header: list[str], schema: Sequence[Column], path: Path, line: int) -> DataError:
    """What is wrong with the first line at fault of a block; `line` is the number of its first line."""
    lines = text.split(b"\n")
    unfinished = not text.endswith(b"\n")
    for number, raw in enumerate(lines, start=line):
        if not raw:
            continue
        problem = _line_fault(raw, header, schema)
        if problem:
            where, what = problem
            if unfinished and number == line + len(lines) - 1:
                what += ": the file ends in the middle of a row"
            return DataError(
                what,
                where=f"{path}, line {number}{where}",
                remedy="mend the line, or fetch the file again",
            )
    return DataError("expected CSV rows, found what no parser reads", where=f"{path}, from line {line}")


def _line_fault(raw: bytes, header: list[str], schema: Sequence[Column]) -> tuple[str, str] | None:
    """What is wrong with one line: (where in it, what), or None."""
    if b"\0" in raw:
        return "", "expected text, found NUL bytes"
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return f", byte {error.start + 1}", "expected UTF-8 text, found other bytes"
    try:
        rows = list(csv.reader([text], strict=True))
    except csv.Error as error:
        return "", f"expected a CSV row, found a quoting fault ({error})"
    cells = rows[0] if rows else []
    if [cell.strip() for cell in cells] == header:
        return "", "expected a row, found a second header"
    if len(cells) != len(header):
        return "", f"expected {len(header)} cells, found {len(cells)}"
    by_name = dict(zip(header, cells, strict=True))
    for column in schema:
        what = _cell_fault(by_name[column.name].strip(), column)
        if what:
            return f", column {column.name}", f"expected {column.expectation}, found {what}"
    return None


def _cell_fault(cell: str, column: Column) -> str | None:
    if column.kind == "text":
        return None
    shown = repr(cell if len(cell) <= 40 else cell[:37] + "…")
    if column.kind == "float":
        try:
            # Python takes 1_000 for a number.
            number = float(cell.replace("_", "?") or "nan")
        except ValueError:
            return shown
        return None if in_range(np.array([number]), column).all() else shown
    if not cell:
        return "an empty cell"
    if not _INTEGRAL.fullmatch(cell) or not cell.isascii():
        return f"the fraction {shown}" if _FRACTION.fullmatch(cell) else shown
    whole = cell.partition(".")[0]
    # Python refuses to read integers of thousands of digits.
    value = int(whole) if len(whole) <= 100 else INT64[1] + 1
    if not INT64[0] <= value <= INT64[1]:
        return f"{shown}, which does not fit 64 bits"
    return None if in_range(np.array([value]), column).all() else shown
