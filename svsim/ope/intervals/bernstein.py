"""Empirical Bernstein: an interval of the mean of bounded values that holds at any n, without an approximation.

Maurer, Pontil 2009, "Empirical Bernstein bounds and sample variance penalization", theorem 4: of n independent values in
[low, high] the mean lies with probability 1 − δ or more above

    x̄ − √(2 V ln(2/δ) / n) − 7 (high − low) ln(2/δ) / (3 (n − 1)),

V the sample variance (by n − 1); both sides at once take δ / 2 each. The range is what values can be, not what they were:
the sample's own is too narrow, most of all where a rare large weight has not come yet. It fails where values depend on one
another, as rows of one user do, and says little until n is many times (high − low) / √V.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from svsim.errors import OptionError
from svsim.ope.intervals.delta import check_level
from svsim.ope.rows import Floats, as_numbers, check_finite, check_range

__all__ = ["checked_values", "empirical_bernstein"]


def empirical_bernstein(
    values: npt.ArrayLike,
    low: float,
    high: float,
    level: float = 0.95,
    side: Literal["both", "lower", "upper"] = "both",
) -> tuple[float, float]:
    """An interval of the mean.

    Args:
        values: (n,) independent values.
        low: The least that a value can be.
        high: The most that a value can be.
        level: 1 − δ, as 0.95.
        side: `both`, or a bound on one side, `lower` or `upper`, alone.

    Returns:
        Its ends, which may lie outside the range; on the side without a bound the range's own end. NaN below two values.

    Raises:
        OptionError: Values out of the range or not finite, none of them, an empty range, a level outside (0, 1), an
            unknown side.
    """
    check_level(level)
    if side not in ("both", "lower", "upper"):
        raise OptionError(f"expected both, lower or upper, found {side!r}", where="side")
    array = checked_values(values, low, high)
    n = len(array)
    if n < 2:
        return float("nan"), float("nan")
    delta = (1 - level) / (2 if side == "both" else 1)
    log = float(np.log(2 / delta))
    mean = float(array.mean())
    half = float(np.sqrt(2 * array.var(ddof=1) * log / n)) + 7 * (high - low) * log / (3 * (n - 1))
    return (low if side == "upper" else mean - half), (high if side == "lower" else mean + half)


def checked_values(values: npt.ArrayLike, low: float, high: float) -> Floats:
    """(n,) values that lie in a declared range.

    Raises:
        OptionError: They do not, or are not finite, there are none, or the range is empty.
    """
    if not (low < high and np.isfinite(high - low)):
        raise OptionError(f"expected a range such as (0, 1), found ({low:g}, {high:g})", where="range")
    array = as_numbers("values", values)
    if array.ndim != 1 or len(array) == 0:
        raise OptionError(
            f"expected at least one number in a row, found an array of shape {array.shape}", where="values"
        )
    check_finite("values", array)
    check_range("value", array, low, high)
    return array
