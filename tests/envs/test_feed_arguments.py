"""What Feed-v0 takes and what it refuses, with the reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from svsim.data import FeedStore, prepare
from svsim.envs import FeedEnv, FeedVectorEnv
from svsim.errors import EnvironmentUsageError, OptionError
from tests.envs.fake_response import FakeResponse
from tests.kuairand import log_row, write_kuairand

REFUSED = [
    ({"candidates": 0}, "candidates: expected at least 1, found 0"),
    ({"history": 0}, "history: expected at least 1, found 0"),
    ({"horizon": 0}, "horizon: expected at least 1, found 0"),
    ({"request_size": 0}, "request_size: expected at least 1, found 0"),
    ({"slate_size": 0}, "slate_size: expected at least 1, found 0"),
    ({"sessions": 0}, "sessions: expected at least 1, found 0"),
    ({"horizon_minutes": 0}, "horizon_minutes: expected minutes above 0, found 0"),
    ({"horizon_minutes": float("nan")}, "expected minutes above 0, found nan"),
    ({"horizon": 5, "horizon_minutes": 2.0}, r"expected horizon or horizon_minutes, found both \(5 and 2.0\)"),
    ({"slate_size": 5}, "slate_size: expected at most the 4 candidates, found 5"),
    ({"candidates": 52}, "candidates: expected at most the 51 videos of the pool, found 52"),
    ({"actions": "catalogue", "slate_size": 2}, 'slate_size: expected 1 with actions="catalogue", found 2'),
    ({"actions": "catalogue", "request_size": 2}, 'request_size: expected 1 with actions="catalogue", found 2'),
    ({"actions": "videos"}, "actions: expected slot or catalogue, found 'videos'"),
    ({"retrieval": "nearest"}, "retrieval: expected uniform or popularity, found 'nearest'"),
    ({"pool": "all"}, "pool: expected random or train, found 'all'"),
    ({"on_illegal": "ignore"}, "expected penalise or raise, found 'ignore'"),
    ({"split": "tets"}, "expected a split of"),
    ({"reward_weights": {"wtx": 1}}, "expected signals among wtr, wtg, aux, return, found 'wtx'"),
    ({"reward_weights": {"return": 1}}, "expected sessions above 1 where 'return' is weighed, found 1"),
    ({"render_mode": "human"}, "render_mode"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED)
@pytest.mark.parametrize("made", [FeedEnv, FeedVectorEnv])
def test_impossible_arguments_are_refused(store: FeedStore, made: type, arguments: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        made(store=store, **({"response": FakeResponse(), "candidates": 4} | arguments))


def test_a_catalogue_needs_no_candidates(store: FeedStore) -> None:
    assert FeedEnv(store, response=FakeResponse(), actions="catalogue", candidates=1_000).action_space.n == 51


def test_a_store_without_a_truth_asks_for_a_model(store: FeedStore) -> None:
    with pytest.raises(OptionError, match="svsim train response"):
        FeedEnv(store, candidates=4)
    with pytest.raises(OptionError, match="svsim train response"):
        FeedEnv(store, candidates=4, response="truth")


def test_a_log_without_random_rows_has_its_training_videos_as_pool(tmp_path: Path) -> None:
    day = 86_400_000
    rows = [
        log_row(user=1, video=video, time_ms=video * 1_000 + n, date=20220415, play=5_000)
        for video in (1, 2, 3)
        for n in range(4 + video // 2)
    ]
    later = [log_row(user=1, video=1, time_ms=d * day, date=20220415 + d, play=5_000) for d in (1, 2)]
    store = prepare(
        write_kuairand(tmp_path / "files", [*rows, *later], users={1: 5}, videos=[1, 2, 3]), tmp_path / "store"
    )
    env = FeedEnv(store, response=FakeResponse(), candidates=2)
    assert store.videos["video_id"][env.pool].tolist() == [2, 3]
    with pytest.raises(OptionError, match=r'expected a random log .*found none.*name pool="train"'):
        FeedEnv(store, response=FakeResponse(), candidates=2, pool="random")


@pytest.mark.parametrize("pool", ["random", "train"])
def test_pools_are_what_they_say(store: FeedStore, pool: str) -> None:
    env = FeedEnv(store, response=FakeResponse(), candidates=4, pool=pool)
    random = np.unique(store.events["video"][store.events["is_rand"] == 1])
    train = np.bincount(store.events["video"][store.split_rows("train")], minlength=store.n_videos + 1)
    np.testing.assert_array_equal(env.pool, random if pool == "random" else np.flatnonzero(train >= 5))


@pytest.mark.parametrize("action", [-1, 4, 1.0, "0", None, [0, 1], True])
def test_an_action_outside_the_space_is_refused(store: FeedStore, action: object) -> None:
    env = FeedEnv(store, response=FakeResponse(), candidates=4)
    env.reset(seed=0)
    with pytest.raises(EnvironmentUsageError, match="expected a slot from 0 to 3"):
        env.step(action)


def test_calls_before_reset_are_refused(store: FeedStore) -> None:
    for env, action in (
        (FeedEnv(store, response=FakeResponse(), candidates=4), 0),
        (FeedVectorEnv(2, store, response=FakeResponse(), candidates=4), np.zeros(2, dtype=np.int64)),
    ):
        with pytest.raises(EnvironmentUsageError, match="reset"):
            env.step(action)
    with pytest.raises(OptionError, match="at least 1 environment"):
        FeedVectorEnv(0, store, response=FakeResponse(), candidates=4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"episode": 1}, "expected options among"),
        ({"session": 1}, "expected a user beside"),
        ({"episodes": [1.5]}, "expected whole numbers"),
        ({"user": -5}, "user -5 has no session that is served here"),
    ],
)
def test_wrong_reset_options_are_refused(store: FeedStore, options: dict, message: str) -> None:
    with pytest.raises(EnvironmentUsageError, match=message):
        FeedEnv(store, response=FakeResponse(), candidates=4).reset(options=options)
