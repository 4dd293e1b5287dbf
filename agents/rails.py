"""The rails of every table: what a good agent must beat, and what none can."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.agents.base import Agent, Observation, ScoringAgent, greedy
from svsim.agents.values import training_values
from svsim.data.store import FeedStore
from svsim.errors import AgentError
from svsim.randomness import RowStreams

__all__ = ["LoggedAgent", "OracleAgent", "PopularityAgent", "RandomAgent"]


class RandomAgent(Agent):
    """Serves any legal slot, all alike."""

    def reset(self, observation: Observation, info: dict[str, Any], *, seed: int) -> None:  # noqa: ARG002
        """Seed the rows' draws."""
        self._draws = RowStreams(len(observation["action_mask"]), seed)

    def act(self, observation: Observation) -> npt.NDArray[np.int64]:
        """(B,) uniform draws among the legal slots."""
        mask = observation["action_mask"]
        return greedy(self._draws.uniform(mask.shape[1]), mask)

    def probabilities(self, observation: Observation) -> npt.NDArray[np.float64]:
        """(B, K) one over the number of legal slots for each."""
        mask = observation["action_mask"].astype(np.float64)
        return np.asarray(mask / mask.sum(axis=1, keepdims=True))


class PopularityAgent(ScoringAgent):
    """Serves the video of the highest mean training reward, shrunk towards the overall mean by ten plays.

    Args:
        reward_weights: Weight of each signal, as the environment's.
    """

    def __init__(self, reward_weights: Mapping[str, float] | str | None = None) -> None:
        self._weights = reward_weights
        self._value: npt.NDArray[np.float64] | None = None

    def fit(self, store: FeedStore, *, seed: int) -> None:  # noqa: ARG002 - nothing is drawn
        """Take each video's mean reward from the training split."""
        self._value = training_values(store, self._weights).mean

    def score(self, observation: Observation) -> npt.NDArray[np.float64]:
        """(B, K) shrunk mean training rewards."""
        if self._value is None:
            raise AgentError("expected fit(store, seed=…) before the first call", where="popularity")
        return self._value[observation["candidate_video"]]


class _PrivilegedAgent(Agent):
    """Keeps what `info["privileged"]` tells of the observation to act on."""

    privileged = True

    def reset(self, observation: Observation, info: dict[str, Any], *, seed: int) -> None:  # noqa: ARG002
        self._known = self._privileged(info)

    def observe(
        self,
        observation: Observation,  # noqa: ARG002
        action: npt.NDArray[np.int64],  # noqa: ARG002
        reward: npt.NDArray[np.float64],  # noqa: ARG002
        next_observation: Observation,  # noqa: ARG002
        terminated: npt.NDArray[np.bool_],  # noqa: ARG002
        truncated: npt.NDArray[np.bool_],  # noqa: ARG002
        info: dict[str, Any],
        began: npt.NDArray[np.bool_],  # noqa: ARG002
    ) -> None:
        self._known = self._privileged(info)

    def _privileged(self, info: dict[str, Any]) -> dict[str, npt.NDArray[Any]]:
        if "privileged" not in info:
            raise AgentError(
                'expected info["privileged"], found none',
                where=type(self).__name__,
                remedy="make the environment with privileged=True",
            )
        known: dict[str, npt.NDArray[Any]] = info["privileged"]
        return known


class LoggedAgent(_PrivilegedAgent):
    """Serves in the order of the platform's log; privileged, since no observation tells it."""

    def act(self, observation: Observation) -> npt.NDArray[np.int64]:
        """(B,) the legal slot that was served first in the log."""
        return greedy(-self._known["logged_rank"], observation["action_mask"])


class OracleAgent(_PrivilegedAgent):
    """Serves the slot of the highest true (or truly expected) reward; privileged: it reads the answer."""

    def act(self, observation: Observation) -> npt.NDArray[np.int64]:
        """(B,) the legal slot of the highest true reward."""
        return greedy(self._known["reward"], observation["action_mask"])
