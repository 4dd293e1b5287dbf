"""SLOPE: how much to clip, switch or shrink, from the log alone.

Lepski's principle (Su, Srinath, Krishnamurthy 2020, "Adaptive estimator selection for off-policy evaluation"; ordered by
width as in Tucker, Lee 2021): estimates go from the widest interval, which is the least biased, to the narrowest; the last
one counts that lies within the reach of all before it,

    |V_i − V_j| ≤ width_i + (√6 − 1) width_j   for all j before i,

with widths t_(.9, n − 1) · s / √n, and of equally wide ones the largest constant. It trusts the widths. With few effective
rows the widest is too narrow to be trusted and SLOPE walks to a narrow, wrong one; the guard then keeps the least biased
constant.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from svsim.ope.estimators import Estimator
from svsim.ope.rows import BLOCK, Rows

__all__ = ["GUARD", "Tuned", "slope"]

GUARD = 100.0
"""Effective rows below which no constant is tuned, where the guard is asked for."""
LEVEL = 0.9
REACH = float(np.sqrt(6) - 1)


@dataclass(frozen=True)
class Tuned:
    """A chosen constant."""

    constant: float
    guarded: bool
    """Whether the effective sample size was too small to tune, so that the least biased constant was kept."""


def slope(estimator: Estimator, rows: Rows, *, guard: float = 0.0) -> Tuned:
    """Choose a constant of an estimator's grid.

    Args:
        estimator: One with a grid.
        rows: n rows.
        guard: Effective sample size of the weights below which the largest constant is kept.
    """
    largest = max(estimator.grid)
    if guard > 0:
        sums, _ = rows.weight_sums
        total, squares, _ = sums.sum(axis=0)
        if total**2 < guard * squares or not squares:
            return Tuned(largest, True)
    means, widths = {}, {}
    for constant in estimator.grid:
        means[constant], widths[constant] = _mean_width(estimator, rows, constant)
    # Among equal widths the larger constant, which is less biased, comes first.
    order = sorted(widths, key=lambda constant: (-widths[constant], -constant))
    chosen = order[0]
    for place, constant in enumerate(order[1:], 1):
        apart = (abs(means[constant] - means[before]) - REACH * widths[before] for before in order[:place])
        if max(apart) > widths[constant]:
            break
        # What is no narrower has nothing to offer for its bias.
        if widths[constant] < widths[chosen]:
            chosen = constant
    return Tuned(chosen, False)


def _mean_width(estimator: Estimator, rows: Rows, constant: float) -> tuple[float, float]:
    """Of the terms' mean; blocks of rows stay in the cache, and terms of all constants would be most of the memory."""
    from scipy import stats

    n, mean, squares = 0, 0.0, 0.0
    for part in rows.parts(BLOCK):
        plain = estimator.terms(part, constant).plain
        assert plain is not None, "estimators with a constant are plain means"
        size, own = len(plain), float(plain.mean())
        plain = plain - own
        # Chan, Golub, LeVeque 1983: two sets' squares about their own means, put together.
        squares += float(plain @ plain) + (own - mean) ** 2 * n * size / (n + size)
        mean += (own - mean) * size / (n + size)
        n += size
    if n < 2:
        return mean, np.inf
    return mean, float(stats.t.ppf(LEVEL, n - 1)) * float(np.sqrt(squares / (n - 1) / n))
