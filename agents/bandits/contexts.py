"""What the linear bandits know of a slot: vectors made of an observation, and of logged rows by the same rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.agents.base import Observation
from svsim.data.features import candidate_features, history_features, user_features
from svsim.data.store import FeedStore
from svsim.names import HISTORY_FEATURES, SIGNALS, USER_FEATURES
from svsim.signals import reward_weights, scalar_reward

__all__ = ["Contexts", "Logged"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_WTR = HISTORY_FEATURES.index("wtr")
_DURATION = HISTORY_FEATURES.index("log_duration")
_CHUNK = 1 << 18


@dataclass(frozen=True)
class Logged:
    """Training rows as an agent would have seen them.

    Attributes:
        slot: (n, D) contexts of the served videos.
        user: (n, E) contexts of the users.
        video: (n,) dense ids.
        reward: (n,).
    """

    slot: Floats
    user: Floats
    video: Ints
    reward: Floats


class Contexts:
    """Context vectors.

    A slot's context is 1, the candidate's standardised features, and these times the mean watch-time ratio of the user's
    recent events, so that the same video may rank differently for different users. A user's context is 1, that mean, and
    the user's features.

    Args:
        recent: Events whose mean watch-time ratio stands for the user.
    """

    def __init__(self, recent: int) -> None:
        self.recent = recent
        self._mean: Floats | None = None
        self._scale: Floats | None = None

    @property
    def size(self) -> int:
        """D, once the number of candidate features is known."""
        assert self._mean is not None
        return 2 * len(self._mean) + 1

    # --- observations -------------------------------------------------------------------------------------------------

    def slots(self, observation: Observation) -> Floats:
        """(B, K, D) contexts of the slots, D = 2 C + 1."""
        candidates = observation["candidates"]
        if self._mean is None or self._scale is None:
            # Without a store the features stay as they are.
            self._mean, self._scale = np.zeros(candidates.shape[-1]), np.ones(candidates.shape[-1])
        return self._slot(candidates, self.recent_wtr(observation)[:, None])

    def served(self, observation: Observation, action: Ints) -> Floats:
        """(B, D) contexts of the slots that were served."""
        rows = np.arange(len(action))
        return self.slots({**observation, "candidates": observation["candidates"][rows, action][:, None]})[:, 0]

    def users(self, observation: Observation) -> Floats:
        """(B, E) contexts of the users, E = U + 2."""
        user = observation.get("user")
        features = np.zeros((len(observation["history"]), len(USER_FEATURES))) if user is None else user
        return self._user(features, self.recent_wtr(observation))

    def recent_wtr(self, observation: Observation) -> Floats:
        """(B,) mean watch-time ratio of the newest events that the observation shows; 0 where there is none."""
        history = observation["history"][:, -self.recent :]
        # A logged event has a duration; an empty place has none.
        events = np.maximum((history[..., _DURATION] > 0).sum(axis=1), 1)
        return np.asarray(history[..., _WTR].sum(axis=1, dtype=np.float64) / events)

    def _slot(self, candidates: npt.NDArray[Any], recent_wtr: Floats) -> Floats:
        assert self._mean is not None
        assert self._scale is not None
        size = candidates.shape[-1]
        context = np.empty((*candidates.shape[:-1], 2 * size + 1))
        context[..., 0] = 1.0
        scaled = context[..., 1 : size + 1]
        np.subtract(candidates, self._mean, out=scaled)
        scaled /= self._scale
        np.multiply(scaled, recent_wtr[..., None], out=context[..., size + 1 :])
        return context

    @staticmethod
    def _user(features: npt.NDArray[Any], recent_wtr: Floats) -> Floats:
        return np.column_stack([np.ones(len(features)), recent_wtr, features])

    # --- logs ---------------------------------------------------------------------------------------------------------

    def fit(self, store: FeedStore, rows: Ints) -> None:
        """Learn the features' scales from training rows."""
        features = candidate_features(store, rows).astype(np.float64)
        self._mean, self._scale = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-6)

    def logged(self, store: FeedStore, rows: Ints, weights: Any) -> Iterator[Logged]:
        """Training rows in blocks; their candidates' rates are those of other users."""
        profile, chosen = user_features(store), reward_weights(weights)
        recent_wtr = self._logged_wtr(store, rows)
        for start in range(0, len(rows), _CHUNK):
            part = rows[start : start + _CHUNK]
            wtr = recent_wtr[start : start + _CHUNK]
            yield Logged(
                slot=self._slot(candidate_features(store, part), wtr),
                user=self._user(profile[store.events["user"][part]], wtr),
                video=store.events["video"][part].astype(np.int64),
                reward=scalar_reward(history_features(store, part)[:, : len(SIGNALS)], chosen),
            )

    def _logged_wtr(self, store: FeedStore, rows: Ints) -> Floats:
        """(n,) mean watch-time ratio of the `recent` events before each row, by the same user."""
        first = store.users["first_event"][store.events["user"][rows]]
        begin = np.maximum(first, rows - self.recent)
        total = np.zeros(store.n_events + 1)
        for start in range(0, store.n_events, _CHUNK):
            chunk = np.arange(start, min(start + _CHUNK, store.n_events))
            total[chunk + 1] = history_features(store, chunk)[:, _WTR]
        np.cumsum(total, out=total)
        return np.asarray((total[rows] - total[begin]) / np.maximum(rows - begin, 1))
