"""Observations at any moment of a user's life, with any candidates: what an agent would have been shown there.

Episodes open at sessions; off-policy evaluation and the world's truth ask about single exposures.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.data.features import MAX_MINUTES, candidate_features_at, history_features, user_features
from svsim.data.store import FeedStore
from svsim.names import HISTORY_FEATURES

__all__ = ["Contexts"]

Array = npt.NDArray[Any]

_MINUTES = HISTORY_FEATURES.index("minutes_before")
_USER_SHIFT = np.int64(1) << np.int64(42)
"""Times in ms lie below it until the year 2109."""


class Contexts:
    """Builds observations as the environments document them.

    Args:
        store: Whose users, videos and events.
        history: L, past events shown.
    """

    def __init__(self, store: FeedStore, history: int = 50) -> None:
        self.store = store
        self.history = history

    @cached_property
    def _moment(self) -> Array:
        """(n_events,) ascending: user, then time, in one number."""
        return np.asarray(self.store.events["user"].astype(np.int64) * _USER_SHIFT + self.store.events["time_ms"])

    @cached_property
    def _users(self) -> Array:
        return user_features(self.store)

    def observe(self, user: Array, time_ms: Array, video: Array) -> dict[str, Array]:
        """What is shown at B moments.

        Args:
            user: (B,) dense user ids.
            time_ms: (B,) request times; only events of strictly earlier requests are history.
            video: (B, K) dense ids of the candidates, 0 an empty slot.

        Returns:
            An observation of B rows and K slots.
        """
        store, length, (rows, slots) = self.store, self.history, video.shape
        user = user.astype(np.int64)
        end = np.searchsorted(self._moment, user * _USER_SHIFT + time_ms)
        event = end[:, None] + np.arange(-length, 0)
        known = event >= store.users["first_event"][user][:, None]
        known &= (store.users["n_events"][user] > 0)[:, None]
        event = event[known]
        history = np.zeros((rows, length, len(HISTORY_FEATURES)), dtype=np.float32)
        history[known] = history_features(store, event)
        before = (np.broadcast_to(time_ms[:, None], known.shape)[known] - store.events["time_ms"][event]) / 60_000.0
        history[..., _MINUTES][known] = np.minimum(before, MAX_MINUTES)
        past = np.zeros((rows, length), dtype=np.int32)
        past[known] = store.events["video"][event]
        author = store.videos["author"]
        full = video > 0
        shown = candidate_features_at(
            store,
            np.broadcast_to(user[:, None], video.shape)[full],
            video[full],
            np.broadcast_to(time_ms[:, None], video.shape)[full],
        )
        candidates = np.zeros((rows, slots, shown.shape[1]), dtype=np.float32)
        candidates[full] = shown
        return {
            "user": self._users[user],
            "user_id": user.astype(np.int32)[:, None],
            "history": history,
            "history_video": past,
            "history_author": author[past].astype(np.int32),
            "candidates": candidates,
            "candidate_video": video.astype(np.int32),
            "candidate_author": np.where(full, author[video], 0).astype(np.int32),
            "action_mask": full.astype(np.int8),
        }
