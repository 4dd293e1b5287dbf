"""What each column of a source file may hold."""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from svsim import names
from svsim.errors import DataError

__all__ = ["LOG_SCHEMA", "STATISTIC_SCHEMA", "USER_SCHEMA", "VIDEO_SCHEMA", "Column", "check_header", "in_range"]

INT64 = (-(2**63), 2**63 - 1)
INT32 = (-(2**31), 2**31 - 1)
FLOAT32_MAX = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Column:
    """One column: an integer in a range, a number that may be absent, or text.

    `kind` is `int` (required), `float` (may be empty) or `text` (may be empty); `date` marks integers YYYYMMDD.
    """

    name: str
    kind: Literal["int", "float", "text"]
    low: int = INT64[0]
    high: int = INT64[1]
    date: bool = False

    @property
    def bounded(self) -> bool:
        """Whether the range is narrower than the type."""
        return (self.low, self.high) != INT64

    @property
    def expectation(self) -> str:
        """The range in words."""
        if self.kind == "text":
            return "text"
        if self.kind == "float":
            return "a number or nothing"
        if self.date:
            return "a date such as 20220504"
        return f"an integer from {self.low} to {self.high}" if self.bounded else "an integer"


def _int(name: str, low: int = INT64[0], high: int = INT64[1]) -> Column:
    return Column(name, "int", low, high)


_LOG_RANGES = {
    "user_id": INT64,
    "video_id": INT64,
    "date": (1900_01_01, 2999_12_31),
    "hourmin": (0, 2359),
    "time_ms": (0, 1 << 53),
    "play_time_ms": INT32,
    "duration_ms": INT32,
    "profile_stay_time": INT32,
    "comment_stay_time": INT32,
    "tab": (0, 255),
}

LOG_SCHEMA = tuple(
    Column(name, "int", *_LOG_RANGES.get(name, (0, 1)), date=name == "date") for name in names.LOG_COLUMNS
)

_USER_TEXT = {
    "user_active_degree",
    "follow_user_num_range",
    "fans_user_num_range",
    "friend_user_num_range",
    "register_days_range",
}
_USER_GAPS = {"onehot_feat4", *(f"onehot_feat{i}" for i in range(12, 18))}


def _user_column(name: str) -> Column:
    if name in _USER_TEXT:
        return Column(name, "text")
    if name in _USER_GAPS:
        return Column(name, "float")
    return _int(name) if name == "user_id" else _int(name, *INT32)


USER_SCHEMA = tuple(_user_column(name) for name in names.USER_COLUMNS)

_VIDEO_TEXT = {"video_type", "upload_dt", "upload_type", "tag"}
_VIDEO_INTS = {"video_id", "author_id", "music_id"}

VIDEO_SCHEMA = tuple(
    Column(name, "text") if name in _VIDEO_TEXT else _int(name) if name in _VIDEO_INTS else Column(name, "float")
    for name in names.VIDEO_COLUMNS
)

STATISTIC_SCHEMA = tuple(
    _int(name) if name == "video_id" else Column(name, "float") for name in names.STATISTIC_COLUMNS
)


def check_header(found: Sequence[str], schema: Sequence[Column], where: str) -> None:
    """Check that every column of the schema is there once; further columns are ignored.

    Raises:
        DataError: A column is missing, renamed or there twice.
    """
    twice = [name for name in found if found.count(name) > 1]
    if twice:
        raise DataError(f"expected each column once, found {twice[0]!r} {found.count(twice[0])} times", where=where)
    wanted = [column.name for column in schema]
    missing = [name for name in wanted if name not in found]
    if not missing:
        return
    strangers = [name for name in found if name not in wanted]
    close = difflib.get_close_matches(missing[0], strangers, n=1)
    if close:
        problem = f"expected a column {missing[0]!r}, found {close[0]!r}"
        raise DataError(problem, where=where, remedy=f"rename it to {missing[0]!r}")
    shown = ", ".join(found)[:80]
    raise DataError(f"expected a column {missing[0]!r}, found the columns {shown!r}", where=where)


def in_range(values: npt.NDArray[Any], column: Column) -> npt.NDArray[np.bool_]:
    """Which values a column may hold; where all may, an array of one True will do."""
    if column.kind == "float":
        return np.asarray(~(np.abs(values) > FLOAT32_MAX))
    if values.min() < column.low or values.max() > column.high:
        return (values >= column.low) & (values <= column.high)
    if column.date:
        month, day = values // 100 % 100, values % 100
        right = (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
        wrong = [day for day in np.unique(values[right & (day > 28)]).tolist() if not _is_day(day)]
        return right & ~np.isin(values, wrong) if wrong else right
    return np.ones(1, dtype=bool)


def _is_day(number: int) -> bool:
    try:
        dt.date(number // 10_000, number // 100 % 100, number % 100)
    except ValueError:
        return False
    return True
