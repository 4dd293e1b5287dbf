"""The users of a feed: what they do with a served video, when they leave, when they come back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.envs.draws import Draws
from svsim.names import DURATION, FEEDBACK, PLAY_TIME
from svsim.response import Past, ResponseModel, State
from svsim.response.protocol import put_rows
from svsim.signals import WatchTimeGain, aux, wtr

__all__ = ["Answer", "Audience"]

Array = npt.NDArray[Any]


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
    """The users of B rows: a `ResponseModel` answers from the episodes' draws.

    Args:
        model: Who answers.
        gain: The store's watch-time gain.
        draws: Of the same rows; begun and moved on by whoever plays.

    Attributes:
        model: Who answers.
        state: What it knows of the rows.
    """

    def __init__(self, model: ResponseModel, gain: WatchTimeGain, draws: Draws) -> None:
        self.model, self._gain, self._draws = model, gain, draws
        self._rows = len(draws.keys)
        self.state: State = {}

    @property
    def time_ms(self) -> Array:
        """(B,) int64 clocks."""
        return self.state["time_ms"]

    def begin(self, rows: Array, users: Array, past: Past) -> None:
        """Seat new users (n,), by dense id, in some rows, as their sessions open."""
        state = self.model.begin(users, past)
        if len(rows) == self._rows:
            self.state = state
        else:
            put_rows(self.state, rows, state)

    def watch(self, video: Array, showing: Array | int, place: int) -> tuple[Answer, Array]:
        """One video a row: the reaction, and whether the user leaves after it.

        Args:
            video: (B,) int64 dense ids, 0 none.
            showing: (B,) how often it was shown before in the episode; 0 where nothing comes twice.
            place: Place in the slate.

        Returns:
            The answer, and (B,) bool that mean nothing where nothing was served.
        """
        noise = self._draws.noise(video, showing, place)
        told = self.model.respond(self.state, video, noise)
        feedback = {name: told[name] for name in FEEDBACK}
        more = {name: values for name, values in told.items() if name not in feedback}
        answer = Answer(feedback, more, *self._signals(feedback))
        self.state = self.model.advance(self.state, video, feedback)
        return answer, np.asarray(noise[:, -1] < self.model.leave_probability(self.state))

    def _signals(self, feedback: dict[str, Array]) -> tuple[Array, Array]:
        """(B, 3) float32 wtr, wtg, aux and (B,) float32 gain."""
        play, duration = feedback[PLAY_TIME], feedback[DURATION]
        gain = self._gain.transform(play, duration)
        signals = np.empty((self._rows, 3), dtype=np.float32)
        signals[:, 0] = wtr(play, duration)
        signals[:, 1] = gain > self._gain.threshold
        signals[:, 2] = aux(feedback)
        # Picture posts, and nothing, have neither ratio nor gain.
        without = duration <= 0
        signals[without, 0] = 0.0
        gain[without] = 0.0
        return signals, gain

    def goes_on(self, answer: Answer, place: int) -> Array:
        """(B,) whether the slot after this place of a slate is reached, by users who stay."""
        return np.asarray(self._draws.goes_on(place) < self.model.continue_probability(self.state, answer.feedback))

    def come_back(self, gone: Array) -> Array:
        """Let users (B,) bool who left open their next sessions; (B,) hours that they were away, NaN for the others."""
        gap = self.model.return_gap_h(self.state, self._draws.comes_back())
        gap = np.where(gone, gap, np.nan)
        self.state = self.model.come_back(self.state, gap)
        return gap
