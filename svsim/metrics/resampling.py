"""The bootstrap over users: U users are drawn U times with replacement, each with all that is theirs.

Efron, Tibshirani 1993, "An introduction to the bootstrap", of clusters. What is resampled are sums by user, so that a
resample costs the users and not the rows. It needs many users of comparable size: resamples of a few vary too little, and
those of one do not vary at all.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["RESAMPLES", "Resamples"]

Floats = npt.NDArray[np.float64]

RESAMPLES = 1_000
"""How many by default."""
_CHUNK = 8
"""Resamples summed at a time: few, so that their counts stay in the cache."""


class Resamples:
    """How often each of U users is drawn in each of R resamples of U users.

    Two that are made alike draw alike: what is computed from their totals is paired.

    Args:
        users: U.
        seed: Of the draws.
        count: R; one user alone has no resamples, since it does not vary.
    """

    def __init__(self, users: int, *, seed: int = 0, count: int = RESAMPLES) -> None:
        self.users = users
        self._seed = seed
        self._count = count if users > 1 else 0

    def totals(self, values: Floats) -> Floats:
        """(R, M) sums over resampled users of values (U, M)."""
        rng = np.random.default_rng(self._seed)
        totals = np.empty((self._count, values.shape[1]))
        drawn = np.empty((_CHUNK, self.users))
        for start in range(0, self._count, _CHUNK):
            own = drawn[: self._count - start]
            for counts in own:
                counts[:] = np.bincount(rng.integers(self.users, size=self.users), minlength=self.users)
            np.matmul(own, values, out=totals[start : start + len(own)])
        return totals
