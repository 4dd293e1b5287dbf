"""Feed-v0's rules against users whose answers are known, in a log that was written by hand."""

from __future__ import annotations

import numpy as np
import pytest

from svsim.data import FeedStore
from svsim.data.features import candidate_features_at
from svsim.envs import FeedEnv, FeedVectorEnv, ReplayEnv
from svsim.errors import EnvironmentUsageError
from svsim.names import CANDIDATE_FEATURES, HISTORY_FEATURES
from tests.envs.fake_response import FakeResponse, by_video
from tests.envs.hand_feed import MINUTE, POOL, TEST_DAY, hand_store

AGE = CANDIDATE_FEATURES.index("age_days")
STEP_S = 11
"""A whole play of ten seconds and the pause behind it."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeedStore:
    return hand_store(tmp_path_factory.mktemp("hand"))


def source_ids(store: FeedStore, dense: np.ndarray) -> list[int]:
    """The source's ids of dense ids, −1 for 0."""
    return [int(store.videos["video_id"][video]) if video else -1 for video in dense.tolist()]


def feed(store: FeedStore, **arguments: object) -> FeedEnv:
    """A feed of user 7's first session."""
    env = FeedEnv(store, **({"response": FakeResponse(share=1.0, leave=0.0), "candidates": 3} | arguments))
    env.reset(seed=0, options={"user": 7, "session": 0})
    return env


def newest(observation: dict) -> dict[str, float]:
    return dict(zip(HISTORY_FEATURES, observation["history"][-1].tolist(), strict=True))


def serve(store: FeedStore, env: FeedEnv, *videos: int) -> list[tuple]:
    """Serve videos of the catalogue by the source's ids."""
    pool = source_ids(store, env.pool)
    return [env.step(pool.index(video)) for video in videos]


def test_rewards_are_what_the_model_answers(store: FeedStore) -> None:
    model = FakeResponse(share=by_video(store, {11: 0.5, 12: 2.0}, 0.0), like=by_video(store, {12: 1}, 0), leave=0.0)
    env = feed(store, actions="catalogue", response=model)
    (_, half, *_, first), (_, twice, *_, second) = serve(store, env, 11, 12)
    gain = store.wtg.transform([5_000, 20_000], [10_000, 10_000])
    np.testing.assert_array_equal([first["wtg_gain"], second["wtg_gain"]], gain)
    relevant = (gain > store.wtg.threshold).astype(float)
    assert first["reward_vector"].tolist() == [0.5, relevant[0], 0.0]
    assert second["reward_vector"].tolist() == [1.0, relevant[1], 1.0]
    assert (half, twice) == (0.5 + relevant[0], 2.0 + relevant[1])
    assert (first["video_id"], second["video_id"]) == (11, 12)
    assert second["feedback"]["play_time_ms"] == 20_000
    assert second["feedback"]["like"] == 1
    assert first["disagreement"] == 0.25
    assert (first["user_id"], first["group"]) == (7, "influencer")


def test_an_episode_opens_as_the_session_did(store: FeedStore) -> None:
    env = FeedEnv(store, response=FakeResponse(), candidates=3, history=5)
    observation, info = env.reset(seed=0, options={"user": 7, "session": 0})
    replayed, _ = ReplayEnv(store, candidates=1, history=5).reset(options={"user": 7, "session": 0})
    for name in ("user", "user_id", "history", "history_video", "history_author"):
        np.testing.assert_array_equal(observation[name], replayed[name])
    assert source_ids(store, observation["history_video"]) == [-1, -1, 1, 2, 3]
    assert info["user_id"] == 7
    assert env.sessions == 4
    assert env.skipped_sessions == 0


def test_a_user_who_is_new_has_an_empty_history(store: FeedStore) -> None:
    observation, _ = FeedEnv(store, response=FakeResponse(), candidates=3).reset(options={"user": 12})
    assert not observation["history"].any()
    assert not observation["history_video"].any()


def test_served_videos_join_the_history_as_events_of_the_main_feed(store: FeedStore) -> None:
    model = FakeResponse(share=by_video(store, {11: 0.5}, 1.0), like=1, leave=0.0)
    env = feed(store, actions="catalogue", history=4, response=model)
    (first, *_), (second, *_) = serve(store, env, 11, 12)
    assert source_ids(store, second["history_video"]) == [2, 3, 11, 12]
    assert second["history_author"].tolist() == store.videos["author"][second["history_video"]].tolist()
    event = newest(first)
    assert (event["wtr"], event["like"], event["aux"]) == (0.5, 1, 1)
    assert (event["minutes_before"], event["tab"], event["hour"], event["request_start"]) == (0, 1, 13, 1)
    assert event["log_play"] == pytest.approx(np.log1p(5))
    assert event["log_duration"] == pytest.approx(np.log1p(10))
    # Uploaded on 25 April at midnight, ten days and thirteen hours twenty before.
    assert event["age_days"] == pytest.approx(10 + (13 + 1 / 3) / 24, abs=1e-4)


def test_candidates_are_what_the_training_split_knows_of_the_pool(store: FeedStore) -> None:
    env = feed(store)
    observation, *_ = env.step(0)
    assert set(source_ids(store, observation["candidate_video"])) <= set(POOL)
    assert len(set(observation["candidate_video"].tolist())) == 3
    video = observation["candidate_video"].astype(np.int64)
    now = np.full(3, TEST_DAY + STEP_S * 1_000)
    expected = candidate_features_at(store, np.ones(3, dtype=np.int64), video, now)
    np.testing.assert_allclose(observation["candidates"], expected, rtol=1e-6, atol=1e-4)
    assert observation["candidate_author"].tolist() == store.videos["author"][video].tolist()


def test_rates_of_training_episodes_are_those_of_the_whole_split(store: FeedStore) -> None:
    env = FeedEnv(store, response=FakeResponse(), split="train", pool="train", candidates=1)
    assert source_ids(store, env.pool) == [1]
    observation, _ = env.reset(seed=0)
    exposures = observation["candidates"][0, CANDIDATE_FEATURES.index("video_log_exposures")]
    assert exposures == pytest.approx(np.log1p(6))


def test_nothing_comes_twice_and_the_episode_ends_when_the_pool_is_used_up(store: FeedStore) -> None:
    env = feed(store, candidates=5)
    served, metrics = [], {}
    for _ in POOL:
        observation, _, terminated, truncated, info = env.step(int(np.argmax(env.action_masks())))
        served.append(info["video_id"])
        left = len(POOL) - len(served)
        assert observation["action_mask"].sum() == min(5, left)
        assert not observation["candidates"][observation["action_mask"] == 0].any()
        assert not set(source_ids(store, observation["candidate_video"])) & set(served)
        assert (terminated, truncated) == (False, left == 0)
        metrics = info.get("episode_metrics", {})
    assert sorted(served) == list(POOL)
    assert metrics["length"] == 8
    assert metrics["watch_s"] == 80
    assert metrics["wtr"] == 8
    assert (metrics["distinct_videos"], metrics["distinct_authors"], metrics["distinct_tags"]) == (8, 2, 3)


def test_what_may_come_back_counts_once_as_distinct(store: FeedStore) -> None:
    env = feed(store, actions="catalogue", repeats=True, horizon=3)
    *_, (*_, truncated, info) = serve(store, env, 11, 11, 13)
    assert truncated
    metrics = info["episode_metrics"]
    assert (metrics["length"], metrics["distinct_videos"], metrics["distinct_authors"]) == (3, 2, 1)
    assert metrics["distinct_tags"] == 2
    assert env.action_masks().all()


def test_a_request_stands_for_some_steps(store: FeedStore) -> None:
    env = feed(store, candidates=4, request_size=3)
    before = env._observation()
    starts, ages = [], []
    for slot in (2, 0, 1):
        observation, *_ = env.step(slot)
        starts.append(newest(observation)["request_start"])
        ages.append(observation["candidates"][3, AGE])
        if slot != 1:
            before["candidate_video"][slot] = 0
            np.testing.assert_array_equal(observation["candidate_video"], before["candidate_video"])
            assert observation["action_mask"].tolist() == (before["candidate_video"] > 0).tolist()
            assert not observation["candidates"][slot].any()
    assert starts == [1, 0, 0]
    assert ages[1] - ages[0] == pytest.approx(STEP_S / 86_400, rel=0.2)
    assert observation["action_mask"].all()
    observation, *_ = env.step(0)
    assert newest(observation)["request_start"] == 1


def test_a_request_that_is_served_out_is_followed_by_another(store: FeedStore) -> None:
    env = feed(store, candidates=2, request_size=5)
    env.step(0)
    observation, *_ = env.step(1)
    assert observation["action_mask"].all()


def test_an_empty_slot_serves_nothing_and_nobody_leaves(store: FeedStore) -> None:
    model = FakeResponse(share=1.0, leave=0.0)
    env = feed(store, request_size=3, response=model, horizon=3)
    env.step(0)
    model.leave = 1.0
    before = env._observation()
    after, reward, terminated, truncated, info = env.step(0)
    assert (reward, terminated, truncated) == (0.0, False, False)
    assert (info["illegal_action"], info["video_id"], info["feedback"]["play_time_ms"]) == (True, -1, 0)
    assert info["reward_vector"].tolist() == [0, 0, 0]
    for name, values in before.items():
        np.testing.assert_array_equal(after[name], values)
    *_, terminated, truncated, info = env.step(1)
    assert (terminated, truncated, info["illegal_action"]) == (True, False, False)
    assert (info["episode_metrics"]["length"], info["episode_metrics"]["watch_s"]) == (3, 20)


def test_an_empty_slot_can_be_refused(store: FeedStore) -> None:
    env = feed(store, request_size=3, on_illegal="raise")
    env.step(0)
    with pytest.raises(EnvironmentUsageError, match=r"expected a legal slot of \[1, 2\], found 0"):
        env.step(0)
    env = feed(store, slate_size=2, on_illegal="raise")
    with pytest.raises(EnvironmentUsageError, match=r"different legal slots of \[0, 1, 2\], found \[1, 1\]"):
        env.step([1, 1])


def test_users_leave_after_the_videos_that_drive_them_away(store: FeedStore) -> None:
    env = feed(store, actions="catalogue", response=FakeResponse(leave=by_video(store, {13: 1.0}, 0.0)))
    ends = [outcome[2] for outcome in serve(store, env, 11, 12, 13)]
    assert ends == [False, False, True]
    with pytest.raises(EnvironmentUsageError, match="after the end"):
        env.step(0)


def test_users_come_back_for_further_sessions(store: FeedStore) -> None:
    env = feed(
        store,
        response=FakeResponse(share=1.0, leave=1.0, gap_h=12.0),
        sessions=3,
        reward_weights={"return": 3.0},
        request_size=2,
    )
    first, second, third = (env.step(int(np.argmax(env.action_masks()))) for _ in range(3))
    assert [outcome[1] for outcome in (first, second, third)] == [2.0, 2.0, 0.0]
    assert [outcome[2] for outcome in (first, second, third)] == [False, False, True]
    assert (first[4]["return_gap_h"], second[4]["return_gap_h"]) == (12.0, 12.0)
    assert "return_gap_h" not in third[4]
    assert third[4]["episode_metrics"]["reward"] == 4.0
    # A new session opens with a new request, by the clock of its opening.
    assert second[0]["action_mask"].all()
    assert newest(second[0])["request_start"] == 1
    np.testing.assert_allclose(second[0]["candidates"][:, AGE] - first[0]["candidates"][:, AGE], 0.5, atol=1e-3)


def test_what_was_served_stays_served_over_the_sessions(store: FeedStore) -> None:
    env = feed(store, response=FakeResponse(leave=1.0), sessions=len(POOL))
    served = [env.step(0)[4]["video_id"] for _ in POOL]
    assert sorted(served) == list(POOL)


@pytest.mark.parametrize(("minutes", "steps"), [(0.5, 3), (33 / 60, 3), (34 / 60, 4)])
def test_minutes_go_by_the_clock(store: FeedStore, minutes: float, steps: int) -> None:
    env = feed(store, horizon_minutes=minutes)
    cuts = [env.step(0)[3] for _ in range(steps)]
    assert cuts == [False] * (steps - 1) + [True]


def test_minutes_leave_out_the_gaps_between_sessions(store: FeedStore) -> None:
    response = FakeResponse(share=1.0, leave=1.0, gap_h=5.0)
    env = feed(store, horizon_minutes=0.5, sessions=8, response=response)
    assert [env.step(0)[3] for _ in range(3)] == [False, False, True]


def test_steps_count_over_the_sessions(store: FeedStore) -> None:
    env = feed(store, horizon=2, sessions=8, response=FakeResponse(leave=1.0))
    assert [env.step(0)[2:4] for _ in range(2)] == [(False, False), (False, True)]


def test_the_horizon_is_a_hundred_steps_where_nothing_is_said(store: FeedStore) -> None:
    env = feed(store, repeats=True)
    cuts = [env.step(0)[3] for _ in range(100)]
    assert cuts.index(True) == 99


def test_a_reset_in_the_middle_begins_anew(store: FeedStore) -> None:
    env = feed(store, request_size=3, sessions=2, response=FakeResponse(leave=0.0))
    first, info = env.reset(seed=3)
    played = [env.step(slot)[0] for slot in (1, 2)]
    again, same = env.reset(seed=3)
    assert info == same
    for name, values in first.items():
        np.testing.assert_array_equal(again[name], values)
    for slot, before in zip((1, 2), played, strict=True):
        after = env.step(slot)[0]
        for name, values in before.items():
            np.testing.assert_array_equal(after[name], values)


def test_privileged_tells_expected_rewards(store: FeedStore) -> None:
    model = FakeResponse(share=by_video(store, {video: video / 100 for video in POOL}, 0.0), leave=0.0)
    env = FeedEnv(store, response=model, candidates=3, request_size=2, privileged=True, reward_weights={"wtr": 2})
    observation, info = env.reset(seed=0)
    expected = [video / 50 for video in source_ids(store, observation["candidate_video"])]
    assert info["privileged"]["reward"].tolist() == pytest.approx(expected)
    assert info["privileged"]["logged_rank"].tolist() == [-1, -1, -1]
    *_, info = env.step(1)
    assert info["privileged"]["reward"].tolist() == pytest.approx([expected[0], 0, expected[2]])


def test_nothing_privileged_is_told_unasked(store: FeedStore) -> None:
    env = FeedEnv(store, response=FakeResponse(), candidates=3)
    assert "privileged" not in env.reset(seed=0)[1]
    assert "privileged" not in env.step(0)[4]


def test_the_catalogue_is_the_pool(store: FeedStore) -> None:
    env = FeedEnv(store, response=FakeResponse(leave=0.0), actions="catalogue", privileged=True)
    observation, info = env.reset(options={"user": 7})
    assert env.action_space.n == len(POOL)
    assert source_ids(store, env.pool) == list(POOL)
    assert "candidates" not in observation
    assert observation["action_mask"].all()
    assert info["privileged"]["reward"].shape == (len(POOL),)
    shown = env.catalogue
    np.testing.assert_array_equal(shown["candidate_video"], env.pool)
    np.testing.assert_array_equal(shown["candidate_author"], store.videos["author"][env.pool])
    first = np.full(len(POOL), TEST_DAY)
    expected = candidate_features_at(store, np.ones(len(POOL), dtype=np.int64), env.pool.astype(np.int64), first)
    np.testing.assert_allclose(shown["candidates"], expected, rtol=1e-6, atol=1e-4)
    observation, *_, info = env.step(3)
    assert info["video_id"] == POOL[3]
    assert np.flatnonzero(observation["action_mask"] == 0).tolist() == [3]
    *_, info = env.step(3)
    assert info["illegal_action"]


def test_the_second_session_opens_later(store: FeedStore) -> None:
    env = FeedEnv(store, response=FakeResponse(), candidates=3, history=3)
    ages = []
    for session in (0, 1):
        observation, _ = env.reset(seed=0, options={"user": 7, "session": session})
        ages.append(observation["candidates"][0, AGE])
    assert source_ids(store, observation["history_video"]) == [2, 3, 4]
    assert ages[1] - ages[0] == pytest.approx(90 * MINUTE / 86_400_000, abs=1e-4)
    with pytest.raises(EnvironmentUsageError, match="expected a session of user 7 from 0 to 1, found 2"):
        env.reset(options={"user": 7, "session": 2})
    with pytest.raises(EnvironmentUsageError, match="user 4 has no session"):
        env.reset(options={"user": 4})


def test_the_batch_tells_of_gaps_and_propensities_for_every_row(store: FeedStore) -> None:
    vector = FeedVectorEnv(3, store, response=FakeResponse(leave=0.0), candidates=3, sessions=2)
    vector.reset(seed=0)
    *_, infos = vector.step(np.zeros(3, dtype=np.int64))
    assert np.isnan(infos["return_gap_h"]).all()
    assert np.isnan(infos["propensity"]).all()
