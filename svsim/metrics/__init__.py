"""Metrics: pure functions on arrays."""

from svsim.metrics.classification import (
    auc,
    calibration_error,
    confusion_scores,
    pairs_in_order,
    root_mean_square_error,
    user_auc,
)
from svsim.metrics.exposure import coverage, gini, lorenz_curve, tail_share
from svsim.metrics.ranking import top_gains
from svsim.metrics.resampling import RESAMPLES, Resamples

__all__ = [
    "RESAMPLES",
    "Resamples",
    "auc",
    "calibration_error",
    "confusion_scores",
    "coverage",
    "gini",
    "lorenz_curve",
    "pairs_in_order",
    "root_mean_square_error",
    "tail_share",
    "top_gains",
    "user_auc",
]
