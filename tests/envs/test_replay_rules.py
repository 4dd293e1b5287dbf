"""Replay-v0's rules against a log that was written by hand."""

from __future__ import annotations

import numpy as np
import pytest

from svsim.data import FeedStore, prepare
from svsim.envs import ReplayEnv, ReplayVectorEnv
from svsim.errors import EnvironmentUsageError, OptionError
from svsim.names import CANDIDATE_FEATURES, HISTORY_FEATURES
from tests.kuairand import log_row, write_kuairand

MINUTE = 60_000
TEST_DAY = 1_650_000_000_000 + 20 * 86_400_000


@pytest.fixture(scope="module")
def hand_store(tmp_path_factory: pytest.TempPathFactory) -> FeedStore:
    """User 7 plays videos 1–3 on the training days, then 4, 5, 6, 7 in one session of the test day, 8 an hour later."""
    train = [
        log_row(
            user=7, video=video, time_ms=1_650_000_000_000 + video * MINUTE, date=20220415, play=play, duration=10_000
        )
        for video, play in ((1, 1_000), (2, 5_000), (3, 9_000))
    ]
    valid = [log_row(user=9, video=1, time_ms=TEST_DAY - 86_400_000, date=20220501, play=2_000, duration=10_000)]
    session = [
        log_row(user=7, video=4, time_ms=TEST_DAY, date=20220502, play=4_000, duration=10_000, is_like=1),
        log_row(user=7, video=5, time_ms=TEST_DAY, date=20220502, play=5_000, duration=10_000),
        log_row(user=7, video=6, time_ms=TEST_DAY + MINUTE, date=20220502, play=20_000, duration=10_000),
        log_row(user=7, video=7, time_ms=TEST_DAY + 2 * MINUTE, date=20220502, play=0, duration=10_000, is_follow=1),
        log_row(user=7, video=8, time_ms=TEST_DAY + 62 * MINUTE, date=20220502, play=1_000, duration=10_000),
    ]
    folder = tmp_path_factory.mktemp("hand")
    write_kuairand(folder / "files", [*train, *valid, *session], users={7: 2_000, 9: 3}, videos=range(1, 9))
    return prepare(folder / "files", folder / "store")


def served(env: ReplayEnv, order: list[int]) -> list[tuple[float, dict]]:
    """Serve videos by the source's ids, in that order."""
    steps = []
    observation, _ = env.reset(seed=0)
    for video in order:
        slot = int(np.flatnonzero(observation["candidate_video"] == video)[0])
        observation, reward, _, truncated, info = env.step(slot)
        steps.append((reward, info | {"truncated": truncated, "observation": observation}))
    return steps


def test_rewards_are_the_logged_feedback(hand_store: FeedStore) -> None:
    env = ReplayEnv(hand_store, candidates=2, horizon=9, min_videos=2)
    steps = served(env, [5, 4, 7, 6])
    vectors = [info["reward_vector"].tolist() for _, info in steps]
    np.testing.assert_allclose([v[0] for v in vectors], [0.5, 0.4, 0.0, 1.0])
    assert [v[2] for v in vectors] == [0, 1, 1, 0]
    assert [info["video_id"] for _, info in steps] == [5, 4, 7, 6]
    assert steps[1][1]["feedback"]["play_time_ms"] == 4_000
    assert steps[1][1]["feedback"]["like"] == 1
    for reward, info in steps:
        assert reward == pytest.approx(sum(info["reward_vector"].tolist()))


def test_an_episode_ends_when_its_pool_is_used_up(hand_store: FeedStore) -> None:
    env = ReplayEnv(hand_store, candidates=2, horizon=9, min_videos=2)
    steps = served(env, [4, 5, 6, 7])
    assert [info["truncated"] for _, info in steps] == [False, False, False, True]
    last = steps[-1][1]
    assert not last["observation"]["action_mask"].any()
    assert last["episode_metrics"]["length"] == 4
    assert last["episode_metrics"]["watch_s"] == pytest.approx(4 + 5 + 20 + 0)
    assert last["episode_metrics"]["wtr"] == pytest.approx(0.4 + 0.5 + 1.0 + 0.0)
    with pytest.raises(EnvironmentUsageError, match="after the end"):
        env.step(0)


def test_an_episode_ends_at_the_horizon(hand_store: FeedStore) -> None:
    steps = served(ReplayEnv(hand_store, candidates=2, horizon=2, min_videos=2), [4, 5])
    assert [info["truncated"] for _, info in steps] == [False, True]


def test_a_served_video_makes_room_for_the_next_of_the_session(hand_store: FeedStore) -> None:
    env = ReplayEnv(hand_store, candidates=2, min_videos=2)
    observation, _ = env.reset(seed=1)
    assert set(observation["candidate_video"].tolist()) == {4, 5}
    slot = int(np.flatnonzero(observation["candidate_video"] == 4)[0])
    following, *_ = env.step(slot)
    assert following["candidate_video"][slot] == 6
    assert following["candidate_video"][1 - slot] == 5


def test_sessions_are_cut_by_the_gap_and_short_ones_are_skipped(hand_store: FeedStore) -> None:
    assert (ReplayEnv(hand_store, candidates=2).sessions, ReplayEnv(hand_store, candidates=2).skipped_sessions) == (
        1,
        1,
    )
    assert ReplayEnv(hand_store, candidates=2, session_gap_minutes=None).sessions == 1
    assert ReplayEnv(hand_store, candidates=5, session_gap_minutes=None).sessions == 1
    with pytest.raises(OptionError, match=r"min_videos.*session_gap_minutes"):
        ReplayEnv(hand_store, candidates=6)


def test_history_at_reset_is_what_lay_before_the_session(hand_store: FeedStore) -> None:
    observation, _ = ReplayEnv(hand_store, candidates=2, history=5, min_videos=2).reset(seed=0)
    assert observation["history_video"].tolist() == [0, 0, 1, 2, 3]
    wtr = observation["history"][:, HISTORY_FEATURES.index("wtr")]
    np.testing.assert_allclose(wtr, [0, 0, 0.1, 0.5, 0.9], rtol=1e-6)
    minutes = observation["history"][:, HISTORY_FEATURES.index("minutes_before")]
    start = 20 * 1_440
    np.testing.assert_allclose(minutes, [0, 0, start - 1, start - 2, start - 3])


def test_history_keeps_no_more_than_asked_for(hand_store: FeedStore) -> None:
    observation, _ = ReplayEnv(hand_store, candidates=2, history=2, min_videos=2).reset(seed=0)
    assert observation["history_video"].tolist() == [2, 3]


def test_served_videos_join_the_history_newest_last(hand_store: FeedStore) -> None:
    steps = served(ReplayEnv(hand_store, candidates=2, history=4, min_videos=2), [5, 4])
    observation = steps[-1][1]["observation"]
    assert observation["history_video"].tolist() == [2, 3, 5, 4]
    newest = dict(zip(HISTORY_FEATURES, observation["history"][-1].tolist(), strict=True))
    assert newest["wtr"] == pytest.approx(0.4)
    assert (newest["like"], newest["aux"], newest["minutes_before"], newest["request_start"]) == (1, 1, 0, 1)


def test_an_empty_slot_serves_nothing(hand_store: FeedStore) -> None:
    env = ReplayEnv(hand_store, candidates=5, min_videos=2, horizon=3)
    before, _ = env.reset(seed=0)
    empty = int(np.flatnonzero(before["action_mask"] == 0)[0])
    after, reward, _, truncated, info = env.step(empty)
    assert (reward, truncated, info["illegal_action"], info["video_id"]) == (0.0, False, True, -1)
    assert info["reward_vector"].tolist() == [0, 0, 0]
    for name, values in before.items():
        np.testing.assert_array_equal(after[name], values)
    env.step(empty)
    *_, truncated, info = env.step(empty)
    assert truncated
    assert info["episode_metrics"]["length"] == 3


def test_an_empty_slot_can_be_refused(hand_store: FeedStore) -> None:
    env = ReplayEnv(hand_store, candidates=5, min_videos=2, on_illegal="raise")
    observation, _ = env.reset(seed=0)
    with pytest.raises(EnvironmentUsageError, match="expected a legal slot"):
        env.step(int(np.flatnonzero(observation["action_mask"] == 0)[0]))


@pytest.mark.parametrize("action", [-1, 2, 1.0, "0", None, [0, 1]])
def test_an_action_outside_the_space_is_refused(hand_store: FeedStore, action: object) -> None:
    env = ReplayEnv(hand_store, candidates=2, min_videos=2)
    env.reset(seed=0)
    with pytest.raises(EnvironmentUsageError, match="expected a slot from 0 to 1"):
        env.step(action)


def test_reward_weights_weigh_the_signals(hand_store: FeedStore) -> None:
    env = ReplayEnv(hand_store, candidates=2, min_videos=2, reward_weights={"aux": 3.0, "wtr": 0.5})
    (reward, _), *_ = served(env, [4])
    assert reward == pytest.approx(0.5 * 0.4 + 3.0 * 1)


def test_privileged_tells_true_rewards_and_logged_places(hand_store: FeedStore) -> None:
    env = ReplayEnv(hand_store, candidates=5, min_videos=2, privileged=True, reward_weights={"wtr": 1})
    observation, info = env.reset(seed=0)
    known = info["privileged"]
    by_video = dict(zip(observation["candidate_video"].tolist(), known["reward"].tolist(), strict=True))
    assert by_video == pytest.approx({4: 0.4, 5: 0.5, 6: 1.0, 7: 0.0, 0: 0.0})
    ranks = dict(zip(observation["candidate_video"].tolist(), known["logged_rank"].tolist(), strict=True))
    assert ranks == {4: 0, 5: 1, 6: 2, 7: 3, 0: -1}


def test_nothing_privileged_is_told_unasked(hand_store: FeedStore) -> None:
    env = ReplayEnv(hand_store, candidates=2, min_videos=2)
    _, info = env.reset(seed=0)
    assert "privileged" not in info
    assert "privileged" not in env.step(0)[-1]


def test_users_are_told_by_the_source_s_ids_and_groups(hand_store: FeedStore) -> None:
    _, info = ReplayEnv(hand_store, candidates=2, min_videos=2).reset(seed=0)
    assert (info["user_id"], info["group"]) == (7, "influencer")


def test_candidates_show_training_rates_only(hand_store: FeedStore) -> None:
    """Videos 4–7 were never played in training: their rates are the training mean, whatever the test day says."""
    observation, _ = ReplayEnv(hand_store, candidates=2, min_videos=2).reset(seed=0)
    rates = observation["candidates"][:, CANDIDATE_FEATURES.index("video_wtr")]
    np.testing.assert_allclose(rates, (0.1 + 0.5 + 0.9) / 3, rtol=1e-6)
    durations = observation["candidates"][:, CANDIDATE_FEATURES.index("log_duration")]
    np.testing.assert_allclose(durations, np.log1p(10.0), rtol=1e-6)


def test_a_chosen_session_is_played(store: FeedStore) -> None:
    env = ReplayEnv(store, candidates=4)
    _, first = env.reset(seed=3)
    _, again = env.reset(options={"user": first["user_id"], "session": 0})
    assert again["user_id"] == first["user_id"]
    with pytest.raises(EnvironmentUsageError, match="expected a session of user"):
        env.reset(options={"user": first["user_id"], "session": 999})
    with pytest.raises(EnvironmentUsageError, match="has no session"):
        env.reset(options={"user": -5})


def test_queued_episodes_come_first_and_in_order(store: FeedStore) -> None:
    vector = ReplayVectorEnv(3, store, candidates=4, horizon=2)
    keys = np.arange(6, dtype=np.uint64).reshape(2, 3) + np.uint64(100)
    _, infos = vector.reset(seed=0, options={"episodes": keys})
    seen = [infos["episode_key"]]
    for _ in range(4):
        *_, infos = vector.step(np.argmax(vector.action_masks(), axis=1))
        seen.append(infos["episode_key"])
    # Infos of a step belong to the episode that the step was taken in.
    np.testing.assert_array_equal(np.stack(seen), np.stack([keys[0], keys[0], keys[0], keys[1], keys[1]]))
    *_, infos = vector.step(np.argmax(vector.action_masks(), axis=1))
    assert not np.isin(infos["episode_key"], keys).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"episode": 1}, "expected options among"),
        ({"session": 1}, "expected a user beside"),
        ({"episodes": [1.5]}, "expected whole numbers"),
        ({"episodes": [-1]}, "expected whole numbers"),
        ({"episodes": [1, 2]}, "expected keys of shape"),
    ],
)
def test_wrong_reset_options_are_refused(store: FeedStore, options: dict, message: str) -> None:
    with pytest.raises(EnvironmentUsageError, match=message):
        ReplayEnv(store, candidates=4).reset(options=options)


@pytest.mark.parametrize(
    "arguments",
    [
        {"candidates": 0},
        {"history": 0},
        {"horizon": 0},
        {"min_videos": 0},
        {"on_illegal": "ignore"},
        {"split": "tets"},
        {"session_gap_minutes": 0},
        {"reward_weights": {"wtx": 1}},
        {"render_mode": "human"},
    ],
)
def test_impossible_arguments_are_refused(store: FeedStore, arguments: dict) -> None:
    with pytest.raises(OptionError, match="expected"):
        ReplayEnv(store, **({"candidates": 4} | arguments))
