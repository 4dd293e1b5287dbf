"""The checks of agents in feeds: slates and whole catalogues."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from svsim.agents import Agent, ScoringAgent
from svsim.data import FeedStore
from svsim.errors import CheckFailed
from svsim.testing import check_agent
from svsim.testing.actions import random_actions, slate_of
from tests.envs.fake_response import FakeResponse

SLATES = {"candidates": 6, "slate_size": 3}
CATALOGUE = {"actions": "catalogue"}


def feed(store: FeedStore, **arguments: object) -> gym.vector.VectorEnv:
    return gym.make_vec(
        "svsim/Feed-v0",
        num_envs=3,
        vectorization_mode="vector_entry_point",
        store=store,
        response=FakeResponse(),
        **arguments,
    )


class Newest(Agent):
    """The first legal slots, from the top."""

    def act(self, observation: dict) -> np.ndarray:
        return np.argsort(observation["action_mask"][:, :6] == 0, axis=1, kind="stable")[:, :3]


class Twice(Newest):
    def act(self, observation: dict) -> np.ndarray:
        return super().act(observation)[:, [0, 1, 0]]


class OneSlot(Newest):
    def act(self, observation: dict) -> np.ndarray:
        return super().act(observation)[:, 0]


class Herd(Newest):
    def act(self, observation: dict) -> np.ndarray:
        """What is served depends on who else is in the batch."""
        return super().act(observation)[:, :: 1 if len(observation["user"]) > 1 else -1]


class ByDuration(ScoringAgent):
    def score(self, observation: dict) -> np.ndarray:
        return observation["action_mask"] * np.arange(observation["action_mask"].shape[1])


def test_agents_of_slates_and_catalogues_pass(store: FeedStore) -> None:
    check_agent(Newest(), feed(store, **SLATES))
    check_agent(ByDuration(), feed(store, **CATALOGUE))


@pytest.mark.parametrize(
    ("make", "message"),
    [(Twice, "expected legal slots"), (OneSlot, r"expected whole numbers of shape \(3, 3\)"), (Herd, "alone")],
)
def test_faults_of_slates_are_found(store: FeedStore, make: type[Agent], message: str) -> None:
    with pytest.raises(CheckFailed, match=message):
        check_agent(make(), feed(store, **SLATES))


def test_random_actions_are_legal() -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((50, 8)) < 0.6
    mask[:, :3] = True
    slots, slates = random_actions(mask, 1, rng), random_actions(np.tile(mask, (1, 3)), 3, rng)
    rows = np.arange(50)
    assert mask[rows, slots].all()
    assert mask[rows[:, None], slates].all()
    assert all(len(set(slate)) == 3 for slate in slates.tolist())
    assert slate_of(gym.spaces.Discrete(4)) == 1
    assert slate_of(gym.spaces.MultiDiscrete([4, 4])) == 2
