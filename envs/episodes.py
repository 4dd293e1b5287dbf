"""Which episode each row of a batch plays next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.errors import EnvironmentUsageError
from svsim.randomness import keyed_hash, seed_key

__all__ = ["EpisodeStream", "choose_sessions", "episode_keys"]

Keys = npt.NDArray[np.uint64]


class EpisodeStream:
    """Episode keys by row: first those that were asked for, then the row's own stream.

    A row's own stream is a hash of its seed and of how many keys it has given, so that row i of a batch plays what a
    single environment of the same seed plays.

    Args:
        rows: B.
    """

    def __init__(self, rows: int) -> None:
        self._seeds = np.array([seed_key(None) for _ in range(rows)], dtype=np.uint64)
        self._given = np.zeros(rows, dtype=np.uint64)
        self._queue: Keys = np.empty((0, rows), dtype=np.uint64)
        self._queued = np.zeros(rows, dtype=np.int64)

    def seed(self, seeds: Sequence[int | None]) -> None:
        """Seed rows anew; None leaves a row's stream as it is. What is left of a queue is forgotten when a row is seeded."""
        if any(seed is not None for seed in seeds):
            self._queue = self._queue[:0]
        for row, seed in enumerate(seeds):
            if seed is not None:
                self._seeds[row] = seed_key(seed)
                self._given[row] = 0

    def queue(self, keys: Keys) -> None:
        """Let every row play the keys (M, B) of its column before its own stream goes on."""
        self._queue = keys
        self._queued[:] = 0

    def next(self, rows: npt.NDArray[np.int64]) -> Keys:
        """The next key of each of the named rows."""
        keys = keyed_hash(self._seeds[rows], self._given[rows])
        self._given[rows] += np.uint64(1)
        if len(self._queue):
            waiting = self._queued[rows] < len(self._queue)
            # A queued key takes the place of a drawn one and does not use it up.
            chosen = rows[waiting]
            keys[waiting] = self._queue[self._queued[chosen], chosen]
            self._given[chosen] -= np.uint64(1)
            self._queued[chosen] += 1
        return keys


def episode_keys(value: Any, rows: int) -> Keys:
    """Check `options["episodes"]`: keys of shape (B,), or (M, B) for a queue of M episodes a row.

    Raises:
        EnvironmentUsageError: Another shape, or no whole numbers of 64 bits.
    """
    keys = np.asarray(value)
    if keys.dtype.kind == "i" and (keys >= 0).all():
        keys = keys.astype(np.uint64)
    if keys.dtype != np.uint64:
        raise EnvironmentUsageError(
            f"expected whole numbers from 0 to 2**64 − 1, found {keys.dtype} {np.array2string(keys.ravel()[:3])}",
            where='options["episodes"]',
        )
    keys = keys.reshape(1) if keys.ndim == 0 else keys
    if keys.ndim not in (1, 2) or keys.shape[-1] != rows or not len(keys):
        raise EnvironmentUsageError(
            f"expected keys of shape ({rows},) or (M, {rows}), found {keys.shape}", where='options["episodes"]'
        )
    return keys.reshape(-1, rows)


def choose_sessions(keys: Keys, users: npt.NDArray[Any], sessions: npt.NDArray[Any], owner: npt.NDArray[Any]) -> Keys:
    """Keys near `keys` that play given sessions, where an episode plays session key modulo S.

    Args:
        keys: (B,) drawn keys.
        users: (B,) users by the source's ids.
        sessions: (B,) which of the user's sessions, from 0.
        owner: (S,) user of each session by the source's id.

    Raises:
        EnvironmentUsageError: A user has no such session.
    """
    chosen = np.empty(len(keys), dtype=np.uint64)
    for row, (user, session) in enumerate(zip(users.tolist(), sessions.tolist(), strict=True)):
        own = np.flatnonzero(owner == user)
        if not 0 <= session < len(own):
            raise EnvironmentUsageError(
                f"expected a session of user {user} from 0 to {len(own) - 1}, found {session}"
                if len(own)
                else f"user {user} has no session that is served here",
                where="reset",
            )
        chosen[row] = own[session]
    # Any key of the session will do; one near the drawn key keeps what else it decides random.
    count = np.uint64(len(owner))
    return np.asarray((keys >> np.uint64(1)) // count * count + chosen, dtype=np.uint64)
