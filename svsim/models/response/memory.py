"""What is remembered of a user: sums over past events, near and far, by tag and by duration.

Each event counts with one and with what it brought above the usual (`usual`): of click, long view, watch-time ratio, like,
relevance, any other social signal. A user who clicks on what everybody clicks has told little. Sums run over

    life     all past events               recent   weighted .9 a step back (half gone after 7)
    slow     .98 a step back (34)          session  those of the session

and, for the ratio alone, over the events of each first tag and of each class of durations. Evaluating a log
takes the sums over the rows before each row (`past_sums`), a simulator carries them along (`Memory`): the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.models.response.kinds import N_DURATIONS
from svsim.models.response.usual import SIGNALS

__all__ = [
    "EVENT_SUMS",
    "RING",
    "SCALES",
    "Memory",
    "above",
    "event_signals",
]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

EVENT_SUMS = ("events", *SIGNALS)
RATIO = EVENT_SUMS.index("wtr")
SCALES = ("life", "slow", "recent", "session")
DECAY = np.array([1.0, 0.98, 0.9, 1.0])
SESSION = SCALES.index("session")
SLOW = 0.98
HABITS = ("click", "long_view", "wtr", "like", "other_tab")
"""What is kept of a user as it was when a session opened."""
HABIT_PSEUDO = 10.0
RING = 16
"""Videos of the session that repetition is counted among."""
FORGOTTEN = 1e-7
"""Weight below which a decaying sum leaves an event out."""


def event_signals(flags: dict[str, Array], ratio: Array, relevant: Array) -> npt.NDArray[np.float32]:
    """(n, 6) float32 signals of events in the order of `usual.SIGNALS`."""
    social = (flags["comment"] + flags["forward"] + flags["follow"]) > 0
    columns = (flags["click"], flags["long_view"], ratio, flags["like"], relevant, social)
    out = np.empty((len(ratio), len(columns)), dtype=np.float32)
    for number, column in enumerate(columns):
        out[:, number] = column
    return out


def above(signals: Array, usual: Array) -> npt.NDArray[np.float32]:
    """(n, 7) float32 what events count with, in the order of `EVENT_SUMS`."""
    out = np.empty((len(signals), len(EVENT_SUMS)), dtype=np.float32)
    out[:, 0] = 1.0
    np.subtract(signals, usual, out=out[:, 1:])
    return out


@dataclass
class Memory:
    """What is remembered of B users; arrays by row, changed in place.

    Attributes:
        sums: (B, 4, 7) float32 by scale and name.
        habits: (B, 2, 5) float32 see `HABITS`.
        by_kind: (B, tags + 8, 2) float32 events and their excess of the ratio, by first tag and by class of durations.
        rings: (B, 3, 16) int32 videos, authors and first tags of the session's last videos, newest last, −1 none.
        last_ms: (B,) int64 time of the last event, 0 none.
        session_ms: (B,) int64 when the session opened.
    """

    sums: Array
    habits: Array
    by_kind: Array
    rings: Array
    last_ms: Array
    session_ms: Array

    @classmethod
    def empty(cls, rows: int, n_tags: int) -> Memory:
        """Of users of whom nothing is known."""
        return cls(
            sums=np.zeros((rows, len(SCALES), len(EVENT_SUMS)), dtype=np.float32),
            habits=np.zeros((rows, 2, len(HABITS)), dtype=np.float32),
            by_kind=np.zeros((rows, n_tags + N_DURATIONS, 2), dtype=np.float32),
            rings=np.full((rows, 3, RING), -1, dtype=np.int32),
            last_ms=np.zeros(rows, dtype=np.int64),
            session_ms=np.zeros(rows, dtype=np.int64),
        )

    def arrays(self) -> dict[str, Array]:
        """By name; the memory's own arrays."""
        return {name: getattr(self, name) for name in _NAMES}

    def open_session(self, rows: Array, time_ms: Array) -> None:
        """Begin a session in some rows."""
        self.sums[rows, SESSION] = 0.0
        self.rings[rows] = -1
        self.session_ms[rows] = time_ms

    def add(self, x: Array, shown: Array, kinds: Array, time_ms: Array, served: Array | None = None) -> None:
        """Remember one event of every row.

        Args:
            x: (B, 7) what it counts with.
            shown: (B, 3) dense ids of video and author, first tag as `first_tags` numbers it.
            kinds: (B, 2) columns of `by_kind`: the first tag, and the number of tags plus the class of durations.
            time_ms: (B,) when it was served.
            served: (B,) whether the row has an event; None: all of them.
        """
        if served is not None:
            rows = np.flatnonzero(served)
            part = Memory(**{name: values[rows] for name, values in self.arrays().items()})
            part.add(x[rows], shown[rows], kinds[rows], time_ms[rows])
            for name, values in part.arrays().items():
                getattr(self, name)[rows] = values
            return
        self.sums *= _DECAYS
        self.sums += x[:, None, :]
        by_kind = self.by_kind
        place = kinds + (np.arange(len(x)) * by_kind.shape[1])[:, None]
        by_kind.reshape(-1, 2)[place] += x[:, None, [0, RATIO]]
        self.rings[:, :, :-1] = self.rings[:, :, 1:]
        self.rings[:, :, -1] = shown
        self.last_ms[:] = time_ms


_NAMES = tuple(field.name for field in fields(Memory))
_DECAYS = DECAY.astype(np.float32)[None, :, None]
