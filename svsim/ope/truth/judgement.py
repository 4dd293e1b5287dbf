"""Off-policy evaluation of off-policy evaluation: what an estimator's values were good for, once the truth is known.

Of P policies with estimates V̂ and true values V, k of them chosen by the estimates:

    relative error  mean of |V̂ − V| / |V|
    Spearman        rank correlation of V̂ and V
    regret@k        (best V − best V among the chosen) / (best V − V of the reference); where the reference is the best,
                    over best V − worst V
    type I, II      share of the policies truly at or below the threshold that are said to be above; of those truly above
                    it that are not
    Sharpe@k        (best V among the chosen − V of the reference) / standard deviation of V among the chosen: what a test of
                    the chosen brings, against what it risks (Kiyohara et al. 2024, "Towards assessing and benchmarking
                    risk-return tradeoff of off-policy evaluation")

The reference is a policy that needs no choice, as the one that logged. SharpeRatio there takes it to be among those that are
chosen from, so that the ratio is not negative; here it is so where it is among the policies. It is none at k = 1, or where
all chosen are worth the same. An estimate that is none counts as the lowest, and of equal estimates the truly worst is
chosen first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.errors import OptionError

__all__ = ["Judgement", "judge"]

Floats = npt.NDArray[np.float64]

AT = (1, 3)
"""k of regret and SharpeRatio."""


@dataclass(frozen=True)
class Judgement:
    """How good an estimator's values were; NaN where there is nothing to say."""

    relative_error: float
    """Mean relative error."""
    rmse: float
    """Root mean square error."""
    spearman: float
    """Rank correlation."""
    regret: Mapping[int, float]
    """By k, as a share of what was to be gained over the reference."""
    type_i: float
    """Share of the bad policies that were taken for good."""
    type_ii: float
    """Share of the good policies that were taken for bad."""
    sharpe: Mapping[int, float]
    """By k."""
    coverage: float
    """Share of the intervals that hold the truth."""

    def record(self) -> dict[str, Any]:
        """Plain numbers by name; None where there is nothing to say."""
        told = {"relative_error": self.relative_error, "rmse": self.rmse, "spearman": self.spearman}
        told |= {f"regret@{k}": value for k, value in self.regret.items()}
        told |= {"type_i": self.type_i, "type_ii": self.type_ii}
        told |= {f"sharpe@{k}": value for k, value in self.sharpe.items()}
        told["coverage"] = self.coverage
        return {name: float(value) if np.isfinite(value) else None for name, value in told.items()}


def judge(
    estimated: Mapping[str, float],
    truth: Mapping[str, float],
    *,
    reference: str = "random",
    threshold: float | None = None,
    k: tuple[int, ...] = AT,
    intervals: Mapping[str, tuple[float, float]] | None = None,
) -> Judgement:
    """Hold estimates to true values.

    Args:
        estimated: By policy.
        truth: By policy; the same ones.
        reference: A policy that needs no choice; where it is not among them, the truly worst one stands for it.
        threshold: What a good policy is above; None: the reference's true value.
        k: Numbers of policies that are chosen by their estimates.
        intervals: By policy.

    Raises:
        OptionError: Other policies in the one than in the other, none at all, or a true value that is no number.
    """
    if set(estimated) != set(truth) or not truth:
        alone = ", ".join(sorted(set(estimated) ^ set(truth))) or "none at all"
        raise OptionError(f"expected estimates and true values of the same policies, found {alone}", where="judge")
    names = list(truth)
    value = np.array([estimated[name] for name in names], dtype=np.float64)
    true = np.array([truth[name] for name in names], dtype=np.float64)
    if not np.isfinite(true).all():
        raise OptionError("expected true values that are numbers, found others", where="judge")
    start = float(truth.get(reference, true.min()))
    known = np.isfinite(value)
    ranked = np.where(known, value, -np.inf)
    error = (value - true)[known]
    sizes = np.abs(true[known])
    line = start if threshold is None else threshold
    # The reference is what is compared with, and not judged.
    others = np.array([name != reference for name in names])
    good, said = (true > line)[others], (ranked > line)[others]
    return Judgement(
        relative_error=_mean(np.abs(error[sizes > 0]) / sizes[sizes > 0]),
        rmse=float(np.sqrt(_mean(error**2))),
        spearman=_spearman(ranked, true),
        regret={number: _regret(ranked, true, start, number) for number in k},
        type_i=_mean(said[~good]),
        type_ii=_mean(~said[good]),
        sharpe={number: _sharpe(ranked, true, start, number) for number in k if number > 1},
        coverage=_coverage(intervals, truth),
    )


def _mean(values: npt.NDArray[Any]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _spearman(ranked: Floats, true: Floats) -> float:
    from scipy import stats

    if len(true) < 2 or len(np.unique(ranked)) < 2 or len(np.unique(true)) < 2:
        return float("nan")
    return float(stats.spearmanr(ranked, true).statistic)


def _chosen(ranked: Floats, true: Floats, k: int) -> Floats:
    """True values of the k policies of the highest estimates; what an estimator leaves open is decided against it."""
    return true[np.lexsort((true, -ranked))[:k]]


def _regret(ranked: Floats, true: Floats, start: float, k: int) -> float:
    best = float(true.max())
    lost, spread = best - float(_chosen(ranked, true, k).max()), best - start or best - float(true.min())
    return lost / spread if lost > 0 else 0.0


def _sharpe(ranked: Floats, true: Floats, start: float, k: int) -> float:
    chosen = _chosen(ranked, true, k)
    risk = float(chosen.std())
    return (float(chosen.max()) - start) / risk if risk > 0 else float("nan")


def _coverage(intervals: Mapping[str, tuple[float, float]] | None, truth: Mapping[str, float]) -> float:
    ends = {name: pair for name, pair in (intervals or {}).items() if np.isfinite(pair).all()}
    return _mean(np.array([low <= truth[name] <= high for name, (low, high) in ends.items()]))
