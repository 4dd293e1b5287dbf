"""How likely each video of the pool was on each day of the random log.

Each video has a rate λ around 1; on a day with n_d draws from K_d videos it is drawn n_d λ / K_d times on average.
Rates are few and counts small (a 1K log draws each video six times in 17 days), so they are shrunk: λ ~ Gamma(a, a),
counts Poisson, and so a posterior mean

    m(c) = (c + a) / (e + a),   e = Σ n_d / K_d over the days on which the video was there,   p̂(v | d) = m / Σ m over these

(the Dirichlet–multinomial's (c + κ/K) / (n + κ), κ = a K, where all are there on all days). 1/a is the variance of λ by
moments, τ² = Σ c (c − 1) / Σ e² − 1, and 0 (1 / K_d for all) unless the counts contradict uniform draws.

For a logged row p̂ is m(c − 1), its own draw left out. Under the model that makes weights 1/p̂ unbiased: Σ c g(c − 1)
has the expectation of Σ e λ g(c), and the posterior mean of λ given c is m(c). With its own draw in, the mean weight
falls short of 1.

Videos come and go: a video is not there before its upload, nor before its first or after its last draw where uniform
draws would have missed it for so long with probability below α / K. (KuaiRand-27K drew 317 of 7,583 videos fewer than
100 times, with 156 on average: τ² is .032 for all, .0014 without them.) Smaller logs cannot tell; there such videos
count as rare ones.

It fails where videos depend on more than the day: a rate that changes from day to day otherwise, or with the user, is
averaged. Of a pool that is not known, rates of seen videos are understated in their variance, since the unseen are
missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

__all__ = ["Propensities"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Propensities:
    """Rates of K videos, D days."""

    counts: Ints
    """(K,) c."""
    exposure: Floats
    """(K,) e."""
    there: Flags
    """(D, K) whether a video could be drawn on a day."""
    variance: float
    """τ² of the rates, 0 where all are alike."""

    @classmethod
    def fit(cls, place: Ints, day: Ints, opens: Ints, days: int, alpha: float) -> Self:
        """Estimate from n draws.

        Args:
            place: (n,) which of the K videos.
            day: (n,) which day, from 0.
            opens: (K,) first day on which each video can be drawn.
            days: D.
            alpha: Level at which counts contradict uniform draws.
        """
        from scipy import stats

        size = len(opens)
        counts = np.bincount(place, minlength=size)
        draws = np.bincount(day, minlength=days)
        there = _there(place, day, opens, draws, alpha)
        exposure = (draws / np.maximum(there.sum(axis=1), 1)) @ there
        squares = float(exposure @ exposure) * (1 - 1 / max(len(place), 1))
        collisions = float((counts * (counts - 1)).sum())
        sd = float(np.sqrt(2 * squares))
        uneven = sd > 0 and float(stats.norm.sf((collisions - squares) / sd)) < alpha
        return cls(counts, exposure, there, collisions / squares - 1 if uneven else 0.0)

    def of(self, place: Ints, day: Ints) -> Floats:
        """(n,) p̂ of draws that the rates were estimated from, each without itself.

        Args:
            place: (n,) which video.
            day: (n,) which day.
        """
        total = self.there @ self.rates
        return np.asarray(self._rate(self.counts[place] - 1, self.exposure[place]) / total[day])

    @property
    def rates(self) -> Floats:
        """(K,) m(c)."""
        return self._rate(self.counts, self.exposure)

    def _rate(self, counts: Ints, exposure: Floats) -> Floats:
        # Both sides times τ², so that 0 stands for a = ∞.
        return np.asarray((counts * self.variance + 1) / (exposure * self.variance + 1))


def _there(place: Ints, day: Ints, opens: Ints, draws: Ints, alpha: float) -> Flags:
    """(D, K) from a video's first draw to its last, and beyond where its absence may be chance."""
    days, size = len(draws), len(opens)
    first, last = np.full(size, days), np.full(size, -1)
    np.minimum.at(first, place, day)
    np.maximum.at(last, place, day)
    number = np.arange(days)[:, None]
    uploaded = number >= np.minimum(opens, first)
    share = draws[:, None] / np.maximum(uploaded.sum(axis=1, keepdims=True), 1) * uploaded
    until = np.cumsum(share, axis=0)
    # Draws missed before the first and after the last, for an even video; of one never drawn, all.
    row = np.arange(size)
    before = np.where(first > 0, until[np.clip(first - 1, 0, days - 1), row], 0.0)
    after = until[-1] - np.where(last >= 0, until[np.maximum(last, 0), row], 0.0)
    too_many = np.log(size / alpha)
    came, went = before > too_many, after > too_many
    return np.asarray(uploaded & ~(came & (number < first)) & ~(went & (number > last)))
