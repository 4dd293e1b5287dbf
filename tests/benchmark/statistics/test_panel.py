"""Utilities of groups by hand."""

from __future__ import annotations

import numpy as np
import pytest

from svsim.benchmark.statistics import Panel, interval
from svsim.metrics import Resamples


def panel(user: list[list[int]], metrics: list[list[list[float]]], influencer: list[bool]) -> Panel:
    """By agent and seed, one metric."""
    flags = np.array(influencer)
    columns = [[np.array(values, dtype=float)[:, None] for values in own] for own in metrics]
    groups = {"influencer": flags, "normal": ~flags}
    return Panel([np.array(u) for u in user], columns, groups, Resamples(len(flags), count=300))


def test_overall_is_the_mean_of_seed_means() -> None:
    estimate = panel([[0, 0, 1], [0, 1, 1]], [[[1, 2, 6], [0, 2, 4]]], [True, False]).overall(0, 0)
    np.testing.assert_allclose(estimate.by_seed, [3, 2])
    assert estimate.value == 2.5


def test_utility_is_a_mean_over_users_not_rows() -> None:
    """User 0 has episodes 1, 2, 0 (mean 1), user 1 has 10 (mean 10): 5.5, not 13/4."""
    estimate = panel([[0, 0, 1], [0]], [[[1, 2, 10], [0]]], [False, False]).utility(0, "normal", 0)
    assert estimate.value == pytest.approx(5.5)
    np.testing.assert_allclose(estimate.by_seed, [(1.5 + 10) / 2, 0.0])


def test_gap_is_a_difference_of_utilities() -> None:
    built = panel([[0, 1, 2]], [[[4, 1, 3]]], [True, False, False])
    gap = built.utility(0, "normal", 0) - built.utility(0, "influencer", 0)
    assert gap.value == pytest.approx((1 + 3) / 2 - 4)
    assert (built.users("influencer"), built.users("normal")) == (1, 2)


def test_one_user_in_a_group_has_a_utility_and_no_interval() -> None:
    built = panel([[0, 1, 2]] * 3, [[[4, 1, 3]] * 3], [True, False, False])
    assert built.utility(0, "influencer", 0).record() == {"mean": 4.0, "low": None, "high": None}
    gap = built.utility(0, "normal", 0) - built.utility(0, "influencer", 0)
    assert gap.record() == {"mean": -2.0, "low": None, "high": None}


def test_a_group_without_users_has_no_utility() -> None:
    built = panel([[0, 1]], [[[4, 1]]], [False, False])
    nothing = {"mean": None, "low": None, "high": None}
    assert built.utility(0, "influencer", 0).record() == nothing
    assert (built.utility(0, "normal", 0) - built.utility(0, "influencer", 0)).record() == nothing


def test_agents_who_differ_by_a_constant_differ_without_doubt() -> None:
    """Common users and resamples: the difference of two agents has no variance though each of them has."""
    values = np.random.default_rng(0).normal(size=40)
    built = panel([list(range(40))] * 2, [[values.tolist()] * 2, [(values + 0.5).tolist()] * 2], [False] * 40)
    one, other = built.overall(0, 0), built.overall(1, 0)
    low, high = interval(one)
    assert high - low > 0.3
    np.testing.assert_allclose(interval(other - one), (0.5, 0.5), atol=1e-12)


def test_gaps_cover_and_so_do_utilities_of_small_groups() -> None:
    """Users' own means differ, the groups' true gap is .3; 12 influencers, 60 others, three seeds."""
    rng = np.random.default_rng(5)
    flags = np.arange(72) < 12
    covered = small = 0
    for _ in range(300):
        user = rng.normal(size=72) + np.where(flags, 0.0, 0.3)
        metrics = [[(user + rng.normal(size=72) * 0.5).tolist() for _ in range(3)]]
        built = panel([list(range(72))] * 3, metrics, flags.tolist())
        low, high = interval(built.utility(0, "normal", 0) - built.utility(0, "influencer", 0))
        covered += low <= 0.3 <= high
        low, high = interval(built.utility(0, "influencer", 0))
        small += low <= 0 <= high
    least = 300 * 0.95 - 4 * np.sqrt(300 * 0.95 * 0.05)
    assert min(covered, small) >= least
