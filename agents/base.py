"""The agent contract."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from svsim.errors import AgentError

__all__ = ["Agent", "Observation", "ScoringAgent", "greedy", "slot_probabilities"]

Observation = dict[str, npt.NDArray[Any]]

ROUNDING = 1e-6
"""That a sum of probabilities may be off by: single precision over a few hundred slots."""


class Agent(ABC):
    """Something that chooses what to serve, for B episodes at a time.

    An agent is made as `Agent(**options)`. One that has `fit(store, *, seed)` is fitted on the training split once per
    seed. What it knows while acting is in its observations; what it learns carries over the episodes of a run. One that
    also has `probabilities(observation) -> (B, K)` can be evaluated off-policy.
    """

    privileged: ClassVar[bool] = False
    """Whether the agent is handed `info["privileged"]`: only for those that cheat on purpose, and say so."""

    def reset(self, observation: Observation, info: dict[str, Any], *, seed: int) -> None:  # noqa: B027
        """Begin a run: B new episodes.

        Args:
            observation: Arrays (B, …) as `svsim.envs.ReplayEnv` documents them.
            info: Of the environment's reset.
            seed: Of everything that the agent draws.
        """

    @abstractmethod
    def act(self, observation: Observation) -> npt.NDArray[np.int64]:
        """(B,) slots to serve, each legal by `observation["action_mask"]`."""

    def observe(  # noqa: B027
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
        """Learn from one step.

        Args:
            observation: What was acted on.
            action: (B,) what `act` chose.
            reward: (B,) scalar rewards.
            next_observation: What the environment returned.
            terminated: (B,) episodes that came to an end.
            truncated: (B,) episodes that were cut.
            info: The vector environment's infos of the step.
            began: (B,) rows whose `next_observation` opens a new episode.
        """


class ScoringAgent(Agent):
    """An agent that serves the legal slot of the highest score; of equal ones the first."""

    @abstractmethod
    def score(self, observation: Observation) -> npt.NDArray[Any]:
        """(B, K) scores, higher is better; those of empty slots do not matter."""

    def act(self, observation: Observation) -> npt.NDArray[np.int64]:
        """(B,) the legal slot of the highest score in each row."""
        return greedy(self.score(observation), observation["action_mask"])

    def probabilities(self, observation: Observation) -> npt.NDArray[np.float64]:
        """(B, K) one for the slot that `act` would choose, else zero."""
        chosen = self.act(observation)
        probabilities = np.zeros(observation["action_mask"].shape)
        probabilities[np.arange(len(chosen)), chosen] = 1.0
        return probabilities


def greedy(scores: npt.NDArray[Any], mask: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """(B,) the first slot of the highest score among those that `mask` (B, K) allows.

    Raises:
        AgentError: The scores are not of the mask's shape, or those of legal slots are no numbers.
    """
    scores = np.asarray(scores)
    if scores.shape != mask.shape:
        raise AgentError(f"expected scores of shape {mask.shape}, found {scores.shape}", where="score")
    wrong = np.isnan(scores) & (mask > 0)
    if wrong.any():
        row, slot = np.argwhere(wrong)[0]
        raise AgentError(
            f"expected numbers, found NaN for {wrong.sum()} legal slots, the first in row {row}, slot {slot}",
            where="score",
        )
    # A legal slot of −inf is still better than an empty one.
    return np.asarray(np.argmax(np.where(mask > 0, np.maximum(scores, np.finfo(np.float64).min), -np.inf), axis=1))


def slot_probabilities(agent: Agent, observation: Observation) -> npt.NDArray[np.float64]:
    """(B, K) what an agent's `probabilities` tell of each slot, checked, 0 for those that the mask forbids.

    Raises:
        AgentError: It has no such method, or they are no distribution over the legal slots.
    """
    told = getattr(agent, "probabilities", None)
    if not callable(told):
        raise AgentError("expected an agent with probabilities(observation)", where=type(agent).__name__)
    legal = observation["action_mask"] > 0
    shown = np.asarray(told(observation), dtype=np.float64)
    if shown.shape != legal.shape or not (shown >= 0).all() or np.abs((shown * legal).sum(axis=1) - 1).max() > ROUNDING:
        raise AgentError(
            f"expected probabilities of shape {legal.shape} that sum to one over the legal slots",
            where=f"{type(agent).__name__}.probabilities",
        )
    return np.asarray(shown * legal)
