"""Sums by user: all that a value and its clustered interval need of the rows.

An estimator turns rows into terms (c, a, b), and

    V = Σ c / n + Σ a / Σ b

with c the part that is a plain mean and a / b a ratio of sums (b = 1 for another plain mean). Sums by user merge: those of
shards of a log, added user by user, are those of the whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from svsim.errors import OptionError
from svsim.ope.rows import BLOCK, Rows

__all__ = ["Terms", "UserSums"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Terms:
    """An estimator's terms by row; None stands for zeros in `base`, for ones in `denominator`, for w in `counted`."""

    numerator: Floats
    """(n,) a."""
    denominator: Floats | None = None
    """(n,) b."""
    base: Floats | None = None
    """(n,) c."""
    counted: Floats | None = None
    """(n,) what the effective size and matches are counted by, for an estimator that does not weigh by w."""

    @property
    def plain(self) -> Floats | None:
        """(n,) numbers whose mean is the value; None where the value is a ratio of sums."""
        if self.denominator is not None:
            return None
        return self.numerator if self.base is None else self.base + self.numerator


_ROWS, _BASE, _NUMERATOR, _DENOMINATOR, _WEIGHT, _SQUARE, _MATCHES = range(7)


@dataclass(frozen=True)
class UserSums:
    """Sums of U users, ascending by id.

    Attributes:
        user: (U,) ids.
        sums: (U, 7) rows, c, a, b, w, w², matches (rows of a weight above 0).
        largest: The largest weight.
        by_row: Whether every row stands for itself, so that the ids name nobody.
    """

    user: Ints
    sums: Floats
    largest: float
    by_row: bool = False

    @classmethod
    def of(cls, terms: Terms, rows: Rows) -> Self:
        """Sum the terms of rows by their user."""
        return cls.summed(lambda _: terms, rows, len(rows))

    @classmethod
    def summed(cls, make: Callable[[Rows], Terms], rows: Rows, block: int | None = None) -> Self:
        """Sum terms by user, a block of rows at a time: nothing as long as the log is made but what `rows` holds.

        Args:
            make: Terms of the rows that it is given.
            rows: n rows.
            block: Rows at a time, by default `BLOCK`; all at once where every row is a cluster.
        """
        user, place = rows.clusters
        sums, largest = np.zeros((len(user), 7)), 0.0
        sums[:, _ROWS] = rows.user_rows
        for part in rows.parts((block or BLOCK) if place is not None else len(rows)):
            terms = make(part)
            if terms.base is not None:
                sums[:, _BASE] += part.sum_by_user(terms.base)
            sums[:, _NUMERATOR] += part.sum_by_user(terms.numerator)
            if terms.denominator is not None:
                sums[:, _DENOMINATOR] += part.sum_by_user(terms.denominator)
            if terms.counted is not None:
                counted, most = part.sums_of_weight(terms.counted)
                sums[:, _WEIGHT:] += counted
                largest = max(largest, most)
        if terms.denominator is None:
            sums[:, _DENOMINATOR] = rows.user_rows
        if terms.counted is None:
            sums[:, _WEIGHT:], largest = rows.weight_sums
        return cls(user, sums, largest, by_row=place is None)

    def merge(self, other: UserSums) -> UserSums:
        """The sums of two shards together; a user's ids must be the same in both.

        Raises:
            OptionError: The users of one are told, those of the other are not.
        """
        if self.by_row != other.by_row:
            raise OptionError("expected users in both shards or in neither, found them in one", where="merge")
        largest = max(self.largest, other.largest)
        if self.by_row:
            sums = np.concatenate([self.sums, other.sums])
            return UserSums(np.arange(len(sums)), sums, largest, by_row=True)
        user, place = np.unique(np.concatenate([self.user, other.user]), return_inverse=True)
        sums = np.zeros((len(user), self.sums.shape[1]))
        # One after the other, so that the merged sums do not depend on how numpy adds.
        sums[place[: len(self.user)]] += self.sums
        sums[place[len(self.user) :]] += other.sums
        return UserSums(user, sums, largest)

    @cached_property
    def total(self) -> Floats:
        """(7,) sums over all users."""
        return np.asarray(self.sums.sum(axis=0))

    @property
    def rows(self) -> int:
        """Number of rows."""
        return round(float(self.total[_ROWS]))

    @property
    def matches(self) -> int:
        """Rows of a weight above 0."""
        return round(float(self.total[_MATCHES]))

    @property
    def effective_size(self) -> float:
        """(Σ w)² / Σ w² (Kish 1965); 0 without a match."""
        squares = float(self.total[_SQUARE])
        return float(self.total[_WEIGHT]) ** 2 / squares if squares > 0 else 0.0

    @property
    def mean_weight(self) -> float:
        """Σ w / n, whose expectation is 1."""
        return float(self.total[_WEIGHT] / self.total[_ROWS])

    @property
    def mean_weight_error(self) -> float:
        """Standard error of `mean_weight`, clustered by user; NaN for one user alone."""
        users = len(self.user)
        if users < 2:
            return float("nan")
        influence = (self.sums[:, _WEIGHT] - self.mean_weight * self.sums[:, _ROWS]) / self.total[_ROWS]
        return float(np.sqrt(users / (users - 1) * (influence @ influence)))

    @property
    def value(self) -> float:
        """V; NaN where nothing stands below the fraction."""
        return float(self.values_of(self.total[None, :])[0])

    def values_of(self, totals: Floats) -> Floats:
        """(R,) V of (R, 7) sums, as those of resampled users."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = totals[:, _NUMERATOR] / totals[:, _DENOMINATOR]
            value = totals[:, _BASE] / totals[:, _ROWS] + ratio
        return np.where(totals[:, _DENOMINATOR] != 0, value, np.nan)

    def user_means(self) -> Floats:
        """(U,) mean of c + a over each user's rows: what V is the mean of, row by row, where it is a plain mean."""
        return np.asarray((self.sums[:, _BASE] + self.sums[:, _NUMERATOR]) / self.sums[:, _ROWS])

    def influence(self) -> Floats:
        """(U,) what each user moves the value by, to first order; they sum to 0.

        Of V = Σ c / n + Σ a / Σ b it is (C_u − n_u c̄) / n + (A_u − B_u ā) / Σ b, c̄ = Σ c / n and ā = Σ a / Σ b.
        """
        total = self.total
        if total[_DENOMINATOR] == 0:
            return np.full(len(self.user), np.nan)
        mean = total[_BASE] / total[_ROWS]
        ratio = total[_NUMERATOR] / total[_DENOMINATOR]
        plain = (self.sums[:, _BASE] - mean * self.sums[:, _ROWS]) / total[_ROWS]
        return np.asarray(plain + (self.sums[:, _NUMERATOR] - ratio * self.sums[:, _DENOMINATOR]) / total[_DENOMINATOR])
