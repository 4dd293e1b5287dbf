"""Provider exposure: authors get their share of what they offer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.agents.base import Agent, Observation
from svsim.agents.rerank.base import Floats, Reranker, relevance
from svsim.agents.values import training_values
from svsim.data.features import smoothed
from svsim.data.store import FeedStore
from svsim.errors import OptionError

__all__ = ["ProviderExposureAgent"]


class ProviderExposureAgent(Reranker):
    """Serves by an agent's scores plus what an author's exposure falls short of.

    relevance + strength · (target − rate)/r: an author's rate is the share of its offers that were served so far in the
    run, r that share over all authors, and the target r, or with `merit` r · merit/mean merit, where merit is the author's
    mean training reward. That is the proportional controller of FairCo (Morik, Singh, Hong, Joachims 2020, "Controlling
    fairness and bias in dynamic learning-to-rank") with exposure counted by opportunity, since the environment decides
    what is on offer; rates are shrunk towards r.

    Args:
        strength: Of the correction, in units of the relevance's range; 0 leaves the agent's order as it is.
        merit: Whether better authors are due more.
        of: The agent whose scores are re-ranked; last in a name as typed.
        reward_weights: Weight of each signal, as the environment's.
    """

    def __init__(
        self,
        strength: float = 0.3,
        merit: bool = True,
        of: str | Agent = "linucb",
        reward_weights: Mapping[str, float] | str | None = None,
    ) -> None:
        if not strength >= 0:
            raise OptionError(f"expected at least 0, found {strength}", where="strength")
        super().__init__(of, reward_weights)
        self.strength, self.merit = strength, merit
        self._weights = reward_weights
        self._due: Floats | None = None

    def fit(self, store: FeedStore, *, seed: int) -> None:
        """Fit the agent; take each author's mean training reward."""
        super().fit(store, seed=seed)
        author, count = np.asarray(store.videos["author"]), store.n_authors + 1
        values = training_values(store, self._weights)
        total = np.bincount(author, weights=values.total, minlength=count)
        plays = np.bincount(author, weights=values.plays, minlength=count)
        mean = smoothed(total, plays, values.overall)
        worth = mean / values.overall if values.overall > 0 else np.ones(count)
        self._due = np.maximum(worth, 0.0) if self.merit else np.ones(count)
        self._offered, self._served = np.zeros(count), np.zeros(count)

    def reset(self, observation: Observation, info: dict[str, Any], *, seed: int) -> None:
        """Begin a run with no exposure."""
        super().reset(observation, info, seed=seed)
        count = len(self._fitted(self._due))
        self._offered, self._served = np.zeros(count), np.zeros(count)

    def rates(self) -> tuple[Floats, float]:
        """Share of each author's offers (n_authors + 1,) that were served, shrunk, and over all authors."""
        overall = float(self._served.sum() / self._offered.sum()) if self._offered.any() else 1.0
        return smoothed(self._served, self._offered, overall), overall

    def score(self, observation: Observation) -> Floats:
        """(B, K) relevances with the correction."""
        due: Floats = self._fitted(self._due)
        rate, overall = self.rates()
        short = (due * overall - rate) / overall
        wanted = relevance(self._scores(observation), observation["action_mask"])
        return wanted + self.strength * short[observation["candidate_author"]]

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
        """Count offers and exposures; let the agent learn."""
        super().observe(observation, action, reward, next_observation, terminated, truncated, info, began)
        author, legal = observation["candidate_author"], observation["action_mask"] > 0
        np.add.at(self._offered, author[legal], 1.0)
        rows = np.arange(len(action))
        np.add.at(self._served, author[rows, action][legal[rows, action]], 1.0)
