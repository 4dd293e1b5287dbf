"""What an observation tells of users, candidates and past events.

Everything here is known before the exposure that it is shown for: user features come from the user table, candidate
features from the video table and the training split, history features from the event itself, which lies in the past of
whoever sees it. Rows of the training split are given rates of the other users (five folds), so that a candidate never
shows the feedback that it will get.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.data.splits import SPLIT_CODES
from svsim.data.store import FeedStore
from svsim.names import (
    CANDIDATE_FEATURES,
    FLAGS,
    HISTORY_FEATURES,
    LEAKY_CANDIDATE_FEATURES,
    LOG_COLUMN_OF,
    ONEHOT_COLUMNS,
    USER_FEATURES,
)
from svsim.randomness import keyed_hash
from svsim.signals import aux, wtr

__all__ = [
    "FEATURE_BOUNDS",
    "MAX_MINUTES",
    "PSEUDO_PLAYS",
    "USER_BOUND",
    "bounds",
    "candidate_feature_names",
    "candidate_features",
    "candidate_features_at",
    "history_features",
    "smoothed",
    "uploaded_ms",
    "user_features",
]

Floats = npt.NDArray[np.float32]
Array = npt.NDArray[Any]

PSEUDO_PLAYS = 10
"""Plays at the overall mean that every rate is shrunk by."""

FOLDS = 5
USER_BOUND = 5.0
MAX_DAYS = 365.0
MAX_MINUTES = 31 * 1_440.0
DAY_MS = 86_400_000
CHINA_MS = 8 * 3_600_000

FEATURE_BOUNDS: Mapping[str, tuple[float, float]] = {
    "aux": (0.0, 4.0),
    "log_play": (0.0, 15.0),
    "log_duration": (0.0, 15.0),
    "minutes_before": (0.0, MAX_MINUTES),
    "tab": (0.0, 255.0),
    "hour": (0.0, 23.0),
    "age_days": (0.0, MAX_DAYS),
    "video_log_exposures": (0.0, 25.0),
    "video_aux": (0.0, 4.0),
}
"""Bounds of history and candidate features by name; [0, 1] where none are named. Values are clipped to them."""


def bounds(names: tuple[str, ...]) -> tuple[Floats, Floats]:
    """Lower and upper bounds of features, each (F,) float32."""
    pairs = np.array([FEATURE_BOUNDS.get(name, (0.0, 1.0)) for name in names], dtype=np.float32)
    return pairs[:, 0].copy(), pairs[:, 1].copy()


def log_seconds(milliseconds: Array) -> Array:
    """ln(1 + seconds)."""
    return np.asarray(np.log1p(np.maximum(milliseconds, 0) / 1_000.0))


# --- users -----------------------------------------------------------------------------------------------------------

_COUNTS = {
    "log_follows": "follow_user_num",
    "log_fans": "fans_user_num",
    "log_friends": "friend_user_num",
    "log_register_days": "register_days",
}
_CODES = ONEHOT_COLUMNS[1:12]
"""Columns 0 and 12 to 17 are yes or no."""
_DEGREES = {
    "active_full": ("full_active",),
    "active_high": ("high_active",),
    "active_middle": ("middle_active",),
    "active_low": ("low_active", "single_low_active", "30day_retention"),
    "active_new": ("2_14_day_new", "day_new"),
}


def user_features(store: FeedStore) -> Floats:
    """(n_users + 1, U) float32 in the order of `names.USER_FEATURES`, within ±`USER_BOUND`; row 0, unknown, is zero.

    Counts as ln(1 + n) and KuaiRand's encrypted codes of more than two values are standardised over the users who have
    training rows, an empty cell being the mean; the rest are 0 or 1.
    """
    seen = np.zeros(store.n_users + 1, dtype=bool)
    seen[store.events["user"][store.split_rows("train")]] = True
    texts = store.texts["user_active_degree"]
    columns: list[Array] = []
    for name in USER_FEATURES:
        if name in _COUNTS:
            columns.append(_standardised(np.log1p(np.maximum(store.users[_COUNTS[name]], 0).astype(np.float64)), seen))
        elif name in _CODES:
            columns.append(_standardised(store.users[name].astype(np.float64), seen))
        elif name in _DEGREES:
            codes = [texts.index(degree) for degree in _DEGREES[name] if degree in texts]
            columns.append(np.isin(store.users["user_active_degree"], codes))
        else:
            # −124 and empty cells mean "not known": no.
            columns.append(store.users[name] == 1)
    table = np.clip(np.column_stack(columns), -USER_BOUND, USER_BOUND).astype(np.float32)
    table[0] = 0.0
    return np.asarray(table)


def _standardised(values: Array, seen: Array) -> Array:
    known = values[seen & np.isfinite(values)]
    if not len(known):
        return np.zeros(len(values))
    return np.asarray(np.nan_to_num((values - known.mean()) / max(known.std(), 1e-9)))


# --- past events -----------------------------------------------------------------------------------------------------


def history_features(store: FeedStore, rows: Array) -> Floats:
    """(n, H) float32 of logged events in the order of `names.HISTORY_FEATURES`; `minutes_before` is left 0."""
    events = {name: store.events[name][rows] for name in ("play_time_ms", "duration_ms", "tab", "hour", "time_ms")}
    flags = {name: store.events[LOG_COLUMN_OF[name]][rows] for name in FLAGS}
    gain = store.events["wtg_gain"][rows]
    first = rows == 0
    before = np.maximum(rows - 1, 0)
    first |= store.events["user"][before] != store.events["user"][rows]
    first |= store.events["time_ms"][before] != events["time_ms"]
    columns: dict[str, Array] = {
        "wtr": np.nan_to_num(wtr(events["play_time_ms"], events["duration_ms"])),
        "wtg": gain > store.wtg.threshold,
        "aux": aux(flags),
        **flags,
        "log_play": log_seconds(events["play_time_ms"]),
        "log_duration": log_seconds(events["duration_ms"]),
        "minutes_before": np.zeros(len(rows)),
        "tab": events["tab"],
        "hour": events["hour"],
        "request_start": first,
        "age_days": _age_days(store, store.events["video"][rows], events["time_ms"]),
    }
    return _stacked(columns, HISTORY_FEATURES)


def _stacked(columns: Mapping[str, Array], names: tuple[str, ...]) -> Floats:
    table = np.column_stack([np.asarray(columns[name], dtype=np.float32) for name in names])
    low, high = bounds(names)
    return np.asarray(np.clip(table, low, high, out=table))


def _age_days(store: FeedStore, video: Array, time_ms: Array) -> Array:
    """Days from a video's upload to an exposure; 0 where not known."""
    uploaded = uploaded_ms(store, video)
    return np.where(uploaded > 0, np.maximum(time_ms - uploaded, 0) / DAY_MS, 0.0)


def uploaded_ms(store: FeedStore, video: Array) -> Array:
    """(n,) int64 midnight in China, where the log was made, of the videos' upload in ms since 1970; 0 where not known."""
    dates, inverse = np.unique(store.videos["upload_date"][video], return_inverse=True)
    epoch = dt.date(1970, 1, 1)
    days = [(dt.date(d // 10_000, d // 100 % 100, d % 100) - epoch).days if d else 0 for d in dates.tolist()]
    return np.where(dates > 0, np.array(days, dtype=np.int64) * DAY_MS - CHINA_MS, 0)[inverse]


# --- candidates ------------------------------------------------------------------------------------------------------


def candidate_feature_names(store: FeedStore) -> tuple[str, ...]:
    """Names of the candidate features of a store's environments, in order."""
    return CANDIDATE_FEATURES + (LEAKY_CANDIDATE_FEATURES if store.allows_leaky_statistics else ())


def candidate_features(store: FeedStore, rows: Array) -> Floats:
    """(n, C) float32 of the videos of logged rows as they were known before those were served.

    In the order of `candidate_feature_names`. Rates are shrunk by `PSEUDO_PLAYS` plays at the overall mean.
    """
    events = store.events
    return _candidate_table(
        store,
        events["user"][rows],
        events["video"][rows],
        events["time_ms"][rows],
        events["duration_ms"][rows],
        events["split"][rows] == SPLIT_CODES["train"],
    )


def candidate_features_at(store: FeedStore, user: Array, video: Array, time_ms: Array) -> Floats:
    """(n, C) float32 of videos that might be served, as they are known to the training split.

    The same columns as `candidate_features`; the duration is the video table's. At times within the training split the
    rates are those of other users.

    Args:
        store: Whose training split they are known to.
        user: (n,) dense ids of those that they might be served to.
        video: (n,) dense ids.
        time_ms: (n,) when.
    """
    train = store.split_rows("train")
    last = int(store.events["time_ms"][train].max()) if len(train) else -1
    duration_ms = np.nan_to_num(store.videos["video_duration"][video].astype(np.float64))
    return _candidate_table(store, user, video, time_ms, duration_ms, time_ms <= last)


def _candidate_table(
    store: FeedStore, user: Array, video: Array, time_ms: Array, duration_ms: Array, in_training: Array
) -> Floats:
    columns: dict[str, Array] = {
        "log_duration": log_seconds(duration_ms),
        "age_days": _age_days(store, video, time_ms),
    }
    columns.update({name: np.empty(len(video), dtype=np.float32) for name in CANDIDATE_FEATURES[2:]})
    for chosen, sums in _training_sums(store, user, in_training):
        for name, values in _rates(store, video[chosen], sums).items():
            columns[name][chosen] = values
    if store.allows_leaky_statistics:
        columns.update(_leaky(store, video))
    return _stacked(columns, candidate_feature_names(store))


def _training_sums(store: FeedStore, user: Array, in_training: Array) -> Iterator[tuple[Array, dict[str, Array]]]:
    """(indices into rows, sums by video to use for them): the store's own, or those of the other folds' users."""
    whole = {name: store.videos[f"train_{name}"] for name in ("exposures", "click", "long_view", "wtr", "wtg", "aux")}
    if not in_training.all():
        yield np.flatnonzero(~in_training), whole
    if in_training.any():
        # Sums of the other folds, not the whole less the own fold: not even the last bit may tell what the fold's users did.
        fold_of_user = (keyed_hash(np.arange(store.n_users + 1), 0xF01D) % np.uint64(FOLDS)).astype(np.int64)
        train = store.split_rows("train")
        train_fold = fold_of_user[store.events["user"][train]]
        row_fold = fold_of_user[user]
        by_fold = [_sums_of(store, train[train_fold == fold]) for fold in range(FOLDS)]
        for fold in range(FOLDS):
            others = [by_fold[other] for other in range(FOLDS) if other != fold]
            rest = {name: np.sum([sums[name] for sums in others], axis=0) for name in whole}
            rows = np.flatnonzero(in_training & (row_fold == fold))
            if len(rows):
                yield rows, rest


def _sums_of(store: FeedStore, rows: Array) -> dict[str, Array]:
    video, n = store.events["video"][rows], store.n_videos + 1
    features = history_features(store, rows)
    sums: dict[str, Array] = {"exposures": np.bincount(video, minlength=n).astype(np.float64)}
    for name in ("click", "long_view", "wtr", "wtg", "aux"):
        sums[name] = np.bincount(video, weights=features[:, HISTORY_FEATURES.index(name)], minlength=n)
    return sums


def smoothed(total: Array, count: Array, mean: float | Array) -> Array:
    """(total + m · mean) / (count + m) with m = `PSEUDO_PLAYS`."""
    return np.asarray((total + PSEUDO_PLAYS * mean) / (count + PSEUDO_PLAYS))


def _rates(store: FeedStore, video: Array, sums: dict[str, Array]) -> dict[str, Array]:
    count = sums["exposures"]
    plays = max(float(count.sum()), 1.0)
    mean = {name: float(values.sum(dtype=np.float64)) / plays for name, values in sums.items()}
    rates: dict[str, Array] = {"video_log_exposures": np.log1p(np.maximum(count[video], 0))}
    for name in ("click", "long_view", "wtr", "wtg", "aux"):
        rates[f"video_{name}"] = smoothed(sums[name][video], count[video], mean[name])
    author = store.videos["author"]
    by_author = {name: np.bincount(author, weights=sums[name]) for name in ("exposures", "wtr", "wtg")}
    tag_set = store.videos["tag_set"]
    by_tag_set = {
        name: np.bincount(tag_set, weights=sums[name], minlength=len(store.video_tags))
        for name in ("exposures", "wtr", "wtg")
    }
    for name in ("wtr", "wtg"):
        of_author = smoothed(by_author[name], by_author["exposures"], mean[name])
        rates[f"author_{name}"] = of_author[author[video]]
        rates[f"tag_{name}"] = _tag_rates(store.video_tags, by_tag_set, name, mean[name])[tag_set[video]]
    return rates


def _tag_rates(tag_sets: list[list[int]], sums: dict[str, Array], name: str, mean: float) -> Array:
    """Rate of each tag set: the mean of its tags' rates; the overall mean for a set without tags."""
    total: dict[int, float] = {}
    count: dict[int, float] = {}
    for tags, value, plays in zip(tag_sets, sums[name].tolist(), sums["exposures"].tolist(), strict=True):
        for tag in tags:
            total[tag] = total.get(tag, 0.0) + value
            count[tag] = count.get(tag, 0.0) + plays
    rate = {tag: (total[tag] + PSEUDO_PLAYS * mean) / (count[tag] + PSEUDO_PLAYS) for tag in total}
    return np.array([np.mean([rate[tag] for tag in tags]) if tags else mean for tags in tag_sets])


def _leaky(store: FeedStore, video: Array) -> dict[str, Array]:
    table = store.video_statistics
    plays = np.maximum(table["play_cnt"][video], 1.0)
    columns = {
        "leaky_play_progress": table["play_progress"][video],
        "leaky_valid_play_rate": table["valid_play_cnt"][video] / plays,
        "leaky_complete_play_rate": table["complete_play_cnt"][video] / plays,
        "leaky_like_rate": table["like_cnt"][video] / plays,
    }
    return {name: np.nan_to_num(values) for name, values in columns.items()}
