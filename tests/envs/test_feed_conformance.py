"""Feed-v0 under Gymnasium's and svsim's own checkers, warnings being errors."""

from __future__ import annotations

import pickle

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check_env
from gymnasium.wrappers.vector import DictInfoToList, RecordEpisodeStatistics
from hypothesis import given, settings
from hypothesis import strategies as st

from svsim.data import FeedStore
from svsim.envs import FeedEnv, FeedVectorEnv
from svsim.testing import check_env, check_vector_env
from tests.envs.fake_response import FakeResponse

ID = "svsim/Feed-v0"

VARIANTS = {
    "slots": {"candidates": 5},
    "requests": {"candidates": 4, "request_size": 3, "retrieval": "popularity", "history": 3},
    "minutes": {"candidates": 5, "horizon_minutes": 1.5, "split": "train", "privileged": True},
    "repeats": {"candidates": 6, "repeats": True, "request_size": 2, "on_illegal": "raise"},
    "train pool": {"candidates": 20, "pool": "train", "reward_weights": {"wtr": 1.0, "aux": 0.3}},
    "sessions": {"candidates": 5, "sessions": 3, "reward_weights": {"wtr": 1, "return": 2}, "request_size": 4},
    "catalogue": {"actions": "catalogue", "privileged": True},
    "catalogue with repeats": {"actions": "catalogue", "repeats": True, "sessions": 2, "horizon": 9},
    "slates": {"candidates": 6, "slate_size": 4, "privileged": True},
    "slates of a request": {"candidates": 5, "slate_size": 3, "request_size": 2, "sessions": 2},
    "until the pool is used up": {"candidates": 3, "horizon": 200, "response": FakeResponse(leave=0.0)},
}


def arguments(store: FeedStore, name: str) -> dict:
    return {"store": store, "response": FakeResponse()} | VARIANTS[name]


def make_vec(rows: int, **chosen: object) -> gym.vector.VectorEnv:
    return gym.make_vec(ID, num_envs=rows, vectorization_mode="vector_entry_point", **chosen)


@pytest.mark.parametrize("name", VARIANTS)
def test_single(store: FeedStore, name: str) -> None:
    check_env(gym.make(ID, **arguments(store, name)))


@pytest.mark.parametrize("copy", [True, False])
@pytest.mark.parametrize("name", VARIANTS)
def test_vector_equals_singles(store: FeedStore, name: str, copy: bool) -> None:
    check_vector_env(make_vec(5, copy=copy, **arguments(store, name)), steps=70)


@settings(max_examples=15, deadline=None)
@given(
    rows=st.integers(1, 6),
    candidates=st.integers(1, 30),
    slate=st.integers(1, 4),
    horizon=st.integers(1, 12),
    history=st.integers(1, 9),
    request=st.integers(1, 5),
    sessions=st.integers(1, 3),
    repeats=st.booleans(),
    retrieval=st.sampled_from(["uniform", "popularity"]),
    leave=st.floats(0, 1),
    seed=st.integers(0, 2**32),
)
def test_vector_equals_singles_whatever_the_sizes(
    store: FeedStore,
    rows: int,
    candidates: int,
    slate: int,
    horizon: int,
    history: int,
    request: int,
    sessions: int,
    repeats: bool,
    retrieval: str,
    leave: float,
    seed: int,
) -> None:
    vector = make_vec(
        rows,
        store=store,
        response=FakeResponse(leave=leave),
        candidates=candidates,
        slate_size=min(slate, candidates),
        horizon=horizon,
        history=history,
        request_size=request,
        sessions=sessions,
        repeats=repeats,
        retrieval=retrieval,
    )
    check_vector_env(vector, seed=seed, steps=3 * horizon + 30 // rows)


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("mode", ["ansi", "rgb_array"])
def test_rendering(store: FeedStore, name: str, mode: str) -> None:
    env = gym.make(ID, render_mode=mode, **arguments(store, name))
    gymnasium_check_env(env.unwrapped)
    env.reset(seed=0)
    frame = env.render()
    if mode == "ansi":
        assert frame.startswith("user ")
        assert len(frame.splitlines()) < 40
    else:
        assert frame.dtype == np.uint8
        assert frame.max() > 200, "there is text in the image"
    vector = make_vec(2, render_mode=mode, **arguments(store, name))
    vector.reset(seed=0)
    np.testing.assert_array_equal(vector.render()[0], frame)


def test_the_prefixed_id_registers_by_itself(store: FeedStore) -> None:
    assert isinstance(gym.make(f"svsim:{ID}", **arguments(store, "slots")).unwrapped, FeedEnv)


def test_specs_survive_pickling(store: FeedStore) -> None:
    spec = pickle.loads(pickle.dumps(gym.make(ID, **arguments(store, "slots")).spec))
    assert gym.make(spec).unwrapped.sessions > 0


@pytest.mark.parametrize("name", ["slots", "catalogue", "slates"])
def test_views_change_and_copies_do_not(store: FeedStore, name: str) -> None:
    for copy in (True, False):
        vector = FeedVectorEnv(2, copy=copy, **arguments(store, name))
        observation, _ = vector.reset(seed=0)
        key = "action_mask" if name == "catalogue" else "candidate_video"
        before = observation[key].copy()
        vector.step(np.zeros(vector.action_space.shape, dtype=np.int64))
        assert np.array_equal(observation[key], before) == copy


def test_gymnasium_s_vector_wrappers_understand_the_infos(store: FeedStore) -> None:
    vector = DictInfoToList(RecordEpisodeStatistics(make_vec(3, horizon=2, **arguments(store, "slates"))))
    vector.reset(seed=0)
    vector.step(np.zeros((3, 4), dtype=np.int64))
    *_, infos = vector.step(np.tile(np.arange(4), (3, 1)))
    assert all(info["feedback"].keys() == infos[0]["feedback"].keys() for info in infos)
    assert all(1 <= info["watched"] <= 4 for info in infos)


def test_the_batch_opens_chosen_sessions(store: FeedStore) -> None:
    vector = FeedVectorEnv(3, **arguments(store, "slots"))
    user = vector.reset(seed=0)[1]["user_id"]
    _, infos = vector.reset(options={"user": user[::-1], "session": np.zeros(3, dtype=np.int64)})
    np.testing.assert_array_equal(infos["user_id"], user[::-1])
