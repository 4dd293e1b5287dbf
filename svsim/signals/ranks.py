"""The rank gain looked up: one search over all groups at once, for the few plays of an environment's step."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["RankTable"]

MANY = 100
"""Plays that are looked up in ascending order."""

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

WIDTH = 1 << 40
"""Distance between the groups in the table."""
ZERO = 1 << 32
"""Where a group's play time of 0 lies; int32 times stay within their group, whatever their sign."""


class RankTable:
    """Gains of whole play times, by duration group.

    The groups' fitted values stand in one ascending array, group g's shifted by g · `WIDTH`. Between two of them the gain
    is constant, and on one it is another: two numbers a value, made once.

    Args:
        values: (N,) distinct fitted play times of all groups, ascending within each; whole ms ≥ 0.
        offsets: (G + 1,) where each group's begin.
        below: (N,) plays below each value in its group.
        n: (G,) plays of each group.
        group_of_unit: (U,) group of each unit of duration.
        scores: Gains from F = (plays below + ½ equal) / n and n.
    """

    def __init__(self, values: Floats, offsets: Ints, below: Ints, n: Ints, group_of_unit: Ints, scores: Any) -> None:
        groups = len(n)
        size = np.diff(offsets)
        group = np.repeat(np.arange(groups), size + 1)
        last = np.cumsum(size + 1) - 1
        inner = np.ones(len(group), dtype=bool)
        inner[last] = False
        # One place more than values in each group: behind its largest.
        under, key = n[group], np.full(len(group), WIDTH - 1, dtype=np.int64)
        under[inner] = below
        key[inner] = values.astype(np.int64) + ZERO
        equal = np.append(np.diff(under), 0)
        equal[last] = 0
        self._key = key + group * WIDTH
        self._beside = scores(under / n[group], n[group]).astype(np.float32)
        self._on = scores((under + 0.5 * equal) / n[group], n[group]).astype(np.float32)
        self._shift = group_of_unit * WIDTH + ZERO

    @staticmethod
    def holds(values: Floats) -> bool:
        """Whether fitted play times can stand in a table: whole ms from 0 on."""
        return bool((values == np.floor(values)).all() and values.min() >= 0 and values.max() < WIDTH - ZERO - 1)

    def gain(self, play_ms: npt.NDArray[np.int32], unit: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """Gain of each play of a video whose duration has this unit; units past the last count as the last."""
        wanted = self._shift.take(unit, mode="clip") + play_ms
        if wanted.ndim == 1 and len(wanted) > MANY:
            # Neighbours share their way through the table, which is larger than the cache.
            order = np.argsort(wanted)
            at = np.empty(len(wanted), dtype=np.int64)
            at[order] = self._key.searchsorted(wanted[order])
        else:
            at = self._key.searchsorted(wanted)
        return np.asarray(np.where(self._key.take(at) == wanted, self._on.take(at), self._beside.take(at)))
