"""Bandits: their formulas by hand, their posteriors in closed form, their regret against references and theorems."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from svsim.agents import Agent, make_agent
from svsim.agents.bandits.forms import OWN, Disjoint, Form, Hybrid, Shared
from svsim.agents.bandits.logistic import Logistic
from svsim.agents.bandits.posterior import Ridges
from svsim.agents.bandits.ucb import bernoulli_divergence
from svsim.errors import OptionError
from svsim.names import CANDIDATE_FEATURES
from tests.agents.test_agents import learn, observation

REFERENCE = json.loads((Path(__file__).parents[1] / "fixtures" / "regret_reference.json").read_text())
RUNS = 100


def taught(name: str, plays: dict[int, list[float]]) -> Agent:
    """An agent that has seen some rewards of some videos."""
    agent = make_agent(name)
    agent.reset(observation([[1]]), {}, seed=0)
    for video, rewards in plays.items():
        for reward in rewards:
            learn(agent, observation([[video]]), [0], [reward])
    return agent


# --- one arm a video -----------------------------------------------------------------------------------------------------


def test_ucb1_by_hand() -> None:
    agent = taught("ucb1?warm=false&reward_max=2", {1: [2.0, 0.0], 2: [1.0]})
    found = agent.score(observation([[1, 2, 3]]))[0]  # type: ignore[attr-defined]
    expected = [0.5 + np.sqrt(2 * np.log(3) / 2), 0.5 + np.sqrt(2 * np.log(3))]
    np.testing.assert_allclose(found[:2], expected)
    assert found[2] == np.inf, "what was never served goes first"


def test_rewards_above_the_largest_count_as_the_largest() -> None:
    agent = taught("ucb1?warm=false&reward_max=2", {1: [5.0], 2: [2.0]})
    found = agent.score(observation([[1, 2]]))[0]  # type: ignore[attr-defined]
    assert found[0] == found[1]


def test_kl_ucb_solves_its_equation() -> None:
    plays = {1: [1.0, 0.0, 1.0], 2: [0.0, 0.0], 3: [1.0] * 4}
    found = taught("kl-ucb?warm=false&reward_max=1", plays).score(observation([[1, 2, 3]]))[0]  # type: ignore[attr-defined]
    mean, count = np.array([2 / 3, 0.0, 1.0]), np.array([3, 2, 4])
    np.testing.assert_allclose(count[:2] * bernoulli_divergence(mean, found)[:2], np.log(9), rtol=1e-6)
    assert (found >= mean).all()
    assert found[2] == pytest.approx(1.0)
    assert found[1] == pytest.approx(1 - 9 ** (-1 / 2)), "kl(0, q) = −ln(1 − q)"


def test_beta_thompson_draws_from_the_posterior() -> None:
    agent = taught("thompson-beta?warm=false&reward_max=1", {1: [1.0, 1.0, 0.0, 0.5]})
    wide = observation([[1]] * 4_000)
    agent.reset(wide, {}, seed=1)
    drawn = agent.score(wide)[:, 0]  # type: ignore[attr-defined]
    assert stats.kstest(drawn, stats.beta(3.5, 2.5).cdf).pvalue > 1e-4


def test_gaussian_thompson_draws_from_the_posterior() -> None:
    agent = taught("thompson-gaussian?warm=false&noise=2&prior_plays=3", {1: [4.0, 2.0], 2: [0.0]})
    wide = observation([[1]] * 4_000)
    agent.reset(wide, {}, seed=1)
    drawn = agent.score(wide)[:, 0]  # type: ignore[attr-defined]
    overall = 2.0
    assert stats.kstest(drawn, stats.norm((6 + 3 * overall) / 5, 2 / np.sqrt(5)).cdf).pvalue > 1e-4


def test_explore_then_commit_never_looks_back() -> None:
    agent = make_agent("explore-then-commit?explore=2&warm=false")
    seen = observation([[1, 2]])
    agent.reset(seen, {}, seed=0)
    served = []
    for reward in (0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0):
        slot = int(agent.act(seen)[0])
        served.append(slot + 1)
        learn(agent, seen, [slot], [reward])
    # Each twice; video 2 brought 1 and 1, video 1 nothing: what comes later teaches nothing.
    assert served == [1, 2, 1, 2, 2, 2, 2]


@pytest.mark.parametrize(
    "name", ["ucb1?warm=false", "thompson-gaussian?warm=false", "epsilon-greedy?warm=false&epsilon=0"]
)
def test_feedback_that_comes_late_and_together_is_learnt_as_if_one_by_one(name: str) -> None:
    rng = np.random.default_rng(0)
    video, reward = rng.integers(1, 6, 60), rng.random(60)
    alone, together = make_agent(name), make_agent(name)
    asked = observation([[1, 2, 3, 4, 5]])
    for agent in (alone, together):
        agent.reset(asked, {}, seed=0)
    for v, r in zip(video, reward, strict=True):
        learn(alone, observation([[v]]), [0], [r])
    order = rng.permutation(60)
    for part in np.split(order, 3):
        learn(together, observation(video[part][:, None].tolist()), [0] * 20, reward[part].tolist())
    np.testing.assert_allclose(alone.score(asked), together.score(asked))  # type: ignore[attr-defined]


def regret(name: str, means: list[float], horizon: int) -> np.ndarray:
    """(RUNS,) regret of independent bandits played side by side: every row has videos of its own."""
    rng = np.random.default_rng(5)
    arms, best = np.array(means), max(means)
    agent = make_agent(f"{name}?warm=false&reward_max=1")
    videos = 1 + np.arange(RUNS * len(arms)).reshape(RUNS, -1)
    seen = observation(videos.tolist())
    agent.reset(seen, {}, seed=3)
    total, every = np.zeros(RUNS), np.zeros(RUNS, dtype=bool)
    # Which of equal arms goes first is chance, as in the reference.
    order = np.argsort(rng.random(videos.shape), axis=1)
    seen["candidate_video"] = np.take_along_axis(videos, order, axis=1)
    for _ in range(horizon):
        slot = agent.act(seen)
        expected = arms[order[np.arange(RUNS), slot]]
        total += best - expected
        reward = (rng.random(RUNS) < expected).astype(float)
        agent.observe(seen, slot, reward, seen, every, every, {}, every)
    return total


@pytest.mark.parametrize(
    ("name", "key", "problem"),
    [
        ("ucb1", "ucb1", "K2_0.9_0.6"),
        ("thompson-beta", "ts", "K2_0.9_0.6"),
        ("ucb1", "ucb1", "K10_eps0.1"),
        pytest.param("thompson-beta", "ts", "K10_eps0.1", marks=pytest.mark.slow),
    ],
)
def test_regret_is_the_references_and_below_the_theorem(name: str, key: str, problem: str) -> None:
    told = REFERENCE[problem]
    found = regret(name, told["means"], told["T"])
    error = np.hypot(found.std(ddof=1) / np.sqrt(RUNS), told[key]["se"])
    assert abs(found.mean() - told[key]["mean"]) < 4 * error
    if name == "ucb1":
        assert found.mean() < told["ucb1_theorem1_bound"]


# --- linear --------------------------------------------------------------------------------------------------------------


def test_sherman_morrison_does_not_drift() -> None:
    rng = np.random.default_rng(0)
    ridges = Ridges(1, 8, 1.0)
    contexts = rng.normal(size=(100_000, 8)) * np.array([1e-2, 0.1, 1, 1, 1, 10, 1, 1])
    rewards = rng.normal(size=100_000)
    nought = np.zeros(1, dtype=np.int64)
    for x, r in zip(contexts, rewards, strict=True):
        ridges.add(nought, x[None], np.array([r]))
    gram = np.eye(8) + contexts.T @ contexts
    np.testing.assert_allclose(ridges.inverse[0], np.linalg.inv(gram), rtol=1e-8, atol=1e-14)
    np.testing.assert_allclose(ridges.theta[0], np.linalg.solve(gram, rewards @ contexts), rtol=1e-7, atol=1e-12)


rows = st.integers(1, 40)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), rows, st.integers(1, 8))
def test_ridges_are_the_closed_form_however_rows_arrive(seed: int, count: int, parts: int) -> None:
    rng = np.random.default_rng(seed)
    arm, x, r = rng.integers(0, 3, count), rng.normal(size=(count, 4)), rng.normal(size=count)
    ridges = Ridges(3, 4, 0.5)
    for part in np.array_split(rng.permutation(count), parts):
        if len(part):
            assert set(ridges.add(arm[part], x[part], r[part]).tolist()) == set(arm[part].tolist())
    for one in range(3):
        own = arm == one
        gram = 0.5 * np.eye(4) + x[own].T @ x[own]
        np.testing.assert_allclose(ridges.inverse[one], np.linalg.inv(gram), atol=1e-10)
        np.testing.assert_allclose(ridges.theta[one], np.linalg.solve(gram, r[own] @ x[own]), atol=1e-10)


def joint(form: Form, slot: np.ndarray, user: np.ndarray, arm: np.ndarray) -> np.ndarray:
    """(…, F) the features of one large ridge regression that a form is a way to compute."""
    if isinstance(form, Shared):
        return slot
    own = user if isinstance(form, Disjoint) else user[..., :OWN]
    each = np.eye(form.arms)[arm][..., :, None] * own[..., None, :]
    each = each.reshape(*arm.shape, -1)
    return each if isinstance(form, Disjoint) else np.concatenate([slot, each], axis=-1)


@pytest.mark.parametrize("kind", [Shared, Disjoint, Hybrid])
def test_forms_are_one_large_ridge_regression(kind: type[Form]) -> None:
    rng = np.random.default_rng(1)
    form = kind(4, 5, 3, 0.7)
    slot, user = rng.normal(size=(90, 5)), rng.normal(size=(90, 3))
    arm, reward = rng.integers(0, 4, 90), rng.normal(size=90)
    for part in np.split(np.arange(90), [1, 2, 30, 31, 77]):
        form.learn(slot[part], user[part], arm[part], reward[part])
    features = joint(form, slot, user, arm)
    gram = 0.7 * np.eye(features.shape[1]) + features.T @ features
    weights = np.linalg.solve(gram, reward @ features)
    asked, who, which = rng.normal(size=(6, 7, 5)), rng.normal(size=(6, 3)), rng.integers(0, 4, (6, 7))
    wide = joint(form, asked, np.broadcast_to(who[:, None], (6, 7, 3)), which)
    mean, spread = form.bound(asked, who, which)
    np.testing.assert_allclose(mean, wide @ weights, atol=1e-9)
    np.testing.assert_allclose(spread**2, np.einsum("bkf,fg,bkg->bk", wide, np.linalg.inv(gram), wide), atol=1e-9)


@pytest.mark.parametrize("kind", [Shared, Disjoint, Hybrid])
def test_draws_have_the_posteriors_mean_and_spread(kind: type[Form]) -> None:
    rng = np.random.default_rng(2)
    form = kind(4, 5, 3, 0.7)
    form.learn(rng.normal(size=(40, 5)), rng.normal(size=(40, 3)), rng.integers(0, 4, 40), rng.normal(size=40))
    asked, who, which = rng.normal(size=(1, 4, 5)), rng.normal(size=(1, 3)), np.array([[0, 1, 2, 3]])
    mean, spread = form.bound(asked, who, which)
    many = 20_000
    drawn = form.sample(
        np.repeat(asked, many, 0), np.repeat(who, many, 0), np.repeat(which, many, 0), 0.5,
        rng.normal(size=(many, 5 + 4)),
    )  # fmt: skip
    np.testing.assert_allclose(drawn.mean(axis=0), mean[0], atol=5 * 0.5 * spread.max() / np.sqrt(many))
    np.testing.assert_allclose(drawn.std(axis=0), 0.5 * spread[0], rtol=0.05)
    if kind is Shared:
        # One draw of θ for all slots: the draws of two slots go together as their contexts do.
        expected = asked[0] @ form.ridges.inverse[0] @ asked[0].T  # type: ignore[attr-defined]
        np.testing.assert_allclose(np.cov(drawn.T), 0.25 * expected, atol=0.05 * 0.25 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["linucb?warm=false&alpha=1", "lints?warm=false&width=0.3"])
def test_regret_of_a_linear_bandit_grows_like_the_square_root_of_time(name: str) -> None:
    horizon, slots, runs = 2_000, 10, 4
    size = len(CANDIDATE_FEATURES)
    total = np.zeros(horizon)
    for run in range(runs):
        rng = np.random.default_rng(run)
        truth = rng.normal(size=size)
        truth /= np.linalg.norm(truth)
        agent = make_agent(name)
        seen = observation([list(range(1, slots + 1))])
        agent.reset(seen, {}, seed=run)
        for step in range(horizon):
            candidates = rng.normal(size=(1, slots, size)) / np.sqrt(size)
            seen["candidates"] = candidates.astype(np.float32)
            slot = agent.act(seen)
            expected = candidates[0] @ truth
            total[step] += expected.max() - expected[slot[0]]
            learn(agent, seen, slot.tolist(), [expected[slot[0]] + 0.1 * rng.normal()])
    grown = np.cumsum(total)
    late = np.arange(horizon // 10, horizon)
    slope = np.polyfit(np.log(late + 1), np.log(grown[late]), 1)[0]
    assert slope <= 0.6
    assert grown[-1] < 0.2 * horizon * runs / np.sqrt(size), "a fifth of what chance would lose"


def test_logistic_posterior_is_the_penalised_maximum() -> None:
    from scipy.special import expit
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(3)
    z = rng.normal(size=(400, 4))
    y = (rng.random(400) < expit(z @ np.array([1.0, -2.0, 0.5, 0.0]))).astype(float)
    model = Logistic(1, 4, 0, 2.0)
    model.learn(z, z, np.zeros(400, dtype=np.int64), y)
    known = LogisticRegression(C=1 / 2.0, fit_intercept=False, tol=1e-10, max_iter=1_000).fit(z, y)
    np.testing.assert_allclose(model.mean, known.coef_[0], atol=1e-5)
    chance = expit(z @ known.coef_[0])
    np.testing.assert_allclose(model.precision, 2 * np.eye(4) + (z * (chance * (1 - chance))[:, None]).T @ z, rtol=1e-4)
    mean, spread = model.bound(z[None, :3], z[:1], np.zeros((1, 3), dtype=np.int64))
    drawn = model.sample(
        np.repeat(z[None, :3], 20_000, 0), z[:1], np.zeros((1, 3), dtype=np.int64), 1.0, rng.normal(size=(20_000, 7))
    )
    np.testing.assert_allclose(drawn.mean(axis=0), mean[0], atol=5 * spread.max() / np.sqrt(20_000))
    np.testing.assert_allclose(drawn.std(axis=0), spread[0], rtol=0.05)


def test_neural_linear_learns_what_no_line_fits() -> None:
    rng = np.random.default_rng(4)

    def batch(rows: int) -> tuple[dict, np.ndarray]:
        candidates = rng.normal(size=(rows, 4, len(CANDIDATE_FEATURES))).astype(np.float32)
        return observation([[1, 2, 3, 4]] * rows, candidates=candidates), np.abs(candidates[..., 0])

    shares = {}
    for name in ("neural-linear?warm=false&width=0&retrain=4000", "linucb?warm=false&alpha=0"):
        agent = make_agent(name)
        for _ in range(20):
            seen, worth = batch(200)
            agent.reset(seen, {}, seed=0)
            slot = rng.integers(0, 4, 200)
            learn(agent, seen, slot.tolist(), worth[np.arange(200), slot].tolist())
        seen, worth = batch(2_000)
        agent.reset(seen, {}, seed=0)
        shares[name.partition("?")[0]] = np.mean(agent.act(seen) == worth.argmax(axis=1))
    assert shares["neural-linear"] > 0.7
    assert shares["linucb"] < 0.5


@pytest.mark.parametrize(
    "name",
    [
        "ucb1?reward_max=0", "thompson-gaussian?noise=0", "thompson-gaussian?prior_plays=-1",
        "explore-then-commit?explore=0",
        "lints?width=-1", "linucb?form=cubic", "lints?arms=0", "logistic-thompson?width=-1", "neural-linear?hidden=0",
        "logistic-thompson?reward_max=-1", "neural-linear?retrain=0",
    ],
)  # fmt: skip
def test_impossible_options_are_refused(name: str) -> None:
    with pytest.raises(OptionError, match="expected"):
        make_agent(name)
