"""What an episode of a feed comes to."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.envs.pools import Pool
from svsim.envs.tape import METRICS

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
        self._sums = np.zeros((rows, len(METRICS)))
        self._codes = (pool.author_code, pool.tag_code)
        self._seen = [np.zeros((rows, int(codes.max()) + 1), dtype=bool) for codes in self._codes]
        self._start = [np.arange(rows) * seen.shape[1] for seen in self._seen]
        self._distinct = np.zeros((3, rows), dtype=np.int64)
        self._shown = np.zeros((rows, len(pool) + 1), dtype=np.int32) if repeats else None
        self._shown_start = np.arange(rows) * (len(pool) + 1)

    def forget(self, rows: Array) -> None:
        """Begin anew in some rows."""
        self.steps[rows] = 0
        self._sums[rows] = 0.0
        self._distinct[:, rows] = 0
        for seen in self._seen:
            seen[rows] = False
            # The code of those that have none counts as seen.
            seen[rows, 0] = True
        if self._shown is not None:
            self._shown[rows] = 0

    def showing(self, item: Array) -> Array | int:
        """(B,) how often videos were served before in their episodes."""
        return 0 if self._shown is None else self._shown.reshape(-1).take(self._shown_start + item)

    def serve(self, item: Array, showing: Array | int) -> None:
        """Note served videos (B,), index P being none."""
        if self._shown is None:
            self._distinct[0] += item < len(self._codes[0]) - 1
        else:
            self._distinct[0] += (item < len(self._codes[0]) - 1) & (showing == 0)
            self._shown.reshape(-1)[self._shown_start + item] += 1
        for number, (codes, seen, start) in enumerate(zip(self._codes, self._seen, self._start, strict=True), start=1):
            place = start + codes.take(item)
            flat = seen.reshape(-1)
            self._distinct[number] += ~flat.take(place)
            flat[place] = True

    def add(self, reward: Array, signals: Array, play_ms: Array) -> None:
        """Add a step: (B,) reward, (B, 3) wtr, wtg, aux, (B,) play time."""
        self._sums[:, 0] += reward
        self._sums[:, 1:4] += signals
        self._sums[:, 4] += play_ms / 1_000.0
        self.steps += 1

    def metrics(self) -> dict[str, Array]:
        """(B,) by name: sums, length in steps, and how many distinct videos, authors and first tags were watched."""
        sums, distinct = self._sums.copy(), self._distinct.copy()
        names = ("distinct_videos", "distinct_authors", "distinct_tags")
        return {
            **{name: sums[:, i] for i, name in enumerate(METRICS)},
            "length": self.steps.copy(),
            **dict(zip(names, distinct, strict=True)),
        }
