"""Estimates as records of `ope.json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.ope.estimates import Estimate
from svsim.ope.groups import Utility, gap, group_utilities

__all__ = ["FORMAT", "LABELS", "VERSION", "finite", "policy_record", "utility_records", "value_record"]

FORMAT, VERSION = "svsim-ope", 1
LABELS = {"dm": "model-based"}
"""What a line rests on where it is not the log's own chance: `one-step` stands for the rest."""


def finite(value: float) -> float | None:
    """A number for JSON; None where there is none."""
    return float(value) if np.isfinite(value) else None


def value_record(estimate: Estimate, level: float) -> dict[str, Any]:
    """Value, interval and standard error."""
    low, high = estimate.interval(level)
    return {
        "value": finite(estimate.value),
        "low": finite(low),
        "high": finite(high),
        "standard_error": finite(estimate.standard_error),
    }


def policy_record(name: str, estimates: Mapping[str, Estimate], level: float, *, closed_form: bool) -> dict[str, Any]:
    """One policy.

    Args:
        name: The agent as typed.
        estimates: By estimator.
        level: Of the intervals.
        closed_form: Whether it was weighed as a scorer.
    """
    weights = estimates["ips"]
    return {
        "agent": name,
        "closed_form": closed_form,
        "ess": weights.ess,
        "matches": estimates["replay"].matches,
        "largest_weight": weights.largest_weight,
        "mean_weight": weights.sums.mean_weight,
        "estimates": {kind: _estimate_record(kind, own, level) for kind, own in estimates.items()},
    }


def _estimate_record(kind: str, estimate: Estimate, level: float) -> dict[str, Any]:
    constant = estimate.constant
    return {
        **value_record(estimate, level),
        "label": LABELS.get(kind, "one-step"),
        "ess": estimate.ess,
        "matches": estimate.matches,
        "largest_weight": estimate.largest_weight,
        # JSON has no infinity.
        "constant": "inf" if constant == np.inf else constant,
        "warnings": list(estimate.warnings),
    }


def utility_records(estimate: Estimate, influencer: npt.NDArray[np.bool_], level: float) -> dict[str, Any]:
    """Utilities of influencers and normal users, and their gap."""
    groups = {**group_utilities(estimate, influencer, level), "gap": gap(estimate, influencer, level)}
    return {name: _utility(own) for name, own in groups.items()}


def _utility(own: Utility) -> dict[str, Any]:
    return {"value": finite(own.value), "low": finite(own.low), "high": finite(own.high), "users": own.users}
