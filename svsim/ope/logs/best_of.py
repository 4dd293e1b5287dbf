"""Best of m: what a scorer chooses when m candidates are drawn uniformly without replacement from a pool of K.

Of a logged video let g videos of the pool be scored better, e equal (itself included) and l worse; ties are broken by
chance. It is the best of a random set with probability [C(l + e, m) − C(l, m)] / (e C(K, m)), so that against uniform
logging

    w = K [C(l + e, m) − C(l, m)] / (e C(K, m)),   without ties m C(K − 1 − g, m − 1) / C(K − 1, m − 1),   E[w] = 1.

Scoring the pool costs n × K. With S others drawn in its place, the same formula over these S + 1 videos is unbiased for the
whole pool's, since a random set of the sample is one of the pool; at S = 199 and m = 50 it keeps .9 of the effective rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.errors import OptionError

__all__ = ["Picks", "best_of_weight", "pick_probabilities"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def best_of_weight(better: npt.ArrayLike, equal: npt.ArrayLike, pool: int, candidates: int) -> Floats:
    """Weights of logged videos against uniform logging.

    Args:
        better: (n,) g, videos scored better, among the pool or a sample of it.
        equal: (n,) e, videos of the same score, itself included.
        pool: K; or S + 1, where S others were drawn.
        candidates: m.

    Returns:
        (n,) w, from 0 to m.

    Raises:
        OptionError: More candidates than videos, or counts that cannot be.
    """
    g, e = np.asarray(better, dtype=np.int64), np.asarray(equal, dtype=np.int64)
    if not 1 <= candidates <= pool:
        raise OptionError(f"expected 1 to {pool:,} candidates, found {candidates}", where="candidates")
    if (g < 0).any() or (e < 1).any() or (g + e > pool).any():
        raise OptionError(
            f"expected counts of up to {pool:,} videos, itself among the equal ones", where="best_of_weight"
        )
    worse = pool - g - e
    share = _subset_share(pool, candidates)
    return np.asarray(pool * (share[worse + e] - share[worse]) / e)


def _subset_share(size: int, chosen: int) -> Floats:
    """(size + 1,) C(j, chosen) / C(size, chosen) for j = 0 … size: the chance that a random set lies within j of them."""
    share = np.zeros(size + 1)
    if chosen > size:
        return share
    j = np.arange(chosen + 1, size + 1, dtype=np.float64)
    # C(j − 1, m) / C(j, m) = (j − m) / j, from the whole downwards.
    steps = ((j - chosen) / j)[::-1]
    share[chosen:] = np.concatenate([[1.0], np.cumprod(steps)])[::-1]
    return share


@dataclass(frozen=True)
class Picks:
    """What a policy picks at n logged rows, told by a few videos of each.

    Attributes:
        logged: (n,) π(a | x) of the logged video a.
        others: (n, S) for each of the videos drawn beside it what stands for π in sums: Σ π(b | x) f(b) over the pool has
            the expectation of logged · f(a) + Σ others · f.
    """

    logged: Floats
    others: Floats


def pick_probabilities(scores: npt.NDArray[Any], pool: int, candidates: int, ties: Floats) -> Picks:
    """What a scorer picks, from scores of the logged video and of S others drawn uniformly from the rest of the pool.

    A random set holds the logged video with probability m / K; the others of such a set, and the sets without it, are drawn
    from the sample.

    Args:
        scores: (n, S + 1) the logged video's first.
        pool: K.
        candidates: m, at most S + 1.
        ties: (n,) uniforms that place the logged video among its equals.

    Raises:
        OptionError: More candidates than were scored.
    """
    n, drawn = scores.shape[0], scores.shape[1] - 1
    if not 1 <= candidates <= drawn + 1 or drawn + 1 > pool:
        raise OptionError(
            f"expected 1 to {drawn + 1:,} candidates of a pool of {pool:,} or fewer, found {candidates}",
            where="candidates",
        )
    own = scores[:, :1]
    better = (scores[:, 1:] > own).sum(axis=1)
    equal = 1 + (scores[:, 1:] == own).sum(axis=1)
    inside = candidates / pool
    logged = inside / candidates * best_of_weight(better, equal, drawn + 1, candidates)
    # Others stand in random order, so that a stable sort breaks their ties by chance.
    rank = np.empty((n, drawn), dtype=np.int64)
    order = np.argsort(-scores[:, 1:], axis=1, kind="stable")
    np.put_along_axis(rank, order, np.broadcast_to(np.arange(drawn), (n, drawn)), axis=1)
    before = better + np.minimum((ties * equal).astype(np.int64), equal - 1)
    without = np.diff(_subset_share(drawn, candidates))[::-1]
    beside = np.zeros(drawn)
    if candidates > 1:
        # C(S − 1 − r, m − 2) / C(S, m − 1), r others before it, the logged video after it.
        beside = np.diff(_subset_share(drawn, candidates - 1))[::-1]
    others = inside * beside[rank] * (rank < before[:, None]) + (1 - inside) * without[rank]
    return Picks(logged, others)
