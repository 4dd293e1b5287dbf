"""From the source's ids to the store's dense ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["DenseIds"]

Ints = npt.NDArray[np.int64]


class DenseIds:
    """Looks up dense ids.

    Args:
        source: (N + 1,) the source's ids by dense id, as a store's `user_id` and `video_id` columns.
    """

    def __init__(self, source: npt.NDArray[Any]) -> None:
        self._source = np.asarray(source)[1:]
        self._order = np.argsort(self._source, kind="stable")

    def of(self, ids: Ints) -> Ints:
        """Dense ids of the source's, of any shape; 0 for one that the store does not know."""
        place = np.searchsorted(self._source, ids, sorter=self._order)
        found = self._order[np.minimum(place, len(self._order) - 1)]
        return np.where(self._source[found] == ids, found + 1, 0).astype(np.int64)
