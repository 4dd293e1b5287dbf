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

from svsim.data.features import CHINA_MS, DAY_MS, MAX_DAYS, candidate_features_at, uploaded_ms, user_features
from svsim.data.store import FeedStore
from svsim.models.inputs import request_starts
from svsim.models.response.kinds import duration_class, first_tags
from svsim.models.response.memory import EVENT_SUMS, RING, SCALES, SESSION
from svsim.models.response.past_sums import PastSums, session_starts
from svsim.models.response.quality import EFFECTS, VideoEffects
from svsim.names import CANDIDATE_FEATURES, USER_FEATURES
from svsim.randomness import keyed_uniform

__all__ = [
    "BOTH",
    "N_MOMENT",
    "N_NUMBERS",
    "REPEATS",
    "Log",
    "Past",
    "Protocol",
    "Rows",
    "Scales",
    "Source",
    "both_block",
    "clock",
    "moment_block",
    "repeats_of",
    "standing_block",
]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Protocol = Literal["frozen", "running", "training"]

BOTH = ("age_days", "tag_excess", "duration_excess", "tag_events")
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


def moment_block(sums: Array, time_ms: Array, last_ms: Array, session_ms: Array) -> Floats:
    """(n, 35) float32 what changes from video to video, not yet standardised.

    Args:
        sums: (n, 4, 7) of the past.
        time_ms: (n,) now.
        last_ms: (n,) time of the last known event, 0 none.
        session_ms: (n,) when the session opened.
    """
    count = sums[:, :, 0]
    wait = np.where(last_ms > 0, np.maximum(time_ms - last_ms, 0) / 3_600_000.0, NO_WAIT_H)
    block = np.empty((len(sums), N_MOMENT), dtype=np.float32)
    np.divide(sums[:, :, 1:], (count + _PSEUDO)[:, :, None], out=block[:, :_RATES].reshape(len(sums), len(SCALES), -1))
    np.log1p(count, out=block[:, _RATES : _RATES + len(SCALES)])
    at = _RATES + len(SCALES)
    block[:, at : at + 4] = clock(time_ms)
    block[:, at + 4] = np.log1p(wait)
    block[:, at + 5] = np.log1p(np.maximum(time_ms - session_ms, 0) / 60_000.0)
    block[:, at + 6] = count[:, SESSION] == 0
    return block


def standing_block(habits: Array, profile: Array, tab: Array, chance: Array) -> Floats:
    """(n, 56) float32 what stays for a session, not yet standardised.

    Args:
        habits: (n, 2, 5) of the past before the session.
        profile: (n, 29) user features.
        tab: (n,) tabs.
        chance: (n,) whether chance chose the video, and not a policy that knew the user.
    """
    tabs = np.minimum(tab, N_TABS - 1)[:, None] == np.arange(N_TABS)[None, :]
    parts = (habits.reshape(len(habits), -1), profile, tabs, np.asarray(chance)[:, None])
    return np.concatenate(parts, axis=1, dtype=np.float32)


def clock(time_ms: Array) -> Floats:
    """(…, 4) float32 hour of the day in China: sine and cosine of it and of its double, to the minute."""
    return np.asarray(_CLOCK.take(((time_ms + CHINA_MS) // 60_000) % 1_440, axis=0))


def _clock_table() -> Floats:
    angle = np.arange(1_440) * (2 * np.pi / 1_440)
    return np.stack([np.sin(angle), np.cos(angle), np.sin(2 * angle), np.cos(2 * angle)], axis=1).astype(np.float32)


_CLOCK = _clock_table()
_RATES = len(SCALES) * (len(EVENT_SUMS) - 1)
_PSEUDO = np.array([PSEUDO[name] for name in SCALES], dtype=np.float32)
N_NUMBERS = len(CANDIDATE_FEATURES) - 1 + len(EFFECTS) + len(DURATION_NODES)
"""Columns of the video block that are numbers, its first ones."""
N_MOMENT = _RATES + len(SCALES) + 7
"""Columns of the moment's block, the first of the user's."""


def both_block(age_days: Array, kinds: Array) -> Floats:
    """(n, 4) float32 in the order of `BOTH`, not yet standardised.

    Args:
        age_days: (n,) of the video.
        kinds: (n, 2, 2) past events of the user with its first tag and with its class of durations, and their excess.
    """
    block = np.empty((len(age_days), len(BOTH)), dtype=np.float32)
    block[:, 0] = np.log1p(age_days / AGE_SCALE)
    np.divide(kinds[:, :, 1], kinds[:, :, 0] + KIND_PSEUDO, out=block[:, 1:3])
    block[:, 3] = np.log1p(kinds[:, 0, 0])
    return block


class Source:
    """A store's videos and users as the network's inputs.

    Args:
        store: Whose.
        effects: How good its videos are.

    Attributes:
        tag: (n_videos + 1,) first tags, see `first_tags`.
        author: (n_videos + 1,) dense ids.
        profile: (n_users + 1, 29) user features.
        uploaded_ms: (n_videos + 1,) midnight in China of the upload, 0 not known.
    """

    def __init__(self, store: FeedStore, effects: VideoEffects) -> None:
        self.store, self.effects = store, effects
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
        self.uploaded_ms = uploaded_ms(store, np.arange(store.n_videos + 1))

    @property
    def width(self) -> int:
        """V, columns of the video block."""
        return (
            len(CANDIDATE_FEATURES)
            - 1
            + len(EFFECTS)
            + len(DURATION_NODES)
            + self._tags
            + sum(n for _, n in self._kinds.values())
        )

    def videos(self, video: Ints, shown: Array) -> Floats:
        """(n, V) float32 the video block, not yet standardised.

        Args:
            video: (n,) dense ids.
            shown: (n, C + 11) their candidate features and effects.
        """
        log_duration = shown[:, 0]
        nodes = DURATION_NODES
        place = np.interp(log_duration, nodes, np.arange(len(nodes)))
        hats = np.maximum(1.0 - np.abs(place[:, None] - np.arange(len(nodes))[None, :]), 0.0)
        numbers = np.delete(shown, CANDIDATE_FEATURES.index("age_days"), axis=1)
        kinds = [
            np.maximum(codes[video], 0)[:, None] == np.arange(size)[None, :] for codes, size in self._kinds.values()
        ]
        return np.concatenate(
            [numbers, hats, self._bag[self.store.videos["tag_set"][video]], *kinds], axis=1, dtype=np.float32
        )

    def shown(self, video: Ints) -> Floats:
        """(n, C + 11) candidate features and effects of videos as the whole training split knows them."""
        later = np.full(len(video), np.iinfo(np.int64).max // 2)
        nobody = np.zeros(len(video), dtype=np.int64)
        shown = candidate_features_at(self.store, nobody, video, later)[:, : len(CANDIDATE_FEATURES)]
        return np.concatenate([shown, self.effects.of_videos(video)], axis=1)

    def age_days(self, video: Array, time_ms: Array) -> Array:
        """Days from upload to a time, 0 where not known; arrays that broadcast."""
        uploaded = self.uploaded_ms[video]
        return np.where(uploaded > 0, np.clip((time_ms - uploaded) / DAY_MS, 0.0, MAX_DAYS), 0.0)


def repeats_of(shown: Array, rings: Array) -> Floats:
    """(n, 3) float32 how often the video, its author and its first tag stand among the last ones, see `REPEATS`.

    Args:
        shown: (n, 3) dense ids of video and author, first tag, of what is asked for.
        rings: (n, 3, 16) of the last ones, −1 none.
    """
    same: Floats = np.add.reduce(rings == shown[:, :, None], axis=2, dtype=np.float32)
    same[:, 2] *= shown[:, 2] > 0
    return same


@dataclass(frozen=True)
class Rows:
    """Rows of a log as the network reads them, not yet standardised where they are numbers.

    Attributes:
        rows: (n,) rows of the events.
        user: (n, U) float32.
        video: (n, V) float32.
        both: (n, 4) float32.
        repeats: (n, 3) float32.
        chance: (n,) whether chance chose the video.
    """

    rows: Ints
    user: Floats
    video: Floats
    both: Floats
    repeats: Floats
    chance: Array


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
        kinds = np.empty((len(rows), 2, 2), dtype=np.float32)
        span = slice(self.past.first, self.past.last)
        of_span = (self.source.tag[events["video"][span]], duration_class(events["duration_ms"][span]))
        for number, kind in enumerate(of_span):
            kinds[:, number] = np.stack(self.past.excess(kind, kind[rows - self.past.first], user, end), axis=1)
        first = self.store.users["first_event"][user]
        last = np.where(end > first, events["time_ms"][np.maximum(end - 1, 0)], 0)
        opened = np.where(session < end, events["time_ms"][np.minimum(session, rows)], events["time_ms"][rows])
        habits = self.past.habits(user, np.minimum(end, session))
        sums = self.past.scales(user, end, session)
        return Past(rows, sums, habits, kinds, last, np.asarray(opened))

    def block(self, past: Past, part: Array) -> Rows:
        """Some of the rows as the network reads them."""
        events, source = self.store.events, self.source
        rows = past.rows[part]
        video = events["video"][rows].astype(np.int64)
        time_ms = events["time_ms"][rows]
        moment = moment_block(past.sums[part], time_ms, past.last_ms[part], past.session_ms[part])
        profile, tab = source.profile[events["user"][rows]], events["tab"][rows].astype(np.int64)
        chance = events["is_rand"][rows] > 0
        standing = standing_block(past.habits[part], profile, tab, chance)
        user = np.concatenate([moment, standing], axis=1)
        both = both_block(source.age_days(video, time_ms), past.kinds[part])
        return Rows(rows, user, self.videos(rows), both, self.repeats(rows), chance)

    def videos(self, rows: Ints) -> Floats:
        """The video block of rows, as other users made the rates."""
        return self.source.videos(
            self.store.events["video"][rows].astype(np.int64), self.past.shown[rows - self.past.first]
        )

    def repeats(self, rows: Ints) -> Floats:
        """(n, 3) what was shown before in the session, requests' own earlier rows among it: no feedback is read."""
        before = rows[:, None] - np.arange(RING, 0, -1)[None, :]
        inside = before >= self.session[rows][:, None]
        video = self.store.events["video"]
        shown = np.where(inside, video[np.maximum(before, 0)], 0)
        own = video[rows]
        columns = (np.arange(len(self.source.author)), self.source.author, self.source.tag)
        rings = np.stack([np.where(inside, values[shown], -1) for values in columns], axis=1)
        return repeats_of(np.stack([values[own] for values in columns], axis=1), rings)


@dataclass(frozen=True)
class Past:
    """What is known of the past of some rows, arrays by row; see `Log.past_of`."""

    rows: Ints
    sums: Floats
    habits: Floats
    kinds: Floats
    last_ms: Ints
    session_ms: Ints
