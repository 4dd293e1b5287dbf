"""Influencer utility off-policy: what a policy is worth to groups of users.

The utility of a group is the mean over its users of each user's own mean, never pooled over rows, so that who has many
rows counts once. Users are independent: Student's t over a group's users, Welch's over the gap between two groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from svsim.names import INFLUENCER, NORMAL
from svsim.ope.estimates import Estimate
from svsim.ope.intervals.delta import student_interval

__all__ = ["Utility", "gap", "group_utilities"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Utility:
    """A mean over users, or a difference of two."""

    value: float
    """NaN where a group has no users."""
    low: float
    """Lower end of the interval; NaN below two users."""
    high: float
    """Upper end."""
    users: int
    """Users in it."""


def group_utilities(estimate: Estimate, influencer: npt.NDArray[np.bool_], level: float = 0.95) -> dict[str, Utility]:
    """Utilities of influencers and of normal users.

    Args:
        estimate: One whose value is a plain mean, as DR's, by dense user id.
        influencer: (n_users + 1,) whether a user is one, by dense id.
        level: Of the intervals.
    """
    values, member = _by_group(estimate, influencer)
    return {name: _mean(values[chosen], level) for name, chosen in member.items()}


def gap(estimate: Estimate, influencer: npt.NDArray[np.bool_], level: float = 0.95) -> Utility:
    """Utility of normal users minus that of influencers; arguments as of `group_utilities`."""
    from scipy import stats

    values, member = _by_group(estimate, influencer)
    normal, other = values[member[NORMAL]], values[member[INFLUENCER]]
    if min(len(normal), len(other)) < 2:
        value = float(normal.mean() - other.mean()) if len(normal) and len(other) else float("nan")
        return Utility(value, float("nan"), float("nan"), len(values))
    found = stats.ttest_ind(normal, other, equal_var=False)
    value = float(normal.mean() - other.mean())
    if not np.isfinite(found.df):
        return Utility(value, value, value, len(values))
    ends = found.confidence_interval(level)
    return Utility(value, float(ends.low), float(ends.high), len(values))


def _by_group(estimate: Estimate, influencer: npt.NDArray[np.bool_]) -> tuple[Floats, dict[str, npt.NDArray[np.bool_]]]:
    own = influencer[estimate.sums.user]
    return estimate.sums.user_means(), {INFLUENCER: own, NORMAL: ~own}


def _mean(values: Floats, level: float) -> Utility:
    users = len(values)
    if users < 2:
        return Utility(float(values.mean()) if users else float("nan"), float("nan"), float("nan"), users)
    value = float(values.mean())
    return Utility(value, *student_interval(value, float(values.std(ddof=1) / np.sqrt(users)), users, level), users)
