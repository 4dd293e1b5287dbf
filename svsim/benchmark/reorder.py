"""Logged sessions of a world in another order: what its users would have answered.

A reaction of the world depends on what came before it by fatigue alone. So a video of a logged session that is served
earlier or later is answered in the same session's mood, on the same tab, from the same response noise, after other videos.
Rows of the log that are not served in an episode (picture posts, which a store drops) tire where they stood.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.errors import OptionError
from svsim.names import DURATION, FEEDBACK, LOG_COLUMN_OF
from svsim.world.simulation import Path
from svsim.world.state import MEMORY, State

__all__ = ["Reordered"]

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]

BLOCK = 16_384


class Reordered:
    """Logged sessions, to be answered in any order.

    Args:
        path: What all users of the world lived through.
        rows: (Q,) path rows of the sessions' videos, a session after the other.
        start: (S,) where in `rows` each session begins.
        length: (S,) its videos.

    Raises:
        OptionError: A session spans two of the world's, so that its videos were watched in two moods.
    """

    def __init__(self, path: Path, rows: Ints, start: Ints, length: Ints) -> None:
        self.path = path
        c = path.columns
        life = np.cumsum((np.diff(c["user"], prepend=-1) != 0) | (np.diff(c["session"], prepend=-1) != 0))
        first, last = np.minimum.reduceat(rows, start), np.maximum.reduceat(rows, start)
        if (life[first] != life[last]).any():
            raise OptionError(
                "expected sessions that lie within one of the world's each, found one that spans two",
                where="sessions",
                remedy="cut them at pauses of 30 minutes",
            )
        # From the videos before it that its first one remembers on.
        self._from = np.maximum(np.searchsorted(life, life[first]), first - MEMORY)
        self._count = last + 1 - self._from
        self._session = np.full(len(life), -1)
        self._session[rows] = np.repeat(np.arange(len(start)), length)

    def answer(self, session: Ints, served: Ints) -> dict[str, npt.NDArray[np.int32]]:
        """The world's reactions to sessions in another order.

        Args:
            session: (E,) numbers of sessions.
            served: (E, T) path rows of what is served of each, in order; −1 after the end.

        Returns:
            (E, T) by name of `names.FEEDBACK`; 0 after the end.
        """
        episode, row, stands = self._others(session)
        served_episode, step = np.nonzero(served >= 0)
        episode, row = np.concatenate([episode, served_episode]), np.concatenate([row, served[served_episode, step]])
        stands = np.concatenate([stands, 2 * step])
        order = np.lexsort((row, stands, episode))
        episode, row, stands = episode[order], row[order], stands[order]
        answered = np.flatnonzero(stands % 2 == 0)
        found = {name: np.zeros(served.shape, dtype=np.int32) for name in FEEDBACK}
        for begin in range(0, len(answered), BLOCK):
            place = answered[begin : begin + BLOCK]
            reaction = self._answers(episode, row, place)
            for name, values in found.items():
                values[episode[place], stands[place] // 2] = reaction[LOG_COLUMN_OF[name]]
        return found

    def _others(self, session: Ints) -> tuple[Ints, Ints, Ints]:
        """Rows that are not the sessions' own: their episodes, the rows, and where they stand.

        A served video stands at twice its step; another row stands before the step of as many videos as were logged
        before it, those that the session found in memory before the first.
        """
        count = self._count[session]
        begin = np.cumsum(count) - count
        episode = np.repeat(np.arange(len(session)), count)
        row = np.arange(len(episode)) + (self._from[session] - begin)[episode]
        own = self._session[row] == session[episode]
        before = np.cumsum(own) - own
        stands = 2 * (before - before[begin][episode]) - 1
        return episode[~own], row[~own], stands[~own]

    def _answers(self, episode: Ints, row: Ints, place: Ints) -> dict[str, Array]:
        """Reactions to some rows of a sequence, each after those before it of the same episode."""
        c, world = self.path.columns, self.path.world
        back = place[:, None] - np.arange(MEMORY, 0, -1)
        remembered = (back >= 0) & (episode[back] == episode[place, None])
        recent = c["video"][row[back]]
        here = row[place]
        nothing = np.zeros(len(here), dtype=np.int64)
        state = State(
            **{name: c[name][here] for name in ("user", "session", "request", "slot", "time_ms", "tab")},
            recent=np.where(remembered, recent, -1),
            recent_author=np.where(remembered, world.catalogue.author(recent), -1),
            recent_tag=np.where(remembered, world.catalogue.tag(recent), 0),
            shown=nothing,
            clicked=nothing,
        )
        reaction = world.respond(state, c["video"][here], world.noise(state.user, state.request, state.slot))
        return {**reaction, LOG_COLUMN_OF[DURATION]: c["duration_ms"][here]}
