"""What a reward model knows of a context and a video: functions of the observation, so of any candidate."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.agents.base import Observation
from svsim.names import HISTORY_FEATURES

__all__ = ["features"]

Singles = npt.NDArray[np.float32]

_RECENT = 10
"""Events whose mean stands beside that of all that is shown."""


def features(observation: Observation, chance: npt.NDArray[Any]) -> Singles:
    """(B, K, F) of every candidate: its own features, the user's, means over the history and over its last events.

    Args:
        observation: B rows of K candidates, as `svsim.envs.contexts.Contexts` builds them.
        chance: (B,) whether chance shows the candidates, or a policy that knows more than the observation.
    """
    candidates = observation["candidates"]
    history, past = observation["history"], observation["history_video"] > 0
    count = past.sum(axis=1, keepdims=True)
    recent = past & (np.cumsum(past[:, ::-1], axis=1)[:, ::-1] <= _RECENT)
    row = np.concatenate(
        [
            observation["user"],
            _mean(history, past),
            _mean(history, recent),
            history[:, -1],
            np.log1p(count),
            np.asarray(chance, dtype=np.float32)[:, None],
        ],
        axis=1,
    )
    of_author = (observation["history_author"][:, None, :] == observation["candidate_author"][:, :, None]) & past[
        :, None
    ]
    seen = np.log1p(of_author.sum(axis=2))[..., None]
    shape = (*candidates.shape[:2], row.shape[1])
    return np.concatenate([candidates, seen, np.broadcast_to(row[:, None], shape)], axis=2, dtype=np.float32)


def _mean(history: npt.NDArray[Any], chosen: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    """(B, H) means over chosen events, 0 where there are none."""
    total = np.einsum("blh,bl->bh", history, chosen.astype(np.float32))
    assert total.shape[1] == len(HISTORY_FEATURES)
    return np.asarray(total / np.maximum(chosen.sum(axis=1, keepdims=True), 1))
