"""stable-baselines3 in Feed-v0: what is learned from a world's users, how it is judged, where it may act."""

from __future__ import annotations

import json
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.utils import get_action_masks

from svsim.agents import make_agent
from svsim.agents.sb3.config import ALGORITHMS, SB3Training, preset
from svsim.agents.sb3.training import learn, train_sb3
from svsim.benchmark import BenchmarkSpec, run
from svsim.data import FeedStore
from svsim.envs import FeedVectorEnv
from svsim.envs.sb3 import FeedVecEnv
from svsim.errors import OptionError
from svsim.testing import check_agent
from svsim.world.presets import preset_store
from tests.envs.fake_response import FakeResponse

ID = "svsim/Feed-v0"
ARGUMENTS = {"candidates": 10, "horizon": 40, "history": 10}
TRAINING = SB3Training(
    timesteps=8_192,
    num_envs=32,
    evaluations=2,
    width=32,
    options={"n_steps": 16, "batch_size": 128, "n_epochs": 4, "learning_rate": 3e-3, "gamma": 0.9},
)
BRIEF = SB3Training(
    timesteps=256,
    num_envs=8,
    evaluations=1,
    width=16,
    options={"n_steps": 16, "batch_size": 64, "n_epochs": 1},
)


@pytest.fixture(scope="module")
def world() -> FeedStore:
    return preset_store("tiny")


@pytest.fixture(scope="module")
def ppo_run(world: FeedStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_sb3(world, tmp_path_factory.mktemp("sb3") / "ppo", TRAINING, ARGUMENTS, env=ID)


def test_ppo_serves_the_worlds_users_better_than_chance(world: FeedStore, ppo_run: Path) -> None:
    """In the benchmark, by the same episodes: five of each test session, compared user by user."""
    trained = f"ppo?run={ppo_run}"
    sessions = FeedVectorEnv(1, world).sessions
    spec = BenchmarkSpec(
        store=world, env="feed", agents=(trained, "random"), rails=False, episodes=5 * sessions, seeds=1, **ARGUMENTS
    )
    results = run(spec)
    assert results.failed == []
    by_agent = results.episodes.pivot(index=["user_id", "episode_key"], columns="agent", values="reward")
    assert len(by_agent) == 5 * sessions
    difference = (by_agent[trained] - by_agent["random"]).groupby("user_id").mean()
    standard_error = difference.std() / np.sqrt(len(difference))
    assert difference.mean() > 4 * standard_error
    assert by_agent[trained].mean() > 1.3 * by_agent["random"].mean()


def test_its_agent_keeps_the_contract(world: FeedStore, ppo_run: Path) -> None:
    for choose in ("greedy", "sample"):
        agent = make_agent(f"ppo?run={ppo_run}&choose={choose}")
        agent.fit(world, seed=0)
        check_agent(
            agent, gym.make_vec(ID, num_envs=4, vectorization_mode="vector_entry_point", store=world, **ARGUMENTS)
        )


def test_long_and_short_episodes_are_judged_alike(store: FeedStore, tmp_path: Path) -> None:
    """What the run says of the validation is the mean over the episodes named, each as it goes when played alone."""
    arguments = {"response": FakeResponse(leave=0.2), "candidates": 5, "horizon": 30, "history": 8}
    train, judged = FeedVectorEnv(8, store, split="train", **arguments), FeedVectorEnv(4, store, **arguments)
    keys = np.arange(12, dtype=np.uint64)
    learn(train, judged, tmp_path / "run", BRIEF, {"env": ID}, keys=keys)
    agent = make_agent(f"ppo?run={tmp_path / 'run'}")
    agent.fit(store, seed=0)
    alone, rewards, lengths = FeedVectorEnv(1, store, **arguments), [], []
    for key in keys:
        observation, info = alone.reset(options={"episodes": np.array([key])})
        agent.reset(observation, info, seed=0)
        over = False
        while not over:
            observation, _, terminated, truncated, info = alone.step(agent.act(observation))
            over = bool(terminated[0] or truncated[0])
        rewards.append(info["final_info"]["episode_metrics"]["reward"][0])
        lengths.append(info["final_info"]["episode_metrics"]["length"][0])
    assert max(lengths) >= 3 * min(lengths)
    told = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert told["valid_reward"] == pytest.approx(np.mean(rewards), rel=1e-9)


def test_maskable_ppo_learns_to_fill_slates(world: FeedStore) -> None:
    """Masks of a slate are one after another for its places; a slot is illegal as soon as it is empty."""
    env = FeedVecEnv(ID, num_envs=4, store=world, candidates=6, slate_size=3, request_size=2, horizon=10, history=8)
    model = MaskablePPO("MultiInputPolicy", env, n_steps=16, batch_size=32, n_epochs=1, seed=0, device="cpu")
    model.learn(128)
    observation, emptied = env.reset(), False
    for _ in range(20):
        masks = get_action_masks(env)
        assert masks.shape == (4, 18)
        actions, _ = model.predict(observation, action_masks=masks)
        assert actions.shape == (4, 3)
        assert np.take_along_axis(masks.reshape(4, 3, 6), actions[..., None], axis=2).all()
        emptied |= not masks.all()
        observation, *_ = env.step(actions)
    assert emptied, "within a request what was served is gone"


def test_the_model_of_the_users_is_named_in_the_run(store: FeedStore, tmp_path: Path) -> None:
    arguments = {**ARGUMENTS, "response": FakeResponse()}
    out = train_sb3(store, tmp_path / "run", BRIEF, arguments, env=ID)
    told = json.loads((out / "config.json").read_text())
    assert told["env"] == ID
    assert told["arguments"] == {**ARGUMENTS, "response": "FakeResponse"}


@pytest.mark.parametrize("arguments", [{"actions": "catalogue"}, {"candidates": 5, "slate_size": 2}])
def test_slots_are_what_the_policies_choose(store: FeedStore, tmp_path: Path, arguments: dict) -> None:
    with pytest.raises(OptionError, match=r"expected one of the candidates' slots.*leave actions="):
        train_sb3(store, tmp_path / "run", BRIEF, {"response": FakeResponse(), **arguments}, env=ID)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_presets_are_whole(algo: str) -> None:
    assert preset("feed", algo).algo == algo
