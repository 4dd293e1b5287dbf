"""User groups: what a group's own members liked, and a bound on how far the groups may be apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.agents.base import Agent, Observation
from svsim.agents.rerank.base import Floats, Reranker
from svsim.agents.values import training_values
from svsim.data.features import history_features, smoothed
from svsim.data.store import FeedStore
from svsim.errors import OptionError
from svsim.names import GROUPS, INFLUENCER, NORMAL, SIGNALS
from svsim.signals import reward_weights, scalar_reward

__all__ = ["UserGroupAgent"]

Ints = npt.NDArray[np.int64]

_CHUNK = 1 << 20


class UserGroupAgent(Reranker):
    """Serves by an agent's scores, each user group by its own likings, and if asked keeps the groups together.

    What most users like decides an agent's scores, so a small group is served by the taste of others. First, score +
    strength · lift, where lift is what the video brings the user's group above what it brings everybody: the group's mean
    reward, from training rows and from what was served, shrunk towards the video's. Second, with `max_gap`, the
    user-oriented constraint of Li, Chen, Fu, Ge, Zhang 2021, "User-oriented fairness in recommendation", kept online: as
    long as the groups' mean rewards of a step are further apart, the better-off group is served what is worth less than
    its best by μ, and μ follows the excess (dual ascent). That lowers one group and lifts nobody, so it is off by default.
    Scores are taken as expected rewards.

    Args:
        strength: Of the lift; 0 leaves the agent's order as it is.
        max_gap: Largest difference of mean rewards; None for any.
        step: Of the dual ascent.
        of: The agent whose scores are re-ranked; last in a name as typed.
        reward_weights: Weight of each signal, as the environment's.
    """

    def __init__(
        self,
        strength: float = 1.0,
        max_gap: float | None = None,
        step: float = 0.05,
        of: str | Agent = "linucb",
        reward_weights: Mapping[str, float] | str | None = None,
    ) -> None:
        if not strength >= 0:
            raise OptionError(f"expected at least 0, found {strength}", where="strength")
        if max_gap is not None and not max_gap >= 0:
            raise OptionError(f"expected at least 0 or none, found {max_gap}", where="max_gap")
        if not step > 0:
            raise OptionError(f"expected a number above 0, found {step}", where="step")
        super().__init__(of, reward_weights)
        self.strength, self.max_gap, self.step = strength, max_gap, step
        self._weights = reward_weights
        self._group: Ints | None = None

    def fit(self, store: FeedStore, *, seed: int) -> None:
        """Fit the agent; take what each video brought each group in the training split."""
        super().fit(store, seed=seed)
        self._group = np.where(store.influencer, GROUPS.index(INFLUENCER), GROUPS.index(NORMAL))
        self._mean = training_values(store, self._weights).mean
        self._total = np.zeros((len(GROUPS), store.n_videos + 1))
        self._plays = np.zeros_like(self._total)
        weights, rows = reward_weights(self._weights), store.split_rows("train")
        for start in range(0, len(rows), _CHUNK):
            part = rows[start : start + _CHUNK]
            reward = scalar_reward(history_features(store, part)[:, : len(SIGNALS)], weights)
            self._count(self._group[store.events["user"][part]], store.events["video"][part], reward)
        self._begin()

    def reset(self, observation: Observation, info: dict[str, Any], *, seed: int) -> None:
        """Begin a run with no rewards."""
        super().reset(observation, info, seed=seed)
        self._begin()

    def _begin(self) -> None:
        self._reward, self._steps = np.zeros(len(GROUPS)), np.zeros(len(GROUPS))
        self.lowered = 0.0

    def _count(self, group: Ints, video: npt.NDArray[Any], reward: Floats) -> None:
        np.add.at(self._total, (group, video), reward)
        np.add.at(self._plays, (group, video), 1.0)

    def _groups(self, observation: Observation) -> Ints:
        """(B,) the users' groups."""
        groups: Ints = self._fitted(self._group)
        return groups[observation["user_id"][:, 0]]

    def gap(self) -> tuple[int, float]:
        """The group that is better off so far in the run, and by how much a step; 0 while one has not been served."""
        mean = self._reward / np.maximum(self._steps, 1.0)
        return int(np.argmax(mean)), float(mean.max() - mean.min()) if self._steps.all() else 0.0

    def score(self, observation: Observation) -> Floats:
        """(B, K) scores with the lift; of rows that are to be lowered, how close each slot comes to that."""
        group = self._groups(observation)
        video = observation["candidate_video"]
        of_group = (group[:, None], video)
        lift = smoothed(self._total[of_group], self._plays[of_group], self._mean[video]) - self._mean[video]
        scores = self._scores(observation) + self.strength * lift
        if not self.lowered:
            return scores
        best = np.where(observation["action_mask"] > 0, scores, -np.inf).max(axis=1, keepdims=True)
        ahead = group == self.gap()[0]
        return np.where(ahead[:, None], -np.abs(scores - (best - self.lowered)), scores)

    def observe(
        self,
        observation: Observation,
        action: npt.NDArray[np.int64],
        reward: npt.NDArray[np.float64],
        next_observation: Observation,
        terminated: npt.NDArray[np.bool_],
        truncated: npt.NDArray[np.bool_],
        info: dict[str, Any],
        began: npt.NDArray[np.bool_],
    ) -> None:
        """Learn what was liked and how the groups fare; let the agent learn."""
        super().observe(observation, action, reward, next_observation, terminated, truncated, info, began)
        rows = np.arange(len(action))
        served = observation["action_mask"][rows, action] > 0
        group = self._groups(observation)
        self._count(group[served], observation["candidate_video"][rows, action][served], np.asarray(reward)[served])
        np.add.at(self._reward, group, reward)
        np.add.at(self._steps, group, 1.0)
        if self.max_gap is not None:
            self.lowered = max(0.0, self.lowered + self.step * (self.gap()[1] - self.max_gap))
