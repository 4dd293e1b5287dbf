"""The check of a single environment."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils.env_checker import check_env as gymnasium_check_env

from svsim.errors import CheckFailed
from svsim.names import SIGNALS
from svsim.testing.actions import random_actions, slate_of
from svsim.testing.compare import check_equal, check_finite_bounds, ensure, snapshot

__all__ = ["check_env"]

STEPS = 100


def check_env(env: gym.Env[Any, Any], *, seed: int = 0) -> None:
    """Check a single environment: Gymnasium's checker, then what svsim promises beyond it.

    Bounds are finite and observations within them; the mask is `action_masks()` and never empty before the end; the
    reward vector has the signals' shape and dtype; nothing handed out changes later; the same seed gives the same bytes.

    Args:
        env: An environment, wrapped or not.
        seed: Of the episodes that are played.

    Raises:
        CheckFailed: A promise is broken, or Gymnasium's checker fails or warns.
    """
    bare = env.unwrapped
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            gymnasium_check_env(bare, skip_render_check=bare.render_mode is None)
        except (AssertionError, Warning) as error:
            raise CheckFailed(" ".join(str(error).split()), where="Gymnasium's check_env") from error
    check_finite_bounds(bare.observation_space, "observation_space")
    first, second = (_play(bare, seed) for _ in range(2))
    ensure(len(first) == len(second), f"expected {len(first)} steps again, found {len(second)}", "same seed")
    for number, (one, other) in enumerate(zip(first, second, strict=True)):
        check_equal(other, one, f"same seed, step {number}")


def _play(env: gym.Env[Any, Any], seed: int) -> list[dict[str, Any]]:
    """Play with legal actions and check each step; returns what was seen."""
    rng, slate = np.random.default_rng(seed), slate_of(env.action_space)
    observation, info = env.reset(seed=seed)
    record = [{"observation": snapshot(observation), "info": snapshot(info)}]
    held = [(observation, snapshot(observation))]
    for number in range(STEPS):
        _check_observation(env, observation, f"step {number}")
        drawn = random_actions(_masks(env)[None, :], slate, rng)[0]
        action = int(drawn) if slate == 1 else drawn
        observation, reward, terminated, truncated, info = env.step(action)
        ensure(type(reward) is float, f"expected a float, found {type(reward).__name__}", f"step {number}, reward")
        _check_info(info, f"step {number}, info")
        held.append((observation, snapshot(observation)))
        record.append({"observation": snapshot(observation), "reward": reward, "info": snapshot(info)})
        if terminated or truncated:
            ensure(
                "episode_metrics" in info, "expected episode_metrics at the end of an episode", f"step {number}, info"
            )
            observation, info = env.reset()
            record.append({"observation": snapshot(observation), "info": snapshot(info)})
    for number, (kept, before) in enumerate(held):
        check_equal(kept, before, f"observation {number} after {STEPS} steps")
    return record


def _masks(env: gym.Env[Any, Any]) -> Any:
    masks = getattr(env, "action_masks", None)
    if masks is None:
        raise CheckFailed("expected a method action_masks()", where=str(env))
    return masks()


def _check_observation(env: gym.Env[Any, Any], observation: dict[str, Any], where: str) -> None:
    ensure(env.observation_space.contains(observation), "expected an observation within its space", where)
    masks = _masks(env)
    ensure(masks.dtype == np.bool_, f"expected dtype bool, found {masks.dtype}", f"{where}, action_masks()")
    check_equal(observation["action_mask"].astype(bool), masks, f"{where}, action_mask")
    ensure(masks.any(), "expected a legal slot before the end", f"{where}, action_masks()")


def _check_info(info: dict[str, Any], where: str) -> None:
    vector = info.get("reward_vector")
    ensure(isinstance(vector, np.ndarray), "expected an array reward_vector", where)
    assert vector is not None
    ensure(
        vector.shape == (len(SIGNALS),) and vector.dtype == np.float32,
        f"expected float32 of shape ({len(SIGNALS)},), found {vector.dtype} of shape {vector.shape}",
        f"{where}['reward_vector']",
    )
    ensure(np.isfinite(vector).all(), "expected finite numbers", f"{where}['reward_vector']")
