"""From a world to its log: users live through their sessions, a request at a time, many users side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.world.constants import constants
from svsim.world.platform import plackett_luce, slate_logprob
from svsim.world.response import react
from svsim.world.state import MEMORY, State, fatigue
from svsim.world.users import believed_taste
from svsim.world.visits import LARGEST_REQUEST
from svsim.world.world import World

__all__ = ["Path", "simulate"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Path:
    """What users lived through: one row an exposure, by user, then in order.

    Attributes:
        columns: `user`, `session`, `request`, `slot`, `time_ms`, `tab`, `video` (index), `random` (put there by chance),
            `rank` (slot of the retrieved set, also where chance replaced it), `logprob` (of that rank, given those above
            it), `interest`, and KuaiRand's columns of feedback.
    """

    world: World
    columns: dict[str, Array]

    def __len__(self) -> int:
        return len(self.columns["user"])

    def state(self, rows: Ints) -> State:
        """The state before each of some exposures, with the exposures that came before it in its session.

        Args:
            rows: (B,) rows of the path.
        """
        c = self.columns
        opens = np.flatnonzero(
            np.append(True, (c["user"][1:] != c["user"][:-1]) | (c["session"][1:] != c["session"][:-1]))
        )
        first = opens[np.searchsorted(opens, rows, side="right") - 1]
        before = rows[:, None] - np.arange(MEMORY, 0, -1)[None, :]
        inside = before >= first[:, None]
        recent = np.where(inside, c["video"][np.maximum(before, 0)], -1)
        clicks = np.concatenate([[0], np.cumsum(c["is_click"])])
        known = np.maximum(recent, 0)
        return State(
            **{name: c[name][rows] for name in ("user", "session", "request", "slot", "time_ms", "tab")},
            recent=recent,
            recent_author=np.where(inside, self.world.catalogue.author(known), -1),
            recent_tag=np.where(inside, self.world.catalogue.tag(known), 0),
            shown=rows - first,
            clicked=clicks[rows] - clicks[first],
        )


def simulate(world: World, users: npt.ArrayLike | None = None) -> Path:
    """The path of some users, by default of all; each user's is the same whoever else is simulated.

    Args:
        world: The world.
        users: Ascending user ids.
    """
    ids = np.arange(len(world.users)) if users is None else np.asarray(users, dtype=np.int64)
    return _Simulation(world, ids).run()


class _Simulation:
    """One block of users."""

    def __init__(self, world: World, users: Ints) -> None:
        n = len(users)
        self.world = world
        self.clock_ms = world.leaving.first_visit_ms(users)
        self.user = users
        self.place = np.arange(n)
        self.session, self.request = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
        self.tab = np.full(n, -1)
        self.shown, self.clicked = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
        self.recent, self.recent_author = np.full((n, MEMORY), -1), np.full((n, MEMORY), -1)
        self.recent_tag = np.zeros((n, MEMORY), dtype=np.int64)
        clusters = np.arange(world.catalogue.clusters)[None, :]
        # Retrieval looks at a hundred videos a request: their believed taste comes from a table.
        self.believed = np.concatenate(
            [believed_taste(world.key, chunk[:, None], clusters) for chunk in np.array_split(users, max(1, n // 64))]
        )
        self.parts: list[dict[str, Array]] = []

    def run(self) -> Path:
        self._keep(self.clock_ms < self.world.clock.end_ms - _MARGIN_MS)
        while len(self.user):
            self._step()
            self._keep(self.clock_ms < self.world.clock.end_ms - _MARGIN_MS)
        return Path(self.world, _sorted(self.parts))

    def _keep(self, rows: Array) -> None:
        if rows.all():
            return
        for name in _STATE:
            setattr(self, name, getattr(self, name)[rows])

    def _step(self) -> None:
        """One request of every user that is still there."""
        world, user, request = self.world, self.user, self.request
        size, self.tab = world.visits.open(user, request, self.tab)
        width = int(size.max())
        slate, logprob, chance, video = self._serve(width)
        row, slot = np.nonzero(np.arange(width)[None, :] < size[:, None])
        videos = video[row, slot]
        authors, tags = world.catalogue.author(videos), world.catalogue.tag(videos)
        windows = [
            _windows(recent, _spread(values, row, slot, (len(user), width), fill))[row, slot]
            for recent, values, fill in (
                (self.recent, videos, -1),
                (self.recent_author, authors, -1),
                (self.recent_tag, tags, 0),
            )
        ]
        interest = world.fresh_interest(user[row], self.session[row], videos)
        interest = interest + fatigue(videos, authors, tags, *windows)
        duration = world.catalogue.duration_ms(videos)
        noise = world.noise(user[row], request[row], slot)
        reaction = react(world.situation(user[row], self.tab[row], interest, duration), noise)
        leave = noise[:, 7] < world.leaving.probability(user[row], reaction["is_click"])
        leaves = _spread(leave, row, slot, (len(user), width), False)
        left = leaves.any(axis=1)
        length = np.where(left, leaves.argmax(axis=1) + 1, size)

        seen = slot < length[row]
        kept = row[seen]
        self.parts.append(
            {
                "place": self.place[kept],
                "user": user[kept],
                "session": self.session[kept],
                "request": request[kept],
                "slot": slot[seen],
                "time_ms": self.clock_ms[kept],
                "tab": self.tab[kept],
                "video": videos[seen],
                "random": chance[row, slot][seen],
                "rank": slate[row, slot][seen],
                "logprob": logprob[row, slot][seen].astype(np.float32),
                "interest": interest[seen].astype(np.float32),
                "duration_ms": duration[seen],
                **{name: values[seen] for name, values in reaction.items()},
            }
        )
        self._remember(length, row, slot, videos, authors, tags)
        n = len(user)
        self.shown += length
        self.clicked += np.bincount(kept, weights=reaction["is_click"][seen], minlength=n).astype(np.int64)
        play: Floats = np.bincount(kept, weights=reaction["play_time_ms"][seen], minlength=n).astype(np.float64)
        self._go_on(left, length, play)

    def _serve(self, width: int) -> tuple[Ints, Floats, Array, Ints]:
        """Slots of the retrieved set, their log-probabilities, what chance replaces, and the videos shown: (B, width)."""
        world = self.world
        day = world.day(self.clock_ms)
        retrieved = world.platform.candidates(self.user, self.request, day)
        _, estimate, cluster = world.catalogue.appeal(np.maximum(retrieved, 0))
        believed = self.believed[self.place[:, None], cluster]
        utility = world.rank_utility(self.user, estimate + believed, retrieved)
        slate = plackett_luce(utility, world.platform.tickets(self.user, self.request), LARGEST_REQUEST)
        # Over as many slots for every batch: sums that are cut elsewhere round elsewhere.
        logprob, slate = slate_logprob(utility, slate)[:, :width], slate[:, :width]
        slots = np.arange(width)[None, :]
        chance, drawn = world.platform.replace(
            self.user[:, None], self.request[:, None], slots, day[:, None], self.tab[:, None]
        )
        video = np.where(chance, drawn, np.take_along_axis(retrieved, slate, axis=1))
        return slate, logprob, chance, video

    def _remember(self, length: Ints, row: Ints, slot: Ints, videos: Ints, authors: Ints, tags: Ints) -> None:
        shape = (len(self.user), int(length.max()))
        inside = slot < shape[1]
        back = length[:, None] + np.arange(MEMORY)[None, :]
        for name, values, fill in (("recent", videos, -1), ("recent_author", authors, -1), ("recent_tag", tags, 0)):
            new = _spread(values[inside], row[inside], slot[inside], shape, fill)
            together = np.concatenate([getattr(self, name), new], axis=1)
            setattr(self, name, np.take_along_axis(together, back, axis=1))

    def _go_on(self, left: Any, length: Any, play: Floats) -> None:
        """Move the clock on: to the next request, or for those who left to the next session."""
        world = self.world
        page = constants("response")["tab_page"][self.tab] > 0
        span = world.visits.span_ms(self.user, self.request, play, length, page).astype(np.int64)
        end = self.clock_ms + play.astype(np.int64)
        self.request = self.request + 1
        self.clock_ms = self.clock_ms + span
        if not left.any():
            return
        gone = np.flatnonzero(left)
        gap = world.leaving.gap_h(self.user[gone], self.session[gone], end[gone], self.clicked[gone], self.shown[gone])
        self.clock_ms[gone] = end[gone] + np.floor(gap * 3_600_000).astype(np.int64)
        self.session = self.session + left
        self.tab[gone], self.shown[gone], self.clicked[gone] = -1, 0, 0
        self.recent[gone], self.recent_author[gone], self.recent_tag[gone] = -1, -1, 0


_STATE = (
    "user",
    "place",
    "clock_ms",
    "session",
    "request",
    "tab",
    "shown",
    "clicked",
    "recent",
    "recent_author",
    "recent_tag",
)
_MARGIN_MS = 20 * 60_000
"""Requests stop this long before the calendar's end, so that no logged date lies beyond it."""


def _spread(values: Array, row: Ints, slot: Ints, shape: tuple[int, int], fill: Any) -> Array:
    """Flat values back in their (row, slot)."""
    spread = np.full(shape, fill, dtype=values.dtype)
    spread[row, slot] = values
    return spread


def _windows(recent: Ints, new: Ints) -> Ints:
    """(B, W, MEMORY) the values before each slot: those remembered, then those above it in the request."""
    together = np.concatenate([recent, new], axis=1)
    return np.lib.stride_tricks.sliding_window_view(together, MEMORY, axis=1)[:, : new.shape[1]]


def _sorted(parts: list[dict[str, Array]]) -> dict[str, Array]:
    """The parts of all steps as columns, by user."""
    names = [name for name in parts[0] if name != "place"] if parts else []
    place = np.concatenate([part["place"] for part in parts]) if parts else np.zeros(0, dtype=np.int64)
    order = np.argsort(place, kind="stable")
    columns = {}
    for name in names:
        columns[name] = np.concatenate([part.pop(name) for part in parts])[order]
    return columns
