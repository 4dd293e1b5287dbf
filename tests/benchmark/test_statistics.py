"""Intervals against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from svsim.benchmark.statistics import Estimate, Panel, interval, ratio_score
from svsim.metrics import Resamples, coverage, gini


def panel(user: list[list[int]], metric: list[list[float]], influencer: list[bool]) -> Panel:
    flags = np.array(influencer)
    columns = [np.array(values, dtype=float)[:, None] for values in metric]
    return Panel([np.array(u) for u in user], columns, flags, Resamples(len(flags)))


def test_overall_is_the_mean_of_seed_means() -> None:
    estimate = panel([[0, 0, 1], [0, 1, 1]], [[1, 2, 6], [0, 2, 4]], [True, False]).overall(0)
    np.testing.assert_allclose(estimate.by_seed, [3, 2])
    assert estimate.value == 2.5


def test_utility_is_a_mean_over_users_not_rows() -> None:
    """User 0 has episodes 1, 2, 0 (mean 1), user 1 has 10 (mean 10): 5.5, not 13/4."""
    estimate = panel([[0, 0, 1], [0]], [[1, 2, 10], [0]], [False, False]).utility("normal", 0)
    assert estimate.value == pytest.approx(5.5)


def test_gap_is_normal_minus_influencer() -> None:
    built = panel([[0, 1, 2]], [[4, 1, 3]], [True, False, False])
    assert built.gap(0).value == pytest.approx((1 + 3) / 2 - 4)
    assert (built.users("influencer"), built.users("normal")) == (1, 2)


def test_a_group_without_users_has_no_utility() -> None:
    built = panel([[0, 1]], [[4, 1]], [False, False])
    assert np.isnan(built.utility("influencer", 0).value)
    assert built.gap(0).record() == {"mean": None, "low": None, "high": None}
    assert built.utility("influencer", 0).record()["mean"] is None


def test_interval_of_seeds_alone_is_student_s() -> None:
    values = np.array([1.0, 2.0, 4.0, 3.0, 5.0])
    low, high = interval(Estimate(3.0, values, np.empty(0)))
    expected = stats.t.interval(0.95, 4, loc=3.0, scale=stats.sem(values))
    np.testing.assert_allclose((low, high), expected)


def test_interval_of_users_alone_is_the_mean_s() -> None:
    """One seed, one episode a user: the clustered bootstrap is the plain one, whose sd tends to s/√n."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=400)
    built = panel([list(range(400))], [values.tolist()], [False] * 400)
    low, high = interval(built.overall(0))
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / np.sqrt(400), rel=0.1)


def test_both_variances_add_up() -> None:
    seeds, users = np.array([1.0, 3.0]), np.array([-1.0, 1.0])
    low, high = interval(Estimate(2.0, seeds, users))
    seed_part = stats.t.ppf(0.975, 1) * seeds.std(ddof=1) / np.sqrt(2)
    user_part = stats.norm.ppf(0.975) * users.std(ddof=1)
    assert (high - low) / 2 == pytest.approx(np.hypot(seed_part, user_part))


def test_clusters_widen_the_interval() -> None:
    """Ten equal episodes of each user tell no more than one."""
    rng = np.random.default_rng(1)
    values = rng.normal(size=50)
    many = panel([np.repeat(np.arange(50), 10).tolist()], [np.repeat(values, 10).tolist()], [False] * 50)
    once = panel([list(range(50))], [values.tolist()], [False] * 50)
    np.testing.assert_allclose(interval(many.overall(0)), interval(once.overall(0)), rtol=1e-9)


def test_intervals_cover() -> None:
    """200 draws of 5 seeds × 60 users with effects of both: about 95 % of the intervals hold the truth."""
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(200):
        user, seed = rng.normal(size=60), rng.normal(size=5) * 0.15
        metrics = [(user + shift + rng.normal(size=60) * 0.3).tolist() for shift in seed]
        low, high = interval(panel([list(range(60))] * 5, metrics, [False] * 60).overall(0))
        covered += low <= 0 <= high
    # Five standard errors of a binomial share around .95 to .98.
    assert covered >= 200 * 0.95 - 5 * np.sqrt(200 * 0.95 * 0.05)


def test_score_of_the_rails_is_exact() -> None:
    random, oracle = (
        Estimate(1.0, np.array([1.0, 1.2]), np.array([0.9, 1.1])),
        Estimate(3.0, np.array([3.0, 2.9]), np.array([3.0, 3.1])),
    )
    assert ratio_score(random, random, oracle).record() == {"mean": 0.0, "low": 0.0, "high": 0.0}
    assert ratio_score(oracle, random, oracle).record() == {"mean": 1.0, "low": 1.0, "high": 1.0}
    assert ratio_score(random, random, random).record()["mean"] is None


@given(hnp.arrays(float, st.integers(1, 30), elements=st.integers(0, 10**6).map(float)))
def test_gini_is_the_mean_absolute_difference(x: np.ndarray) -> None:
    """G = Σᵢⱼ |xᵢ − xⱼ| / (2 n² x̄)."""
    if x.sum() == 0:
        assert gini(x) == 0
    else:
        expected = np.abs(x[:, None] - x[None, :]).sum() / (2 * len(x) ** 2 * x.mean())
        assert gini(x) == pytest.approx(expected, abs=1e-9)


def test_gini_and_coverage_by_hand() -> None:
    assert gini([5, 5, 5]) == 0
    assert gini([0, 0, 0, 8]) == pytest.approx(0.75)
    assert gini([]) == 0
    assert coverage([0, 2, 0, 1]) == 0.5
    assert coverage([]) == 0
