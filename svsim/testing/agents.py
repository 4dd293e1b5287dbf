"""The check of an agent."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.vector import VectorEnv

from svsim.agents.base import Agent
from svsim.envs.actions import entries
from svsim.errors import CheckFailed
from svsim.testing.actions import slate_of
from svsim.testing.compare import check_equal, ensure, snapshot

__all__ = ["check_agent"]

Array = npt.NDArray[Any]

STEPS = 30


def check_agent(agent: Agent, env: VectorEnv[Any, Any, Any], *, seed: int = 0, steps: int = STEPS) -> None:
    """Check an agent in a vector environment; the agent itself is not changed, only copies of it play.

    Its actions are whole numbers (B,), or (B, S) for slates without repetition, legal by the mask; it does not write to what
    it is shown; the same seed gives the same actions; row i of a batch seeded s acts as an only row seeded s + i does,
    before anything is learnt; what it was not given to know does not change what it does; its probabilities, if it tells
    them, are a distribution over the legal slots.

    Args:
        agent: Fitted, if it has to be.
        env: One of svsim's, made with `copy=True`; with `privileged=True` for an agent that declares it.
        seed: Of environment and agent.
        steps: How many are played.

    Raises:
        CheckFailed: Something broke.
    """
    ensure(isinstance(agent, Agent), f"expected a subclass of svsim.agents.Agent, found {type(agent)!r}", "agent")
    first = _play(copy.deepcopy(agent), env, seed, steps)
    check_equal(_play(copy.deepcopy(agent), env, seed, steps), first, "actions with the same seed")
    if not agent.privileged:
        blind = _play(copy.deepcopy(agent), env, seed, steps, hide=("privileged", "final_obs", "final_info"))
        check_equal(blind, first, "actions without infos that it did not declare")
    _check_rows(agent, env, seed, steps)


def _play(agent: Agent, env: VectorEnv[Any, Any, Any], seed: int, steps: int, hide: tuple[str, ...] = ()) -> Array:
    """(steps, B) or (steps, B, S) actions of an agent that learns as it goes."""
    slate = slate_of(env.single_action_space)
    observation, info = env.reset(seed=seed)
    agent.reset(observation, _without(info, hide), seed=seed)
    actions = []
    for number in range(steps):
        before = snapshot(observation)
        action = agent.act(observation)
        check_equal(observation, before, f"step {number}, the observation after act")
        _check_action(action, observation["action_mask"], slate, f"step {number}")
        if slate == 1:
            _check_probabilities(agent, observation, f"step {number}")
        following, reward, terminated, truncated, info = env.step(action)
        agent.observe(
            observation,
            action,
            reward,
            following,
            terminated,
            truncated,
            _without(info, hide),
            terminated | truncated,
        )
        actions.append(np.array(action))
        observation = following
    return np.stack(actions)


def _without(info: dict[str, Any], hidden: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in info.items() if name.lstrip("_") not in hidden}


def _check_action(action: Any, masks: Array, slate: int, where: str) -> None:
    ensure(isinstance(action, np.ndarray), f"expected an array, found {type(action).__name__}", f"{where}, act")
    mask = masks[:, : masks.shape[1] // slate] > 0
    shape = mask.shape[:1] if slate == 1 else (len(mask), slate)
    ensure(
        action.shape == shape and action.dtype.kind in "iu",
        f"expected whole numbers of shape {shape}, found {action.dtype} of shape {action.shape}",
        f"{where}, act",
    )
    ensure(((action >= 0) & (action < mask.shape[1])).all(), f"expected slots below {mask.shape[1]}", f"{where}, act")
    illegal = np.flatnonzero(entries(mask, action.reshape(len(mask), slate))[1])
    ensure(not len(illegal), f"expected legal slots, found an empty one in row {illegal[:1]}", f"{where}, act")


def _check_probabilities(agent: Agent, observation: dict[str, Array], where: str) -> None:
    tell = getattr(agent, "probabilities", None)
    if tell is None:
        return
    mask = observation["action_mask"]
    probabilities = np.asarray(tell(observation))
    ensure(probabilities.shape == mask.shape, f"expected shape {mask.shape}", f"{where}, probabilities")
    ensure((probabilities >= 0).all() and (probabilities[mask == 0] == 0).all(), "expected none below zero and zero"
           " where nothing can be served", f"{where}, probabilities")  # fmt: skip
    ensure(np.allclose(probabilities.sum(axis=1), 1.0), "expected sums of one", f"{where}, probabilities")


def _check_rows(agent: Agent, env: VectorEnv[Any, Any, Any], seed: int, steps: int) -> None:
    """Compare a batch with its rows one by one; only privileged agents observe here, since others may learn from it."""
    observation, info = env.reset(seed=seed)
    batch = copy.deepcopy(agent)
    batch.reset(observation, info, seed=seed)
    rows = [copy.deepcopy(agent) for _ in range(env.num_envs)]
    for row, single in enumerate(rows):
        single.reset(_rows(observation, row), _rows(info, row), seed=seed + row)
    for number in range(steps):
        actions = batch.act(observation)
        for row, single in enumerate(rows):
            alone = single.act(_rows(observation, row))
            if not np.array_equal(alone[0], actions[row]):
                raise CheckFailed(
                    f"expected {actions[row].tolist()} as in the batch, found {alone[0].tolist()}",
                    where=f"step {number}, row {row} alone",
                )
        following, reward, terminated, truncated, info = env.step(actions)
        if agent.privileged:
            ended = terminated | truncated
            batch.observe(observation, actions, reward, following, terminated, truncated, info, ended)
            for row, single in enumerate(rows):
                step = (observation, actions, reward, following, terminated, truncated, info, ended)
                single.observe(*(_rows(part, row) for part in step))
        observation = following


def _rows(nest: Any, row: int) -> Any:
    """One row of a nest of batched arrays, with its leading axis."""
    if isinstance(nest, dict):
        return {name: _rows(value, row) for name, value in nest.items()}
    return nest[row : row + 1]
