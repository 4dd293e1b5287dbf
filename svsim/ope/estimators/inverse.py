"""Inverse propensity scoring: rewards weighed by how much likelier the target is to act as logged."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from svsim.ope.estimators.base import Estimator, given
from svsim.ope.rows import Rows
from svsim.ope.sums import Terms

__all__ = ["IPS", "MIPS", "SNIPS", "ClippedIPS"]


class IPS(Estimator):
    """V = mean of w r.

    Horvitz, Thompson 1952; Precup, Sutton, Singh 2000. Unbiased when every action that the target may take has a
    propensity above 0. Its variance grows with the second moment of the weights; and it moves when a constant is added to
    all rewards.
    """

    name = "ips"
    needs: ClassVar[tuple[str, ...]] = ("weight",)
    unbiased = True

    def _terms(self, rows: Rows, constant: float) -> Terms:  # noqa: ARG002
        return Terms(given(rows.weight) * rows.reward)


class ClippedIPS(Estimator):
    """V = mean of min(w, λ) r.

    Ionides 2008, "Truncated importance sampling"; Bottou et al. 2013. Rewards of 0 or more are underrated by what is cut;
    λ = ∞ is IPS, λ = 0 gives 0.
    """

    name = "ips_clip"
    needs: ClassVar[tuple[str, ...]] = ("weight",)
    grid = (1.0, 2.0, 5.0, 10.0, np.inf)

    def _terms(self, rows: Rows, constant: float) -> Terms:
        return Terms(np.minimum(given(rows.weight), constant) * rows.reward)


class SNIPS(Estimator):
    """V = Σ w r / Σ w.

    Swaminathan, Joachims 2015, "The self-normalized estimator for counterfactual learning". Stays within the rewards'
    range and keeps up with a constant added to them; biased by the order of 1 / n. Without a match it is NaN.
    """

    name = "snips"
    needs: ClassVar[tuple[str, ...]] = ("weight",)

    def _terms(self, rows: Rows, constant: float) -> Terms:  # noqa: ARG002
        weight = given(rows.weight)
        return Terms(weight * rows.reward, weight)


class MIPS(Estimator):
    """V = mean of w(x, e) r, the weights being those of the action's group e: π(e | x) / p(e | x).

    Saito, Joachims 2022, "Off-policy evaluation for large action spaces via embeddings". Groups make weights smaller and
    support wider. Its bias is what the reward depends on the action beyond its group, where target and log also differ
    within the group.
    """

    name = "mips"
    needs: ClassVar[tuple[str, ...]] = ("weight",)

    def _terms(self, rows: Rows, constant: float) -> Terms:  # noqa: ARG002
        return Terms(given(rows.weight) * rows.reward)
