"""How well scores tell a yes from a no, and how well predictions fit: weighted, so that users can be resampled."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["auc", "calibration_error", "confusion_scores", "pairs_in_order", "root_mean_square_error", "user_auc"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]


def auc(label: npt.ArrayLike, score: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
    """Area under the ROC curve: P(score of a positive > score of a negative), ties half; NaN with one class.

    Args:
        label: (n,) 0 or 1.
        score: (n,) higher means yes.
        weight: (n,) of each row; by default all alike.
    """
    label, score = np.asarray(label, dtype=np.float64), np.asarray(score)
    weight = np.ones(len(label)) if weight is None else np.asarray(weight, dtype=np.float64)
    order = np.argsort(score, kind="stable")
    return _sorted_auc(label[order], _ties(score[order]), weight[order])


def _ties(ordered: Array) -> Array:
    """(n,) number of the group of equal scores of each sorted row."""
    return np.cumsum(np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]) - 1


def _sorted_auc(label: Floats, group: Array, weight: Floats) -> float:
    positive = np.bincount(group, weights=weight * label)
    negative = np.bincount(group, weights=weight * (1 - label))
    below = np.cumsum(negative) - negative
    pairs = positive.sum() * negative.sum()
    return float((positive * (below + negative / 2)).sum() / pairs) if pairs > 0 else float("nan")


def user_auc(user: npt.ArrayLike, label: npt.ArrayLike, score: npt.ArrayLike) -> tuple[Array, Floats, Floats]:
    """AUC within each user, of those with both classes.

    GAUC = Σ rows of u · AUC of u / Σ rows of u over these users (Zhou et al. 2018, "Deep interest network").

    Args:
        user: (n,) ids.
        label: (n,) 0 or 1.
        score: (n,) higher means yes.

    Returns:
        Users with both classes, ascending; their AUC; their rows.
    """
    user, label, score = np.asarray(user), np.asarray(label, dtype=np.float64), np.asarray(score)
    order = np.lexsort((score, user))
    user, label, score = user[order], label[order], score[order]
    group = _ties(score) if len(score) else np.zeros(0, dtype=np.int64)
    fresh = np.append(True, (user[1:] != user[:-1]) | (score[1:] != score[:-1]))[: len(user)]
    group = np.cumsum(fresh) - 1
    owners, owner = np.unique(user, return_inverse=True)
    owner_of_group = owner[fresh]
    positive, negative = np.bincount(group, weights=label), np.bincount(group, weights=1 - label)
    total = np.bincount(owner_of_group, weights=negative, minlength=len(owners))
    before = np.concatenate([[0.0], np.cumsum(total)])[owner_of_group]
    below = np.cumsum(negative) - negative - before
    won = np.bincount(owner_of_group, weights=positive * (below + negative / 2), minlength=len(owners))
    positives = np.bincount(owner, weights=label, minlength=len(owners))
    rows = np.bincount(owner, minlength=len(owners)).astype(np.float64)
    both = (positives > 0) & (positives < rows)
    return owners[both], won[both] / (positives * (rows - positives))[both], rows[both]


def confusion_scores(
    label: npt.ArrayLike, chosen: npt.ArrayLike, weight: npt.ArrayLike | None = None
) -> dict[str, float]:
    """Accuracy, precision, recall and F1 of yes-or-no answers; precision and F1 are 0 where nothing is a yes."""
    label, chosen = np.asarray(label, dtype=bool), np.asarray(chosen, dtype=bool)
    weight = np.ones(len(label)) if weight is None else np.asarray(weight, dtype=np.float64)
    both, said, true = weight[label & chosen].sum(), weight[chosen].sum(), weight[label].sum()
    return {
        "accuracy": float(weight[label == chosen].sum() / weight.sum()) if weight.sum() else float("nan"),
        "precision": float(both / said) if said else 0.0,
        "recall": float(both / true) if true else float("nan"),
        "f1": float(2 * both / (said + true)) if said + true else 0.0,
    }


def calibration_error(
    label: npt.ArrayLike, probability: npt.ArrayLike, weight: npt.ArrayLike | None = None, bins: int = 15
) -> float:
    """Expected calibration error: Σ over bins of equal mass of (share of rows) · |mean label − mean probability|.

    Source: Naeini et al. 2015; bins of equal mass as Nguyen and O'Connor 2015.
    """
    label, probability = np.asarray(label, dtype=np.float64), np.asarray(probability, dtype=np.float64)
    weight = np.ones(len(label)) if weight is None else np.asarray(weight, dtype=np.float64)
    place = np.empty(len(label), dtype=np.int64)
    place[np.argsort(probability, kind="stable")] = np.arange(len(label)) * bins // max(len(label), 1)
    gap = np.bincount(place, weights=weight * (label - probability), minlength=bins)
    return float(np.abs(gap).sum() / weight.sum()) if weight.sum() else float("nan")


def root_mean_square_error(
    value: npt.ArrayLike, prediction: npt.ArrayLike, weight: npt.ArrayLike | None = None
) -> float:
    """√ mean (value − prediction)²."""
    squares = (np.asarray(value, dtype=np.float64) - np.asarray(prediction, dtype=np.float64)) ** 2
    weights = None if weight is None else np.asarray(weight, dtype=np.float64)
    return float(np.sqrt(np.average(squares, weights=weights))) if len(squares) else float("nan")


def pairs_in_order(
    value: npt.ArrayLike, prediction: npt.ArrayLike, *, pairs: int = 200_000, seed: int = 0
) -> tuple[Array, Array, Floats]:
    """Drawn pairs of rows of different value, and whether the prediction orders them so: 1, a tie ½, else 0.

    XAUC is the mean over pairs (Zhan et al. 2022, "Deconfounding duration bias in watch-time prediction").

    Returns:
        The pairs' rows (two arrays) and the verdicts.
    """
    value, prediction = np.asarray(value, dtype=np.float64), np.asarray(prediction, dtype=np.float64)
    if len(value) < 2:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0)
    rng = np.random.default_rng(seed)
    one, two = rng.integers(0, len(value), (2, pairs))
    keep = value[one] != value[two]
    one, two = one[keep], two[keep]
    agreement = np.sign(value[one] - value[two]) * np.sign(prediction[one] - prediction[two])
    return one, two, (agreement + 1) / 2
