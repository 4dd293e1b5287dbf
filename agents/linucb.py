"""LinUCB: a linear bandit over what the observation tells of a candidate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.agents.base import Observation, ScoringAgent
from svsim.data.features import candidate_features, history_features
from svsim.data.store import FeedStore
from svsim.errors import OptionError
from svsim.names import HISTORY_FEATURES, SIGNALS
from svsim.signals import reward_weights, scalar_reward

__all__ = ["LinUCBAgent"]

Floats = npt.NDArray[np.float64]

_WTR = HISTORY_FEATURES.index("wtr")
_DURATION = HISTORY_FEATURES.index("log_duration")
_CHUNK = 1 << 18


class LinUCBAgent(ScoringAgent):
    """Serves the highest upper bound of a linear reward; θ is shared by all videos and learnt as it goes.

    Score = xθ + α √(x A⁻¹ xᵀ), θ = A⁻¹ b, A = ridge · I + Σ xᵀx, b = Σ r xᵀ (Li, Chu, Langford, Schapire 2010, "A
    contextual-bandit approach to personalized news article recommendation", Algorithm 1, with one θ for all arms). The
    context x is 1, the candidate's standardised features, and these times the mean watch-time ratio of the user's recent
    events, so that the same video may rank differently for different users.

    Args:
        alpha: Width of the bound; 0 is greedy.
        ridge: Strength of the prior that θ is 0; above 0.
        warm: Whether to begin with rows of the training split instead of nothing.
        fit_rows: Training rows to begin with, at most; drawn if there are more.
        recent: Events whose mean watch-time ratio stands for the user.
        reward_weights: Weight of each signal in the training rows, as the environment's.
    """

    def __init__(
        self,
        alpha: float = 0.5,
        ridge: float = 1.0,
        warm: bool = True,
        fit_rows: int = 500_000,
        recent: int = 50,
        reward_weights: Mapping[str, float] | str | None = None,
    ) -> None:
        for name, value, low in (("alpha", alpha, 0.0), ("fit_rows", fit_rows, 1), ("recent", recent, 1)):
            if value < low:
                raise OptionError(f"expected at least {low}, found {value}", where=name)
        if not ridge > 0:
            raise OptionError(f"expected a number above 0, found {ridge}", where="ridge")
        self.alpha = alpha
        self.ridge = ridge
        self.warm = warm
        self.fit_rows = fit_rows
        self.recent = recent
        self._weights = reward_weights
        self._mean: Floats | None = None
        self._scale: Floats | None = None
        self._gram: Floats | None = None

    def fit(self, store: FeedStore, *, seed: int) -> None:
        """Learn the features' scales and, if `warm`, begin with training rows (of other users' statistics only)."""
        rows = store.split_rows("train")
        if len(rows) > self.fit_rows:
            rows = np.sort(np.random.default_rng(seed).choice(rows, self.fit_rows, replace=False))
        features = candidate_features(store, rows).astype(np.float64)
        self._mean, self._scale = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-6)
        self._begin(2 * features.shape[1] + 1)
        if not self.warm:
            return
        wtr = self._recent_wtr(store, rows)
        signals = history_features(store, rows)[:, : len(SIGNALS)]
        rewards = scalar_reward(signals, reward_weights(self._weights))
        for start in range(0, len(rows), _CHUNK):
            part = slice(start, start + _CHUNK)
            self._add(self._context(features[part], wtr[part, None]), rewards[part])
        self._solve()

    def _recent_wtr(self, store: FeedStore, rows: npt.NDArray[np.int64]) -> Floats:
        """(n,) mean watch-time ratio of the `recent` events before each row, by the same user."""
        first = store.users["first_event"][store.events["user"][rows]]
        begin = np.maximum(first, rows - self.recent)
        total = np.zeros(store.n_events + 1)
        for start in range(0, store.n_events, _CHUNK):
            chunk = np.arange(start, min(start + _CHUNK, store.n_events))
            total[chunk + 1] = history_features(store, chunk)[:, _WTR]
        np.cumsum(total, out=total)
        return np.asarray((total[rows] - total[begin]) / np.maximum(rows - begin, 1))

    def _begin(self, size: int) -> None:
        self._gram = self.ridge * np.eye(size)
        self._target = np.zeros(size)
        self._solve()

    def _solve(self) -> None:
        assert self._gram is not None
        self._inverse = np.linalg.inv(self._gram)
        self._theta = np.linalg.solve(self._gram, self._target)

    def _add(self, context: Floats, reward: Floats) -> None:
        assert self._gram is not None
        # einsum and not BLAS: the sum must not depend on how many threads a process has.
        self._gram += np.einsum("nd,ne->de", context, context)
        self._target += np.einsum("nd,n->d", context, reward)

    def _context(self, candidates: Floats, recent_wtr: Floats) -> Floats:
        """(…, 2C + 1): one, candidate features, and these times the user's recent watch-time ratio."""
        assert self._mean is not None
        assert self._scale is not None
        scaled = (candidates - self._mean) / self._scale
        return np.concatenate([np.ones((*scaled.shape[:-1], 1)), scaled, scaled * recent_wtr], axis=-1)

    def _contexts(self, observation: Observation) -> Floats:
        candidates = observation["candidates"].astype(np.float64)
        if self._mean is None:
            # Without a store the features stay as they are.
            self._mean, self._scale = np.zeros(candidates.shape[-1]), np.ones(candidates.shape[-1])
        if self._gram is None:
            self._begin(2 * candidates.shape[-1] + 1)
        history = observation["history"][:, -self.recent :].astype(np.float64)
        # A logged event has a duration; an empty place has none.
        events = np.maximum((history[..., _DURATION] > 0).sum(axis=1), 1)
        recent_wtr = history[..., _WTR].sum(axis=1) / events
        return self._context(candidates, recent_wtr[:, None, None])

    def score(self, observation: Observation) -> Floats:
        """(B, K) upper bounds of the expected reward."""
        context = self._contexts(observation)
        # einsum and not a matrix product: its sums do not depend on the size of the batch.
        spread = (np.einsum("bkd,de->bke", context, self._inverse) * context).sum(axis=-1)
        return np.asarray((context * self._theta).sum(axis=-1) + self.alpha * np.sqrt(np.maximum(spread, 0.0)))

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
        """Add the served candidates and their rewards."""
        rows = np.arange(len(action))
        served = observation["candidate_video"][rows, action] > 0
        context = self._contexts(observation)[rows, action]
        self._add(context[served], reward[served])
        self._solve()
