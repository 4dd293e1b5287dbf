"""Means with intervals that know of two variances: seeds and users.

Seeds and users are crossed: the same users are met again under every seed. The half-width of an interval at level 1 − α is
√((t · s_seeds)² + (z · s_users)²), with s_seeds the standard error over K seeds, t Student's quantile at 1 − α/2 with K − 1
degrees of freedom (a percentile bootstrap of five seeds covers .84), s_users the standard deviation over a bootstrap that
draws users with all their episodes, and z Student's quantile with as many degrees of freedom as there are users less one,
of two groups the smaller one's. All agents share the resamples, so that their differences are paired.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["LEVEL", "Estimate", "interval", "p_value", "ratio_score", "weighted_mean"]

Floats = npt.NDArray[np.float64]

LEVEL = 0.95
_DIGITS = 10
_LEAST_P = 1e-12
"""p-values below it are told as it: quantiles further out are not computed well."""


@dataclass(frozen=True)
class Estimate:
    """A number with what its interval is made of.

    Attributes:
        value: The estimate.
        by_seed: (K,) the same quantity in each seed alone; NaN where a seed has none.
        resampled: (R,) the same quantity over resampled users, NaN where a resample has none; empty where users do not
            enter.
        degrees: Of freedom of the users: how many less one; with none there is no interval.
    """

    value: float
    by_seed: Floats
    resampled: Floats
    degrees: float = np.inf

    def __sub__(self, other: Estimate) -> Estimate:
        return Estimate(
            self.value - other.value,
            self.by_seed - other.by_seed,
            self.resampled - other.resampled,
            min(self.degrees, other.degrees),
        )

    def record(self, *, within: tuple[float, float] = (-np.inf, np.inf)) -> dict[str, float | None]:
        """`mean`, `low` and `high`, rounded; None where there is no number.

        Args:
            within: What the value cannot lie outside of; the interval is cut there, and covers as before.
        """
        low, high = np.clip(interval(self), *within)
        return {"mean": rounded(self.value), "low": rounded(low), "high": rounded(high)}


def rounded(value: float) -> float | None:
    """Ten digits: what lies beyond depends on the order of sums in numpy's linear algebra. None for what is not finite."""
    return float(f"{value:.{_DIGITS}g}") if np.isfinite(value) else None


def interval(estimate: Estimate) -> tuple[float, float]:
    """The 95 % interval of an estimate; NaN where neither seeds nor users vary (one of each)."""
    half = _half_width(*_spreads(estimate), 1 - LEVEL)
    return estimate.value - half, estimate.value + half


def p_value(estimate: Estimate) -> float:
    """Two-sided p-value of no effect: the α at which the interval of level 1 − α ends at 0; NaN where there is no interval.

    So it is below .05 just where the 95 % interval does not hold 0.
    """
    from scipy.optimize import brentq

    spreads = _spreads(estimate)
    at_stake = abs(estimate.value)
    if not np.isfinite(estimate.value) or not np.isfinite(_half_width(*spreads, 0.5)):
        return float("nan")
    if at_stake == 0 or _half_width(*spreads, _LEAST_P) <= at_stake:
        return 1.0 if at_stake == 0 else _LEAST_P
    return float(brentq(lambda alpha: _half_width(*spreads, alpha) - at_stake, _LEAST_P, 1.0))


Spread = tuple[float, float] | None
"""A standard error with its degrees of freedom."""


def _spreads(estimate: Estimate) -> tuple[Spread, Spread]:
    """Of seeds and of users; None where there are fewer than two."""
    by_seed = estimate.by_seed[np.isfinite(estimate.by_seed)]
    resampled = estimate.resampled[np.isfinite(estimate.resampled)]
    seeds = users = None
    if len(by_seed) > 1:
        seeds = (float(np.std(by_seed, ddof=1) / np.sqrt(len(by_seed))), len(by_seed) - 1.0)
    if estimate.degrees <= 0:
        # One user does not vary, which is not to say that users do not.
        return None, None
    if len(resampled) > 1:
        # Resamples of n vary as n − 1 do.
        few = 1.0 if np.isinf(estimate.degrees) else np.sqrt((estimate.degrees + 1) / estimate.degrees)
        users = (float(np.std(resampled, ddof=1) * few), estimate.degrees)
    return seeds, users


def _half_width(seeds: Spread, users: Spread, alpha: float) -> float:
    from scipy import stats

    parts = [float(stats.t.isf(alpha / 2, degrees)) * error for error, degrees in filter(None, (seeds, users))]
    return float(np.linalg.norm(parts)) if parts else float("nan")


def ratio_score(agent: Estimate, low: Estimate, high: Estimate) -> Estimate:
    """(agent − low) / (high − low), by seed and by resample."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return Estimate(
            float(np.divide(agent.value - low.value, high.value - low.value)),
            (agent.by_seed - low.by_seed) / (high.by_seed - low.by_seed),
            (agent.resampled - low.resampled) / (high.resampled - low.resampled),
            min(agent.degrees, low.degrees, high.degrees),
        )


def weighted_mean(estimates: Sequence[Estimate], weights: Sequence[float]) -> Estimate:
    """Σ wᵢ · estimateᵢ / Σ wᵢ with fixed weights.

    A part that a seed or a resample does not have is left out there, with its weight.
    """
    w = np.array(weights, dtype=np.float64)

    def mean(values: Floats) -> Floats:
        here = np.isfinite(values)
        total = (w[:, None] * here).sum(axis=0)
        weighted = np.where(here, values, 0.0) * w[:, None]
        return np.asarray(np.divide(weighted.sum(axis=0), total, out=np.full(len(total), np.nan), where=total > 0))

    return Estimate(
        float(mean(np.array([[one.value] for one in estimates]))[0]),
        mean(np.array([one.by_seed for one in estimates])),
        mean(np.array([one.resampled for one in estimates])),
        max((one.degrees for one in estimates), default=0.0),
    )
