"""Which agent is better: paired differences with Holm's correction, and a winner only where they say so."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from svsim.benchmark.statistics.estimates import LEVEL, Estimate, p_value, rounded
from svsim.ope.differences import holm

__all__ = ["Comparison", "compare_agents"]


@dataclass(frozen=True)
class Comparison:
    """How an agent does against another one.

    Attributes:
        against: The other.
        difference: Of mean rewards, paired.
        p_value: Of no difference, two-sided, for this comparison alone.
        adjusted_p: The same by Holm, over all that are compared; NaN for one that is not counted.
    """

    against: str
    difference: Estimate
    p_value: float
    adjusted_p: float

    @property
    def better(self) -> bool | None:
        """Whether the agent is the better one (False: the worse one) by `adjusted_p`; None where it does not tell."""
        return self.difference.value > 0 if self.adjusted_p < 1 - LEVEL else None

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "against": self.against,
            **self.difference.record(),
            "p_value": rounded(self.p_value),
            "adjusted_p": rounded(self.adjusted_p),
            "better": self.better,
        }


def compare_agents(
    rewards: Mapping[str, Estimate], against: str, counted: Collection[str] | None = None
) -> dict[str, Comparison]:
    """Compare agents with one of them.

    Args:
        rewards: By agent, over the same episodes and resamples.
        against: The one that the others are compared with.
        counted: Those that are a hypothesis and enter Holm's correction; by default all. A rail that cheats is none.

    Returns:
        By agent, without the one compared with.
    """
    differences = {name: own - rewards[against] for name, own in rewards.items() if name != against}
    p_values = {name: p_value(own) for name, own in differences.items()}
    asked = {name: p if counted is None or name in counted else float("nan") for name, p in p_values.items()}
    adjusted = holm(asked)
    return {name: Comparison(against, own, p_values[name], adjusted[name]) for name, own in differences.items()}
