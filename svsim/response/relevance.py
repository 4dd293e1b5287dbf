"""From which play time on a video's watch-time gain is relevant."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.data.store import FeedStore

__all__ = ["shortest_relevant_ms"]

Floats = npt.NDArray[np.float64]

LONGEST_PLAY_MS = 900_000
"""No play is longer, in the log or in a model."""


def shortest_relevant_ms(store: FeedStore, duration_ms: npt.NDArray[Any]) -> Floats:
    """The least play time whose gain is relevant, which every longer one's is then too.

    Args:
        store: Whose fitted gain.
        duration_ms: (P,) durations in ms; 0 has no gain.

    Returns:
        (P,) whole ms; inf where no play is long enough.
    """
    durations, place = np.unique(np.asarray(duration_ms, dtype=np.int64), return_inverse=True)
    low, high = np.full(len(durations), -1), np.full(len(durations), LONGEST_PLAY_MS + 1)
    while (high - low > 1).any():
        middle = (low + high) // 2
        relevant = store.wtg.relevance(middle, durations) == 1
        high, low = np.where(relevant, middle, high), np.where(relevant, low, middle)
    return np.where(high > LONGEST_PLAY_MS, np.inf, high)[place]
