"""Metrics: pure functions on arrays."""

from svsim.metrics.exposure import coverage, gini

__all__ = ["coverage", "gini"]
