"""Bandits of one arm a video: what has been seen of each, and the agents' common part."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from svsim.agents.base import Agent, Observation, greedy
from svsim.agents.values import training_values
from svsim.data.store import FeedStore
from svsim.errors import OptionError
from svsim.randomness import RowStreams
from svsim.signals import reward_weights

__all__ = ["ArmBandit", "Arms"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Arms:
    """Sums of rewards and numbers of plays by dense video id, and over all of them.

    Args:
        total: (n,) sums to begin with; 0 is padding.
        plays: (n,) numbers to begin with.
    """

    def __init__(self, total: Floats | None = None, plays: Floats | None = None) -> None:
        self.total = np.zeros(1) if total is None else total
        self.plays = np.zeros(1) if plays is None else plays
        # Kept beside the arms: summing millions of them at every step would cost more than all the rest.
        self.all_total, self.all_plays = float(self.total.sum()), float(self.plays.sum())

    @property
    def overall(self) -> float:
        """Mean reward over all plays; 0 before the first."""
        return self.all_total / max(self.all_plays, 1.0)

    def add(self, video: Ints, reward: Floats) -> None:
        """Add one play and its reward for each of some videos, the same one several times if it stands there."""
        self.grow(video)
        np.add.at(self.total, video, reward)
        np.add.at(self.plays, video, 1.0)
        self.all_total += float(reward.sum())
        self.all_plays += float(len(video))

    def grow(self, video: Ints) -> None:
        """Make room: without a store the number of videos is not known beforehand."""
        missing = int(video.max(initial=0)) + 1 - len(self.total)
        if missing > 0:
            # By more than is missing, so that videos that come one by one do not copy everything each time.
            room = np.zeros(missing + len(self.total) // 2)
            self.total, self.plays = np.append(self.total, room), np.append(self.plays, room)


class ArmBandit(Agent):
    """An agent that serves the highest index of a video's past rewards; one arm a video, learning as it goes.

    Args:
        warm: Whether to begin with the training split's rewards instead of nothing.
        reward_max: Of those that need rewards in [0, 1]: the reward that counts as 1, as does any above it. None: the sum of
            the weights.
        reward_weights: Weight of each signal, as the environment's.
    """

    bounded: ClassVar[bool] = False
    """Whether rewards are learnt as shares of the largest, in [0, 1]."""

    def __init__(
        self,
        warm: bool = True,
        reward_max: float | None = None,
        reward_weights: Mapping[str, float] | str | None = None,
    ) -> None:
        if reward_max is not None and not reward_max > 0:
            raise OptionError(f"expected a number above 0, found {reward_max}", where="reward_max")
        self.warm = warm
        self._weights = reward_weights
        self.reward_max = reward_max if reward_max is not None else _largest(reward_weights)
        self.arms = Arms()

    def fit(self, store: FeedStore, *, seed: int) -> None:  # noqa: ARG002 - nothing is drawn
        """Begin with the training split's rewards, if `warm`."""
        values = training_values(store, self._weights)
        if not self.warm:
            self.arms = Arms(np.zeros_like(values.total), np.zeros_like(values.plays))
        elif self.bounded:
            # The store keeps sums, not the rewards: a sum is cut at what its plays could have brought.
            self.arms = Arms(np.clip(values.total / self.reward_max, 0.0, values.plays), values.plays.copy())
        else:
            self.arms = Arms(values.total.copy(), values.plays.copy())

    def reset(self, observation: Observation, info: dict[str, Any], *, seed: int) -> None:  # noqa: ARG002
        """Seed the rows' draws."""
        self._draws = RowStreams(len(observation["action_mask"]), seed)

    def act(self, observation: Observation) -> Ints:
        """(B,) the legal slot of the highest index in each row."""
        return greedy(self.score(observation), observation["action_mask"])

    def score(self, observation: Observation) -> Floats:
        """(B, K) indices of the slots' videos."""
        video = observation["candidate_video"].astype(np.int64)
        self.arms.grow(video)
        return self._index(video, observation["action_mask"] > 0)

    @abstractmethod
    def _index(self, video: Ints, legal: npt.NDArray[np.bool_]) -> Floats:
        """(B, K) indices of videos (B, K)."""

    def observe(
        self,
        observation: Observation,
        action: Ints,
        reward: Floats,
        next_observation: Observation,  # noqa: ARG002
        terminated: npt.NDArray[np.bool_],  # noqa: ARG002
        truncated: npt.NDArray[np.bool_],  # noqa: ARG002
        info: dict[str, Any],  # noqa: ARG002
        began: npt.NDArray[np.bool_],  # noqa: ARG002
    ) -> None:
        """Add the rewards to the served videos' arms."""
        video = observation["candidate_video"][np.arange(len(action)), action].astype(np.int64)
        served = video > 0
        self._learn(video[served], np.asarray(reward, dtype=np.float64)[served])

    def _learn(self, video: Ints, reward: Floats) -> None:
        self.arms.add(video, np.clip(reward / self.reward_max, 0.0, 1.0) if self.bounded else reward)

    def _normal(self, shape: tuple[int, int]) -> Floats:
        """(B, K) standard normal draws by row."""
        from scipy.special import ndtri

        return np.asarray(ndtri(np.clip(self._draws.uniform(shape[1]), 1e-16, 1 - 1e-16)))


def _largest(weights: Mapping[str, float] | str | None) -> float:
    return max(sum(max(weight, 0.0) for weight in reward_weights(weights).values()), 1e-9)
