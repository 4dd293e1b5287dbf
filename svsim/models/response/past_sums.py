"""Sums over the past of logged rows: what `memory` carries along, of any row of a log at once."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.data.features import candidate_features
from svsim.data.store import FeedStore
from svsim.models.response.kinds import duration_class, first_tags
from svsim.models.response.memory import (
    DECAY,
    FORGOTTEN,
    HABIT_PSEUDO,
    HABITS,
    RATIO,
    SCALES,
    SESSION,
    SLOW,
    Memory,
    above,
    event_signals,
)
from svsim.models.response.quality import EFFECTS, VideoEffects
from svsim.models.response.usual import Usual
from svsim.names import CANDIDATE_FEATURES, LOG_COLUMN_OF
from svsim.signals import wtr

__all__ = ["SESSION_GAP_MS", "PastSums", "session_starts"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MAIN_TAB = 1
SESSION_GAP_MS = 30 * 60_000


def session_starts(store: FeedStore) -> Ints:
    """(n_events,) for each event the row of its session's first: a pause of more than 30 minutes ends a session."""
    user, time = store.events["user"], store.events["time_ms"]
    first = np.ones(store.n_events, dtype=bool)
    first[1:] = (user[1:] != user[:-1]) | (time[1:] - time[:-1] > SESSION_GAP_MS)
    return np.asarray(np.flatnonzero(first)[np.cumsum(first) - 1])


class PastSums:
    """Sums over the past of a store's events.

    Args:
        store: Whose events.
        usual: What usually comes of a video; None fits it to the span's training rows.
        span: First row, and the one past the last, of the users whose past is held; None: all. Rows of others may not be
            asked for.
    """

    def __init__(self, store: FeedStore, usual: Usual | None = None, span: tuple[int, int] | None = None) -> None:
        self.store, self._usual = store, usual
        self.first, self.last = span or (0, store.n_events)
        self.tag = first_tags(store)
        self.n_tags = int(self.tag.max(initial=0)) + 1

    @cached_property
    def shown(self) -> npt.NDArray[np.float32]:
        """(span, C + 11) candidate features and effects of each event's video, as users of other folds made them."""
        rows = np.arange(self.first, self.last)
        shown = np.empty((len(rows), len(CANDIDATE_FEATURES) + len(EFFECTS)), dtype=np.float32)
        shown[:, : len(CANDIDATE_FEATURES)] = candidate_features(self.store, rows)[:, : len(CANDIDATE_FEATURES)]
        shown[:, len(CANDIDATE_FEATURES) :] = self.effects.of_events(rows)
        return shown

    @cached_property
    def effects(self) -> VideoEffects:
        """How good videos, authors and tags are."""
        return VideoEffects(self.store)

    @cached_property
    def usual(self) -> Usual:
        """What usually comes of a video: the one given, else fitted to the training split."""
        if self._usual is not None:
            return self._usual
        train = self._training()
        shown, kind, tab, chance = (values[train - self.first] for values in self._circumstances())
        habits = self.plain[train - self.first].mean(axis=0, dtype=np.float64)
        return Usual.fit(shown, kind, tab, chance, self._signals(train), habits)

    def _training(self) -> Ints:
        train = self.store.split_rows("train")
        return np.asarray(train[(train >= self.first) & (train < self.last)])

    @cached_property
    def events(self) -> npt.NDArray[np.float32]:
        """(span, 7) what each event counts with."""
        rows = np.arange(self.first, self.last)
        return above(self._signals(rows), self.usual(*self._circumstances()))

    def _circumstances(self) -> tuple[Array, Array, Array, Array]:
        span, events = slice(self.first, self.last), self.store.events
        kind = duration_class(events["duration_ms"][span])
        return self.shown, kind, np.asarray(events["tab"][span]), np.asarray(events["is_rand"][span]) > 0

    def _signals(self, rows: Array) -> Array:
        events = self.store.events
        return event_signals(
            {name: np.asarray(events[column])[rows] for name, column in LOG_COLUMN_OF.items()},
            np.nan_to_num(wtr(events["play_time_ms"][rows], events["duration_ms"][rows])),
            events["wtg_gain"][rows] > self.store.wtg.threshold,
        )

    @cached_property
    def plain(self) -> npt.NDArray[np.float32]:
        """(span, 5) what events brought as it is, and whether outside the main feed: see `HABITS`."""
        rows = np.arange(self.first, self.last)
        other = np.asarray(self.store.events["tab"][self.first : self.last]) != MAIN_TAB
        return np.column_stack([self._signals(rows)[:, : len(HABITS) - 1], other]).astype(np.float32)

    # --- of many rows at once -----------------------------------------------------------------------------------------

    def scales(self, user: Ints, end: Ints, session: Ints) -> npt.NDArray[np.float32]:
        """(n, 4, 7) sums by scale over a user's events before a row.

        Args:
            user: (n,) dense ids.
            end: (n,) only events before this row.
            session: (n,) the session's events begin at this row; from `end` on, none.
        """
        x = self.events
        total = np.concatenate([np.zeros((1, x.shape[1])), np.cumsum(x, axis=0, dtype=np.float64)])
        first = self.store.users["first_event"][user] - self.first
        end, session = end - self.first, session - self.first
        found = np.empty((len(end), len(SCALES), x.shape[1]), dtype=np.float32)
        found[:, 0] = total[end] - total[np.minimum(first, end)]
        found[:, SESSION] = total[end] - total[np.minimum(np.maximum(session, first), end)]
        del total
        for number in (1, 2):
            faded = self._faded(DECAY[number], x)
            found[:, number] = np.where((end > first)[:, None], faded[np.maximum(end - 1, 0)], 0.0)
        return found

    def habits(self, user: Ints, end: Ints) -> npt.NDArray[np.float32]:
        """(n, 2, 5) means over a user's events before a row, all of them and the later ones, shrunk to the population's.

        They are taken as a session opens and stay: a simulated policy does not change what a user was like.

        Args:
            user: (n,) dense ids.
            end: (n,) only events before this row.
        """
        x = self.plain
        first = self.store.users["first_event"][user] - self.first
        end = np.maximum(end - self.first, first)
        count = (end - first).astype(np.float64)[:, None]
        total = np.concatenate([np.zeros((1, x.shape[1])), np.cumsum(x, axis=0, dtype=np.float64)])
        life = total[end] - total[first]
        del total
        faded = np.where(count > 0, self._faded(SLOW, x)[np.maximum(end - 1, 0)], 0.0)
        weight = (1 - SLOW**count) / (1 - SLOW)
        mean = self.usual.habits
        return np.stack(
            [
                (life + HABIT_PSEUDO * mean) / (count + HABIT_PSEUDO),
                (faded + HABIT_PSEUDO * mean) / (weight + HABIT_PSEUDO),
            ],
            axis=1,
        ).astype(np.float32)

    def _faded(self, decay: float, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(span, F) decaying sums up to each event, this one with weight one."""
        from scipy.signal import lfilter

        users = self.store.users
        out = np.empty_like(x)
        first, count = users["first_event"] - self.first, users["n_events"]
        held = (count > 0) & (first >= 0) & (first < len(x))
        for start, n in zip(first[held].tolist(), count[held].tolist(), strict=True):
            out[start : start + n] = lfilter([1.0], [1.0, -decay], x[start : start + n], axis=0)
        return out

    def excess(self, kind: Ints, asked: Ints, user: Ints, end: Ints) -> tuple[Floats, Floats]:
        """Events and summed excess of the ratio among a user's past events of one kind.

        Args:
            kind: (span,) kind of each event.
            asked: (n,) kind that is asked for.
            user: (n,) dense ids.
            end: (n,) only events before this row.
        """
        kinds = int(max(kind.max(initial=0), asked.max(initial=0))) + 1
        span, size = slice(self.first, self.last), np.int64(self.store.n_events + 1)
        rows = np.arange(self.first, self.last)
        group = self.store.events["user"][span].astype(np.int64) * kinds + kind
        order = np.argsort(group, kind="stable")
        key = group[order] * size + rows[order]
        total = np.concatenate([[0.0], np.cumsum(self.events[order, RATIO], dtype=np.float64)])
        own = user.astype(np.int64) * kinds + asked
        low, high = np.searchsorted(key, own * size), np.searchsorted(key, own * size + end)
        return (high - low).astype(np.float64), total[high] - total[low]

    # --- of users who begin somewhere ---------------------------------------------------------------------------------

    def memory(self, user: Ints, event: Ints) -> Memory:
        """What is remembered of B users before a row each, as a new session opens.

        Args:
            user: (B,) dense ids.
            event: (B,) row of the store's events.
        """
        rows, b = len(user), np.arange(len(user))
        first = np.where(self.store.users["n_events"][user] > 0, self.store.users["first_event"][user], event)
        count = np.maximum(event - first, 0)
        memory = Memory.empty(rows, self.n_tags)
        owner = np.repeat(b, count)
        back = np.repeat(np.cumsum(count), count) - np.arange(count.sum()) - 1
        index = event[owner] - 1 - back
        x = self.events[index - self.first].astype(np.float64)
        for number in range(SESSION):
            weight = DECAY[number] ** back
            near = weight > FORGOTTEN
            for column in range(x.shape[1]):
                memory.sums[:, number, column] = np.bincount(
                    owner[near], weights=weight[near] * x[near, column], minlength=rows
                )
        video = self.store.events["video"][index]
        width = memory.by_kind.shape[1]
        duration = duration_class(self.store.events["duration_ms"][index])
        for kind in (self.tag[video], self.n_tags + duration):
            for column, weights in enumerate((np.ones(len(index)), x[:, RATIO])):
                sums = np.bincount(owner * width + kind, weights=weights, minlength=rows * width)
                memory.by_kind[..., column] += sums.reshape(rows, width)
        plain = self.plain[index - self.first].astype(np.float64)
        for number, weight in enumerate((np.ones(len(back)), SLOW**back)):
            seen = np.bincount(owner, weights=weight, minlength=rows)
            for column, mean in enumerate(self.usual.habits.tolist()):
                sums = np.bincount(owner, weights=weight * plain[:, column], minlength=rows)
                memory.habits[:, number, column] = (sums + HABIT_PSEUDO * mean) / (seen + HABIT_PSEUDO)
        last = np.maximum(event - 1, 0)
        memory.last_ms[:] = np.where(count > 0, self.store.events["time_ms"][last], 0)
        return memory
