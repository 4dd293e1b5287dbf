"""Which videos of the pool a request brings: distinct ones, drawn by keys alone.

A draw depends on (episode, step at which the request opened, slot, attempt) and on what the episode has been served, never
on the other rows of the batch. Uniform: floor(u P). By popularity: Walker's alias table (Walker 1977; built as in Vose
1991). A draw that hits a served video or another slot's is repeated, so that a request is the first K distinct videos of a
sequence of independent draws: successive sampling without replacement. Where little is left to draw from, the same
sampling is done by exponential clocks instead (Efraimidis, Spirakis 2006): video v waits −ln(u) / w_v, the first K are
taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from svsim.randomness import Keys, extended_hash, uniform_of

__all__ = ["AliasTable", "Retrieval"]

Array = npt.NDArray[Any]

ATTEMPTS = 32
"""Draws of a slot before it is filled by clocks."""
SCARCE_SLOTS = 4
"""With fewer free videos than this many times K, clocks at once."""
SCARCE_SHARE = 4
"""With fewer than one in this many of the pool free, clocks at once."""

_HALF = np.uint64(32)
_LOW = np.uint64(2**32 - 1)
# One word tells step (from bit 32), attempt (from bit 24) and slot, so that a draw is one hash of the episode's.
_ATTEMPT, _STEP = np.uint64(24), np.uint64(32)
_CLOCKS, _SHUFFLE = np.uint64(1) << np.uint64(62), np.uint64(1) << np.uint64(63)
_SERVED = -1

Rows = Array | slice


@dataclass(frozen=True)
class AliasTable:
    """A discrete distribution over P videos that is drawn from in constant time.

    Attributes:
        weight: (P,) float64, above 0.
        keep: (P,) uint64 in [0, 2^32]: how often, of 2^32, cell i stays i.
        other: (P,) int64 what it gives else.
    """

    weight: Array
    keep: Array
    other: Array

    @classmethod
    def of(cls, weight: npt.NDArray[np.float64]) -> Self:
        """The table of probabilities in proportion to `weight` (P,), above 0."""
        scaled = (weight * (len(weight) / weight.sum())).tolist()
        keep, other = [1.0] * len(scaled), list(range(len(scaled)))
        small = [i for i, value in enumerate(scaled) if value < 1.0]
        large = [i for i, value in enumerate(scaled) if value >= 1.0]
        while small and large:
            less, more = small.pop(), large.pop()
            keep[less], other[less] = scaled[less], more
            scaled[more] -= 1.0 - scaled[less]
            (small if scaled[more] < 1.0 else large).append(more)
        return cls(weight, np.rint(np.array(keep) * 2.0**32).astype(np.uint64), np.array(other, dtype=np.int64))

    def pick(self, word: Keys) -> npt.NDArray[np.int64]:
        """A draw for each hash: the upper half chooses the cell, the lower one whether it stays."""
        cell = _scaled(word, np.uint64(len(self.weight)))
        return np.where((word & _LOW) < self.keep.take(cell), cell, self.other.take(cell))


def _scaled(word: Keys, size: np.uint64) -> npt.NDArray[np.int64]:
    """floor(u · size) of the upper 32 bits."""
    return ((word >> _HALF) * size >> _HALF).view(np.int64)


class Retrieval:
    """The candidates of B rows, by index in the pool; index P is an empty slot.

    Args:
        rows: B.
        pool: P.
        candidates: K, at most P.
        alias: What is drawn from; None draws uniformly.
        repeats: Whether what was served may come back in later requests.

    Attributes:
        item: (B, K) int64 the videos in the slots.
        free: (B,) videos that were not served yet; stays P where they may come back.
    """

    def __init__(self, rows: int, pool: int, candidates: int, alias: AliasTable | None, repeats: bool) -> None:
        self.pool, self.slots = pool, candidates
        self.item = np.full((rows, candidates), pool, dtype=np.int64)
        self.free = np.full(rows, pool, dtype=np.int64)
        self._alias, self._repeats = alias, repeats
        self._size = np.uint64(pool)
        # Served videos are −1 to a row, all others 0; while a row's draws are sorted out, what is on offer is above 0.
        self._mark = np.zeros((rows, pool + 1), dtype=np.int8 if candidates < 127 else np.int32)
        self._flat_mark, self._flat_item = self._mark.reshape(-1), self.item.reshape(-1)
        self._row_start = np.arange(rows) * candidates
        self._base = (np.arange(rows) * (pool + 1))[:, None]
        self._every = np.arange(rows)
        self._slot = np.arange(candidates, dtype=np.uint64)
        self._code = np.arange(1, candidates + 1, dtype=self._mark.dtype)
        self._enough = max(SCARCE_SLOTS * candidates, -(-pool // SCARCE_SHARE))

    def forget(self, rows: Array) -> None:
        """Begin anew in some rows: nothing on offer, nothing served."""
        self._mark[rows] = 0
        self.item[rows] = self.pool
        self.free[rows] = self.pool

    def serve(self, slot: Array, rows: Rows) -> None:
        """Note that the videos in filled slots are served: `slot[i]` of the i-th of some rows."""
        if not self._repeats:
            item = self._flat_item.take(self._row_start[rows] + slot)
            self._flat_mark[self._base[rows, 0] + item] = _SERVED
            self.free[rows] -= 1

    def draw(self, words: Keys, keys: Keys, steps: Array, rows: Rows) -> bool:
        """Fill all slots of some rows anew, as far as the free videos go.

        Args:
            words: (n, K) hashes for the first draw of every slot.
            keys: (n,) hashes of the episodes, for the others.
            steps: (n,) steps at which the requests open.
            rows: (n,) the rows; a slice is cheaper.

        Returns:
            Whether every slot is filled.
        """
        item, full = self._pick(words), True
        order = np.sort(item, axis=1)
        # Short rows are sorted faster than their videos are marked in a table of the whole pool.
        twice = order[:, 1:] == order[:, :-1]
        served = self._flat_mark.take(self._base[rows] + item)
        if twice.any() or served.any():
            disturbed = np.flatnonzero(twice.any(axis=1) | served.any(axis=1))
            chosen = self._every[rows][disturbed]
            step = steps[disturbed].astype(np.uint64) << _STEP
            item[disturbed] = self._sorted_out(item[disturbed], keys[disturbed], step, chosen)
            full = bool((item[disturbed] < self.pool).all())
        self.item[rows] = item
        return full

    def _sorted_out(self, item: Array, keys: Keys, step: Keys, rows: Array) -> Array:
        """(n, K) videos of rows whose first draws hit served videos or one another."""
        base = self._base[rows, 0]
        place = base[:, None] + item
        # Of several slots that drew the same video the last one writes last and keeps it; a served one stays −1.
        self._flat_mark[place] = self._flat_mark.take(place) | self._code
        item = np.where(self._flat_mark.take(place) == self._code, item, self.pool)
        self._by_rejection(item, self.free[rows] < self._enough, keys, step, base)
        short = np.flatnonzero((item == self.pool).any(axis=1))
        if len(short):
            item[short] = self._by_clocks(item[short], keys[short], step[short], base[short])
        self._flat_mark[base[:, None] + item] = 0
        if self._alias is not None:
            # Whose draw was repeated would else lie further down the more popular it is.
            shuffle = extended_hash(keys[:, None], (step | _SHUFFLE)[:, None] | self._slot)
            item = np.take_along_axis(item, np.argsort(shuffle, axis=1), axis=1)
        return item

    def _by_rejection(self, item: Array, scarce: Array, keys: Keys, step: Keys, base: Array) -> None:
        """Repeat the draws of empty slots of `item` (n, K), but for scarce rows, up to `ATTEMPTS` of them."""
        flat = item.reshape(-1)
        lost = np.flatnonzero((item == self.pool) & ~scarce[:, None])
        for attempt in range(1, ATTEMPTS):
            if not len(lost):
                break
            row, slot = np.divmod(lost, self.slots)
            word = step[row] | self._slot[slot] | (np.uint64(attempt) << _ATTEMPT)
            again = self._pick(extended_hash(keys[row], word))
            place, code = base[row] + again, self._code[slot]
            mark = self._flat_mark.take(place)
            self._flat_mark[place] = np.where(mark == 0, code, mark)
            won = self._flat_mark.take(place) == code
            flat[lost[won]] = again[won]
            lost = lost[~won]

    def _pick(self, word: Keys) -> npt.NDArray[np.int64]:
        return _scaled(word, self._size) if self._alias is None else self._alias.pick(word)

    def _by_clocks(self, item: Array, keys: Keys, step: Keys, base: Array) -> Array:
        """(n, K) `item` with its empty slots filled from what is free, as far as that goes."""
        row, video = np.nonzero(self._mark[base // (self.pool + 1), : self.pool] == 0)
        word = extended_hash(extended_hash(keys, step | _CLOCKS)[row], video.astype(np.uint64))
        wait = -np.log1p(-uniform_of(word))
        if self._alias is not None:
            wait /= self._alias.weight[video]
        order = np.lexsort((wait, row))
        count = np.bincount(row, minlength=len(keys))
        rank = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
        empty = item == self.pool
        taken = rank < empty.sum(axis=1)[row]
        row, rank, video = row[taken], rank[taken], video[order[taken]]
        item[row, np.argsort(~empty, axis=1, kind="stable")[row, rank]] = video
        self._flat_mark[base[row] + video] = 1
        return item
