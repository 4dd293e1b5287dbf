"""The face for stable-baselines3."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env

from svsim.data import FeedStore
from svsim.envs import ReplayVectorEnv
from svsim.envs.sb3 import FeedVecEnv, SB3Observation
from svsim.errors import OptionError


def arguments(store: FeedStore) -> dict:
    return {"store": store, "candidates": 5, "horizon": 4, "history": 8, "min_videos": 3}


@pytest.mark.parametrize("ids", [False, True])
def test_stable_baselines_checker(store: FeedStore, ids: bool) -> None:
    check_env(SB3Observation(gym.make("svsim/Replay-v0", **arguments(store)), ids=ids))


def test_batch_equals_singles(store: FeedStore) -> None:
    batch = FeedVecEnv(num_envs=3, **arguments(store))
    batch.seed(4)
    singles = [SB3Observation(gym.make("svsim/Replay-v0", **arguments(store))) for _ in range(3)]
    observation = batch.reset()
    alone = [single.reset(seed=4 + row)[0] for row, single in enumerate(singles)]
    rng = np.random.default_rng(0)
    ends = 0
    for _ in range(20):
        for row in range(3):
            for name, values in alone[row].items():
                np.testing.assert_array_equal(observation[name][row], values)
        actions = rng.integers(0, 5, 3)
        observation, rewards, dones, infos = batch.step(actions)
        for row, single in enumerate(singles):
            alone[row], reward, terminated, truncated, info = single.step(actions[row])
            assert rewards[row] == np.float32(reward)
            assert dones[row] == (terminated or truncated)
            if dones[row]:
                ends += 1
                for name, values in alone[row].items():
                    np.testing.assert_array_equal(infos[row]["terminal_observation"][name], values)
                assert infos[row]["TimeLimit.truncated"]
                assert infos[row]["episode"]["r"] == info["episode_metrics"]["reward"]
                alone[row], _ = single.reset()
    assert ends >= 12


def test_observations_lie_within_the_space(store: FeedStore) -> None:
    env = FeedVecEnv(num_envs=2, **arguments(store))
    observation = env.reset()
    row = {name: values[0] for name, values in observation.items()}
    assert env.observation_space.contains(row)
    assert set(row) == {"user", "history", "candidates"}
    assert max(abs(box.high).max() for box in env.observation_space.spaces.values()) <= 25


def test_masks_are_where_maskable_ppo_looks(store: FeedStore) -> None:
    env = FeedVecEnv(num_envs=4, **arguments(store))
    env.reset()
    assert is_masking_supported(env)
    np.testing.assert_array_equal(get_action_masks(env), env.vector.action_masks())


def test_options_reach_the_rows(store: FeedStore) -> None:
    env = FeedVecEnv(num_envs=2, **arguments(store))
    env.set_options([{"episodes": 11}, {"episodes": 12}])
    env.reset()
    assert [info["episode_key"] for info in env.reset_infos] == [11, 12]


def test_wrong_environments_are_refused(store: FeedStore) -> None:
    with pytest.raises(OptionError, match="copy=True"):
        FeedVecEnv(ReplayVectorEnv(2, copy=False, **arguments(store)))
    with pytest.raises(OptionError, match="no arguments beside"):
        FeedVecEnv(ReplayVectorEnv(2, **arguments(store)), horizon=3)
    with pytest.raises(OptionError, match="expected one of svsim's"):
        SB3Observation(gym.make("CartPole-v1"))


@pytest.mark.parametrize("algorithm", [PPO, MaskablePPO])
def test_training(store: FeedStore, algorithm: type) -> None:
    env = FeedVecEnv(num_envs=8, **arguments(store))
    model = algorithm("MultiInputPolicy", env, n_steps=50, batch_size=100, seed=0).learn(2_000)
    assert model.num_timesteps >= 2_000
    assert len(model.ep_info_buffer) > 0
    masks = {"action_masks": env.action_masks()} if algorithm is MaskablePPO else {}
    actions, _ = model.predict(env.reset(), **masks)
    assert actions.shape == (8,)


def test_what_stable_baselines_asks_of_a_vector_environment(store: FeedStore) -> None:
    env = FeedVecEnv(num_envs=2, render_mode="rgb_array", **arguments(store))
    env.reset()
    assert env.get_attr("sessions", [0]) == [env.vector.sessions]
    assert env.has_attr("skipped_sessions")
    assert not env.has_attr("no_such_thing")
    assert env.env_is_wrapped(SB3Observation) == [False, False]
    assert [image.shape for image in env.get_images()] == [(768, 432, 3)] * 2
    with pytest.raises(OptionError, match="share their attributes"):
        env.set_attr("horizon", 3)
    env.set_options([{"episodes": 1}, {}])
    with pytest.raises(OptionError, match="expected the same options"):
        env.reset()
    env.close()
