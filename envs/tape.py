"""A split's sessions as compact tables, gathered once: what the replay rules look up at every step.

Every table has one more row than it needs: its last row is zero and stands for "nothing", so that index −1 reads zeros.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.data.features import candidate_features, history_features, user_features
from svsim.data.sessions import Sessions
from svsim.data.store import FeedStore
from svsim.envs.past import LoggedPast, closed, logged_past, ranges
from svsim.errors import OptionError
from svsim.names import AUX, FEEDBACK, HISTORY_FEATURES, LOG_COLUMN_OF, SIGNALS, WTG, WTR
from svsim.signals import scalar_reward

__all__ = ["METRICS", "Tape", "get_tape"]

Array = npt.NDArray[Any]

METRICS = ("reward", WTR, WTG, AUX, "watch_s")
"""Sums that an episode is measured by, in the order of `Tape.metrics`; its length comes beside them."""

_REQUEST_START = HISTORY_FEATURES.index("request_start")
_CACHED = 4


@dataclass(frozen=True)
class Tape:
    """The sessions of a split that are long enough, and the events before them.

    Attributes:
        first: (S,) row of each session's first video in the tables of the pool.
        length: (S,) its videos.
        user: (S,) dense user ids.
        past: What their users saw before them.
        skipped: Sessions of the split that are too short.
        served: (Q + 1, H) history features of the pool's videos as they read once served.
        candidates, video, author: (Q + 1, …) what is shown of the pool's videos.
        signals: (Q + 1, 4) float32 wtr, wtg, aux and the gain.
        metrics: (Q + 1, 5) float64 in the order of `METRICS`; the first is the reward.
        feedback: (Q + 1, 9) int32 in the order of `names.FEEDBACK`.
        video_id: (Q + 1,) the source's ids, −1 for nothing.
        propensity: (Q + 1,) probability with which the log served the video, NaN where it does not say.
        rank: (Q + 1,) place in the session as logged, −1 for nothing.
        user_features, user_id, group: by dense user id.
    """

    first: Array
    length: Array
    user: Array
    past: LoggedPast
    skipped: int
    served: Array
    candidates: Array
    video: Array
    author: Array
    signals: Array
    metrics: Array
    feedback: Array
    video_id: Array
    propensity: Array
    rank: Array
    user_features: Array
    user_id: Array
    group: Array

    def __len__(self) -> int:
        return len(self.first)


_cache: OrderedDict[tuple[Any, ...], Tape] = OrderedDict()


def get_tape(
    store: FeedStore,
    split: str,
    *,
    history: int,
    gap_minutes: float | None,
    min_videos: int,
    weights: Mapping[str, float],
) -> Tape:
    """The tape of a split; the last few are kept, so that a thousand single environments share one.

    Raises:
        OptionError: No session is long enough.
    """
    key = (
        str(store.path),
        store.fingerprint,
        split,
        history,
        gap_minutes,
        min_videos,
        *(weights[name] for name in SIGNALS),
    )
    if key in _cache:
        _cache.move_to_end(key)
        return _cache[key]
    tape = _build(store, split, history, gap_minutes, min_videos, weights)
    _cache[key] = tape
    if len(_cache) > _CACHED:
        _cache.popitem(last=False)
    return tape


def _build(
    store: FeedStore, split: str, length: int, gap: float | None, min_videos: int, weights: Mapping[str, float]
) -> Tape:
    every = store.sessions(split, gap)
    sessions = every.longer_than(min_videos)
    if not len(sessions):
        longest = int(every.length.max()) if len(every) else 0
        raise OptionError(
            f"expected sessions of at least {min_videos} videos in the split {split!r}, found at most {longest}",
            where=str(store.path),
            remedy="lower min_videos (by default the number of candidates) or raise session_gap_minutes (None: no cut)",
        )
    pool, first = _pool(sessions)
    video = store.events["video"][pool]
    # Two features of the pool's own rows: as logged for the log, as served now for the replay.
    served = history_features(store, pool)
    signals = np.column_stack([served[:, :3], np.nan_to_num(store.events["wtg_gain"][pool])]).astype(np.float32)
    served[:, _REQUEST_START] = 1.0
    author = store.videos["author"]
    return Tape(
        first=first,
        length=sessions.length,
        user=sessions.user,
        past=logged_past(store, sessions.rows[sessions.start], length),
        skipped=len(every) - len(sessions),
        served=closed(served),
        candidates=closed(candidate_features(store, pool)),
        video=closed(video),
        author=closed(author[video]),
        signals=closed(signals),
        metrics=closed(_metrics(store, pool, signals, weights)),
        feedback=closed(
            np.column_stack([store.events[LOG_COLUMN_OF[name]][pool] for name in FEEDBACK]).astype(np.int32)
        ),
        video_id=closed(store.videos["video_id"][video], -1),
        propensity=closed(_propensity(store, pool), np.nan),
        rank=closed(np.arange(len(pool)) - np.repeat(first, sessions.length), -1),
        user_features=user_features(store),
        user_id=np.asarray(store.users["user_id"]),
        group=store.user_group,
    )


def _pool(sessions: Sessions) -> tuple[Array, Array]:
    index, first = ranges(sessions.start, sessions.length)
    return sessions.rows[index], first


def _metrics(store: FeedStore, pool: Array, signals: Array, weights: Mapping[str, float]) -> Array:
    table = np.empty((len(pool), len(METRICS)), dtype=np.float64)
    table[:, 1:4] = signals[:, :3]
    table[:, 0] = scalar_reward(signals[:, :3], weights)
    table[:, 4] = store.events["play_time_ms"][pool] / 1_000.0
    return table


def _propensity(store: FeedStore, pool: Array) -> Array:
    """One over the size of the random log's pool for its rows; the platform's own policy is not known."""
    random = store.events["is_rand"][pool] == 1
    propensity = np.full(len(pool), np.nan)
    if random.any():
        shown = store.events["video"][np.flatnonzero(store.events["is_rand"])]
        propensity[random] = 1.0 / len(np.unique(shown))
    return propensity
