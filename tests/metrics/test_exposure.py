"""Exposure by hand and by definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from svsim.metrics import coverage, gini, lorenz_curve, tail_share


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


def test_tail_is_all_but_the_most_popular_fifth() -> None:
    """Of five items the most popular one, the third, is the head: 2 of 10 exposures are its."""
    assert tail_share([4, 1, 2, 3, 0], [3, 1, 9, 2, 0]) == pytest.approx(0.8)
    assert tail_share([0, 0, 7], [1, 2, 3]) == 0
    assert tail_share([0, 0], [1, 2]) == 0
    assert tail_share([5, 5], [1, 1]) == pytest.approx(0.5), "of equal ones the first is the head"


def test_the_lorenz_curve_is_what_gini_measures() -> None:
    """One of four has all: 0 up to ¾, then a straight line; twice the area to the diagonal is 1 − 1/4."""
    np.testing.assert_allclose(lorenz_curve([0, 0, 5, 0], [0, 0.5, 0.75, 0.875, 1]), [0, 0, 0, 0.5, 1])
    np.testing.assert_allclose(lorenz_curve([2, 2, 2], [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9])
    np.testing.assert_array_equal(lorenz_curve([0, 0], [0.5, 1.0]), [0, 0])
    exposures = np.random.default_rng(0).geometric(0.1, 50)
    shares = np.linspace(0, 1, 51)
    area = np.trapezoid(shares - lorenz_curve(exposures, shares), shares)
    assert 2 * area == pytest.approx(gini(exposures))
