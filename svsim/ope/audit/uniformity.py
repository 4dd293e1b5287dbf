"""Is every video of a pool of K as likely as another? Closed forms of the occupancy problem, and tests of counts.

Of n uniform draws, with q = (1 − 1/K)^n (Feller 1968, "An introduction to probability theory", I, chapter IV),

    distinct     mean K (1 − q),   variance K (K − 1) (1 − 2/K)^n + K q − K² q²
    collisions   N = Σ c (c − 1) / 2 pairs of draws of one video, M = n (n − 1) / 2 pairs in all:
                 mean M / K,   variance M (1 − 1/K) / K,   third moment M ρ (1 − ρ)(1 − 2ρ) + n (n − 1)(n − 2) ρ² (1 − ρ)

with ρ = 1/K; the variance is exact since pairs are independent two by two. N is Pearson's chi-square in other units,
X² = Σ (c − n/K)² / (n/K) = 2 K N / n + K − n, of mean K − 1; but X²'s table needs n/K of 5 or more, and a random log
has .05 on a day. The p-value is that of Pearson's curve III with N's own three moments: the normal curve at large
M/K, a chi-square at large n/K, near Poisson at small M/K. It is one-sided: what matters to a propensity is videos
that come too often.

The effect is `unevenness`, τ² = N K / M − 1: unbiased for K Σ p² − 1, the squared coefficient of variation of the
videos' probabilities. With 1/K for p the value of a policy is off by at most τ times the standard deviation, over
videos, of what each adds to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = [
    "CountTest",
    "collision_test",
    "distinct_moments",
    "distinct_test",
    "even_pool",
    "truncated_test",
    "unevenness_error",
    "unseen_videos",
]

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CountTest:
    """What was counted against what uniform draws would give."""

    value: float
    """The count."""
    expected: float
    """Its mean."""
    sd: float
    """Its standard deviation."""
    p: float
    """Probability of a count as extreme."""

    @property
    def z(self) -> float:
        """(value − expected) / sd; 0 where nothing can vary."""
        return (self.value - self.expected) / self.sd if self.sd > 0 else 0.0


def distinct_moments(n: int, pool: int) -> tuple[float, float]:
    """Mean and standard deviation of the videos that n uniform draws hit."""
    missed, both = (1 - 1 / pool) ** n, (1 - 2 / pool) ** n
    variance = pool * (pool - 1) * both + pool * missed - (pool * missed) ** 2
    return pool * (1 - missed), float(np.sqrt(max(variance, 0.0)))


def distinct_test(distinct: int, n: int, pool: int) -> CountTest:
    """Distinct videos against their mean; two-sided, by the normal curve."""
    from scipy import stats

    mean, sd = distinct_moments(n, pool)
    p = 2 * float(stats.norm.sf(abs(distinct - mean) / sd)) if sd > 0 else 1.0
    return CountTest(float(distinct), mean, sd, p)


def collision_test(counts: Ints, pool: int) -> CountTest:
    """Pairs of draws of one video, more of them than uniform draws would make; of 2 draws or more.

    Args:
        counts: Draws of each video that was drawn; zeros may be left out.
        pool: K.
    """
    from scipy import stats

    n = int(counts.sum())
    pairs = float((counts * (counts - 1)).sum()) / 2
    m, rho = n * (n - 1) / 2, 1 / pool
    variance = m * rho * (1 - rho)
    if variance <= 0:
        return CountTest(pairs, m * rho, 0.0, 1.0)
    third = variance * (1 - 2 * rho) + n * (n - 1) * (n - 2) * rho**2 * (1 - rho)
    sd = float(np.sqrt(variance))
    # Half a pair, since pairs are whole.
    return CountTest(
        pairs, m * rho, sd, float(stats.pearson3.sf((pairs - 0.5 - m * rho) / sd, float(third / variance**1.5)))
    )


def unevenness_error(n: int, pool: int) -> float:
    """Standard error of τ² of n uniform draws, √(2 (K − 1) / (n (n − 1)))."""
    return float(np.sqrt(2 * (pool - 1) / (n * (n - 1)))) if n > 1 else float("inf")


# --- where the pool is not known -------------------------------------------------------------------------------------


def even_pool(n: int, distinct: int) -> float:
    """The K of which n uniform draws hit so many on average: λ / (1 − e^(−λ)) = n / distinct, K = n / λ.

    The maximum-likelihood estimate if all are alike, and too small if not; infinite where none was hit twice.
    """
    rate = _rate(n, distinct)
    return n / rate if rate > 0 else float("inf")


def truncated_test(counts: Ints) -> CountTest:
    """Pairs of draws of one video, given how many videos were drawn: no need to know the pool.

    Counts above 0 are Poisson variables without their zeros, of the rate λ of `even_pool`. N given their sum has mean
    D f₂ / 2 and variance D (Var c(c − 1) − Cov(c(c − 1), c)² / Var c) / 4, f_k = λ^k / (1 − e^(−λ)); the p-value is the
    normal curve's. It cannot tell uneven videos from unseen ones as well as `collision_test` can: use that where K is known.

    Args:
        counts: (D,) draws of each video that was drawn.
    """
    from scipy import stats

    n, distinct = int(counts.sum()), int(np.count_nonzero(counts))
    pairs = float((counts * (counts - 1)).sum()) / 2
    rate = _rate(n, distinct)
    if rate <= 0:
        return CountTest(pairs, pairs, 0.0, 1.0)
    f1, f2, f3, f4 = (rate**k / -np.expm1(-rate) for k in (1, 2, 3, 4))
    own, shared = f4 + 4 * f3 + 2 * f2 - f2**2, f3 + 2 * f2 - f2 * f1
    variance = distinct * (own - shared**2 / (f2 + f1 - f1**2)) / 4
    mean, sd = distinct * f2 / 2, float(np.sqrt(max(variance, 0.0)))
    p = float(stats.norm.sf((pairs - 0.5 - mean) / sd)) if sd > 0 else 1.0
    return CountTest(pairs, float(mean), sd, p)


def unseen_videos(counts: Ints) -> float:
    """Videos of the pool that were never drawn, at least: f₁ (f₁ − 1) / (2 (f₂ + 1)), f_k videos drawn k times.

    Chao 1984, "Nonparametric estimation of the number of classes in a population", with Chao's correction for bias. A lower
    bound in expectation when videos are uneven.
    """
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    return once * (once - 1) / (2 * (twice + 1))


def _rate(n: int, distinct: int) -> float:
    """λ with λ / (1 − e^(−λ)) = n / distinct; 0 where all counts are 1."""
    from scipy import optimize

    mean = n / distinct
    if mean <= 1:
        return 0.0
    return float(optimize.brentq(lambda rate: rate / -np.expm1(-rate) - mean, 1e-12, mean))
