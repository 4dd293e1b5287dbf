"""What an episode of a feed comes to."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.envs.pools import Pool
from svsim.names import SIGNALS

__all__ = ["Tally"]

Array = npt.NDArray[Any]


class Tally:
    """Sums and variety of B episodes.

    Args:
        pool: What may be served.
        rows: B.
        repeats: Whether a video may be served twice.

    Attributes:
        steps: (B,) steps taken.
    """

    def __init__(self, pool: Pool, rows: int, repeats: bool) -> None:
        self.steps = np.zeros(rows, dtype=np.int64)
        self._reward, self._signals = np.zeros(rows), np.zeros((rows, len(SIGNALS)))
        self._play_ms = np.zeros(rows, dtype=np.int64)
        # Videos, authors and first tags are numbered through; a row has seen some of them, and "none" of each kind.
        kinds = [np.append(np.arange(1, len(pool) + 1), 0), pool.author_code, pool.tag_code]
        sizes = [int(codes.max()) + 1 for codes in kinds]
        self._none = np.cumsum([0, *sizes[:-1]])
        self._codes = np.column_stack(kinds) + self._none
        self._seen = np.zeros((rows, sum(sizes)), dtype=bool)
        self._start = (np.arange(rows) * sum(sizes))[:, None]
        self._distinct = np.zeros((rows, len(kinds)), dtype=np.int64)
        self._shown = np.zeros((rows, len(pool) + 1), dtype=np.int32) if repeats else None
        self._shown_start = np.arange(rows) * (len(pool) + 1)

    def forget(self, rows: Array) -> None:
        """Begin anew in some rows."""
        self.steps[rows] = 0
        self._reward[rows] = 0.0
        self._signals[rows] = 0.0
        self._play_ms[rows] = 0
        self._distinct[rows] = 0
        self._seen[rows] = False
        self._seen[rows[:, None], self._none] = True
        if self._shown is not None:
            self._shown[rows] = 0

    def showing(self, item: Array) -> Array | int:
        """(B,) how often videos were served before in their episodes; 0 for all where none comes twice."""
        if self._shown is None:
            return 0
        return self._shown.reshape(-1).take(self._shown_start + item).astype(np.int64)

    def serve(self, item: Array) -> None:
        """Note served videos (B,), index P being none."""
        place = self._start + self._codes.take(item, axis=0)
        seen = self._seen.reshape(-1)
        self._distinct += ~seen.take(place)
        seen[place] = True
        if self._shown is not None:
            self._shown.reshape(-1)[self._shown_start + item] += 1

    def add(self, reward: Array, signals: Array, play_ms: Array) -> None:
        """Add a step: (B,) reward, (B, 3) wtr, wtg, aux, (B,) play time."""
        self._reward += reward
        self._signals += signals
        self._play_ms += play_ms
        self.steps += 1

    def metrics(self) -> dict[str, Array]:
        """(B,) by name: sums, length in steps, and how many distinct videos, authors and first tags were watched."""
        signals, distinct = self._signals.copy(), self._distinct.copy()
        kinds = ("distinct_videos", "distinct_authors", "distinct_tags")
        return {
            "reward": self._reward.copy(),
            **{name: signals[:, i] for i, name in enumerate(SIGNALS)},
            "watch_s": self._play_ms / 1_000.0,
            "length": self.steps.copy(),
            **{name: distinct[:, i] for i, name in enumerate(kinds)},
        }
