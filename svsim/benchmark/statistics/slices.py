"""Slices of the episodes, each a small benchmark of its own: by day, tab, activity and group.

An agent that is good on average may be bad on Sundays or for the least active. Agarwal, Schwarzer, Castro, Courville,
Bellemare 2021, "Deep reinforcement learning at the edge of the statistical precipice": the interquartile mean of scores over
tasks, its interval by a bootstrap stratified by task, and performance profiles. The tasks here are the slices; strata of the
bootstrap are users of the same activity and group, drawn with all their episodes, so that every slice keeps its users.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from svsim.benchmark.statistics.estimates import Estimate
from svsim.metrics import Resamples

__all__ = ["FEWEST_USERS", "THRESHOLDS", "SliceScores", "Slices", "interquartile_mean"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FEWEST_USERS = 10
"""A slice with fewer users is left out."""
FEWEST_SLICES = 4
"""Below them nothing can be trimmed."""
THRESHOLDS = np.round(np.arange(-0.5, 1.001, 0.05), 2)
"""Scores at which performance profiles are told."""


def interquartile_mean(scores: Floats) -> Floats:
    """Mean without the lowest and the highest quarter, over the last axis; NaN where any score is.

    The ⌊n/4⌋ lowest and highest of n scores are dropped.
    """
    from scipy.stats import trim_mean

    known = np.asarray(np.isfinite(scores).all(axis=-1))
    means = trim_mean(np.where(known[..., None], scores, 0.0), 0.25, axis=-1)
    return np.asarray(np.where(known, means, np.nan))


@dataclass(frozen=True)
class SliceScores:
    """An agent's score in each of C slices.

    Attributes:
        value: (C,) over all seeds.
        by_seed: (K, C) in each seed alone; NaN where a seed has none.
        resampled: (R, C) over resampled users.
    """

    value: Floats
    by_seed: Floats
    resampled: Floats

    def middle(self) -> Estimate:
        """The interquartile mean over slices; NaN for fewer than four of them."""
        if self.value.shape[-1] < FEWEST_SLICES:
            return Estimate(np.nan, np.full(len(self.by_seed), np.nan), np.empty(0))
        # A seed that plays few episodes may miss a slice.
        by_seed = [float(interquartile_mean(row[np.isfinite(row)])) for row in self.by_seed]
        return Estimate(float(interquartile_mean(self.value)), np.array(by_seed), interquartile_mean(self.resampled))

    def profile(self) -> list[Estimate]:
        """For each of `THRESHOLDS` the share of slices whose score is above it."""
        return [
            Estimate(
                float((self.value > threshold).mean()),
                (self.by_seed > threshold).sum(axis=1) / np.maximum(np.isfinite(self.by_seed).sum(axis=1), 1),
                (self.resampled > threshold).mean(axis=1),
            )
            for threshold in THRESHOLDS
        ]


class Slices:
    """Mean rewards of A agents in C slices.

    Args:
        user: For each of K seeds the (E,) index of each episode's user among U.
        kind: For each seed the (E,) kind of the episode, as of its day and tab, from 0.
        stratum: (U,) stratum of each user, as of activity and group, from 0; a slice is a stratum and a kind.
        rewards: For each agent, for each seed, (E,).
        resamples: How many.
    """

    def __init__(
        self,
        user: Sequence[Ints],
        kind: Sequence[Ints],
        stratum: Ints,
        rewards: Sequence[Sequence[Floats]],
        resamples: int,
    ) -> None:
        kinds = 1 + max(int(own.max(initial=-1)) for own in kind)
        users, every = np.concatenate(user), np.concatenate(kind)
        seed = np.repeat(np.arange(len(user)), [len(own) for own in user])
        # Position of each user among those of the same stratum.
        position = np.zeros(len(stratum), dtype=np.int64)
        parts: list[tuple[int, _Stratum]] = []
        for number in np.unique(stratum).tolist():
            members = np.flatnonzero(stratum == number)
            if len(members) < FEWEST_USERS:
                continue
            position[members] = np.arange(len(members))
            own = np.flatnonzero(stratum[users] == number)
            values = [np.concatenate(one)[own] for one in rewards]
            draws = Resamples(len(members), seed=number, count=resamples)
            shape = (len(user), len(members), kinds)
            parts.append((number, _Stratum(seed[own], position[users[own]], every[own], values, shape, draws)))
        self.keys = [(number, int(own)) for number, part in parts for own in part.kinds]
        """(stratum, kind) of each slice."""

        def joined(name: str, *shape: int) -> Floats:
            return np.concatenate([np.empty((*shape, 0)), *(getattr(part, name) for _, part in parts)], axis=-1)

        self._value = joined("value", len(rewards))
        self._by_seed = joined("by_seed", len(rewards), len(user))
        self._resampled = joined("resampled", len(rewards), resamples)

    def scores(self, agent: int, low: int, high: int) -> SliceScores:
        """(agent − low)/(high − low) in each slice, where `low` and `high` are numbers of agents."""

        def score(values: Floats) -> Floats:
            span = values[high] - values[low]
            own = values[agent] - values[low]
            return np.asarray(np.divide(own, span, out=np.full(span.shape, np.nan), where=span != 0))

        return SliceScores(score(self._value), score(self._by_seed), score(self._resampled))


class _Stratum:
    """Slices of one stratum's users.

    Args:
        seed, user, kind: (n,) of its episodes; users from 0.
        rewards: For each of A agents (n,).
        shape: Seeds K, users V, kinds T.
        resamples: Of the V users.
    """

    def __init__(
        self,
        seed: Ints,
        user: Ints,
        kind: Ints,
        rewards: Sequence[Floats],
        shape: tuple[int, int, int],
        resamples: Resamples,
    ) -> None:
        seeds, users, kinds = shape

        def sums(first: Ints, size: int, weights: Floats | None = None) -> Floats:
            found = np.bincount(first * kinds + kind, weights=weights, minlength=size * kinds)
            return found.reshape(size, kinds).astype(np.float64, copy=False)

        met = sums(user, users)
        self.kinds = np.flatnonzero((met > 0).sum(axis=0) >= FEWEST_USERS)
        met = met[:, self.kinds]
        by_user = np.array([sums(user, users, own)[:, self.kinds] for own in rewards])
        by_seed = np.array([sums(seed, seeds, own)[:, self.kinds] for own in rewards])
        self.value = _ratio(by_user.sum(axis=1), met.sum(axis=0))
        """(A, C)"""
        self.by_seed = _ratio(by_seed, sums(seed, seeds)[:, self.kinds])
        """(A, K, C)"""
        agents, slices = self.value.shape
        columns = np.concatenate([by_user.transpose(1, 0, 2).reshape(users, -1), met], axis=1)
        totals = resamples.totals(columns)
        drawn = totals[:, agents * slices :]
        each = totals[:, : agents * slices].reshape(len(totals), agents, slices)
        self.resampled = _ratio(each.transpose(1, 0, 2), drawn)
        """(A, R, C)"""


def _ratio(sums: Floats, counts: Floats) -> Floats:
    known = np.broadcast_to(counts > 0, sums.shape)
    return np.asarray(np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=known))
