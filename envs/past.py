"""What users saw before their sessions: the logged events that a reset fills the history with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.data.features import MAX_MINUTES, history_features
from svsim.data.store import FeedStore
from svsim.names import HISTORY_FEATURES

__all__ = ["LoggedPast", "closed", "logged_past", "ranges"]

Array = npt.NDArray[Any]

_MINUTES = HISTORY_FEATURES.index("minutes_before")


@dataclass(frozen=True)
class LoggedPast:
    """The last events before each of S sessions, in tables whose last row is zero and stands for "nothing".

    Attributes:
        first: (S,) row of each session's first earlier event in the tables.
        count: (S,) earlier events, at most the history's length.
        start_minute: (S,) time of the session's first request.
        features: (R + 1, H) history features of the events, `minutes_before` left 0.
        video, author: (R + 1,) dense ids.
        minute: (R + 1,) time.
    """

    first: Array
    count: Array
    start_minute: Array
    features: Array
    video: Array
    author: Array
    minute: Array

    def recall(self, session: Array, length: int) -> tuple[Array, Array, Array]:
        """Histories as sessions open, newest last.

        Args:
            session: (n,) numbers of sessions.
            length: L.

        Returns:
            Features (n, L, H) float32, videos and authors (n, L) int32; zeros where there is nothing.
        """
        back = np.arange(-length, 0)
        count = self.count[session]
        event = (self.first[session] + count)[:, None] + back
        event[back < -count[:, None]] = -1
        features = self.features.take(event, axis=0)
        before = self.start_minute[session][:, None] - self.minute.take(event)
        # Empty places stay zero; nothing lies further back than the feature's bound.
        np.copyto(features[..., _MINUTES], np.minimum(before, MAX_MINUTES), where=event >= 0, casting="same_kind")
        return features, self.video.take(event), self.author.take(event)


def logged_past(store: FeedStore, first_rows: Array, length: int) -> LoggedPast:
    """Gather what lies before sessions.

    Args:
        store: Whose events.
        first_rows: (S,) row of each session's first event.
        length: L, events before a session that are kept.
    """
    begin, count = _before(store, first_rows, length)
    rows, first = ranges(begin, count)
    video = store.events["video"][rows]
    return LoggedPast(
        first=first,
        count=count,
        start_minute=store.events["time_ms"][first_rows] / 60_000.0,
        features=closed(history_features(store, rows)),
        video=closed(video),
        author=closed(store.videos["author"][video]),
        minute=closed(store.events["time_ms"][rows] / 60_000.0),
    )


def closed(table: Array, nothing: float = 0) -> Array:
    """Append the row that stands for nothing, so that index −1 reads it."""
    whole = np.full((len(table) + 1, *table.shape[1:]), nothing, dtype=table.dtype)
    whole[:-1] = table
    return whole


def ranges(start: Array, count: Array) -> tuple[Array, Array]:
    """Rows of consecutive ranges one after another, and where each begins among them."""
    first = np.cumsum(count) - count
    rows = np.arange(int(count.sum())) - np.repeat(first - start, count)
    return rows, first


def _before(store: FeedStore, first_rows: Array, length: int) -> tuple[Array, Array]:
    """First row and number of the user's last `length` events before each session."""
    user, time = store.events["user"], store.events["time_ms"]
    end = first_rows.copy()
    # An earlier row of the session's first request is no past of it.
    while True:
        before = np.maximum(end - 1, 0)
        same = (end > 0) & (user[before] == user[first_rows]) & (time[before] >= time[first_rows])
        if not same.any():
            break
        end -= same
    begin = np.maximum(store.users["first_event"][user[first_rows]], end - length)
    return begin, end - begin
