"""A agents who all play the same episodes: users crossed with seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from svsim.benchmark.statistics.estimates import Estimate
from svsim.metrics import Resamples

__all__ = ["Panel"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Panel:
    """Sums of episodes' metrics by agent, seed and user.

    Args:
        user: For each of K seeds the (E,) index of each episode's user among the U users of the resamples.
        metrics: For each of A agents, for each seed, the (E, M) episodes' metrics.
        groups: By name the (U,) members.
        resamples: Shared by all agents.
    """

    def __init__(
        self,
        user: Sequence[Ints],
        metrics: Sequence[Sequence[Floats]],
        groups: Mapping[str, Flags],
        resamples: Resamples,
    ) -> None:
        self._users, self._resamples = resamples.users, resamples
        sums = [[self._by_user(u, m) for u, m in zip(user, own, strict=True)] for own in metrics]
        self._sums = np.array(sums)
        """(A, K, U, M)"""
        self._counts = np.array([np.bincount(u, minlength=self._users) for u in user], dtype=np.float64)
        """(K, U)"""
        self._seen = self._counts.sum(axis=0) > 0
        self._groups = dict(groups)
        self._utilities: dict[str, tuple[Floats, Floats, Floats]] = {}

    def _by_user(self, user: Ints, metrics: Floats) -> Floats:
        columns = [np.bincount(user, weights=column, minlength=self._users) for column in metrics.T]
        return np.stack(columns, axis=1)

    @cached_property
    def _resampled_means(self) -> Floats:
        """(R, A, M) means over episodes of resampled users."""
        pooled = self._sums.sum(axis=1)
        agents, users, metrics = pooled.shape
        columns = np.concatenate(
            [pooled.transpose(1, 0, 2).reshape(users, -1), self._counts.sum(axis=0)[:, None]], axis=1
        )
        totals = self._resamples.totals(columns)
        return totals[:, :-1].reshape(-1, agents, metrics) / totals[:, -1][:, None, None]

    def overall(self, agent: int, metric: int) -> Estimate:
        """Mean over episodes."""
        by_seed = self._sums[agent, :, :, metric].sum(axis=1) / self._counts.sum(axis=1)
        degrees = float(self._seen.sum()) - 1
        return Estimate(float(by_seed.mean()), by_seed, self._resampled_means[:, agent, metric], degrees)

    def users(self, group: str) -> int:
        """Users of a group who were met in at least one episode."""
        return int((self._groups[group] & self._seen).sum())

    def utility(self, agent: int, group: str, metric: int) -> Estimate:
        """Mean over a group's users of their mean over episodes, never pooled over rows; NaN for a group without users."""
        if group not in self._utilities:
            self._utilities[group] = self._utilities_of(group)
        value, by_seed, resampled = self._utilities[group]
        return Estimate(
            float(value[agent, metric]),
            by_seed[agent, :, metric],
            resampled[:, agent, metric],
            float(self.users(group)) - 1,
        )

    def _utilities_of(self, group: str) -> tuple[Floats, Floats, Floats]:
        """(A, M) values, (A, K, M) by seed, (R, A, M) resampled; all agents at once, since the draws are the same."""
        agents, seeds, _, metrics = self._sums.shape
        member = np.flatnonzero(self._groups[group] & self._seen)
        sums, counts = self._sums[:, :, member], self._counts[:, member]
        if not len(member):
            nothing = np.full((agents, seeds, metrics), np.nan)
            return nothing[:, 0], nothing, np.full((self._resamples.count, agents, metrics), np.nan)
        means = sums.sum(axis=1) / counts.sum(axis=0)[:, None]
        met = counts > 0
        each = sums / np.maximum(counts, 1.0)[:, :, None]
        present = met.sum(axis=1)[:, None]
        by_seed = np.divide(each.sum(axis=2), present, out=np.full((agents, seeds, metrics), np.nan), where=present > 0)
        columns = np.concatenate([means.transpose(1, 0, 2).reshape(len(member), -1), np.ones((len(member), 1))], axis=1)
        totals = self._resamples.totals(columns, member)
        # A resample may miss a small group altogether: it has no utility there.
        drawn = totals[:, -1:]
        resampled = np.divide(totals[:, :-1], drawn, out=np.full(totals[:, :-1].shape, np.nan), where=drawn > 0)
        return means.mean(axis=1), by_seed, resampled.reshape(-1, agents, metrics)
