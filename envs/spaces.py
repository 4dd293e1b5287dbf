"""Observation spaces of the environments."""

from __future__ import annotations

import numpy as np
from gymnasium import spaces

from svsim.data.features import USER_BOUND, bounds
from svsim.names import HISTORY_FEATURES, USER_FEATURES

__all__ = ["observation_space"]


def observation_space(
    *, candidates: int, history: int, candidate_features: tuple[str, ...], n_users: int, n_videos: int, n_authors: int
) -> spaces.Dict:
    """The observation of one environment, every bound finite.

    Args:
        candidates: K.
        history: L.
        candidate_features: Names of the C features of a candidate.
        n_users: Largest dense user id.
        n_videos: Largest dense video id.
        n_authors: Largest dense author id.
    """
    return spaces.Dict(
        {
            "user": spaces.Box(-USER_BOUND, USER_BOUND, (len(USER_FEATURES),), np.float32),
            "user_id": _ids(n_users, 1),
            "history": _features(HISTORY_FEATURES, history),
            "history_video": _ids(n_videos, history),
            "history_author": _ids(n_authors, history),
            "candidates": _features(candidate_features, candidates),
            "candidate_video": _ids(n_videos, candidates),
            "candidate_author": _ids(n_authors, candidates),
            "action_mask": spaces.Box(0, 1, (candidates,), np.int8),
        }
    )


def _ids(largest: int, length: int) -> spaces.Box:
    return spaces.Box(0, largest, (length,), np.int32)


def _features(names: tuple[str, ...], rows: int) -> spaces.Box:
    low, high = bounds(names)
    return spaces.Box(np.tile(low, (rows, 1)), np.tile(high, (rows, 1)), dtype=np.float32)
