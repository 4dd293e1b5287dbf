"""Feed-v0 answered by the truth of a synthetic world."""

from __future__ import annotations

from collections.abc import Callable

import gymnasium as gym
import numpy as np
import pytest

from svsim.agents.values import training_values
from svsim.data import FeedStore
from svsim.envs import FeedEnv, FeedVectorEnv
from svsim.testing import check_env, check_vector_env
from svsim.world.presets import preset_store

ID = "svsim/Feed-v0"


@pytest.fixture(scope="module")
def world() -> FeedStore:
    return preset_store("tiny")


VARIANTS = [
    {},
    {"actions": "catalogue", "repeats": True, "privileged": True},
    {"slate_size": 5, "privileged": True},
    {"sessions": 3, "reward_weights": {"wtr": 1, "return": 1}, "request_size": 6, "retrieval": "popularity"},
    {"horizon_minutes": 3.0, "pool": "train", "split": "train"},
]


@pytest.mark.parametrize("arguments", VARIANTS)
def test_vector_equals_singles(world: FeedStore, arguments: dict) -> None:
    vector = gym.make_vec(ID, num_envs=4, vectorization_mode="vector_entry_point", store=world, **arguments)
    check_vector_env(vector, steps=60)


@pytest.mark.parametrize("arguments", VARIANTS[:3])
def test_single(world: FeedStore, arguments: dict) -> None:
    check_env(gym.make(ID, store=world, **arguments))


def test_the_truth_answers_where_nothing_is_said(world: FeedStore) -> None:
    steps = []
    for arguments in ({}, {"response": "truth"}):
        env = FeedEnv(world, **arguments)
        env.reset(seed=5)
        steps.append([env.step(slot)[4]["feedback"] for slot in (0, 1)])
    assert steps[0] == steps[1]


def test_expected_rewards_are_the_means_of_rewards(world: FeedStore) -> None:
    """One user in one state, the same video, many episodes of the same session."""
    env = FeedEnv(world, actions="catalogue", privileged=True)
    rewards, expected = [], []
    for key in range(400):
        _, info = env.reset(options={"episodes": key * env.sessions})
        expected.append(info["privileged"]["reward"][7])
        rewards.append(env.step(7)[1])
    error = np.std(np.array(rewards) - expected) / np.sqrt(len(rewards))
    assert abs(np.mean(rewards) - np.mean(expected)) < 4.5 * error


Policy = Callable[[dict, np.ndarray], np.ndarray]


def mean_reward(world: FeedStore, policy: Policy, **arguments: object) -> float:
    """Mean reward a step of a policy (observation, steps since reset) over the same 256 episodes."""
    rows, turns = 64, 4
    vector = FeedVectorEnv(rows, world, repeats=True, horizon=60, **arguments)
    keys = np.arange(turns * rows, dtype=np.uint64).reshape(turns, rows)
    observation, _ = vector.reset(seed=0, options={"episodes": keys})
    total, steps = 0.0, 0
    turn, step = np.zeros(rows, dtype=np.int64), np.zeros(rows, dtype=np.int64)
    while (turn < turns).any():
        observation, reward, terminated, truncated, _ = vector.step(policy(observation, step))
        total, steps = total + reward[turn < turns].sum(), steps + int((turn < turns).sum())
        turn += terminated | truncated
        step = np.where(terminated | truncated, 0, step + 1)
    return float(total / steps)


def test_loops_lose(world: FeedStore) -> None:
    """Whoever shows the three best videos in turn tires the users: less comes of it than of any fresh videos."""
    mean = training_values(world).mean
    pool = FeedEnv(world, actions="catalogue").pool
    best = np.argsort(-mean[pool], kind="stable")[:3]

    def popular(observation: dict, step: np.ndarray) -> np.ndarray:
        return np.argmax(mean[observation["candidate_video"]], axis=1)

    loop = mean_reward(world, lambda _, step: best[step % 3], actions="catalogue")
    popularity = mean_reward(world, popular)
    blind = mean_reward(world, lambda _, step: np.zeros(len(step), dtype=np.int64))
    assert loop < blind < popularity
    assert loop < popularity / 2
