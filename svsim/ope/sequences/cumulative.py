"""What slates and sessions share: rows of several places, whose ratios multiply from the first place on.

n rows of up to L places k = 1 … L, a slot of a slate or a step of a session each. With w_k the target's probability of
what was done at place k over the behaviour's, given all before it, W_k = w_1 ⋯ w_k and W_0 = 1, a row's value is

    Σ γ^(k−1) [W_k (r_k − q̂_k) + W_(k−1) q̄_k],

which unrolls V_k = q̄_k + w_k (r_k + γ V_(k+1) − q̂_k). Without a model (q̂ = q̄ = 0) it is Σ γ^(k−1) W_k r_k. A row that
ends early is right as it is, so long as what ended it was seen by then: what came after is worth nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from svsim.errors import OptionError, UnknownNameError
from svsim.ope.estimates import Estimate
from svsim.ope.rows import Flags, Floats, Ints, Rows, as_clusters, as_numbers, check_finite, check_ratios
from svsim.ope.sums import Terms, UserSums

__all__ = [
    "Formula",
    "Places",
    "check_discount",
    "checked_places",
    "estimate_places",
    "places_there",
    "row_ratio",
    "row_sums",
]


@dataclass(frozen=True)
class Places:
    """Checked arrays of n rows of up to L places; what is not there weighs 1 and is worth 0."""

    there: Flags
    """(n, L) which places a row has: the first ones, at least one."""
    reward: Floats
    """(n, L) r."""
    weight: Floats | None
    """(n, L) w."""
    q_logged: Floats | None
    """(n, L) q̂."""
    q_expected: Floats | None
    """(n, L) q̄."""
    user: Ints | None
    """(n,) clusters; None: every row by itself."""
    discount: float = 1.0
    """γ."""


@dataclass(frozen=True)
class Formula:
    """An estimator of rows of places.

    Attributes:
        terms: (n,) numbers whose mean is the value.
        size: (n,) weights of whole rows, which the effective sample size goes by; None counts all alike.
        needs: Fields of `Places` that it cannot do without.
    """

    terms: Callable[[Places], Floats]
    size: Callable[[Places], Floats] | None
    needs: tuple[str, ...] = ("weight",)


def checked_places(
    *,
    reward: npt.ArrayLike,
    weight: npt.ArrayLike | None = None,
    q_logged: npt.ArrayLike | None = None,
    q_expected: npt.ArrayLike | None = None,
    user: npt.ArrayLike | None = None,
    discount: float = 1.0,
) -> Places:
    """Check arrays and gather them.

    Args:
        reward: (n, L) r; NaN at the end of a row: no such place, and what else is said of it is ignored.
        weight: (n, L) w, 0 or more.
        q_logged: (n, L) q̂.
        q_expected: (n, L) q̄.
        user: (n,) whole numbers or texts.
        discount: γ, above 0 and up to 1.

    Raises:
        OptionError: No rows or places, other shapes, numbers that are not finite, NaN before the end of a row, weights
            below 0, a discount that cannot be.
    """
    check_discount(discount)
    rewards = as_numbers("reward", reward)
    if rewards.ndim != 2 or rewards.size == 0:
        raise OptionError(f"expected rows of places, (n, L), found an array of shape {rewards.shape}", where="reward")
    there = places_there(rewards)
    given = {"weight": weight, "q_logged": q_logged, "q_expected": q_expected}
    found = {name: None if values is None else _like(name, values, there) for name, values in given.items()}
    if found["weight"] is not None:
        found["weight"] = np.where(there, found["weight"], 1.0)
        check_ratios(found["weight"])
    clusters = None if user is None else as_clusters(user, len(rewards))
    return Places(there, np.where(there, rewards, 0.0), **found, user=clusters, discount=float(discount))


def check_discount(discount: float) -> None:
    """Refuse what is no discount.

    Raises:
        OptionError: It is not above 0 and up to 1.
    """
    if not 0 < discount <= 1:
        raise OptionError(f"expected a number above 0 and up to 1, found {discount}", where="discount")


def places_there(reward: Floats) -> Flags:
    """(n, L) which places rows have, from rewards that are NaN after a row's end.

    Raises:
        OptionError: A row without any, NaN before the end of a row, a reward without end.
    """
    there = ~np.isnan(reward)
    gaps = np.argwhere(there[:, 1:] & ~there[:, :-1])
    if len(gaps):
        row, place = gaps[0]
        raise OptionError(
            f"expected NaN at the end of a row alone, found it in row {row}, place {place}, before the end",
            where="reward",
        )
    if not there[:, 0].all():
        row = int(np.flatnonzero(~there[:, 0])[0])
        raise OptionError(
            f"expected at least one place in a row, found none in row {row}",
            where="reward",
            remedy="leave such rows out",
        )
    check_finite("reward", reward, there)
    return there


def _like(name: str, values: npt.ArrayLike, there: Flags) -> Floats:
    array = as_numbers(name, values)
    if array.shape != there.shape:
        raise OptionError(f"expected the rewards' shape {there.shape}, found {array.shape}", where=name)
    check_finite(name, array, there)
    return np.where(there, array, 0.0)


def estimate_places(formulas: Mapping[str, Formula], name: str, places: Places) -> Estimate:
    """The estimate that a formula makes of checked rows.

    Args:
        formulas: By name.
        name: Which.
        places: n rows.

    Raises:
        UnknownNameError: There is no such formula.
        OptionError: Something that it needs is missing.
    """
    if name not in formulas:
        raise UnknownNameError(f"expected one of {', '.join(formulas)}, found {name!r}", where="estimator")
    formula = formulas[name]
    for field in formula.needs:
        if getattr(places, field) is None:
            raise OptionError(f"expected {field}, found none", where=f"estimator {name}")
    size = None if formula.size is None else formula.size(places)
    rows = Rows(places.reward.sum(axis=1), size, None, None, None, places.user)
    terms = Terms(formula.terms(places))
    return Estimate(name, UserSums.of(terms, rows), terms=partial(Terms, terms.numerator))


def row_ratio(places: Places) -> Floats:
    """(n,) ratios of whole rows, W at their last place."""
    return np.asarray(_cumulated(places)[:, -1])


def row_sums(places: Places, model: bool) -> Floats:
    """(n,) values of rows, see the module.

    Args:
        places: n rows.
        model: Whether q̂ and q̄ count, or are taken as 0.
    """
    ratio = _cumulated(places)
    value = ratio * places.reward
    if model:
        assert places.q_logged is not None, "needs is checked first"
        assert places.q_expected is not None
        before = np.concatenate([np.ones((len(ratio), 1)), ratio[:, :-1]], axis=1)
        value = value - ratio * places.q_logged + before * places.q_expected
    return np.asarray((value * places.discount ** np.arange(value.shape[1])).sum(axis=1))


def _cumulated(places: Places) -> Floats:
    """(n, L) W_k = w_1 ⋯ w_k."""
    assert places.weight is not None, "needs is checked first"
    return np.asarray(np.cumprod(places.weight, axis=1))
