"""Epsilon-greedy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from svsim.agents.bandits.arms import ArmBandit
from svsim.agents.base import Observation, greedy
from svsim.data.features import smoothed
from svsim.errors import OptionError

__all__ = ["EpsilonGreedyAgent"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class EpsilonGreedyAgent(ArmBandit):
    """Serves the best video so far, with probability epsilon any; one arm a video, learning as it goes.

    A video's value is its mean reward over training plays and those served in the run, shrunk by ten plays towards the
    overall mean.

    Args:
        epsilon: Probability of a uniform draw, in [0, 1].
        warm: Whether to begin with the training split's rewards instead of nothing.
        reward_weights: Weight of each signal in those, as the environment's.
    """

    def __init__(
        self, epsilon: float = 0.1, warm: bool = True, reward_weights: Mapping[str, float] | str | None = None
    ) -> None:
        if not 0 <= epsilon <= 1:
            raise OptionError(f"expected a number from 0 to 1, found {epsilon}", where="epsilon")
        super().__init__(warm, None, reward_weights)
        self.epsilon = epsilon

    def act(self, observation: Observation) -> Ints:
        """(B,) the best legal slot, or with probability epsilon any."""
        mask = observation["action_mask"]
        draws = self._draws.uniform(mask.shape[1] + 1)
        explore = draws[:, 0] < self.epsilon
        return np.where(explore, greedy(draws[:, 1:], mask), greedy(self.score(observation), mask))

    def probabilities(self, observation: Observation) -> Floats:
        """(B, K) epsilon over the number of legal slots, and 1 − epsilon more for the best one."""
        mask = observation["action_mask"].astype(np.float64)
        probabilities = self.epsilon * mask / mask.sum(axis=1, keepdims=True)
        best = greedy(self.score(observation), mask)
        probabilities[np.arange(len(best)), best] += 1 - self.epsilon
        return np.asarray(probabilities)

    def _index(self, video: Ints, legal: npt.NDArray[np.bool_]) -> Floats:  # noqa: ARG002
        return smoothed(self.arms.total[video], self.arms.plays[video], self.arms.overall)
