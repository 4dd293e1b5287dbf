"""Leaving a session and coming back, learned from where a log's sessions end.

    logit P(leave after a video) = β · f            ln(return gap in hours) = γ · f + σ ε

f: running disappointment (exponential mean, .9 a step, of expected minus realised watch ratio), shares of repeated tags
and of repeated authors among the last ten videos, ln(1 + minutes) and ln(1 + videos) of the session, hour of the day (two
harmonics). A session ends where the next row is more than 30 minutes away.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from svsim.models.response.inputs import clock

__all__ = ["FEATURES", "GAP_PERCENTILES", "LAST", "WHOLE_SESSION", "Leaving", "leaving_features", "repeated_shares"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

FEATURES = (
    "intercept", "disappointment", "repeated_tags", "repeated_authors", "log_minutes", "log_videos", "sin_hour", "cos_hour",
    "sin_2_hours", "cos_2_hours",
)  # fmt: skip
LAST = 10
"""Videos among which repetition is counted."""
DISAPPOINTMENT_DECAY = 0.9
RIDGE = 1.0
WHOLE_SESSION = 5.0
"""Mean length from which a log's sessions count as whole: KuaiRand-Pure's are cut-outs of one or two videos."""
GAP_PERCENTILES = (10, 25, 50, 75, 90)
LEAST_GAP_H = 0.5 + 1 / 60


def repeated_shares(rings: Array) -> Floats:
    """(n, 2) shares of the last ten first tags, and of the last ten authors, that stand among them already.

    Args:
        rings: (n, 3, ≥ 10) videos, authors and first tags, newest last; −1 and 0 are none.
    """
    last = np.sort(rings[:, :0:-1, -LAST:], axis=2)
    known = last > 0
    again = (last[:, :, 1:] == last[:, :, :-1]) & known[:, :, 1:]
    return np.asarray(again.sum(axis=2) / np.maximum(known.sum(axis=2), 1))


def leaving_features(disappointment: Array, repeated: Floats, minutes: Array, videos: Array, time_ms: Array) -> Floats:
    """(n, 10) float64 in the order of `FEATURES`; `repeated` is (n, 2), the other arguments (n,)."""
    out = np.empty((len(videos), len(FEATURES)))
    out[:, 0] = 1.0
    out[:, 1] = disappointment
    out[:, 2:4] = repeated
    out[:, 4] = np.log1p(np.maximum(minutes, 0.0))
    out[:, 5] = np.log1p(videos)
    out[:, 6:] = clock(time_ms)
    return out


@dataclass(frozen=True)
class Leaving:
    """Coefficients in the order of `FEATURES`.

    Attributes:
        leave: (10,) of the hazard.
        gap: (10,) of ln(gap in hours).
        gap_sd: σ.
        follows: (2,) share of videos after which the request goes on, where the session does: after no click, after one.
        gap_quantiles: (2, 5) `GAP_PERCENTILES` of the gaps it was fitted to, and of those that the fit draws there.
        whole: Whether the log's sessions are whole; of cut-outs nobody can tell when users left.
    """

    leave: Floats
    gap: Floats
    gap_sd: float
    follows: Floats
    gap_quantiles: Floats
    whole: bool = True

    @classmethod
    def fit(cls, features: Floats, left: Array, gap_h: Array, goes_on: Array, click: Array) -> Self:
        """Fit to rows of a log.

        Args:
            features: (n, 10) after each row's video.
            left: (n,) whether the session ended there.
            gap_h: (n,) hours to the user's next row where it did, NaN where there is none.
            goes_on: (n,) whether the next row is of the same request.
            click: (n,) whether the row was a click.
        """
        leave = _logistic(features, left.astype(np.float64))
        known = left & np.isfinite(gap_h) & (gap_h > 0)
        x, y = features[known], np.log(np.maximum(gap_h[known], LEAST_GAP_H))
        ridge = RIDGE * np.eye(len(FEATURES))
        ridge[0, 0] = 0.0
        if known.any():
            gap = np.linalg.solve(x.T @ x + ridge, x.T @ y)
            sd = float(np.std(y - x @ gap))
        else:
            gap, sd = np.zeros(len(FEATURES)), 1.0
            gap[0] = np.log(4.0)
        stays = ~left
        follows = [
            float(goes_on[stays & (click == value)].mean()) if (stays & (click == value)).any() else 0.0
            for value in (0, 1)
        ]
        blank = np.full((2, len(GAP_PERCENTILES)), np.nan)
        whole = bool(left.mean() <= 1 / WHOLE_SESSION)
        fitted = cls(leave, gap.astype(np.float64), sd, np.array(follows), blank, whole)
        if known.any():
            drawn = fitted.gap_h(x, np.random.default_rng(0).random(len(x)))
            quantiles = np.stack([np.percentile(values, GAP_PERCENTILES) for values in (gap_h[known], drawn)])
            fitted = replace(fitted, gap_quantiles=quantiles)
        return fitted

    def probability(self, features: Floats) -> Floats:
        """(n,) P(leave)."""
        return np.asarray(1 / (1 + np.exp(-(features * self.leave).sum(axis=1))))

    def gap_h(self, features: Floats, uniform: Floats) -> Floats:
        """(n,) hours until the next session, from uniforms."""
        from scipy.special import ndtri

        noise = ndtri(np.clip(uniform, 1e-12, 1 - 1e-12))
        return np.asarray(np.maximum(np.exp((features * self.gap).sum(axis=1) + self.gap_sd * noise), LEAST_GAP_H))


def _logistic(x: Floats, y: Floats) -> Floats:
    """Coefficients by Newton's method with a little ridge, the intercept free."""
    ridge = RIDGE * np.eye(x.shape[1])
    ridge[0, 0] = 1e-9
    weight = np.zeros(x.shape[1])
    share = np.clip(y.mean(), 1e-6, 1 - 1e-6)
    weight[0] = np.log(share / (1 - share))
    for _ in range(50):
        mean = 1 / (1 + np.exp(-np.clip(x @ weight, -30, 30)))
        hessian = (x * (mean * (1 - mean))[:, None]).T @ x + ridge
        step = np.linalg.solve(hessian, x.T @ (y - mean) - ridge @ weight)
        weight += step * min(1.0, 2.0 / max(np.abs(step).max(), 1e-12))
        if np.abs(step).max() < 1e-9:
            break
    return weight
