"""Betting: an interval of the mean of bounded values that holds at any n, and at all times up to it at once.

Waudby-Smith, Ramdas 2024, "Estimating means of bounded random variables by betting", theorem 3 (hedged capital, θ = ½,
c = ½) with predictable plug-in bets. Values X_t are scaled to [0, 1]. Against each mean m one bets that values lie above it
and, with other money, that they lie below:

    K⁺_t(m) = Π (1 + min(λ_i, c / m) (X_i − m)),   K⁻_t(m) = Π (1 − min(λ_i, c / (1 − m)) (X_i − m)),
    λ_t = √(2 ln(2/α) / (σ̂²_(t−1) h)),   h = t ln(1 + t) for all times, h = n for the one after n values,

σ̂²_t = (¼ + Σ (X_i − μ̂_i)²) / (t + 1), μ̂_t = (½ + Σ X_i) / (t + 1). If m is the mean given what came before, neither
grows but by luck: it reaches 2/α at any time with probability α/2 (Ville). What reaches it is no mean, and is out for good.
K⁺ falls and K⁻ rises with m, so that what is left is an interval.

With h = n it is narrower than empirical Bernstein throughout. With h = t ln(1 + t) it may be looked at as values come, and
pays for it: from some thousand values on empirical Bernstein, which may not be, is narrower.

The order matters: values must come in random order. Of values sorted by size the interval is wrong, its ends even crossed.
It fails where values depend on one another, as rows of one user do.
"""

from __future__ import annotations

from typing import Literal, overload

import numpy as np
import numpy.typing as npt

from svsim.errors import OptionError
from svsim.ope.intervals.bernstein import checked_values
from svsim.ope.intervals.delta import check_level
from svsim.ope.rows import Floats, Ints

__all__ = ["betting"]

_TRUNCATION = 0.5
"""c: the share of its money that a bet can lose."""
_CELLS = 1 << 17
"""Rows times means at a time: a MiB."""
_FAN = 32
"""Cells within a cell, where the last end alone is sought."""


@overload
def betting(
    values: npt.ArrayLike,
    low: float,
    high: float,
    level: float = ...,
    *,
    grid: int = ...,
    running: Literal[False] = ...,
    seed: int | None = ...,
) -> tuple[float, float]: ...


@overload
def betting(
    values: npt.ArrayLike,
    low: float,
    high: float,
    level: float = ...,
    *,
    grid: int = ...,
    running: Literal[True],
    seed: int | None = ...,
) -> tuple[Floats, Floats]: ...


def betting(
    values: npt.ArrayLike,
    low: float,
    high: float,
    level: float = 0.95,
    *,
    grid: int = 1_000,
    running: bool = False,
    seed: int | None = None,
) -> tuple[float, float] | tuple[Floats, Floats]:
    """An interval of the mean, or a confidence sequence.

    Args:
        values: (n,) independent values in random order.
        low: The least that a value can be.
        high: The most that a value can be.
        level: 1 − α, as 0.95.
        grid: Cells that the range is cut into, whose borders the ends are rounded outwards to; where the last alone is
            asked for, grid² of them or more.
        running: Whether all times are asked for, with bets that look no further than the values so far: the mean lies
            within at every one of them with probability `level`, so that one may stop when one likes. Otherwise n must
            not depend on what the values were.
        seed: Shuffles the values; None leaves them as they come.

    Returns:
        Its ends after n values; when `running`, (n,) lower and (n,) upper ends after each of them.

    Raises:
        OptionError: Values out of the range or not finite, none of them, an empty range, a level outside (0, 1), a grid
            of fewer than two cells.
    """
    check_level(level)
    if grid < 2:
        raise OptionError(f"expected at least two cells, found {grid}", where="grid")
    array = checked_values(values, low, high)
    if seed is not None:
        array = np.random.default_rng(seed).permutation(array)
    # Rounding may have put a value just outside.
    scaled = np.clip((array - low) / (high - low), 0.0, 1.0)
    wealth = float(np.log(2 / (1 - level)))
    bets = _bets(scaled, wealth, running=running)
    # K⁻ of X at m is K⁺ of 1 − X at 1 − m, with the same bets.
    below, above = (_lower(side, bets, wealth, grid, running=running) for side in (scaled, 1.0 - scaled))
    ends = low + (high - low) * below, high - (high - low) * above
    return ends if running else (float(ends[0][-1]), float(ends[1][-1]))


def _bets(x: Floats, wealth: float, *, running: bool) -> Floats:
    """(n,) λ, each made of what came before."""
    n = len(x)
    time = np.arange(1, n + 1)
    mean = (0.5 + np.cumsum(x)) / (time + 1)
    variance = (0.25 + np.cumsum((x - mean) ** 2)) / (time + 1)
    before = np.concatenate([[0.25], variance[:-1]])
    horizon = time * np.log1p(time) if running else n
    return np.asarray(np.sqrt(2 * wealth / (before * horizon)))


def _lower(x: Floats, bets: Floats, wealth: float, grid: int, *, running: bool) -> Floats:
    """(n,) lower ends in [0, 1]; without `running` the last alone, (1,)."""
    if running:
        return np.asarray(_out(x, bets, wealth, np.arange(1, grid) / grid) / grid)
    low, width, borders = 0.0, 1.0, np.arange(1, _FAN, dtype=np.float64)
    while width * grid**2 > 1:
        width /= _FAN
        # The first mean that is left lies in the cell above.
        low += width * int(_out(x, bets, wealth, low + width * borders)[-1])
    return np.array([low])


def _out(x: Floats, bets: Floats, wealth: float, means: Floats) -> Ints:
    """(n,) how many of ascending means, the lowest ones, K⁺ has put out after each value."""
    out = np.empty(len(x), dtype=np.int64)
    capital, gone, start = np.zeros(len(means)), 0, 0
    limit = _TRUNCATION / means
    while start < len(x):
        if gone == len(means):
            out[start:] = gone
            break
        rows = slice(start, start + max(_CELLS // (len(means) - gone), 1))
        gain = np.minimum(bets[rows, None], limit[gone:])
        gain *= x[rows, None] - means[gone:]
        np.log1p(gain, out=gain)
        gain[0] += capital[gone:]
        np.cumsum(gain, axis=0, out=gain)
        capital[gone:] = gain[-1]
        out[rows] = gone + np.maximum.accumulate((gain >= wealth).sum(axis=1))
        gone, start = int(out[rows][-1]), rows.stop
    return out
