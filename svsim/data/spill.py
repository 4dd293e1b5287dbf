"""Sorting a log of any size by user: rows are spilled to disk by user range and read back range by range."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

__all__ = ["EVENT_COLUMNS", "FLAG_COLUMNS", "ROW", "UserSpill", "drop_repeated"]

FLAG_COLUMNS = (
    "is_click",
    "is_like",
    "is_follow",
    "is_comment",
    "is_forward",
    "is_hate",
    "long_view",
    "is_profile_enter",
    "is_rand",
)
"""Bits of a spilled row's `flags`, the lowest first."""

ROW = np.dtype(
    [
        ("time_ms", "<i8"),
        ("user", "<i4"),
        ("video", "<i4"),
        ("play_time_ms", "<i4"),
        ("duration_ms", "<i4"),
        ("profile_stay_time", "<i4"),
        ("comment_stay_time", "<i4"),
        ("date", "<i4"),
        ("flags", "<u2"),
        ("hour", "u1"),
        ("tab", "u1"),
    ]
)
"""One spilled log row: 40 bytes without padding, so that rows compare as five 64-bit words."""

EVENT_COLUMNS: dict[str, npt.DTypeLike] = {
    "user": np.int32,
    "video": np.int32,
    "time_ms": np.int64,
    "date": np.int32,
    "hour": np.uint8,
    "tab": np.uint8,
    "play_time_ms": np.int32,
    "duration_ms": np.int32,
    **dict.fromkeys(FLAG_COLUMNS, np.uint8),
    "profile_stay_time": np.int32,
    "comment_stay_time": np.int32,
    "split": np.uint8,
}
"""Columns written in the second pass; `wtg_gain` (float32) follows in the third."""

WORDS = ROW.itemsize // 8

MAX_BUCKETS = 512


class UserSpill:
    """One temporary file of rows, grouped by range of users within each appended block.

    Args:
        path: The file; removed by `close`.
        n_users: Dense user ids go from 1 to this.
    """

    def __init__(self, path: Path, n_users: int) -> None:
        self._path = path
        self._file: BinaryIO = path.open("w+b")
        self._buckets = max(1, min(n_users, MAX_BUCKETS))
        self._n_users = max(n_users, 1)
        self._segments: list[npt.NDArray[np.int64]] = []
        self.rows = 0

    def append(self, rows: npt.NDArray[Any]) -> None:
        """Spill a block of rows (dtype `ROW`); rows of one user keep their order."""
        if not len(rows):
            return
        bucket = ((rows["user"].astype(np.int64) - 1) * self._buckets // self._n_users).astype(np.uint16)
        if np.any(bucket[1:] < bucket[:-1]):
            rows = rows[np.argsort(bucket, kind="stable")]
        counts = np.bincount(bucket, minlength=self._buckets)
        self._segments.append(self.rows + np.concatenate([[0], np.cumsum(counts)]))
        self._file.write(rows.data)
        self.rows += len(rows)

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        """Rows range by range of users, each sorted by user, then time, then the order of arrival."""
        self._file.flush()
        for bucket in range(self._buckets):
            parts = []
            for bounds in self._segments:
                start, stop = int(bounds[bucket]), int(bounds[bucket + 1])
                if stop > start:
                    self._file.seek(start * ROW.itemsize)
                    parts.append(np.fromfile(self._file, dtype=ROW, count=stop - start))
            if parts:
                yield _sorted(np.concatenate(parts) if len(parts) > 1 else parts[0])

    def close(self) -> None:
        """Remove the file."""
        self._file.close()
        self._path.unlink(missing_ok=True)


def _sorted(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Rows by user, then time; equal ones keep their order."""
    user, time = rows["user"], rows["time_ms"]
    same = user[1:] == user[:-1]
    if ((user[1:] > user[:-1]) | (same & (time[1:] >= time[:-1]))).all():
        return rows
    # As plain words rows are copied faster than as records.
    order = np.lexsort((time, user))
    return rows.view(np.uint64).reshape(-1, WORDS).take(order, axis=0).view(ROW).reshape(-1)


def drop_repeated(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Leave out every row that equals an earlier one in all of its fields; the order stays."""
    words = rows.view(np.uint64).reshape(len(rows), WORDS)
    key = np.zeros(len(rows), dtype=np.uint64)
    for column in range(WORDS):
        key = (key ^ words[:, column]) * np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(29)
    order = np.argsort(key)
    ordered = key[order]
    same = ordered[1:] == ordered[:-1]
    if not same.any():
        return rows
    # Only the few whose key is shared are sorted stably, so that the first of equal rows is the one that stays.
    shared = np.zeros(len(rows), dtype=bool)
    shared[order[1:][same]] = True
    shared[order[:-1][same]] = True
    order = np.flatnonzero(shared)
    order = order[np.argsort(key[order], kind="stable")]
    neighbours = np.flatnonzero(key[order][1:] == key[order][:-1])
    earlier, later = order[neighbours], order[neighbours + 1]
    repeated = later[(words[earlier] == words[later]).all(axis=1)]
    keep = np.ones(len(rows), dtype=bool)
    keep[repeated] = False
    return rows[keep]
