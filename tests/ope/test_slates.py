"""Estimators of slates: true by full enumeration of tiny designs, and a hand-worked log."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from svsim.errors import OptionError, UnknownNameError
from svsim.ope.sequences.slates import SLATE_ESTIMATORS, estimate_slate

Floats = npt.NDArray[np.float64]
Slate = tuple[int, ...]

EXACT = 1e-12


@dataclass(frozen=True)
class Design:
    """Slates of two items over L slots: a behaviour and a target that see the slots above, and rewards of each slot.

    Attributes:
        slots: L.
        behaviour, target: of each prefix (P_1 … P_k) of a slate, the probability of its last item given those above.
        reward: of each prefix, the last slot's expected reward.
    """

    slots: int
    behaviour: dict[Slate, float]
    target: dict[Slate, float]
    reward: dict[Slate, float]

    @property
    def slates(self) -> list[Slate]:
        return list(itertools.product((0, 1), repeat=self.slots))

    def along(self, table: dict[Slate, float]) -> Floats:
        """(2^L, L) a table's entries of every slate's slots."""
        return np.array([[table[slate[: k + 1]] for k in range(self.slots)] for slate in self.slates])

    @property
    def truth(self) -> float:
        return float((self.along(self.target).prod(axis=1) * self.along(self.reward).sum(axis=1)).sum())

    def marginal(self, policy: dict[Slate, float]) -> Floats:
        """(L, 2) a policy's probability of each item at each place."""
        chance = self.along(policy).prod(axis=1)
        items = np.array(self.slates)
        return np.array([[chance[items[:, k] == item].sum() for item in (0, 1)] for k in range(self.slots)])

    def expectation(self, name: str, weight: Floats, q: tuple[Floats, Floats] | None = None) -> float:
        """The estimator's over all slates that the behaviour may show."""
        q_logged, q_expected = (None, None) if q is None else q
        chance, reward = self.along(self.behaviour).prod(axis=1), self.along(self.reward)
        values = [
            estimate_slate(
                name,
                reward=reward[row : row + 1],
                weight=weight[row : row + 1],
                q_logged=None if q_logged is None else q_logged[row : row + 1],
                q_expected=None if q_expected is None else q_expected[row : row + 1],
            ).value
            for row in range(len(chance))
        ]
        return float(chance @ np.array(values))


def prefixes(slots: int) -> list[Slate]:
    return [prefix for k in range(slots) for prefix in itertools.product((0, 1), repeat=k + 1)]


def policy(rng: np.random.Generator, slots: int) -> dict[Slate, float]:
    """Conditional probabilities of items given those above, all different."""
    found = {}
    for prefix in prefixes(slots):
        if prefix[-1] == 0:
            found[prefix] = rng.uniform(0.1, 0.9)
            found[(*prefix[:-1], 1)] = 1 - found[prefix]
    return found


def cascade(seed: int, slots: int) -> Design:
    """A slot's reward depends on it and on all above."""
    rng = np.random.default_rng(seed)
    reward = {prefix: rng.normal() for prefix in prefixes(slots)}
    return Design(slots, policy(rng, slots), policy(rng, slots), reward)


def item_position(seed: int, slots: int) -> Design:
    """A slot's reward depends on its item and place alone."""
    rng = np.random.default_rng(seed)
    of_item = rng.normal(size=(slots, 2))
    reward = {prefix: float(of_item[len(prefix) - 1, prefix[-1]]) for prefix in prefixes(slots)}
    return Design(slots, policy(rng, slots), policy(rng, slots), reward)


def conditional_ratios(design: Design) -> Floats:
    return design.along(design.target) / design.along(design.behaviour)


def marginal_ratios(design: Design) -> Floats:
    ratio = design.marginal(design.target) / design.marginal(design.behaviour)
    return ratio[np.arange(design.slots), np.array(design.slates)]


def any_q(design: Design, seed: int) -> tuple[Floats, Floats]:
    """Of a model that knows nothing, consistent: q̄ is q̂ averaged over the target."""
    rng = np.random.default_rng(seed)
    q = {prefix: 3 * rng.normal() for prefix in prefixes(design.slots)}
    return design.along(q), design.along(averaged(design, q))


def averaged(design: Design, q: dict[Slate, float]) -> dict[Slate, float]:
    return {
        prefix: sum(design.target[(*prefix[:-1], item)] * q[(*prefix[:-1], item)] for item in (0, 1)) for prefix in q
    }


def true_q(design: Design) -> tuple[Floats, Floats]:
    """The target's expected sum of rewards from each slot on."""
    q: dict[Slate, float] = {}
    for prefix in sorted(prefixes(design.slots), key=len, reverse=True):
        below = [(*prefix, item) for item in (0, 1)]
        rest = sum(design.target[slate] * q[slate] for slate in below) if len(prefix) < design.slots else 0.0
        q[prefix] = design.reward[prefix] + rest
    return design.along(q), design.along(averaged(design, q))


@pytest.mark.parametrize("slots", [1, 2, 3])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", ["sips", "rips"])
def test_the_cascade_is_estimated_without_bias(name: str, seed: int, slots: int) -> None:
    design = cascade(seed, slots)
    assert abs(design.expectation(name, conditional_ratios(design)) - design.truth) < EXACT


@pytest.mark.parametrize("slots", [1, 2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_cascade_dr_is_unbiased_whatever_the_model_says(seed: int, slots: int) -> None:
    design = cascade(seed, slots)
    found = design.expectation("cascade_dr", conditional_ratios(design), any_q(design, seed + 100))
    assert abs(found - design.truth) < EXACT


@pytest.mark.parametrize("seed", range(5))
def test_cascade_dr_of_the_true_model_has_no_variance_and_needs_no_true_ratios(seed: int) -> None:
    """Every slate's term is the truth, since the rewards are not drawn; with wrong ratios as with true ones."""
    design = cascade(seed, 3)
    q_logged, q_expected = true_q(design)
    for weight in (conditional_ratios(design), np.full((8, 3), 0.3)):
        found = estimate_slate(
            "cascade_dr", reward=design.along(design.reward), weight=weight, q_logged=q_logged, q_expected=q_expected
        )
        assert abs(found.value - design.truth) < EXACT
        assert found.standard_error < EXACT


@pytest.mark.parametrize("slots", [1, 2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_items_and_positions_are_estimated_without_bias(seed: int, slots: int) -> None:
    design = item_position(seed, slots)
    assert abs(design.expectation("iips", marginal_ratios(design)) - design.truth) < EXACT
    assert abs(design.expectation("rips", conditional_ratios(design)) - design.truth) < EXACT


def test_iips_is_biased_where_slots_above_count() -> None:
    """The second slot is rewarded when it repeats the first, which the target always does and the behaviour half the time.

    The marginal probabilities of the two are the same, so that IIPS takes them for one policy: ½ instead of 1.
    """
    coin = dict.fromkeys(prefixes(2), 0.5)
    repeats = {(0,): 0.5, (1,): 0.5, (0, 0): 1.0, (0, 1): 0.0, (1, 0): 0.0, (1, 1): 1.0}
    reward = {prefix: float(len(prefix) == 2 and prefix[0] == prefix[1]) for prefix in prefixes(2)}
    design = Design(2, coin, repeats, reward)
    assert design.truth == 1
    assert design.expectation("rips", conditional_ratios(design)) == 1
    assert abs(design.expectation("iips", marginal_ratios(design)) - design.truth) == 0.5


def test_rips_is_biased_where_slots_below_count_and_sips_is_not() -> None:
    """The first slot is rewarded for the second's item: no cascade."""
    behaviour = {(0,): 0.5, (1,): 0.5, (0, 0): 0.5, (0, 1): 0.5, (1, 0): 0.5, (1, 1): 0.5}
    target = {**behaviour, (0, 0): 0.2, (0, 1): 0.8, (1, 0): 0.2, (1, 1): 0.8}
    slates = np.array(list(itertools.product((0, 1), repeat=2)))
    reward = np.column_stack([slates[:, 1], np.zeros(4)])
    weight = np.column_stack([np.ones(4), np.where(slates[:, 1] == 1, 1.6, 0.4)])
    assert target[(0, 1)] / behaviour[(0, 1)] == 1.6
    # All four slates are alike under the behaviour: their mean is the expectation.
    assert estimate_slate("sips", reward=reward, weight=weight).value == pytest.approx(0.8, abs=EXACT)
    assert estimate_slate("rips", reward=reward, weight=weight).value == pytest.approx(0.5, abs=EXACT)


@pytest.mark.parametrize("name", SLATE_ESTIMATORS)
def test_ratios_of_one_give_the_mean_over_slates_of_slot_sums(name: str) -> None:
    rng = np.random.default_rng(3)
    reward, q = rng.normal(size=(50, 4)), rng.normal(size=(50, 4))
    found = estimate_slate(name, reward=reward, weight=np.ones((50, 4)), q_logged=q, q_expected=q)
    assert found.value == pytest.approx(reward.sum(axis=1).mean(), abs=EXACT)
    assert found.ess == 50


REWARD = [[1.0, 2.0], [3.0, 4.0]]
WEIGHT = [[2.0, 0.5], [0.5, 3.0]]
Q_LOGGED = [[2.0, 1.0], [5.0, 3.0]]
Q_EXPECTED = [[2.5, 1.5], [4.0, 2.0]]
BY_HAND = {
    # (2 · ½)(1 + 2) = 3 and (½ · 3)(3 + 4) = 10.5
    "sips": (6.75, 1.0, 1.5),
    # 2 · 1 + ½ · 2 = 3 and ½ · 3 + 3 · 4 = 13.5
    "iips": (8.25, 1.25, 1.75),
    # 2 · 1 + 1 · 2 = 4 and ½ · 3 + 1.5 · 4 = 7.5
    "rips": (5.75, 1.0, 1.5),
    # 2 (1 − 2) + 2.5 + 1 (2 − 1) + 2 · 1.5 = 4.5 and ½ (3 − 5) + 4 + 1.5 (4 − 3) + ½ · 2 = 5.5
    "cascade_dr": (5.0, 1.0, 1.5),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_two_slates_by_hand(name: str) -> None:
    value, first, second = BY_HAND[name]
    found = estimate_slate(name, reward=REWARD, weight=WEIGHT, q_logged=Q_LOGGED, q_expected=Q_EXPECTED)
    assert found.name == name
    assert found.value == pytest.approx(value, abs=EXACT)
    assert found.ess == pytest.approx((first + second) ** 2 / (first**2 + second**2), abs=EXACT)
    assert found.largest_weight == max(first, second)


@pytest.mark.parametrize("name", SLATE_ESTIMATORS)
def test_a_short_slate_is_what_it_would_be_among_short_ones(name: str) -> None:
    """Two slates of one slot beside one of three: what stands past the end of a row counts for nothing."""
    rng = np.random.default_rng(8)
    values = {key: rng.uniform(0.5, 2, (3, 3)) for key in ("reward", "weight", "q_logged", "q_expected")}
    short = {key: array[:2, :1] for key, array in values.items()}
    long = {key: array[2:] for key, array in values.items()}
    for key, array in values.items():
        array[:2, 1:] = np.nan if key in ("reward", "q_logged") else -7.0
    both = estimate_slate(name, **values)
    parts = [estimate_slate(name, **short), estimate_slate(name, **long)]
    assert both.value == pytest.approx((2 * parts[0].value + parts[1].value) / 3, abs=EXACT)
    merged = parts[0].sums.total + parts[1].sums.total
    assert both.ess == pytest.approx(merged[4] ** 2 / merged[5], abs=EXACT)


@pytest.mark.parametrize("name", SLATE_ESTIMATORS)
def test_a_user_s_slates_count_as_one_cluster(name: str) -> None:
    """Every slate twice, of one user: the value and the interval of each once."""
    rng = np.random.default_rng(5)
    values = {key: rng.uniform(0.5, 2, (20, 2)) for key in ("reward", "weight", "q_logged", "q_expected")}
    once = estimate_slate(name, **values)
    twice = estimate_slate(
        name, **{key: np.repeat(array, 2, axis=0) for key, array in values.items()}, user=np.repeat(np.arange(20), 2)
    )
    assert twice.value == pytest.approx(once.value, abs=EXACT)
    assert twice.interval() == pytest.approx(once.interval(), abs=EXACT)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "one dimension": ({"reward": [1.0, 2.0]}, r"\(n, L\)"),
    "no slates": ({"reward": np.zeros((0, 2))}, r"\(n, L\)"),
    "another shape": ({"weight": [[1.0], [1.0]]}, r"weight: expected the rewards' shape \(2, 2\), found \(2, 1\)"),
    "other numbers of users": ({"user": [1, 2, 3]}, "user: expected 2 rows"),
    "no numbers": ({"weight": [["a", "b"], ["c", "d"]]}, "weight: expected an array of numbers"),
    "a ratio below 0": (
        {"weight": [[1.0, 1.0], [1.0, -0.5]]},
        r"0 or more, found -0.5 in row 1, place 1; check the prop",
    ),
    "an infinite ratio": (
        {"weight": [[1.0, np.inf], [1.0, 1.0]]},
        "weight: expected finite numbers, found inf in row 0, pl",
    ),
    "an unknown ratio": ({"weight": [[1.0, np.nan], [1.0, 1.0]]}, "weight: expected finite numbers, found nan"),
    "a gap": (
        {"reward": [[1.0, 2.0], [np.nan, 2.0]]},
        "reward: expected NaN at the end of a row alone, found it in row 1",
    ),
    "no slot": (
        {"reward": [[1.0, 2.0], [np.nan, np.nan]]},
        "expected at least one place in a row, found none in row 1",
    ),
    "an infinite reward": ({"reward": [[1.0, np.inf], [1.0, 1.0]]}, "reward: expected finite numbers"),
    "an infinite model": ({"q_expected": [[1.0, np.inf], [1.0, 1.0]]}, "q_expected: expected finite numbers"),
    "no model": ({"q_logged": None}, "cascade_dr: expected q_logged, found none"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_refused(what: str) -> None:
    changed, message = BAD[what]
    given = {"reward": REWARD, "weight": WEIGHT, "q_logged": Q_LOGGED, "q_expected": Q_EXPECTED, **changed}
    with pytest.raises(OptionError, match=message):
        estimate_slate("cascade_dr", **given)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="expected one of sips, iips, rips, cascade_dr, found 'pbm'"):
        estimate_slate("pbm", reward=REWARD, weight=WEIGHT)
