"""Who answers a served video: the protocol that Feed-v0 speaks with a model of its users.

Everything is numpy in, numpy out, B rows at a time; videos and users go by the store's dense ids, 0 being none. A model
draws nothing itself: reactions come from uniforms that are handed in, so that policies meet the same users.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from svsim.names import (
    AUX,
    CLICK,
    COMMENT,
    FOLLOW,
    FORWARD,
    HATE,
    LIKE,
    LONG_VIEW,
    PLAY_TIME,
    WTG,
    WTR,
)

__all__ = ["EXPECTED", "NOISE", "Past", "ResponseModel", "State", "put_rows"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.floating[Any]]
State = dict[str, Array]
"""What a model knows of B users at this moment: arrays with a leading axis B, by name. `time_ms` (B,) int64 is the clock,
which every state has; the other names are the model's own."""

NOISE = 8
"""Uniforms of a reaction: play time (two), like, comment, forward, follow, hate, leaving. The last is read by whoever asks
`leave_probability`, not by `respond`."""

EXPECTED = (PLAY_TIME, CLICK, LONG_VIEW, LIKE, COMMENT, FORWARD, FOLLOW, HATE, WTR, WTG, AUX)
"""What `expect` tells: the play time in ms, probabilities, the watch-time ratio clipped at 1, the probability of a relevant
gain, the auxiliary feedback."""


@dataclass(frozen=True)
class Past:
    """Where in the log B episodes begin."""

    event: npt.NDArray[np.int64]
    """(B,) row of the store's events; the user's rows before it are their past."""
    time_ms: npt.NDArray[np.int64]
    """(B,) when the first video is served, ms since 1970."""
    key: npt.NDArray[np.uint64]
    """(B,) the episodes' keys, for what a model draws once an episode."""


class ResponseModel(Protocol):
    """A model of the users: expectations, reactions, leaving and coming back.

    `expect` and `respond` agree: the mean of reactions over uniform noise is the expectation. A state given to `advance` or
    `come_back` may be changed in place; the one that is returned counts.
    """

    def begin(self, users: npt.NDArray[np.int64], history: Past) -> State:
        """The state of (B,) users who open a session there."""
        ...

    def expect(self, state: State, videos: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.float32]]:
        """(B, K) expectations by name of `EXPECTED`, if each of (B, K) videos were served now; 0 for video 0."""
        ...

    def respond(
        self, state: State, video: npt.NDArray[np.int64], noise: npt.NDArray[np.float64]
    ) -> dict[str, npt.NDArray[Any]]:
        """One reaction to one video a row.

        Args:
            state: B rows; nothing of it changes but what a model notes down there for the `advance` that follows.
            video: (B,) served videos; 0 is none and gives zeros.
            noise: (B, 8) uniforms in [0, 1), see `NOISE`.

        Returns:
            (B,) int32 by name of `names.FEEDBACK`; what else a model tells of its answer (as `disagreement`) comes
            under other names and reaches the environment's infos.
        """
        ...

    def advance(self, state: State, video: npt.NDArray[np.int64], feedback: dict[str, npt.NDArray[Any]]) -> State:
        """The state after a video and its reaction; the clock moves on by play time and pause. Rows of video 0 stay."""
        ...

    def leave_probability(self, state: State) -> npt.NDArray[np.float64]:
        """(B,) P(the user ends the session now), after the video that was last answered."""
        ...

    def continue_probability(self, state: State, feedback: dict[str, npt.NDArray[Any]]) -> npt.NDArray[np.float64]:
        """(B,) P(the slate's next slot is reached), for users who stay; `feedback` is that of the slot before it."""
        ...

    def return_gap_h(self, state: State, noise: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """(B,) hours until the next session of users who left now, from (B,) uniforms."""
        ...

    def come_back(self, state: State, gap_h: npt.NDArray[np.float64]) -> State:
        """The state as a new session opens after (B,) hours; rows of NaN stay as they are."""
        ...


def put_rows(state: State, rows: npt.NDArray[np.int64], other: State) -> None:
    """Put another state (of len(rows) rows) in the place of some rows."""
    for name, values in other.items():
        state[name][rows] = values
