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
from svsim.ope.rows import Rows
from svsim.ope.sums import Terms, UserSums

__all__ = ["GUARD", "Tuned", "slope"]

GUARD = 100.0
"""Effective rows below which no constant is tuned, where the guard is asked for."""
LEVEL = 0.9
REACH = float(np.sqrt(6) - 1)


@dataclass(frozen=True)
class Tuned:
    """A chosen constant."""

    constant: float
    terms: Terms
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
        terms = estimator.terms(rows, largest)
        if UserSums.of(terms, rows).effective_size < guard:
            return Tuned(largest, terms, True)
    means, widths = {}, {}
    for constant in estimator.grid:
        # Not kept: terms of all constants would be most of the memory.
        means[constant], widths[constant] = _mean_width(estimator.terms(rows, constant))
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
    return Tuned(chosen, estimator.terms(rows, chosen), False)


def _mean_width(terms: Terms) -> tuple[float, float]:
    from scipy import stats

    plain = terms.plain
    assert plain is not None, "estimators with a constant are plain means"
    n = len(plain)
    if n < 2:
        return float(plain.mean()), np.inf
    t = float(stats.t.ppf(LEVEL, n - 1))
    return float(plain.mean()), t * float(np.std(plain, ddof=1)) / float(np.sqrt(n))
