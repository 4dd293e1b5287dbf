"""Epsilon-greedy: a bandit with one arm a video."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.agents.base import Agent, Observation, greedy
from svsim.agents.values import training_values
from svsim.data.features import smoothed
from svsim.data.store import FeedStore
from svsim.errors import OptionError
from svsim.randomness import RowStreams

__all__ = ["EpsilonGreedyAgent"]

Floats = npt.NDArray[np.float64]


class EpsilonGreedyAgent(Agent):
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
        self.epsilon = epsilon
        self.warm = warm
        self._weights = reward_weights
        self._begin(np.zeros(1), np.zeros(1))

    def fit(self, store: FeedStore, *, seed: int) -> None:  # noqa: ARG002 - nothing is drawn
        """Begin with the training split's rewards, if `warm`."""
        values = training_values(store, self._weights)
        if self.warm:
            self._begin(values.total, values.plays)
        else:
            self._begin(np.zeros(len(values.total)), np.zeros(len(values.plays)))

    def reset(self, observation: Observation, info: dict[str, Any], *, seed: int) -> None:  # noqa: ARG002
        """Seed the rows' draws."""
        self._draws = RowStreams(len(observation["action_mask"]), seed)

    def act(self, observation: Observation) -> npt.NDArray[np.int64]:
        """(B,) the best legal slot, or with probability epsilon any."""
        mask = observation["action_mask"]
        draws = self._draws.uniform(mask.shape[1] + 1)
        explore = draws[:, 0] < self.epsilon
        return np.where(explore, greedy(draws[:, 1:], mask), greedy(self._values(observation), mask))

    def probabilities(self, observation: Observation) -> Floats:
        """(B, K) epsilon over the number of legal slots, and 1 − epsilon more for the best one."""
        mask = observation["action_mask"].astype(np.float64)
        probabilities = self.epsilon * mask / mask.sum(axis=1, keepdims=True)
        best = greedy(self._values(observation), mask)
        probabilities[np.arange(len(best)), best] += 1 - self.epsilon
        return np.asarray(probabilities)

    def observe(
        self,
        observation: Observation,
        action: npt.NDArray[np.int64],
        reward: Floats,
        next_observation: Observation,  # noqa: ARG002
        terminated: npt.NDArray[np.bool_],  # noqa: ARG002
        truncated: npt.NDArray[np.bool_],  # noqa: ARG002
        info: dict[str, Any],  # noqa: ARG002
        began: npt.NDArray[np.bool_],  # noqa: ARG002
    ) -> None:
        """Add the rewards to the served videos' arms."""
        video = observation["candidate_video"][np.arange(len(action)), action]
        served = video > 0
        self._grow(int(video.max()) + 1)
        np.add.at(self._total, video[served], reward[served])
        np.add.at(self._plays, video[served], 1.0)
        self._all_total += float(reward[served].sum())
        self._all_plays += float(served.sum())

    def _values(self, observation: Observation) -> Floats:
        video = observation["candidate_video"]
        self._grow(int(video.max()) + 1)
        overall = self._all_total / max(self._all_plays, 1.0)
        return smoothed(self._total[video], self._plays[video], overall)

    def _begin(self, total: Floats, plays: Floats) -> None:
        self._total, self._plays = total, plays
        # Kept beside the arms: summing millions of them at every step would cost more than all the rest.
        self._all_total, self._all_plays = float(total.sum()), float(plays.sum())

    def _grow(self, size: int) -> None:
        """Without a store the number of videos is not known beforehand."""
        missing = size - len(self._total)
        if missing > 0:
            self._total = np.append(self._total, np.zeros(missing))
            self._plays = np.append(self._plays, np.zeros(missing))
