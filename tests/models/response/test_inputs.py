"""Inputs by hand: kinds, clock, means and waits, repeats; what a protocol lets a row know."""

from __future__ import annotations

import numpy as np
import pytest

from svsim.data import FeedStore
from svsim.models.inputs import request_starts
from svsim.models.response.inputs import (
    BLIND_DAYS,
    N_MOMENT,
    RING,
    Log,
    Source,
    both_block,
    clock,
    moment_block,
    repeats_of,
    standing_block,
)
from svsim.models.response.kinds import duration_class, first_tags
from svsim.models.response.memory import EVENT_SUMS, SCALES
from svsim.models.response.past_sums import PastSums, session_starts

HOUR = 3_600_000
MIDNIGHT = 1_649_347_200_000
"""That opens 8 April 2022 in Beijing."""


@pytest.fixture(scope="module")
def log(store: FeedStore) -> Log:
    past = PastSums(store)
    return Log(store, Source(store, past.effects), past)


def test_classes_of_durations() -> None:
    seconds = [0.0, 6.999, 7, 11.999, 12, 18, 30, 60, 120, 239.999, 240, 4_000]
    assert duration_class(np.array(seconds) * 1_000).tolist() == [0, 0, 1, 1, 2, 3, 4, 5, 6, 6, 7, 7]


def test_the_first_tag_is_counted_from_one(store: FeedStore) -> None:
    found = first_tags(store)
    assert found.shape == (store.n_videos + 1,)
    for video in range(1, store.n_videos + 1):
        tags = store.video_tags[store.videos["tag_set"][video]]
        assert found[video] == (tags[0] + 1 if tags else 0)


def test_the_clock_is_beijings() -> None:
    """Six in the morning is a quarter of the day, half of its half."""
    found = clock(MIDNIGHT + np.array([0, 6, 12, 15, 24 * 9 + 6]) * HOUR)
    half = np.sqrt(0.5)
    expected = [[0, 1, 0, 1], [1, 0, 0, -1], [0, -1, 0, 1], [-half, -half, 1, 0], [1, 0, 0, -1]]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_moment_by_hand() -> None:
    """Ten events with five clicks above the usual, one of them a second ago; nothing yet in the session."""
    sums = np.zeros((2, len(SCALES), len(EVENT_SUMS)), dtype=np.float32)
    sums[0, 0, :2] = 10, 5
    sums[0, 2, :2] = 2, -1
    time = np.full(2, MIDNIGHT + 6 * HOUR)
    last, opened = np.array([time[0] - 2 * HOUR, 0]), time - [180_000, 0]
    found = moment_block(sums, time, last, opened)
    assert found.shape == (2, N_MOMENT)
    n = len(EVENT_SUMS) - 1
    assert found[0, 0] == pytest.approx(5 / (10 + 10))
    assert found[0, 2 * n] == pytest.approx(-1 / (2 + 3))
    assert (found[:, 1:n] == 0).all()
    counts, (hour, wait, session, fresh) = (
        found[:, 4 * n : 4 * n + 4],
        np.split(found[:, 4 * n + 4 :], [4, 5, 6], axis=1),
    )
    np.testing.assert_allclose(counts, [[np.log(11), 0, np.log(3), 0], np.zeros(4)], rtol=1e-6)
    np.testing.assert_allclose(hour, [[1, 0, 0, -1]] * 2, atol=1e-6)
    # Two hours; a user of whom nothing is known has waited a month.
    np.testing.assert_allclose(wait[:, 0], [np.log(3), np.log1p(24 * 31)], rtol=1e-6)
    np.testing.assert_allclose(session[:, 0], [np.log(4), 0], rtol=1e-6)
    assert fresh[:, 0].tolist() == [1, 1]


def test_the_standing_part_by_hand() -> None:
    habits, profile = np.arange(20).reshape(2, 2, 5) / 20, np.full((2, 29), 0.5)
    found = standing_block(habits, profile, np.array([1, 40]), np.array([False, True]))
    assert found.shape == (2, 10 + 29 + 16 + 1)
    np.testing.assert_allclose(found[1, :10], np.arange(10, 20) / 20, rtol=1e-6)
    assert np.flatnonzero(found[0, 39:]).tolist() == [1]
    # Tabs past the fifteenth are one.
    assert np.flatnonzero(found[1, 39:]).tolist() == [15, 16]


def test_what_user_and_video_have_in_common_by_hand() -> None:
    """Three past videos of the tag with 2 above the usual; five of the duration with −1 above it; ten days old."""
    found = both_block(np.array([10.0]), np.array([[[3, 2.0], [5, -1.0]]]))
    np.testing.assert_allclose(found, [[np.log(2), 2 / 8, -1 / 10, np.log(4)]], rtol=1e-6)


def test_repeats_by_hand() -> None:
    rings = np.full((2, 3, RING), -1)
    rings[0, :, -4:] = [[7, 8, 7, 9], [4, 4, 4, 5], [2, 0, 2, 2]]
    rings[1, :, -1] = 7, 4, 0
    # The video twice, its author three times, its tag three times; without a tag no tag is repeated.
    assert repeats_of(np.array([[7, 4, 2], [8, 4, 0]]), rings).tolist() == [[2, 3, 3], [0, 1, 0]]


def test_repeats_are_counted_among_the_sessions_last_sixteen(store: FeedStore, log: Log) -> None:
    session, video = session_starts(store), store.events["video"]
    author, tag = log.source.author[video], log.source.tag[video]
    lengths = np.arange(store.n_events) - session
    rows = np.concatenate([np.flatnonzero(lengths == 0)[:20], np.flatnonzero(lengths > 20)[:200]])
    found = log.repeats(rows)
    for row, told in zip(rows.tolist(), found.tolist(), strict=True):
        before = slice(max(session[row], row - 16), row)
        expected = [(values[before] == values[row]).sum() for values in (video, author, tag)]
        assert told == [expected[0], expected[1], expected[2] if tag[row] else 0]
    assert (found[:20] == 0).all()
    assert found[20:, 1:].max() > 1


def test_days_since_the_upload(store: FeedStore, log: Log) -> None:
    """A video uploaded on 10 April is two and a quarter days old on 12 April at six; of one without a date none is known."""
    uploaded = np.array([0, MIDNIGHT + 48 * HOUR])
    source = Source.__new__(Source)
    source.uploaded_ms = uploaded
    now = MIDNIGHT + 102 * HOUR
    np.testing.assert_allclose(source.age_days(np.array([0, 1]), now), [0, 2.25])
    np.testing.assert_allclose(source.age_days(np.array([1]), MIDNIGHT), 0)
    dates = store.videos["upload_date"]
    day = np.array([f"{d // 10_000}-{d // 100 % 100:02d}-{d % 100:02d}" for d in dates[1:].tolist()], dtype="M8[ms]")
    np.testing.assert_array_equal(log.source.uploaded_ms[1:], day.astype(np.int64) - 8 * HOUR)


# --- protocols --------------------------------------------------------------------------------------------------------


def test_running_knows_earlier_requests(store: FeedStore, log: Log) -> None:
    rows = store.split_rows("test")
    end, session = log.visible(rows, "running")
    np.testing.assert_array_equal(end, request_starts(store)[rows])
    np.testing.assert_array_equal(session, session_starts(store)[rows])


def test_frozen_knows_what_came_before_the_split(store: FeedStore, log: Log) -> None:
    rows = store.split_rows("test")
    end, session = log.visible(rows, "frozen")
    np.testing.assert_array_equal(session, end)
    user = store.events["user"]
    for row, last in zip(rows.tolist(), end.tolist(), strict=True):
        assert last == rows[user[rows] == user[row]].min()


def test_training_rows_know_nothing_of_some_days(store: FeedStore, log: Log) -> None:
    """Four days in ten of each user are blind: their rows see what came before the day and no session."""
    rows = store.split_rows("train")
    end, session = log.visible(rows, "training")
    known, opened = log.visible(rows, "running")
    user, date = store.events["user"][rows], store.events["date"][rows]
    _, day = np.unique(user.astype(np.int64) * 100_000_000 + date, return_inverse=True)
    starts = np.full(day.max() + 1, store.n_events)
    np.minimum.at(starts, day, rows)
    blind = (end == starts[day]) & (session == end)
    np.testing.assert_array_equal(end[~blind], known[~blind])
    np.testing.assert_array_equal(session[~blind], opened[~blind])
    # A whole day is blind or none of it; a day's first request is alike in both.
    told = end < known
    by_day = np.bincount(day, weights=told) > 0
    seeing = np.bincount(day, weights=known > starts[day]) > 0
    later = known > starts[day]
    np.testing.assert_array_equal(told[later], by_day[day][later])
    share, n = by_day[seeing].mean(), seeing.sum()
    assert abs(share - BLIND_DAYS) < 4 * np.sqrt(0.24 / n)
    assert n > 300
