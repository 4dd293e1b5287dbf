"""Draws that depend on nothing but their keys.

Policies that are compared must meet the same users, candidates and noise whatever they do in between, so these draws come
from a hash of (seed, episode, …) and not from the state of a generator. The mixer is SplitMix64 (Steele, Lea, Flood 2014,
"Fast splittable pseudorandom number generators").
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["RowStreams", "extended_hash", "keyed_hash", "keyed_uniform", "seed_key", "uniform_of"]

Keys = npt.NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31))
_UNUSED_BITS = np.uint64(11)


def _mix(word: Keys) -> Keys:
    word = (word ^ (word >> _SHIFTS[0])) * _FIRST
    word = (word ^ (word >> _SHIFTS[1])) * _SECOND
    return word ^ (word >> _SHIFTS[2])


def keyed_hash(*keys: npt.ArrayLike) -> Keys:
    """64 random bits for each combination of keys: uint64 of the keys' broadcast shape.

    Args:
        keys: Integers or arrays of them that broadcast to one shape; their order matters.
    """
    state: Any = np.zeros(1, dtype=np.uint64)
    for key in keys:
        state = _mix((state ^ np.asarray(key).astype(np.uint64)) + _GOLDEN)
    shape = np.broadcast_shapes(*(np.shape(key) for key in keys))
    return np.asarray(state).reshape(shape)


def extended_hash(state: Keys, key: Keys | np.uint64) -> Keys:
    """`keyed_hash` of one more key: `extended_hash(keyed_hash(a), b)` is `keyed_hash(a, b)`.

    What is drawn at every step shares its first keys; hashing those once an episode leaves a dozen array operations.

    Args:
        state: uint64 hashes of the keys before.
        key: uint64, broadcasts against `state`.
    """
    return _mix((state ^ key) + _GOLDEN)


def uniform_of(word: Keys) -> npt.NDArray[np.float64]:
    """The uniform draws from [0, 1) that hashes stand for."""
    return (word >> _UNUSED_BITS).astype(np.float64) * 2.0**-53


def keyed_uniform(*keys: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """A uniform draw from [0, 1) for each combination of keys."""
    return uniform_of(keyed_hash(*keys))


def seed_key(seed: int | None) -> np.uint64:
    """The key that a seed stands for; None draws one from the operating system."""
    return np.uint64(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0])


class RowStreams:
    """Keyed draws by row: row i of a batch seeded s draws what the only row of a batch seeded s + i draws.

    Args:
        rows: B.
        seed: s.
    """

    def __init__(self, rows: int, seed: int) -> None:
        self._keys = np.array([seed_key(seed + row) for row in range(rows)], dtype=np.uint64)[:, None]
        self._drawn = 0

    def uniform(self, columns: int) -> npt.NDArray[np.float64]:
        """(B, columns) uniforms from [0, 1), new ones at each call."""
        self._drawn += 1
        return keyed_uniform(self._keys, self._drawn, np.arange(columns)[None, :])
