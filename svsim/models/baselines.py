"""What a model must beat, refitted on the same rows: rates and gradient boosting."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.data.features import candidate_features, history_features, smoothed, user_features
from svsim.data.store import FeedStore
from svsim.errors import UnknownNameError
from svsim.models.inputs import request_starts
from svsim.models.windows import Protocol
from svsim.names import CANDIDATE_FEATURES, HISTORY_FEATURES

__all__ = ["BASELINES", "fit_baselines"]

Array = npt.NDArray[Any]
Predictions = dict[str, Array]

ALL_NEGATIVE, RATES, BOOSTING, BOOSTING_RUNNING = "all-negative", "user + video rates", "boosting", "boosting + running"
BASELINES = (ALL_NEGATIVE, RATES, BOOSTING, BOOSTING_RUNNING)
"""`all-negative` says no (and the training mean) to all; `user + video rates` adds the two smoothed rates; `boosting` knows
all features and the user's rates of earlier days; `boosting + running` also those of earlier requests of the same day."""

RATED = {
    "click": "click",
    "long_view": "long_view",
    "binary": "wtr",
    "wtr_clipped": "wtr",
    "wtr": "wtr",
    "wtg": "wtg",
    "wtg_relevant": "wtg",
}
"""The rate that goes with each target."""
MOST_ROWS, TREES = 2_000_000, 400


def fit_baselines(
    store: FeedStore,
    targets: dict[str, Array],
    split: str,
    *,
    names: Collection[str] = BASELINES,
    seed: int = 0,
) -> dict[Protocol, dict[str, Predictions]]:
    """Predictions of every baseline for a split's rows, under both protocols.

    Under `frozen` nothing of the split's own days is known, and `boosting + running` is left out.

    Args:
        store: Its training split is what they are fitted on, once.
        targets: (n_events,) target by name; those of 0 and 1 are probabilities, the others expectations. NaN is left out.
        split: Rows to predict.
        names: Which baselines.
        seed: Of the draws of boosting.

    Raises:
        UnknownNameError: There is no such baseline.
    """
    unknown = [name for name in names if name not in BASELINES]
    if unknown:
        raise UnknownNameError(f"expected baselines of {', '.join(BASELINES)}, found {unknown[0]!r}", where="baselines")
    train, rows = store.split_rows("train"), store.split_rows(split)
    if len(train) > MOST_ROWS:
        train = np.sort(np.random.default_rng(seed).choice(train, MOST_ROWS, replace=False))
    plain, shown = _features(store, train), _features(store, rows)
    learnt = np.column_stack([plain, _user_rates(store, train, "days")])
    daily: dict[Protocol, Array] = {
        "frozen": _user_rates(store, rows, "days", split),
        "running": _user_rates(store, rows, "days"),
    }
    asked = [np.column_stack([shown, own]) for own in daily.values()]
    if BOOSTING_RUNNING in names:
        learnt_running = np.column_stack([learnt, _user_rates(store, train, "requests")])
        asked_running = np.column_stack([asked[1], _user_rates(store, rows, "requests")])
    found: dict[Protocol, dict[str, Predictions]] = {"frozen": {}, "running": {}}
    for name, target in targets.items():
        value = target[train]
        known = np.isfinite(value)
        mean = float(value[known].mean()) if known.any() else 0.0
        two = bool(np.isin(value[known], (0, 1)).all())
        for protocol, told in found.items():
            if ALL_NEGATIVE in names:
                no = np.full(len(rows), 0.0 if two else mean, dtype=np.float32)
                told.setdefault(ALL_NEGATIVE, {})[name] = no
            if RATES in names:
                rate = RATED.get(name, "aux")
                video = shown[:, CANDIDATE_FEATURES.index(f"video_{rate}")]
                user = daily[protocol][:, _RATES.index(rate)]
                told.setdefault(RATES, {})[name] = (user + video - mean).astype(np.float32)
        if BOOSTING in names:
            boosted = _boosted(learnt[known], value[known], asked, two, seed)
            for told, values in zip(found.values(), boosted, strict=True):
                told.setdefault(BOOSTING, {})[name] = values
        if BOOSTING_RUNNING in names:
            (values,) = _boosted(learnt_running[known], value[known], [asked_running], two, seed)
            found["running"].setdefault(BOOSTING_RUNNING, {})[name] = values
    return found


def _boosted(x: Array, y: Array, asked: list[Array], two: bool, seed: int) -> list[Array]:
    """Fit once, predict several tables."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    options = {"max_iter": TREES, "learning_rate": 0.04, "max_leaf_nodes": 31, "min_samples_leaf": 60,
               "l2_regularization": 5.0, "early_stopping": True, "validation_fraction": 0.1,
               "n_iter_no_change": 20, "random_state": seed}  # fmt: skip
    if two and len(np.unique(y)) < 2:
        constant = float(y.mean()) if len(y) else 0.0
        return [np.full(len(table), constant, dtype=np.float32) for table in asked]
    if two:
        classifier = HistGradientBoostingClassifier(**options).fit(x, y)
        return [classifier.predict_proba(table)[:, 1].astype(np.float32) for table in asked]
    regressor = HistGradientBoostingRegressor(**options).fit(x, y)
    return [regressor.predict(table).astype(np.float32) for table in asked]


def _features(store: FeedStore, rows: Array) -> Array:
    """Everything known of a row before it is served, but for the user's own past."""
    events, videos = store.events, store.videos
    video = events["video"][rows]
    return np.column_stack(
        [
            candidate_features(store, rows),
            user_features(store)[events["user"][rows]],
            *(
                store.users[name][events["user"][rows]]
                for name in ("follow_user_num", "fans_user_num", "register_days")
            ),
            *(store.users[f"onehot_feat{i}"][events["user"][rows]] for i in range(18)),
            *(videos[name][video] for name in ("upload_type", "video_type", "music_type", "tag_set", "server_width")),
            events["tab"][rows],
            events["hour"][rows],
        ]
    ).astype(np.float32)


_RATES = ("click", "long_view", "wtr", "wtg", "aux")


def _user_rates(store: FeedStore, rows: Array, known: str, frozen: str | None = None) -> Array:
    """A user's own rates and number of earlier events, and how the last one went.

    Args:
        store: The log.
        rows: Of which rows.
        known: `days`: events of strictly earlier days; `requests`: of strictly earlier requests.
        frozen: A split whose rows know nothing from its start on.
    """
    user, date = store.events["user"], store.events["date"]
    if known == "days":
        # Dates are logged a few minutes late: a row's day begins where the first row of its date stands.
        first = np.ones(store.n_events, dtype=bool)
        first[1:] = (user[1:] != user[:-1]) | (date[1:] > np.maximum.accumulate(date)[:-1]) | (date[1:] != date[:-1])
        end = np.flatnonzero(first)[np.cumsum(first) - 1]
    else:
        end = request_starts(store)
    end = end[rows].astype(np.int64)
    begin = store.users["first_event"][user[rows]]
    if frozen is not None:
        own = store.split_rows(frozen)
        opens = np.full(store.n_users + 1, store.n_events, dtype=np.int64)
        np.minimum.at(opens, user[own], own)
        end = np.where(np.isin(rows, own), np.minimum(end, opens[user[rows]]), end)
    count = (end - begin).astype(np.float64)
    features = history_features(store, np.arange(store.n_events))
    columns = []
    for name in _RATES:
        values = features[:, HISTORY_FEATURES.index(name)].astype(np.float64)
        total = np.concatenate([[0.0], np.cumsum(values)])
        columns.append(smoothed(total[end] - total[begin], count, float(values[store.split_rows("train")].mean())))
    last = np.maximum(end - 1, 0)
    columns.extend(
        np.where(count > 0, features[last, HISTORY_FEATURES.index(name)], np.nan)
        for name in ("wtr", "click", "log_duration")
    )
    columns.append(np.log1p(count))
    waited = (store.events["time_ms"][rows] - store.events["time_ms"][last]) / 60_000
    columns.append(np.where(count > 0, np.log1p(np.maximum(waited, 0)), np.nan))
    return np.column_stack(columns)
