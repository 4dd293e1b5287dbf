"""The behaviour policy: what the platform retrieves for a request, how it ranks it, and what chance puts in its place.

    retrieve R = 100: upload age ~ exponential (mean 8 days), rank within the day log-uniform: P(rank) ∝ 1/(rank + offset);
                      a small share of candidates are videos of the pool
    rank            : Plackett–Luce on u = s·(q̂ + taste̅), s = sharpness of the user; by Gumbel noise, the n largest u + g
    random log      : from 22 April on, an exposure in tab 1 is replaced with a small probability by a video of the pool,
                      uniformly (facts, 1 and 4)

The estimates q̂ and taste̅ are exogenous: quality and taste plus errors that never learn. So popularity and selection bias
follow from the policy, and users can be simulated apart from one another. A retrieved set is a function of (seed, user,
request, day) and can be drawn again; propensities are exact given the set.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.randomness import keyed_hash, keyed_uniform
from svsim.world.config import RANDOM_FROM, WorldConfig
from svsim.world.constants import constants
from svsim.world.draws import Draw, bits
from svsim.world.videos import Catalogue

__all__ = ["RANDOM_TAB", "Platform", "plackett_luce", "slate_logprob"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

RANDOM_TAB = 1


class Platform:
    """Retrieval, ranking and random replacement."""

    def __init__(self, config: WorldConfig, catalogue: Catalogue, key: np.uint64) -> None:
        c = constants("platform")
        self.retrieved = int(c["retrieved"])
        self._catalogue = catalogue
        self._key = key
        self._offset = config.popularity_offset
        self._log_span = float(np.log1p(catalogue.per_day / self._offset))
        self._pool_share = float(c["pool_share"])
        self._age = float(c["mean_age_days"])
        self.replacement = _replacement_by_day(config)

    def candidates(self, user: Ints, request: Ints, day: Ints) -> Ints:
        """(B, R) indices of the videos retrieved for requests; −1 where a video would stand twice.

        Args:
            user: (B,) user ids.
            request: (B,) number of the request among all of the user's.
            day: (B,) day of the request, 0 for 8 April.
        """
        row = keyed_hash(self._key, Draw.CANDIDATE, user, request)[:, None]
        word = keyed_hash(row, np.arange(self.retrieved)[None, :])
        first, second = bits(word, 40, 24) * 2.0**-24, bits(word, 0, 40) * 2.0**-40
        from_pool = first < self._pool_share
        first = (first - self._pool_share) / (1 - self._pool_share)
        # Truncated exponential age, then the inverse of the log-uniform distribution of ranks.
        oldest = self._catalogue.oldest + np.minimum(day, 0)[:, None]
        reach = -np.expm1(-(oldest + day[:, None] + 1) / self._age)
        age = np.floor(-self._age * np.log1p(-np.maximum(first, 0.0) * reach)).astype(np.int64)
        rank = (self._offset * np.expm1(second * self._log_span)).astype(np.int64)
        rank = np.minimum(rank, self._catalogue.per_day - 1)
        upload = np.maximum(day[:, None] - age, -self._catalogue.oldest)
        index = self._catalogue.feed_index(upload, rank)
        index = np.where(from_pool, (second * self._catalogue.pool).astype(np.int64), index)
        return _without_repeats(index)

    def tickets(self, user: Ints, request: Ints) -> Floats:
        """(B, R) standard Gumbel noise of the ranking."""
        row = keyed_hash(self._key, Draw.TICKET, user, request)[:, None]
        uniform = keyed_uniform(row, np.arange(self.retrieved)[None, :])
        return np.asarray(-np.log(-np.log(uniform + 2.0**-54)))

    def replace(self, user: Ints, request: Ints, slot: Ints, day: Ints, tab: Ints) -> tuple[Array, Ints]:
        """Which exposures chance takes, and the video of the pool that each would get."""
        chance = np.where(tab == RANDOM_TAB, self.replacement[np.minimum(day, len(self.replacement) - 1)], 0.0)
        taken = keyed_uniform(self._key, Draw.REPLACEMENT, user, request, slot) < chance
        drawn = keyed_uniform(self._key, Draw.REPLACED_BY, user, request, slot)
        return taken, (drawn * self._catalogue.pool).astype(np.int64)


def _replacement_by_day(config: WorldConfig) -> Floats:
    """Probability that an exposure in tab 1 is replaced, by day: KuaiRand's daily counts, scaled to the share asked for."""
    c = constants("platform")
    standard, random = c["standard_by_day"][: config.days], c["random_by_day"][: config.days].copy()
    random[:RANDOM_FROM] = 0.0
    if not config.random_share:
        return np.zeros(config.days)
    share = random / random.sum() * config.random_share * standard.sum() / standard
    return np.asarray(np.minimum(share / c["random_tab_share"], 0.9))


def _without_repeats(index: Ints) -> Ints:
    """The same sets with −1 in the place of each video's later copies."""
    ordered = np.sort(index, axis=1)
    rows = np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1))
    if rows.size:
        sub = index[rows]
        order = np.argsort(sub, axis=1, kind="stable")
        ordered = np.take_along_axis(sub, order, axis=1)
        again = np.zeros(sub.shape, dtype=bool)
        again[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
        back = np.zeros_like(again)
        np.put_along_axis(back, order, again, axis=1)
        index[rows] = np.where(back, -1, sub)
    return index


def plackett_luce(utility: Floats, tickets: Floats, length: int) -> Ints:
    """(B, length) slots in the order in which Plackett–Luce draws them.

    Args:
        utility: (B, R); −inf for a slot that cannot be drawn.
        tickets: (B, R) Gumbel noise.
        length: How many to draw.
    """
    return np.asarray(np.argsort(-(utility + tickets), axis=1)[:, :length])


def slate_logprob(utility: Floats, order: Ints) -> Floats:
    """(B, L) log-probability of each slot of slates, given those above it (Plackett 1975; Luce 1959).

    Args:
        utility: (B, R) utilities of the retrieved set, −inf for a slot that cannot be drawn.
        order: (B, L) slots of the slate, from the top.
    """
    weight = np.exp(utility - utility.max(axis=1, keepdims=True))
    taken = np.take_along_axis(weight, order, axis=1)
    # What the slate leaves is summed apart, so that nothing is lost by subtraction.
    rest = weight.copy()
    np.put_along_axis(rest, order, 0.0, axis=1)
    remaining = np.cumsum(taken[:, ::-1], axis=1)[:, ::-1] + rest.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(taken / remaining))
