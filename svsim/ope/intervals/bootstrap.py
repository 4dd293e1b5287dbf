"""The bootstrap over users, from their sums.

Efron 1979; percentiles of the value over resampled users, each with all rows (`svsim.metrics.resampling`). Unlike the delta
method's, the interval may lie askew about the value, as the value's distribution does. With a few dozen users it is too
narrow, and it covers less than its level where a few rows carry the weights: resamples do not know of weights never drawn.
"""

from __future__ import annotations

import numpy as np

from svsim.errors import OptionError
from svsim.metrics.resampling import RESAMPLES, Resamples
from svsim.ope.intervals.delta import check_level
from svsim.ope.sums import UserSums

__all__ = ["bootstrap_interval"]


def bootstrap_interval(
    sums: UserSums, level: float = 0.95, *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Percentiles of the value over resampled users.

    Args:
        sums: Of G users.
        level: As 0.95.
        resamples: How many; those without a match have no value and are left out.
        seed: Of the draws.

    Returns:
        Its ends; NaN for one user alone, or without an estimate.

    Raises:
        OptionError: A level outside (0, 1), no resamples.
    """
    check_level(level)
    if resamples < 1:
        raise OptionError(f"expected at least one resample, found {resamples}", where="resamples")
    values = sums.values_of(Resamples(len(sums.user), seed=seed, count=resamples).totals(sums.sums))
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(values, [0.5 - level / 2, 0.5 + level / 2])
    return float(low), float(high)
