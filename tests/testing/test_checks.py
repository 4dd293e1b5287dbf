"""The checks find what they say they find."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from svsim.agents import Agent, ScoringAgent
from svsim.data import FeedStore
from svsim.envs import ReplayEnv, ReplayVectorEnv
from svsim.errors import CheckFailed
from svsim.testing import check_agent, check_env, check_vector_env


def vector(store: FeedStore, cls: type[ReplayVectorEnv], **arguments: object) -> ReplayVectorEnv:
    """A vector environment of a class that is not registered, with the spec of the one that is."""
    env = cls(4, store, candidates=5, **arguments)
    env.spec = copy.deepcopy(gym.spec("svsim/Replay-v0"))
    env.spec.kwargs = {"store": store, "candidates": 5, **arguments}
    return env


def test_a_good_one_passes(store: FeedStore) -> None:
    check_vector_env(vector(store, ReplayVectorEnv))


class NextStep(ReplayVectorEnv):
    metadata = ReplayVectorEnv.metadata | {"autoreset_mode": AutoresetMode.NEXT_STEP}


class OtherRewards(ReplayVectorEnv):
    def step(self, actions: Any) -> Any:
        observation, reward, *rest = super().step(actions)
        return observation, np.nextafter(reward, 9), *rest


class Mutating(ReplayVectorEnv):
    def step(self, actions: Any) -> Any:
        result = super().step(actions)
        if hasattr(self, "_before"):
            self._before["user"][:] = 1.0
        self._before = result[0]
        return result


class LateFinal(ReplayVectorEnv):
    def step(self, actions: Any) -> Any:
        observation, reward, terminated, truncated, infos = super().step(actions)
        for row in np.flatnonzero(truncated):
            infos["final_obs"][row] = {name: values[row] for name, values in observation.items()}
        return observation, reward, terminated, truncated, infos


class SameSeeds(ReplayVectorEnv):
    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        return super().reset(seed=[seed] * self.num_envs if isinstance(seed, int) else seed, options=options)


class WrongMasks(ReplayVectorEnv):
    def action_masks(self) -> Any:
        return np.ones((self.num_envs, 5), dtype=bool)


class Forgiving(ReplayVectorEnv):
    def step(self, actions: Any) -> Any:
        return super().step(np.clip(actions[: self.num_envs], 0, 4))


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (NextStep, "SAME_STEP"),
        (OtherRewards, "reward"),
        (Mutating, "observation before it"),
        (LateFinal, "final_obs"),
        (SameSeeds, "row 1|reset"),
        (WrongMasks, "action_mask"),
        (Forgiving, "expected a refusal"),
    ],
)
def test_faults_of_vector_environments_are_found(store: FeedStore, cls: type[ReplayVectorEnv], message: str) -> None:
    with pytest.raises(CheckFailed, match=message):
        check_vector_env(vector(store, cls, min_videos=3, horizon=300), steps=250)


def test_without_a_spec_there_are_no_singles(store: FeedStore) -> None:
    with pytest.raises(CheckFailed, match="make_vec"):
        check_vector_env(ReplayVectorEnv(2, store, candidates=4))


class Restless(ReplayEnv):
    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        observation, info = super().reset(seed=seed, options=options)
        if seed is not None:
            observation["user"][0] = np.random.default_rng().random()
        return observation, info


class DoubleVector(ReplayEnv):
    def step(self, action: Any) -> Any:
        *rest, info = super().step(action)
        return *rest, info | {"reward_vector": info["reward_vector"].astype(np.float64)}


class Careless(ReplayEnv):
    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        return super().reset(seed=None, options=options)


@pytest.mark.parametrize(
    ("cls", "message"), [(Careless, "Gymnasium's check_env"), (Restless, "same seed"), (DoubleVector, "float32")]
)
def test_faults_of_single_environments_are_found(store: FeedStore, cls: type[ReplayEnv], message: str) -> None:
    with pytest.raises(CheckFailed, match=message):
        check_env(cls(store, candidates=4))


class First(ScoringAgent):
    def score(self, observation: Any) -> Any:
        return np.zeros(observation["action_mask"].shape)


class IgnoresTheMask(Agent):
    def act(self, observation: Any) -> Any:
        return np.full(len(observation["action_mask"]), 4)


class Lists(Agent):
    def act(self, observation: Any) -> Any:
        return [0] * len(observation["action_mask"])


class Scribbles(First):
    def score(self, observation: Any) -> Any:
        observation["candidates"][:] = 0
        return super().score(observation)


class Moody(First):
    def score(self, observation: Any) -> Any:
        return np.random.default_rng().random(observation["action_mask"].shape)


class Peeks(First):
    best: Any = None

    def observe(self, *step: Any) -> None:
        self.best = step[6].get("privileged", {}).get("reward")

    def score(self, observation: Any) -> Any:
        return super().score(observation) if self.best is None else self.best


class Herd(First):
    def score(self, observation: Any) -> Any:
        """Scores depend on who else is in the batch."""
        return observation["candidates"][..., 0] * np.sign(observation["candidates"].mean() - 2.0) - len(
            observation["user"]
        ) * np.arange(5)


class Overconfident(First):
    def probabilities(self, observation: Any) -> Any:
        return np.ones(observation["action_mask"].shape)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (IgnoresTheMask, "expected legal slots"),
        (Lists, "expected an array"),
        (Scribbles, "after act"),
        (Moody, "same seed"),
        (Peeks, "did not declare"),
        (Herd, "alone"),
        (Overconfident, "probabilities"),
        (object, "expected a subclass"),
    ],
)
def test_faults_of_agents_are_found(store: FeedStore, make: Callable[[], Any], message: str) -> None:
    env = vector(store, ReplayVectorEnv, privileged=True, min_videos=3, horizon=300)
    with pytest.raises(CheckFailed, match=message):
        check_agent(make(), env, steps=250)


def test_a_plain_agent_passes(store: FeedStore) -> None:
    check_agent(First(), vector(store, ReplayVectorEnv, privileged=True))
