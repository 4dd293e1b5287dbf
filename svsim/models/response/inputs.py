"""What the response network reads: a block of the moment and the user, a block of the video, a few of both together.

    user    sums over the past (`memory`) as shrunken means, the user table, tab, hour, wait, session so far
    video   duration, rates of other users, tags, kinds: fixed, so that a pool's part of the first layer is made once
    both    the video's age, the user's excess with its first tag and with its duration

Repetition within the session stands apart (`REPEATS`): logs hardly show a video twice, so what it costs has a prior.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from svsim.data.features import CHINA_MS, DAY_MS, candidate_features_at, user_features
from svsim.data.store import FeedStore
from svsim.models.inputs import request_starts
from svsim.models.response.memory import (
    RING,
    SCALES,
    SESSION,
    PastSums,
    duration_class,
    first_tags,
    session_starts,
)
from svsim.names import CANDIDATE_FEATURES, USER_FEATURES
from svsim.randomness import keyed_uniform

__all__ = [
    "BOTH",
    "REPEATS",
    "Log",
    "Past",
    "Protocol",
    "Rows",
    "Scales",
    "Source",
    "both_block",
    "repeats_of",
    "user_block",
]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Protocol = Literal["frozen", "running", "training"]

BOTH = ("age_days", "tag_excess", "tag_events", "duration_excess")
REPEATS = ("video", "author", "tag")
"""What is counted among the session's last 16 videos."""
PSEUDO = {"life": 10.0, "slow": 5.0, "recent": 3.0, "session": 3.0}
"""Events without excess that a user's mean excess is shrunk by."""
KIND_PSEUDO = 5.0
N_TABS = 16
NO_WAIT_H = 24.0 * 31
BLIND_DAYS = 0.4
"""Share of the users' days that training rows know nothing of."""
_BLIND = 0xB11D
DURATION_NODES = np.log1p(np.array([3, 7, 10, 14, 18, 25, 40, 60, 100, 160, 250, 500]))
AGE_SCALE = 10.0


@dataclass(frozen=True)
class Scales:
    """What inputs are measured by, from the training rows.

    Attributes:
        user_mean, user_scale: (U,) of the user block before it is standardised.
        video_mean, video_scale: (V,) likewise.
        both_mean, both_scale: (4,) likewise.
    """

    user_mean: Floats
    user_scale: Floats
    video_mean: Floats
    video_scale: Floats
    both_mean: Floats
    both_scale: Floats


def user_block(
    sums: Array,
    habits: Array,
    profile: Array,
    tab: Array,
    time_ms: Array,
    last_ms: Array,
    session_ms: Array,
    chance: Array,
) -> Floats:
    """(n, U) float32, not yet standardised.

    Args:
        sums: (n, 4, 7) of the past.
        habits: (n, 2, 5) of the past before the session.
        profile: (n, 29) user features.
        tab: (n,) tabs.
        time_ms: (n,) now.
        last_ms: (n,) time of the last known event, 0 none.
        session_ms: (n,) when the session opened.
        chance: (n,) whether chance chose the video, and not a policy that knew the user.
    """
    n = len(sums)
    count = sums[:, :, :1]
    pseudo = np.array([PSEUDO[name] for name in SCALES], dtype=np.float32)[None, :, None]
    rates = sums[:, :, 1:] / (count + pseudo)
    hour = ((time_ms + CHINA_MS) % DAY_MS).astype(np.float64) * (2 * np.pi / DAY_MS)
    wait = np.where(last_ms > 0, np.maximum(time_ms - last_ms, 0) / 3_600_000.0, NO_WAIT_H)
    width = rates[0].size + len(SCALES) + habits[0].size + profile.shape[1] + N_TABS + 8
    block = np.empty((n, width), dtype=np.float32)
    at = 0
    for part in (
        rates.reshape(n, -1),
        np.log1p(count[..., 0]),
        habits.reshape(n, -1),
        profile,
        np.minimum(tab, N_TABS - 1)[:, None] == _TABS,
        np.sin(hour)[:, None],
        np.cos(hour)[:, None],
        np.sin(2 * hour)[:, None],
        np.cos(2 * hour)[:, None],
        np.log1p(wait)[:, None],
        np.log1p(np.maximum(time_ms - session_ms, 0) / 60_000.0)[:, None],
        (sums[:, SESSION, 0] == 0)[:, None],
        np.asarray(chance)[:, None],
    ):
        block[:, at : at + part.shape[1]] = part
        at += part.shape[1]
    return block


_TABS = np.arange(N_TABS)[None, :]


def both_block(age_days: Array, tag: tuple[Array, Array], duration: tuple[Array, Array]) -> Floats:
    """(…, 4) float32 in the order of `BOTH`, not yet standardised.

    Args:
        age_days: (…,) of the video.
        tag: (…,) past events of the user with its first tag, and their summed excess.
        duration: (…,) likewise with its class of durations.
    """
    return np.stack(
        [
            np.log1p(age_days / AGE_SCALE),
            tag[1] / (tag[0] + KIND_PSEUDO),
            np.log1p(tag[0]),
            duration[1] / (duration[0] + KIND_PSEUDO),
        ],
        axis=-1,
    ).astype(np.float32)


class Source:
    """A store's videos and users as the network's inputs.

    Args:
        store: Whose.
    """

    def __init__(self, store: FeedStore) -> None:
        self.store = store
        self.tag = first_tags(store)
        self.author = np.asarray(store.videos["author"])
        self.profile = user_features(store)[:, : len(USER_FEATURES)]
        self._tags = max((tag for tags in store.video_tags for tag in tags), default=0) + 1
        bag = np.zeros((len(store.video_tags), self._tags), dtype=np.float32)
        for row, tags in enumerate(store.video_tags):
            for tag in tags:
                bag[row, tag] += 1 / len(tags)
        self._bag = bag
        self._kinds = {
            name: (np.minimum(np.asarray(store.videos[name]).astype(np.int64) + 1, size - 1), size)
            for name, size in (("upload_type", 33), ("video_type", 9), ("music_type", 17))
        }
        self._uploaded_ms = _uploaded_ms(store)

    @property
    def width(self) -> int:
        """V, columns of the video block."""
        return len(CANDIDATE_FEATURES) - 1 + len(DURATION_NODES) + self._tags + sum(n for _, n in self._kinds.values())

    def videos(self, video: Ints, shown: Array) -> Floats:
        """(n, V) float32 the video block, not yet standardised.

        Args:
            video: (n,) dense ids.
            shown: (n, C) their candidate features.
        """
        log_duration = shown[:, 0]
        nodes = DURATION_NODES
        place = np.interp(log_duration, nodes, np.arange(len(nodes)))
        hats = np.maximum(1.0 - np.abs(place[:, None] - np.arange(len(nodes))[None, :]), 0.0)
        numbers = np.delete(shown[:, : len(CANDIDATE_FEATURES)], CANDIDATE_FEATURES.index("age_days"), axis=1)
        kinds = [
            np.maximum(codes[video], 0)[:, None] == np.arange(size)[None, :] for codes, size in self._kinds.values()
        ]
        return np.concatenate(
            [numbers, hats, self._bag[self.store.videos["tag_set"][video]], *kinds], axis=1, dtype=np.float32
        )

    def shown(self, video: Ints) -> Floats:
        """(n, C) candidate features of videos as the whole training split knows them."""
        later = np.full(len(video), np.iinfo(np.int64).max // 2)
        nobody = np.zeros(len(video), dtype=np.int64)
        return candidate_features_at(self.store, nobody, video, later)[:, : len(CANDIDATE_FEATURES)]

    def age_days(self, video: Array, time_ms: Array) -> Array:
        """Days from upload to a time, 0 where not known; arrays that broadcast."""
        uploaded = self._uploaded_ms[video]
        return np.where(uploaded > 0, np.clip((time_ms - uploaded) / DAY_MS, 0.0, 365.0), 0.0)


def _uploaded_ms(store: FeedStore) -> Ints:
    """(n_videos + 1,) midnight in China of the upload, 0 not known."""
    dates, inverse = np.unique(np.asarray(store.videos["upload_date"]), return_inverse=True)
    texts = [f"{d // 10_000:04d}-{d // 100 % 100:02d}-{d % 100:02d}" if d else "1970-01-01" for d in dates.tolist()]
    days = np.array(texts, dtype="datetime64[D]").astype(np.int64)
    return np.asarray(np.where(dates > 0, days * DAY_MS - CHINA_MS, 0)[inverse])


def repeats_of(video: Array, author: Array, tag: Array, rings: tuple[Array, Array, Array]) -> Floats:
    """(…, 3) float32 how often the video, its author and its first tag stand among the last ones, see `REPEATS`.

    Args:
        video, author, tag: (…,) of what is asked for.
        rings: (…, 16) of the last ones, −1 none.
    """
    same = [(ring == value[..., None]).sum(axis=-1) for ring, value in zip(rings, (video, author, tag), strict=True)]
    same[2] = np.where(tag > 0, same[2], 0)
    return np.stack(same, axis=-1).astype(np.float32)


@dataclass(frozen=True)
class Rows:
    """Rows of a log as the network reads them, not yet standardised where they are numbers.

    Attributes:
        rows: (n,) rows of the events.
        user: (n, U) float32.
        video: (n, V) float32.
        both: (n, 4) float32.
        repeats: (n, 3) float32.
    """

    rows: Ints
    user: Floats
    video: Floats
    both: Floats
    repeats: Floats


class Log:
    """A store's events as rows of the network, block by block.

    Args:
        store: Whose.
        source: Its videos and users.
        past: Its past sums.
    """

    def __init__(self, store: FeedStore, source: Source, past: PastSums) -> None:
        self.store, self.source, self.past = store, source, past
        self.request = request_starts(store)
        self.session = session_starts(store)

    def visible(self, rows: Ints, protocol: Protocol) -> tuple[Ints, Ints]:
        """(n,) the row before which events are known to a prediction, and where the session's known events begin.

        Args:
            rows: Of one split where the protocol is `frozen`.
            protocol: `running`: events of earlier requests; `frozen`: events before the user's first of these rows;
                `training`: `running`, but for some of each user's days, of which nothing is known, so that a prediction
                learns to do without.
        """
        end = self.request[rows].astype(np.int64)
        session = self.session[rows].astype(np.int64)
        if protocol == "training":
            day = self._day_starts()[rows]
            user = self.store.events["user"][rows]
            blind = keyed_uniform(_BLIND, user, self.store.events["date"][rows]) < BLIND_DAYS
            return np.where(blind, day, end), np.where(blind, day, session)
        if protocol == "frozen":
            user = self.store.events["user"][rows]
            opens = np.full(self.store.n_users + 1, self.store.n_events, dtype=np.int64)
            np.minimum.at(opens, user, rows)
            end = opens[user]
            return end, end
        return end, session

    def _day_starts(self) -> Ints:
        """(n_events,) row of the first event of a user's day, by the running maximum of the logged dates."""
        user, date = self.store.events["user"], self.store.events["date"].astype(np.int64)
        latest = np.maximum.accumulate(user.astype(np.int64) * 100_000_000 + date)
        first = np.append(True, latest[1:] != latest[:-1])
        return np.asarray(np.flatnonzero(first)[np.cumsum(first) - 1])

    def past_of(self, rows: Ints, protocol: Protocol) -> Past:
        """What is known of the past of rows: gathered once, small."""
        events = self.store.events
        end, session = self.visible(rows, protocol)
        user = events["user"][rows].astype(np.int64)
        kinds = []
        for kind in (self.source.tag[events["video"]], duration_class(events["duration_ms"])):
            kinds.append(np.stack(self.past.excess(kind, kind[rows], user, end), axis=1).astype(np.float32))
        first = self.store.users["first_event"][user]
        last = np.where(end > first, events["time_ms"][np.maximum(end - 1, 0)], 0)
        opened = np.where(session < end, events["time_ms"][np.minimum(session, rows)], events["time_ms"][rows])
        habits = self.past.habits(user, np.minimum(end, session))
        return Past(rows, self.past.scales(user, end, session), habits, *kinds, last, np.asarray(opened))

    def block(self, past: Past, part: Array) -> Rows:
        """Some of the rows as the network reads them."""
        events, source = self.store.events, self.source
        rows = past.rows[part]
        video = events["video"][rows].astype(np.int64)
        time_ms = events["time_ms"][rows]
        user = user_block(
            past.sums[part],
            past.habits[part],
            source.profile[events["user"][rows]],
            events["tab"][rows].astype(np.int64),
            time_ms,
            past.last_ms[part],
            past.session_ms[part],
            events["is_rand"][rows] > 0,
        )
        both = both_block(source.age_days(video, time_ms), tuple(past.by_tag[part].T), tuple(past.by_duration[part].T))
        return Rows(rows, user, self.videos(rows), both, self.repeats(rows))

    def videos(self, rows: Ints) -> Floats:
        """The video block of rows, as other users made the rates."""
        return self.source.videos(self.store.events["video"][rows].astype(np.int64), self.past.shown[rows])

    def repeats(self, rows: Ints) -> Floats:
        """(n, 3) what was shown before in the session, requests' own earlier rows among it: no feedback is read."""
        before = rows[:, None] - np.arange(RING, 0, -1)[None, :]
        inside = before >= self.session[rows][:, None]
        video = self.store.events["video"]
        shown = np.where(inside, video[np.maximum(before, 0)], 0)
        own = video[rows]
        rings = tuple(
            np.where(inside, values[shown], -1)
            for values in (np.arange(len(self.source.author)), self.source.author, self.source.tag)
        )
        return repeats_of(own, self.source.author[own], self.source.tag[own], rings)


@dataclass(frozen=True)
class Past:
    """What is known of the past of some rows, arrays by row; see `Log.past_of`."""

    rows: Ints
    sums: Floats
    habits: Floats
    by_tag: Floats
    by_duration: Floats
    last_ms: Ints
    session_ms: Ints
