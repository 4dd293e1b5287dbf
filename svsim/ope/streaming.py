"""Expectations under a full softmax policy over K actions, at n rows, never n × K at a time.

    π(b | x) = exp s(x, b) / Σ_c exp s(x, c),   q̄(x) = Σ_b π(b | x) q̂(x, b),

a block of rows at a time, threads taking blocks in turns (numpy lets go of the lock while it computes). It costs n × K: a
million rows over 7,583 videos in a quarter of a minute on two cores. Rows with the same x need it once.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.errors import OptionError

__all__ = ["BLOCK", "LowRank", "SoftmaxExpectations", "softmax_expectations"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
OfRows = Callable[[Array], Array]

BLOCK = 500_000
"""Numbers in a block: 2 MB of scores, which a core's cache holds, and as much of q̂."""


@dataclass(frozen=True)
class SoftmaxExpectations:
    """What a softmax policy does at n rows."""

    expected: Floats
    """(n,) q̄."""
    probability: Floats | None = None
    """(n,) π(a | x) of the logged action, where one was given; by a propensity it is the weight."""
    q_logged: Floats | None = None
    """(n,) q̂(x, a)."""


@dataclass(frozen=True)
class LowRank:
    """Numbers of every user and video that are products of factors: users[u] · videos[b]."""

    users: Singles
    """(n_users, d)."""
    videos: Singles
    """(K, d)."""

    def __call__(self, rows: Array) -> Singles:
        """(b, K) of b users."""
        return np.asarray(self.users[rows] @ self.videos.T)


def softmax_expectations(
    rows: Array,
    score: OfRows,
    reward: OfRows,
    *,
    actions: int,
    action: npt.ArrayLike | None = None,
    block: int | None = None,
    threads: int = 2,
) -> SoftmaxExpectations:
    """Expectations of a softmax policy.

    Single precision, as the scores are: against double precision a relative error of 1e-6 or so. Set the threads of
    numpy's own products to one (OPENBLAS_NUM_THREADS) when there are several here, or they wait for one another.

    Args:
        rows: (n, …) what tells a row, as its user; handed on in blocks.
        score: Takes (b, …) of them, gives (b, K) float32; −inf rules an action out.
        reward: Likewise q̂. Both are called by several threads at once.
        actions: K.
        action: (n,) int, logged actions from 0 to K − 1.
        block: Rows at a time; by default as many as `BLOCK` numbers make.
        threads: That take blocks.

    Returns:
        q̄, and of logged actions π and q̂.

    Raises:
        OptionError: Shapes that do not fit, actions outside the pool, scores or q̂ that are not numbers.
    """
    n = len(rows)
    for name, number in (("actions", actions), ("threads", threads), ("block", 1 if block is None else block)):
        if number < 1:
            raise OptionError(f"expected 1 or more, found {number}", where=name)
    logged = None if action is None else _actions(action, n, actions)
    size = block if block is not None else max(1, BLOCK // actions)
    expected = np.empty(n)
    probability, q_logged = (None, None) if logged is None else (np.empty(n), np.empty(n))

    # Threads take the next block from one iterator.
    starts = iter(range(0, n, size))

    def work(_: int) -> None:
        # Kept from block to block: asking the system for fresh memory costs as much as the arithmetic.
        shares = np.empty((min(size, n), actions), dtype=np.float32)
        # A thread has numpy's error state of its own; what is no number is found in the results.
        with np.errstate(all="ignore"):
            for start in starts:
                part = slice(start, min(start + size, n))
                s, q = (_of(function, rows[part], actions) for function in (score, reward))
                e = np.subtract(s, s.max(axis=1, keepdims=True), out=shares[: len(s)])
                np.exp(e, out=e)
                whole = e.sum(axis=1)
                expected[part] = np.vecdot(e, q) / whole
                if logged is not None and probability is not None and q_logged is not None:
                    place = np.arange(len(e)), logged[part]
                    probability[part], q_logged[part] = e[place] / whole, q[place]

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))
    wrong = np.flatnonzero(~np.isfinite(expected))
    if len(wrong):
        raise OptionError(
            f"expected scores and rewards that are numbers, found others in row {wrong[0]} ({len(wrong):,} such rows)",
            where="softmax_expectations",
        )
    return SoftmaxExpectations(expected, probability, q_logged)


def _of(function: OfRows, part: Array, actions: int) -> Singles:
    values = np.asarray(function(part), dtype=np.float32)
    if values.shape != (len(part), actions):
        raise OptionError(f"expected shape {(len(part), actions)}, found {values.shape}", where="score and reward")
    return values


def _actions(action: npt.ArrayLike, n: int, actions: int) -> npt.NDArray[np.int64]:
    logged = np.asarray(action)
    if logged.shape != (n,) or logged.dtype.kind not in "iu":
        raise OptionError(f"expected {n:,} whole numbers, found {logged.dtype} of shape {logged.shape}", where="action")
    wrong = np.flatnonzero((logged < 0) | (logged >= actions))
    if len(wrong):
        raise OptionError(f"expected 0 to {actions - 1:,}, found {logged[wrong[0]]} in row {wrong[0]}", where="action")
    return logged.astype(np.int64)
