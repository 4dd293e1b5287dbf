"""Means with intervals that know of two variances: seeds and users.

Seeds and users are crossed: the same users are met again under every seed. The half-width of a 95 % interval is
√((t · s_seeds)² + (1.96 · s_users)²), with s_seeds the standard error over K seeds, t Student's quantile with K − 1
degrees of freedom (a percentile bootstrap of five seeds covers .84), and s_users the standard deviation over a bootstrap
that draws users with all their episodes. All agents share the resamples, so that their differences are paired.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.metrics import Resamples

__all__ = ["Estimate", "Panel", "interval", "ratio_score"]

Floats = npt.NDArray[np.float64]

LEVEL = 0.95
_DIGITS = 10


@dataclass(frozen=True)
class Estimate:
    """A number with what its interval is made of.

    Attributes:
        value: The estimate.
        by_seed: (K,) the same quantity in each seed alone; NaN where a seed has none.
        resampled: (R,) the same quantity over resampled users, NaN where a resample has none; empty where users do not
            enter.
    """

    value: float
    by_seed: Floats
    resampled: Floats

    def __sub__(self, other: Estimate) -> Estimate:
        return Estimate(self.value - other.value, self.by_seed - other.by_seed, self.resampled - other.resampled)

    def record(self) -> dict[str, float | None]:
        """`mean`, `low` and `high`, rounded; None where there is no number."""
        low, high = interval(self)
        return {"mean": _rounded(self.value), "low": _rounded(low), "high": _rounded(high)}


def _rounded(value: float) -> float | None:
    """Ten digits: what lies beyond depends on the order of sums in numpy's linear algebra."""
    return float(f"{value:.{_DIGITS}g}") if np.isfinite(value) else None


def interval(estimate: Estimate) -> tuple[float, float]:
    """The 95 % interval of an estimate; NaN where neither seeds nor users vary (one of each)."""
    from scipy import stats

    half = []
    by_seed = estimate.by_seed[np.isfinite(estimate.by_seed)]
    resampled = estimate.resampled[np.isfinite(estimate.resampled)]
    if len(by_seed) > 1:
        t = float(stats.t.ppf(0.5 + LEVEL / 2, len(by_seed) - 1))
        half.append(t * float(np.std(by_seed, ddof=1)) / np.sqrt(len(by_seed)))
    if len(resampled) > 1:
        half.append(float(stats.norm.ppf(0.5 + LEVEL / 2)) * float(np.std(resampled, ddof=1)))
    width = float(np.linalg.norm(half)) if half else np.nan
    return estimate.value - width, estimate.value + width


def ratio_score(agent: Estimate, low: Estimate, high: Estimate) -> Estimate:
    """(agent − low) / (high − low), by seed and by resample."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return Estimate(
            float(np.divide(agent.value - low.value, high.value - low.value)),
            (agent.by_seed - low.by_seed) / (high.by_seed - low.by_seed),
            (agent.resampled - low.resampled) / (high.resampled - low.resampled),
        )


class Panel:
    """Sums and numbers of episodes by seed and user, for one agent.

    Args:
        user: For each seed the (E,) index of each episode's user among the U users of all agents.
        metrics: For each seed the (E, M) episodes' metrics.
        influencer: (U,) whether a user is an influencer.
        resamples: Shared by all agents.
    """

    def __init__(
        self,
        user: list[npt.NDArray[np.int64]],
        metrics: list[Floats],
        influencer: npt.NDArray[np.bool_],
        resamples: Resamples,
    ) -> None:
        size = len(influencer)
        self._sums = np.array([_sums_by_user(u, m, size) for u, m in zip(user, metrics, strict=True)])
        self._counts = np.array([np.bincount(u, minlength=size) for u in user], dtype=np.float64)
        self._member = {"influencer": influencer, "normal": ~influencer}
        counts = self._counts.sum(axis=0)
        seen = counts > 0
        self._user_mean = self._sums.sum(axis=0) / np.maximum(counts, 1.0)[:, None]
        columns = [self._sums.sum(axis=0), counts[:, None]]
        for member in self._member.values():
            here = (member & seen)[:, None]
            columns += [self._user_mean * here, here.astype(np.float64)]
        self._seen = seen
        self._totals = resamples.totals(np.concatenate(columns, axis=1))
        self._width = self._sums.shape[2]

    def overall(self, metric: int) -> Estimate:
        """Mean over episodes."""
        by_seed = self._sums[:, :, metric].sum(axis=1) / self._counts.sum(axis=1)
        resampled = self._totals[:, metric] / self._totals[:, self._width]
        return Estimate(float(by_seed.mean()), by_seed, resampled)

    def users(self, group: str) -> int:
        """Users of a group who played at least one episode."""
        return int((self._member[group] & self._seen).sum())

    def utility(self, group: str, metric: int) -> Estimate:
        """Mean over a group's users of their mean over episodes; NaN for a group without users."""
        member = self._member[group] & self._seen
        if not member.any():
            return Estimate(np.nan, np.full(len(self._counts), np.nan), np.full(len(self._totals), np.nan))
        offset = (1 + list(self._member).index(group)) * (self._width + 1)
        totals, present = self._totals[:, offset + metric], self._totals[:, offset + self._width]
        # A resample may miss a small group altogether: it has no utility there.
        resampled = np.divide(totals, present, out=np.full(len(totals), np.nan), where=present > 0)
        return Estimate(
            float(self._user_mean[member, metric].mean()),
            np.array([self._seed_utility(seed, member, metric) for seed in range(len(self._counts))]),
            resampled,
        )

    def _seed_utility(self, seed: int, member: npt.NDArray[np.bool_], metric: int) -> float:
        here = member & (self._counts[seed] > 0)
        if not here.any():
            return float("nan")
        return float(np.mean(self._sums[seed, here, metric] / self._counts[seed, here]))

    def gap(self, metric: int) -> Estimate:
        """Utility of normal users minus that of influencers."""
        return self.utility("normal", metric) - self.utility("influencer", metric)


def _sums_by_user(user: npt.NDArray[np.int64], metrics: Floats, size: int) -> Any:
    return np.stack(
        [np.bincount(user, weights=metrics[:, column], minlength=size) for column in range(metrics.shape[1])], axis=1
    )
