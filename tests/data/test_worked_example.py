"""Eleven rows worked out on paper: split, gain, relevance, sums of the training split, sessions."""

from __future__ import annotations

from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from svsim.data import FeedStore, PrepareOptions, prepare
from svsim.errors import DataError, OptionError
from tests.kuairand import log_row, write_kuairand

MINUTE = 60_000
SCORE = NormalDist().inv_cdf


def row(user: int, video: int, minute: float, day: int, play: int, **flags: int) -> dict[str, Any]:
    return log_row(user=user, video=video, time_ms=int(minute * MINUTE), date=20220400 + day, play=play, **flags)


# Users 3, 5 and 9 (999, 1,000 and 0 fans), videos 10, 11 and 12, of 10 s each; not in the order of time.
TRAIN = [
    row(5, 10, 5, 20, 12_000, is_like=1, is_comment=1, is_click=1, long_view=1),
    row(5, 12, 0, 20, 3_000),
    row(3, 11, 0, 20, 9_000, is_follow=1, is_click=1),
    row(3, 10, 40, 20, 1_000, is_hate=1),
]
VALID = [row(3, 12, 1_500, 21, 500, is_like=1, is_click=1), row(9, 10, 1_500, 21, 20_000)]
TEST = [
    row(9, 11, 3_000, 22, 5_000),
    row(9, 12, 3_030, 22, 12_000),
    row(9, 10, 3_061, 22, 1_000),
    row(3, 10, 3_000, 22, 10_000),
    row(5, 11, 3_000, 22, 0),
]
USERS = {9: 0, 3: 999, 5: 1_000}


def example(folder: Path, rows: list[dict[str, Any]] | None = None, **options: Any) -> FeedStore:
    files = write_kuairand(folder / "files", rows or [*TEST, *TRAIN, *VALID], users=USERS, videos=[12, 10, 11])
    return prepare(files, folder / "store", PrepareOptions(**options))


@pytest.fixture
def made(tmp_path: Path) -> FeedStore:
    return example(tmp_path)


def test_events_by_user_then_time(made: FeedStore) -> None:
    users = made.users["user_id"][made.events["user"]]
    videos = made.videos["video_id"][made.events["video"]]
    assert users.tolist() == [3, 3, 3, 3, 5, 5, 5, 9, 9, 9, 9]
    assert videos.tolist() == [11, 10, 12, 10, 12, 10, 11, 10, 11, 12, 10]


def test_the_papers_dates_split_them(made: FeedStore) -> None:
    assert made.manifest["splits"]["rule"] == "paper"
    assert [len(made.split_rows(name)) for name in ("train", "valid", "test")] == [4, 2, 5]
    assert made.events["split"].tolist() == [1, 1, 2, 3, 1, 1, 3, 2, 3, 3, 3]


def test_gains_against_the_four_training_plays(made: FeedStore) -> None:
    """Training plays are 1, 3, 9 and 12 s; F of each play in the order of the events, held within 1/8 and 7/8."""
    share = [0.625, 0.125, 0.125, 0.75, 0.375, 0.875, 0.125, 0.875, 0.5, 0.875, 0.125]
    np.testing.assert_allclose(made.events["wtg_gain"], [SCORE(value) for value in share], rtol=1e-6, atol=1e-7)
    assert made.manifest["wtg"] == made.wtg.summary() | {"fitted_on": "train"}
    assert (made.wtg.summary()["plays"], made.wtg.summary()["groups"]) == (4, 1)


def test_a_gain_fitted_on_all_rows_knows_all_eleven(tmp_path: Path) -> None:
    """User 5's play of 0 is the least of eleven: F = ½/11."""
    store = example(tmp_path, wtg_fit="all")
    assert store.manifest["wtg"]["plays"] == 11
    assert store.events["wtg_gain"][6] == pytest.approx(SCORE(0.5 / 11), rel=1e-6)


def test_sums_of_the_training_split(made: FeedStore) -> None:
    """Of its four rows: 1.2 is clipped to 1, only the longest play is relevant, hate counts nowhere."""
    sums = {name[len("train_") :]: values for name, values in made.videos.items() if name.startswith("train_")}
    assert made.videos["video_id"].tolist() == [-1, 10, 11, 12]
    expected = {
        "exposures": [0, 2, 1, 1],
        "click": [0, 1, 1, 0],
        "long_view": [0, 1, 0, 0],
        "wtr": [0, 1.1, 0.9, 0.3],
        "wtg": [0, 1, 0, 0],
        "aux": [0, 2, 1, 0],
    }
    assert sums.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(sums[name], values, rtol=1e-6, err_msg=name)


def test_sessions_end_at_a_gap_at_a_user_and_at_a_split(made: FeedStore) -> None:
    """User 9's test rows lie 30 and 31 minutes apart; user 3's training rows 40."""
    sessions = made.sessions("test")
    assert (sessions.length.tolist(), sessions.user.tolist()) == ([1, 1, 2, 1], [1, 2, 3, 3])
    assert made.sessions("test", 31).length.tolist() == [1, 1, 3]
    assert made.sessions("train").length.tolist() == [1, 1, 2]
    assert made.sessions("train", None).length.tolist() == [2, 2]


def test_groups_are_cut_at_a_thousand_fans(made: FeedStore) -> None:
    assert made.user_group[1:].tolist() == ["normal", "influencer", "normal"]
    assert {name: made.manifest["groups"][name] for name in ("influencer", "normal")} == {"influencer": 1, "normal": 2}


# --- nothing usable --------------------------------------------------------------------------------------------------


def changed(**cells: int) -> list[dict[str, Any]]:
    return [each | cells for each in (*TRAIN, *VALID, *TEST)]


@pytest.mark.parametrize("options", [{}, {"split": "paper"}, {"train_until": "20220420"}])
def test_rows_without_duration_only(tmp_path: Path, options: dict[str, str]) -> None:
    with pytest.raises(DataError, match="expected plays of videos with a duration, found none among 11 rows"):
        example(tmp_path, changed(duration_ms=0), **options)
    assert [path.name for path in tmp_path.iterdir()] == ["files"]


def test_a_gain_needs_plays_with_a_duration(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="expected plays with a duration above 0"):
        example(tmp_path, changed(duration_ms=0), keep_zero_duration=True)
    assert [path.name for path in tmp_path.iterdir()] == ["files"]


@pytest.mark.parametrize("cells", [{"duration_ms": 0}, {"duration_ms": -1}, {"play_time_ms": -1}])
def test_rows_that_are_dropped_are_nothing_to_test_on(tmp_path: Path, cells: dict[str, int]) -> None:
    """The paper's test day has dropped rows only: `auto` does not take the paper's dates, `paper` is refused."""
    rows = [*TRAIN, *VALID, *(each | cells for each in TEST), row(9, 10, 9_999, 23, 700)]
    with pytest.raises(OptionError, match="no row is left to test on"):
        example(tmp_path / "paper", rows, split="paper")
    store = example(tmp_path / "auto", rows)
    assert store.manifest["splits"]["rule"] == "auto"
    assert [len(store.split_rows(name)) for name in ("train", "valid", "test")] == [4, 2, 1]


@pytest.mark.parametrize("options", [{"split": "weeks"}, {"wtg_fit": "some"}, {"wtg_preset": "mean"}])
def test_unknown_options_are_refused(tmp_path: Path, options: dict[str, str]) -> None:
    with pytest.raises(OptionError, match=r"expected .*, found '"):
        example(tmp_path, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["files"]
