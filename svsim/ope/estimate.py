"""One estimate, with its interval."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from svsim.errors import OptionError, UnknownNameError
from svsim.ope.estimators import ESTIMATORS
from svsim.ope.intervals.delta import delta_interval, standard_error
from svsim.ope.rows import Rows, checked_rows
from svsim.ope.slope import slope
from svsim.ope.sums import Terms, UserSums

__all__ = ["LITTLE", "Estimate", "OPEWarning", "estimate", "estimate_rows"]

LITTLE = 100.0
"""Effective rows below which an estimate is not to be relied on."""
TUNED = {"ips_slope": "ips_clip", "dr_slope": "dr_clip", "switch_dr_slope": "switch_dr", "dros_slope": "dros"}
"""Names of estimators whose constant SLOPE chooses."""


class OPEWarning(UserWarning):
    """An estimate that could not be made, or that says little."""


@dataclass(frozen=True)
class Estimate:
    """A value, and what its intervals are made of.

    Attributes:
        name: The estimator.
        sums: Its terms by user.
        constant: Clip, switch or shrinkage that it used; None where it has none.
        guarded: Whether too few effective rows kept SLOPE from choosing.
    """

    name: str
    sums: UserSums
    constant: float | None = None
    guarded: bool = False

    @property
    def value(self) -> float:
        """The estimate; NaN where there is none."""
        return self.sums.value

    @property
    def ess(self) -> float:
        """Effective sample size of the weights, (Σ w)² / Σ w²; the number of rows for an estimator without weights."""
        return self.sums.effective_size

    @property
    def matches(self) -> int:
        """Rows of a weight above 0."""
        return self.sums.matches

    @property
    def largest_weight(self) -> float:
        """The largest weight."""
        return self.sums.largest

    @property
    def standard_error(self) -> float:
        """By the delta method, clustered by user."""
        return standard_error(self.sums)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader should know before relying on it."""
        told = []
        if np.isnan(self.value):
            told.append("no match: there is no estimate")
        elif self.ess < LITTLE:
            told.append(f"{self.ess:.0f} effective rows")
        if len(self.sums.user) < 2:
            told.append("one user alone: there is no interval")
        if self.guarded:
            told.append("too few effective rows to choose a constant")
        return tuple(told)

    def interval(
        self,
        level: float = 0.95,
        method: Literal["delta", "bootstrap"] = "delta",
        *,
        resamples: int = 1_000,
        seed: int = 0,
    ) -> tuple[float, float]:
        """An interval of a level, clustered by user.

        Args:
            level: As 0.95.
            method: `delta`: linearised, Student's t over the users; `bootstrap`: percentiles over resampled users.
            resamples: Of the bootstrap.
            seed: Of its draws.

        Returns:
            Its ends; NaN where there is no estimate or one user alone.

        Raises:
            OptionError: A level outside (0, 1), an unknown method.
        """
        if method == "delta":
            return delta_interval(self.sums, level)
        if method == "bootstrap":
            from svsim.ope.intervals.bootstrap import bootstrap_interval

            return bootstrap_interval(self.sums, level, resamples=resamples, seed=seed)
        raise OptionError(f"expected delta or bootstrap, found {method!r}", where="interval method")


def estimate(
    name: str,
    *,
    reward: npt.ArrayLike,
    weight: npt.ArrayLike | None = None,
    q_logged: npt.ArrayLike | None = None,
    q_expected: npt.ArrayLike | None = None,
    user: npt.ArrayLike | None = None,
    constant: float | Literal["slope"] | None = None,
    match: npt.ArrayLike | None = None,
    reward_range: tuple[float, float] | None = None,
) -> Estimate:
    """Estimate a policy's value from a log of n rows.

    Args:
        name: One of `ESTIMATORS`: `replay`, `dm`, `ips`, `ips_clip`, `snips`, `mips`, `dr`, `dr_clip`, `sndr`,
            `switch_dr`, `dros`, `mrdr`; `ips_slope`, `dr_slope`, `switch_dr_slope`, `dros_slope` are those with the
            constant that SLOPE chooses.
        reward: (n,) what came of the logged actions.
        weight: (n,) probability of the logged action under the target over that under the log; of its group for `mips`.
        q_logged: (n,) a model's expectation for the logged action, fitted on other rows.
        q_expected: (n,) the same model's expectation under the target.
        user: (n,) who each row is of: rows of a user are not independent. None takes every row by itself.
        constant: Clip, switch or shrinkage, 0 and inf included; None or `slope` leaves it to SLOPE.
        match: (n,) bool, for `replay`: whether the target would have acted as logged.
        reward_range: What the rewards are declared to lie in.

    Returns:
        The estimate: `.value`, `.interval(level)`, `.ess`. Without a match, where an estimator needs one, the value is NaN
        and an `OPEWarning` says so.

    Raises:
        UnknownNameError: There is no such estimator.
        OptionError: Arrays, a weight, a reward or a constant that cannot be; something that the estimator needs is missing.
    """
    rows = checked_rows(
        reward=reward,
        weight=weight,
        q_logged=q_logged,
        q_expected=q_expected,
        match=match,
        user=user,
        reward_range=reward_range,
    )
    found = estimate_rows(name, rows, constant)
    if np.isnan(found.value):
        warnings.warn(f"{name}: the target agrees with no row of the log: no estimate", OPEWarning, stacklevel=2)
    return found


def estimate_rows(
    name: str, rows: Rows, constant: float | Literal["slope"] | None = None, *, guard: float = 0.0
) -> Estimate:
    """`estimate` of checked rows.

    Args:
        name: The estimator.
        rows: n rows.
        constant: As of `estimate`.
        guard: Effective rows that SLOPE asks for, see `svsim.ope.slope`.
    """
    kind = TUNED.get(name, name)
    if kind not in ESTIMATORS:
        raise UnknownNameError(f"expected one of {', '.join([*ESTIMATORS, *TUNED])}, found {name!r}", where="estimator")
    estimator = ESTIMATORS[kind]
    if estimator.grid and (name in TUNED or constant is None or constant == "slope"):
        if name in TUNED and isinstance(constant, int | float):
            raise OptionError(f"expected no constant, since SLOPE chooses it, found {constant}", where=name)
        tuned = slope(estimator, rows, guard=guard)
        return Estimate(name, UserSums.of(tuned.terms, rows), tuned.constant, tuned.guarded)
    if isinstance(constant, str):
        raise OptionError(f"expected no constant, found {constant!r}", where=f"estimator {name}")
    terms: Terms = estimator.terms(rows, constant)
    return Estimate(name, UserSums.of(terms, rows), constant)
