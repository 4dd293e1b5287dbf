"""Resampled sums against what is known of draws with replacement."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svsim.metrics import Resamples


@given(st.integers(2, 40), st.integers(1, 30), st.integers(0, 5))
def test_each_resample_draws_as_many_users_as_there_are(users: int, count: int, seed: int) -> None:
    draws = Resamples(users, seed=seed, count=count).totals(np.eye(users))
    assert draws.shape == (count, users)
    assert (draws.sum(axis=1) == users).all()
    assert (draws >= 0).all()
    assert (draws == draws.round()).all()


def test_draws_are_multinomial() -> None:
    """Each user's number of draws has mean 1, variance 1 − 1/U and covariance −1/U with another's."""
    users, count = 20, 20_000
    draws = Resamples(users, count=count).totals(np.eye(users))
    # Five standard errors of a mean, and of a variance whose fourth moment is about that of a Poisson's, 4.
    assert draws.mean(axis=0) == pytest.approx(np.ones(users), abs=5 / np.sqrt(count))
    expected = np.eye(users) - 1 / users
    np.testing.assert_allclose(np.cov(draws.T), expected, atol=5 * np.sqrt(3 / count))


def test_the_mean_s_spread_is_its_standard_error() -> None:
    values = np.random.default_rng(0).normal(size=400)
    means = Resamples(400, count=4_000).totals(values[:, None])[:, 0] / 400
    # An sd of 4,000 draws is known to 1 / √8,000.
    assert means.std() == pytest.approx(values.std() / np.sqrt(400), rel=5 / np.sqrt(8_000))
    assert means.mean() == pytest.approx(values.mean(), abs=5 * means.std() / np.sqrt(4_000))


def test_paired_resamples_cancel_what_is_shared() -> None:
    resamples = Resamples(30)
    shared = np.random.default_rng(3).normal(size=(30, 1))
    one, other = resamples.totals(shared), resamples.totals(shared + 1.0)
    np.testing.assert_allclose(other - one, 30.0)


def test_the_same_seed_draws_alike_however_many_columns_and_resamples() -> None:
    values = np.random.default_rng(1).random((50, 3))
    whole = Resamples(50, seed=4, count=100).totals(values)
    np.testing.assert_array_equal(Resamples(50, seed=4, count=100).totals(values), whole)
    np.testing.assert_allclose(Resamples(50, seed=4, count=13).totals(values[:, 1:]), whole[:13, 1:])
    assert not np.allclose(Resamples(50, seed=5, count=100).totals(values), whole)


def test_one_user_alone_does_not_vary() -> None:
    assert Resamples(1).totals(np.ones((1, 7))).shape == (0, 7)
