"""What estimators take, by logged row: never rows × actions.

n rows of a log, each a context in which the behaviour policy chose an action a with probability p and a reward r came of
it; a target policy π is known by its weight w = π(a | x) / p there, by a model's q̂(x, a) of the logged action, and by
q̄(x) = Σ π(b | x) q̂(x, b).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.errors import OptionError

__all__ = ["Rows", "checked_rows"]

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

SLACK = 1e-9
"""Rounding that a declared range forgives."""


@dataclass(frozen=True)
class Rows:
    """Checked arrays of n rows; what an estimator does not need may be missing."""

    reward: Floats
    """(n,) r."""
    weight: Floats | None
    """(n,) w = π(a | x) / p."""
    q_logged: Floats | None
    """(n,) q̂(x, a)."""
    q_expected: Floats | None
    """(n,) q̄(x)."""
    match: Flags | None
    """(n,) whether the target would have chosen the logged action."""
    user: Ints | None
    """(n,) clusters; None: every row by itself."""

    def __len__(self) -> int:
        return len(self.reward)


def checked_rows(
    *,
    reward: npt.ArrayLike,
    weight: npt.ArrayLike | None = None,
    q_logged: npt.ArrayLike | None = None,
    q_expected: npt.ArrayLike | None = None,
    match: npt.ArrayLike | None = None,
    user: npt.ArrayLike | None = None,
    reward_range: tuple[float, float] | None = None,
) -> Rows:
    """Check arrays and gather them.

    Args:
        reward: (n,) r.
        weight: (n,) w, 0 or more.
        q_logged: (n,) q̂(x, a).
        q_expected: (n,) q̄(x).
        match: (n,) bool.
        user: (n,) whole numbers or texts.
        reward_range: What rewards are declared to lie in, both ends included.

    Raises:
        OptionError: No rows, other lengths, numbers that are not finite, weights below 0, rewards out of their range.
    """
    rewards = _numbers("reward", reward)
    n = len(rewards)
    if n == 0:
        raise OptionError("expected at least one row, found none", where="reward")
    weights = None if weight is None else _numbers("weight", weight, n)
    if weights is not None and (weights < 0).any():
        row = int(np.flatnonzero(weights < 0)[0])
        raise OptionError(
            f"expected ratios of probabilities, 0 or more, found {weights[row]:g} in row {row}",
            where="weight",
            remedy="check the propensities that they were divided by",
        )
    if reward_range is not None:
        check_range(rewards, *reward_range)
    return Rows(
        rewards,
        weights,
        None if q_logged is None else _numbers("q_logged", q_logged, n),
        None if q_expected is None else _numbers("q_expected", q_expected, n),
        None if match is None else _flags(match, n),
        None if user is None else _clusters(user, n),
    )


def check_range(rewards: Floats, low: float, high: float) -> None:
    """Refuse rewards that lie outside their declared range.

    Raises:
        OptionError: Such a reward, or an empty range.
    """
    if not low < high:
        raise OptionError(f"expected a range such as (0, 1), found ({low:g}, {high:g})", where="reward range")
    slack = SLACK * (high - low)
    out = np.flatnonzero((rewards < low - slack) | (rewards > high + slack))
    if len(out):
        raise OptionError(
            f"expected rewards from {low:g} to {high:g}, found {rewards[out[0]]:g} in row {out[0]} ({len(out):,} such rows)",
            where="reward",
            remedy="declare the range that the rewards have",
        )


def _numbers(name: str, values: npt.ArrayLike, n: int | None = None) -> Floats:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise OptionError("expected an array of numbers, found something else", where=name) from None
    _check_shape(name, array, n)
    wrong = np.flatnonzero(~np.isfinite(array))
    if len(wrong):
        raise OptionError(
            f"expected finite numbers, found {array[wrong[0]]} in row {wrong[0]} ({len(wrong):,} such rows)", where=name
        )
    return array


def _flags(values: npt.ArrayLike, n: int) -> Flags:
    array = np.asarray(values)
    _check_shape("match", array, n)
    if array.dtype != bool:
        raise OptionError(f"expected an array of bool, found one of {array.dtype}", where="match")
    return array


def _clusters(values: npt.ArrayLike, n: int) -> Ints:
    array = np.asarray(values)
    _check_shape("user", array, n)
    if array.dtype.kind in "iu":
        return np.asarray(array, dtype=np.int64)
    if array.dtype.kind not in "US":
        raise OptionError(f"expected whole numbers or texts, found {array.dtype}", where="user")
    return np.unique(array, return_inverse=True)[1].astype(np.int64)


def _check_shape(name: str, array: npt.NDArray[Any], n: int | None) -> None:
    if array.ndim != 1 or (n is not None and len(array) != n):
        expected = "one number a row" if n is None else f"{n:,} rows, one number each"
        raise OptionError(f"expected {expected}, found an array of shape {array.shape}", where=name)
