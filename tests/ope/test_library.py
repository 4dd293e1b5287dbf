"""Estimates held to those of an independent library."""

from __future__ import annotations

import numpy as np
import pytest

from svsim.ope import OPEWarning, estimate
from svsim.ope.estimates import TUNED
from tests.ope.library import EXPECTED, LOGS, RTOL, fixture_log


@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize("name", ["dm", "ips", "snips", "dr", "sndr"])
def test_values_are_the_independent_librarys(log: str, name: str) -> None:
    assert estimate(name, **fixture_log(log)).value == pytest.approx(EXPECTED[log][name], rel=RTOL)


@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize("name", ["ips_clip", "dr_clip", "switch_dr", "dros"])
def test_values_at_each_constant_are_the_independent_librarys(log: str, name: str) -> None:
    given, expected = fixture_log(log), EXPECTED[log]
    assert len(expected[name]) >= 4
    for constant, value in expected[name].items():
        if np.isnan(value):
            # 0 / 0 there at λ = 0 and a weight of 0; the limit here.
            assert (name, float(constant)) == ("dros", 0.0)
            value = expected["dm"]
        assert estimate(name, **given, constant=float(constant)).value == pytest.approx(value, rel=RTOL), constant


@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize("name", [*TUNED])
def test_tuned_values_are_the_independent_librarys(log: str, name: str) -> None:
    """The constant may differ where several give the same value."""
    assert estimate(name, **fixture_log(log)).value == pytest.approx(EXPECTED[log]["tuning"][name]["value"], rel=RTOL)


@pytest.mark.parametrize("log", LOGS)
def test_replay_is_the_independent_librarys_where_there_is_a_match(log: str) -> None:
    given, expected = fixture_log(log), EXPECTED[log]["replay"]
    if given["match"].any():
        assert estimate("replay", **given).value == pytest.approx(expected, rel=RTOL)
        return
    assert expected == 0.0
    with pytest.warns(OPEWarning, match="replay: the target agrees with no row of the log: no estimate"):
        found = estimate("replay", **given)
    assert np.isnan(found.value)
    assert found.matches == 0


@pytest.mark.parametrize("log", LOGS)
def test_sizes_of_weights_are_the_independent_librarys(log: str) -> None:
    given, expected = fixture_log(log), EXPECTED[log]["ips_rounds"]
    found = estimate("ips", **given)
    assert found.value == pytest.approx(expected["mean"], rel=RTOL)
    assert found.ess == pytest.approx(expected["ess"], rel=RTOL)
    assert found.sums.mean_weight == pytest.approx(expected["mean_weight"], rel=RTOL)
    assert found.largest_weight == pytest.approx(expected["max_weight"], rel=RTOL)
    assert found.matches == np.count_nonzero(given["weight"])
    # Rows by themselves: s² = Σ (w r − V)² / (n (n − 1)).
    n = len(given["reward"])
    assert found.standard_error**2 * (n - 1) == pytest.approx(expected["var_ddof0"], rel=RTOL)
