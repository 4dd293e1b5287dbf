"""stable-baselines3's agents: what the slots' policies promise, that they learn, and that their runs are safe."""

from __future__ import annotations

import json
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.utils import obs_as_tensor

from svsim.agents import make_agent
from svsim.agents.sb3.config import ALGORITHMS, SB3Training, preset
from svsim.agents.sb3.networks import MaskedDQN
from svsim.agents.sb3.runs import Layout, load_policy, policy_class, policy_options, read_config
from svsim.agents.sb3.training import action_scores, learn, train_sb3
from svsim.benchmark import BenchmarkSpec, run
from svsim.data import FeedStore
from svsim.envs.sb3 import FeedVecEnv, Flattening, unflattened
from svsim.errors import OptionError, OutputError, RunError, TrainingError, UnknownNameError
from svsim.testing import check_agent, toy_feed
from tests.agents.test_agents import feed

ARGUMENTS = {"candidates": 5, "min_videos": 3, "horizon": 6, "history": 12}
SMALL = {
    "timesteps": 1_024,
    "num_envs": 8,
    "evaluations": 2,
    "width": 16,
    "options": {"n_steps": 16, "batch_size": 64, "n_epochs": 1},
}
TOY = {
    "ppo": {"n_steps": 16, "batch_size": 256, "n_epochs": 4, "learning_rate": 3e-3, "gamma": 0.0},
    "maskable-ppo": {"n_steps": 16, "batch_size": 256, "n_epochs": 4, "learning_rate": 3e-3, "gamma": 0.0},
    "a2c": {"n_steps": 8, "learning_rate": 3e-3, "gamma": 0.0},
    "dqn": {
        "learning_starts": 500, "train_freq": 1, "gradient_steps": 2, "batch_size": 128, "learning_rate": 3e-3,
        "gamma": 0.0, "buffer_size": 20_000, "target_update_interval": 500,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def ppo_run(store: FeedStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_sb3(store, tmp_path_factory.mktemp("sb3") / "ppo", SB3Training(**SMALL), ARGUMENTS)


def untrained(algo: str, kind: str = "slots") -> tuple[object, Flattening, gym.vector.VectorEnv]:
    """A policy with fresh weights for the toy feed."""
    env = toy_feed(32)
    space = env.single_observation_space
    flatten = Flattening(space, False)
    torch.manual_seed(0)
    options = policy_options({"policy": kind, "width": 16}, Layout.of(space.spaces), None)
    policy = policy_class(algo, kind)(flatten.space, spaces.Discrete(4), lambda _: 1e-3, **options)
    for parameter in policy.parameters():
        # Away from the cautious start at which all logits are alike.
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    return policy, flatten, env


def permuted(observation: dict, order: np.ndarray) -> dict:
    return {
        name: values[:, order] if name.startswith(("candidate", "action_mask")) else values
        for name, values in observation.items()
    }


# --- policies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_slots_are_scored_alike_whatever_their_number(algo: str) -> None:
    policy, flatten, env = untrained(algo)
    observation, _ = env.reset(seed=0)
    order = np.array([2, 0, 3, 1])
    scores = action_scores(policy, flatten(observation, (32,)))
    again = action_scores(policy, flatten(permuted(observation, order), (32,)))
    np.testing.assert_allclose(again, scores[:, order], atol=1e-6)
    assert np.ptp(scores[observation["action_mask"] > 0]) > 0.01, "and they do differ by what is in the slots"
    if algo != "dqn":
        values = [
            policy.predict_values(obs_as_tensor(flatten(seen, (32,)), "cpu")).detach().numpy()
            for seen in (observation, permuted(observation, order))
        ]
        np.testing.assert_allclose(*values, atol=1e-6)


def test_a_flat_policy_takes_slots_by_their_number() -> None:
    policy, flatten, env = untrained("ppo", "flat")
    observation, _ = env.reset(seed=0)
    order = np.array([2, 0, 3, 1])
    scores = action_scores(policy, flatten(observation, (32,)))
    again = action_scores(policy, flatten(permuted(observation, order), (32,)))
    assert np.abs(again - scores[:, order]).max() > 0.01


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_empty_slots_have_no_chance(algo: str) -> None:
    policy, flatten, env = untrained(algo)
    observation, _ = env.reset(seed=0)
    empty = observation["action_mask"] == 0
    assert empty.any()
    scores = action_scores(policy, flatten(observation, (32,)))
    if algo == "dqn":
        assert (scores[empty] < scores[~empty].min() - 1e6).all()
    else:
        assert (scores[empty] == 0).all()
        np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)


def test_dqn_explores_among_legal_slots_alone() -> None:
    face = FeedVecEnv(toy_feed(16))
    options = policy_options(
        {"policy": "slots", "width": 8}, Layout.of(face.vector.single_observation_space.spaces), None
    )
    settings = {"learning_starts": 10**6, "buffer_size": 64, "seed": 0, "device": "cpu"}
    model = MaskedDQN(policy_class("dqn", "slots"), face, policy_kwargs=options, **settings)
    model.exploration_rate = 1.0
    model._last_obs = face.reset()
    for _ in range(50):
        masks = face.action_masks()
        for action in (model.predict(model._last_obs)[0], model._sample_action(10**6, n_envs=16)[0]):
            assert masks[np.arange(16), action].all()
        model._last_obs = face.step(action)[0]


def test_an_observation_is_found_again_in_its_flat_form(store: FeedStore) -> None:
    env = feed(store)
    observation, _ = env.reset(seed=0)
    flat = Flattening(env.single_observation_space, True)(observation, (6,))
    for name, values in unflattened(flat, 5, 50).items():
        np.testing.assert_allclose(values, observation[name], rtol=1e-6)


# --- learning ---------------------------------------------------------------------------------------------------------


def oracle() -> float:
    """Mean reward of an episode of the toy feed under the largest legal worth, from the validation's own episodes."""
    env = toy_feed(64, privileged=True)
    keys = np.resize(np.arange(512, dtype=np.uint64), (8, 64))
    _, info = env.reset(seed=0, options={"episodes": keys})
    total = ended = 0.0
    while ended < 512:
        told = info["privileged"]
        best = np.argmax(np.where(told["logged_rank"] >= 0, told["reward"], -1.0), axis=1)
        _, reward, _, truncated, info = env.step(best)
        total, ended = total + reward.sum(), ended + truncated.sum()
    return total / ended


def solved(tmp_path: Path, algo: str, policy: str = "slots") -> float:
    """Share of the oracle's reward."""
    settings = {"timesteps": 20_000, "num_envs": 16, "evaluations": 4, "width": 32}
    training = SB3Training(algo=algo, policy=policy, options=TOY[algo], **settings)
    learn(toy_feed(16), toy_feed(64), tmp_path / "run", training, {"env": "toy"})
    return json.loads((tmp_path / "run" / "metrics.json").read_text())["valid_reward"] / oracle()


def test_ppo_solves_the_toy_feed(tmp_path: Path) -> None:
    assert solved(tmp_path, "ppo") >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("algo", ["maskable-ppo", "a2c", "dqn"])
def test_the_others_solve_it_too(tmp_path: Path, algo: str) -> None:
    assert solved(tmp_path, algo) >= 0.95


def test_same_seed_same_weights(store: FeedStore, ppo_run: Path, tmp_path: Path) -> None:
    again = train_sb3(store, tmp_path / "again", SB3Training(**SMALL), ARGUMENTS)
    other = train_sb3(store, tmp_path / "other", SB3Training(**SMALL, seed=1), ARGUMENTS)
    first = (ppo_run / "model.safetensors").read_bytes()
    assert (again / "model.safetensors").read_bytes() == first
    assert (other / "model.safetensors").read_bytes() != first


def test_the_best_evaluation_is_kept(ppo_run: Path) -> None:
    rows = np.genfromtxt(ppo_run / "history.csv", delimiter=",", names=True)
    assert json.loads((ppo_run / "metrics.json").read_text())["valid_reward"] == pytest.approx(
        rows["valid_reward"].max()
    )
    assert any((ppo_run / "tensorboard").rglob("events.out.tfevents.*"))
    assert not (ppo_run / "state.pt").exists()


# --- agents -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("choose", ["greedy", "sample"])
def test_conformance(store: FeedStore, ppo_run: Path, choose: str) -> None:
    agent = make_agent(f"ppo?run={ppo_run}&choose={choose}")
    agent.fit(store, seed=0)
    check_agent(agent, feed(store, horizon=6, history=12))


@pytest.mark.parametrize(
    ("algo", "options"),
    [
        ("maskable-ppo", {"n_steps": 16, "batch_size": 64, "n_epochs": 1}),
        ("a2c", {"n_steps": 16}),
        ("dqn", {"learning_starts": 100, "buffer_size": 512}),
    ],
)
def test_conformance_of_the_others(store: FeedStore, tmp_path: Path, algo: str, options: dict) -> None:
    training = SB3Training(**{**SMALL, "algo": algo, "options": options, "timesteps": 512})
    agent = make_agent(f"{algo}?run={train_sb3(store, tmp_path / algo, training, ARGUMENTS)}")
    agent.fit(store, seed=0)
    check_agent(agent, feed(store, horizon=6, history=12))


def test_sampling_is_as_the_probabilities_say(store: FeedStore, ppo_run: Path) -> None:
    agent = make_agent(f"ppo?run={ppo_run}&choose=sample")
    agent.fit(store, seed=0)
    env = feed(store, rows=1, history=12)
    observation, _ = env.reset(seed=3)
    many = {name: np.repeat(values, 20_000, axis=0) for name, values in observation.items()}
    agent.reset(many, {}, seed=0)
    told = agent.probabilities(observation)[0]
    shares = np.bincount(agent.act(many), minlength=5) / 20_000
    assert (np.abs(shares - told) < 5 * np.sqrt(told * (1 - told) / 20_000) + 1e-9).all()


def test_its_place_in_a_benchmark(store: FeedStore, ppo_run: Path) -> None:
    """Another layout is named, whole, and the other agents go on."""
    settings = {
        "store": store,
        "agents": (f"ppo?run={ppo_run}", "random"),
        "split": "train",
        "seeds": 1,
        "rails": False,
    }
    fits, _ = run(BenchmarkSpec(**settings, candidates=5, min_videos=3, horizon=6, history=12)).records
    assert fits["metrics"]["reward"]["mean"] > 0
    other, random = run(BenchmarkSpec(**settings, candidates=7, min_videos=3, horizon=6, history=20)).records
    features = load_policy(ppo_run, store).layout.features
    assert random["metrics"]["reward"]["mean"] > 0
    for words in (
        f"agent ppo?run={ppo_run} in svsim/Replay-v0",
        f"expected observations of 5 slots of {features} features, 12 past events",
        f"found 7 slots of {features} features, 20 past events",
    ):
        assert words in other["error"]


# --- the trunk --------------------------------------------------------------------------------------------------------


def test_a_frozen_trunk_gives_features_and_learns_nothing(
    store: FeedStore, sasrec4sv_run: Path, tmp_path: Path
) -> None:
    from svsim.agents.observed import ObservedTokens
    from svsim.models.checkpoints import load_run
    from svsim.models.scoring import Scorer

    before = (sasrec4sv_run / "model.safetensors").read_bytes()
    training = SB3Training(**{**SMALL, "timesteps": 256}, policy="trunk", trunk=str(sasrec4sv_run))
    path = train_sb3(store, tmp_path / "trunk", training, ARGUMENTS)
    assert (sasrec4sv_run / "model.safetensors").read_bytes() == before
    opened = load_policy(path, store)
    own = sum(parameter.numel() for parameter in opened.policy.parameters())
    whole = load_run(sasrec4sv_run)
    assert own < 100_000
    assert not any("trunk" in name for name in opened.policy.state_dict())
    # What a slot is told of is what the model's heads read.
    env = feed(store, history=12)
    observation, _ = env.reset(seed=0)
    flat = {name: torch.from_numpy(values) for name, values in opened.flatten(observation, (6,)).items()}
    told = opened.policy.features_extractor.more(flat)
    scorer, tokens = Scorer(whole.network, 12), ObservedTokens(whole, store)
    cache = scorer.prefill(*tokens.history(observation, 12))
    np.testing.assert_allclose(told, scorer.shared(cache, tokens.candidates(observation)), atol=1e-5)
    agent = make_agent(f"ppo?run={path}")
    agent.fit(store, seed=0)
    check_agent(agent, feed(store, horizon=6, history=12), steps=8)


# --- runs -------------------------------------------------------------------------------------------------------------


def test_an_interrupted_training_goes_on(store: FeedStore, ppo_run: Path, tmp_path: Path) -> None:
    def interrupt(name: str, done: int, whole: int | None) -> None:
        if done > 600:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_sb3(store, tmp_path / "run", SB3Training(**SMALL), ARGUMENTS, progress=interrupt)
    assert not (tmp_path / "run" / "metrics.json").exists()
    told = []
    train_sb3(
        store, tmp_path / "run", SB3Training(**SMALL), ARGUMENTS, progress=lambda name, done, whole: told.append(done)
    )
    assert 512 < min(told) < 600, "from the evaluation in the middle"
    assert max(told) == 1_024
    columns = (tmp_path / "run" / "history.csv").read_text().splitlines()
    assert columns[:2] == (ppo_run / "history.csv").read_text().splitlines()[:2]
    assert len(columns) == 3
    written = (tmp_path / "run" / "metrics.json").stat().st_mtime_ns
    train_sb3(store, tmp_path / "run", SB3Training(**SMALL), ARGUMENTS)
    assert (tmp_path / "run" / "metrics.json").stat().st_mtime_ns == written


def test_other_settings_do_not_overwrite_a_run(store: FeedStore, ppo_run: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="another training"):
        train_sb3(store, ppo_run, SB3Training(**SMALL, seed=9), ARGUMENTS)
    with pytest.raises(OutputError, match="another arguments"):
        train_sb3(store, ppo_run, SB3Training(**SMALL), {**ARGUMENTS, "horizon": 3})
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(OutputError, match="expected a new or empty folder"):
        train_sb3(store, tmp_path, SB3Training(**SMALL), ARGUMENTS)


def test_what_is_no_run_is_refused(store: FeedStore, ppo_run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="expected a run, found nothing"):
        make_agent(f"ppo?run={tmp_path}/none")
    with pytest.raises(RunError, match=r"expected a run of a2c, found one of ppo.*name it as ppo\?run="):
        make_agent(f"a2c?run={ppo_run}")
    with pytest.raises(OptionError, match="expected one of greedy, sample"):
        make_agent(f"ppo?run={ppo_run}&choose=best")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_bytes((ppo_run / "config.json").read_bytes())
    with pytest.raises(RunError, match="run the training again"):
        load_policy(broken, store)
    (broken / "model.safetensors").write_bytes((ppo_run / "model.safetensors").read_bytes()[:-100])
    with pytest.raises(RunError, match="expected weights that fit"):
        load_policy(broken, store)
    told = read_config(ppo_run)
    (broken / "config.json").write_text(json.dumps({**told, "version": 99}))
    with pytest.raises(RunError, match="expected run format 1, found 99"):
        read_config(broken)
    (broken / "config.json").write_text("{")
    with pytest.raises(RunError, match="expected the run of `svsim train sb3`"):
        read_config(broken)


def test_impossible_trainings_are_refused(store: FeedStore, tmp_path: Path) -> None:
    for settings, error in (
        ({"algo": "sac"}, UnknownNameError),
        ({"policy": "deep"}, UnknownNameError),
        ({"timesteps": 0}, OptionError),
        ({"policy": "trunk"}, OptionError),
        ({"trunk": "run"}, OptionError),
    ):
        with pytest.raises(error, match="expected"):
            SB3Training(**settings)
    with pytest.raises(UnknownNameError, match="expected one of ppo"):
        preset("replay", "sac")
    with pytest.raises(UnknownNameError, match="environment with presets"):
        preset("nowhere", "ppo")
    with pytest.raises(OptionError, match="ppo does not take these options"):
        train_sb3(store, tmp_path / "a", SB3Training(**{**SMALL, "options": {"colour": 1}}), ARGUMENTS)
    assert not (tmp_path / "a").exists()


def test_a_policy_that_breaks_says_so(store: FeedStore, tmp_path: Path) -> None:
    options = {**SMALL["options"], "learning_rate": 1e30, "max_grad_norm": 1e30}
    with pytest.raises(TrainingError, match=r"no numbers after .* lower learning_rate"):
        train_sb3(store, tmp_path / "run", SB3Training(**{**SMALL, "options": options}), ARGUMENTS)


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_presets_are_whole(algo: str) -> None:
    assert preset("replay", algo).algo == algo
