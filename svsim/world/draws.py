"""Counter-based draws: a hash of what is drawn for whom, so that no draw depends on the order of the work.

Every random thing of the world has a `Draw` number; its key is (world seed, draw, user or video, request, slot, …). So a
user's path is the same whatever block or process simulates it, and any part of it can be drawn again.
"""

from __future__ import annotations

from enum import IntEnum
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.randomness import Keys, keyed_hash, keyed_uniform

__all__ = ["Draw", "bits", "from_table", "keyed_normal", "normal_table", "split"]

Floats = npt.NDArray[np.floating[Any]]


class Draw(IntEnum):
    """What is drawn; a number once given is never given to another draw."""

    USER = 1
    USER_COLUMN = 2
    TASTE = 3
    TASTE_ERROR = 4
    VIDEO = 5
    VIDEO_COLUMN = 6
    CLUSTER = 7
    SESSION = 8
    REQUEST = 9
    CANDIDATE = 10
    TICKET = 11
    REPLACEMENT = 12
    REPLACED_BY = 13
    RESPONSE = 14
    RETURN = 15
    ARRIVAL = 16
    DUPLICATE = 17
    STATISTIC = 18
    EVALUATION = 19


@cache
def normal_table() -> npt.NDArray[np.float32]:
    """The 65,536 normal quantiles at (i + ½) / 65,536: a normal draw from sixteen random bits."""
    from scipy.special import ndtri

    return np.asarray(ndtri((np.arange(65_536) + 0.5) / 65_536), dtype=np.float32)


def bits(word: Keys, first: int, count: int) -> npt.NDArray[np.int64]:
    """`count` bits of each hash from bit `first` on, as integers in [0, 2^count)."""
    return ((word >> np.uint64(first)) & np.uint64((1 << count) - 1)).astype(np.int64)


def keyed_normal(*keys: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """A standard normal draw for each combination of keys."""
    return normal_table()[(keyed_hash(*keys) >> np.uint64(48)).astype(np.int64)]


def from_table(values: npt.NDArray[Any], cumulative: Floats, *keys: npt.ArrayLike) -> npt.NDArray[Any]:
    """A draw from a table of values with these cumulative probabilities, for each combination of keys."""
    place = np.searchsorted(cumulative, keyed_uniform(*keys), side="right")
    return np.asarray(values[np.minimum(place, len(values) - 1)])


def split(uniform: Floats, probability: Floats) -> tuple[npt.NDArray[np.bool_], Floats]:
    """Spend a uniform draw on an event; what is left of it is uniform again, whichever way the event fell.

    Args:
        uniform: In [0, 1).
        probability: In [0, 1].

    Returns:
        Whether the event happens, and a new uniform draw that is independent of it.
    """
    event = uniform < probability
    with np.errstate(divide="ignore", invalid="ignore"):
        rest = np.where(event, uniform / probability, (uniform - probability) / (1 - probability))
    return event, np.clip(rest, 0.0, 1.0 - 2.0**-53)
