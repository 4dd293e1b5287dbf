"""Estimators of sessions: one action after another, each of which may change what comes.

The ratio of a step, `weight[i, t]`, is that of the step alone, π(a_t | x_t) / p(a_t | x_t), x_t all that was seen by then;
the estimators multiply them. A session's return is Σ_t γ^t r_t, t from 0.
"""

from __future__ import annotations

import numpy.typing as npt

from svsim.ope.estimates import Estimate
from svsim.ope.rows import Floats
from svsim.ope.sequences.cumulative import Formula, Places, checked_places, estimate_places, row_ratio, row_sums

__all__ = ["SESSION_ESTIMATORS", "estimate_sessions"]


def _pdis(places: Places) -> Floats:
    """V = mean of Σ_t γ^t (w_0 ⋯ w_t) r_t.

    Precup, Sutton, Singh 2000, "Eligibility traces for off-policy policy evaluation" (per-decision importance sampling).
    Unbiased when whatever the target may do has a propensity above 0. Its variance grows exponentially with the steps:
    few sessions of any length are still the target's.
    """
    return row_sums(places, model=False)


def _dr(places: Places) -> Floats:
    """V = mean of Σ_t γ^t [ρ_t (r_t − q̂_t) + ρ_(t−1) q̄_t], ρ_t = w_0 ⋯ w_t.

    Jiang, Li 2016, "Doubly robust off-policy value evaluation for reinforcement learning": V_t = q̄_t + w_t (r_t +
    γ V_(t+1) − q̂_t), unrolled. q̂_t predicts the discounted return from step t on, q̄_t is its mean over the target's a_t.
    Unbiased with true ratios for any q̂ fitted on other sessions; where all is deterministic and q̂ is true, without
    variance. A poor q̂ leaves the variance of PDIS, or adds to it.
    """
    return row_sums(places, model=True)


def _fqe(places: Places) -> Floats:
    """V = mean of q̄_0.

    Le, Voloshin, Yue 2019, "Batch policy learning under constraints" (fitted Q evaluation; `svsim.ope.sequences.fqe` fits
    q̂). As wrong as its model, and the interval does not know it: it tells how the first contexts vary, given q̂.
    """
    assert places.q_expected is not None, "needs is checked first"
    return places.q_expected[:, 0]


SESSION_ESTIMATORS: dict[str, Formula] = {
    "pdis": Formula(_pdis, row_ratio),
    "dr": Formula(_dr, row_ratio, ("weight", "q_logged", "q_expected")),
    "fqe": Formula(_fqe, None, ("q_expected",)),
}
"""All estimators of sessions by name."""


def estimate_sessions(
    name: str,
    *,
    reward: npt.ArrayLike,
    weight: npt.ArrayLike | None = None,
    q_logged: npt.ArrayLike | None = None,
    q_expected: npt.ArrayLike | None = None,
    user: npt.ArrayLike | None = None,
    discount: float = 1.0,
) -> Estimate:
    """Estimate a policy's value from n logged sessions of up to T steps: the mean of their discounted returns.

    Args:
        name: `pdis`, `dr` or `fqe`.
        reward: (n, T) what came of each step; NaN after the end, where all else is ignored.
        weight: (n, T) ratio of each step alone, target over behaviour; `fqe` does without.
        q_logged: (n, T) for `dr`: a model's prediction of the discounted return from step t on, given what was seen and
            the logged action, fitted on other sessions.
        q_expected: (n, T) for `dr` and `fqe`: the same model's, given what was seen and the action as the target draws it.
        user: (n,) whose each session was. None takes every session by itself.
        discount: γ, above 0 and up to 1.

    Returns:
        The estimate; its effective sample size goes by the ratios of whole sessions, for `fqe` it is their number.

    Raises:
        UnknownNameError: There is no such estimator.
        OptionError: Arrays or a discount that cannot be; something that the estimator needs is missing.
    """
    places = checked_places(
        reward=reward, weight=weight, q_logged=q_logged, q_expected=q_expected, user=user, discount=discount
    )
    return estimate_places(SESSION_ESTIMATORS, name, places)
