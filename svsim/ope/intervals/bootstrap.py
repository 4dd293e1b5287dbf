"""The bootstrap over users, from their sums."""

from __future__ import annotations

from svsim.ope.sums import UserSums

__all__ = ["bootstrap_interval"]


def bootstrap_interval(
    sums: UserSums, level: float = 0.95, *, resamples: int = 1_000, seed: int = 0
) -> tuple[float, float]:
    """Percentiles of the value over resampled users."""
    raise NotImplementedError
