"""Groups of videos for MIPS: what a reward might depend on in place of the video itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.data.features import candidate_features_at
from svsim.data.store import FeedStore
from svsim.errors import OptionError

__all__ = ["GROUPINGS", "video_groups"]

Ints = npt.NDArray[np.int64]

GROUPINGS = ("tag", "author", "duration", "cluster")
"""First tag; author; tenth of the pool's durations; k-means clusters of what the training split knows of the videos."""
CLUSTERS = 50


def video_groups(store: FeedStore, pool: Ints, name: str, *, seed: int = 0) -> Ints:
    """(n_videos + 1,) group of each video of a pool; −1 for the others.

    Args:
        store: Where from.
        pool: (K,) dense ids.
        name: Of `GROUPINGS`.
        seed: Of the clusters.

    Raises:
        OptionError: No such grouping.
    """
    videos = store.videos
    if name == "tag":
        first = np.array([tags[0] if tags else -1 for tags in store.video_tags])
        values: npt.NDArray[Any] = first[videos["tag_set"][pool]]
    elif name == "author":
        values = videos["author"][pool]
    elif name == "duration":
        duration = np.nan_to_num(videos["video_duration"][pool].astype(np.float64))
        values = np.searchsorted(np.quantile(duration, np.linspace(0, 1, 11)[1:-1]), duration)
    elif name == "cluster":
        values = _clusters(store, pool, seed)
    else:
        raise OptionError(f"expected one of {', '.join(GROUPINGS)}, found {name!r}", where="grouping")
    groups = np.full(store.n_videos + 1, -1, dtype=np.int64)
    groups[pool] = np.unique(values, return_inverse=True)[1]
    return groups


def _clusters(store: FeedStore, pool: Ints, seed: int) -> npt.NDArray[Any]:
    from sklearn.cluster import KMeans

    later = np.full(len(pool), int(store.events["time_ms"].max()) + 1)
    table = candidate_features_at(store, np.zeros(len(pool), dtype=np.int64), pool, later).astype(np.float64)
    table = (table - table.mean(axis=0)) / np.maximum(table.std(axis=0), 1e-9)
    return np.asarray(KMeans(min(CLUSTERS, len(pool)), n_init=3, random_state=seed).fit_predict(table))
