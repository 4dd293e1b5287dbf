"""Re-rankers by hand, by their limits, and for what they are there for."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from svsim.agents import Agent, ScoringAgent, make_agent
from svsim.agents.registry import parse_agent
from svsim.agents.rerank.base import relevance
from svsim.agents.rerank.explore import ExploreAgent
from svsim.agents.rerank.groups import UserGroupAgent
from svsim.agents.rerank.mmr import MMRAgent
from svsim.agents.rerank.providers import ProviderExposureAgent
from svsim.data import FeedStore
from svsim.errors import AgentError, OptionError
from svsim.names import INFLUENCER
from svsim.testing import check_agent
from tests.agents.test_agents import feed

RERANKERS = (MMRAgent, UserGroupAgent, ProviderExposureAgent, ExploreAgent)


class Fixed(ScoringAgent):
    """Scores by a table of videos."""

    def __init__(self, table: np.ndarray) -> None:
        self.table = table

    def score(self, observation: dict) -> np.ndarray:
        return self.table[observation["candidate_video"]]


def seen(store: FeedStore, videos: list[list[int]], past: list[list[int]] | None = None, user: int = 1) -> dict:
    """An observation of these candidates after these events, by dense ids."""
    video = np.array(videos)
    history = np.zeros((len(video), 1), dtype=int) if past is None else np.array(past)
    author = np.asarray(store.videos["author"])
    return {
        "user_id": np.full((len(video), 1), user),
        "candidate_video": video,
        "candidate_author": np.where(video > 0, author[video], 0),
        "history_video": history,
        "history_author": np.where(history > 0, author[history], 0),
        "action_mask": (video > 0).astype(np.int8),
    }


def step(agent: Agent, observation: dict, action: np.ndarray, reward: np.ndarray) -> None:
    done = np.zeros(len(action), dtype=bool)
    agent.observe(observation, action, reward, observation, done, done, {}, done)


def table(store: FeedStore, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(size=store.n_videos + 1)


@pytest.mark.parametrize("cls", RERANKERS)
def test_conformance_over_any_scorer(store: FeedStore, cls: type) -> None:
    for inner in (Fixed(table(store)), make_agent("epsilon-greedy"), make_agent("lints")):
        agent = cls(of=inner)
        agent.fit(store, seed=0)
        check_agent(agent, feed(store))


@pytest.mark.parametrize(
    "name", ["mmr?diversity=0", "user-group?strength=0", "provider-exposure?strength=0", "explore?epsilon=0"]
)
def test_without_strength_the_order_is_the_agents(store: FeedStore, name: str) -> None:
    agent, plain = make_agent(f"{name}&of=linucb"), make_agent("linucb")
    env = feed(store, rows=32)
    observation, info = env.reset(seed=0)
    for one in (agent, plain):
        one.fit(store, seed=0)
        one.reset(observation, info, seed=0)
    for _ in range(10):
        action = agent.act(observation)
        np.testing.assert_array_equal(action, plain.act(observation))
        following, reward, terminated, truncated, info = env.step(action)
        for one in (agent, plain):
            one.observe(observation, action, reward, following, terminated, truncated, info, terminated | truncated)
        observation = following


def test_the_inner_agent_takes_the_rest_of_the_name() -> None:
    name = parse_agent("mmr?diversity=0.5&of=epsilon-greedy?epsilon=0.2&warm=false")
    assert name.options == {"diversity": 0.5, "of": "epsilon-greedy?epsilon=0.2&warm=false"}
    agent = make_agent("explore?of=mmr?diversity=0.7&of=linucb?alpha=0.25")
    assert (agent.scorer.diversity, agent.scorer.scorer.alpha) == (0.7, 0.25)
    with pytest.raises(OptionError, match="which only acts"):
        make_agent("mmr?of=random")


def test_the_weights_of_an_inner_run_count(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.mkdir()
    (path / "model.safetensors").write_bytes(b"")
    assert parse_agent(f"mmr?of=explore?epsilon=0.1&of=sasrec4sv?run={path}").files == [path / "model.safetensors"]


def test_scores_that_are_drawn_have_no_probabilities(store: FeedStore) -> None:
    assert hasattr(ExploreAgent(of="linucb"), "probabilities")
    assert not hasattr(ExploreAgent(of="lints"), "probabilities")
    assert not hasattr(copy.deepcopy(MMRAgent(of="thompson-beta")), "probabilities")


def test_relevance_by_hand() -> None:
    scores, mask = np.array([[2.0, 4.0, 3.0, 9.0], [5.0, 5.0, 5.0, 5.0]]), np.array([[1, 1, 1, 0], [1, 1, 0, 0]])
    np.testing.assert_allclose(relevance(scores, mask), [[0, 1, 0.5, 0], [0, 0, 0, 0]])


# --- diversity --------------------------------------------------------------------------------------------------------


def test_likeness_by_hand(store: FeedStore) -> None:
    """Same author one half, Jaccard index of the tags the other."""
    agent = MMRAgent(window=2, of=Fixed(table(store)))
    agent.fit(store, seed=0)
    tags = [set(store.video_tags[row]) for row in np.asarray(store.videos["tag_set"])]
    author = np.asarray(store.videos["author"])

    def alike(one: int, other: int) -> float:
        jaccard = len(tags[one] & tags[other]) / max(len(tags[one] | tags[other]), 1)
        return (float(author[one] == author[other]) + jaccard) / 2

    rng = np.random.default_rng(0)
    for _ in range(50):
        candidates, past = rng.integers(1, store.n_videos + 1, 4), rng.integers(1, store.n_videos + 1, 3)
        past[1] *= rng.integers(0, 2)
        expected = [max(0.0, *(alike(video, old) for old in past[1:] if old)) for video in candidates]
        np.testing.assert_allclose(agent.likeness(seen(store, [candidates], [past]))[0], expected)


def test_mmr_by_hand(store: FeedStore) -> None:
    """The best slot is what was just seen: with d = 0.6, 0.4 · 1 − 0.6 · 1 loses against 0.4 · 0.5 − 0."""
    author, tag_set = np.asarray(store.videos["author"]), np.asarray(store.videos["tag_set"])
    tags = [set(store.video_tags[row]) for row in tag_set]
    first = next(video for video in range(1, store.n_videos) if tags[video])
    second, third = [v for v in range(1, store.n_videos) if author[v] != author[first] and not tags[v] & tags[first]][
        :2
    ]
    values = np.zeros(store.n_videos + 1)
    values[[first, second]] = 1.0, 0.5
    agent = MMRAgent(diversity=0.6, of=Fixed(values))
    agent.fit(store, seed=0)
    observation = seen(store, [[first, second, third]], [[first]])
    np.testing.assert_allclose(agent.score(observation)[0], [0.4 - 0.6, 0.2, 0.0], atol=1e-12)
    assert agent.act(observation).tolist() == [1]


# --- user groups ------------------------------------------------------------------------------------------------------


def users_of_both_groups(store: FeedStore) -> tuple[int, int]:
    influencer = np.asarray(store.influencer)
    return int(np.flatnonzero(influencer)[0]), int(np.flatnonzero(~influencer)[1])


def test_the_lift_is_the_groups_own_mean(store: FeedStore) -> None:
    """From the events themselves: (Σ r of the group + 10 · m)/(n + 10) − m, with m the video's own shrunk mean."""
    agent = UserGroupAgent(strength=2.0, of=Fixed(np.zeros(store.n_videos + 1)), reward_weights={"wtr": 1})
    agent.fit(store, seed=0)
    rows = store.split_rows("train")
    video, user = store.events["video"][rows], store.events["user"][rows]
    wtr = np.minimum(store.events["play_time_ms"][rows] / store.events["duration_ms"][rows], 1)
    ours = np.isin(user, np.flatnonzero(store.user_group == INFLUENCER))
    chosen = int(np.bincount(video[ours]).argmax())
    mean = (wtr[video == chosen].sum() + 10 * wtr.mean()) / ((video == chosen).sum() + 10)
    mine = wtr[(video == chosen) & ours]
    expected = (mine.sum() + 10 * mean) / (len(mine) + 10) - mean
    influencer, _ = users_of_both_groups(store)
    assert agent.score(seen(store, [[chosen]], user=influencer))[0, 0] == pytest.approx(2 * expected, rel=1e-4)


def test_a_bound_on_the_gap_is_kept(store: FeedStore) -> None:
    """Influencers' rewards are 0.3 above the others' whatever is served; slots are worth 0 to 1. Without a bound the gap is
    that; with one of 0.1 it comes down to it, and the worse-off group loses nothing."""
    influencer, normal = users_of_both_groups(store)
    worth = table(store)
    gaps, normals = [], []
    for bound in (None, 0.1):
        agent = UserGroupAgent(strength=0.0, max_gap=bound, of=Fixed(worth))
        agent.fit(store, seed=0)
        rng = np.random.default_rng(1)
        rewards = []
        for number in range(2_000):
            observation = seen(store, rng.integers(1, store.n_videos + 1, (2, 5)))
            observation["user_id"] = np.array([[influencer], [normal]])
            if number == 0:
                agent.reset(observation, {}, seed=0)
            action = agent.act(observation)
            reward = worth[observation["candidate_video"][np.arange(2), action]] + np.array([0.3, 0.0])
            step(agent, observation, action, reward)
            rewards.append(reward)
        gaps.append(np.mean(rewards, axis=0) @ [1, -1])
        normals.append(np.mean(rewards, axis=0)[1])
    assert gaps[0] == pytest.approx(0.3, abs=0.02)
    assert gaps[1] == pytest.approx(0.1, abs=0.02)
    assert normals[0] == normals[1]


# --- providers --------------------------------------------------------------------------------------------------------


def test_rates_by_hand(store: FeedStore) -> None:
    """Author of slot 0 offered twice and served twice, of slot 1 offered twice and never served; r = 1/2."""
    author = np.asarray(store.videos["author"])
    first = 1
    second = next(video for video in range(2, store.n_videos) if author[video] != author[first])
    agent = ProviderExposureAgent(strength=1.0, merit=False, of=Fixed(np.zeros(store.n_videos + 1)))
    agent.fit(store, seed=0)
    observation = seen(store, [[first, second, 0]])
    agent.reset(observation, {}, seed=0)
    for _ in range(2):
        step(agent, observation, np.array([0]), np.array([1.0]))
    rate, overall = agent.rates()
    assert overall == 0.5
    np.testing.assert_allclose(rate[author[[first, second]]], [(2 + 5) / 12, 5 / 12])
    np.testing.assert_allclose(agent.score(observation)[0, :2], [(0.5 - 7 / 12) / 0.5, (0.5 - 5 / 12) / 0.5])


def test_exposure_evens_out(store: FeedStore) -> None:
    """An agent that always prefers the same videos starves the others' authors; with the correction their rates meet."""
    spread = []
    for strength in (0.0, 5.0):
        agent = ProviderExposureAgent(strength=strength, merit=False, of=Fixed(table(store)))
        agent.fit(store, seed=0)
        rng = np.random.default_rng(0)
        for number in range(400):
            observation = seen(store, rng.integers(1, store.n_videos + 1, (16, 5)))
            if number == 0:
                agent.reset(observation, {}, seed=0)
            step(agent, observation, agent.act(observation), np.ones(16))
        rate, overall = agent.rates()
        spread.append(np.std(rate[np.unique(store.videos["author"][1:])]) / overall)
    assert spread[1] < spread[0] / 4


# --- exploration ------------------------------------------------------------------------------------------------------


def test_exploration_is_as_it_says(store: FeedStore) -> None:
    agent = ExploreAgent(epsilon=0.4, of=Fixed(np.arange(store.n_videos + 1.0)))
    observation = seen(store, [[3, 0, 9, 4]] * 5_000)
    agent.reset(observation, {}, seed=0)
    told = agent.probabilities(observation)[0]
    np.testing.assert_allclose(told, [0.4 / 3, 0, 0.6 + 0.4 / 3, 0.4 / 3])
    counts = np.bincount(agent.act(observation), minlength=4)
    assert counts[1] == 0
    assert stats.chisquare(counts[[0, 2, 3]], 5_000 * told[[0, 2, 3]]).pvalue > 1e-6


@pytest.mark.parametrize(
    "name",
    ["mmr?diversity=2", "mmr?window=0", "user-group?strength=-1", "user-group?max_gap=-1", "user-group?step=0",
     "provider-exposure?strength=-1", "explore?epsilon=-1"],
)  # fmt: skip
def test_impossible_options_are_refused(name: str) -> None:
    with pytest.raises(OptionError, match="expected"):
        make_agent(name)


@pytest.mark.parametrize("cls", RERANKERS[:3])
def test_unfitted_ones_say_so(store: FeedStore, cls: type) -> None:
    with pytest.raises(AgentError, match="expected fit"):
        cls(of=Fixed(table(store))).score(seen(store, [[1, 2]]))
