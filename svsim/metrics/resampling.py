"""The bootstrap over users: U users are drawn U times with replacement, each with all that is theirs.

Efron, Tibshirani 1993, "An introduction to the bootstrap", of clusters. What is resampled are sums by user, so that a
resample costs the users and not the rows. It needs many users of comparable size: resamples of a few vary too little, and
those of one do not vary at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["RESAMPLES", "Resamples"]

Floats = npt.NDArray[np.float64]

RESAMPLES = 1_000
"""How many by default."""
_FEW, _MANY = 8, 64
"""Resamples summed at a time: few, so that their counts stay in the cache; more where what they are multiplied by does
not."""
_WIDE = 32
"""Columns from which on more are."""


class Resamples:
    """How often each of U users is drawn in each of R resamples of U users.

    Two that are made alike draw alike: what is computed from their totals is paired.

    Args:
        users: U.
        seed: Of the draws.
        count: R; one user alone has no resamples, since it does not vary.
        keep: Whether draws are kept, a byte for each user and resample, instead of being drawn anew for each totals.
    """

    def __init__(self, users: int, *, seed: int = 0, count: int = RESAMPLES, keep: bool = False) -> None:
        self.users = users
        self.count = count if users > 1 else 0
        self._seed = seed
        self._kept: npt.NDArray[np.uint8] | None = None
        if keep:
            # A user's draws are about Poisson's with mean 1: 255 are out of reach.
            self._kept = np.empty((self.count, users), dtype=np.uint8)
            for kept, counts in zip(self._kept, self._draws(), strict=True):
                kept[:] = counts

    def _draws(self) -> Iterator[npt.NDArray[np.int64]]:
        rng = np.random.default_rng(self._seed)
        for _ in range(self.count):
            yield np.bincount(rng.integers(self.users, size=self.users), minlength=self.users)

    def totals(self, values: Floats, users: npt.NDArray[np.int64] | None = None) -> Floats:
        """(R, M) sums over resampled users of values.

        Args:
            values: (U, M), or (V, M) of some users.
            users: (V,) which; None for all.
        """
        totals = np.empty((self.count, values.shape[1]))
        chunk = _MANY if values.shape[1] >= _WIDE else _FEW
        drawn = np.empty((chunk, len(values)))
        chosen = slice(None) if users is None else users
        draws: Iterable[npt.NDArray[Any]] = self._draws() if self._kept is None else self._kept
        source = iter(draws)
        for start in range(0, self.count, chunk):
            own = drawn[: self.count - start]
            for counts in own:
                counts[:] = next(source)[chosen]
            np.matmul(own, values, out=totals[start : start + len(own)])
        return totals
