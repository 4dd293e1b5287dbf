"""Differences of policies: by hand, by closed forms, by simulation."""

from __future__ import annotations

import json
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from svsim.errors import OptionError, UnknownNameError
from svsim.ope import Estimate, OPEWarning, estimate
from svsim.ope.differences import compare, holm

P = st.one_of(st.floats(0, 1), st.just(float("nan")))
PS = st.dictionaries(st.text(max_size=3), P, max_size=8)


def test_holm_by_hand() -> None:
    """.01 · 4, .02 · 3, .03 · 2 = .06 and .04 · 1, which is not less than the one before."""
    found = holm({"d": 0.04, "a": 0.01, "c": 0.03, "b": 0.02})
    assert list(found) == ["d", "a", "c", "b"]
    assert found == pytest.approx({"d": 0.06, "a": 0.04, "c": 0.06, "b": 0.06})
    assert holm({"a": 0.5, "b": 0.6}) == {"a": 1.0, "b": 1.0}
    assert holm({"a": 0.03}) == {"a": 0.03}
    assert holm({}) == {}


def test_what_has_no_p_value_does_not_count() -> None:
    found = holm({"a": 0.01, "none": float("nan"), "b": 0.03})
    assert (found["a"], found["b"]) == pytest.approx((0.02, 0.03))
    assert np.isnan(found["none"])


@given(PS)
def test_holm_lies_between_no_correction_and_bonferronis(p_values: dict[str, float]) -> None:
    found = holm(p_values)
    known = {name: p for name, p in p_values.items() if p == p}
    for name, p in known.items():
        assert p <= found[name] <= min(1.0, len(known) * p)
    order = sorted(known, key=lambda name: known[name])
    assert [found[name] for name in order] == sorted(found[name] for name in order)


@given(PS, st.sampled_from([0.01, 0.05, 0.2]))
def test_holm_rejects_step_by_step(p_values: dict[str, float], level: float) -> None:
    """Holm's own rule: from the smallest on, while p is at most level / (how many are left)."""
    known = sorted((p, name) for name, p in p_values.items() if p == p)
    rejected = set()
    for rank, (p, name) in enumerate(known):
        if p * (len(known) - rank) > level:
            break
        rejected.add(name)
    # Equal p-values stand and fall together.
    assert {name for name, p in holm(p_values).items() if p <= level} == rejected


@pytest.mark.parametrize("p", [-0.1, 1.5])
def test_holm_refuses_what_is_no_probability(p: float) -> None:
    with pytest.raises(OptionError, match="expected a p-value from 0 to 1"):
        holm({"a": p})


def ips(reward: object, weight: object, user: object = None) -> Estimate:
    return estimate("ips", reward=reward, weight=weight, user=user)  # type: ignore[arg-type]


def test_a_difference_of_plain_means_is_the_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    reward, one, other = rng.random(60), rng.random(60) + 0.5, rng.random(60)
    found = compare({"one": ips(reward, one), "other": ips(reward, other)}, "other", 0.9)["one"]
    expected = stats.ttest_rel(reward * one, reward * other)
    ends = expected.confidence_interval(0.9)
    assert found.value == pytest.approx((reward * (one - other)).mean())
    assert found.p_value == pytest.approx(expected.pvalue)
    assert found.adjusted_p == found.p_value
    assert found.interval == pytest.approx((ends.low, ends.high))
    assert found.better is True


def test_three_users_by_hand() -> None:
    """Terms A: 1, 2 | 3 | 0 and B: 0, 1 | 1 | 1 by user: A − B is 2, 2, −1 in 4 rows, mean ¾.

    ψ = (2 − 2 · ¾, 2 − ¾, −1 − ¾) / 4 = (½, 5/4, −7/4) / 4, s² = 3/2 · (1/4 + 25/16 + 49/16) / 16 = 117/256.
    """
    user, weight = [0, 0, 1, 2], np.ones(4)
    made = {"a": ips([1.0, 2.0, 3.0, 0.0], weight, user), "b": ips([0.0, 1.0, 1.0, 1.0], weight, user)}
    found = compare(made, "b")["a"]
    assert found.value == pytest.approx(0.75)
    assert found.standard_error == pytest.approx(np.sqrt(117) / 16)
    # Student's t with two degrees of freedom has a closed form.
    t = 0.75 / found.standard_error
    assert found.p_value == pytest.approx(1 - t / np.sqrt(2 + t * t))
    assert found.better is None


def test_which_is_better_goes_by_the_corrected_p_value() -> None:
    """Terms of mean d and standard error 1 / √n: p-values of chosen sizes, one of which Holm's correction undoes."""
    n = 400
    noise = stats.norm.ppf((np.arange(n) + 0.5) / n)
    noise *= 1 / noise.std(ddof=1)
    wanted = {"up": 0.001, "down": 0.002, "hardly": 0.04, "not": 0.6}
    shift = {name: NormalDist().inv_cdf(1 - p / 2) / np.sqrt(n) for name, p in wanted.items()}
    shift["down"] *= -1
    rewards = {name: noise + d for name, d in shift.items()} | {"base": np.zeros(n)}
    found = compare({name: ips(reward, np.ones(n)) for name, reward in rewards.items()}, "base")
    assert {name: found[name].p_value for name in wanted} == pytest.approx(wanted, rel=0.1)
    assert {name: found[name].better for name in wanted} == {"up": True, "down": False, "hardly": None, "not": None}
    assert found["hardly"].adjusted_p == pytest.approx(2 * found["hardly"].p_value)


def test_pairing_narrows_the_difference_of_policies_that_agree() -> None:
    """Two policies that weigh alike but for a tenth: what both owe to the rewards cancels."""
    rng = np.random.default_rng(1)
    user = np.repeat(np.arange(100), 10)
    reward = rng.random(1_000) + rng.normal(size=100)[user]
    weight = rng.exponential(size=1_000)
    made = {"a": ips(reward, weight, user), "b": ips(reward, weight * rng.uniform(0.9, 1.1, 1_000), user)}
    paired = compare(made, "b")["a"].standard_error
    unpaired = np.hypot(made["a"].standard_error, made["b"].standard_error)
    assert paired < unpaired / 5


def test_paired_intervals_cover() -> None:
    """500 logs of 100 users with an effect of their own: the interval of a ratio's difference holds the truth.

    Rows are weighed 0 or 2 by policy A and the other way round by B; A's rows earn ¼ more.
    """
    rng = np.random.default_rng(2)
    users, rows, logs = 100, 5, 500
    covered = 0
    for _ in range(logs):
        user = np.repeat(np.arange(users), rows)
        chosen = rng.random(users * rows) < 0.5
        reward = rng.normal(size=users)[user] + 0.25 * chosen + rng.normal(size=users * rows)
        made = {
            name: estimate("snips", reward=reward, weight=2.0 * (chosen == own), user=user)
            for name, own in (("a", True), ("b", False))
        }
        low, high = compare(made, "b")["a"].interval
        covered += low <= 0.25 <= high
    assert abs(covered / logs - 0.95) <= 4 * np.sqrt(0.95 * 0.05 / logs)


def test_a_policy_against_itself_or_its_like() -> None:
    own, weight = ips([1.0, 0.0, 1.0], [1.0, 2.0, 0.5]), np.array([1.0, 2.0, 0.5])
    found = compare({"a": own, "same": ips([1.0, 0.0, 1.0], weight)}, "a")
    assert (found["same"].value, found["same"].p_value, found["same"].better) == (0.0, 1.0, None)
    assert found["a"].value == 0
    assert found["a"].better is None


def test_itself_is_no_comparison() -> None:
    """One other policy: nothing to correct for."""
    made = {"a": ips([1.0, 0.0, 1.0], np.ones(3)), "b": ips([1.0, 0.0, 0.0], np.ones(3))}
    found = compare(made, "a")["b"]
    assert found.adjusted_p == found.p_value


def test_no_estimate_is_no_difference() -> None:
    reward, user = [1.0, 0.0, 1.0], [0, 1, 2]
    with pytest.warns(OPEWarning):
        none = estimate("snips", reward=reward, weight=np.zeros(3), user=user)
    made = {"base": ips(reward, np.ones(3), user), "other": ips(reward, [2.0, 1.0, 1.0], user), "none": none}
    found = compare(made, "base")
    assert np.isnan([found["none"].value, found["none"].p_value, found["none"].adjusted_p]).all()
    assert found["none"].better is None
    assert found["other"].adjusted_p == found["other"].p_value
    written = json.loads(json.dumps(found["none"].record(), allow_nan=False))
    assert written.keys() == {"value", "low", "high", "standard_error", "p_value", "adjusted_p", "better"}
    assert set(written.values()) == {None}
    without = compare(made, "none")
    assert np.isnan([own.value for own in without.values()]).all()
    assert {own.better for own in without.values()} == {None}


def test_one_user_alone_tells_nothing() -> None:
    made = {"a": ips([1.0, 0.0], [1.0, 2.0], [3, 3]), "b": ips([1.0, 0.0], [2.0, 2.0], [3, 3])}
    found = compare(made, "b")["a"]
    assert found.value == pytest.approx(-0.5)
    assert np.isnan([*found.interval, found.standard_error, found.p_value]).all()
    assert found.better is None


def test_only_estimates_of_the_same_users_are_compared() -> None:
    made = {"a": ips([1.0, 0.0], [1.0, 1.0], [1, 2]), "b": ips([1.0, 0.0], [1.0, 1.0], [1, 3])}
    with pytest.raises(OptionError, match="a: expected the 2 users of what it is compared with"):
        compare(made, "b")
    with pytest.raises(UnknownNameError, match="expected one of a, b, found 'c'"):
        compare(made, "c")
    with pytest.raises(OptionError, match="level"):
        compare(made, "b", 1.0)
