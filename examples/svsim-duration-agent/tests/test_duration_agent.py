"""The agent keeps svsim's contract, and knows what it should."""

import gymnasium as gym
import numpy as np
import pytest
from svsim_duration_agent import DurationAgent

from svsim.data.features import candidate_features
from svsim.errors import OptionError
from svsim.testing import check_agent
from svsim.world import find_store


def test_conformance() -> None:
    store = find_store("tiny")
    agent = DurationAgent(bins=5)
    agent.fit(store, seed=0)
    env = gym.make_vec("svsim:svsim/Replay-v0", num_envs=4, vectorization_mode="vector_entry_point", store=store,
                       candidates=5)  # fmt: skip
    check_agent(agent, env)


def test_one_bin_is_the_overall_mean() -> None:
    """With a single bin every video is worth the mean training reward."""
    store = find_store("tiny")
    agent = DurationAgent(bins=1, reward_weights={"wtr": 1})
    agent.fit(store, seed=0)
    rows = store.split_rows("train")
    wtr = np.minimum(store.events["play_time_ms"][rows] / store.events["duration_ms"][rows], 1)
    assert agent.mean == pytest.approx([wtr.mean()], rel=1e-5)


def test_training_plays_are_worth_their_mean_reward() -> None:
    """Bins hold the same plays when a video is scored as when they were filled, those at the edges too."""
    store = find_store("tiny")
    agent = DurationAgent(bins=100, reward_weights={"wtr": 1})
    agent.fit(store, seed=0)
    rows = store.split_rows("train")
    wtr = np.minimum(store.events["play_time_ms"][rows] / store.events["duration_ms"][rows], 1)
    worth = agent.score({"candidates": candidate_features(store, rows)})
    assert worth.mean() == pytest.approx(wtr.mean(), rel=1e-5)


def test_impossible_options() -> None:
    with pytest.raises(OptionError, match="expected at least 1"):
        DurationAgent(bins=0)
