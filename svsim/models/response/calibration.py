"""Outputs calibrated on the validation split: a slope and a shift each, by whether chance chose the video.

    η′_p = a_{k,p} + b_p η_p            for the log-hazards, by the likelihood of the play times (temperature and bias)
    logit′ = a_{k,f} + b_f logit        for no play and for the flags (Platt 1999)

k is 0 where a policy chose the video and 1 where chance did. A ridge holds b at 1, a₀ at 0 and a₁ at a₀, so that a signal of
a few positives is hardly moved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from svsim.models.response.watch import N_PHASES

__all__ = ["Calibration"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

RIDGE = (30.0, 30.0, 300.0)
"""Events that a slope, a shift, and what chance is shifted besides must be worth: of the random log, a day has few."""


@dataclass(frozen=True)
class Calibration:
    """Slopes (13,) and shifts (2, 13) of the outputs."""

    slope: Floats
    shift: Floats

    @classmethod
    def none(cls, outputs: int) -> Self:
        """One that changes nothing."""
        return cls(np.ones(outputs), np.zeros((2, outputs)))

    @classmethod
    def fit(cls, outputs: Array, chance: Array, lived: Array, ended: Array, flags: Array, extra: Array) -> Self:
        """Fit on held-out rows.

        Args:
            outputs: (n, 13) mean outputs of the members.
            chance: (n,) whether chance chose the video.
            lived: (n, 7) baseline hazard lived through by phase.
            ended: (n,) phase in which the play ended, −1 no play.
            flags: (n, F) 0 or 1.
            extra: (n, F) what play and like add to the flags' logits.
        """
        kind = np.asarray(chance).astype(np.int64)
        slope, shift = np.ones(outputs.shape[1]), np.zeros((2, outputs.shape[1]))
        played = ended >= 0
        for p in range(N_PHASES):
            # Where a phase begins a play may end, before it has lived through anything of it.
            rows = (lived[:, p] > 0) | (ended == p)
            slope[p], shift[:, p] = _fit(
                outputs[rows, p].astype(np.float64), kind[rows], (ended[rows] == p).astype(np.float64), lived[rows, p]
            )
        at = N_PHASES
        slope[at], shift[:, at] = _fit(outputs[:, at].astype(np.float64), kind, (~played).astype(np.float64))
        for f in range(flags.shape[1]):
            at = N_PHASES + 1 + f
            slope[at], shift[:, at] = _fit(
                outputs[:, at].astype(np.float64), kind, flags[:, f].astype(np.float64), offset=extra[:, f]
            )
        return cls(slope, shift)

    def __call__(self, outputs: Array, chance: Array) -> Array:
        """Calibrated outputs, of the same shape (…, 13); `chance` is (…,)."""
        return (
            outputs * self.slope.astype(np.float32) + self.shift.astype(np.float32)[np.asarray(chance).astype(np.int64)]
        )


def _fit(
    score: Floats, kind: Array, event: Floats, lived: Array | None = None, offset: Array | None = None
) -> tuple[float, Floats]:
    """Slope and two shifts by Newton's method: Poisson with exposure `lived`, else logistic."""
    design = np.column_stack([score, np.ones(len(score)), kind]).astype(np.float64)
    ridge = np.array(RIDGE)
    weight = np.array([1.0, 0.0, 0.0])
    prior = weight.copy()
    added = 0.0 if offset is None else offset
    for _ in range(30):
        eta = np.clip(design @ weight + added, -30, 30)
        if lived is None:
            mean = 1 / (1 + np.exp(-eta))
            curve = mean * (1 - mean)
        else:
            mean = curve = np.exp(eta) * lived
        gradient = design.T @ (event - mean) - ridge * (weight - prior)
        hessian = (design * curve[:, None]).T @ design + np.diag(ridge)
        step = np.linalg.solve(hessian, gradient)
        weight += step * min(1.0, 1.0 / max(np.abs(step).max(), 1e-12))
        if np.abs(step).max() < 1e-9:
            break
    return float(weight[0]), np.array([weight[1], weight[1] + weight[2]])
