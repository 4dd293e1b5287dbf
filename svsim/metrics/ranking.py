"""What stands at the top of each user's list."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["top_gains"]


def top_gains(
    user: npt.ArrayLike, score: npt.ArrayLike, gain: npt.ArrayLike, k: int, *, log2: bool = False
) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Gains of each user's k rows of the highest scores, of users with more than k rows.

    WTG@k = mean gain of the top k; DCWTG@k = Σ gain at place i / ln(i + 1) (Zheng et al. 2022, "DVR"; the
    natural logarithm, as in its published code).

    Args:
        user: (n,) ids.
        score: (n,) higher stands above; ties in the rows' order.
        gain: (n,) watch-time gains.
        k: Places.
        log2: Discount by the binary logarithm, as DCG does.

    Returns:
        Users ascending, their WTG@k, their DCWTG@k.
    """
    user, score, gain = np.asarray(user), np.asarray(score), np.asarray(gain, dtype=np.float64)
    order = np.lexsort((-score, user))
    user, gain = user[order], gain[order]
    users, first, count = np.unique(user, return_index=True, return_counts=True)
    kept = count > k
    places = first[kept][:, None] + np.arange(k)[None, :]
    top = gain[places] if kept.any() else np.zeros((0, k))
    discount = (np.log2 if log2 else np.log)(np.arange(2, k + 2))
    return users[kept], top.mean(axis=1), (top / discount).sum(axis=1)
