"""What a row of a feed may be served next: a request of K slots, or the whole pool."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.envs.draws import Draws
from svsim.envs.pools import AGE, Pool
from svsim.envs.retrieval import AliasTable, Retrieval, Rows

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
    def begin(self, rows: Array, draws: Draws, days: Array) -> None:
        """Open episodes in some rows.

        Args:
            rows: (n,) rows.
            draws: Where they have begun.
            days: (n,) float32 their clocks, as `Pool.days` counts.
        """

    @abstractmethod
    def behind(self, action: Array) -> Array:
        """(B,) the videos behind actions (B,)."""

    @abstractmethod
    def serve(self, action: Array, rows: Rows) -> None:
        """Take away what was served: the legal actions `action[i]` of the i-th of some rows."""

    @abstractmethod
    def renew(self, draws: Draws, steps: Array, anew: Array | None, days: Array) -> None:
        """Go on to the next step.

        Args:
            draws: Of the step that was taken.
            steps: (B,) steps taken.
            anew: (B,) rows where a new session opened; None is nowhere.
            days: (B,) float32 clocks.
        """

    @abstractmethod
    def age_days(self, action: Array, days: Array) -> Array:
        """(B,) float32 age of the videos behind actions; where there is none it means nothing."""

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
        slate: Videos of a step.
        alias: The distribution of the draws; None is uniform.
        repeats: Whether what was served may come back.
    """

    def __init__(
        self, pool: Pool, *, rows: int, candidates: int, size: int, slate: int, alias: AliasTable | None, repeats: bool
    ) -> None:
        self.slots = candidates
        # A request that is served from once is replaced at once: nothing of it has to be kept up.
        self._brief = size == slate == 1
        self.mask = np.zeros((rows, candidates), dtype=np.int8)
        self._pool, self._size = pool, size
        self._retrieval = Retrieval(rows, len(pool), candidates, alias, repeats)
        self._row_start = np.arange(rows) * candidates
        self._every = np.arange(rows)
        self._opened_at = np.zeros(rows, dtype=np.int64)
        self._left = np.zeros(rows, dtype=np.int64)
        self._opened = np.ones(rows, dtype=bool)
        self._full = False
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

    def begin(self, rows: Array, draws: Draws, days: Array) -> None:
        """Draw the first request of episodes."""
        self._retrieval.forget(rows)
        self._draw(rows, draws, np.zeros(len(rows), dtype=np.int64))
        self._features[rows, :, AGE] = self._pool.age_days(self.items[rows], days[:, None])

    def behind(self, action: Array) -> Array:
        """(B,) the videos in slots (B,)."""
        return np.asarray(self.items.reshape(-1).take(self._row_start + action))

    def age_days(self, action: Array, days: Array) -> Array:  # noqa: ARG002 - the slots show it
        """(B,) age of the videos in slots."""
        return np.asarray(self._features[self._every, action, AGE])

    def serve(self, action: Array, rows: Rows) -> None:
        """Empty the slots `action[i]` of the i-th of some rows."""
        self._retrieval.serve(action, rows)
        if self._brief:
            return
        row = self._every[rows]
        self._opened[row] = False
        self._left[row] -= 1
        self.items[row, action] = len(self._pool)
        for values in (self.mask, self._features, self._video, self._author):
            values[row, action] = 0

    def renew(self, draws: Draws, steps: Array, anew: Array | None, days: Array) -> None:
        """Draw the requests that are due; the age of every candidate goes by the clock."""
        if self._brief:
            self._draw(slice(None), draws, steps)
        else:
            due = (steps - self._opened_at >= self._size) | (self._left == 0)
            if anew is not None:
                due |= anew
            rows = np.flatnonzero(due)
            if len(rows):
                self._draw(rows, draws, steps[rows])
        self._features[:, :, AGE] = self._pool.age_days(self.items, days[:, None])

    def _draw(self, rows: Rows, draws: Draws, steps: Array) -> None:
        pool = self._pool
        full = self._retrieval.draw(draws.candidates[rows], draws.keys[rows], steps, rows)
        item = self.items[rows]
        if not self._brief:
            self._opened_at[rows] = steps
            self._opened[rows] = True
        if not (full and self._brief and self._full):
            self._left[rows] = self.slots if full else (item < len(pool)).sum(axis=1)
            self.mask[rows] = 1 if full else item < len(pool)
            # Slots that were all filled stay so until a draw leaves one empty.
            self._full = full and (self._full or isinstance(rows, slice))
        if isinstance(rows, slice):
            pool.features.take(item, axis=0, out=self._features, mode="clip")
            pool.video.take(item, out=self._video, mode="clip")
            pool.author.take(item, out=self._author, mode="clip")
        else:
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
        self._pool = pool
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

    def begin(self, rows: Array, draws: Draws, days: Array) -> None:  # noqa: ARG002 - nothing is drawn
        """Offer everything."""
        self.mask[rows] = 1
        self._left[rows] = self.slots

    def behind(self, action: Array) -> Array:
        """(B,) the actions themselves where they are legal."""
        return np.where(self.mask.reshape(-1).take(self._row_start + action) > 0, action, self.slots)

    def serve(self, action: Array, rows: Rows) -> None:
        """Mask what was served."""
        if not self._repeats:
            self.mask.reshape(-1)[self._row_start[rows] + action] = 0
            self._left[rows] -= 1

    def renew(self, draws: Draws, steps: Array, anew: Array | None, days: Array) -> None:
        """Nothing changes by itself."""

    def age_days(self, action: Array, days: Array) -> Array:
        """(B,) age of the videos that actions name."""
        return self._pool.age_days(action, days)
