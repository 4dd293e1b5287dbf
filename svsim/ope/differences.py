"""Which of several policies is better: differences paired by user, with Holm's correction for how many are compared.

Estimates A and B of one log share its users. To first order their difference moves by ψ_u(A) − ψ_u(B) with each user, so
that what both owe to the log cancels, and its standard error and Student's t are those of `svsim.ope.intervals.delta`; with
its limits: 30 users at least, and no single one that carries the weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np

from svsim.errors import OptionError, UnknownNameError
from svsim.ope.estimates import Estimate
from svsim.ope.intervals.delta import check_level, clustered_error, student_interval

__all__ = ["Difference", "compare", "holm"]


@dataclass(frozen=True)
class Difference:
    """How much more a policy is worth than another one; NaN where either has no estimate or there is one user alone.

    Attributes:
        value: The difference.
        low: The lower end of its interval, for this one comparison alone.
        high: The upper end.
        standard_error: Paired, clustered by user.
        p_value: Of no difference, two-sided, for this one comparison alone.
        adjusted_p: The same by Holm, over all that are compared.
        better: Whether the policy is the better one (False: the worse one) at the level, by `adjusted_p`; None where the
            log does not tell.
    """

    value: float
    low: float
    high: float
    standard_error: float
    p_value: float
    adjusted_p: float
    better: bool | None

    @property
    def interval(self) -> tuple[float, float]:
        """`low` and `high`."""
        return self.low, self.high

    def record(self) -> dict[str, float | bool | None]:
        """For JSON: `value`, `low`, `high`, `standard_error`, `p_value`, `adjusted_p`, `better`; None for NaN."""
        numbers = {name: own for name, own in asdict(self).items() if name != "better"}
        finite = {name: float(own) if np.isfinite(own) else None for name, own in numbers.items()}
        return {**finite, "better": self.better}


_ITSELF = Difference(0.0, 0.0, 0.0, 0.0, float("nan"), float("nan"), None)


def compare(estimates: Mapping[str, Estimate], against: str, level: float = 0.95) -> dict[str, Difference]:
    """Compare policies with one of them.

    Args:
        estimates: By policy, of the same users.
        against: The policy that the others are compared with.
        level: Of the intervals and of `better`, as 0.95.

    Returns:
        By policy: its value less that of `against`; for `against` itself 0 without a p-value, which does not count.

    Raises:
        UnknownNameError: `against` is none of the policies.
        OptionError: A level outside (0, 1), estimates of different users.
    """
    check_level(level)
    if against not in estimates:
        raise UnknownNameError(f"expected one of {', '.join(estimates)}, found {against!r}", where="against")
    base = estimates[against]
    alone = {name: _difference(name, own, base, level) for name, own in estimates.items()}
    if not np.isnan(base.value):
        alone[against] = _ITSELF
    adjusted = holm({name: own.p_value for name, own in alone.items()})
    return {
        name: replace(own, adjusted_p=adjusted[name], better=own.value > 0 if adjusted[name] < 1 - level else None)
        for name, own in alone.items()
    }


def _difference(name: str, own: Estimate, base: Estimate, level: float) -> Difference:
    """Of one pair, not yet corrected."""
    if not np.array_equal(own.sums.user, base.sums.user):
        raise OptionError(
            f"expected the {len(base.sums.user):,} users of what it is compared with, found {len(own.sums.user):,},"
            " not the same ones",
            where=name,
            remedy="estimate both from the same rows of the log",
        )
    value, users = own.value - base.value, len(base.sums.user)
    if np.isnan(value):
        return Difference(value, value, value, value, value, value, None)
    error = clustered_error(own.sums.influence() - base.sums.influence())
    p_value = _p_value(value, error, users)
    return Difference(value, *student_interval(value, error, users, level), error, p_value, p_value, None)


def _p_value(value: float, error: float, users: int) -> float:
    from scipy import stats

    if error == 0:
        # Alike user by user, as policies that choose alike; or apart by the same for everyone.
        return 1.0 if value == 0 else 0.0
    return float(2 * stats.t.sf(abs(value) / error, max(users - 1, 1)))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """p-values corrected so that any false finding among them has at most the level's probability.

    Holm 1979, "A simple sequentially rejective multiple test procedure": of m ascending p-values the k-th is multiplied by
    m − k + 1, and none is smaller than the one before it. Holds however they depend on one another, at the price of power
    where there are many.

    Args:
        p_values: By name. NaN stays NaN and does not count.

    Returns:
        By the same names in the same order, 1 at most.

    Raises:
        OptionError: A number outside [0, 1].
    """
    for name, p in p_values.items():
        if p < 0 or p > 1:
            raise OptionError(f"expected a p-value from 0 to 1, found {p}", where=name)
    adjusted, largest = dict(p_values), 0.0
    ascending = sorted((p, name) for name, p in p_values.items() if not np.isnan(p))
    for rank, (p, name) in enumerate(ascending):
        largest = max(largest, min((len(ascending) - rank) * p, 1.0))
        adjusted[name] = largest
    return adjusted
