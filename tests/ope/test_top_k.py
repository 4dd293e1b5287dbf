"""Top-k policies as arrays: what a dense table of probabilities says of a small log."""

from __future__ import annotations

import numpy as np
import pytest

from svsim.errors import OptionError
from svsim.ope import OPEWarning
from svsim.ope.top_k import BLOCK, Cut, TopK

N, K, ACTIONS = 300, 4, 12


def dense(policy: TopK) -> np.ndarray:
    """(n, actions) probabilities."""
    shape = policy.actions.shape
    probabilities = np.full(shape, 1 / shape[1]) if policy.probabilities is None else policy.probabilities
    table = np.zeros((shape[0], ACTIONS))
    np.add.at(table, (np.arange(shape[0])[:, None], policy.actions), probabilities)
    return table


def policies() -> list[TopK]:
    rng = np.random.default_rng(1)
    actions = rng.permuted(np.tile(np.arange(ACTIONS), (N, 1)), axis=1)[:, :K]
    shares = rng.dirichlet(np.ones(K), N)
    # Rows that sum to less than one.
    shares[:50, 2] = 0
    # Repeated actions add up.
    again = rng.integers(0, ACTIONS, (N, K))
    return [TopK(actions), TopK(actions, shares), TopK(again), TopK(again, shares), TopK(actions[:, :1])]


@pytest.fixture(params=range(5))
def policy(request: pytest.FixtureRequest) -> TopK:
    return policies()[request.param]


@pytest.fixture
def log() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    return rng.integers(0, ACTIONS, N), rng.uniform(0.01, 1, N)


def test_weights_matches_and_expectations_are_those_of_the_dense_table(
    policy: TopK, log: tuple[np.ndarray, np.ndarray]
) -> None:
    action, propensity = log
    table, rows = dense(policy), np.arange(N)
    np.testing.assert_allclose(policy.weight(action, propensity), table[rows, action] / propensity, rtol=1e-12)
    np.testing.assert_allclose(policy.weight(action, 0.1), table[rows, action] / 0.1, rtol=1e-12)
    np.testing.assert_array_equal(policy.match(action), table[rows, action] > 0)
    q = np.random.default_rng(3).random((N, ACTIONS))
    found = policy.q_expected(q[rows[:, None], policy.actions])
    np.testing.assert_allclose(found, (table * q).sum(axis=1), rtol=1e-12)


def test_rows_beyond_one_block_are_weighed_in_their_place() -> None:
    n = 2 * BLOCK + 17
    actions = np.zeros((n, 2), dtype=np.int32)
    actions[:, 1] = 1
    action = np.arange(n) % 3
    np.testing.assert_array_equal(TopK(actions).weight(action, 0.25), np.where(action < 2, 2.0, 0.0))
    np.testing.assert_array_equal(TopK(actions).match(action), action < 2)


def test_a_deterministic_policy_is_certain_of_its_action() -> None:
    policy = TopK(np.array([[3], [1]]))
    assert policy.weight([3, 2], 0.5).tolist() == [2, 0]
    assert policy.match([3, 2]).tolist() == [True, False]
    assert policy.q_expected(np.array([[0.25], [0.75]])).tolist() == [0.25, 0.75]


def test_the_mean_weight_under_the_log_is_the_rows_mass(policy: TopK) -> None:
    everything = np.stack([policy.weight(np.full(N, action), 1 / ACTIONS) for action in range(ACTIONS)], axis=1)
    np.testing.assert_allclose(everything.mean(axis=1), dense(policy).sum(axis=1))


def test_a_pool_cuts_and_what_is_left_sums_to_what_it_did(policy: TopK) -> None:
    pool = np.ones(ACTIONS, dtype=bool)
    pool[[0, 5]] = False
    with pytest.warns(OPEWarning, match=r"% of the policy's mass lay outside the pool and was cut"):
        found, cut = policy.restricted(pool)
    table, left = dense(policy), dense(policy) * pool
    some = left.sum(axis=1) > 0
    scale = np.divide(table.sum(axis=1), left.sum(axis=1), out=np.zeros(N), where=some)
    np.testing.assert_allclose(dense(found), left * scale[:, None], atol=1e-12)
    assert cut.mass == pytest.approx((table - left).sum() / N)
    assert cut.empty == (~some).sum()
    assert not found.match(np.full(N, 5)).any()


def test_a_whole_pool_cuts_nothing(policy: TopK) -> None:
    found, cut = policy.restricted(np.ones(ACTIONS, dtype=bool))
    assert cut == Cut(pytest.approx(0, abs=1e-12), 0)
    np.testing.assert_allclose(dense(found), dense(policy))


def test_mass_short_of_one_stays_short() -> None:
    policy = TopK(np.array([[0, 1]]), np.array([[0.3, 0.3]]))
    with pytest.warns(OPEWarning, match=r"30\.0 % of the policy's mass lay outside the pool and was cut$"):
        found, cut = policy.restricted(np.array([True, False]))
    assert found.probabilities is not None
    np.testing.assert_allclose(found.probabilities, [[0.6, 0]])
    assert cut.mass == pytest.approx(0.3)


def test_rows_with_nothing_left_weigh_nothing_and_are_counted() -> None:
    policy = TopK(np.array([[0], [1], [1]]))
    with pytest.warns(OPEWarning, match=r"66\.7 % .* was cut, 2 of 3 rows have none left"):
        found, cut = policy.restricted(np.array([True, False]))
    assert cut == Cut(pytest.approx(2 / 3), 2)
    assert found.weight([0, 1, 0], 0.5).tolist() == [2, 0, 0]
    assert found.q_expected(np.ones((3, 1))).tolist() == [1, 0, 0]


def test_a_pool_without_any_of_the_actions_is_refused() -> None:
    with pytest.raises(OptionError, match="inside the pool"):
        TopK(np.array([[0], [1]])).restricted(np.array([False, False, True]))


@pytest.mark.parametrize("pool", [np.ones(3), np.ones((2, 2), dtype=bool), np.ones(1, dtype=bool)])
def test_a_pool_that_cannot_be_is_refused(pool: np.ndarray) -> None:
    with pytest.raises(OptionError, match=r"in_pool|actions"):
        TopK(np.array([[0], [1]])).restricted(pool)


def test_pools_are_not_indexed_from_the_end() -> None:
    with pytest.raises(OptionError, match="from 0 to 1"):
        TopK(np.array([[0], [-1]])).restricted(np.ones(2, dtype=bool))


@pytest.mark.parametrize("wrong", [0.0, -0.1, 1.5, np.nan])
def test_propensities_that_are_none_are_refused_with_their_row(wrong: float) -> None:
    policy = TopK(np.array([[0], [1], [2]]))
    with pytest.raises(OptionError, match=r"row 1 \(1 such rows\)"):
        policy.weight([0, 0, 0], [0.5, wrong, 0.5])
    with pytest.raises(OptionError, match="propensity"):
        policy.weight([0, 0, 0], wrong)


@pytest.mark.parametrize("wrong", [[-0.1, 0.5], [0.7, 0.6], [np.nan, 0.5], [np.inf, 0.0]])
def test_probabilities_that_are_none_are_refused_with_their_row(wrong: list[float]) -> None:
    with pytest.raises(OptionError, match="row 1"):
        TopK(np.array([[0, 1], [0, 1]]), np.array([[0.5, 0.5], wrong]))


@pytest.mark.parametrize("actions", [np.zeros(3, dtype=int), np.zeros((3, 0), dtype=int), np.zeros((3, 1))])
def test_actions_of_another_shape_or_kind_are_refused(actions: np.ndarray) -> None:
    with pytest.raises(OptionError, match="actions"):
        TopK(actions)


def test_arrays_of_other_lengths_are_refused() -> None:
    policy = TopK(np.array([[0, 1], [0, 1]]))
    with pytest.raises(OptionError, match="probabilities"):
        TopK(policy.actions, np.ones((2, 1)))
    with pytest.raises(OptionError, match="action"):
        policy.weight([0, 1, 2], 0.5)
    with pytest.raises(OptionError, match="action"):
        policy.match([0.0, 1.0])
    with pytest.raises(OptionError, match="propensity"):
        policy.weight([0, 1], [0.5, 0.5, 0.5])
    with pytest.raises(OptionError, match="q_at"):
        policy.q_expected(np.ones((2, 3)))
