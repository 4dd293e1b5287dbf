"""The way down a slate, worked out on paper."""

from __future__ import annotations

import numpy as np
import pytest

from svsim.data import FeedStore
from svsim.envs import FeedEnv, FeedVectorEnv
from svsim.envs.actions import entries
from svsim.errors import EnvironmentUsageError, OptionError
from svsim.names import HISTORY_FEATURES
from tests.envs.fake_response import FakeResponse, by_video
from tests.envs.hand_feed import POOL, hand_store

START = HISTORY_FEATURES.index("request_start")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeedStore:
    return hand_store(tmp_path_factory.mktemp("hand"))


def slated(store: FeedStore, model: FakeResponse, **arguments: object) -> tuple[FeedEnv, list[int]]:
    """A feed that offers the whole pool in slates of four, and the slot of each video by its place in `POOL`."""
    env = FeedEnv(store, **({"response": model, "candidates": 8, "slate_size": 4, "history": 6} | arguments))
    observation, _ = env.reset(seed=0, options={"user": 12})
    shown = store.videos["video_id"][observation["candidate_video"]].tolist()
    return env, [shown.index(video) for video in POOL]


def test_a_slate_is_watched_until_the_user_stops(store: FeedStore) -> None:
    """Half of 11, all of 12, whereafter nobody goes on: 13 and 14 are not reached."""
    model = FakeResponse(
        share=by_video(store, {11: 0.5}, 1.0), like=1, leave=0.0, go_on=by_video(store, {12: 0.0}, 1.0)
    )
    env, slot = slated(store, model, reward_weights={"wtr": 1, "aux": 10})
    observation, reward, terminated, truncated, info = env.step(slot[:4])
    assert (reward, terminated, truncated) == (0.5 + 1 + 2 * 10, False, False)
    assert info["reward_vector"][[0, 2]].tolist() == [1.5, 2.0]
    assert (info["video_id"].tolist(), info["watched"]) == ([11, 12, -1, -1], 2)
    assert (info["feedback"]["play_time_ms"], info["feedback"]["duration_ms"]) == (15_000, 20_000)
    assert (info["feedback"]["like"], info["disagreement"], info["illegal_action"]) == (2, 0.5, False)
    gain = store.wtg.transform([5_000, 10_000], [10_000, 10_000])
    assert info["wtg_gain"] == gain[0] + gain[1]
    watched = store.videos["video_id"][observation["history_video"][-2:]]
    assert watched.tolist() == [11, 12]
    assert observation["history"][-2:, START].tolist() == [1, 0]
    assert not observation["history_video"][:-2].any()


def test_leaving_ends_the_slate_and_the_episode(store: FeedStore) -> None:
    env, slot = slated(store, FakeResponse(share=1.0, leave=by_video(store, {13: 1.0}, 0.0), go_on=1.0))
    _, _, terminated, _, info = env.step(slot[:4])
    assert terminated
    assert info["video_id"].tolist() == [11, 12, 13, -1]
    assert info["episode_metrics"]["length"] == 1
    assert info["episode_metrics"]["distinct_videos"] == 3
    assert info["episode_metrics"]["watch_s"] == 30


def test_repeated_entries_are_passed_over(store: FeedStore) -> None:
    env, slot = slated(store, FakeResponse(share=1.0, leave=0.0, go_on=1.0))
    _, _, _, _, info = env.step([slot[0], slot[0], slot[1], slot[0]])
    assert info["video_id"].tolist() == [11, -1, 12, -1]
    assert (info["watched"], info["illegal_action"]) == (2, True)


def test_empty_entries_are_passed_over_even_at_the_top(store: FeedStore) -> None:
    env, slot = slated(store, FakeResponse(share=1.0, leave=0.0, go_on=1.0), request_size=3)
    env.step(slot[:4])
    observation, _, terminated, _, info = env.step([slot[0], slot[4], slot[1], slot[5]])
    assert info["video_id"].tolist() == [-1, 15, -1, 16]
    assert (info["watched"], info["illegal_action"], terminated) == (2, True, False)
    assert observation["history"][-2:, START].tolist() == [0, 0]
    nothing = env.step(slot[:4])
    assert (nothing[1], nothing[4]["watched"], nothing[4]["illegal_action"]) == (0.0, 0, True)
    assert nothing[4]["disagreement"] == 0.0


def test_what_must_be_repeated_is_no_fault(store: FeedStore) -> None:
    """After two slates of three, two videos are left for three places."""
    model = FakeResponse(share=1.0, leave=0.0, go_on=1.0)
    env, slot = slated(store, model, slate_size=3, request_size=9, on_illegal="raise")
    env.step(slot[:3])
    env.step(slot[3:6])
    with pytest.raises(EnvironmentUsageError, match="different legal slots"):
        env.step([slot[6], slot[6], slot[6]])
    _, _, terminated, truncated, info = env.step([slot[6], slot[7], slot[7]])
    assert info["video_id"].tolist() == [17, 18, -1]
    assert (info["illegal_action"], terminated, truncated) == (False, False, True)


def test_which_entries_serve() -> None:
    mask = np.array([[True, True, False]])
    for slate, good, wasted in (
        ([0, 1, 1], [True, True, False], False),
        ([0, 2, 0], [True, False, False], True),
        ([2, 1, 0], [False, True, True], False),
    ):
        found = entries(mask, np.array([slate]))
        assert (found[0][0].tolist(), found[1].tolist()) == (good, [wasted])


def test_masks_are_repeated_for_each_place(store: FeedStore) -> None:
    env, slot = slated(store, FakeResponse(leave=0.0, go_on=0.0), request_size=2)
    observation, *_ = env.step(slot[:4])
    masks = env.action_masks().reshape(4, 8)
    assert not masks[:, slot[0]].any()
    assert masks.sum() == 4 * 7
    np.testing.assert_array_equal(observation["action_mask"].reshape(4, 8) > 0, masks)


def test_the_share_that_goes_on_is_the_model_s_probability(store: FeedStore) -> None:
    """Watched videos of a slate of four, each place reached with 0.6: geometric, cut at four."""
    rows, steps = 500, 10
    vector = FeedVectorEnv(
        rows,
        store,
        response=FakeResponse(leave=0.0, go_on=0.6),
        candidates=4,
        slate_size=4,
        repeats=True,
        horizon=10**6,
    )
    vector.reset(seed=0)
    slate = np.tile(np.arange(4), (rows, 1))
    watched = np.concatenate([vector.step(slate)[-1]["watched"] for _ in range(steps)])
    shares = np.bincount(watched, minlength=5)[1:] / (rows * steps)
    expected = np.array([0.4, 0.6 * 0.4, 0.36 * 0.4, 0.216])
    error = np.sqrt(expected * (1 - expected) / (rows * steps))
    assert (np.abs(shares - expected) < 4.5 * error).all()


@pytest.mark.parametrize("action", [0, [0, 1, 2], [0, 1, 2, 8], [0, 1, 2, -1], [0.0, 1.0, 2.0, 3.0], None])
def test_actions_outside_the_space_are_refused(store: FeedStore, action: object) -> None:
    env, _ = slated(store, FakeResponse())
    with pytest.raises(EnvironmentUsageError, match="expected 4 slots from 0 to 7"):
        env.step(action)


def test_a_batch_of_slates_has_its_shape(store: FeedStore) -> None:
    vector = FeedVectorEnv(2, store, response=FakeResponse(), candidates=5, slate_size=3)
    vector.reset(seed=0)
    with pytest.raises(EnvironmentUsageError, match=r"expected whole numbers of shape \(2, 3\)"):
        vector.step(np.zeros(2, dtype=np.int64))
    with pytest.raises(EnvironmentUsageError, match=r"expected slots from 0 to 4, found \[0, 5, 0\] in row 1"):
        vector.step(np.array([[0, 1, 2], [0, 5, 0]]))


def test_a_slate_is_no_longer_than_a_request(store: FeedStore) -> None:
    with pytest.raises(OptionError, match="expected at most the 3 candidates, found 4"):
        FeedEnv(store, response=FakeResponse(), candidates=3, slate_size=4)
