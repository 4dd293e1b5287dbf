"""Intervals against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from svsim.benchmark.statistics import Estimate, Panel, interval, p_value, ratio_score, weighted_mean
from svsim.metrics import Resamples


def panel(user: list[list[int]], metric: list[list[float]], size: int, count: int = 1_000) -> Panel:
    """One agent, one metric."""
    columns = [[np.array(values, dtype=float)[:, None] for values in metric]]
    return Panel([np.array(u) for u in user], columns, {}, Resamples(size, count=count))


def test_interval_of_seeds_alone_is_student_s() -> None:
    values = np.array([1.0, 2.0, 4.0, 3.0, 5.0])
    low, high = interval(Estimate(3.0, values, np.empty(0)))
    expected = stats.t.interval(0.95, 4, loc=3.0, scale=stats.sem(values))
    np.testing.assert_allclose((low, high), expected)


def test_interval_of_users_alone_is_the_mean_s() -> None:
    """One seed, one episode a user: the clustered bootstrap is the plain one, whose sd tends to s/√n."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=400)
    built = panel([list(range(400))], [values.tolist()], 400)
    low, high = interval(built.overall(0, 0))
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
    many = panel([np.repeat(np.arange(50), 10).tolist()], [np.repeat(values, 10).tolist()], 50)
    once = panel([list(range(50))], [values.tolist()], 50)
    np.testing.assert_allclose(interval(many.overall(0, 0)), interval(once.overall(0, 0)), rtol=1e-9)


def crossed(rng: np.random.Generator, users: int, seeds: int, sizes: tuple[float, float, float]) -> Estimate:
    """The mean of effects of users, of seeds and of both together, whose true value is 0."""
    user, seed = rng.normal(size=users) * sizes[0], rng.normal(size=seeds) * sizes[1]
    metrics = [(user + shift + rng.normal(size=users) * sizes[2]).tolist() for shift in seed]
    return panel([list(range(users))] * seeds, metrics, users, 300).overall(0, 0)


@pytest.mark.parametrize(
    ("users", "sizes"), [(60, (1.0, 0.15, 0.3)), (60, (1.0, 0.0, 1.0)), (400, (0.2, 0.3, 0.2)), (8, (1.0, 0.1, 0.3))]
)
def test_intervals_cover(users: int, sizes: tuple[float, float, float]) -> None:
    """400 worlds of five seeds: at least 95 % of the intervals hold the truth, within the chance of 400 draws.

    Users matter most, or only they, or seeds do; or there are eight users.
    """
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(400):
        low, high = interval(crossed(rng, users, 5, sizes))
        covered += low <= 0 <= high
    assert covered >= 400 * 0.95 - 4 * np.sqrt(400 * 0.95 * 0.05)


def test_eight_users_have_student_s_interval() -> None:
    """One seed, an episode each: the interval is t's with seven degrees of freedom, but for the bootstrap's own chance."""
    values = np.random.default_rng(4).normal(size=8)
    low, high = interval(panel([list(range(8))], [values.tolist()], 8).overall(0, 0))
    expected = stats.t.ppf(0.975, 7) * values.std(ddof=1) / np.sqrt(8)
    assert (high - low) / 2 == pytest.approx(expected, rel=0.1)


def test_one_user_has_no_interval() -> None:
    record = panel([[0], [0]], [[1.0], [2.0]], 1).overall(0, 0).record()
    assert record == {"mean": 1.5, "low": None, "high": None}


def test_p_value_of_seeds_alone_is_student_s() -> None:
    values = np.array([1.0, 2.0, -1.0, 3.0, 0.5])
    estimate = Estimate(float(values.mean()), values, np.empty(0))
    assert p_value(estimate) == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=1e-9)


@given(
    st.floats(-3, 3),
    hnp.arrays(float, 5, elements=st.floats(-1, 1)),
    hnp.arrays(float, 50, elements=st.floats(-1, 1)),
)
def test_p_is_below_a_twentieth_where_the_interval_does_not_hold_zero(
    value: float, by_seed: np.ndarray, resampled: np.ndarray
) -> None:
    estimate = Estimate(value, by_seed, resampled, 49.0)
    low, high = interval(estimate)
    p = p_value(estimate)
    assert 0 <= p <= 1
    if min(abs(low), abs(high)) > 1e-9:
        assert (p < 0.05) == (not low <= 0 <= high)


def test_p_value_without_spread() -> None:
    same = np.full(5, 2.0)
    assert p_value(Estimate(2.0, same, np.empty(0))) < 1e-9
    assert p_value(Estimate(0.0, np.zeros(5), np.empty(0))) == 1.0
    assert np.isnan(p_value(Estimate(2.0, same[:1], np.empty(0))))


def test_p_values_of_nothing_are_seldom_small() -> None:
    """Of 400 worlds without an effect about a twentieth have p < .05, and not many more."""
    rng = np.random.default_rng(3)
    small = sum(p_value(crossed(rng, 60, 5, (1.0, 0.15, 0.3))) < 0.05 for _ in range(400))
    assert small <= 400 * 0.05 + 4 * np.sqrt(400 * 0.95 * 0.05)


def test_weighted_mean_by_hand() -> None:
    """Weights 1 and 3; where a seed lacks the second part, the first one stands alone."""
    one = Estimate(1.0, np.array([1.0, 2.0]), np.array([0.0]), 4.0)
    two = Estimate(5.0, np.array([3.0, np.nan]), np.array([4.0]), 9.0)
    mean = weighted_mean([one, two], [1.0, 3.0])
    assert mean.value == 4.0
    np.testing.assert_allclose(mean.by_seed, [2.5, 2.0])
    np.testing.assert_allclose(mean.resampled, [3.0])


def test_score_of_the_rails_is_exact() -> None:
    random, oracle = (
        Estimate(1.0, np.array([1.0, 1.2]), np.array([0.9, 1.1])),
        Estimate(3.0, np.array([3.0, 2.9]), np.array([3.0, 3.1])),
    )
    assert ratio_score(random, random, oracle).record() == {"mean": 0.0, "low": 0.0, "high": 0.0}
    assert ratio_score(oracle, random, oracle).record() == {"mean": 1.0, "low": 1.0, "high": 1.0}
    assert ratio_score(random, random, random).record()["mean"] is None


def test_an_interval_ends_where_its_value_must() -> None:
    """A share of two seeds: Student's interval of one degree of freedom is (−.32, 1.58) without the ends."""
    share = Estimate(0.63, np.array([0.555, 0.705]), np.empty(0))
    assert interval(share) == pytest.approx((0.63 - 12.706 * 0.075, 0.63 + 12.706 * 0.075), abs=1e-3)
    assert share.record(within=(0.0, 1.0)) == {"mean": 0.63, "low": 0.0, "high": 1.0}
