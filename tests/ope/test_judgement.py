"""Estimators judged: by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from svsim.errors import OptionError
from svsim.ope import estimate
from svsim.ope.truth.halves import held_out, split_users
from svsim.ope.truth.judgement import judge

TRUTH = {"random": 0.2, "a": 0.3, "b": 0.4, "c": 0.1}


def test_by_hand() -> None:
    estimated = {"random": 0.2, "a": 0.5, "b": 0.3, "c": 0.15}
    intervals = {"random": (0.1, 0.3), "a": (0.4, 0.6), "b": (0.2, 0.5), "c": (math.nan, math.nan)}
    found = judge(estimated, TRUTH, intervals=intervals)
    assert found.relative_error == pytest.approx((0 + 0.2 / 0.3 + 0.1 / 0.4 + 0.05 / 0.1) / 4)
    assert found.rmse == pytest.approx(math.sqrt((0.04 + 0.01 + 0.0025) / 4))
    # Ranks of the estimates 2 4 3 1, of the truth 2 3 4 1.
    assert found.spearman == pytest.approx(1 - 6 * 2 / (4 * 15))
    # Chosen is a, worth .3; b was worth .4, random .2.
    assert found.regret[1] == pytest.approx(0.5)
    assert found.regret[3] == 0
    assert (found.type_i, found.type_ii) == (0, 0)
    assert found.coverage == pytest.approx(2 / 3)
    chosen = np.array([0.3, 0.4, 0.2])
    assert found.sharpe[3] == pytest.approx((0.4 - 0.2) / chosen.std())


def test_types_of_error_are_shares_of_the_bad_and_of_the_good() -> None:
    truth = {**TRUTH, "d": 0.05}
    wrong = {"random": 0.25, "a": 0.1, "b": 0.5, "c": 0.0, "d": 0.3}
    found = judge(wrong, truth)
    # Bad are c and d, of which d is taken for good; good are a and b, of which a is taken for bad. random is the measure.
    assert (found.type_i, found.type_ii) == (0.5, 0.5)
    assert judge(wrong, truth, threshold=0.35).type_ii == 0


def test_the_truth_itself_is_beyond_reproach_and_scales_do_not_matter_to_ranks() -> None:
    found = judge(TRUTH, TRUTH)
    assert (found.relative_error, found.rmse, found.spearman) == (0, 0, pytest.approx(1))
    assert set(found.regret.values()) == {0}
    stretched = judge({name: 100 * value**3 for name, value in TRUTH.items()}, TRUTH)
    assert (stretched.spearman, stretched.regret) == (found.spearman, found.regret)


def test_no_estimate_ranks_last() -> None:
    found = judge({**TRUTH, "b": math.nan}, TRUTH)
    assert found.regret[1] == pytest.approx(0.5)
    assert found.type_ii == 0.5
    assert judge(dict.fromkeys(TRUTH, math.nan), TRUTH).record()["spearman"] is None


def test_what_an_estimator_leaves_open_is_decided_against_it() -> None:
    for order in (("a", "b", "c", "random"), ("b", "random", "c", "a")):
        found = judge(dict.fromkeys(order, 1.0), {name: TRUTH[name] for name in order})
        assert found.regret[1] == pytest.approx((0.4 - 0.1) / (0.4 - 0.2))


def test_where_the_reference_is_the_best_a_loss_is_a_share_of_the_whole_range() -> None:
    truth = {"random": 0.5, "a": 0.3, "b": 0.1}
    assert judge({"random": 0.0, "a": 0.0, "b": 1.0}, truth).regret[1] == 1
    assert judge({"random": 0.0, "a": 1.0, "b": 0.5}, truth).regret[1] == pytest.approx(0.5)


def test_without_the_reference_the_worst_policy_stands_for_it() -> None:
    truth = {"a": 0.3, "b": 0.5, "c": 0.1}
    assert judge({"a": 1.0, "b": 0.5, "c": 0.1}, truth).regret[1] == pytest.approx(0.2 / 0.4)


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(OptionError, match="found b, c, random"):
        judge({"a": 1.0}, TRUTH)
    with pytest.raises(OptionError, match="none at all"):
        judge({}, {})
    with pytest.raises(OptionError, match="that are numbers"):
        judge({"a": 1.0}, {"a": math.nan})


def test_halves_are_whole_users_and_speak_for_each_other() -> None:
    rng = np.random.default_rng(0)
    user = rng.integers(400, size=8_000)
    half = split_users(user)
    assert 0.4 < half.mean() < 0.6
    assert not set(user[half]) & set(user[~half])
    weight = {"random": np.ones(8_000), "good": rng.choice([0.0, 2.0], size=8_000)}
    reward = rng.random(8_000) + 0.3 * (weight["good"] > 0)
    parts = {
        name: [estimate("ips", reward=reward[own], weight=w[own], user=user[own]) for own in (half, ~half)]
        for name, w in weight.items()
    }
    judged, noise = held_out(
        {name: {"ips": own[0]} for name, own in parts.items()}, {name: own[1] for name, own in parts.items()}
    )
    assert judged["ips"].regret[1] == 0
    assert judged["ips"].rmse < 5 * noise


def test_halves_that_agree_cover_each_other_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(300):
        one, other = (estimate("ips", reward=rng.random(200), weight=np.ones(200)) for _ in range(2))
        judged, _ = held_out({"a": {"ips": one}}, {"a": other})
        covered.append(judged["ips"].coverage)
    assert np.mean(covered) == pytest.approx(0.95, abs=3 * np.sqrt(0.95 * 0.05 / 300))


def test_a_policy_without_a_reference_is_left_out() -> None:
    known = estimate("ips", reward=[1.0, 2.0, 1.0], weight=[1.0, 1.0, 1.0])
    none = estimate("replay", reward=[1.0, 2.0], match=[True, False])
    lost = replace(none, sums=replace(none.sums, sums=none.sums.sums * 0.0))
    judged, _ = held_out({name: {"ips": known} for name in ("a", "b")}, {"a": known, "b": lost})
    assert judged["ips"].rmse == 0
    with pytest.raises(OptionError, match="the same policies in both halves"):
        held_out({"a": {"ips": known}}, {"b": known})
