"""What the truth knows of each video that may be served, as tables by row.

Whatever of a reaction depends on the video alone stands here once: the mixture of baseline hazards at its duration, where
a click and a long view begin, the shortest play whose gain is relevant, quality, micro-cluster, author and first tag.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.data.store import FeedStore
from svsim.errors import DataError, OptionError
from svsim.response.pauses import median_pause_ms
from svsim.response.relevance import shortest_relevant_ms
from svsim.world.constants import constants
from svsim.world.files import open_world
from svsim.world.hazard import KINK_MS, SHORT_MS, WatchHazard
from svsim.world.response import CLICK_MS, LONG_MS, LONGEST_PLAY_MS
from svsim.world.world import World

__all__ = ["KNOTS", "MAIN_FEED", "Int", "Real", "TruthVideos", "get_videos"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

KNOTS = 64
"""Columns of a row of `TruthVideos.hazard`: a power of two, so that a search halves."""
MAIN_FEED = 1
"""The tab of the episodes: videos play by themselves."""
BEYOND = 1e300
"""In the columns past the last knot; a hazard never reaches it."""
BLOCK = 16_384
_CACHED = 4


class Real:
    """Columns of `TruthVideos.real`."""

    LOG_SPAN, DURATION, SHARE, PUSH, KINK, QUALITY, CLICK_FROM, LONG_FROM, UNSEEN, UNSEEN_LONG = range(10)
    H_SHORT, H_MIDDLE, H_CLICK, H_LONG, H_GAIN, GAIN_AT_NONE = range(10, 16)


class Int:
    """Columns of `TruthVideos.whole`; `MEMORY` are those that tire, in the order of a state's `recent`."""

    VIDEO, AUTHOR, TAG, DURATION, CLUSTER, HAZARD = range(6)
    MEMORY = slice(0, 3)


@dataclass(frozen=True)
class TruthVideos:
    """The videos of a pool; row 0 is none.

    Attributes:
        world: Whose truth.
        user: Dense user id → the world's.
        row: Dense video id → row, 0 outside the pool.
        real: (P + 1, 16) float64, see `Real`: ln(0.9 d / first knot); nominal duration in ms; weight of the second of two
            rows of `hazard`; what an interest of one adds to the log hazard; H(18 s); quality; least play in ms of a
            click and of a long view; factor on the rates of clicks, and rate of long views, that come without; H where
            the rates of such clicks change, twice, where a click, a long view and a relevant gain begin; and whether no
            play at all is a relevant gain.
        whole: (P + 1, 6) int32, see `Int`: dense video id, author, first tag (−1 none), duration in ms, micro-cluster,
            and where in `hazard` (flat) the first of the video's two rows begins.
        hazard: (D, `KNOTS`) float64 baseline cumulative hazards at the knots, by duration.
        pause_ms: Median pause between videos.
    """

    world: World
    user: Ints
    row: npt.NDArray[np.int32]
    real: Floats
    whole: npt.NDArray[np.int32]
    hazard: Floats
    pause_ms: int

    def rows(self, videos: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
        """Rows of dense video ids.

        Raises:
            OptionError: A video is not in the pool.
        """
        rows = self.row.take(videos)
        none = rows == 0
        if none.any() and (strange := np.asarray(videos)[none]).any():
            raise OptionError(
                f"expected videos of the pool ({len(self.real) - 1:,}), found dense id {int(strange[strange != 0][0])}",
                where="video",
            )
        return rows


_cache: OrderedDict[tuple[Any, ...], TruthVideos] = OrderedDict()


def get_videos(store: FeedStore, pool: npt.ArrayLike | None = None) -> TruthVideos:
    """The tables of a pool; the last few are kept, so that a thousand single environments share one.

    Args:
        store: A store of a world.
        pool: Dense ids of the videos, 0 not among them; None takes all of the store's.

    Raises:
        DataError: The store holds no world's truth.
        OptionError: An id that is no video of the store.
    """
    ids = np.arange(1, store.n_videos + 1) if pool is None else np.unique(np.asarray(pool, dtype=np.int64))
    if len(ids) and not 1 <= ids[0] <= ids[-1] <= store.n_videos:
        raise OptionError(f"expected dense ids from 1 to {store.n_videos}, found {ids[0]} to {ids[-1]}", where="pool")
    key = (str(store.path), store.fingerprint, hashlib.sha256(ids.tobytes()).digest())
    if key in _cache:
        _cache.move_to_end(key)
        return _cache[key]
    videos = _build(store, ids)
    _cache[key] = videos
    if len(_cache) > _CACHED:
        _cache.popitem(last=False)
    return videos


def _build(store: FeedStore, ids: Ints) -> TruthVideos:
    world = _open(store)
    index = world.catalogue.index_of(store.videos["video_id"][ids])
    real, whole = np.zeros((len(ids) + 1, 16)), np.zeros((len(ids) + 1, 6), dtype=np.int32)
    # What is computed of no video is finite, and thrown away.
    real[0, Real.DURATION] = 1.0
    for start in range(0, len(ids), BLOCK):
        part, rows = index[start : start + BLOCK], slice(start + 1, start + 1 + BLOCK)
        whole[rows] = _whole(world, part)
        real[rows] = _real(world, part, shortest_relevant_ms(store, whole[rows, Int.DURATION]))
    whole[1:, Int.VIDEO] = ids
    row = np.zeros(store.n_videos + 1, dtype=np.int32)
    row[ids] = np.arange(1, len(ids) + 1)
    return TruthVideos(
        world=world,
        user=np.asarray(store.users["user_id"], dtype=np.int64),
        row=row,
        real=real,
        whole=whole,
        hazard=_hazards(),
        pause_ms=median_pause_ms(store),
    )


def _open(store: FeedStore) -> World:
    try:
        return open_world(store.path)
    except DataError as error:
        remedy = error.remedy or "this is no log of a synthetic world: train a model with `svsim train response`"
        raise DataError(error.problem, where=error.where, remedy=remedy) from error


def _hazards() -> Floats:
    """The fitted rows, then the picture posts' twice, so that they too are a mixture of two."""
    c = constants("response")
    table = np.concatenate([c["hazard"], [c["picture_hazard"]] * 2])
    return np.concatenate([table, np.full((len(table), KNOTS - table.shape[1]), BEYOND)], axis=1)


def _real(world: World, index: Ints, gain_from: Floats) -> Floats:
    c = constants("response")
    duration = world.catalogue.duration_ms(index)
    hazard = WatchHazard(duration)
    # Play times are whole: above 7 s means from 7,001 ms on.
    click_from = np.where((duration > 0) & (duration <= CLICK_MS), duration, CLICK_MS + 1)
    long_from = np.where((duration > 0) & (duration <= LONG_MS), duration, LONG_MS)
    real = np.empty((len(index), 16))
    real[:, Real.LOG_SPAN] = np.log(float(c["early_end"]) * hazard.nominal / float(c["first_knot_ms"]))
    real[:, Real.DURATION] = hazard.nominal
    real[:, Real.SHARE] = _mixture(duration)[1]
    real[:, Real.PUSH] = -c["hazard_interest"] * np.where(hazard.nominal < SHORT_MS, c["hazard_short"], 1.0)
    real[:, Real.KINK] = hazard.at(KINK_MS)
    real[:, Real.QUALITY] = world.catalogue.appeal(index)[0]
    real[:, Real.CLICK_FROM], real[:, Real.LONG_FROM] = click_from, long_from
    real[:, Real.UNSEEN] = np.where(duration > 0, 1.0, c["unseen_click_picture"])
    real[:, Real.UNSEEN_LONG] = np.where(duration > 0, c["unseen_long_view"], 0.0)
    short, middle = c["unseen_click_ms"][1:]
    real[:, Real.H_SHORT] = hazard.at(np.minimum(short, click_from))
    real[:, Real.H_MIDDLE] = hazard.at(np.minimum(middle, click_from))
    real[:, Real.H_CLICK], real[:, Real.H_LONG] = hazard.at(click_from), hazard.at(long_from)
    # Who plays at all plays 1 ms at least and `LONGEST_PLAY_MS` at most.
    reached = hazard.at(np.where(gain_from > 1, np.minimum(gain_from, LONGEST_PLAY_MS), 0.0))
    real[:, Real.H_GAIN] = np.where(gain_from > LONGEST_PLAY_MS, np.inf, reached)
    real[:, Real.GAIN_AT_NONE] = gain_from <= 0
    return real


def _whole(world: World, index: Ints) -> npt.NDArray[np.int32]:
    duration = world.catalogue.duration_ms(index)
    tag = world.catalogue.tag(index)
    whole = np.empty((len(index), 6), dtype=np.int32)
    whole[:, Int.AUTHOR] = world.catalogue.author(index)
    whole[:, Int.TAG] = np.where(tag > 0, tag, -1)
    whole[:, Int.DURATION] = duration
    whole[:, Int.CLUSTER] = world.catalogue.appeal(index)[2]
    whole[:, Int.HAZARD] = _mixture(duration)[0] * KNOTS
    return whole


def _mixture(duration_ms: Ints) -> tuple[Ints, Floats]:
    """Which two rows of the hazards a duration lies between, and the second one's weight."""
    nodes = np.log(constants("response")["hazard_durations_ms"])
    picture = duration_ms <= 0
    place = np.interp(np.log(np.where(picture, 1.0, duration_ms)), nodes, np.arange(len(nodes)))
    low = np.where(picture, len(nodes), np.minimum(place.astype(np.int64), len(nodes) - 2))
    return low, np.where(picture, 0.0, place - low)
