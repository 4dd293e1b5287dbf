"""Intervals of a share: k successes in n independent trials, as the clicks among the rows that replay keeps.

Wilson 1927, "Probable inference, the law of succession, and statistical inference", inverts the score test: its coverage
is the level on average, and dips below it at some shares. Clopper, Pearson 1934, "The use of confidence or fiducial
limits", inverts the exact test: it never covers less, and is wider. Both fail where trials depend on one another, as rows
of one user do.
"""

from __future__ import annotations

from typing import Literal

from svsim.errors import OptionError
from svsim.ope.intervals.delta import check_level

__all__ = ["clopper_pearson", "wilson"]


def wilson(successes: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval, without a correction for continuity.

    Args:
        successes: k, from 0 to n.
        trials: n.
        level: As 0.95.

    Returns:
        Its ends, in [0, 1]; NaN without a trial.

    Raises:
        OptionError: Counts that cannot be, a level outside (0, 1).
    """
    return _interval(successes, trials, level, "wilson")


def clopper_pearson(successes: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """The exact interval; arguments and errors as of `wilson`."""
    return _interval(successes, trials, level, "exact")


def _interval(successes: int, trials: int, level: float, method: Literal["wilson", "exact"]) -> tuple[float, float]:
    from scipy import stats

    check_level(level)
    if trials < 0 or not float(trials).is_integer():
        raise OptionError(f"expected a whole number, 0 or more, found {trials}", where="trials")
    if not 0 <= successes <= trials or not float(successes).is_integer():
        raise OptionError(
            f"expected a whole number from 0 to {trials}, the trials, found {successes}", where="successes"
        )
    if trials == 0:
        return float("nan"), float("nan")
    found = stats.binomtest(int(successes), int(trials)).proportion_ci(confidence_level=level, method=method)
    return float(found.low), float(found.high)
