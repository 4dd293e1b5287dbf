"""Estimators of sessions: true in tiny decision processes by full enumeration, and in the simulator by playing."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass, replace
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import pytest
from sklearn.linear_model import LinearRegression

from svsim.agents import Agent
from svsim.agents.rails import PopularityAgent, RandomAgent
from svsim.agents.rerank.explore import ExploreAgent
from svsim.data import FeedStore
from svsim.envs.batch import BatchEnv
from svsim.errors import AgentError, OptionError, UnknownNameError
from svsim.ope.estimates import Estimate
from svsim.ope.sequences.fqe import Trajectories, fit_q
from svsim.ope.sequences.rollout import collect
from svsim.ope.sequences.sessions import SESSION_ESTIMATORS, estimate_sessions
from svsim.world.presets import preset_store

Floats = npt.NDArray[np.float64]

EXACT = 1e-12


# --- decision processes of two states, two actions and two steps -----------------------------------------------------


@dataclass(frozen=True)
class Process:
    """Two steps in states 0 and 1; a session may end after the first.

    Attributes:
        start: (2,) probabilities of the first state.
        moves: (2, 2, 2) probabilities of the next state by state and action; what is missing to one ends the session.
        reward: (2, 2, 2) by step, state and action.
        behaviour, target: (2, 2, 2) probabilities of actions by step and state.
        discount: γ.
    """

    start: Floats
    moves: Floats
    reward: Floats
    behaviour: Floats
    target: Floats
    discount: float = 0.9

    @property
    def q(self) -> Floats:
        """(2, 2, 2) the target's return from a step on, by state and action."""
        last = self.reward[1]
        value = (self.target[1] * last).sum(axis=1)
        return np.stack([self.reward[0] + self.discount * self.moves @ value, last])

    @property
    def truth(self) -> float:
        return float(self.start @ (self.target[0] * self.q[0]).sum(axis=1))

    def sessions(self) -> list[tuple[float, list[tuple[int, int]]]]:
        """All that may happen under the behaviour: probability, states and actions."""
        found = []
        for state, action in itertools.product((0, 1), repeat=2):
            chance = self.start[state] * self.behaviour[0, state, action]
            found.append((chance * (1 - self.moves[state, action].sum()), [(state, action)]))
            for then, last in itertools.product((0, 1), repeat=2):
                on = self.moves[state, action, then] * self.behaviour[1, then, last]
                found.append((chance * on, [(state, action), (then, last)]))
        return [(chance, path) for chance, path in found if chance > 0]

    def estimated(self, name: str, path: list[tuple[int, int]], q: Floats) -> Estimate:
        """Of one session, told a model's q."""

        def row(table: Floats) -> list[list[float]]:
            told = [float(table[step, state, action]) for step, (state, action) in enumerate(path)]
            return [told + [np.nan] * (2 - len(told))]

        mean = np.broadcast_to((self.target * q).sum(axis=2, keepdims=True), q.shape)
        return estimate_sessions(
            name,
            reward=row(self.reward),
            weight=row(self.target / self.behaviour),
            q_logged=row(q),
            q_expected=row(mean),
            discount=self.discount,
        )


def process(seed: int) -> Process:
    rng = np.random.default_rng(seed)
    first = rng.uniform(0.1, 0.9, (2, 2, 2))
    policies = np.stack([first, 1 - first], axis=-1)
    return Process(
        start=rng.dirichlet([1, 1]),
        # The third of each is the end.
        moves=rng.dirichlet([2, 2, 1], (2, 2))[..., :2],
        reward=rng.normal(size=(2, 2, 2)),
        behaviour=policies[0],
        target=policies[1],
    )


def deterministic(seed: int) -> Process:
    """The next state is the action; one pair ends the session."""
    moves = np.array([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 0.0]]])
    return replace(process(seed), start=np.array([0.5, 0.5]), moves=moves)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("name", ["pdis", "dr"])
def test_unbiased_whatever_the_model_says(name: str, seed: int) -> None:
    told = process(seed)
    q = 3 * np.random.default_rng(seed + 100).normal(size=(2, 2, 2))
    expectation = sum(chance * told.estimated(name, path, q).value for chance, path in told.sessions())
    assert sum(chance for chance, _ in told.sessions()) == pytest.approx(1, abs=EXACT)
    assert abs(expectation - told.truth) < EXACT


@pytest.mark.parametrize("seed", range(8))
def test_dr_of_the_true_model_has_no_variance_where_all_is_deterministic(seed: int) -> None:
    told = deterministic(seed)
    value = (told.target[0] * told.q[0]).sum(axis=1)
    for _, path in told.sessions():
        assert abs(told.estimated("dr", path, told.q).value - value[path[0][0]]) < EXACT
    # That of PDIS is another for every path.
    assert np.ptp([told.estimated("pdis", path, told.q).value for _, path in told.sessions()]) > 0.1


@pytest.mark.parametrize("seed", range(8))
def test_fqe_of_the_true_model_is_the_first_states_value(seed: int) -> None:
    told = process(seed)
    expectation = sum(chance * told.estimated("fqe", path, told.q).value for chance, path in told.sessions())
    assert abs(expectation - told.truth) < EXACT


REWARD = [[1.0, 2.0, 4.0], [3.0, np.nan, np.nan]]
WEIGHT = [[2.0, 0.5, 3.0], [0.5, np.nan, np.nan]]
Q_LOGGED = [[2.0, 1.0, 3.0], [4.0, np.nan, np.nan]]
Q_EXPECTED = [[2.5, 1.5, 2.0], [6.0, np.nan, np.nan]]


@pytest.mark.parametrize(
    ("name", "value", "size"),
    [
        # 2 · 1 + ½ · 1 · 2 + ¼ · 3 · 4 = 6 and ½ · 3
        ("pdis", (6 + 1.5) / 2, 3.5**2 / (9 + 0.25)),
        # [2 (−1) + 2.5] + ½ [1 · 1 + 2 · 1.5] + ¼ [3 · 1 + 1 · 2] = 3.75 and ½ (−1) + 6
        ("dr", (3.75 + 5.5) / 2, 3.5**2 / (9 + 0.25)),
        ("fqe", (2.5 + 6) / 2, 2),
    ],
)
def test_two_sessions_by_hand(name: str, value: float, size: float) -> None:
    found = estimate_sessions(
        name, reward=REWARD, weight=WEIGHT, q_logged=Q_LOGGED, q_expected=Q_EXPECTED, discount=0.5, user=["a", "b"]
    )
    assert found.value == pytest.approx(value, abs=EXACT)
    assert found.ess == pytest.approx(size, abs=EXACT)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a gap": ({"reward": [[1.0, np.nan, 4.0], [3.0, 1.0, np.nan]]}, "found it in row 0, place 1, before the end"),
    "no step": ({"reward": np.full((2, 3), np.nan)}, "at least one place in a row, found none in row 0"),
    "another shape": ({"weight": [[2.0, 0.5]]}, r"weight: expected the rewards' shape \(2, 3\), found \(1, 2\)"),
    "a ratio below 0": ({"weight": [[2.0, -0.5, 3.0], [0.5, 0.0, 0.0]]}, "0 or more, found -0.5 in row 0, place 1"),
    "no ratios": ({"weight": None}, "estimator dr: expected weight, found none"),
    "no model": ({"q_expected": None}, "estimator dr: expected q_expected, found none"),
    "no discount": ({"discount": 0.0}, "discount: expected a number above 0 and up to 1, found 0.0"),
    "a discount above one": ({"discount": 1.1}, "discount: expected"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_refused(what: str) -> None:
    changed, message = BAD[what]
    given = {"reward": REWARD, "weight": WEIGHT, "q_logged": Q_LOGGED, "q_expected": Q_EXPECTED, **changed}
    with pytest.raises(OptionError, match=message):
        estimate_sessions("dr", **given)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="expected one of pdis, dr, fqe, found 'wis'"):
        estimate_sessions("wis", reward=REWARD, weight=WEIGHT)


# --- fitted Q evaluation ---------------------------------------------------------------------------------------------


def drawn(told: Process, sessions: int, seed: int, noise: float) -> tuple[Trajectories, npt.NDArray[np.int64]]:
    """Sessions of the behaviour's with a one-hot of state and action, and their states (n, 2); rewards with noise."""
    rng = np.random.default_rng(seed)
    every = np.arange(sessions)
    state, action = np.zeros((sessions, 2), dtype=np.int64), np.zeros((sessions, 2), dtype=np.int64)
    reward = np.full((sessions, 2), np.nan)
    on = np.ones(sessions, dtype=bool)
    state[:, 0] = rng.random(sessions) >= told.start[0]
    for step in range(2):
        action[:, step] = rng.random(sessions) >= told.behaviour[step, state[:, step], 0]
        own = told.reward[step, state[:, step], action[:, step]] + noise * rng.normal(size=sessions)
        reward[:, step] = np.where(on, own, np.nan)
        if step == 0:
            reached = np.cumsum(told.moves[state[:, 0], action[:, 0]], axis=1)
            place = (rng.random(sessions)[:, None] >= reached).sum(axis=1)
            on = place < 2
            state[:, 1] = np.minimum(place, 1)
    pair = 2 * state[..., None] + np.arange(2)
    steps = np.arange(2)[None, :]
    made = Trajectories(
        reward=reward,
        features=np.eye(4, dtype=np.float32)[pair],
        action=action,
        behaviour=told.behaviour[steps, state, action],
        target=told.target[steps, state],
        user=every,
    )
    return made, state


def estimated(name: str, told: Trajectories, q: tuple[Floats, Floats] | None = None, discount: float = 1.0) -> Estimate:
    """Every session by itself: episodes are drawn independently, of a user's too."""
    logged, expected = q or (None, None)
    return estimate_sessions(
        name, reward=told.reward, weight=told.weight, q_logged=logged, q_expected=expected, discount=discount
    )


def test_fqe_finds_a_deterministic_process_exactly() -> None:
    told = deterministic(1)
    made, state = drawn(told, 400, 2, noise=0.0)
    logged, expected = fit_q(made, regressor=LinearRegression(fit_intercept=False), discount=told.discount)
    here, steps = made.there, np.broadcast_to([0, 1], state.shape)
    assert np.abs(logged - told.q[steps, state, made.action])[here].max() < 1e-9
    value = (told.target * told.q).sum(axis=2)
    assert np.abs(expected - value[steps, state])[here].max() < 1e-9
    assert not logged[~here].any()
    assert not expected[~here].any()


@pytest.mark.parametrize("seed", range(3))
def test_fqe_finds_the_truth_of_a_table(seed: int) -> None:
    """Of 20,000 sessions, rewards with noise of 1: within four standard errors of DR, which a table reaches."""
    told = process(seed)
    made, state = drawn(told, 20_000, seed, noise=1.0)
    logged, expected = fit_q(made, discount=told.discount, seed=seed)
    exact = told.q[np.broadcast_to([0, 1], state.shape), state, made.action]
    assert np.abs(logged - exact)[made.there].max() < 0.25
    fqe, dr = (estimated(name, made, (logged, expected), told.discount) for name in ("fqe", "dr"))
    assert dr.standard_error < 0.03
    assert abs(fqe.value - told.truth) < 4 * dr.standard_error
    assert abs(dr.value - told.truth) < 4 * dr.standard_error


def test_no_session_is_in_the_model_of_its_own_user() -> None:
    made, _ = drawn(process(0), 300, 0, noise=1.0)
    # Ten users; what befalls one of them is news to the others' models alone.
    made = replace(made, user=np.arange(300) % 10)
    own = made.user == 3
    changed = replace(made, reward=np.where(own[:, None], made.reward + 50, made.reward))
    before, after = (fit_q(told, folds=5)[0] for told in (made, changed))
    assert np.array_equal(before[own], after[own])
    assert (before != after).any()


def test_one_user_alone_has_no_model() -> None:
    made, _ = drawn(process(0), 50, 0, noise=1.0)
    logged, expected = fit_q(replace(made, user=np.zeros(50, dtype=np.int64)))
    assert not logged.any()
    assert not expected.any()


def test_bad_trajectories_are_refused() -> None:
    made, _ = drawn(process(0), 5, 0, noise=0.0)
    reward = made.reward.copy()
    reward[:, 0] = np.nan
    for changed, message in (
        ({"reward": reward}, "reward: expected NaN at the end|reward: expected at least one"),
        ({"user": made.user[:3]}, r"user: expected the shape \(5,\), found \(3,\)"),
        ({"features": made.features[0]}, r"features: expected \(n, T, K, F\)"),
        ({"features": made.features * np.float32(np.nan)}, "features: expected finite numbers"),
        ({"action": made.action + 2}, "action: expected slots from 0 to 1, found"),
        ({"behaviour": made.behaviour * 0}, "behaviour: expected probabilities above 0, found 0.0 in row 0, step 0"),
        ({"target": made.target * 2}, "target: expected probabilities that sum to one"),
    ):
        with pytest.raises(OptionError, match=message):
            dataclasses.replace(made, **changed)
    with pytest.raises(OptionError, match="expected 2 folds or more, found 1"):
        fit_q(made, folds=1)
    with pytest.raises(OptionError, match="discount: expected"):
        fit_q(made, discount=2.0)


# --- in the simulator ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world() -> FeedStore:
    return preset_store("tiny")


def environment(store: FeedStore, rows: int, name: str = "svsim/Feed-v0", **arguments: Any) -> BatchEnv:
    made = gym.make_vec(
        name,
        num_envs=rows,
        vectorization_mode="vector_entry_point",
        store=store,
        **{"horizon": 5, "candidates": 5, **arguments},
    ).unwrapped
    assert isinstance(made, BatchEnv)
    return made


def explorer(store: FeedStore, epsilon: float) -> ExploreAgent:
    """The most popular, with probability ε any."""
    agent = ExploreAgent(epsilon, PopularityAgent())
    agent.fit(store, seed=0)
    return agent


@pytest.fixture(scope="module")
def played(world: FeedStore) -> Trajectories:
    """Sessions of a behaviour that explores half the time, and of a target that hardly does."""
    return collect(environment(world, 200), explorer(world, 0.5), explorer(world, 0.1), episodes=4_000, seed=1)


@pytest.fixture(scope="module")
def truth(world: FeedStore) -> Estimate:
    """The target, played by itself."""
    agent = explorer(world, 0.1)
    own = collect(environment(world, 200), agent, agent, episodes=8_000, seed=2, features=no_features)
    found = estimated("pdis", own)
    # Ratios of one: what it is on average.
    assert found.value == pytest.approx(np.nansum(own.reward, axis=1).mean(), abs=EXACT)
    assert (own.weight == 1).all()
    return found


def no_features(observation: dict[str, npt.NDArray[Any]], step: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    return np.zeros((*observation["action_mask"].shape, 1), dtype=np.float32)


def test_a_policy_s_value_is_estimated_from_another_s_sessions(played: Trajectories, truth: Estimate) -> None:
    q = fit_q(played)
    pdis, dr, fqe = (estimated(name, played, q) for name in SESSION_ESTIMATORS)
    behaviour = np.nansum(played.reward, axis=1)
    for found in (pdis, dr):
        assert abs(found.value - truth.value) < 4 * np.hypot(found.standard_error, truth.standard_error)
        # Not so near by chance: the behaviour's own value is further off.
        assert abs(behaviour.mean() - truth.value) > 4 * found.standard_error
    assert dr.standard_error < pdis.standard_error
    # A model's word, which no bound holds for: of 24 users' sessions it was within 0.2 of 1.25.
    assert abs(fqe.value - truth.value) < 0.5


def test_ratios_average_to_one_at_every_step(played: Trajectories) -> None:
    ratios = np.cumprod(played.weight, axis=1)
    assert (np.abs(ratios.mean(axis=0) - 1) < 4 * ratios.std(axis=0) / np.sqrt(len(played))).all()


def test_propensities_are_the_policies_own(played: Trajectories) -> None:
    """Of five slots: ε / 5, and 1 − ε more for the best one; users of the split, some of them leave early."""
    here = played.there
    assert set(np.round(played.behaviour[here], 12)) == {0.1, 0.6}
    assert set(np.round(played.target[here].ravel(), 12)) == {0.02, 0.92}
    best = played.of_action(played.target)[here] > 0.5
    assert np.array_equal(best, played.behaviour[here] > 0.5)
    assert abs(best.mean() - 0.6) < 4 * np.sqrt(0.24 / here.sum())
    assert here.shape == (4_000, 5)
    assert 0 < (~here[:, -1]).mean() < 0.5
    assert played.features.dtype == np.float32


def test_the_same_sessions_whatever_the_batch(world: FeedStore) -> None:
    """Twelve episodes by their keys, in batches of ten, three and one."""
    keys = np.arange(100, 112)
    first, *others = (
        collect(environment(world, rows), explorer(world, 0.5), explorer(world, 0.0), episodes=keys, seed=4)
        for rows in (10, 3, 1)
    )
    for other in others:
        for item in dataclasses.fields(Trajectories):
            assert np.array_equal(getattr(first, item.name), getattr(other, item.name), equal_nan=True), item.name
    env = environment(world, 12)
    _, info = env.reset(options={"episodes": keys.astype(np.uint64)})
    assert np.array_equal(first.user, info["user_id"])


class NeverTwice(Agent):
    """Any slot but the one served last: only who is told what was served knows which that is."""

    def reset(self, observation: dict[str, npt.NDArray[Any]], info: dict[str, Any], *, seed: int) -> None:
        self.last = np.full(len(observation["action_mask"]), -1)

    def act(self, observation: dict[str, npt.NDArray[Any]]) -> npt.NDArray[np.int64]:
        raise AssertionError("nobody asks a target to act")

    def observe(self, observation: Any, action: Any, reward: Any, following: Any, *ended: Any) -> None:
        began = ended[-1]
        self.last = np.where(began, -1, action)

    def probabilities(self, observation: dict[str, npt.NDArray[Any]]) -> Floats:
        free = observation["action_mask"] * (np.arange(observation["action_mask"].shape[1]) != self.last[:, None])
        return np.asarray(free / free.sum(axis=1, keepdims=True))


def test_a_target_follows_what_is_played(world: FeedStore) -> None:
    found = collect(environment(world, 3), RandomAgent(), NeverTwice(), episodes=30, seed=0, features=no_features)
    one_in_five = np.full(5, 0.2)
    assert np.allclose(found.target[:, 0], one_in_five)
    rows, steps = np.nonzero(found.there[:, 1:])
    then = found.target[rows, steps + 1]
    assert (then[np.arange(len(rows)), found.action[rows, steps]] == 0).all()
    assert np.allclose(np.sort(then, axis=1), [0, 0.25, 0.25, 0.25, 0.25])


def test_replayed_sessions_can_be_estimated(world: FeedStore) -> None:
    """The same sessions and rewards whatever the target: the value of random order, exactly, from itself."""
    env = environment(world, 4, "svsim/Replay-v0", horizon=3, session_gap_minutes=None)
    agent = RandomAgent()
    found = collect(env, agent, agent, episodes=12, seed=0)
    assert found.there.all()
    assert found.features.shape[:3] == (12, 3, 5)
    assert estimated("pdis", found).value == pytest.approx(found.reward.sum(axis=1).mean(), abs=EXACT)


class Unsure(RandomAgent):
    """Its probabilities sum to less than one."""

    def probabilities(self, observation: dict[str, npt.NDArray[Any]]) -> Floats:
        return 0.9 * super().probabilities(observation)


class Silent(RandomAgent):
    """Tells none."""

    probabilities = None  # type: ignore[assignment]


def test_what_cannot_be_played_is_refused(world: FeedStore) -> None:
    env, agent = environment(world, 2), RandomAgent()
    with pytest.raises(AgentError, match=r"Silent: expected an agent with probabilities\(observation\)"):
        collect(env, agent, Silent(), episodes=2, seed=0)
    with pytest.raises(AgentError, match=r"Unsure\.probabilities: expected probabilities of shape"):
        collect(env, Unsure(), agent, episodes=2, seed=0)
    for episodes in (0, [], [[1, 2]], 1.5):
        with pytest.raises(OptionError, match="episodes: expected a number of episodes or"):
            collect(env, agent, agent, episodes=episodes, seed=0)
    for arguments, message in (
        ({"slate_size": 2}, "expected one slot a step"),
        ({"copy": False}, "expected observations that are copies"),
        ({"actions": "catalogue"}, "expected candidates in the observation"),
    ):
        with pytest.raises(OptionError, match=message):
            collect(environment(world, 2, **arguments), agent, agent, episodes=2, seed=0)
