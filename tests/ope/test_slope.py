"""Constants that SLOPE chooses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from svsim.ope import estimate
from svsim.ope.estimates import TUNED, estimate_rows
from svsim.ope.estimators import ESTIMATORS
from svsim.ope.rows import checked_rows
from svsim.ope.slope import slope
from tests.ope.library import fixture_log


class TestSlope:
    def rows(self, n: int = 200, **changes: Any) -> Any:
        rng = np.random.default_rng(0)
        arrays = {"reward": rng.random(n), "weight": rng.exponential(size=n), "q_logged": np.zeros(n)}
        return checked_rows(**({**arrays, "q_expected": np.zeros(n)} | changes))

    @pytest.mark.parametrize("name", TUNED.values())
    def test_the_largest_constant_counts_when_nothing_varies(self, name: str) -> None:
        """Weights of 1 and a model without error: no constant gains anything."""
        half = np.full(20, 0.5)
        same = self.rows(20, reward=half, weight=np.ones(20), q_logged=half, q_expected=half)
        tuned = slope(ESTIMATORS[name], same)
        assert (tuned.constant, tuned.guarded) == (np.inf, False)
        assert ESTIMATORS[name].terms(same, tuned.constant).plain == pytest.approx(half)

    def test_a_biased_constant_far_from_the_others_is_not_chosen(self) -> None:
        """Every weight 20: what is cut to 10 says half, with no width to excuse it."""
        n = 1_000
        rows = self.rows(n, weight=np.full(n, 20.0))
        assert slope(ESTIMATORS["ips_clip"], rows).constant == np.inf

    def test_a_constant_within_reach_is_chosen(self) -> None:
        """Rewards without a mean: no cut moves the value, the smallest one has the narrowest interval."""
        reward = np.tile([1.0, -1.0], 100)
        rows = self.rows(200, reward=reward, weight=np.repeat([0.1, 20.0], 100))
        assert slope(ESTIMATORS["ips_clip"], rows).constant == 1.0

    def test_the_guard_keeps_the_least_biased_constant(self) -> None:
        rows = self.rows(reward=np.tile([1.0, -1.0], 100), weight=np.repeat([0.1, 20.0], 100))
        size = (100 * 0.1 + 100 * 20.0) ** 2 / (100 * 0.01 + 100 * 400.0)
        below = slope(ESTIMATORS["ips_clip"], rows, guard=size + 0.01)
        assert (below.constant, below.guarded) == (np.inf, True)
        assert slope(ESTIMATORS["ips_clip"], rows, guard=size - 0.01).guarded is False
        told = estimate_rows("ips_slope", rows, guard=size + 0.01)
        assert (told.constant, told.guarded) == (np.inf, True)
        assert "too few effective rows to choose a constant" in told.warnings

    def test_one_row_keeps_the_largest_constant(self) -> None:
        """Its widths are infinite, all of them within the reach of all."""
        one = checked_rows(reward=[1.0], weight=[20.0])
        assert slope(ESTIMATORS["ips_clip"], one).constant == np.inf

    def test_a_cut_that_cuts_nothing_is_not_reported(self) -> None:
        """Weights up to 5: 5, 10 and inf say the same."""
        assert estimate("ips_slope", **fixture_log("uniform_softmax")).constant == np.inf

    def test_left_out_or_asked_for_it_is_the_same(self) -> None:
        given = fixture_log("uniform_softmax")
        by_name, left, asked = (
            estimate("ips_slope", **given),
            estimate("ips_clip", **given),
            estimate("ips_clip", **given, constant="slope"),
        )
        assert by_name.constant == left.constant == asked.constant
        assert by_name.value == left.value == asked.value
