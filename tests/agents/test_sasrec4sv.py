"""SASRec4SV as an agent: what it promises like every agent, and that its cache is what a full pass would be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from svsim.agents import make_agent
from svsim.agents.sasrec4sv import SASRec4SVAgent
from svsim.data import FeedStore
from svsim.errors import OptionError
from svsim.models.config import ModelConfig, TrainingConfig
from svsim.models.training import train
from svsim.models.windows import Material
from svsim.testing import check_agent


def feed(store: FeedStore, rows: int = 6, **arguments: object) -> gym.vector.VectorEnv:
    return gym.make_vec(
        "svsim/Replay-v0",
        num_envs=rows,
        vectorization_mode="vector_entry_point",
        **({"store": store, "candidates": 5, "min_videos": 3} | arguments),
    )


def fitted(run: Path, store: FeedStore, options: str = "") -> SASRec4SVAgent:
    agent = make_agent(f"sasrec4sv?run={run}{options}")
    assert isinstance(agent, SASRec4SVAgent)
    agent.fit(store, seed=0)
    return agent


@pytest.mark.parametrize(
    "options", ["", "&head=wtg", "&choose=epsilon&epsilon=0.5", "&head=wtr:1+wtg:0.5&choose=softmax"]
)
def test_conformance(store: FeedStore, sasrec4sv_run: Path, options: str) -> None:
    check_agent(fitted(sasrec4sv_run, store, options), feed(store))


def played(agent: SASRec4SVAgent, env: gym.vector.VectorEnv, steps: int) -> dict[str, np.ndarray]:
    """The observation after some steps of an agent that has seen them all."""
    observation, info = env.reset(seed=3)
    agent.reset(observation, info, seed=0)
    for _ in range(steps):
        action = agent.act(observation)
        following, reward, terminated, truncated, info = env.step(action)
        ended = terminated | truncated
        agent.observe(observation, action, reward, following, terminated, truncated, info, ended)
        observation = following
    return observation


@pytest.mark.parametrize("steps", [0, 1, 4, 9])
def test_what_was_served_step_by_step_is_read_as_if_at_once(store: FeedStore, sasrec4sv_run: Path, steps: int) -> None:
    """Through the cache, with episodes that end and begin on the way; the window never slides here."""
    agent = fitted(sasrec4sv_run, store)
    env = feed(store, history=500, horizon=6, split="valid")
    # A longer window than the run's own: the network then sees all that the cache has kept.
    agent._run.network.config = replace(agent._run.network.config, length=500)
    observation = played(agent, env, steps)
    fresh = fitted(sasrec4sv_run, store)
    fresh._run.network.config = replace(fresh._run.network.config, length=500)
    fresh.reset(observation, {}, seed=0)
    np.testing.assert_allclose(agent.score(observation), fresh.score(observation), atol=2e-5)


def test_tokens_of_the_observed_history_are_those_of_the_log(store: FeedStore, sasrec4sv_run: Path) -> None:
    agent = fitted(sasrec4sv_run, store)
    env = feed(store, history=30)
    observation, info = env.reset(seed=5)
    material = Material(store, agent._run.inputs)
    tokens = agent._tokens.past(observation, observation["history"], observation["history_video"].astype(np.int64))
    user, time = store.events["user"], store.events["time_ms"]
    sessions = store.sessions("test", 30).longer_than(3)
    first = sessions.rows[sessions.start][(info["episode_key"] % np.uint64(len(sessions))).astype(np.int64)]
    for row, start in enumerate(first):
        own = np.flatnonzero((user == user[start]) & (time < time[start]))[-30:]
        logged = material.tokens(own, np.zeros(len(own), dtype=bool))
        for name, values in vars(logged).items():
            found = vars(tokens)[name][row, 30 - len(own) :] if name != "profile" else tokens.profile[row]
            values = values if name != "profile" else values[:1]
            np.testing.assert_allclose(found, values, rtol=1e-4, atol=1e-4, err_msg=name)


def test_probabilities_are_how_often_each_slot_is_served(store: FeedStore, sasrec4sv_run: Path) -> None:
    env = feed(store, rows=1)
    observation, info = env.reset(seed=1)
    wide = {name: np.repeat(values, 4_000, axis=0) for name, values in observation.items()}
    for options in ("&choose=epsilon&epsilon=0.4", "&choose=softmax&temperature=0.05"):
        agent = fitted(sasrec4sv_run, store, options)
        agent.reset(wide, info, seed=0)
        expected = agent.probabilities(wide)[0]
        shares = np.bincount(agent.act(wide), minlength=len(expected)) / 4_000
        np.testing.assert_allclose(shares, expected, atol=4 * 0.5 / np.sqrt(4_000))
        assert 0 < expected.max() < 1


def test_a_user_without_history_and_an_unseen_video_have_scores(store: FeedStore, sasrec4sv_run: Path) -> None:
    agent = fitted(sasrec4sv_run, store)
    observation, info = feed(store).reset(seed=0)
    blank = {name: np.zeros_like(values) if name.startswith(("user", "history")) else values
             for name, values in observation.items()}  # fmt: skip
    unseen = int(np.flatnonzero(store.videos["train_exposures"][1:] == 0)[:1].sum()) + 1
    blank["candidate_video"] = np.full_like(blank["candidate_video"], unseen)
    agent.reset(blank, info, seed=0)
    assert np.isfinite(agent.score(blank)).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("&choose=best", ["choose", "greedy, epsilon, softmax"]),
        ("&epsilon=2", ["epsilon", "from 0 to 1"]),
        ("&temperature=0", ["temperature", "above 0"]),
        ("&head=joy", ["head", "joy"]),
        ("&head=wtr:x", ["head", "wtr:x"]),
    ],
)
def test_impossible_options_are_refused(sasrec4sv_run: Path, options: str, words: list[str]) -> None:
    with pytest.raises(OptionError) as caught:
        make_agent(f"sasrec4sv?run={sasrec4sv_run}{options}")
    for word in words:
        assert word in str(caught.value)


def test_a_head_that_the_run_lacks_is_named(store: FeedStore, tmp_path: Path) -> None:
    model = ModelConfig(width=8, attention_heads=1, blocks=1, length=5, heads=("wtr",))
    run = train(store, tmp_path / "run", model, TrainingConfig(epochs=1, batch_events=4_096))
    agent = fitted(run.path, store, "&head=wtr")
    observation, info = feed(store).reset(seed=0)
    agent.reset(observation, info, seed=0)
    assert np.isfinite(agent.score(observation)).all()
    with pytest.raises(OptionError, match="expected a head that the run has, found 'wtg'"):
        fitted(run.path, store, "&head=wtg")
