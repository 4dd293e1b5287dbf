"""Thompson sampling of one arm a video: Beta and Gaussian posteriors."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from svsim.agents.bandits.arms import ArmBandit
from svsim.errors import OptionError

__all__ = ["BetaThompsonAgent", "GaussianThompsonAgent"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class BetaThompsonAgent(ArmBandit):
    """Serves the highest draw from Beta(1 + Σ r, 1 + n − Σ r) of rewards r in [0, 1].

    For rewards of 0 and 1 this is Thompson sampling with a uniform prior (Agrawal and Goyal 2012, "Analysis of Thompson
    sampling for the multi-armed bandit problem", Algorithm 1); a reward between them counts as that share of a success.
    """

    bounded = True

    def _index(self, video: Ints, legal: npt.NDArray[np.bool_]) -> Floats:  # noqa: ARG002
        from scipy.special import betaincinv

        total, plays = self.arms.total[video], self.arms.plays[video]
        return np.asarray(betaincinv(1 + total, 1 + plays - total, self._draws.uniform(video.shape[1])))


class GaussianThompsonAgent(ArmBandit):
    """Serves the highest draw from N(μ, σ²/(n + n₀)), μ the mean reward shrunk by n₀ plays towards the overall mean.

    The posterior of a Gaussian arm with known noise σ² and the prior N(overall mean, σ²/n₀) (Agrawal and Goyal 2013,
    "Further optimal regret bounds for Thompson sampling", Section 3, has n₀ = 1 and mean 0).

    Args:
        noise: σ, standard deviation of a reward given its video.
        prior_plays: n₀, plays that the prior is worth; above 0.
        warm: Whether to begin with the training split's rewards instead of nothing.
        reward_weights: Weight of each signal in those, as the environment's.
    """

    def __init__(
        self,
        noise: float = 1.0,
        prior_plays: float = 10.0,
        warm: bool = True,
        reward_weights: Mapping[str, float] | str | None = None,
    ) -> None:
        for name, value in (("noise", noise), ("prior_plays", prior_plays)):
            if not value > 0:
                raise OptionError(f"expected a number above 0, found {value}", where=name)
        super().__init__(warm, None, reward_weights)
        self.noise = noise
        self.prior_plays = prior_plays

    def _index(self, video: Ints, legal: npt.NDArray[np.bool_]) -> Floats:  # noqa: ARG002
        known = self.arms.plays[video] + self.prior_plays
        mean = (self.arms.total[video] + self.prior_plays * self.arms.overall) / known
        return np.asarray(mean + self.noise / np.sqrt(known) * self._normal(video.shape))
