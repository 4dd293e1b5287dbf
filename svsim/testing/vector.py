"""The check of a vector environment, which Gymnasium does not have."""

from __future__ import annotations

import copy
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv

from svsim.envs.faces import row_of
from svsim.errors import CheckFailed
from svsim.testing.actions import random_actions, slate_of
from svsim.testing.compare import check_equal, check_finite_bounds, ensure, snapshot

__all__ = ["check_vector_env"]

Array = npt.NDArray[Any]

STEPS = 60
NOT_FOR_SINGLES = ("num_envs", "copy", "vectorization_mode")


def check_vector_env(vector: VectorEnv[Any, Any, Any], *, seed: int = 0, steps: int = STEPS) -> None:
    """Check a vector environment against single ones of the same kind, made anew from `vector.spec`.

    A batch of B equals B singles byte for byte: observations, rewards, ends, infos, final observations and infos, and the
    episodes that follow by themselves. Spaces, shapes and dtypes are as declared; the mode of autoreset is SAME_STEP and
    kept; the same seed gives the same bytes and a list of seeds is taken row by row; masks agree with observations; an
    observation that is a copy does not change later.

    Args:
        vector: Made by `gym.make_vec`.
        seed: Of the batch; row i is compared with a single environment seeded `seed + i`.
        steps: How many are played; should reach the end of several episodes.

    Raises:
        CheckFailed: Something broke; step, row and key are named.
    """
    singles = _singles(vector)
    try:
        _check_spaces(vector, singles[0])
        ended = _compare(vector, singles, seed, steps)
        ensure(ended > 0, f"expected an episode to end within {steps} steps", "check_vector_env: raise steps")
        _check_seeds(vector, seed)
        _check_refusals(vector)
    finally:
        for single in singles:
            single.close()


def _singles(vector: VectorEnv[Any, Any, Any]) -> list[gym.Env[Any, Any]]:
    if vector.spec is None:
        raise CheckFailed("expected a spec to make singles from", where="vector.spec: use gym.make_vec")
    spec = copy.deepcopy(vector.spec)
    arguments = {name: value for name, value in spec.kwargs.items() if name not in NOT_FOR_SINGLES}
    return [gym.make(spec.id, disable_env_checker=True, **arguments).unwrapped for _ in range(vector.num_envs)]


def _check_spaces(vector: VectorEnv[Any, Any, Any], single: gym.Env[Any, Any]) -> None:
    ensure(
        vector.metadata.get("autoreset_mode") is AutoresetMode.SAME_STEP,
        f"expected AutoresetMode.SAME_STEP, found {vector.metadata.get('autoreset_mode')}",
        "metadata['autoreset_mode']",
    )
    ensure(
        vector.single_observation_space == single.observation_space, "expected the single one's", "observation space"
    )
    ensure(vector.single_action_space == single.action_space, "expected the single one's", "action space")
    batched = gym.vector.utils.batch_space(vector.single_observation_space, vector.num_envs)
    ensure(vector.observation_space == batched, "expected the single one's, batched", "observation_space")
    batched = gym.vector.utils.batch_space(vector.single_action_space, vector.num_envs)
    ensure(vector.action_space == batched, "expected the single one's, batched", "action_space")
    check_finite_bounds(vector.observation_space, "observation_space")


def _compare(vector: VectorEnv[Any, Any, Any], singles: list[gym.Env[Any, Any]], seed: int, steps: int) -> int:
    """Play both side by side; returns how many episodes ended."""
    rng = np.random.default_rng(seed)
    observation, infos = vector.reset(seed=seed)
    for row, single in enumerate(singles):
        _compare_row(observation, infos, row, single.reset(seed=seed + row), "reset")
    ended = 0
    copies = getattr(vector.unwrapped, "copies", True)
    for number in range(steps):
        _check_batch(vector, observation, f"step {number}")
        actions = _actions(vector, observation, rng, illegal=number % 7 == 3)
        held, before = observation, snapshot(observation)
        observation, reward, terminated, truncated, infos = vector.step(actions)
        if copies:
            check_equal(held, before, f"step {number}, the observation before it")
        _check_outcome(vector, reward, terminated, truncated, infos, f"step {number}")
        for row, single in enumerate(singles):
            action = actions[row] if actions.ndim > 1 else int(actions[row])
            ended += _step_row(single, action, row, number, observation, reward, terminated, truncated, infos)
    return ended


def _actions(vector: VectorEnv[Any, Any, Any], observation: Any, rng: np.random.Generator, illegal: bool) -> Array:
    """Legal actions by chance; now and then any, where the environment takes that."""
    assert vector.spec is not None
    if illegal and vector.spec.kwargs.get("on_illegal", "penalise") == "penalise":
        return rng.integers(0, _slots(vector), vector.action_space.shape)
    return random_actions(observation["action_mask"], slate_of(vector.single_action_space), rng)


def _slots(vector: VectorEnv[Any, Any, Any]) -> int:
    space = vector.single_action_space
    return int(space.nvec[0]) if isinstance(space, spaces.MultiDiscrete) else int(space.n)  # type: ignore[attr-defined]


def _check_batch(vector: VectorEnv[Any, Any, Any], observation: Any, where: str) -> None:
    ensure(vector.observation_space.contains(observation), "expected an observation within its space", where)
    masks = vector.unwrapped.action_masks()  # type: ignore[attr-defined]
    ensure(masks.dtype == np.bool_, f"expected dtype bool, found {masks.dtype}", f"{where}, action_masks()")
    check_equal(observation["action_mask"] > 0, masks, f"{where}, action_mask")
    ensure(masks.any(axis=1).all(), "expected a legal slot in every row", f"{where}, action_masks()")


def _check_outcome(
    vector: VectorEnv[Any, Any, Any], reward: Any, terminated: Any, truncated: Any, infos: dict[str, Any], where: str
) -> None:
    for name, values, dtype in (
        ("reward", reward, np.float64),
        ("terminated", terminated, np.bool_),
        ("truncated", truncated, np.bool_),
    ):
        ensure(
            isinstance(values, np.ndarray) and values.shape == (vector.num_envs,) and values.dtype == dtype,
            f"expected {np.dtype(dtype)} of shape ({vector.num_envs},), found {values!r}",
            f"{where}, {name}",
        )
    ended = terminated | truncated
    ensure(("final_obs" in infos) == ended.any(), "expected final_obs where a row ended and only there", where)
    if ended.any():
        check_equal(infos["_final_obs"], ended, f"{where}, _final_obs")
        check_equal(infos["_final_info"], ended, f"{where}, _final_info")
        ensure(infos["final_obs"].dtype == object, "expected an object array", f"{where}, final_obs")
        empty = [values is None for values in infos["final_obs"]]
        check_equal(np.array(empty), ~ended, f"{where}, rows of final_obs that hold nothing")


def _step_row(
    single: gym.Env[Any, Any],
    action: Any,
    row: int,
    number: int,
    observation: Any,
    reward: Array,
    terminated: Array,
    truncated: Array,
    infos: dict[str, Any],
) -> bool:
    where = f"step {number}, row {row}"
    alone, its_reward, its_end, its_cut, its_info = single.step(action)
    check_equal(float(reward[row]), its_reward, f"{where}, reward")
    check_equal([bool(terminated[row]), bool(truncated[row])], [its_end, its_cut], f"{where}, terminated, truncated")
    if not (its_end or its_cut):
        _compare_row(observation, infos, row, (alone, its_info), where)
        return False
    check_equal(infos["final_obs"][row], alone, f"{where}, final_obs")
    check_equal(row_of(infos["final_info"], row), its_info, f"{where}, final_info")
    # What belongs to the step stands in the infos themselves too, for every row.
    for name in ("reward_vector", "feedback", "video_id", "group"):
        if name in its_info:
            check_equal(row_of({name: infos[name]}, row)[name], its_info[name], f"{where}, infos[{name!r}]")
    _compare_row(observation, {}, row, (single.reset()[0], {}), f"{where}, after the reset")
    return True


def _compare_row(
    observation: Any, infos: dict[str, Any], row: int, alone: tuple[Any, dict[str, Any]], where: str
) -> None:
    check_equal({name: values[row] for name, values in observation.items()}, alone[0], f"{where}, observation")
    if infos:
        last = {name: value for name, value in infos.items() if name not in ("final_obs", "final_info")}
        check_equal(row_of(last, row), alone[1], f"{where}, info")


def _check_seeds(vector: VectorEnv[Any, Any, Any], seed: int) -> None:
    first = snapshot(vector.reset(seed=seed)[0])
    check_equal(snapshot(vector.reset(seed=seed)[0]), first, "reset with the same seed")
    seeds = [seed + row for row in range(vector.num_envs)]
    # Gymnasium's own vector environments take lists, though their base class does not say so.
    by_row = vector.reset(seed=seeds)[0]  # type: ignore[arg-type]
    check_equal(snapshot(by_row), first, "reset with a list of seeds")


def _check_refusals(vector: VectorEnv[Any, Any, Any]) -> None:
    vector.reset(seed=0)
    shape = vector.action_space.shape
    assert shape is not None
    longer = (shape[0] + 1, *shape[1:])
    for wrong in (np.full(shape, -1), np.full(shape, 1 << 30), np.zeros(longer, int)):
        try:
            vector.step(wrong)
        except Exception:
            continue
        raise CheckFailed("expected a refusal of actions outside the space, found none", where="step")
