"""Sessions: a user's consecutive rows without a long pause."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from svsim.errors import OptionError

__all__ = ["Sessions", "find_sessions"]

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sessions:
    """Sessions over some rows of the events.

    Attributes:
        rows: (Q,) rows of the events, in the events' order.
        start: (S,) index into `rows` of each session's first.
        length: (S,) number of rows of each.
        user: (S,) dense user id of each.
    """

    rows: Ints
    start: Ints
    length: Ints
    user: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.start)

    def longer_than(self, minimum: int) -> Sessions:
        """The sessions of at least `minimum` rows; `rows` stays whole."""
        keep = self.length >= minimum
        return Sessions(self.rows, self.start[keep], self.length[keep], self.user[keep])


def find_sessions(
    rows: Ints,
    user: npt.NDArray[np.int32],
    time_ms: npt.NDArray[np.int64],
    gap_minutes: float | None,
) -> Sessions:
    """Cut rows into sessions where the user changes or more than `gap_minutes` lie between two rows.

    Args:
        rows: (Q,) rows of the events, ascending.
        user: Dense user id of every event; events are sorted by user, then time.
        time_ms: Request time of every event.
        gap_minutes: None cuts at users only.

    Raises:
        OptionError: The gap is not above 0.
    """
    if gap_minutes is not None and not gap_minutes > 0:
        raise OptionError(f"expected minutes above 0 or none, found {gap_minutes}", where="session gap")
    users = user[rows]
    first = np.ones(len(rows), dtype=bool)
    first[1:] = users[1:] != users[:-1]
    if gap_minutes is not None:
        times = time_ms[rows]
        first[1:] |= times[1:] - times[:-1] > gap_minutes * 60_000
    start = np.flatnonzero(first)
    length = np.diff(start, append=len(rows))
    return Sessions(rows, start, length, users[start])
