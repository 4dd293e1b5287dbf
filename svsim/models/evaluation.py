"""Offline evaluation: predictions beside refitted baselines on the same rows, with user-clustered intervals."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.data.groups import user_groups
from svsim.data.store import FeedStore
from svsim.errors import OptionError
from svsim.metrics import (
    auc,
    calibration_error,
    confusion_scores,
    pairs_in_order,
    root_mean_square_error,
    top_gains,
    user_auc,
)
from svsim.models.baselines import ALL_NEGATIVE, BASELINES, fit_baselines
from svsim.models.checkpoints import Run
from svsim.models.prediction import predict
from svsim.models.windows import Material, Protocol
from svsim.names import FLAGS, LOG_COLUMN_OF

__all__ = ["PROTOCOLS", "evaluate", "evaluate_predictions", "targets_of"]

Array = npt.NDArray[Any]
Interval = dict[str, float | None]
Statistic = Callable[[Array], float]
"""(users,) weights → value: 1 for each user as they are, counts of draws in a resample."""

FROZEN = "the same, frozen"
PROTOCOLS: tuple[Protocol, ...] = ("frozen", "running")
LABEL_OF = {"click": "click", "long_view": "long_view", "binary": "wtr>0.5"}
TITLES = {"binary": "wtr>0.5"}


def targets_of(material: Material) -> dict[str, Array]:
    """(n_events,) what is to be predicted by name, NaN where it does not exist."""
    events = material.store.events
    timed = material.timed
    told: dict[str, Array] = {name: np.asarray(events[LOG_COLUMN_OF[name]], dtype=np.float32) for name in FLAGS}
    told["binary"] = np.where(timed, material.half, np.nan).astype(np.float32)
    told["wtr"] = np.where(timed, material.ratio, np.nan).astype(np.float32)
    told["wtr_clipped"] = np.minimum(told["wtr"], 1.0)
    told["wtg"] = np.where(timed, material.gain, np.nan).astype(np.float32)
    told["wtg_relevant"] = np.where(timed, material.gain > material.store.wtg.threshold, np.nan).astype(np.float32)
    return told


def evaluate(
    run: Run,
    store: FeedStore,
    *,
    split: str = "test",
    resamples: int = 200,
    seed: int = 0,
    baselines: Collection[str] = BASELINES,
    k: int = 3,
    groups: str = "influencer",
) -> dict[str, Any]:
    """Metrics of a run on a split, under both protocols, overall and by group, beside baselines and in difference to them.

    Args:
        run: Trained on this store.
        store: Its test split, or another.
        split: What is scored.
        resamples: Of the bootstrap over users.
        seed: Of the resamples and of boosting.
        baselines: Which are refitted and compared, of `BASELINES`.
        k: Places of WTG@k and DCWTG@k; users with more rows than that count.
        groups: How users are told apart, a name of `svsim.data.groups.GROUPINGS`.

    Returns:
        By protocol: `labels`, `groups` (each beside its own all-negative baseline and in difference to it), `baselines`,
        `differences`; each metric as {mean, low, high}. Among the baselines
        of `running` is the model itself under `frozen`.

    Raises:
        RunError: The run is of another store.
        OptionError: The split has no rows.
    """
    run.check(store)
    rows = store.split_rows(split)
    if not len(rows):
        raise OptionError(f"expected rows in the split {split!r}, found none", where=str(store.path))
    told_apart = user_groups(store, groups)
    user = store.events["user"][rows]
    material = Material(store, run.inputs)
    targets = targets_of(material)
    result: dict[str, Any] = {}
    others = fit_baselines(store, targets, split, names=baselines, seed=seed)
    own = {protocol: predict(run, material, split, protocol) for protocol in PROTOCOLS}
    # What earlier requests of the same day are worth: the model against itself without them.
    others["running"][FROZEN] = own["frozen"]
    for protocol in PROTOCOLS:
        found = {"model": own[protocol], **others[protocol]}
        result[protocol] = evaluate_predictions(
            {name: values[rows] for name, values in targets.items()},
            found,
            user,
            np.array(told_apart.levels)[told_apart.code[user]],
            protocol,
            resamples=resamples,
            seed=seed,
            k=k,
        )
        of_groups = result[protocol]["groups"]
        result[protocol]["groups"] = {level: of_groups[level] for level in told_apart.levels if level in of_groups}
    return result


def evaluate_predictions(
    targets: dict[str, Array],
    predictions: dict[str, dict[str, Array]],
    user: Array,
    group: Array,
    protocol: Protocol,
    *,
    resamples: int,
    seed: int,
    k: int = 3,
) -> dict[str, Any]:
    """The result of one protocol; the first of `predictions` is compared with the others by paired differences."""
    owners, owner = np.unique(user, return_inverse=True)
    rng = np.random.default_rng(np.random.SeedSequence([seed, len(owners)]))
    draws = np.vstack(
        [np.ones(len(owners)), rng.multinomial(len(owners), np.full(len(owners), 1 / len(owners)), resamples)]
    )
    samples = {
        name: _samples(targets, values, owner, np.ones(len(user), dtype=bool), draws, protocol, k)
        for name, values in predictions.items()
    }
    first, *others = samples
    result: dict[str, Any] = {"rows": len(user), "users": len(owners), "labels": _intervals(samples[first])}
    result["groups"] = {}
    for name in np.unique(group).tolist():
        own = group == name
        found = _samples(targets, predictions[first], owner, own, draws, protocol, k)
        result["groups"][name] = {"rows": int(own.sum()), "labels": _intervals(found)}
        if ALL_NEGATIVE in predictions:
            base = _samples(targets, predictions[ALL_NEGATIVE], owner, own, draws, protocol, k)
            result["groups"][name] |= {ALL_NEGATIVE: _intervals(base), "difference": _differences(found, base)}
    result["baselines"] = {name: {"labels": _intervals(samples[name])} for name in others}
    result["differences"] = {name: _differences(samples[first], samples[name]) for name in others}
    return result


def _differences(one: Samples, other: Samples) -> dict[str, dict[str, Interval]]:
    """By label and metric that both have, paired."""
    return _intervals(
        {
            label: {metric: one[label][metric] - values for metric, values in metrics.items() if metric in one[label]}
            for label, metrics in other.items()
            if label in one
        }
    )


Samples = dict[str, dict[str, npt.NDArray[np.float64]]]


def _samples(
    targets: dict[str, Array],
    predictions: dict[str, Array],
    owner: Array,
    chosen: Array,
    draws: Array,
    protocol: Protocol,
    k: int,
) -> Samples:
    """By label and metric: (1 + resamples,) the value, then those of the resamples."""
    found: Samples = {}
    for name, prediction in predictions.items():
        target = targets[name]
        keep = chosen & np.isfinite(target) & np.isfinite(prediction)
        if not keep.any():
            continue
        label, score, users = target[keep], prediction[keep], owner[keep]
        statistics = _of_flags(label, score, users, protocol) if name in (*FLAGS, "binary", "wtg_relevant") else {}
        if name in ("wtr", "wtr_clipped", "wtg"):
            statistics["rmse"] = _rmse(label, score, users)
            if name == "wtr":
                statistics["xauc"] = _xauc(label, score, users)
        if protocol == "frozen" and name in ("click", "long_view", "binary", "wtr", "wtg"):
            gain = targets["wtg"][keep]
            known = np.isfinite(gain)
            statistics.update(_top(users[known], score[known], gain[known], k))
        values = {metric: np.array([statistic(row) for row in draws]) for metric, statistic in statistics.items()}
        found[TITLES.get(name, name)] = values
    return found


def _of_flags(label: Array, score: Array, users: Array, protocol: Protocol) -> dict[str, Statistic]:
    order = np.argsort(score, kind="stable")
    label_, users_, score_ = label[order].astype(np.float64), users[order], score[order]
    statistics: dict[str, Statistic] = {
        "auc": lambda w: auc(label_, score_, w[users_]),
        "ece": lambda w: calibration_error(label_, score_, w[users_]),
        "base_rate": lambda w: float(np.average(label_, weights=w[users_])) if w[users_].sum() else float("nan"),
    }
    for metric in ("accuracy", "precision", "recall", "f1"):
        statistics[metric] = lambda w, m=metric: confusion_scores(label_ > 0.5, score_ > 0.5, w[users_])[m]  # type: ignore[misc]
    if protocol == "frozen":
        own, each, rows = user_auc(users, label, score)
        statistics["gauc"] = lambda w: float(np.average(each, weights=w[own] * rows)) if w[own].sum() else float("nan")
    return statistics


def _rmse(label: Array, score: Array, users: Array) -> Statistic:
    return lambda w: root_mean_square_error(label, score, w[users]) if w[users].sum() else float("nan")


def _xauc(label: Array, score: Array, users: Array) -> Statistic:
    one, two, right = pairs_in_order(label, score)

    def statistic(weight: Array) -> float:
        both = weight[users[one]] * weight[users[two]]
        return float(np.average(right, weights=both)) if both.sum() else float("nan")

    return statistic


def _top(users: Array, score: Array, gain: Array, k: int) -> dict[str, Statistic]:
    own, mean, discounted = top_gains(users, score, gain, k)

    def average(values: Array) -> Statistic:
        return lambda w: float(np.average(values, weights=w[own])) if w[own].sum() else float("nan")

    return {f"wtg@{k}": average(mean), f"dcwtg@{k}": average(discounted)}


def _intervals(samples: Samples) -> dict[str, dict[str, Interval]]:
    """Value and 95 % percentile interval of each metric."""
    told: dict[str, dict[str, Interval]] = {}
    for label, metrics in samples.items():
        told[label] = {}
        for metric, values in metrics.items():
            drawn = values[1:][np.isfinite(values[1:])]
            low, high = np.quantile(drawn, [0.025, 0.975]) if len(drawn) else (np.nan, np.nan)
            told[label][metric] = {
                name: None if not np.isfinite(value) else float(value)
                for name, value in (("mean", values[0]), ("low", low), ("high", high))
            }
    return told
