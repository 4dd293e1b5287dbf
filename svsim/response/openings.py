"""What is remembered where sessions open."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from svsim.models.response.memory import Memory
from svsim.models.response.past_sums import PastSums

__all__ = ["Openings"]

Ints = npt.NDArray[np.int64]


class Openings:
    """What is remembered where sessions open, computed once each: episodes open at the same sessions again and again.

    Args:
        past: The log's past sums.
    """

    def __init__(self, past: PastSums) -> None:
        self._past = past
        self._place: dict[tuple[int, int], int] = {}
        self._kept = Memory.empty(0, past.n_tags)

    def of(self, users: Ints, event: Ints) -> Memory:
        """A memory of its own for (B,) users before (B,) rows; see `PastSums.memory`."""
        keys = list(zip(users.tolist(), event.tolist(), strict=True))
        missing = sorted({key for key in keys if key not in self._place})
        if missing:
            self._add(missing)
        rows = np.array([self._place[key] for key in keys], dtype=np.int64)
        return Memory(**{name: values[rows] for name, values in self._kept.arrays().items()})

    def _add(self, keys: list[tuple[int, int]]) -> None:
        found = self._past.memory(*(np.array(column, dtype=np.int64) for column in zip(*keys, strict=True)))
        size, need = len(self._kept.last_ms), len(self._place) + len(keys)
        if need > size:
            # Room for as many again, so that arrays are seldom copied.
            more = Memory.empty(max(need, 2 * size) - size, self._past.n_tags).arrays()
            self._kept = Memory(**{name: np.concatenate([a, more[name]]) for name, a in self._kept.arrays().items()})
        rows = np.arange(len(self._place), need)
        for name, values in found.arrays().items():
            getattr(self._kept, name)[rows] = values
        self._place.update(zip(keys, rows.tolist(), strict=True))
