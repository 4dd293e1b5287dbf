"""Kinds of videos that pasts are kept by: first tags and classes of durations."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.data.store import FeedStore

__all__ = ["DURATION_EDGES_S", "N_DURATIONS", "duration_class", "first_tags"]

Ints = npt.NDArray[np.int64]

DURATION_EDGES_S = (7.0, 12.0, 18.0, 30.0, 60.0, 120.0, 240.0)
N_DURATIONS = len(DURATION_EDGES_S) + 1


def duration_class(duration_ms: npt.NDArray[Any]) -> Ints:
    """Class of durations, 0 the shortest."""
    return np.searchsorted(DURATION_EDGES_S, np.asarray(duration_ms) / 1_000.0, side="right").astype(np.int64)


def first_tags(store: FeedStore) -> Ints:
    """(n_videos + 1,) first tag of each video, 0 none; other numbers are one more than the tag."""
    first = np.array([tags[0] + 1 if tags else 0 for tags in store.video_tags], dtype=np.int64)
    return first[store.videos["tag_set"]] if len(first) else np.zeros(store.n_videos + 1, dtype=np.int64)
