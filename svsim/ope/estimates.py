"""One estimate, with its interval."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt

from svsim.errors import OptionError, UnknownNameError
from svsim.ope.estimators import ESTIMATORS, Estimator
from svsim.ope.intervals.delta import delta_interval, standard_error
from svsim.ope.rows import Rows, checked_rows
from svsim.ope.slope import slope
from svsim.ope.sums import Terms, UserSums

__all__ = ["LITTLE", "Estimate", "OPEWarning", "estimate", "estimate_rows"]

LITTLE = 100.0
"""Effective rows below which an estimate is not to be relied on."""
FAR = 6.0
"""Standard errors from 1 at which a mean weight is no accident."""
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
        terms: Makes its terms by row, for the intervals that take rows; None where only the sums were kept.
    """

    name: str
    sums: UserSums
    constant: float | None = None
    guarded: bool = False
    terms: Callable[[], Terms] | None = None

    @property
    def value(self) -> float:
        """The estimate; NaN where there is none.

        One that rests on weights alone, as `ips`, has none without a row of a weight above 0: its mean of zeros speaks of no
        reward, and means over many logs are to be taken of `sums.value`, which is 0 there and without bias.
        """
        return float("nan") if self._needs_match and self.matches == 0 else self.sums.value

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
        """By the delta method, clustered by user; NaN for one user alone, or without an estimate."""
        return float("nan") if np.isnan(self.value) else standard_error(self.sums)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader should know before relying on it."""
        told = []
        if np.isnan(self.value):
            told.append("no match: there is no estimate")
        elif self.matches == 0 and "q_expected" in self._needs:
            told.append("no match: the model alone speaks")
        elif self.ess < LITTLE:
            told.append(f"{self.ess:.0f} effective rows")
        if len(self.sums.user) < 2:
            told.append("one user alone: there is no interval")
        far = abs(self.sums.mean_weight - 1) > FAR * self.sums.mean_weight_error
        if far and self.matches and "weight" in self._needs:
            told.append(f"mean weight {self.sums.mean_weight:.2f}: ratios of probabilities have a mean of 1")
        if self.guarded:
            told.append("too few effective rows to choose a constant")
        return tuple(told)

    @property
    def _needs(self) -> tuple[str, ...]:
        kind = TUNED.get(self.name, self.name)
        # Shards and users' own estimators have other names.
        return ESTIMATORS[kind].needs if kind in ESTIMATORS else ()

    @property
    def _needs_match(self) -> bool:
        return "weight" in self._needs and not {"q_logged", "q_expected"} & set(self._needs)

    def interval(
        self,
        level: float = 0.95,
        method: Literal["delta", "bootstrap", "bernstein", "betting", "wilson", "exact"] = "delta",
        *,
        resamples: int = 1_000,
        seed: int = 0,
        term_range: tuple[float, float] | None = None,
    ) -> tuple[float, float]:
        """An interval of a level.

        Rows of a user may depend on one another for `delta` and `bootstrap`. The other four take all rows as independent,
        whatever user they are of: with several rows a user they are too narrow.

        Args:
            level: As 0.95.
            method: Clustered by user: `delta`: linearised, Student's t over the users; `bootstrap`: percentiles over
                resampled users. Of independent rows, without an approximation, where the value is a plain mean of terms:
                `bernstein` and `betting` (`svsim.ope.intervals`), clipped to `term_range`. Of independent rows, for
                `replay` with rewards of 0 and 1: `wilson` and `exact` (Clopper–Pearson).
            resamples: Of the bootstrap.
            seed: Of its draws, and of the order in which `betting` takes the rows.
            term_range: What the terms by row can be, both ends included, for `bernstein` and `betting`: for `ips`, weights
                up to w_max and rewards from 0 to r_max, (0, w_max · r_max); not the sample's own.

        Returns:
            Its ends; NaN where there is no estimate, for those clustered by user also where there is one user alone, for
            `bernstein` where there is one row alone.

        Raises:
            OptionError: A level outside (0, 1), an unknown method, one that this estimator cannot have, terms out of their
                range or no range declared.
        """
        ends = self._ends(level, method, resamples, seed, term_range)
        # Zeros in place of an estimate would vary as little as they say.
        return (float("nan"), float("nan")) if np.isnan(self.value) else ends

    def _ends(
        self,
        level: float,
        method: Literal["delta", "bootstrap", "bernstein", "betting", "wilson", "exact"],
        resamples: int,
        seed: int,
        term_range: tuple[float, float] | None,
    ) -> tuple[float, float]:
        if method == "delta":
            return delta_interval(self.sums, level)
        if method == "bootstrap":
            from svsim.ope.intervals.bootstrap import bootstrap_interval

            return bootstrap_interval(self.sums, level, resamples=resamples, seed=seed)
        if method in ("bernstein", "betting"):
            return self._bounded(level, method, seed, term_range)
        if method in ("wilson", "exact"):
            return self._counted(level, method)
        raise OptionError(
            f"expected delta, bootstrap, bernstein, betting, wilson or exact, found {method!r}", where="interval method"
        )

    def _bounded(
        self, level: float, method: Literal["bernstein", "betting"], seed: int, term_range: tuple[float, float] | None
    ) -> tuple[float, float]:
        from svsim.ope.intervals.bernstein import empirical_bernstein
        from svsim.ope.intervals.betting import betting

        plain = self._terms_for(method).plain
        if plain is None:
            raise OptionError(
                f"expected an estimator whose value is a mean of terms, as ips or dr, found {self.name}, a ratio of sums",
                where=f"interval method {method}",
                remedy="take delta or bootstrap",
            )
        if term_range is None:
            raise OptionError(
                "expected the range that terms by row can have, found none",
                where=f"interval method {method}",
                remedy="declare term_range, for ips (0, largest possible weight times largest possible reward)",
            )
        low, high = term_range
        if method == "bernstein":
            ends = empirical_bernstein(plain, low, high, level)
        else:
            ends = betting(plain, low, high, level, seed=seed)
        # A mean of terms lies where the terms do.
        clipped = np.clip(ends, low, high)
        return float(clipped[0]), float(clipped[1])

    def _counted(self, level: float, method: Literal["wilson", "exact"]) -> tuple[float, float]:
        from svsim.ope.intervals.counts import clopper_pearson, wilson

        if self.name != "replay":
            raise OptionError(f"expected replay, found {self.name}", where=f"interval method {method}")
        terms = self._terms_for(method)
        assert terms.denominator is not None, "replay is a ratio of sums"
        reward = terms.numerator
        if not ((reward == 0) | (reward == 1)).all():
            raise OptionError("expected rewards of 0 and 1, found others", where=f"interval method {method}")
        counts = int(reward.sum()), int(terms.denominator.sum())
        return wilson(*counts, level) if method == "wilson" else clopper_pearson(*counts, level)

    def _terms_for(self, method: str) -> Terms:
        if self.terms is None:
            raise OptionError(
                "expected terms by row, found sums by user alone",
                where=f"interval method {method}",
                remedy="take delta or bootstrap, or an estimate by svsim.ope.estimates",
            )
        return self.terms()


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
        The estimate: `.value`, `.interval(level)`, `.ess`. Without a match, a row of a weight above 0, only what a model
        expects can be estimated: the value of an estimator without one, and of `sndr`, is NaN, and an `OPEWarning` says so.

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
        return _estimate(name, estimator, rows, tuned.constant, tuned.guarded)
    if isinstance(constant, str):
        expected = "a number or slope" if estimator.grid else "no constant"
        raise OptionError(f"expected {expected}, found {constant!r}", where=f"estimator {name}")
    return _estimate(name, estimator, rows, constant)


def _estimate(name: str, estimator: Estimator, rows: Rows, constant: float | None, guarded: bool = False) -> Estimate:
    sums = UserSums.summed(partial(estimator.terms, constant=constant), rows)
    return Estimate(name, sums, constant, guarded, partial(estimator.terms, rows, constant))
