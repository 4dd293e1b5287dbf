"""What tokens are made of: one table of events, from a store or from observations, by the same rules.

A token's content is what is known before the exposure (ids, video table, training rates of other users, clock, user
table); its feedback is what came of it. A query has the content alone.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from svsim.data.features import MAX_MINUTES, candidate_features, history_features, user_features
from svsim.data.store import FeedStore
from svsim.errors import StoreError
from svsim.models.config import ModelConfig
from svsim.models.ids import IdMap
from svsim.names import CANDIDATE_FEATURES, HISTORY_FEATURES, USER_FEATURES

__all__ = [
    "CATEGORIES",
    "FEEDBACK_INPUTS",
    "NUMBERS",
    "Events",
    "Inputs",
    "event_inputs",
    "forget_rates",
    "profiles",
    "request_starts",
    "waiting",
]

Array = npt.NDArray[Any]

FEEDBACK_INPUTS = (
    "wtr",
    "wtg",
    "aux",
    "click",
    "long_view",
    "like",
    "comment",
    "forward",
    "follow",
    "hate",
    "log_play",
)
"""History features that are feedback, in the order of the network's feedback input."""
FEEDBACK_COLUMNS = tuple(HISTORY_FEATURES.index(name) for name in FEEDBACK_INPUTS)
NUMBERS = CANDIDATE_FEATURES
"""Numbers that a token's content holds, beside the user's features."""
CATEGORIES = {"tab": 16, "hour": 25, "upload_type": 32, "video_type": 8, "music_type": 16, "duration": 64}
"""Columns of `Events.category`, with the rows of their tables; 0 is not known."""
SHOWN = len(NUMBERS)
KEPT_IN_HISTORY = 2
NO_HISTORY = 3.0
"""What stands for the wait of a user of whom nothing is known: longer than any."""


@dataclass(frozen=True)
class Events:
    """Tokens: n events of any users, arrays by row.

    Attributes:
        user, video, author: (n,) int32 rows of the embedding tables.
        tag_set: (n,) int32 rows of the tag sets, 0 none.
        number: (n, N) float32 in the order of `NUMBERS`, as they are (the network standardises).
        category: (n, 6) uint8 in the order of `CATEGORIES`.
        profile: (n,) int32 rows of the user-feature table.
        feedback: (n, F) float32 in the order of `FEEDBACK_INPUTS`.
    """

    user: Array
    video: Array
    author: Array
    tag_set: Array
    number: Array
    category: Array
    profile: Array
    feedback: Array

    def __len__(self) -> int:
        return len(self.video)

    def take(self, rows: Array) -> Self:
        """Some rows, of any shape."""
        return type(self)(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


@dataclass(frozen=True)
class Inputs:
    """How a store's ids and features become tokens; saved with the weights.

    Attributes:
        users, videos, authors: Id maps over the source's ids.
        tag_sets: Lists of tags, as rows go from 1.
        number_mean, number_scale: (N,) of the training rows.
        duration_edges: Edges of the duration categories, log seconds.
    """

    users: IdMap
    videos: IdMap
    authors: IdMap
    tag_sets: list[list[int]]
    number_mean: Array
    number_scale: Array
    duration_edges: Array

    @classmethod
    def fit(cls, store: FeedStore, config: ModelConfig) -> Self:
        """Learn maps and scales from the training split."""
        train = store.split_rows("train")
        if not len(train):
            raise StoreError("expected training rows, found none", where=str(store.path))
        events, videos = store.events, store.videos
        video = events["video"][train]
        sample = train[:: max(1, len(train) // 200_000)]
        numbers = candidate_features(store, sample)[:, :SHOWN].astype(np.float64)
        edges = np.unique(np.quantile(numbers[:, 0], np.linspace(0, 1, CATEGORIES["duration"] - 1)[1:-1]))
        return cls(
            users=IdMap.fit(store.users["user_id"][events["user"][train]], rare=config.rare, buckets=config.buckets),
            videos=IdMap.fit(videos["video_id"][video], rare=config.rare, buckets=config.buckets),
            authors=IdMap.fit(videos["author_id"][video], rare=config.rare, buckets=config.buckets),
            tag_sets=store.video_tags,
            number_mean=numbers.mean(axis=0).astype(np.float32),
            number_scale=np.maximum(numbers.std(axis=0), 1e-3).astype(np.float32),
            duration_edges=edges.astype(np.float32),
        )

    @property
    def n_tags(self) -> int:
        """One more than the largest tag."""
        return 1 + max((tag for tags in self.tag_sets for tag in tags), default=0)

    def duration_category(self, log_duration: Array) -> Array:
        """Category of durations, from 1."""
        return (1 + np.searchsorted(self.duration_edges, log_duration)).astype(np.uint8)

    def video_columns(self, store: FeedStore) -> dict[str, Array]:
        """What is fixed by a video, by dense id: table rows and categories."""
        videos = store.videos
        padding = np.arange(store.n_videos + 1) == 0
        tag_row = self._tag_rows(store)
        return {
            "video": self.videos.rows(videos["video_id"], padding),
            "author": self.authors.rows(videos["author_id"], padding | (videos["author_id"] < 0)),
            "tag_set": tag_row[videos["tag_set"]].astype(np.int32),
            "upload_type": np.minimum(videos["upload_type"].astype(np.int64), 31).astype(np.uint8),
            "video_type": np.minimum(videos["video_type"].astype(np.int64), 7).astype(np.uint8),
            "music_type": np.clip(videos["music_type"].astype(np.int64) + 1, 0, 15).astype(np.uint8),
        }

    def _tag_rows(self, store: FeedStore) -> Array:
        known = {tuple(tags): row + 1 for row, tags in enumerate(self.tag_sets) if tags}
        return np.array([known.get(tuple(tags), 0) for tags in store.video_tags], dtype=np.int32)

    def user_rows(self, store: FeedStore) -> Array:
        """(n_users + 1,) rows of the user table by dense id."""
        return self.users.rows(store.users["user_id"], np.arange(store.n_users + 1) == 0)


def event_inputs(store: FeedStore, inputs: Inputs, rows: Array) -> Events:
    """Tokens of logged events.

    Rates of rows of the training split are those of other users' folds, so that no token tells another's feedback.
    """
    video, user = store.events["video"][rows], store.events["user"][rows]
    fixed = inputs.video_columns(store)
    number = candidate_features(store, rows)[:, :SHOWN]
    category = np.column_stack(
        [
            np.minimum(store.events["tab"][rows].astype(np.int64) + 1, 15),
            store.events["hour"][rows].astype(np.int64) + 1,
            fixed["upload_type"][video],
            fixed["video_type"][video],
            fixed["music_type"][video],
            inputs.duration_category(number[:, 0]),
        ]
    ).astype(np.uint8)
    return Events(
        user=inputs.user_rows(store)[user],
        video=fixed["video"][video],
        author=fixed["author"][video],
        tag_set=fixed["tag_set"][video],
        number=number,
        category=category,
        profile=user.astype(np.int32),
        feedback=history_features(store, rows)[:, FEEDBACK_COLUMNS],
    )


def forget_rates(number: Array) -> Array:
    """Standardised numbers as a history token holds them: duration and age; rates are for what is yet to be seen.

    What came of a past event is in its feedback, and an agent that sees observations alone has no rates of the past.
    """
    number[..., KEPT_IN_HISTORY:] = 0.0
    return number


def waiting(minutes: Array, known: Array) -> Array:
    """(…,) float32 how long a query comes after the newest event that it sees: ln(1 + minutes) / 5.

    Args:
        minutes: (…,) between the two; a month and longer are one.
        known: (…,) whether it sees any.
    """
    waited = np.log1p(np.clip(minutes, 0.0, MAX_MINUTES)) / 5.0
    return np.where(known, waited, NO_HISTORY).astype(np.float32)


def profiles(store: FeedStore) -> Array:
    """(n_users + 1, U) float32 user features by dense id, what `Events.profile` points into."""
    return user_features(store)[:, : len(USER_FEATURES)]


def request_starts(store: FeedStore) -> Array:
    """(n_events,) for each event the row of its request's first: events of one user that share `time_ms`."""
    user, time = store.events["user"], store.events["time_ms"]
    first = np.ones(store.n_events, dtype=bool)
    first[1:] = (user[1:] != user[:-1]) | (time[1:] != time[:-1])
    return np.asarray(np.flatnonzero(first)[np.cumsum(first) - 1])
