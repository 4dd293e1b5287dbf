"""The users of a feed: what they do with a served video, when they leave, when they come back.

A `ResponseModel` answers; everything random comes from here. Noise is keyed by (episode, video, n-th showing of it in the
episode), leaving, coming back and the way down a slate by (episode, step, place in the slate). So two policies that serve
the same video to the same user in the same state see the same reaction, whatever else they did.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.names import DURATION, FEEDBACK, PLAY_TIME
from svsim.randomness import Keys, extended_hash, keyed_hash, uniform_of
from svsim.response import NOISE, Past, ResponseModel, State
from svsim.response.protocol import put_rows
from svsim.signals import WatchTimeGain, aux, wtr

__all__ = ["Answer", "Audience", "Stream", "stream_keys"]

Array = npt.NDArray[Any]


class Stream(IntEnum):
    """What is drawn in an episode; far from the numbers that models key their own draws by."""

    RESPONSE = 0xFEED0001
    LEAVING = 0xFEED0002
    CANDIDATES = 0xFEED0003
    RETURN = 0xFEED0004
    CONTINUE = 0xFEED0005


def stream_keys(keys: Keys, stream: Stream) -> Keys:
    """(n,) hashes that a stream of episodes starts from."""
    return keyed_hash(keys, int(stream))


@dataclass
class Answer:
    """What came of one served video a row; zeros where none was served.

    Attributes:
        feedback: (B,) int32 by name of `names.FEEDBACK`.
        told: (B,) what else the model says of its answer, by name.
        signals: (B, 3) float32 wtr, wtg, aux.
        gain: (B,) float32 watch-time gain, 0 where a video has none.
    """

    feedback: dict[str, Array]
    told: dict[str, Array]
    signals: Array
    gain: Array


class Audience:
    """The users of B rows.

    Args:
        model: Who answers.
        gain: The store's watch-time gain.
        rows: B.
    """

    def __init__(self, model: ResponseModel, gain: WatchTimeGain, rows: int) -> None:
        self.model, self._gain, self._rows = model, gain, rows
        self.state: State = {}
        self._response, self._leaving, self._return, self._continue = (
            np.zeros(rows, dtype=np.uint64) for _ in range(4)
        )
        self._noise = np.zeros((rows, NOISE))
        self._columns = np.arange(NOISE - 1, dtype=np.uint64)

    @property
    def time_ms(self) -> Array:
        """(B,) int64 clocks."""
        return self.state["time_ms"]

    def begin(self, rows: Array, keys: Keys, users: Array, event: Array, time_ms: Array) -> None:
        """Seat new users in some rows, as their sessions open.

        Args:
            rows: (n,) rows.
            keys: (n,) episode keys.
            users: (n,) dense ids.
            event: (n,) row of the store's events that their past lies before.
            time_ms: (n,) clocks.
        """
        state = self.model.begin(users, Past(event=event, time_ms=time_ms, key=keys))
        if len(rows) == self._rows:
            self.state = state
        else:
            put_rows(self.state, rows, state)
        for part, stream in (
            (self._response, Stream.RESPONSE),
            (self._leaving, Stream.LEAVING),
            (self._return, Stream.RETURN),
            (self._continue, Stream.CONTINUE),
        ):
            part[rows] = stream_keys(keys, stream)

    def answer(self, video: Array, showing: Array | int, moment: Array) -> Answer:
        """One reaction to one video a row.

        Args:
            video: (B,) int64 dense ids, 0 none.
            showing: (B,) how often it was shown before in the episode; 0 where nothing comes twice.
            moment: (B,) uint64 key of step and place.
        """
        shown = (video + (np.asarray(showing) << 32)).astype(np.uint64)
        word = extended_hash(extended_hash(self._response, shown)[:, None], self._columns)
        self._noise[:, :-1] = uniform_of(word)
        self._noise[:, -1] = uniform_of(extended_hash(self._leaving, moment))
        told = self.model.respond(self.state, video, self._noise)
        feedback = {name: told[name] for name in FEEDBACK}
        play, duration = feedback[PLAY_TIME], feedback[DURATION]
        gain = self._gain.transform(play, duration)
        signals = np.empty((self._rows, 3), dtype=np.float32)
        signals[:, 0] = wtr(play, duration)
        # Picture posts have neither ratio nor gain.
        signals[duration <= 0, 0] = 0.0
        gain[duration <= 0] = 0.0
        signals[:, 1] = gain > self._gain.threshold
        signals[:, 2] = aux(feedback)
        more = {name: values for name, values in told.items() if name not in feedback}
        return Answer(feedback, more, signals, gain)

    def watched(self, video: Array, answer: Answer) -> Array:
        """Move on after a reaction; (B,) whether the user leaves now, also where nothing was served."""
        self.state = self.model.advance(self.state, video, answer.feedback)
        return np.asarray(self._noise[:, -1] < self.model.leave_probability(self.state))

    def goes_on(self, answer: Answer, moment: Array) -> Array:
        """(B,) whether the next slot of a slate is reached."""
        uniform = uniform_of(extended_hash(self._continue, moment))
        return np.asarray(uniform < self.model.continue_probability(self.state, answer.feedback))

    def come_back(self, gone: Array, moment: Array) -> Array:
        """Let users (B,) bool who left open their next sessions; (B,) hours that they were away, NaN for the others."""
        gap = self.model.return_gap_h(self.state, uniform_of(extended_hash(self._return, moment)))
        gap = np.where(gone, gap, np.nan)
        self.state = self.model.come_back(self.state, gap)
        return gap
