"""Upper confidence bounds: UCB1 and KL-UCB."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from svsim.agents.bandits.arms import ArmBandit
from svsim.agents.base import ScoringAgent

__all__ = ["KLUCBAgent", "UCB1Agent"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BISECTIONS = 32


class _BoundAgent(ArmBandit, ScoringAgent):
    bounded = True

    def _counts(self, video: Ints, legal: npt.NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
        """Mean and plays (B, K) of the slots' videos, and n (B, 1)."""
        plays = self.arms.plays[video]
        offered = np.maximum((plays * legal).sum(axis=1, keepdims=True), 1.0)
        return self.arms.total[video] / np.maximum(plays, 1.0), plays, offered


class UCB1Agent(_BoundAgent):
    """Serves the highest mean + √(2 ln n / n_v) of rewards in [0, 1]; a video that was never served goes first.

    n is the number of plays of all videos on offer, so that with a fixed offer this is UCB1 (Auer, Cesa-Bianchi, Fischer
    2002, "Finite-time analysis of the multiarmed bandit problem", Figure 1). It explores a catalogue whose videos come
    once or twice until it is exhausted: there a bound for each video by itself is the wrong tool.
    """

    def _index(self, video: Ints, legal: npt.NDArray[np.bool_]) -> Floats:
        mean, plays, offered = self._counts(video, legal)
        bound = mean + np.sqrt(2 * np.log(offered) / np.maximum(plays, 1.0))
        return np.where(plays > 0, bound, np.inf)


class KLUCBAgent(_BoundAgent):
    """Serves the largest q with n_v · kl(mean, q) ≤ ln n + c ln ln n; a video that was never served goes first.

    kl is the Kullback–Leibler divergence of Bernoulli distributions, an upper bound for any rewards in [0, 1] (Garivier
    and Cappé 2011, "The KL-UCB algorithm for bounded stochastic bandits and beyond", Algorithm 1, with c = 0 as they
    recommend in practice).
    """

    def _index(self, video: Ints, legal: npt.NDArray[np.bool_]) -> Floats:
        mean, plays, offered = self._counts(video, legal)
        level = np.log(offered) / np.maximum(plays, 1.0)
        low, high = mean.copy(), np.ones_like(mean)
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            inside = bernoulli_divergence(mean, middle) <= level
            low, high = np.where(inside, middle, low), np.where(inside, high, middle)
        return np.where(plays > 0, low, np.inf)


def bernoulli_divergence(p: Floats, q: Floats) -> Floats:
    """kl(p, q) = p ln(p/q) + (1 − p) ln((1 − p)/(1 − q)), with 0 ln 0 = 0."""
    from scipy.special import rel_entr

    return np.asarray(rel_entr(p, q) + rel_entr(1 - p, 1 - q))
