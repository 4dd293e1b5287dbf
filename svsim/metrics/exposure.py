"""How exposure is spread over videos or authors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["HEAD", "coverage", "gini", "lorenz_curve", "tail_share"]

HEAD = 0.2
"""Share of the items, the most popular ones, that are not the tail."""


def gini(exposures: npt.ArrayLike) -> float:
    """Gini coefficient of exposures: 0 when all have the same, 1 − 1/n when one of n has all; 0 for none.

    G = Σᵢ (2i − n − 1) xᵢ / (n Σ xᵢ) with x ascending and i from 1.

    Args:
        exposures: (n,) counts, none negative; those never exposed count as zeros.
    """
    values = np.sort(np.asarray(exposures, dtype=np.float64))
    n, total = len(values), values.sum()
    if not n or total == 0:
        return 0.0
    return float(((2 * np.arange(1, n + 1) - n - 1) * values).sum() / (n * total))


def lorenz_curve(exposures: npt.ArrayLike, shares: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Share of all exposures that the least exposed items have: the diagonal when all have the same.

    Linear between whole items, so that twice the area between it and the diagonal is `gini`.

    Args:
        exposures: (n,) counts, none negative; those never exposed count as zeros.
        shares: (S,) shares of the items, in [0, 1].

    Returns:
        (S,) float64; zeros where there was no exposure.
    """
    values = np.sort(np.asarray(exposures, dtype=np.float64))
    at = np.asarray(shares, dtype=np.float64)
    total = values.sum()
    if not len(values) or total == 0:
        return np.zeros_like(at)
    whole = np.arange(len(values) + 1) / len(values)
    return np.asarray(np.interp(at, whole, np.r_[0.0, np.cumsum(values)] / total), dtype=np.float64)


def coverage(exposures: npt.ArrayLike) -> float:
    """Share of the n items that were exposed at all; 0 for none."""
    values = np.asarray(exposures)
    return float(np.mean(values > 0)) if len(values) else 0.0


def tail_share(exposures: npt.ArrayLike, popularity: npt.ArrayLike) -> float:
    """Share of the exposures that went to the tail: all items but the `HEAD` of the most popular; 0 for no exposure.

    Args:
        exposures: (n,) counts.
        popularity: (n,) by which items are ranked, as their exposures in the training log; of equal ones the first counts
            as more popular.
    """
    values = np.asarray(exposures, dtype=np.float64)
    order = np.argsort(-np.asarray(popularity, dtype=np.float64), kind="stable")
    total = values.sum()
    return float(values[order[int(np.ceil(HEAD * len(values))) :]].sum() / total) if total else 0.0
