"""The direct method: what a reward model expects."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from svsim.ope.estimators.base import Estimator, given
from svsim.ope.rows import Rows
from svsim.ope.sums import Terms

__all__ = ["DirectMethod"]


class DirectMethod(Estimator):
    """V = mean of q̄(x) = mean of Σ π(b | x) q̂(x, b).

    Beygelzimer, Langford 2009, "The offset tree for learning with partial labels". As wrong as its model: where the log
    shows little of what the target would do, q̂ extrapolates, and the interval does not know it.
    """

    name = "dm"
    needs: ClassVar[tuple[str, ...]] = ("q_expected",)

    def _terms(self, rows: Rows, constant: float) -> Terms:  # noqa: ARG002
        return Terms(given(rows.q_expected), counted=np.ones(len(rows)))
