"""From the shards of all agents to what is said of each: engagement, groups, comparisons, slices."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.benchmark.exposure import Exposure
from svsim.benchmark.shard import EPISODE_METRICS, Shard
from svsim.benchmark.spec import BenchmarkSpec
from svsim.benchmark.statistics import (
    Comparison,
    Estimate,
    Panel,
    Slices,
    SliceScores,
    compare_agents,
    ratio_score,
    weighted_mean,
)
from svsim.data.groups import GROUPINGS, UserGroups, user_groups
from svsim.data.store import FeedStore
from svsim.errors import EnvironmentUsageError
from svsim.metrics import Resamples
from svsim.names import INFLUENCER, NORMAL

__all__ = ["UNPRIVILEGED_RAILS", "Analysis"]

Ints = npt.NDArray[np.int64]

UNPRIVILEGED_RAILS = ("random", "popularity")
"""Rails that know no more than an agent; the one that does best on the validation split is what all are compared with."""

RARE_TAB = 0.05
"""Tabs with a smaller share of the episodes are one slice together."""
_REWARD = EPISODE_METRICS.index("reward")


class Analysis:
    """The statistics of a benchmark.

    Args:
        spec: The benchmark.
        store: What it ran on.
        shards: By agent, those of all seeds in order; all agents of the same episodes.
        privileged: Agents that know what no observation tells: no hypotheses, no winners.
        validation: Shards of unprivileged rails on the validation split.
        resamples: Of the users.

    Raises:
        EnvironmentUsageError: The shards are of other episodes than the specification's.
    """

    def __init__(
        self,
        spec: BenchmarkSpec,
        store: FeedStore,
        shards: Mapping[str, list[Shard]],
        privileged: frozenset[str],
        validation: Mapping[str, Shard],
        resamples: int,
    ) -> None:
        self.spec, self.store, self.shards, self.privileged = spec, store, shards, privileged
        self.names = list(shards)
        self._resamples = resamples
        self._runs = next(iter(shards.values()))
        ids, index = np.unique(np.concatenate([run.user_id for run in self._runs]), return_inverse=True)
        self._user = np.split(index.astype(np.int64), np.cumsum([len(run.user_id) for run in self._runs])[:-1])
        known = np.asarray(store.users["user_id"])
        order = np.argsort(known, kind="stable")
        self._dense = order[np.searchsorted(known, ids, sorter=order)]
        """(U,) dense ids of the users who were met."""
        self.groupings = {name: user_groups(store, name) for name in GROUPINGS}
        self._draws = Resamples(len(ids), count=resamples, keep=True)
        self.panel = Panel(
            self._user, [[run.metrics for run in runs] for runs in shards.values()], self._members(), self._draws
        )
        self.exposure = Exposure(store, self._runs[0].pool)
        self.rewards = {name: self.panel.overall(number, _REWARD) for number, name in enumerate(self.names)}
        self.reference = self._reference(validation)

    # --- groups -------------------------------------------------------------------------------------------------------

    def _codes(self, grouping: UserGroups) -> Ints:
        """(U,) level of each user who was met."""
        return grouping.code[self._dense]

    def _members(self) -> dict[str, npt.NDArray[np.bool_]]:
        """By group, and by group within a stratum of activity, who belongs to it."""
        members = {
            _key(name, level): self._codes(grouping) == code
            for name, grouping in self.groupings.items()
            for code, level in enumerate(grouping.levels)
        }
        activity = self.groupings["activity"]
        strata = {
            _key("activity", stratum, level): members[_key("activity", stratum)] & members[_key("influencer", level)]
            for stratum in activity.levels
            for level in self.groupings["influencer"].levels
        }
        return members | strata

    def utilities(self, name: str, grouping: str) -> dict[str, tuple[int, dict[str, Estimate]]]:
        """By group its users who were met and their utilities."""
        number = self.names.index(name)
        return {
            level: (self.panel.users(key), self._metrics(number, key))
            for level in self.groupings[grouping].levels
            for key in [_key(grouping, level)]
        }

    def _metrics(self, number: int, key: str) -> dict[str, Estimate]:
        return {metric: self.panel.utility(number, key, column) for column, metric in enumerate(EPISODE_METRICS)}

    def gap_within_activity(self, name: str) -> tuple[dict[str, tuple[dict[str, int], Estimate]], Estimate]:
        """Gaps of normal users to influencers among users of the same activity.

        Returns:
            By stratum the users of both groups and the gap in reward; and the strata's mean, weighted by their
            influencers, over strata with two users of each group.
        """
        number = self.names.index(name)
        strata, gaps, weights = {}, [], []
        for stratum in self.groupings["activity"].levels:
            keys = {level: _key("activity", stratum, level) for level in (INFLUENCER, NORMAL)}
            users = {level: self.panel.users(key) for level, key in keys.items()}
            gap = self.panel.utility(number, keys[NORMAL], _REWARD) - self.panel.utility(
                number, keys[INFLUENCER], _REWARD
            )
            strata[stratum] = (users, gap)
            if min(users.values()) >= 2:
                gaps.append(gap)
                weights.append(float(users[INFLUENCER]))
        if not gaps:
            return strata, _nothing(len(self._runs))
        return strata, weighted_mean(gaps, weights)

    # --- engagement ---------------------------------------------------------------------------------------------------

    def engagement(self, name: str) -> dict[str, Estimate]:
        """Means over episodes, exposure, and the score where both of its rails are there."""
        number = self.names.index(name)
        told = {metric: self.panel.overall(number, column) for column, metric in enumerate(EPISODE_METRICS)}
        told |= self.exposure.measure(self.shards[name])
        if self._has_score:
            told["score"] = ratio_score(self.rewards[name], self.rewards["random"], self.rewards["oracle"])
        return told

    @property
    def _has_score(self) -> bool:
        return "random" in self.names and "oracle" in self.names

    # --- comparison ---------------------------------------------------------------------------------------------------

    def _reference(self, validation: Mapping[str, Shard]) -> str | None:
        """The unprivileged rail that is best on the validation split; without one popularity, or the rail that is there."""
        rails = [name for name in UNPRIVILEGED_RAILS if name in self.names]
        if len(rails) == len(UNPRIVILEGED_RAILS) and set(rails) <= set(validation):
            return max(rails, key=lambda name: float(validation[name].metrics[:, _REWARD].mean()))
        return rails[-1] if rails else None

    @cached_property
    def competitors(self) -> list[str]:
        """Agents that play by the rules."""
        return [name for name in self.names if name not in self.privileged]

    @cached_property
    def comparisons(self) -> dict[str, Comparison]:
        """By agent, its difference to the reference rail; empty without one."""
        if self.reference is None:
            return {}
        return compare_agents(self.rewards, self.reference, self.competitors)

    @cached_property
    def best(self) -> str | None:
        """The competitor with the highest mean reward."""
        return max(self.competitors, key=lambda name: self.rewards[name].value) if self.competitors else None

    @cached_property
    def behind(self) -> dict[str, Comparison]:
        """By competitor, its difference to the best one."""
        if self.best is None:
            return {}
        return compare_agents({name: self.rewards[name] for name in self.competitors}, self.best)

    @property
    def winner(self) -> str | None:
        """The best competitor, if it is told apart from every other one."""
        apart = self.behind and all(other.better is False for other in self.behind.values())
        return self.best if apart else None

    @cached_property
    def improvements(self) -> dict[str, Estimate]:
        """By agent, how probably one of its episodes is better than the reference's same one; an equal one counts half."""
        if self.reference is None:
            return {}
        base = [run.metrics[:, _REWARD] for run in self.shards[self.reference]]
        names = [name for name in self.names if name != self.reference]
        better = [
            [_wins(run.metrics[:, _REWARD], own)[:, None] for run, own in zip(self.shards[name], base, strict=True)]
            for name in names
        ]
        if not names:
            return {}
        panel = Panel(self._user, better, {}, self._draws)
        return {name: panel.overall(number, 0) for number, name in enumerate(names)}

    # --- slices -------------------------------------------------------------------------------------------------------

    @cached_property
    def _slices(self) -> Slices:
        rewards = [[run.metrics[:, _REWARD] for run in runs] for runs in self.shards.values()]
        activity, influencer = (self._codes(self.groupings[name]) for name in ("history", "influencer"))
        stratum = activity * len(self.groupings["influencer"].levels) + influencer
        return Slices(self._user, self._kinds(), stratum, rewards, self._resamples)

    def _kinds(self) -> list[Ints]:
        """For each seed the (E,) kind of each episode: the day and the tab of its session's first row."""
        event = self._first_events()
        session = [(run.key % np.uint64(len(event))).astype(np.int64) for run in self._runs]
        tab = np.asarray(self.store.events["tab"])[event].astype(np.int64)
        met = np.bincount(np.concatenate([tab[own] for own in session]))
        rare = np.flatnonzero(met < RARE_TAB * met.sum())
        tab[np.isin(tab, rare)] = -1
        _, kind = np.unique(
            np.column_stack([np.asarray(self.store.events["date"])[event], tab]), axis=0, return_inverse=True
        )
        return [kind.ravel()[own].astype(np.int64) for own in session]

    def _first_events(self) -> Ints:
        """(S,) row of the first event of each session that the environment serves."""
        sessions = self.spec.served_sessions(self.store)
        if len(sessions) != self._runs[0].sessions:
            raise EnvironmentUsageError(
                f"expected shards of {len(sessions):,} sessions, found {self._runs[0].sessions:,}", where="benchmark"
            )
        return np.asarray(sessions.rows[sessions.start])

    def slice_scores(self, name: str) -> SliceScores | None:
        """Scores by slice; None without the rails that a score needs."""
        if not self._has_score:
            return None
        number, low, high = (self.names.index(own) for own in (name, "random", "oracle"))
        return self._slices.scores(number, low, high)

    # --- records ------------------------------------------------------------------------------------------------------

    def record(self, name: str) -> dict[str, Any]:
        """What is said of an agent, for JSON."""
        told: dict[str, Any] = {"metrics": _records(self.engagement(name))}
        for grouping in self.groupings:
            told_of = self._grouping_record(name, grouping)
            if grouping == "influencer":
                told |= told_of
            else:
                told.setdefault("groupings", {})[grouping] = told_of
        strata, overall = self.gap_within_activity(name)
        told["gap_within_activity"] = {
            "reward": overall.record(),
            "strata": {stratum: {"users": users, "reward": gap.record()} for stratum, (users, gap) in strata.items()},
        }
        if name in self.comparisons:
            told["comparison"] = self.comparisons[name].record()
            told["comparison"]["improvement"] = self.improvements[name].record(within=(0.0, 1.0))
        scores = self.slice_scores(name)
        if scores is not None:
            told["slices"] = {"count": len(scores.value), "score": scores.middle().record()}
        if name in self.competitors:
            told["behind"] = self.behind[name].record() if name in self.behind else None
            told["winner"] = name == self.winner
        return told

    def _grouping_record(self, name: str, grouping: str) -> dict[str, Any]:
        utilities = self.utilities(name, grouping)
        first, last = (utilities[level][1] for level in (self.groupings[grouping].levels[i] for i in (0, -1)))
        known = {level: own["reward"].value for level, (users, own) in utilities.items() if users}
        return {
            "groups": {level: {"users": users, **_records(own)} for level, (users, own) in utilities.items()},
            "gap": {metric: (last[metric] - first[metric]).record() for metric in EPISODE_METRICS},
            "worst": min(known, key=lambda level: known[level]) if known else None,
        }

    def profiles(self) -> dict[str, list[Estimate]]:
        """By agent, for each threshold, the share of slices whose score is above it; empty without scores."""
        found = {name: self.slice_scores(name) for name in self.names}
        return {name: scores.profile() for name, scores in found.items() if scores is not None and len(scores.value)}


def _key(*parts: str) -> str:
    return ":".join(parts)


def _nothing(seeds: int) -> Estimate:
    return Estimate(np.nan, np.full(seeds, np.nan), np.empty(0))


def _records(estimates: Mapping[str, Estimate]) -> dict[str, dict[str, float | None]]:
    return {name: estimate.record() for name, estimate in estimates.items()}


def _wins(own: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray((own > other) + 0.5 * (own == other))
