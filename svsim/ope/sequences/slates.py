"""Estimators of slates: several actions at once, a reward for each slot.

They differ in what they take a slot's reward to depend on, and so in which ratios they multiply: on the whole slate
(SIPS), on its own item and place alone (IIPS), on the slots down to its own (RIPS, Cascade-DR). Assuming more means
smaller weights and less variance, and bias where it is wrong.

The ratio of a slot, `weight[i, k]`, is that of the slot alone, never a product:

- `sips`, `rips`, `cascade_dr`: π(a_k | x, a_1 … a_(k−1)) / p(a_k | x, a_1 … a_(k−1)), given the slots above;
- `iips`: π_k(a_k | x) / p_k(a_k | x), marginal probabilities of the item at that place.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from svsim.ope.estimates import Estimate
from svsim.ope.rows import Floats
from svsim.ope.sequences.cumulative import Formula, Places, checked_places, estimate_places, row_ratio, row_sums

__all__ = ["SLATE_ESTIMATORS", "estimate_slate"]


def _sips(places: Places) -> Floats:
    """V = mean of (Π_k w_k) Σ_k r_k.

    Standard IPS over whole slates (as the baseline of McInerney et al. 2020). Unbiased whatever users do with a slate,
    when every slate of the target's has a propensity above 0; the product over all slots makes its variance the largest,
    and grow exponentially with their number.
    """
    return np.asarray(row_ratio(places) * places.reward.sum(axis=1))


def _iips(places: Places) -> Floats:
    """V = mean of Σ_k w_k r_k.

    Li, Abbasi-Yadkori, Kveton, Muthukrishnan, Vinay, Wen 2018, "Offline evaluation of ranking policies with click models"
    (item-position model). Unbiased when a slot's reward depends on its item and place alone; biased where what stands
    above counts too, as where users tire or stop.
    """
    assert places.weight is not None, "needs is checked first"
    return np.asarray((places.weight * places.reward).sum(axis=1))


def _rips(places: Places) -> Floats:
    """V = mean of Σ_k (w_1 ⋯ w_k) r_k.

    McInerney, Brost, Chandar, Mehrotra, Carterette 2020, "Counterfactual evaluation of slate recommendations with
    sequential reward interactions" (without their normalisation). Unbiased when a slot's reward depends on it and the
    slots above (the cascade); biased where what stands below counts too. The last slots still weigh as those of SIPS.
    """
    return row_sums(places, model=False)


def _cascade_dr(places: Places) -> Floats:
    """V = mean of Σ_k [W_k (r_k − q̂_k) + W_(k−1) q̄_k], W_k = w_1 ⋯ w_k.

    Kiyohara, Saito, Matsuhiro, Narita, Shimizu, Yamamoto 2022, "Doubly robust off-policy evaluation for ranking policies
    under the cascade behavior model": V_k = q̄_k + w_k (r_k + V_(k+1) − q̂_k), unrolled. q̂_k predicts the SUM of rewards
    from slot k on, q̄_k is its mean over the target's a_k. Under the cascade it is unbiased with true ratios for any q̂
    (fitted on other rows), and with a true q̂ for any ratios; biased where what stands below counts too.
    """
    return row_sums(places, model=True)


def _slot_mean(places: Places) -> Floats:
    """(n,) means of the slots' ratios."""
    assert places.weight is not None, "needs is checked first"
    return np.asarray(places.weight.mean(axis=1, where=places.there))


SLATE_ESTIMATORS: dict[str, Formula] = {
    "sips": Formula(_sips, row_ratio),
    "iips": Formula(_iips, _slot_mean),
    "rips": Formula(_rips, row_ratio),
    "cascade_dr": Formula(_cascade_dr, row_ratio, ("weight", "q_logged", "q_expected")),
}
"""All estimators of slates by name."""


def estimate_slate(
    name: str,
    *,
    reward: npt.ArrayLike,
    weight: npt.ArrayLike,
    q_logged: npt.ArrayLike | None = None,
    q_expected: npt.ArrayLike | None = None,
    user: npt.ArrayLike | None = None,
) -> Estimate:
    """Estimate a policy's value from n logged slates of up to L slots: the mean over slates of what their slots sum up to.

    Args:
        name: `sips`, `iips`, `rips` or `cascade_dr`.
        reward: (n, L) what came of each slot. NaN at the end of a row means that the slate was shorter; what else is said
            of such slots is ignored.
        weight: (n, L) ratio of each slot alone, target over behaviour: given the slots above it, for `iips` of the
            marginal probabilities of the item at that place.
        q_logged: (n, L) for `cascade_dr`: a model's prediction of the sum of rewards from slot k on, given the slots above
            and the logged a_k, fitted on other rows.
        q_expected: (n, L) the same model's, given the slots above and a_k as the target draws it.
        user: (n,) who each slate was shown to. None takes every slate by itself.

    Returns:
        The estimate; its effective sample size goes by the ratios of whole slates, for `iips` by the mean over the slots.

    Raises:
        UnknownNameError: There is no such estimator.
        OptionError: Arrays that cannot be; something that the estimator needs is missing.
    """
    places = checked_places(reward=reward, weight=weight, q_logged=q_logged, q_expected=q_expected, user=user)
    return estimate_places(SLATE_ESTIMATORS, name, places)
