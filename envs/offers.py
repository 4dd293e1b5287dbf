"""What a row of a feed may be served next: a request of K slots, or the whole pool."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.envs.pools import AGE, Pool
from svsim.envs.retrieval import AliasTable, Retrieval
from svsim.randomness import Keys, extended_hash

__all__ = ["Catalogue", "Offer", "Requests"]

Array = npt.NDArray[Any]


class Offer(ABC):
    """The legal actions of B rows, and the videos behind them by index in the pool; index P is none.

    Attributes:
        slots: K, actions of a row.
        mask: (B, K) int8, 1 a legal one.
    """

    slots: int
    mask: Array

    @abstractmethod
    def begin(self, rows: Array, keys: Keys, time_ms: Array) -> None:
        """Open episodes in some rows.

        Args:
            rows: (n,) rows.
            keys: (n,) hashes of the episodes, for what is drawn.
            time_ms: (n,) their clocks.
        """

    @abstractmethod
    def behind(self, action: Array) -> Array:
        """(B,) the videos behind actions (B,)."""

    @abstractmethod
    def serve(self, action: Array, rows: Array) -> None:
        """Take away what was served: the legal actions `action[i]` of rows `rows[i]`."""

    @abstractmethod
    def renew(self, steps: Array, anew: Array | None, time_ms: Array) -> None:
        """Go on to the next step.

        Args:
            steps: (B,) steps taken.
            anew: (B,) rows where a new session opened; None is nowhere.
            time_ms: (B,) clocks.
        """

    @property
    @abstractmethod
    def used_up(self) -> Array:
        """(B,) rows that have nothing left to serve."""

    @property
    @abstractmethod
    def items(self) -> Array:
        """(B, K) the videos behind all actions."""

    @property
    @abstractmethod
    def opened(self) -> Array:
        """(B,) whether the request has not been served from."""

    @abstractmethod
    def views(self) -> dict[str, Array]:
        """What observations show of it; valid until the next step."""


class Requests(Offer):
    """K candidates, drawn anew every `size` steps, when a session opens, or when all of them were served.

    Args:
        pool: What is drawn from.
        rows: B.
        candidates: K.
        size: Steps of a request.
        alias: The distribution of the draws; None is uniform.
        repeats: Whether what was served may come back.
    """

    def __init__(
        self, pool: Pool, *, rows: int, candidates: int, size: int, alias: AliasTable | None, repeats: bool
    ) -> None:
        self.slots = candidates
        self.mask = np.zeros((rows, candidates), dtype=np.int8)
        self._pool, self._size = pool, size
        self._retrieval = Retrieval(rows, len(pool), candidates, alias, repeats)
        self._every = np.arange(rows)
        self._row_start = self._every * candidates
        self._keys = np.zeros(rows, dtype=np.uint64)
        self._opened_at = np.zeros(rows, dtype=np.int64)
        self._left = np.zeros(rows, dtype=np.int64)
        self._opened = np.zeros(rows, dtype=bool)
        self._features = np.zeros((rows, candidates, pool.features.shape[1]), dtype=np.float32)
        self._video = np.zeros((rows, candidates), dtype=np.int32)
        self._author = np.zeros((rows, candidates), dtype=np.int32)

    @property
    def items(self) -> Array:
        """(B, K) the videos in the slots."""
        return self._retrieval.item

    @property
    def opened(self) -> Array:
        """(B,) whether the request has not been served from."""
        return self._opened

    @property
    def used_up(self) -> Array:
        """(B,) rows without a filled slot."""
        return np.asarray(self._left == 0)

    def views(self) -> dict[str, Array]:
        """Features, ids and mask of the slots."""
        return {
            "candidates": self._features,
            "candidate_video": self._video,
            "candidate_author": self._author,
            "action_mask": self.mask,
        }

    def begin(self, rows: Array, keys: Keys, time_ms: Array) -> None:
        """Draw the first request of episodes."""
        self._keys[rows] = keys
        self._retrieval.forget(rows)
        self._draw(rows, np.zeros(len(rows), dtype=np.int64))
        self._features[rows, :, AGE] = self._pool.age_days(self.items[rows], time_ms[:, None])

    def behind(self, action: Array) -> Array:
        """(B,) the videos in slots (B,)."""
        return np.asarray(self.items.reshape(-1).take(self._row_start + action))

    def serve(self, action: Array, rows: Array) -> None:
        """Empty the slots `action[i]` of rows `rows[i]`."""
        self._retrieval.serve(action, rows)
        self._left[rows] -= 1
        self._opened[rows] = False
        if self._size > 1:
            # A request of one step is replaced at once.
            for values in (self.mask, self._features, self._video, self._author):
                values[rows, action] = 0

    def renew(self, steps: Array, anew: Array | None, time_ms: Array) -> None:
        """Draw the requests that are due; the age of every candidate goes by the clock."""
        if self._size == 1:
            self._draw(self._every, steps)
        else:
            due = (steps - self._opened_at >= self._size) | (self._left == 0)
            if anew is not None:
                due |= anew
            rows = np.flatnonzero(due)
            if len(rows):
                self._draw(rows, steps[rows])
        self._features[:, :, AGE] = self._pool.age_days(self.items, time_ms[:, None])

    def _draw(self, rows: Array, steps: Array) -> None:
        pool = self._pool
        item = self._retrieval.draw(extended_hash(self._keys[rows], steps.astype(np.uint64)), rows)
        filled = item < len(pool)
        self._opened_at[rows] = steps
        self._opened[rows] = True
        self._left[rows] = filled.sum(axis=1)
        self.mask[rows] = filled
        self._features[rows] = pool.features.take(item, axis=0)
        self._video[rows] = pool.video.take(item)
        self._author[rows] = pool.author.take(item)


class Catalogue(Offer):
    """The whole pool, action i being its i-th video; what was served is masked, unless it may come back.

    Args:
        pool: The pool.
        rows: B.
        repeats: Whether what was served may come back.
    """

    def __init__(self, pool: Pool, *, rows: int, repeats: bool) -> None:
        self.slots = len(pool)
        self.mask = np.ones((rows, len(pool)), dtype=np.int8)
        self._repeats = repeats
        self._row_start = np.arange(rows) * len(pool)
        self._left = np.zeros(rows, dtype=np.int64)
        self._opened = np.ones(rows, dtype=bool)

    @property
    def items(self) -> Array:
        """(B, P) the videos that may be served."""
        return np.where(self.mask > 0, np.arange(self.slots), self.slots)

    @property
    def opened(self) -> Array:
        """(B,) true: every step is a request of its own."""
        return self._opened

    @property
    def used_up(self) -> Array:
        """(B,) rows that were served everything."""
        return np.asarray(self._left == 0)

    def views(self) -> dict[str, Array]:
        """The mask: features of the pool do not change from row to row."""
        return {"action_mask": self.mask}

    def begin(self, rows: Array, keys: Keys, time_ms: Array) -> None:  # noqa: ARG002 - nothing is drawn
        """Offer everything."""
        self.mask[rows] = 1
        self._left[rows] = self.slots

    def behind(self, action: Array) -> Array:
        """(B,) the actions themselves where they are legal."""
        return np.where(self.mask.reshape(-1).take(self._row_start + action) > 0, action, self.slots)

    def serve(self, action: Array, rows: Array) -> None:
        """Mask what was served."""
        if not self._repeats:
            self.mask[rows, action] = 0
            self._left[rows] -= 1

    def renew(self, steps: Array, anew: Array | None, time_ms: Array) -> None:
        """Nothing changes by itself."""
