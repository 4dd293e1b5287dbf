"""From ids to rows of embedding tables: the frequent have their own, the rare and the unknown share hashed ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.randomness import keyed_hash

__all__ = ["PADDING", "IdMap"]

PADDING = 0
"""Row of padding."""


class IdMap:
    """Rows of one table: 0 padding, then `buckets` hashed rows, then one for each frequent id, ascending.

    Ids are the source's own, so that a map serves any store of the same ids.

    Args:
        frequent: (F,) ids with an embedding of their own, ascending.
        buckets: Hashed rows.
    """

    def __init__(self, frequent: npt.NDArray[np.int64], buckets: int) -> None:
        self.frequent = np.asarray(frequent, dtype=np.int64)
        self.buckets = buckets

    @classmethod
    def fit(cls, ids: npt.NDArray[Any], *, rare: int, buckets: int) -> IdMap:
        """Learn which ids are frequent: those of at least `rare` of the rows."""
        values, counts = np.unique(np.asarray(ids, dtype=np.int64), return_counts=True)
        return cls(values[counts >= rare], buckets)

    def __len__(self) -> int:
        return 1 + self.buckets + len(self.frequent)

    def rows(self, ids: npt.NDArray[Any], padding: npt.NDArray[np.bool_] | None = None) -> npt.NDArray[np.int32]:
        """Rows of ids, of the same shape; where `padding` is true 0."""
        ids = np.asarray(ids, dtype=np.int64)
        hashed = 1 + (keyed_hash(ids.astype(np.uint64)) % np.uint64(self.buckets)).astype(np.int64)
        rows = hashed
        if len(self.frequent):
            place = np.minimum(np.searchsorted(self.frequent, ids), len(self.frequent) - 1)
            rows = np.where(self.frequent[place] == ids, 1 + self.buckets + place, hashed)
        if padding is not None:
            rows = np.where(padding, PADDING, rows)
        return rows.astype(np.int32)
