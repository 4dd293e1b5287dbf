"""Slices by hand, and the interquartile mean's coverage in a simulated benchmark."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from svsim.benchmark.statistics import Slices, interquartile_mean, interval
from svsim.benchmark.statistics.slices import FEWEST_USERS, THRESHOLDS, SliceScores


def test_interquartile_mean_by_hand() -> None:
    """Of eight the two lowest and the two highest go; of five one each; of three none."""
    assert interquartile_mean(np.array([9.0, 1, 2, 3, 4, 5, 100, -50])) == pytest.approx((2 + 3 + 4 + 5) / 4)
    assert interquartile_mean(np.array([5.0, 1, 2, 3, 90])) == pytest.approx((2 + 3 + 5) / 3)
    assert interquartile_mean(np.array([1.0, 2, 6])) == 3
    assert np.isnan(interquartile_mean(np.array([1.0, np.nan, 2, 3])))


def scores(value: list[float]) -> SliceScores:
    own = np.array(value)
    return SliceScores(own, own[None, :], np.repeat(own[None, :], 3, axis=0))


def test_profile_counts_slices_above_each_threshold() -> None:
    shares = {t: share.value for t, share in zip(THRESHOLDS, scores([0.1, 0.3, 0.5, 0.9]).profile(), strict=True)}
    assert [shares[t] for t in (-0.5, 0.2, 0.4, 1.0)] == [1, 0.75, 0.5, 0]
    assert list(shares.values()) == sorted(shares.values(), reverse=True)


def test_three_slices_have_no_interquartile_mean() -> None:
    assert scores([0.1, 0.2, 0.3]).middle().record()["mean"] is None


def test_slices_are_strata_and_kinds_with_enough_users() -> None:
    """Two strata of ten users and one; kind 1 is met by stratum 0 alone. Scores are (agent − low)/(high − low) of means."""
    user = np.r_[np.arange(2 * FEWEST_USERS + 1), np.arange(FEWEST_USERS)]
    kind = np.r_[np.zeros(2 * FEWEST_USERS + 1, dtype=int), np.ones(FEWEST_USERS, dtype=int)]
    stratum = np.r_[np.zeros(FEWEST_USERS), np.ones(FEWEST_USERS), 2].astype(int)
    low, high = np.zeros(len(user)), np.full(len(user), 2.0)
    agent = np.where(kind == 1, 1.5, np.where(stratum[user] == 0, 0.5, 1.0))
    slices = Slices([user], [kind], stratum, [[low], [agent], [high]], 20)
    assert slices.keys == [(0, 0), (0, 1), (1, 0)]
    found = slices.scores(1, 0, 2)
    np.testing.assert_allclose(found.value, [0.25, 0.75, 0.5])
    np.testing.assert_allclose(found.by_seed, [[0.25, 0.75, 0.5]])
    np.testing.assert_allclose(found.resampled, np.tile([0.25, 0.75, 0.5], (20, 1)))


def test_a_seed_that_misses_a_slice_does_without() -> None:
    users = np.arange(FEWEST_USERS)
    user = [np.r_[users, users], users]
    kind = [np.r_[np.zeros_like(users), np.ones_like(users)], np.zeros_like(users)]
    rewards = [[np.full(len(u), value) for u in user] for value in (0.0, 1.0, 2.0)]
    found = Slices(user, kind, np.zeros(FEWEST_USERS, dtype=int), rewards, 5).scores(1, 0, 2)
    np.testing.assert_allclose(found.value, [0.5, 0.5])
    np.testing.assert_array_equal(np.isfinite(found.by_seed), [[True, True], [True, False]])


def test_no_slice_at_all() -> None:
    user, kind = [np.arange(3)], [np.zeros(3, dtype=int)]
    found = Slices(user, kind, np.zeros(3, dtype=int), [[np.zeros(3)], [np.ones(3)]], 7).scores(1, 0, 1)
    assert found.value.shape == (0,)
    assert found.middle().record()["mean"] is None


def test_the_interquartile_mean_covers() -> None:
    """Twelve slices whose true scores are known; users vary within strata, seeds hardly. 200 worlds.

    The estimand is the interquartile mean of the true slice scores; that of estimated ones is pulled towards their middle
    by noise, which at 40 users a slice is small against the interval.
    """
    rng = np.random.default_rng(7)
    true = np.linspace(0.1, 0.6, 12).reshape(4, 3)
    target = float(stats.trim_mean(true.ravel(), 0.25))
    stratum = np.repeat(np.arange(4), 40)
    user = np.repeat(np.arange(160), 3)
    kind = np.tile(np.arange(3), 160)
    covered = 0
    for _ in range(200):
        rewards: list[list[np.ndarray]] = [[], [], []]
        base = rng.normal(size=160)[user]
        for _ in range(3):
            noise = rng.normal(size=len(user)) * 0.3
            rewards[0].append(base)
            rewards[1].append(base + true[stratum[user], kind] + noise + 0.5 * rng.normal(size=160)[user])
            rewards[2].append(base + 1.0)
        middle = Slices([user] * 3, [kind] * 3, stratum, rewards, 200).scores(1, 0, 2).middle()
        low, high = interval(middle)
        covered += low <= target <= high
    assert covered >= 200 * 0.95 - 4 * np.sqrt(200 * 0.95 * 0.05)
