"""What each agent promises."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from scipy import stats

from svsim.agents import Agent, make_agent
from svsim.agents.bandits.linucb import LinUCBAgent
from svsim.agents.base import greedy
from svsim.agents.rails import RandomAgent
from svsim.agents.registry import ready_agents
from svsim.agents.values import training_values
from svsim.data import FeedStore
from svsim.errors import AgentError, OptionError
from svsim.names import CANDIDATE_FEATURES, HISTORY_FEATURES
from svsim.testing import check_agent


def feed(store: FeedStore, rows: int = 6, **arguments: object) -> gym.vector.VectorEnv:
    return gym.make_vec(
        "svsim/Replay-v0",
        num_envs=rows,
        vectorization_mode="vector_entry_point",
        **({"store": store, "candidates": 5, "privileged": True, "min_videos": 3} | arguments),
    )


def fitted(name: str, store: FeedStore) -> Agent:
    agent = make_agent(name)
    if hasattr(agent, "fit"):
        agent.fit(store, seed=0)
    return agent


def observation(videos: list[list[int]], **keys: np.ndarray) -> dict:
    video = np.array(videos)
    rows, slots = video.shape
    blank = {
        "candidate_video": video,
        "action_mask": (video > 0).astype(np.int8),
        "candidates": np.zeros((rows, slots, len(CANDIDATE_FEATURES)), dtype=np.float32),
        "history": np.zeros((rows, 3, len(HISTORY_FEATURES)), dtype=np.float32),
    }
    return blank | keys


def learn(agent: Agent, seen: dict, action: list[int], reward: list[float]) -> None:
    done = np.zeros(len(action), dtype=bool)
    agent.observe(seen, np.array(action), np.array(reward), seen, done, done, {}, done)


@pytest.mark.parametrize("name", ready_agents())
def test_conformance(store: FeedStore, name: str) -> None:
    check_agent(fitted(name, store), feed(store))


@pytest.mark.parametrize(
    "name",
    [
        "epsilon-greedy?epsilon=0.5&warm=false",
        "linucb?alpha=0&warm=false",
        "linucb?form=disjoint",
        "linucb?form=hybrid",
        "lints?form=disjoint&arms=64",
        "lints?form=hybrid&warm=false",
        "neural-linear?warm=false&retrain=50",
        "explore-then-commit?warm=false",
        "thompson-beta?warm=false",
    ],
)
def test_conformance_with_options(store: FeedStore, name: str) -> None:
    check_agent(fitted(name, store), feed(store))


def test_random_serves_legal_slots_alike() -> None:
    agent = RandomAgent()
    seen = observation([[1, 0, 3, 4]] * 1_000)
    agent.reset(seen, {}, seed=0)
    counts = sum(np.bincount(agent.act(seen), minlength=4) for _ in range(12))
    assert counts[1] == 0
    assert stats.chisquare(counts[[0, 2, 3]]).pvalue > 1e-6


def test_popularity_is_the_shrunk_mean_training_reward(store: FeedStore) -> None:
    rows = store.split_rows("train")
    video = store.events["video"][rows]
    flags = sum(store.events[name][rows].astype(float) for name in ("is_like", "is_comment", "is_forward", "is_follow"))
    wtr = np.minimum(store.events["play_time_ms"][rows] / store.events["duration_ms"][rows], 1)
    reward = wtr + (store.events["wtg_gain"][rows] > 1.0) + flags
    chosen = int(np.bincount(video).argmax())
    mine = reward[video == chosen]
    expected = (mine.sum() + 10 * reward.mean()) / (len(mine) + 10)
    agent = fitted("popularity", store)
    assert agent.score(observation([[chosen]]))[0, 0] == pytest.approx(expected, rel=1e-5)


def test_popularity_weighs_as_the_environment_does(store: FeedStore) -> None:
    only = make_agent("popularity", reward_weights={"aux": 1.0})
    only.fit(store, seed=0)
    expected = training_values(store, {"aux": 1.0}).mean
    np.testing.assert_array_equal(only.score(observation([[1, 2, 3]]))[0], expected[1:4])


def test_popularity_before_fit_is_refused() -> None:
    with pytest.raises(AgentError, match="expected fit"):
        make_agent("popularity").act(observation([[1, 2]]))


def test_oracle_and_logged_need_to_be_told(store: FeedStore) -> None:
    for name in ("oracle", "logged"):
        with pytest.raises(AgentError, match="privileged=True"):
            make_agent(name).reset(observation([[1, 2]]), {}, seed=0)


def test_oracle_is_greedy_and_logged_follows_the_log(store: FeedStore) -> None:
    seen = observation([[1, 2, 3, 0]])
    known = {"privileged": {"reward": np.array([[0.1, 0.9, 0.5, 2.0]]), "logged_rank": np.array([[4, 2, 3, -1]])}}
    for name, slot in (("oracle", 1), ("logged", 1)):
        agent = make_agent(name)
        agent.reset(seen, known, seed=0)
        assert agent.act(seen).tolist() == [slot]


def test_logged_replays_the_log(store: FeedStore) -> None:
    env = feed(store, rows=4)
    agent = make_agent("logged")
    seen, info = env.reset(seed=0)
    agent.reset(seen, info, seed=0)
    for _ in range(3):
        action = agent.act(seen)
        ranks = np.where(seen["action_mask"] > 0, info["privileged"]["logged_rank"], 10**9)
        np.testing.assert_array_equal(ranks[np.arange(4), action], ranks.min(axis=1))
        following, reward, terminated, truncated, info = env.step(action)
        agent.observe(seen, action, reward, following, terminated, truncated, info, terminated | truncated)
        seen = following


def test_a_legal_slot_of_no_worth_is_better_than_an_empty_one() -> None:
    mask = np.array([[0, 1, 1], [0, 0, 1], [1, 1, 1]])
    scores = np.array([[5.0, -np.inf, -np.inf], [9.0, 9.0, -np.inf], [-np.inf, 0.0, -np.inf]])
    np.testing.assert_array_equal(greedy(scores, mask), [1, 2, 1])


def test_epsilon_greedy_explores_as_often_as_it_says() -> None:
    agent = make_agent("epsilon-greedy?epsilon=0.3&warm=false")
    seen = observation([[1, 2, 3, 4]] * 4_000)
    agent.reset(seen, {}, seed=0)
    one = {name: values[:1] for name, values in seen.items()}
    learn(agent, one, [2], [5.0])
    learn(agent, one, [0], [0.0])
    share = np.mean(agent.act(seen) == 2)
    expected = 0.7 + 0.3 / 4
    assert abs(share - expected) < 5 * np.sqrt(expected * (1 - expected) / 4_000)
    np.testing.assert_allclose(agent.probabilities(one), [[0.075, 0.075, 0.775, 0.075]])


def test_epsilon_greedy_learns_arms_by_hand() -> None:
    """Rewards 1, 1 for video 1 and 0 for video 2: overall mean 2/3, so (2 + 10 · 2/3)/12 and (0 + 10 · 2/3)/11."""
    agent = make_agent("epsilon-greedy?epsilon=0&warm=false")
    seen = observation([[1, 2]])
    agent.reset(seen, {}, seed=0)
    for slot, reward in ((0, 1.0), (0, 1.0), (1, 0.0)):
        learn(agent, seen, [slot], [reward])
    np.testing.assert_allclose(agent.score(seen), [[(2 + 20 / 3) / 12, (20 / 3) / 11]])
    assert agent.act(seen).tolist() == [0]


def test_an_empty_slot_teaches_nothing() -> None:
    for name in ("epsilon-greedy?epsilon=0&warm=false", "linucb?warm=false"):
        agent, other = make_agent(name), make_agent(name)
        seen = observation([[1, 0]])
        for one in (agent, other):
            one.reset(seen, {}, seed=0)
        learn(agent, seen, [1], [9.0])
        np.testing.assert_array_equal(agent.score(seen), other.score(seen))


def test_linucb_by_hand() -> None:
    """One feature besides the constant: θ and the bound from A and b written out."""
    agent = LinUCBAgent(alpha=2.0, ridge=1.0, warm=False)
    candidates = np.zeros((1, 2, len(CANDIDATE_FEATURES)), dtype=np.float32)
    candidates[0, 1, 0] = 1.0
    seen = observation([[1, 2]], candidates=candidates)
    learn(agent, seen, [1], [3.0])
    # x = (1, 1) in the coordinates that are not zero: A = [[2, 1], [1, 2]], b = (3, 3), θ = (1, 1).
    inverse = np.linalg.inv(np.array([[2.0, 1.0], [1.0, 2.0]]))
    theta = inverse @ np.array([3.0, 3.0])
    contexts = np.array([[1.0, 0.0], [1.0, 1.0]])
    expected = contexts @ theta + 2.0 * np.sqrt(np.einsum("kd,de,ke->k", contexts, inverse, contexts))
    np.testing.assert_allclose(agent.score(seen)[0], expected)


def test_linucb_finds_a_linear_reward() -> None:
    rng = np.random.default_rng(0)
    agent = LinUCBAgent(alpha=0.0, warm=False)
    truth = rng.normal(size=len(CANDIDATE_FEATURES))
    for _ in range(60):
        candidates = rng.normal(size=(16, 4, len(CANDIDATE_FEATURES))).astype(np.float32)
        seen = observation([[1, 2, 3, 4]] * 16, candidates=candidates)
        action = rng.integers(0, 4, 16)
        learn(agent, seen, action, candidates[np.arange(16), action] @ truth)
    candidates = rng.normal(size=(200, 4, len(CANDIDATE_FEATURES))).astype(np.float32)
    chosen = agent.act(observation([[1, 2, 3, 4]] * 200, candidates=candidates))
    assert np.mean(chosen == np.argmax(candidates @ truth, axis=1)) > 0.97


@pytest.mark.parametrize("name", ["epsilon-greedy?epsilon=1.5", "linucb?ridge=0", "linucb?alpha=-1", "linucb?recent=0"])
def test_impossible_options_are_refused(name: str) -> None:
    with pytest.raises(OptionError, match="expected"):
        make_agent(name)
