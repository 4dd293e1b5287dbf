"""Pauses between videos, by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from svsim.data.sessions import find_sessions
from svsim.data.store import FeedStore
from svsim.response.pauses import median_pause_ms


def log(user: list[int], time_ms: list[int], play_time_ms: list[int]) -> FeedStore:
    """A store with nothing but a training split of these events."""
    events = {
        "user": np.array(user, dtype=np.int32),
        "time_ms": np.array(time_ms, dtype=np.int64),
        "play_time_ms": np.array(play_time_ms, dtype=np.int32),
    }

    def sessions(split: str, gap_minutes: float = 30.0) -> Any:
        assert split == "train"
        return find_sessions(np.arange(len(user)), events["user"], events["time_ms"], gap_minutes)

    return cast(FeedStore, SimpleNamespace(events=events, sessions=sessions))


def test_the_median_over_consecutive_requests() -> None:
    # User 1: two videos at 0 (2 s and 4 s), the next request 10 s later: (10 − 6) / 2 = 2 s each; then one of 1 s with
    # 4 s to the next: 3 s. User 2: 1 s of play, 8 s between: 7 s. The median is 3 s.
    store = log([1, 1, 1, 1, 2, 2], [0, 0, 10_000, 14_000, 0, 8_000], [2_000, 4_000, 1_000, 9, 1_000, 5])
    assert median_pause_ms(store) == 3_000


def test_plays_that_outlast_the_gap_are_no_pause() -> None:
    assert median_pause_ms(log([1, 1], [0, 1_000], [5_000, 0])) == 0


@pytest.mark.parametrize("time", [[0, 1_800_001], [0, 0]])
def test_nothing_follows_over_a_long_gap_or_within_a_request(time: list[int]) -> None:
    assert median_pause_ms(log([1, 1], time, [0, 0])) == 0


def test_no_events_no_pause() -> None:
    assert median_pause_ms(log([], [], [])) == 0
