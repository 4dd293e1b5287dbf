"""Actions for the checks: random ones, by the masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

__all__ = ["random_actions", "slate_of"]

Array = npt.NDArray[Any]


def slate_of(space: spaces.Space[Any]) -> int:
    """S, the slots of an action: 1 for `Discrete(K)`, S for `MultiDiscrete([K] * S)`."""
    return len(space.nvec) if isinstance(space, spaces.MultiDiscrete) else 1


def random_actions(masks: Array, slate: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Legal actions by chance: (B,) slots, or (B, S) different ones; illegal ones fill up a slate that lacks legal ones.

    Args:
        masks: (B, S K) legal slots, each place's the same.
        slate: S.
        rng: What is drawn from.
    """
    mask = np.asarray(masks)[:, : masks.shape[1] // slate] > 0
    drawn = np.where(mask, rng.random(mask.shape), -1.0)
    if slate == 1:
        return np.asarray(np.argmax(drawn, axis=1))
    return np.asarray(np.argsort(-drawn, axis=1, kind="stable")[:, :slate])
