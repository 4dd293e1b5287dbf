"""Diversity: maximal marginal relevance."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from svsim.agents.base import Agent, Observation
from svsim.agents.rerank.base import Floats, Reranker, relevance
from svsim.data.store import FeedStore
from svsim.errors import OptionError

__all__ = ["MMRAgent"]


class MMRAgent(Reranker):
    """Serves by an agent's scores less the likeness to what the user saw of late.

    (1 − d) · relevance − d · max likeness, over the newest `window` events of the observed history (Carbonell and
    Goldstein 1998, "The use of MMR, diversity-based reranking for reordering documents and producing summaries"; slots
    are served one after another, so the history takes the part of the list so far). Relevance is the score scaled to
    [0, 1] over the slots; likeness is the mean of having the same author and of the Jaccard index of the tags.

    Args:
        diversity: d, in [0, 1]; 0 leaves the agent's order as it is.
        window: Newest events that are compared with.
        of: The agent whose scores are re-ranked; last in a name as typed.
        reward_weights: Weight of each signal, handed on.
    """

    def __init__(
        self,
        diversity: float = 0.3,
        window: int = 10,
        of: str | Agent = "linucb",
        reward_weights: Mapping[str, float] | str | None = None,
    ) -> None:
        if not 0 <= diversity <= 1:
            raise OptionError(f"expected a number from 0 to 1, found {diversity}", where="diversity")
        if window < 1:
            raise OptionError(f"expected at least 1, found {window}", where="window")
        super().__init__(of, reward_weights)
        self.diversity, self.window = diversity, window
        self._tags: npt.NDArray[np.float32] | None = None

    def fit(self, store: FeedStore, *, seed: int) -> None:
        """Fit the agent; take the videos' tags."""
        super().fit(store, seed=seed)
        known = {tag: number for number, tag in enumerate(sorted({tag for tags in store.video_tags for tag in tags}))}
        self._tags = np.zeros((len(store.video_tags), len(known)), dtype=np.float32)
        for row, tags in enumerate(store.video_tags):
            self._tags[row, [known[tag] for tag in tags]] = 1.0
        self._tag_set = np.asarray(store.videos["tag_set"])

    def likeness(self, observation: Observation) -> Floats:
        """(B, K) the largest likeness of each slot to an event of the window; 0 without any."""
        tags: npt.NDArray[np.float32] = self._fitted(self._tags)
        past_author = observation["history_author"][:, -self.window :]
        past = observation["history_video"][:, -self.window :]
        here, there = tags[self._tag_set[observation["candidate_video"]]], tags[self._tag_set[past]]
        # Whole numbers, so that the size of the batch does not show in the last bits.
        shared = np.einsum("bkt,bnt->bkn", here, there).astype(np.float64)
        either = here.sum(axis=2)[:, :, None] + there.sum(axis=2)[:, None, :] - shared
        author = observation["candidate_author"][:, :, None] == past_author[:, None, :]
        alike = (author + shared / np.maximum(either, 1.0)) / 2
        return np.asarray(np.where((past > 0)[:, None, :], alike, 0.0).max(axis=2))

    def score(self, observation: Observation) -> Floats:
        """(B, K) marginal relevances."""
        wanted = relevance(self._scores(observation), observation["action_mask"])
        return (1 - self.diversity) * wanted - self.diversity * self.likeness(observation)
