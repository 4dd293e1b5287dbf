"""What estimators take, by logged row: never rows × actions.

n rows of a log, each a context in which the behaviour policy chose an action a with probability p and a reward r came of
it; a target policy π is known by its weight w = π(a | x) / p there, by a model's q̂(x, a) of the logged action, and by
q̄(x) = Σ π(b | x) q̂(x, b).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.errors import OptionError

__all__ = ["BLOCK", "Rows", "as_clusters", "as_numbers", "check_finite", "check_range", "check_ratios", "checked_rows"]

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

SLACK = 1e-9
"""Rounding that a declared range forgives."""
BLOCK = 131_072
"""Rows looked at together where all of a log's would be too many: what is made of them stays in the processor's cache."""


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

    def parts(self, size: int) -> Iterator[Rows]:
        """The rows a block at a time, views of the same arrays; every block counts users as the whole does."""
        user, place = self.clusters
        given = [getattr(self, field.name) for field in fields(self)]
        for start in range(0, len(self), size):
            chosen = slice(start, start + size)
            parts: list[Any] = [None if array is None else array[chosen] for array in given]
            part = Rows(*parts)
            if place is not None:
                part.__dict__["clusters"] = user, place[chosen]
            yield part

    # Estimators of the same rows share what follows: finding users and summing weights costs more than an estimate does.

    @cached_property
    def clusters(self) -> tuple[Ints, Ints | None]:
        """(U,) users ascending, and (n,) the place of each row's among them; None where every row is a cluster."""
        return _by_user(self.user, len(self))

    @cached_property
    def user_rows(self) -> Floats:
        """(U,) numbers of rows."""
        user, place = self.clusters
        counts = np.ones(len(self)) if place is None else np.bincount(place, minlength=len(user))
        return counts.astype(np.float64)

    @cached_property
    def weight_sums(self) -> tuple[Floats, float]:
        """`sums_of_weight` of the weights; of the matches where there are none, of all rows alike without either."""
        if self.clusters[1] is None:
            return self.sums_of_weight(self._counted())
        sums, largest = np.zeros((len(self.clusters[0]), 3)), 0.0
        for part in self.parts(BLOCK):
            own, most = part.sums_of_weight(part._counted())
            sums += own
            largest = max(largest, most)
        return sums, largest

    def _counted(self) -> Floats:
        if self.weight is not None:
            return self.weight
        return np.ones(len(self)) if self.match is None else self.match.astype(np.float64)

    def sums_of_weight(self, weight: Floats) -> tuple[Floats, float]:
        """(U, 3) sums of w, w² and of rows of a w above 0; the largest w."""
        columns = (weight, weight * weight, (weight > 0).astype(np.float64))
        return np.stack([self.sum_by_user(column) for column in columns], axis=1), float(weight.max())

    def sum_by_user(self, values: Floats) -> Floats:
        """(U,) sums of (n,) numbers over each user's rows."""
        user, place = self.clusters
        return (
            values
            if place is None
            else np.asarray(np.bincount(place, weights=values, minlength=len(user)), dtype=np.float64)
        )


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
    if weights is not None:
        check_ratios(weights)
    if reward_range is not None:
        check_range("reward", rewards, *reward_range)
    return Rows(
        rewards,
        weights,
        None if q_logged is None else _numbers("q_logged", q_logged, n),
        None if q_expected is None else _numbers("q_expected", q_expected, n),
        None if match is None else _flags(match, n),
        None if user is None else as_clusters(user, n),
    )


def check_range(name: str, values: Floats, low: float, high: float) -> None:
    """Refuse numbers that lie outside their declared range.

    Args:
        name: Of one of them, as `reward`.
        values: (n,).
        low: The least that they can be.
        high: The most that they can be.

    Raises:
        OptionError: Such a number, or an empty range.
    """
    if not low < high:
        raise OptionError(f"expected a range such as (0, 1), found ({low:g}, {high:g})", where=f"{name} range")
    slack = SLACK * (high - low)
    out = np.flatnonzero((values < low - slack) | (values > high + slack))
    if len(out):
        raise OptionError(
            f"expected {name}s from {low:g} to {high:g}, found {values[out[0]]:g} in row {out[0]} ({len(out):,} such rows)",
            where=name,
            remedy="declare the range that they can have, not the one that they had",
        )


def as_numbers(name: str, values: npt.ArrayLike) -> Floats:
    """An array of numbers, of whatever shape.

    Raises:
        OptionError: It holds something else.
    """
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise OptionError("expected an array of numbers, found something else", where=name) from None


def check_finite(name: str, array: Floats, there: Flags | None = None) -> None:
    """Refuse numbers that are not finite.

    Args:
        name: Of the argument.
        array: (n,) or (n, L).
        there: Of the same shape: which of them count; None means all.

    Raises:
        OptionError: There is one.
    """
    wrong = np.argwhere(~np.isfinite(array) & (True if there is None else there))
    if len(wrong):
        raise OptionError(
            f"expected finite numbers, found {array[tuple(wrong[0])]} in {_place(wrong[0])}"
            f" ({len(wrong):,} such {'rows' if array.ndim == 1 else 'places'})",
            where=name,
        )


def check_ratios(weights: Floats) -> None:
    """Refuse (n,) or (n, L) ratios of probabilities below 0.

    Raises:
        OptionError: There is one.
    """
    wrong = np.argwhere(weights < 0)
    if len(wrong):
        raise OptionError(
            f"expected ratios of probabilities, 0 or more, found {weights[tuple(wrong[0])]:g} in {_place(wrong[0])}",
            where="weight",
            remedy="check the propensities that they were divided by",
        )


def as_clusters(values: npt.ArrayLike, n: int) -> Ints:
    """(n,) whole numbers that stand for users.

    Raises:
        OptionError: Another shape, or neither whole numbers nor texts.
    """
    array = np.asarray(values)
    _check_shape("user", array, n)
    if array.dtype.kind in "iu":
        return np.asarray(array, dtype=np.int64)
    if array.dtype.kind not in "US":
        raise OptionError(f"expected whole numbers or texts, found {array.dtype}", where="user")
    from pandas.util import hash_array

    # A hash, so that shards of a log name a user alike.
    return np.asarray(hash_array(array.astype(object)).view(np.int64))


def _place(index: Ints) -> str:
    return f"row {index[0]}" + "".join(f", place {number}" for number in index[1:])


def _numbers(name: str, values: npt.ArrayLike, n: int | None = None) -> Floats:
    array = as_numbers(name, values)
    _check_shape(name, array, n)
    check_finite(name, array)
    return array


def _flags(values: npt.ArrayLike, n: int) -> Flags:
    array = np.asarray(values)
    _check_shape("match", array, n)
    if array.dtype != bool:
        raise OptionError(f"expected an array of bool, found one of {array.dtype}", where="match")
    return array


def _check_shape(name: str, array: npt.NDArray[Any], n: int | None) -> None:
    if array.ndim != 1 or (n is not None and len(array) != n):
        expected = "one number a row" if n is None else f"{n:,} rows, one number each"
        raise OptionError(f"expected {expected}, found an array of shape {array.shape}", where=name)


def _by_user(user: Ints | None, n: int) -> tuple[Ints, Ints | None]:
    """The users ascending, and the place of each row's among them; None where every row is a cluster."""
    if user is None:
        return np.arange(n), None
    # Dense ids need no sort.
    if user.min() >= 0 and user.max() < 4 * n + 1_024:
        counts = np.bincount(user)
        known = np.flatnonzero(counts)
        if len(known) == len(counts):
            return known, user
        place = np.zeros(len(counts), dtype=np.int64)
        place[known] = np.arange(len(known))
        return known, place[user]
    known, place = np.unique(user, return_inverse=True)
    return known, place
