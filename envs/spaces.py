"""Observation spaces of the environments."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from svsim.data.features import USER_BOUND, bounds
from svsim.names import HISTORY_FEATURES, USER_FEATURES

__all__ = ["observation_space"]


def observation_space(
    *,
    candidates: int | None,
    history: int,
    candidate_features: tuple[str, ...],
    n_users: int,
    n_videos: int,
    n_authors: int,
    mask: int | None = None,
) -> spaces.Dict:
    """The observation of one environment, every bound finite.

    Args:
        candidates: K; None leaves the candidates out.
        history: L.
        candidate_features: Names of the C features of a candidate.
        n_users: Largest dense user id.
        n_videos: Largest dense video id.
        n_authors: Largest dense author id.
        mask: Length of the mask; by default K, needed without candidates.
    """
    boxes: dict[str, spaces.Space[Any]] = {
        "user": spaces.Box(-USER_BOUND, USER_BOUND, (len(USER_FEATURES),), np.float32),
        "user_id": _ids(n_users, 1),
        "history": _features(HISTORY_FEATURES, history),
        "history_video": _ids(n_videos, history),
        "history_author": _ids(n_authors, history),
    }
    if candidates is not None:
        boxes["candidates"] = _features(candidate_features, candidates)
        boxes["candidate_video"] = _ids(n_videos, candidates)
        boxes["candidate_author"] = _ids(n_authors, candidates)
    boxes["action_mask"] = spaces.Box(0, 1, (mask or candidates or 1,), np.int8)
    return spaces.Dict(boxes)


def _ids(largest: int, length: int) -> spaces.Box:
    return spaces.Box(0, largest, (length,), np.int32)


def _features(names: tuple[str, ...], rows: int) -> spaces.Box:
    low, high = bounds(names)
    return spaces.Box(np.tile(low, (rows, 1)), np.tile(high, (rows, 1)), dtype=np.float32)
