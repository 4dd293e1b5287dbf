"""The user, video and statistics tables: source files → columns by dense id.

Dense ids go from 1 in the order of the source's ids, whatever the order of the rows; row 0 of each table stands for
padding and for the unknown.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.data.columns import HEADER_BYTES, TableWriter, column_path
from svsim.data.reader import read_blocks
from svsim.data.schema import USER_SCHEMA
from svsim.data.source import Block, Source
from svsim.errors import DataError
from svsim.names import STATISTIC_COLUMNS

__all__ = ["IdMap", "Table", "read_users", "read_videos", "write_statistics"]

Array = npt.NDArray[Any]
Progress = Callable[[int], None] | None

UNKNOWN_TEXTS = {"", "UNKNOWN"}


@dataclass
class Table:
    """Columns of one table with row 0 for the unknown, the texts behind coded columns, and repeated rows left out."""

    columns: dict[str, Array]
    texts: dict[str, list[Any]] = field(default_factory=dict)
    repeated: int = 0


class IdMap:
    """From a source's ids to dense ids, 0 for one that is not known.

    Args:
        ids: (n,) int64, ascending and distinct; `ids[i]` becomes i + 1.
    """

    def __init__(self, ids: npt.NDArray[np.int64]) -> None:
        self._ids = ids
        self._first = int(ids[0]) if len(ids) else 0
        self._span = int(ids[-1]) - self._first + 1 if len(ids) else 0
        # KuaiRand's ids are nearly consecutive: a direct table is ten times faster than a search.
        self._direct: npt.NDArray[np.int32] | None = None
        if self._span <= 8 * len(ids) + 1_000_000:
            self._direct = np.zeros(self._span + 1, dtype=np.int32)
            self._direct[ids - self._first] = np.arange(1, len(ids) + 1, dtype=np.int32)

    def __len__(self) -> int:
        return len(self._ids)

    def lookup(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
        """Dense ids of an array of source ids."""
        if self._direct is not None:
            known = (ids >= self._first) & (ids < self._first + self._span)
            return self._direct[np.where(known, ids - self._first, self._span)]
        at = np.minimum(np.searchsorted(self._ids, ids), len(self._ids) - 1)
        return np.where(self._ids[at] == ids, at + 1, 0).astype(np.int32)


class _TextCodes:
    """Codes of a text column, gathered block by block; code 0 is the empty text."""

    def __init__(self) -> None:
        self._code = {"": 0}

    def add(self, array: Any) -> npt.NDArray[np.int32]:
        local = np.array(
            [self._code.setdefault(text or "", len(self._code)) for text in array.dictionary.to_pylist()] or [0],
            dtype=np.int32,
        )
        return np.asarray(local[array.indices.to_numpy(zero_copy_only=False)])

    def sort(self, codes: npt.NDArray[np.int32]) -> tuple[npt.NDArray[np.int32], list[str]]:
        """Codes in the order of the texts, so that they do not depend on the order of the rows."""
        texts = ["", *sorted(text for text in self._code if text)]
        rank = {text: number for number, text in enumerate(texts)}
        order = np.array([rank[text] for text in self._code], dtype=np.int32)
        return order[codes], texts


def _gather(
    sources: Iterable[Source], progress: Progress, convert: Mapping[str, Callable[[Array], Array]] | None = None
) -> tuple[dict[str, Array], dict[str, list[str]]]:
    """Read whole tables: arrays by column, coded where they are text, and the texts.

    `convert` is applied to its columns block by block, so that a large table is held in its stored types only.
    """
    parts: dict[str, list[Array]] = {}
    codes: dict[str, _TextCodes] = {}
    for source in sources:
        for block in read_blocks(source, progress):
            for name, values in block.items():
                if not isinstance(values, np.ndarray):
                    values = codes.setdefault(name, _TextCodes()).add(values)
                elif convert is not None and name in convert:
                    values = convert[name](values)
                parts.setdefault(name, []).append(values)
    columns = {name: np.concatenate(parts.pop(name)) for name in list(parts)}
    texts: dict[str, list[str]] = {}
    for name, coded in codes.items():
        columns[name], texts[name] = coded.sort(columns[name])
    return columns, texts


def _by_id(columns: dict[str, Array], key: str, where: str) -> tuple[dict[str, Array], int]:
    """Sort rows by id and leave out exact repetitions.

    Raises:
        DataError: One id with two different rows.
    """
    ids = columns[key]
    if np.all(ids[1:] > ids[:-1]):
        return columns, 0
    order = np.argsort(ids, kind="stable")
    columns = {name: values[order] for name, values in columns.items()}
    again = np.flatnonzero(np.append(False, columns[key][1:] == columns[key][:-1]))
    for name, values in columns.items():
        if not len(again):
            break
        other, this = values[again - 1], values[again]
        same = (other == this) | ((other != other) & (this != this))
        if not same.all():
            found = int(columns[key][again[np.argmin(same)]])
            raise DataError(f"expected one row for {key} {found}, found two that differ in {name}", where=where)
    keep = np.ones(len(ids), dtype=bool)
    keep[again] = False
    return {name: values[keep] for name, values in columns.items()}, len(again)


def _with_unknown(values: Array, dtype: npt.DTypeLike, unknown: float = 0) -> Array:
    """Prepend row 0 and give the stored type."""
    stored = np.empty(len(values) + 1, dtype=dtype)
    stored[0] = unknown
    stored[1:] = values
    return stored


def _code_type(texts: list[Any]) -> npt.DTypeLike:
    return np.uint8 if len(texts) <= 256 else np.int32


def read_users(sources: list[Source], progress: Progress = None) -> Table:
    """Read the user table: `int32` counts and codes, `float32` where the source has gaps."""
    columns, texts = _gather(sources, progress)
    columns, repeated = _by_id(columns, "user_id", str(sources[0].path))
    table = Table({}, dict(texts), repeated)
    for column in USER_SCHEMA:
        values = columns[column.name]
        if column.name == "user_id":
            table.columns[column.name] = _with_unknown(values, np.int64, -1)
        elif column.kind == "text":
            table.columns[column.name] = _with_unknown(values, _code_type(texts[column.name]))
        elif column.kind == "float":
            table.columns[column.name] = _with_unknown(values, np.float32, np.nan)
        else:
            table.columns[column.name] = _with_unknown(values, np.int32)
    return table


def read_videos(sources: list[Source], progress: Progress = None) -> Table:
    """Read the basic video table.

    Adds `author` (dense, from 1), `upload_date` (YYYYMMDD, 0 unknown) and `tag_set` (a code into `texts["tag_set"]`, lists
    of tag numbers); `video_duration` is 0 where the source has none (picture posts).
    """
    where = str(sources[0].path)
    whole = {name: partial(_whole, missing=missing, dtype=dtype, where=f"{where}, column {name}")
             for name, (dtype, missing) in _WHOLE_VIDEO_COLUMNS.items()}  # fmt: skip
    columns, texts = _gather(sources, progress, whole)
    columns, repeated = _by_id(columns, "video_id", where)
    table = Table({}, {}, repeated)
    out = table.columns
    out["video_id"] = _with_unknown(columns["video_id"], np.int64, -1)
    authors, author = np.unique(columns["author_id"], return_inverse=True)
    out["author"] = _with_unknown(author + 1, np.int32)
    out["author_id"] = _with_unknown(columns["author_id"], np.int64, -1)
    for name in ("video_type", "upload_type"):
        out[name] = _with_unknown(columns[name], _code_type(texts[name]))
        table.texts[name] = texts[name]
    dates = np.array([_date_number(text, where) for text in texts["upload_dt"]], dtype=np.int32)
    out["upload_date"] = _with_unknown(dates[columns["upload_dt"]], np.int32)
    table.texts["tag_set"] = [_tags(text, where) for text in texts["tag"]]
    out["tag_set"] = _with_unknown(columns["tag"], np.int32)
    out["music_id"] = _with_unknown(columns["music_id"], np.int64)
    for name, (dtype, missing) in _WHOLE_VIDEO_COLUMNS.items():
        out[name] = _with_unknown(columns[name], dtype, missing)
    table.texts["author"] = [len(authors)]
    return table


_WHOLE_VIDEO_COLUMNS: dict[str, tuple[type[np.signedinteger[Any]], int]] = {
    "video_duration": (np.int32, 0),
    "server_width": (np.int32, 0),
    "server_height": (np.int32, 0),
    "visible_status": (np.int16, -1),
    "music_type": (np.int16, -1),
}
"""Columns that the files hold as floats with gaps: stored type, and what stands for a gap."""


def _whole(values: Array, *, missing: int, dtype: type[np.signedinteger[Any]], where: str) -> Array:
    """Whole numbers from a float column with gaps."""
    filled = np.where(np.isnan(values), float(missing), values)
    limits = np.iinfo(dtype)
    with np.errstate(invalid="ignore"):
        stored = filled.astype(dtype)
    if not np.array_equal(stored, filled):
        wrong = filled[np.argmax(stored != filled)]
        raise DataError(f"expected a whole number up to {limits.max} or nothing, found {wrong:g}", where=where)
    return np.asarray(stored)


def _date_number(text: str, where: str) -> int:
    if text in UNKNOWN_TEXTS:
        return 0
    try:
        day = dt.date.fromisoformat(text)
    except ValueError as error:
        raise DataError(
            f"expected a date such as 2022-04-10, found {text!r}", where=f"{where}, column upload_dt"
        ) from error
    return day.year * 10_000 + day.month * 100 + day.day


def _tags(text: str, where: str) -> list[int]:
    if text in UNKNOWN_TEXTS:
        return []
    try:
        return [int(piece) for piece in text.split(",")]
    except ValueError as error:
        raise DataError(f"expected tag numbers such as 20,67, found {text!r}", where=f"{where}, column tag") from error


def write_statistics(
    sources: list[Source], videos: IdMap, folder: Path, progress: Progress = None
) -> tuple[dict[str, Any], int]:
    """Write the statistics table as float32 columns by dense video id, NaN where it says nothing of a video.

    Returns:
        What the manifest says of the table, and the number of rows whose video is in no basic table.
    """
    names = STATISTIC_COLUMNS[1:]
    rows = len(videos) + 1
    empty = np.full(rows, np.nan, dtype=np.float32)
    # Written before they are mapped: a full disk refuses a write, but kills a process that touches a mapped hole.
    with TableWriter(folder, dict.fromkeys(names, np.float32)) as writer:
        writer.append(dict.fromkeys(names, empty))
        description = writer.close()
    maps = {
        name: np.memmap(column_path(folder, name), np.float32, "r+", offset=HEADER_BYTES, shape=(rows,))
        for name in names
    }
    unknown = 0
    for source in sources:
        for block in read_blocks(source, progress):
            unknown += _scatter(block, videos, maps)
    for column in maps.values():
        column.flush()
    return description, unknown


def _scatter(block: Block, videos: IdMap, maps: dict[str, Any]) -> int:
    dense = videos.lookup(np.asarray(block["video_id"]))
    known = dense > 0
    for name, column in maps.items():
        column[dense[known]] = np.asarray(block[name])[known]
    return int(len(known) - known.sum())
