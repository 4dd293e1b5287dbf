"""Feed-v0 behind the face for stable-baselines3: slots, the whole catalogue, slates."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.utils import get_action_masks
from stable_baselines3.common.env_checker import check_env

from svsim.data import FeedStore
from svsim.envs.sb3 import FeedVecEnv, SB3Observation, unflattened
from tests.envs.fake_response import FakeResponse

ID = "svsim/Feed-v0"

VARIANTS = {
    "slots": {"candidates": 5},
    "catalogue": {"actions": "catalogue"},
    "slates": {"candidates": 5, "slate_size": 3},
    "sessions": {"candidates": 5, "sessions": 3, "request_size": 2},
}


def arguments(store: FeedStore, name: str) -> dict:
    return {"store": store, "response": FakeResponse(), "horizon": 6, "history": 8} | VARIANTS[name]


@pytest.mark.parametrize("ids", [False, True])
@pytest.mark.parametrize("name", VARIANTS)
def test_stable_baselines_checker(store: FeedStore, name: str, ids: bool) -> None:
    check_env(SB3Observation(gym.make(ID, **arguments(store, name)), ids=ids))


@pytest.mark.parametrize("name", VARIANTS)
def test_batch_equals_singles(store: FeedStore, name: str) -> None:
    batch = FeedVecEnv(ID, num_envs=3, **arguments(store, name))
    batch.seed(4)
    singles = [SB3Observation(gym.make(ID, **arguments(store, name))) for _ in range(3)]
    observation = batch.reset()
    alone = [single.reset(seed=4 + row)[0] for row, single in enumerate(singles)]
    ends = 0
    batch.action_space.seed(0)
    for _ in range(30):
        for row in range(3):
            for key, values in alone[row].items():
                np.testing.assert_array_equal(observation[key][row], values)
        actions = np.stack([batch.action_space.sample() for _ in range(3)])
        observation, rewards, dones, infos = batch.step(actions)
        for row, single in enumerate(singles):
            alone[row], reward, terminated, truncated, info = single.step(actions[row])
            assert rewards[row] == np.float32(reward)
            assert dones[row] == (terminated or truncated)
            if dones[row]:
                ends += 1
                for key, values in alone[row].items():
                    np.testing.assert_array_equal(infos[row]["terminal_observation"][key], values)
                assert infos[row]["TimeLimit.truncated"] == (truncated and not terminated)
                assert infos[row]["episode"]["r"] == info["episode_metrics"]["reward"]
                alone[row], _ = single.reset()
    assert ends >= 10


@pytest.mark.parametrize("name", VARIANTS)
def test_maskable_ppo_trains(store: FeedStore, name: str) -> None:
    env = FeedVecEnv(ID, num_envs=4, **arguments(store, name))
    model = MaskablePPO("MultiInputPolicy", env, n_steps=16, batch_size=32, n_epochs=1, seed=0).learn(128)
    masks = get_action_masks(env)
    actions, _ = model.predict(env.reset(), action_masks=masks)
    assert actions.shape == env.vector.action_space.shape


@pytest.mark.parametrize("name", VARIANTS)
def test_flattening_is_undone(store: FeedStore, name: str) -> None:
    env = FeedVecEnv(ID, num_envs=2, ids=True, **arguments(store, name))
    observation, _ = env.vector.reset(seed=0)
    for key, values in unflattened(env.flat(observation), 5, 8).items():
        np.testing.assert_allclose(values, observation[key], rtol=1e-6)
    assert ("candidates" in observation) == (name != "catalogue")
