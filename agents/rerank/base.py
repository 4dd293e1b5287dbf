"""What all re-rankers share: an agent inside, whose scores they change."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
import numpy.typing as npt

from svsim.agents.base import Agent, Observation, greedy
from svsim.agents.registry import make_agent
from svsim.data.store import FeedStore
from svsim.errors import AgentError, OptionError

__all__ = ["Reranker", "relevance"]

Floats = npt.NDArray[np.float64]


@runtime_checkable
class _Scorer(Protocol):
    def score(self, observation: Observation) -> npt.NDArray[Any]: ...


class Reranker(Agent):
    """An agent that serves by another agent's scores, changed; the other learns from what was served.

    Args:
        of: The other: an agent that scores, or its name. In a name as typed `of` comes last and takes the rest:
            `mmr?diversity=0.5&of=sasrec4sv?run=RUN&head=wtr`.
        reward_weights: Weight of each signal, handed on.

    Raises:
        OptionError: The other has no scores.
    """

    def __init__(self, of: str | Agent, reward_weights: Mapping[str, float] | str | None = None) -> None:
        self.scorer = make_agent(of, reward_weights=reward_weights) if isinstance(of, str) else of
        if not isinstance(self.scorer, _Scorer):
            raise OptionError(f"expected an agent that scores, found {of!r}, which only acts", where="of")

    def fit(self, store: FeedStore, *, seed: int) -> None:
        """Fit the other."""
        if hasattr(self.scorer, "fit"):
            self.scorer.fit(store, seed=seed)

    def reset(self, observation: Observation, info: dict[str, Any], *, seed: int) -> None:
        """Begin a run."""
        self.scorer.reset(observation, info, seed=seed)

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
        """Let the other learn."""
        self.scorer.observe(observation, action, reward, next_observation, terminated, truncated, info, began)

    def _scores(self, observation: Observation) -> Floats:
        """(B, K) the other's."""
        return np.asarray(cast(_Scorer, self.scorer).score(observation), dtype=np.float64)

    def _fitted(self, what: Any) -> Any:
        if what is None:
            raise AgentError("expected fit(store, seed=…) before the first call", where=type(self).__name__)
        return what

    def act(self, observation: Observation) -> npt.NDArray[np.int64]:
        """(B,) the legal slot of the highest changed score in each row."""
        return greedy(self.score(observation), observation["action_mask"])

    @abstractmethod
    def score(self, observation: Observation) -> Floats:
        """(B, K) changed scores."""

    def __getattr__(self, name: str) -> Any:
        # An agent that draws its scores has no probabilities, and then its re-ranker has none either.
        if name == "probabilities" and hasattr(self.__dict__.get("scorer"), name):
            return self._probabilities
        raise AttributeError(name)

    def _probabilities(self, observation: Observation) -> Floats:
        return np.eye(observation["action_mask"].shape[1])[self.act(observation)]


def relevance(scores: Floats, mask: npt.NDArray[Any]) -> Floats:
    """(B, K) scores scaled to [0, 1] over the legal slots of each row, so that any agent's can be weighed; 0 elsewhere."""
    legal = mask > 0
    least = np.where(legal, scores, np.inf).min(axis=1, keepdims=True)
    most = np.where(legal, scores, -np.inf).max(axis=1, keepdims=True)
    return np.where(legal, (scores - least) / np.where(most > least, most - least, 1.0), 0.0)
