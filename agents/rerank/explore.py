"""Exploration: now and then any slot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.agents.base import Agent, Observation, greedy
from svsim.agents.rerank.base import Floats, Reranker
from svsim.errors import OptionError
from svsim.randomness import RowStreams

__all__ = ["ExploreAgent"]


class ExploreAgent(Reranker):
    """Serves an agent's best slot, with probability ε any legal one: a policy whose logs can be evaluated off-policy.

    Args:
        epsilon: ε, in [0, 1].
        of: The agent whose scores are followed; last in a name as typed.
        reward_weights: Weight of each signal, handed on.
    """

    def __init__(
        self,
        epsilon: float = 0.1,
        of: str | Agent = "linucb",
        reward_weights: Mapping[str, float] | str | None = None,
    ) -> None:
        if not 0 <= epsilon <= 1:
            raise OptionError(f"expected a number from 0 to 1, found {epsilon}", where="epsilon")
        super().__init__(of, reward_weights)
        self.epsilon = epsilon

    def reset(self, observation: Observation, info: dict[str, Any], *, seed: int) -> None:
        """Begin a run; seed the rows' draws."""
        super().reset(observation, info, seed=seed)
        self._draws = RowStreams(len(observation["action_mask"]), seed)

    def score(self, observation: Observation) -> Floats:
        """(B, K) the agent's own."""
        return self._scores(observation)

    def act(self, observation: Observation) -> npt.NDArray[np.int64]:
        """(B,) legal slots."""
        mask = observation["action_mask"]
        draws = self._draws.uniform(mask.shape[1] + 1)
        return np.where(draws[:, 0] < self.epsilon, greedy(draws[:, 1:], mask), super().act(observation))

    def _probabilities(self, observation: Observation) -> Floats:
        mask = observation["action_mask"] > 0
        explored = self.epsilon * mask / mask.sum(axis=1, keepdims=True)
        best = greedy(self._scores(observation), observation["action_mask"])
        return np.asarray(explored + (1 - self.epsilon) * np.eye(mask.shape[1])[best])
