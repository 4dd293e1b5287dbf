"""Doubly robust: the model's value, corrected by the weighed errors of the model."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from svsim.ope.estimators.base import Estimator, given
from svsim.ope.rows import Floats, Rows
from svsim.ope.sums import Terms

__all__ = ["MRDR", "SNDR", "ClippedDR", "DoublyRobust", "DoublyRobustShrinkage", "SwitchDR"]

_NEEDS = ("weight", "q_logged", "q_expected")


def _corrected(rows: Rows, weight: Floats) -> Terms:
    """q̄ + weight (r − q̂)."""
    return Terms(given(rows.q_expected) + weight * (rows.reward - given(rows.q_logged)))


class DoublyRobust(Estimator):
    """V = mean of q̄ + w (r − q̂).

    Dudík, Erhan, Langford, Li 2014, "Doubly robust policy evaluation and optimization". Unbiased when the propensities
    are true or q̂ is; q̂ must not have been fitted on the rows themselves. Large weights still hurt where q̂ is poor.
    """

    name = "dr"
    needs: ClassVar[tuple[str, ...]] = _NEEDS
    unbiased = True

    def _terms(self, rows: Rows, constant: float) -> Terms:  # noqa: ARG002
        return _corrected(rows, given(rows.weight))


class MRDR(DoublyRobust):
    """DR whose q̂ was fitted to make DR's variance small; see `svsim.ope.logs.reward_model`.

    Farajtabar, Chow, Ghavamzadeh 2018, "More robust doubly robust off-policy evaluation". The formula is DR's; what
    differs is the q̂ that is handed in. Few matches make that fit poor, and DR with a plain fit better.
    """

    name = "mrdr"


class ClippedDR(Estimator):
    """V = mean of q̄ + min(w, λ) (r − q̂).

    Su, Dimakopoulou, Krishnamurthy, Dudík 2020, "Doubly robust off-policy evaluation with shrinkage" (pessimistic
    shrinkage). λ = 0 is DM, λ = ∞ is DR; in between biased by the model's error on what is cut.
    """

    name = "dr_clip"
    needs: ClassVar[tuple[str, ...]] = _NEEDS
    grid = (1.0, 2.0, 5.0, 10.0, np.inf)

    def _terms(self, rows: Rows, constant: float) -> Terms:
        return _corrected(rows, np.minimum(given(rows.weight), constant))


class SNDR(Estimator):
    """V = mean of q̄ + Σ w (r − q̂) / Σ w.

    Thomas, Brunskill 2016, "Data-efficient off-policy policy evaluation for reinforcement learning" (weighted doubly
    robust). Biased by the order of 1 / n, of less variance than DR. Without a match it is NaN.
    """

    name = "sndr"
    needs: ClassVar[tuple[str, ...]] = _NEEDS

    def _terms(self, rows: Rows, constant: float) -> Terms:  # noqa: ARG002
        weight = given(rows.weight)
        return Terms(weight * (rows.reward - given(rows.q_logged)), weight, given(rows.q_expected))


class SwitchDR(Estimator):
    """V = mean of q̄ + w 1{w ≤ λ} (r − q̂).

    Wang, Agarwal, Dudík 2017, "Optimal and adaptive off-policy evaluation in contextual bandits". Where the weight is
    above λ the model alone speaks; of a deterministic target against uniform logging all weights are alike, so that it is
    DR or DM and nothing in between.
    """

    name = "switch_dr"
    needs: ClassVar[tuple[str, ...]] = _NEEDS
    grid = (1.0, 2.0, 5.0, 10.0, np.inf)

    def _terms(self, rows: Rows, constant: float) -> Terms:
        weight = given(rows.weight)
        return _corrected(rows, weight * (weight <= constant))


class DoublyRobustShrinkage(Estimator):
    """V = mean of q̄ + λ w / (w² + λ) (r − q̂).

    Su, Dimakopoulou, Krishnamurthy, Dudík 2020 (optimistic shrinkage). λ = 0 is DM, the limit, λ = ∞ is DR.
    """

    name = "dros"
    needs: ClassVar[tuple[str, ...]] = _NEEDS
    grid = (1.0, 10.0, 100.0, np.inf)

    def _terms(self, rows: Rows, constant: float) -> Terms:
        weight = given(rows.weight)
        if constant == 0:
            return _corrected(rows, np.zeros_like(weight))
        # Divided by λ, so that an infinite one needs no case of its own.
        return _corrected(rows, weight / (weight * weight / constant + 1))
