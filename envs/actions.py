"""What an action is: a slot, or a slate of slots."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from svsim.errors import EnvironmentUsageError

__all__ = ["action_space", "checked_action", "checked_actions", "entries", "refuse_illegal"]

Array = npt.NDArray[Any]


def action_space(slots: int, slate: int = 1) -> spaces.Discrete | spaces.MultiDiscrete:
    """`Discrete(K)` to serve one slot, `MultiDiscrete([K] * S)` for a slate of S > 1."""
    return spaces.Discrete(slots) if slate == 1 else spaces.MultiDiscrete([slots] * slate)


def checked_action(action: Any, slots: int, slate: int) -> Array:
    """A single environment's action as a batch of one: int64 of shape (1,), or (1, S) for a slate.

    Raises:
        EnvironmentUsageError: It lies outside the action space.
    """
    if slate == 1 and type(action) is int and 0 <= action < slots:
        return np.array([action])
    expected = f"a slot from 0 to {slots - 1}" if slate == 1 else f"{slate} slots from 0 to {slots - 1}"
    try:
        chosen = np.asarray(action)
        if chosen.size != slate or chosen.dtype.kind not in "iu" or chosen.min() < 0 or chosen.max() >= slots:
            raise ValueError
    except (TypeError, ValueError) as error:
        raise EnvironmentUsageError(f"expected {expected}, found {action!r}", where="step") from error
    return chosen.reshape((1,) if slate == 1 else (1, slate)).astype(np.int64)


def checked_actions(actions: Any, rows: int, slots: int, slate: int) -> Array:
    """A batch's actions: int64 of shape (B,), or (B, S) for slates.

    Raises:
        EnvironmentUsageError: They lie outside the action space.
    """
    chosen = np.asarray(actions)
    shape = (rows,) if slate == 1 else (rows, slate)
    if chosen.shape != shape or chosen.dtype.kind not in "iu":
        raise EnvironmentUsageError(
            f"expected whole numbers of shape {shape}, found {chosen.dtype} of shape {chosen.shape}", where="step"
        )
    if chosen.min() < 0 or chosen.max() >= slots:
        row = int(np.argwhere((chosen < 0) | (chosen >= slots))[0][0])
        raise EnvironmentUsageError(
            f"expected slots from 0 to {slots - 1}, found {chosen[row].tolist()} in row {row}", where="step"
        )
    return chosen.astype(np.int64, copy=False)


def entries(masks: npt.NDArray[np.bool_], actions: Array) -> tuple[Array, Array]:
    """Which entries of slates serve a video, and which slates waste one.

    Args:
        masks: (B, K) legal slots.
        actions: (B, S) slots.

    Returns:
        (B, S) entries that are legal and not above in the slate, and (B,) slates with fewer of them than they could have.
    """
    good = np.take_along_axis(masks, actions, axis=1)
    for place in range(1, actions.shape[1]):
        good[:, place] &= (actions[:, :place] != actions[:, place, None]).all(axis=1)
    possible = np.minimum(masks.sum(axis=1), actions.shape[1])
    return good, good.sum(axis=1) < possible


def refuse_illegal(masks: npt.NDArray[np.bool_], actions: Array) -> None:
    """Raise where an action is none that the masks allow.

    Args:
        masks: (B, K) legal slots; (B, S K) for slates, each place's the same.
        actions: (B,) slots, or (B, S) slates, which are illegal if an entry serves nothing that could.

    Raises:
        EnvironmentUsageError: One is illegal; the first such row is named.
    """
    if actions.ndim == 1:
        illegal = ~masks[np.arange(len(actions)), actions]
    else:
        masks = masks[:, : masks.shape[1] // actions.shape[1]]
        illegal = entries(masks, actions)[1]
    if illegal.any():
        row = int(np.flatnonzero(illegal)[0])
        legal = np.flatnonzero(masks[row]).tolist()
        shown = f"{legal}" if len(legal) <= 100 else f"{len(legal)} videos"
        wanted = f"a legal slot of {shown}" if actions.ndim == 1 else f"different legal slots of {shown}"
        raise EnvironmentUsageError(
            f"expected {wanted}, found {actions[row].tolist()} in row {row}",
            where="step",
            remedy='mask the choice with action_masks(), or make the environment with on_illegal="penalise"',
        )
