"""The delta method, clustered by user.

V is a function of means over users, so that to first order it is V plus a sum of G influences, one a user,

    s² = G / (G − 1) Σ ψ_u²,   V ± t_(G − 1) s

with rows of a user as dependent as they like (Liang, Zeger 1986; Deng, Knoblich, Lu 2018, "Applying the delta method in
metric analytics"). It needs many users of comparable size: 30 at least, and no single one that carries the weights.
"""

from __future__ import annotations

import numpy as np

from svsim.errors import OptionError
from svsim.ope.rows import Floats
from svsim.ope.sums import UserSums

__all__ = ["check_level", "clustered_error", "delta_interval", "standard_error", "student_interval"]


def clustered_error(influence: Floats) -> float:
    """Of (G,) influences s; NaN for one user alone."""
    users = len(influence)
    return float(np.sqrt(users / (users - 1) * (influence @ influence))) if users > 1 else float("nan")


def student_interval(value: float, error: float, users: int, level: float = 0.95) -> tuple[float, float]:
    """V ± t s.

    Args:
        value: V.
        error: s.
        users: G.
        level: As 0.95.

    Raises:
        OptionError: A level outside (0, 1).
    """
    from scipy import stats

    check_level(level)
    half = float(stats.t.ppf(0.5 + level / 2, max(users - 1, 1))) * error
    return value - half, value + half


def standard_error(sums: UserSums) -> float:
    """s; NaN for one user alone, or without an estimate."""
    return clustered_error(sums.influence())


def delta_interval(sums: UserSums, level: float = 0.95) -> tuple[float, float]:
    """V ± t s.

    Args:
        sums: Of G users.
        level: As 0.95.

    Raises:
        OptionError: A level outside (0, 1).
    """
    return student_interval(sums.value, standard_error(sums), len(sums.user), level)


def check_level(level: float) -> None:
    """Refuse what is no level.

    Raises:
        OptionError: A level outside (0, 1).
    """
    if not 0 < level < 1:
        raise OptionError(f"expected a level between 0 and 1, found {level}", where="level")
