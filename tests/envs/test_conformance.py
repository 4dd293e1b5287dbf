"""Gymnasium's, stable-baselines3's and svsim's own checkers, warnings being errors."""

from __future__ import annotations

import pickle

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check_env
from gymnasium.wrappers.vector import DictInfoToList, RecordEpisodeStatistics
from hypothesis import given, settings
from hypothesis import strategies as st

import svsim
from svsim.data import FeedStore
from svsim.envs import ReplayEnv, ReplayVectorEnv
from svsim.errors import EnvironmentUsageError, OptionError
from svsim.testing import check_env, check_vector_env

ID = "svsim/Replay-v0"

ARGUMENTS = [
    {"candidates": 4},
    {"candidates": 6, "min_videos": 2, "horizon": 25, "history": 3},
    {"candidates": 4, "split": "train", "privileged": True, "session_gap_minutes": None},
    {"candidates": 5, "on_illegal": "raise", "reward_weights": {"wtr": 1.0, "aux": 0.3}},
]


def make_vec(rows: int, **arguments: object) -> gym.vector.VectorEnv:
    return gym.make_vec(ID, num_envs=rows, vectorization_mode="vector_entry_point", **arguments)


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_single(store: FeedStore, arguments: dict) -> None:
    check_env(gym.make(ID, store=store, **arguments))


@pytest.mark.parametrize("copy", [True, False])
@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_vector_equals_singles(store: FeedStore, arguments: dict, copy: bool) -> None:
    check_vector_env(make_vec(5, store=store, copy=copy, **arguments), steps=70)


@settings(max_examples=10, deadline=None)
@given(
    rows=st.integers(1, 6),
    candidates=st.integers(1, 8),
    horizon=st.integers(1, 12),
    history=st.integers(1, 9),
    min_videos=st.integers(1, 10),
    seed=st.integers(0, 2**32),
)
def test_vector_equals_singles_whatever_the_sizes(
    store: FeedStore, rows: int, candidates: int, horizon: int, history: int, min_videos: int, seed: int
) -> None:
    vector = make_vec(rows, store=store, candidates=candidates, horizon=horizon, history=history, min_videos=min_videos)
    check_vector_env(vector, seed=seed, steps=3 * horizon + 60 // rows)


@pytest.mark.parametrize("mode", ["ansi", "rgb_array"])
def test_rendering(store: FeedStore, mode: str) -> None:
    env = gym.make(ID, store=store, candidates=4, render_mode=mode)
    gymnasium_check_env(env.unwrapped)
    env.reset(seed=0)
    frame = env.render()
    if mode == "ansi":
        assert "mean WTR" in frame
    else:
        assert frame.dtype == np.uint8
        assert frame.max() > 200, "there is text in the image"
    vector = make_vec(2, store=store, candidates=4, render_mode=mode)
    vector.reset(seed=0)
    np.testing.assert_array_equal(vector.render()[0], frame)


def test_the_prefixed_id_registers_by_itself(store: FeedStore) -> None:
    assert isinstance(gym.make(f"svsim:{ID}", store=store, candidates=4).unwrapped, ReplayEnv)


def test_masks_reach_through_wrappers(store: FeedStore) -> None:
    env = gym.make(ID, store=store, candidates=4)
    env.reset(seed=0)
    np.testing.assert_array_equal(env.get_wrapper_attr("action_masks")(), [True] * 4)


def test_gymnasium_s_vector_wrappers_understand_the_infos(store: FeedStore) -> None:
    vector = DictInfoToList(RecordEpisodeStatistics(make_vec(3, store=store, candidates=4, horizon=2)))
    vector.reset(seed=0)
    vector.step(np.zeros(3, dtype=np.int64))
    *_, infos = vector.step(np.zeros(3, dtype=np.int64))
    assert [info["final_info"]["episode_metrics"]["length"] for info in infos] == [2, 2, 2]
    assert all(info["feedback"].keys() == infos[0]["feedback"].keys() for info in infos)


def test_views_change_and_copies_do_not(store: FeedStore) -> None:
    for copy in (True, False):
        vector = ReplayVectorEnv(2, store, candidates=4, copy=copy)
        observation, _ = vector.reset(seed=0)
        before = observation["candidate_video"].copy()
        vector.step(np.zeros(2, dtype=np.int64))
        assert np.array_equal(observation["candidate_video"], before) == copy


def test_another_seed_is_another_run(store: FeedStore) -> None:
    vector = ReplayVectorEnv(8, store, candidates=4)
    first = vector.reset(seed=0)[0]["candidate_video"]
    assert not np.array_equal(first, vector.reset(seed=100)[0]["candidate_video"])


def test_unseeded_environments_differ(store: FeedStore) -> None:
    one, other = (ReplayVectorEnv(16, store, candidates=4).reset()[0]["candidate_video"] for _ in range(2))
    assert not np.array_equal(one, other)


def test_a_reset_without_seed_goes_on_with_the_stream(store: FeedStore) -> None:
    env = ReplayEnv(store, candidates=4)
    keys = [env.reset(seed=5)[1]["episode_key"], env.reset()[1]["episode_key"]]
    assert keys[0] != keys[1]
    assert [env.reset(seed=5)[1]["episode_key"], env.reset()[1]["episode_key"]] == keys


def test_calls_before_reset_are_refused(store: FeedStore) -> None:
    with pytest.raises(EnvironmentUsageError, match="reset"):
        ReplayEnv(store, candidates=4).step(0)
    with pytest.raises(EnvironmentUsageError, match="reset"):
        ReplayVectorEnv(2, store, candidates=4).step(np.zeros(2, dtype=np.int64))
    with pytest.raises(OptionError, match="at least 1 environment"):
        ReplayVectorEnv(0, store, candidates=4)


def test_specs_survive_pickling(store: FeedStore) -> None:
    spec = pickle.loads(pickle.dumps(gym.make(ID, store=store, candidates=4).spec))
    assert gym.make(spec).unwrapped.sessions > 0


def test_propensity_is_told_where_the_log_is_random(store: FeedStore) -> None:
    vector = ReplayVectorEnv(64, store, candidates=4, horizon=20)
    vector.reset(seed=0)
    shown = np.flatnonzero(store.events["is_rand"])
    pool = len(np.unique(store.events["video"][shown]))
    known = []
    for _ in range(20):
        *_, infos = vector.step(np.argmax(vector.action_masks(), axis=1))
        known += infos["propensity"][np.isfinite(infos["propensity"])].tolist()
    assert known
    assert set(known) == {1 / pool}


def test_import_registers() -> None:
    assert svsim.__version__
    assert ID in gym.registry


def test_a_rendered_row_tells_of_its_own_episode(store: FeedStore) -> None:
    vector = ReplayVectorEnv(2, store, candidates=4, horizon=2, render_mode="ansi")
    vector.reset(seed=0)
    told = []
    for _ in range(2):
        vector.step(np.zeros(2, dtype=np.int64))
        told.append(vector.render()[0].splitlines()[1])
    assert told[0].startswith("watched video")
    assert told[1] == "a new session"


def test_rendering_asks_for_a_mode_and_a_reset(store: FeedStore) -> None:
    for env in (ReplayEnv(store, candidates=4), ReplayVectorEnv(2, store, candidates=4)):
        with pytest.warns(UserWarning, match="render_mode"):
            assert env.render() is None
    for env in (
        ReplayEnv(store, candidates=4, render_mode="ansi"),
        ReplayVectorEnv(2, store, candidates=4, render_mode="ansi"),
    ):
        with pytest.raises(EnvironmentUsageError, match="reset"):
            env.render()


def test_a_wrong_number_of_seeds_is_refused(store: FeedStore) -> None:
    with pytest.raises(EnvironmentUsageError, match="expected 2 seeds, found 3"):
        ReplayVectorEnv(2, store, candidates=4).reset(seed=[1, 2, 3])
