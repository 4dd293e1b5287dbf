"""Estimators held to hand-worked tables, and to all that could have happened."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest

from svsim.errors import OptionError, UnknownNameError
from svsim.ope import Estimate, OPEWarning, estimate
from svsim.ope.estimates import TUNED
from svsim.ope.estimators import ESTIMATORS

EXACT = 1e-12


THREE = {
    "reward": [1.0, 0.0, 2.0],
    "weight": [0.5, 4.0, 2.0],
    "q_logged": [0.5, 1.0, 1.0],
    "q_expected": [1.0, 0.5, 0.0],
    "match": [True, False, True],
}
"""w r = .5, 0, 4; r − q̂ = .5, −1, 1; w (r − q̂) = .25, −4, 2; q̄ sums to 1.5."""

BY_HAND = [
    ("replay", None, (1 + 2) / 2),
    ("dm", None, 1.5 / 3),
    ("ips", None, 4.5 / 3),
    ("mips", None, 4.5 / 3),
    ("snips", None, 4.5 / 6.5),
    ("dr", None, (1.5 - 1.75) / 3),
    ("mrdr", None, (1.5 - 1.75) / 3),
    ("sndr", None, 1.5 / 3 - 1.75 / 6.5),
    ("ips_clip", 0, 0.0),
    ("ips_clip", 1, (0.5 + 0 + 2) / 3),
    ("ips_clip", 3, 4.5 / 3),
    ("dr_clip", 0, 1.5 / 3),
    ("dr_clip", 1, (1.5 + 0.25 - 1 + 1) / 3),
    ("dr_clip", 3, (1.5 + 0.25 - 3 + 2) / 3),
    ("dr_clip", np.inf, (1.5 - 1.75) / 3),
    ("switch_dr", 0, 1.5 / 3),
    ("switch_dr", 1, (1.5 + 0.25) / 3),
    # A weight of the constant itself still counts.
    ("switch_dr", 2, (1.5 + 0.25 + 2) / 3),
    ("switch_dr", 4, (1.5 - 1.75) / 3),
    ("dros", 0, 1.5 / 3),
    # λ w / (w² + λ): 1 / 2.25, 8 / 18, 4 / 6.
    ("dros", 2, (1.5 + 0.5 / 2.25 - 8 / 18 + 4 / 6) / 3),
    ("dros", np.inf, (1.5 - 1.75) / 3),
]


@pytest.mark.parametrize(("name", "constant", "value"), BY_HAND)
def test_three_rows_by_hand(name: str, constant: float | None, value: float) -> None:
    assert estimate(name, **THREE, constant=constant).value == pytest.approx(value, rel=EXACT, abs=EXACT)


def test_every_estimator_is_worked_by_hand() -> None:
    assert {name for name, *_ in BY_HAND} == set(ESTIMATORS)


def test_sizes_of_three_rows_by_hand() -> None:
    found = estimate("ips", **THREE)
    assert found.ess == pytest.approx(6.5**2 / (0.25 + 16 + 4), rel=EXACT)
    assert (found.matches, found.largest_weight) == (3, 4.0)
    matches = estimate("replay", reward=THREE["reward"], match=THREE["match"])
    assert (matches.ess, matches.matches, matches.largest_weight) == (2.0, 2, 1.0)
    assert estimate("dm", reward=THREE["reward"], q_expected=THREE["q_expected"]).ess == 3.0


def test_sizes_are_those_of_what_an_estimator_uses() -> None:
    """Weights that are there for others are not replay's, nor the direct method's."""
    replay, direct = estimate("replay", **THREE), estimate("dm", **THREE)
    assert (replay.ess, replay.matches, replay.largest_weight) == (2.0, 2, 1.0)
    assert (direct.ess, direct.matches, direct.largest_weight) == (3.0, 3, 1.0)


def test_standard_errors_of_two_users_by_hand() -> None:
    """User 0 has the rows w r = .5, 0 and w = .5, 4; user 1 has 4 and 2."""
    users = [0, 0, 1]
    # IPS: ψ = (.5 − 2 · 1.5) / 3 = −(4 − 1.5) / 3; s² = 2 / 1 · 2 ψ².
    assert estimate("ips", **THREE, user=users).standard_error == pytest.approx(2 * 2.5 / 3, rel=EXACT)
    # SNIPS: ψ = (4 − 2 V) / 6.5.
    assert estimate("snips", **THREE, user=users).standard_error == pytest.approx(
        2 * (4 - 2 * 4.5 / 6.5) / 6.5, rel=EXACT
    )
    # SNDR: of q̄ (0 − .5) / 3, of the ratio (2 + 2 · 1.75 / 6.5) / 6.5.
    expected = 2 * abs(-0.5 / 3 + (2 + 2 * 1.75 / 6.5) / 6.5)
    assert estimate("sndr", **THREE, user=users).standard_error == pytest.approx(expected, rel=EXACT)


BEHAVIOUR = np.array([[0.5, 0.5], [0.2, 0.8], [0.9, 0.1]])
TARGET = np.array([[0.3, 0.7], [1.0, 0.0], [0.25, 0.75]])
CHANCE = np.array([[0.1, 0.6], [0.5, 0.9], [0.3, 0.8]])
"""(3, 2) chances of a reward of 1, else 0."""
MODEL = np.array([[0.2, 0.2], [0.9, -0.4], [0.0, 1.5]])
"""(3, 2) a wrong q̂."""
WEIGHT = TARGET / BEHAVIOUR
TRUTH = float((TARGET * CHANCE).sum(axis=1).mean())


def all_logs(behaviour: np.ndarray, target: np.ndarray) -> Iterator[tuple[float, dict[str, Any]]]:
    """The probability of each of 2³ × 2³ actions and rewards, and what an estimator takes of them."""
    row = np.arange(3)
    for actions, rewards in product(product((0, 1), repeat=3), repeat=2):
        action, reward = np.array(actions), np.array(rewards, dtype=float)
        chance = CHANCE[row, action]
        probability = behaviour[row, action] * np.where(reward == 1, chance, 1 - chance)
        yield (
            float(probability.prod()),
            {
                "reward": reward,
                "weight": (target / behaviour)[row, action],
                "q_logged": MODEL[row, action],
                "q_expected": (target * MODEL).sum(axis=1),
                "match": target.argmax(axis=1) == action,
            },
        )


def expectation(name: str, constant: float | None = None) -> float:
    return sum(p * estimate(name, **log, constant=constant).value for p, log in all_logs(BEHAVIOUR, TARGET))


@pytest.mark.parametrize("name", ["ips", "mips", "dr", "mrdr"])
def test_the_expectation_over_all_logs_is_the_truth(name: str) -> None:
    assert expectation(name) == pytest.approx(TRUTH, rel=EXACT)


def test_the_direct_method_is_biased_by_its_model() -> None:
    bias = float((TARGET * (MODEL - CHANCE)).sum(axis=1).mean())
    assert abs(bias) > 0.05
    assert expectation("dm") - TRUTH == pytest.approx(bias, rel=EXACT)


USED = {
    "ips_clip": lambda constant: np.minimum(WEIGHT, constant),
    "dr_clip": lambda constant: np.minimum(WEIGHT, constant),
    "switch_dr": lambda constant: np.where(constant < WEIGHT, 0.0, WEIGHT),
    "dros": lambda constant: constant * WEIGHT / (WEIGHT**2 + constant),
}
"""What a constant makes of the weights (3, 2)."""


@pytest.mark.parametrize("name", USED)
@pytest.mark.parametrize("constant", [0.3, 1.0, 1.4, 6.0])
def test_the_bias_of_a_constant_is_its_closed_form(name: str, constant: float) -> None:
    """E[V] − truth = mean of Σ_b p(b | x) (w′ − w) (E[r | x, b] − q̂(x, b)), with q̂ = 0 for IPS."""
    error = CHANCE - (0 if name == "ips_clip" else MODEL)
    bias = float((BEHAVIOUR * (USED[name](constant) - WEIGHT) * error).sum(axis=1).mean())
    assert expectation(name, constant) - TRUTH == pytest.approx(bias, rel=EXACT, abs=EXACT)
    assert abs(bias) > 0.001


@pytest.mark.parametrize("name", USED)
def test_without_a_cut_there_is_no_bias(name: str) -> None:
    assert expectation(name, np.inf) == pytest.approx(TRUTH, rel=EXACT)


@pytest.mark.parametrize(("uniform", "unbiased"), [(True, True), (False, False)])
def test_replay_is_unbiased_given_a_match_in_a_uniform_log_alone(uniform: bool, unbiased: bool) -> None:
    behaviour = np.full((3, 2), 0.5) if uniform else BEHAVIOUR
    target = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    matched = [(p, log) for p, log in all_logs(behaviour, target) if log["match"].any()]
    mean = sum(p * estimate("replay", **log).value for p, log in matched) / sum(p for p, _ in matched)
    assert (mean == pytest.approx((0.6 + 0.5 + 0.8) / 3, rel=EXACT)) is unbiased


def test_one_user_alone_has_no_interval() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = estimate("ips", reward=[1.0, 0.0], weight=[1.0, 1.0], user=[3, 3])
        assert np.isnan(found.interval()).all()
    assert found.value == 0.5
    assert found.warnings == ("2 effective rows", "one user alone: there is no interval")


@pytest.mark.parametrize("name", ["ips", "ips_clip", "ips_slope", "mips", "snips", "sndr", "replay"])
def test_no_match_is_no_estimate(name: str) -> None:
    none = THREE | {"weight": [0.0, 0.0, 0.0], "match": [False, False, False]}
    with pytest.warns(OPEWarning, match=f"{name}: the target agrees with no row"):
        found = estimate(name, **none)
    assert np.isnan(found.value)
    assert np.isnan(found.interval()).all()
    assert found.ess == 0.0
    assert found.warnings == ("no match: there is no estimate",)


@pytest.mark.parametrize("name", ["dr", "dr_slope", "switch_dr_slope", "dros", "mrdr"])
def test_without_a_match_the_model_alone_speaks(name: str) -> None:
    found = estimate(name, **(THREE | {"weight": [0.0, 0.0, 0.0]}))
    assert found.value == pytest.approx(1.5 / 3)
    assert found.warnings == ("no match: the model alone speaks",)


@pytest.mark.parametrize("method", ["delta", "bootstrap", "bernstein", "betting"])
def test_no_match_has_no_interval_of_zeros(method: str) -> None:
    """Zeros do not vary: an interval of theirs would be sure of 0."""
    with pytest.warns(OPEWarning):
        found = estimate("ips", reward=[1.0, 1.0, 1.0], weight=[0.0, 0.0, 0.0])
    assert found.sums.value == 0
    assert np.isnan(found.standard_error)
    assert np.isnan(found.interval(method=method, term_range=(0, 1))).all()


def test_enough_rows_are_not_warned_of() -> None:
    n = 100
    assert estimate("ips", reward=np.ones(n), weight=np.ones(n)).warnings == ()
    assert estimate("ips", reward=np.ones(n), weight=np.linspace(0.9, 1.1, n)).warnings == ("100 effective rows",)


def test_the_interval_is_students() -> None:
    """Of 1, 2, 3: V = 2, s = 1 / √3, t(.975, 2) = 4.302653."""
    found = estimate("ips", reward=[1.0, 2.0, 3.0], weight=[1.0, 1.0, 1.0])
    assert isinstance(found, Estimate)
    assert found.interval(0.95) == pytest.approx((2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5), rel=1e-6)


GOOD = {"reward": [0.0, 1.0], "weight": [1.0, 2.0], "q_logged": [0.5, 0.5], "q_expected": [0.5, 0.5]}


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        (
            "ips",
            {"weight": [1.0, -0.5]},
            r"^weight: expected ratios .*, 0 or more, found -0.5 in row 1; check the prop",
        ),
        ("ips", {"reward": [np.nan, 1.0]}, r"^reward: expected finite numbers, found nan in row 0 \(1 such rows\)"),
        ("ips", {"weight": [1.0, np.inf]}, "^weight: expected finite numbers, found inf in row 1"),
        ("dm", {"q_expected": [np.nan, np.nan]}, r"^q_expected: expected finite numbers, .* \(2 such rows\)"),
        (
            "ips",
            {"weight": [1.0, 2.0, 3.0]},
            r"^weight: expected 2 rows, one number each, found an array of shape \(3,\)",
        ),
        ("dr", {"q_logged": [[0.5, 0.5]]}, r"^q_logged: expected 2 rows, .* found an array of shape \(1, 2\)"),
        ("ips", {"user": [1]}, r"^user: expected 2 rows, one number each, found an array of shape \(1,\)"),
        ("ips", {"reward": [[0.0, 1.0]]}, r"^reward: expected one number a row, found an array of shape \(1, 2\)"),
        ("ips", {"reward": ["a", "b"]}, "^reward: expected an array of numbers, found something else"),
        ("ips", {"reward": [[0.0], [1.0, 2.0]]}, "^reward: expected an array of numbers, found something else"),
        ("ips", {"reward": [], "weight": []}, "^reward: expected at least one row, found none"),
        (
            "ips",
            {"reward_range": (0, 0.5)},
            r"^reward: expected rewards from 0 to 0.5, found 1 in row 1 .*; declare the",
        ),
        ("ips", {"reward_range": (1, 0)}, r"^reward range: expected a range such as \(0, 1\), found \(1, 0\)"),
        ("ips", {"user": [0.5, 1.5]}, "^user: expected whole numbers or texts, found float64"),
        ("replay", {"match": [0, 1]}, "^match: expected an array of bool, found one of int64"),
        ("replay", {"match": [True]}, r"^match: expected 2 rows, .* found an array of shape \(1,\)"),
        ("replay", {}, "^estimator replay: expected match, found none"),
        ("ips", {"weight": None}, "^estimator ips: expected weight, found none"),
        ("dr", {"q_logged": None}, "^estimator dr: expected q_logged, found none"),
        ("dros", {"q_expected": None}, "^estimator dros: expected q_expected, found none"),
        ("dros_slope", {"q_expected": None}, "^estimator dros: expected q_expected, found none"),
        ("ips", {"constant": 2.0}, "^estimator ips: expected no constant, found 2.0"),
        ("ips", {"constant": "slope"}, "^estimator ips: expected no constant, found 'slope'"),
        ("ips_clip", {"constant": -1.0}, "^estimator ips_clip: expected a constant from 0 to inf, found -1.0"),
        ("ips_clip", {"constant": np.nan}, "^estimator ips_clip: expected a constant from 0 to inf, found nan"),
        ("ips_clip", {"constant": "lepski"}, "^estimator ips_clip: expected a number or slope, found 'lepski'"),
        ("ips_slope", {"constant": 2.0}, "^ips_slope: expected no constant, since SLOPE chooses it, found 2.0"),
    ],
)
def test_what_cannot_be_is_refused(name: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        estimate(name, **(GOOD | changes))


def test_an_unknown_estimator_is_told_the_known_ones() -> None:
    with pytest.raises(UnknownNameError) as caught:
        estimate("drr", **GOOD)
    assert all(name in str(caught.value) for name in [*ESTIMATORS, *TUNED])
    assert str(caught.value).endswith("found 'drr'")


def test_a_declared_range_holds_its_ends() -> None:
    assert estimate("ips", **GOOD, reward_range=(0, 1)).value == 1.0
    assert estimate("ips", **(GOOD | {"reward": [0.0, 1 + 1e-12]}), reward_range=(0, 1)).value == pytest.approx(1.0)


def test_arrays_are_left_as_they_were() -> None:
    given = {name: np.array(values) for name, values in THREE.items()} | {"user": np.array(["a", "b", "a"])}
    for array in given.values():
        array.setflags(write=False)
    for name in [*ESTIMATORS, *TUNED]:
        estimate(name, **given)


def test_weights_whose_mean_is_not_one_are_told() -> None:
    weight = np.random.default_rng(0).choice([0.0, 4.0], p=[0.75, 0.25], size=2_000)
    rows = {"reward": np.ones(2_000), "user": np.arange(2_000) % 200}
    assert not estimate("ips", weight=weight, **rows).warnings
    (told,) = estimate("ips", weight=2 * weight, **rows).warnings
    assert told.endswith("ratios of probabilities have a mean of 1")
    assert told.startswith("mean weight 2.0")
