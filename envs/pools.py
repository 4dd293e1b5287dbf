"""The videos that a feed may serve, as compact tables gathered once."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from svsim.data.features import DAY_MS, MAX_DAYS, candidate_features_at, uploaded_ms
from svsim.data.store import FeedStore
from svsim.envs.past import closed
from svsim.envs.retrieval import AliasTable
from svsim.errors import OptionError
from svsim.names import CANDIDATE_FEATURES

__all__ = ["AGE", "Pool", "PoolName", "feed_pool", "pool_videos"]

Array = npt.NDArray[Any]
PoolName = Literal["random", "train"]

MIN_EXPOSURES = 5
"""Training exposures of a video in the pool `train`."""
AGE = CANDIDATE_FEATURES.index("age_days")

_YOUNGEST, _OLDEST = np.float32(0.0), np.float32(MAX_DAYS)
_CACHED = 4


@dataclass(frozen=True)
class Pool:
    """The P videos that may be served, ascending by dense id; the last row of a table is zero and stands for "nothing".

    Attributes:
        video, author: (P + 1,) int32 dense ids.
        video_id: (P + 1,) the source's ids, −1 for nothing.
        features: (P + 1, C) float32 candidate features, known to the whole training split; the age is left 0.
        uploaded: (P + 1,) float32 days from `epoch_ms` to the upload; infinite where it is not known.
        epoch_ms: When the log's first event was.
        exposures: (P,) in the training split.
        author_code, tag_code: (P + 1,) int32 numbers from 1 of authors and first tags within the pool, 0 none.
    """

    video: Array
    author: Array
    video_id: Array
    features: Array
    uploaded: Array
    epoch_ms: int
    exposures: Array
    author_code: Array
    tag_code: Array

    def __len__(self) -> int:
        return len(self.video) - 1

    @cached_property
    def by_popularity(self) -> AliasTable:
        """Draws in proportion to training exposures, one added."""
        return AliasTable.of(self.exposures + 1.0)

    def days(self, time_ms: Array) -> Array:
        """Float32 days from `epoch_ms` to times."""
        return np.asarray(((time_ms - self.epoch_ms) / DAY_MS).astype(np.float32))

    def age_days(self, item: Array, days: Array) -> Array:
        """Float32 age of videos, as the feature bounds it, so many days after `epoch_ms`; arrays that broadcast."""
        age = days - self.uploaded.take(item)
        return np.asarray(np.minimum(np.maximum(age, _YOUNGEST, out=age), _OLDEST, out=age))

    def features_at(self, time_ms: int) -> Array:
        """(P, C) float32 candidate features of the whole pool at one moment."""
        table = self.features[:-1].copy()
        table[:, AGE] = self.age_days(np.arange(len(self)), self.days(np.array([time_ms])))
        return table


_pools: OrderedDict[tuple[str, str, str], Pool] = OrderedDict()


def feed_pool(store: FeedStore, name: PoolName | None) -> Pool:
    """A pool by name; None means `random` where the store has a random log, else `train`. The last few are kept.

    Raises:
        OptionError: The store has no such pool.
    """
    if name is None:
        name = "random" if store.events["is_rand"].any() else "train"
    key = (str(store.path), store.fingerprint, name)
    if key not in _pools:
        _pools[key] = _gather(store, pool_videos(store, name))
        if len(_pools) > _CACHED:
            _pools.popitem(last=False)
    _pools.move_to_end(key)
    return _pools[key]


def pool_videos(store: FeedStore, name: PoolName) -> npt.NDArray[np.int64]:
    """(P,) dense ids of a pool, ascending: the random log's videos, or those of `MIN_EXPOSURES` training exposures.

    Raises:
        OptionError: No such pool, or nothing in it.
    """
    if name == "random":
        videos = np.unique(store.events["video"][np.flatnonzero(store.events["is_rand"] == 1)])
        lacking, remedy = "a random log (rows with is_rand = 1)", 'name pool="train"'
    elif name == "train":
        videos = np.flatnonzero(store.videos["train_exposures"] >= MIN_EXPOSURES)
        lacking, remedy = f"videos with {MIN_EXPOSURES} training exposures", 'name pool="random" or take a larger log'
    else:
        raise OptionError(f"expected random or train, found {name!r}", where="pool")
    videos = videos[videos > 0]
    if not len(videos):
        raise OptionError(f"expected {lacking}, found none in {store.path}", where=f"pool {name}", remedy=remedy)
    return videos.astype(np.int64)


def _gather(store: FeedStore, video: npt.NDArray[np.int64]) -> Pool:
    events, nobody = store.events, np.zeros(len(video), dtype=np.int32)
    # Past every training row: rates of the whole training split, with nobody's fold left out.
    later = np.full(len(video), int(events["time_ms"].max()) + 1)
    features = candidate_features_at(store, nobody, video, later)
    features[:, AGE] = 0.0
    epoch_ms = int(events["time_ms"].min())
    at = uploaded_ms(store, video)
    uploaded = np.where(at > 0, (at - epoch_ms) / DAY_MS, np.inf).astype(np.float32)
    author = store.videos["author"][video]
    first_tag = np.array([tags[0] if tags else -1 for tags in store.video_tags])[store.videos["tag_set"][video]]
    return Pool(
        video=closed(video.astype(np.int32)),
        author=closed(author.astype(np.int32)),
        video_id=closed(store.videos["video_id"][video], -1),
        features=closed(features),
        uploaded=closed(uploaded, np.inf),
        epoch_ms=epoch_ms,
        exposures=np.asarray(store.videos["train_exposures"][video]),
        author_code=closed(_codes(author, author > 0)),
        tag_code=closed(_codes(first_tag, first_tag >= 0)),
    )


def _codes(values: Array, known: Array) -> Array:
    """Numbers from 1 of distinct known values, 0 for the rest."""
    codes = np.zeros(len(values), dtype=np.int32)
    codes[known] = 1 + np.unique(values[known], return_inverse=True)[1]
    return codes
