"""Effects of videos: by hand, freed of who showed them, blind to the own fold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from svsim.data import FeedStore, prepare
from svsim.models.response.quality import EFFECTS, VideoEffects
from tests.kuairand import log_row, video_row, write_kuairand
from tests.models.response.stores import altered, other_feedback

DAY_MS = 86_400_000
START = 1_649_500_000_000
CLICK = EFFECTS.index("video_click")
PLAYS = [EFFECTS.index("log_standard_plays"), EFFECTS.index("log_random_plays")]


def made(folder: Path, rows: list[dict], random_rows: list[dict], videos: list) -> FeedStore:
    """A store of these training rows, with a row each for the other splits."""
    late = [
        log_row(user=1, video=1, time_ms=START + day * DAY_MS, date=20220409 + day, play=5_000, duration=10_000)
        for day in (12, 13)
    ]
    users = {row["user_id"]: 0 for row in [*rows, *random_rows, *late]}
    write_kuairand(folder / "files", [*rows, *late], users=users, videos=videos, random_logs=random_rows)
    return prepare(folder / "files", folder / "store")


def row(user: int, video: int, click: int, *, duration: int = 10_000, chance: int = 0, nth: int = 0) -> dict:
    return log_row(
        user=user, video=video, time_ms=START + nth * 60_000, date=20220409, play=4_000, duration=duration,
        is_click=click, is_rand=chance,
    )  # fmt: skip


def dense(store: FeedStore, video: int) -> int:
    return int(np.flatnonzero(store.videos["video_id"][1:] == video)[0]) + 1


def test_effects_by_hand(tmp_path: Path) -> None:
    """Forty users each play video 1, which they click, and video 2, which they do not.

    ŷ has a coefficient for the duration and one for the tab, both 1 in all 80 rows: (80 · [[1, 1], [1, 1]] + I) w =
    40 · (1, 1), so that ŷ = 80/161. The effect of video 1 is 40 · (1 − 80/161) / (40 + 8).
    """
    rows = [row(user, video, 2 - video, nth=video) for user in range(1, 41) for video in (1, 2)]
    store = made(tmp_path, rows, [], [1, 2])
    found = VideoEffects(store).of_videos(np.array([dense(store, 1), dense(store, 2)]))
    usual = 80 / 161
    np.testing.assert_allclose(found[:, CLICK], [40 * (1 - usual) / 48, -40 * usual / 48], rtol=1e-6)
    # Authors are the videos' own; the one tag is both of theirs.
    np.testing.assert_allclose(found[:, EFFECTS.index("author_click")], found[:, CLICK])
    np.testing.assert_allclose(found[:, EFFECTS.index("tag_click")], 40 * (1 - 2 * usual) / 88, rtol=1e-5)
    np.testing.assert_allclose(found[:, PLAYS], [[np.log(41), 0], [np.log(41), 0]], rtol=1e-6)
    # Both were watched alike.
    assert found[0, EFFECTS.index("video_wtr")] == found[1, EFFECTS.index("video_wtr")]


def test_what_a_duration_brings_is_no_effect_of_its_video(tmp_path: Path) -> None:
    """Videos of 9 s are clicked by nine in ten, those of 90 s by one in ten; 3 is liked more than its length says."""
    rng = np.random.default_rng(0)
    share = {1: (9_000, 0.9), 2: (90_000, 0.1), 3: (90_000, 0.6), 4: (90_000, 0.1), 5: (9_000, 0.9)}
    rows = [
        row(user, video, int(rng.random() < p), duration=duration, nth=video)
        for user in range(1, 201)
        for video, (duration, p) in share.items()
    ]
    store = made(tmp_path, rows, [], [video_row(v, video_duration=float(d)) for v, (d, _) in share.items()])
    effect = {v: VideoEffects(store).of_videos(np.array([dense(store, v)]))[0, CLICK] for v in share}
    error = 4 * 0.5 / np.sqrt(200)
    assert effect[3] > 0.2
    # Of 90 s a quarter of the clicks is video 3's: the mean is (.1 + .6 + .1) / 3.
    for video, expected in {1: 0, 5: 0, 2: 0.1 - 0.8 / 3, 3: 0.6 - 0.8 / 3, 4: 0.1 - 0.8 / 3}.items():
        assert effect[video] == pytest.approx(expected * 200 / 208, abs=error), video


def test_chance_shows_videos_to_those_who_like_them_less_which_is_no_fault_of_theirs(tmp_path: Path) -> None:
    """Users click on six in ten of what the policy shows and on two in ten of chance's, whichever the video.

    Plain rates say .56 of video 1 and .24 of video 2, which chance showed more often.
    """
    rng = np.random.default_rng(1)
    standard = [
        row(user, video, int(rng.random() < 0.6), nth=user % 7 + 10 * video + n)
        for user in range(1, 101)
        for video, n in [*((1, n) for n in range(9)), (2, 9)]
    ]
    random = [
        row(user, video, int(rng.random() < 0.2), nth=user % 7 + 10 * video + n, chance=1)
        for user in range(101, 201)
        for video, n in [*((2, n) for n in range(9)), (1, 9)]
    ]
    store = made(tmp_path, standard, random, [1, 2])
    found = VideoEffects(store).of_videos(np.array([dense(store, 1), dense(store, 2)]))
    np.testing.assert_allclose(found[:, CLICK], 0, atol=4 * 0.5 / np.sqrt(1_000))
    assert (store.videos["train_click"] / np.maximum(store.videos["train_exposures"], 1))[dense(store, 1)] > 0.5
    np.testing.assert_allclose(np.expm1(found[:, PLAYS]), [[900, 100], [100, 900]], rtol=1e-5)


def test_effects_of_training_rows_are_blind_to_the_own_fold(store: FeedStore, tmp_path: Path) -> None:
    """One user's training feedback turns: not a bit of their own rows' effects does, but other folds' do."""
    train = store.split_rows("train")
    user = int(store.events["user"][train[len(train) // 2]])
    own = train[store.events["user"][train] == user]
    other = altered(store, tmp_path / "other", other_feedback(store, own, np.random.default_rng(0)))
    before, after = (VideoEffects(one).of_events(np.arange(one.n_events)) for one in (store, other))
    assert len(own) > 50
    assert before[own].tobytes() == after[own].tobytes()
    same = np.isin(store.events["video"], store.events["video"][own]) & (store.events["user"] != user)
    share = (before[same] != after[same]).any(axis=1).mean()
    assert share > 0.5
    # The counts of plays stay, whose rows they are left aside.
    np.testing.assert_array_equal(before[:, PLAYS], after[:, PLAYS])


def test_later_rows_know_all_of_training_and_nothing_later(store: FeedStore, tmp_path: Path) -> None:
    late = np.concatenate([store.split_rows("valid"), store.split_rows("test")])
    found = VideoEffects(store)
    video = np.asarray(store.events["video"])
    np.testing.assert_array_equal(found.of_events(late), found.of_videos(video[late]))
    other = altered(store, tmp_path / "other", other_feedback(store, late, np.random.default_rng(1)))
    rows = np.arange(store.n_events)
    assert VideoEffects(other).of_events(rows).tobytes() == found.of_events(rows).tobytes()
