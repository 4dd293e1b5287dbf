"""Replay: the mean reward of the rows on which the target agrees with the log."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from svsim.ope.estimators.base import Estimator
from svsim.ope.rows import Rows
from svsim.ope.sums import Terms

__all__ = ["Replay"]


class Replay(Estimator):
    """V = Σ 1{π(x) = a} r / Σ 1{π(x) = a}.

    Li, Chu, Langford, Wang 2011, "Unbiased offline evaluation of contextual-bandit-based news article recommendation
    algorithms". For a deterministic target and uniform logging. It fails where the log is not uniform (matches then come
    from other contexts than the target's), and keeps one row in K of a log over K actions. Without a match it is NaN.
    """

    name = "replay"
    needs: ClassVar[tuple[str, ...]] = ("match",)

    def _terms(self, rows: Rows, constant: float) -> Terms:  # noqa: ARG002
        match = np.asarray(rows.match, dtype=np.float64)
        return Terms(match * rows.reward, match, counted=match)
