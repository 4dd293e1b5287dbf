"""Streamed softmax expectations are those of the dense table."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from svsim.errors import OptionError
from svsim.ope.streaming import LowRank, SoftmaxExpectations, softmax_expectations

N, K, D = 203, 37, 5


@pytest.fixture(scope="module")
def factors() -> tuple[np.ndarray, LowRank, LowRank]:
    rng = np.random.default_rng(4)
    users, videos = rng.normal(size=(2, 20, D)), rng.normal(size=(2, K, D))
    score, reward = (LowRank(users[i].astype(np.float32), videos[i].astype(np.float32)) for i in range(2))
    return rng.integers(0, 20, N), score, reward


def dense(rows: np.ndarray, score: LowRank, reward: LowRank) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """q̄, π and q̂ in double precision."""
    s, q = (f.users.astype(float)[rows] @ f.videos.astype(float).T for f in (score, reward))
    p = np.exp(s) / np.exp(s).sum(axis=1, keepdims=True)
    return (p * q).sum(axis=1), p, q


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("block", [1, 7, N, 1_000, None])
def test_they_equal_the_dense_softmax_whatever_the_block_and_threads(
    factors: tuple[np.ndarray, LowRank, LowRank], block: int | None, threads: int
) -> None:
    rows, score, reward = factors
    action = np.random.default_rng(5).integers(0, K, N)
    found = softmax_expectations(rows, score, reward, actions=K, action=action, block=block, threads=threads)
    expected, p, q = dense(rows, score, reward)
    assert found.probability is not None
    assert found.q_logged is not None
    np.testing.assert_allclose(found.expected, expected, atol=1e-5)
    np.testing.assert_allclose(found.probability, p[np.arange(N), action], atol=1e-5)
    np.testing.assert_allclose(found.q_logged, q[np.arange(N), action], atol=1e-5)


def test_without_logged_actions_nothing_is_said_of_them(factors: tuple[np.ndarray, LowRank, LowRank]) -> None:
    found = softmax_expectations(*factors, actions=K)
    assert isinstance(found, SoftmaxExpectations)
    assert found.probability is None
    assert found.q_logged is None


def test_large_scores_do_not_overflow_and_minus_infinity_rules_out() -> None:
    table = np.array([[1e4, -1e4, -np.inf], [-np.inf, 5e3, 5e3]])
    q = np.array([[1.0, 2, 3], [4, 5, 7]])
    found = softmax_expectations(np.arange(2), lambda r: table[r], lambda r: q[r], actions=3, action=[2, 1])
    assert found.expected.tolist() == [1, 6]
    assert found.probability is not None
    assert found.probability.tolist() == [0, 0.5]


def test_the_callers_arrays_stay_as_they_were() -> None:
    table = np.random.default_rng(6).normal(size=(10, 4)).astype(np.float32)
    before = table.copy()
    softmax_expectations(np.arange(10), lambda rows: table[rows[0] : rows[-1] + 1], lambda rows: table[rows], actions=4)
    np.testing.assert_array_equal(table, before)


@pytest.mark.parametrize("name", ["actions", "threads", "block"])
def test_less_than_one_of_anything_is_refused(factors: tuple[np.ndarray, LowRank, LowRank], name: str) -> None:
    with pytest.raises(OptionError, match=name):
        softmax_expectations(*factors, **{"actions": K, name: 0})


def test_tables_of_another_width_are_refused(factors: tuple[np.ndarray, LowRank, LowRank]) -> None:
    with pytest.raises(OptionError, match="expected shape"):
        softmax_expectations(*factors, actions=K + 1)


@pytest.mark.parametrize("action", [np.full(N, K), np.full(N, -1), np.zeros(N - 1, dtype=int), np.zeros(N)])
def test_actions_outside_the_pool_are_refused(factors: tuple[np.ndarray, LowRank, LowRank], action: np.ndarray) -> None:
    with pytest.raises(OptionError, match="action"):
        softmax_expectations(*factors, actions=K, action=action)


@pytest.mark.parametrize(("score", "q"), [(np.nan, 0.0), (np.inf, 0.0), (-np.inf, 0.0), (0.0, np.nan), (0.0, np.inf)])
def test_what_is_no_number_is_refused_with_its_row(score: float, q: float) -> None:
    s, r = np.zeros((4, 3)), np.zeros((4, 3))
    s[2], r[2] = score, q
    with pytest.raises(OptionError, match="row 2"):
        softmax_expectations(np.arange(4), lambda rows: s[rows], lambda rows: r[rows], actions=3)


def test_torch_is_not_loaded() -> None:
    told = "import sys, svsim.ope.streaming, svsim.ope.top_k; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", told], check=True)
