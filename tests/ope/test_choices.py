"""Policies at logged rows: against the whole pool, against each other, whatever the shard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from svsim.agents import Agent, ScoringAgent
from svsim.agents.rails import PopularityAgent, RandomAgent
from svsim.data.store import FeedStore
from svsim.envs.contexts import Contexts
from svsim.errors import AgentError, OptionError
from svsim.ope.logs import shards
from svsim.ope.logs.action_groups import GROUPINGS, video_groups
from svsim.ope.logs.best_of import best_of_weight
from svsim.ope.logs.choices import PolicyRows, ask
from svsim.ope.logs.logged import LoggedBandit, random_log
from svsim.ope.logs.reward_model import RewardModel, fold_of, variance_fit

Observation = dict[str, np.ndarray]


class ByNumber(ScoringAgent):
    """Serves the video of the greatest id."""

    def score(self, observation: Observation) -> np.ndarray:
        return observation["candidate_video"].astype(float)


class ByNumberUntold(Agent):
    """The same, without scores."""

    def act(self, observation: Observation) -> np.ndarray:
        return observation["candidate_video"].argmax(axis=1)

    def probabilities(self, observation: Observation) -> np.ndarray:
        return np.eye(observation["candidate_video"].shape[1])[self.act(observation)]


class Relative(ByNumber):
    """Scores that depend on what stands beside."""

    def score(self, observation: Observation) -> np.ndarray:
        video = observation["candidate_video"].astype(float)
        return video - video.mean(axis=1, keepdims=True)


class OfFive(ByNumber):
    """Made for five slots and no others."""

    def score(self, observation: Observation) -> np.ndarray:
        return super().score(observation) + np.zeros(5)


class Broken(ByNumberUntold):
    def probabilities(self, observation: Observation) -> np.ndarray:
        raise ZeroDivisionError("a fault of its own")


class TooMuch(ByNumberUntold):
    def probabilities(self, observation: Observation) -> np.ndarray:
        return np.ones(observation["candidate_video"].shape)


@pytest.fixture(scope="module")
def logged(chance_store: FeedStore) -> LoggedBandit:
    return random_log(chance_store, propensities="uniform").take(np.arange(400))


@pytest.fixture(scope="module")
def contexts(chance_store: FeedStore) -> Contexts:
    return Contexts(chance_store, 10)


@pytest.fixture(scope="module")
def model(logged: LoggedBandit, contexts: Contexts) -> RewardModel:
    return RewardModel(logged, contexts, folds=2, fit_rows=200)


def rows_of(asked: Any, name: str) -> PolicyRows:
    found = asked.policies[name]
    assert isinstance(found, PolicyRows), found
    return found


def test_of_a_log_by_chance_the_random_agents_weights_are_one(
    logged: LoggedBandit, contexts: Contexts, model: RewardModel
) -> None:
    asked = ask(logged, {"random": RandomAgent()}, contexts, model, candidates=5)
    own = rows_of(asked, "random")
    np.testing.assert_allclose(own.weight, 1, atol=1e-12)
    assert not own.closed_form
    assert own.match.mean() == pytest.approx(1 / 5, abs=4 * np.sqrt(0.16 / 400))


def test_a_scorer_is_weighed_by_its_rank_in_the_whole_pool(
    logged: LoggedBandit, contexts: Contexts, model: RewardModel
) -> None:
    pool = len(logged.pool)
    groups = {name: video_groups(logged.store, logged.pool, name) for name in GROUPINGS}
    asked = ask(logged, {"number": ByNumber()}, contexts, model, candidates=5, others=pool, groups=groups)
    own = rows_of(asked, "number")
    assert own.closed_form
    better = (logged.pool[None, :] > logged.video[:, None]).sum(axis=1)
    np.testing.assert_allclose(own.weight, best_of_weight(better, np.ones(len(logged)), pool, 5), atol=1e-9)
    # What is told of the pool is told exactly: Σ π = 1, and the groups' weights are their shares of π and of the pool.
    np.testing.assert_allclose(own.form_expected[:, 0], 1, atol=1e-9)
    share = best_of_weight((logged.pool[None, :] > logged.pool[:, None]).sum(axis=1), np.ones(pool), pool, 5) / pool
    for name, codes in groups.items():
        own_group = codes[logged.pool][None, :] == codes[logged.video][:, None]
        np.testing.assert_allclose(own.group_weight[name], (own_group @ share) / own_group.mean(axis=1), atol=1e-9)


def test_an_agent_without_scores_has_the_same_weights_on_average(
    logged: LoggedBandit, contexts: Contexts, model: RewardModel
) -> None:
    agents = {"told": ByNumber(), "untold": ByNumberUntold(), "relative": Relative(), "of five": OfFive()}
    exact = rows_of(ask(logged, agents, contexts, model, candidates=5, others=len(logged.pool)), "told")
    found = [ask(logged, agents, contexts, model, candidates=5, others=40, draws=8, seed=seed) for seed in range(4)]
    for name in ("untold", "relative", "of five"):
        assert not rows_of(found[0], name).closed_form
        weights = np.array([rows_of(asked, name).weight for asked in found])
        error = np.sqrt(weights.var(axis=0, ddof=1).sum() / len(found)) / len(logged)
        assert abs((weights.mean(axis=0) - exact.weight).mean()) < 4 * error
        expected = np.array([rows_of(asked, name).q_expected for asked in found]).mean(axis=0)
        assert expected.mean() == pytest.approx(exact.q_expected.mean(), rel=0.02)
        # The ranking of the videos is the scorer's.
        assert np.corrcoef(weights.mean(axis=0), exact.weight)[0, 1] > 0.9


def test_an_agent_that_fails_is_named_and_the_others_go_on(
    logged: LoggedBandit, contexts: Contexts, model: RewardModel
) -> None:
    agents = {"broken": Broken(), "too much": TooMuch(), "number": ByNumber()}
    asked = ask(logged.take(np.arange(20)), agents, contexts, model, candidates=5)
    assert isinstance(asked.policies["broken"], AgentError)
    assert "ZeroDivisionError: a fault of its own (test_choices.py, line" in str(asked.policies["broken"])
    assert "sum to one" in str(asked.policies["too much"])
    assert isinstance(asked.policies["number"], PolicyRows)


def test_shards_say_what_the_whole_says_and_are_taken_up_again(
    logged: LoggedBandit, contexts: Contexts, model: RewardModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agents = {"number": ByNumber(), "untold": ByNumberUntold()}
    long = logged.take(np.tile(np.arange(400), 3)[:1_100])
    options = {"candidates": 5, "groups": {"author": video_groups(logged.store, logged.pool, "author")}}
    whole = ask(long, agents, contexts, model, **options)
    monkeypatch.setattr(shards, "SHARD_ROWS", 512)
    made = []

    def make() -> RewardModel:
        made.append(1)
        return model

    for _ in range(2):
        again = shards.ask_in_shards(long, agents, contexts, make, tmp_path, **options)
        for name in agents:
            one, other = rows_of(whole, name), rows_of(again, name)
            assert one.weight.tobytes() == other.weight.tobytes()
            assert one.q_expected.tobytes() == other.q_expected.tobytes()
            assert one.group_weight["author"].tobytes() == other.group_weight["author"].tobytes()
    assert len(made) == 1
    assert len(list(tmp_path.glob("*.npz"))) == 3


@pytest.mark.parametrize("bad", [{"candidates": 0}, {"candidates": 10_000}, {"draws": 0}])
def test_numbers_that_cannot_be_are_refused(
    logged: LoggedBandit, contexts: Contexts, model: RewardModel, bad: dict[str, int]
) -> None:
    with pytest.raises(OptionError, match="expected"):
        ask(logged, {}, contexts, model, **bad)


# --- the reward model -------------------------------------------------------------------------------------------------


def test_no_users_reward_is_in_their_own_prediction(chance_store: FeedStore, contexts: Contexts) -> None:
    log = random_log(chance_store, propensities="uniform")
    user = int(np.bincount(log.user).argmax())
    told = []
    for shift in (0.0, 100.0):

        class Shifted(type(log.kind)):  # type: ignore[misc]
            def of(self, store: FeedStore, rows: np.ndarray, shift: float = shift) -> np.ndarray:
                return super().of(store, rows) + shift * (store.events["user"][rows] == user)

        changed = LoggedBandit(**{**log.__dict__, "kind": Shifted(log.kind.name, log.kind.weights)})
        fitted = RewardModel(changed, contexts, folds=2, fit_rows=100)
        told.append(ask(changed.take(np.flatnonzero(log.user == user)), {}, contexts, fitted, candidates=5).q_logged)
    assert told[0].tobytes() == told[1].tobytes()


def test_the_variance_fit_finds_a_linear_error_and_leaves_none_where_there_is_none() -> None:
    rng = np.random.default_rng(0)
    n = 4_000
    form = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    expected = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    weight, propensity = rng.exponential(size=n), np.full(n, 0.1)
    fold = fold_of(rng.integers(200, size=n), seed=0)
    beta = np.array([0.3, -1.0, 2.0])
    logged, mean = variance_fit(form @ beta, weight, propensity, form, expected, fold)
    np.testing.assert_allclose(logged, form @ beta, atol=0.05)
    np.testing.assert_allclose(mean, expected @ beta, atol=0.05)
    none = variance_fit(np.zeros(n), weight, propensity, form, expected, fold)
    assert not none[0].any()
    assert not none[1].any()


def test_popularity_is_a_scorer(logged: LoggedBandit, contexts: Contexts, model: RewardModel) -> None:
    agent = PopularityAgent()
    agent.fit(logged.store, seed=0)
    own = rows_of(ask(logged, {"popularity": agent}, contexts, model), "popularity")
    assert own.closed_form
    assert own.weight.mean() == pytest.approx(1, abs=5 * own.weight.std() / np.sqrt(len(logged)))
