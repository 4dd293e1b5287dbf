"""What policies would do in the contexts of a log: all that estimators need of them, a block of rows at a time.

In the random log's contexts S videos are drawn beside the logged one, the same for all policies. A scorer that gives a
video the same score whatever stands beside it is weighed in closed form (`svsim.ope.logs.best_of`). Any other agent is shown
drawn sets of m: some with the logged video, whose probability there, times m / K, has the expectation π(a | x), and some
that do not, for the sums over what else it picks. In the standard log's contexts an agent is shown what was retrieved.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.agents.base import Agent, Observation, greedy, slot_probabilities
from svsim.agents.registry import blamed
from svsim.data.features import candidate_feature_names
from svsim.envs.contexts import Contexts
from svsim.errors import AgentError, OptionError
from svsim.ope.logs.best_of import Picks, pick_probabilities
from svsim.ope.logs.logged import LoggedBandit
from svsim.ope.logs.reward_features import features
from svsim.ope.logs.reward_model import RewardModel

__all__ = ["Asked", "PolicyRows", "ask", "checked_others"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Progress = Callable[[str, int, int | None], None]

BLOCK = 512
PROBED = 16
"""Rows on which a scorer is tried."""


@dataclass(frozen=True)
class PolicyRows:
    """One policy at n logged rows."""

    weight: Floats
    """(n,) w = π(a | x) / p."""
    match: npt.NDArray[np.bool_]
    """(n,) whether it picks the logged video from one drawn set that holds it."""
    q_expected: Floats
    """(n,) q̄."""
    form_expected: Floats
    """(n, d) Σ π φ, see `svsim.ope.logs.reward_model.variance_fit`."""
    group_weight: Mapping[str, Floats]
    """(n,) weights of the logged video's group, by grouping."""
    closed_form: bool
    """Whether it was weighed as a scorer."""

    def take(self, chosen: npt.NDArray[np.bool_]) -> PolicyRows:
        """Some of the rows, by (n,) bool."""
        return PolicyRows(
            self.weight[chosen],
            self.match[chosen],
            self.q_expected[chosen],
            self.form_expected[chosen],
            {name: values[chosen] for name, values in self.group_weight.items()},
            self.closed_form,
        )


@dataclass(frozen=True)
class Asked:
    """What was learnt at the rows of a log."""

    q_logged: Floats
    """(n,) q̂ of the logged videos."""
    form_logged: Floats
    """(n, d) φ of them."""
    policies: Mapping[str, PolicyRows | AgentError]
    """By name; of an agent that failed, why."""

    def take(self, chosen: npt.NDArray[np.bool_]) -> Asked:
        """Some of the rows, by (n,) bool; agents that failed are left out."""
        kept = {name: own.take(chosen) for name, own in self.policies.items() if isinstance(own, PolicyRows)}
        return Asked(self.q_logged[chosen], self.form_logged[chosen], kept)


@dataclass
class _Rows:
    """A policy's rows as they come in."""

    n: int
    width: int
    groupings: tuple[str, ...]
    pointwise: bool | None = None
    error: AgentError | None = None
    arrays: dict[str, Floats] = field(init=False)

    def __post_init__(self) -> None:
        self.arrays = {name: np.zeros(self.n) for name in ("weight", "match", "q", *self.groupings)}
        self.form = np.zeros((self.n, self.width))

    def done(self) -> PolicyRows | AgentError:
        if self.error is not None:
            return self.error
        a = self.arrays
        groups = {name: a[name] for name in self.groupings}
        return PolicyRows(a["weight"], a["match"] > 0, a["q"], self.form, groups, bool(self.pointwise))


def ask(
    logged: LoggedBandit,
    agents: Mapping[str, Agent],
    contexts: Contexts,
    model: RewardModel,
    *,
    candidates: int = 20,
    others: int = 99,
    draws: int = 4,
    groups: Mapping[str, Ints] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Asked:
    """Ask fitted agents and a reward model at every row of a log.

    Args:
        logged: n rows.
        agents: By name; each with `probabilities`.
        contexts: Builds the observations.
        model: q̂.
        candidates: m, videos that an agent chooses among; of the standard log they are what was retrieved.
        others: S, videos drawn beside the logged one; raised to m, and no more than the pool has.
        draws: Sets of either kind shown to an agent that is no scorer.
        groups: (n_videos + 1,) group of each video of the pool, by grouping.
        seed: Of the draws.
        progress: Told of the rows.

    Raises:
        OptionError: Numbers that cannot be.
    """
    groupings = dict(groups or {}) if logged.sets is None else {}
    if logged.sets is None:
        others = checked_others(logged, candidates, others)
    if draws < 1:
        raise OptionError(f"expected at least 1 draw, found {draws}", where="--draws")
    n, width = len(logged), 2 + len(candidate_feature_names(logged.store))
    rows = {name: _Rows(n, width, tuple(groupings)) for name in agents}
    q_logged, form_logged = np.zeros(n), np.zeros((n, width))
    shares = {name: np.bincount(codes[logged.pool], weights=logged.pool_share) for name, codes in groupings.items()}
    for start in range(0, n, BLOCK):
        part = np.arange(start, min(start + BLOCK, n))
        video = _videos(logged, part, others, seed)
        observation = contexts.observe(logged.user[part], logged.time_ms[part], video)
        if logged.sets is not None:
            observation["action_mask"][:, 0] = (logged.sets[part] == logged.video[part][:, None]).any(axis=1)
        chance = np.full(len(part), logged.log == "random")
        q = model.predict(features(observation, chance), logged.user[part])
        form = np.concatenate([np.ones((*q.shape, 1)), q[..., None], observation["candidates"]], axis=2)
        q_logged[part], form_logged[part] = q[:, 0], form[:, 0]
        block = _Block(logged, part, observation, candidates, draws, seed)
        for name, agent in agents.items():
            own = rows[name]
            if own.error is not None:
                continue
            try:
                with blamed(name):
                    picks, match = block.picks(agent, own)
            except AgentError as error:
                own.error = error
                continue
            chosen = np.concatenate([picks.logged[:, None], picks.others], axis=1)
            own.arrays["weight"][part] = picks.logged / logged.propensity[part]
            own.arrays["match"][part] = match
            own.arrays["q"][part] = (chosen * q).sum(axis=1)
            own.form[part] = np.einsum("bk,bkd->bd", chosen, form)
            for grouping, codes in groupings.items():
                code = codes[video]
                share = (chosen * (code == code[:, :1])).sum(axis=1)
                own.arrays[grouping][part] = share / shares[grouping][code[:, 0]]
        if progress is not None:
            progress("logged contexts", int(part[-1]) + 1, n)
    return Asked(q_logged, form_logged, {name: own.done() for name, own in rows.items()})


def checked_others(logged: LoggedBandit, candidates: int, others: int) -> int:
    """How many videos are drawn beside a logged one of the random log; arguments as of `ask`.

    Raises:
        OptionError: More candidates than the pool has, or none.
    """
    # Sets without the logged video are drawn from the others alone.
    drawn = min(max(others, candidates), len(logged.pool) - 1)
    if not 1 <= candidates <= drawn + 1:
        raise OptionError(
            f"expected 1 to {drawn + 1:,} candidates (the logged video and {drawn:,} others), found {candidates}",
            where="--candidates",
        )
    return drawn


def _videos(logged: LoggedBandit, part: Ints, others: int, seed: int) -> Ints:
    """(B, 1 + S) the logged videos, and beside each others of the pool in random order; or all that was retrieved."""
    own = logged.video[part]
    if logged.sets is not None:
        sets = logged.sets[part]
        return np.concatenate([own[:, None], np.where(sets == own[:, None], 0, sets)], axis=1)
    rng = np.random.default_rng([seed, 0xBE57, int(logged.rows[part[0]])])
    place = np.searchsorted(logged.pool, own)
    drawn = _distinct(rng, len(part), len(logged.pool) - 1, others)
    # Places from the logged video's on move up by one: it is not among the others.
    drawn += drawn >= place[:, None]
    return np.concatenate([own[:, None], logged.pool[drawn]], axis=1)


def _distinct(rng: np.random.Generator, rows: int, size: int, count: int) -> Ints:
    """(rows, count) draws from 0 … size − 1 without repetition in a row, in random order."""
    if 3 * count > size:
        return rng.permuted(np.tile(np.arange(size), (rows, 1)), axis=1)[:, :count]
    drawn = rng.integers(size, size=(rows, count))
    while True:
        ordered = np.sort(drawn, axis=1)
        again = np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).any(axis=1))
        if not len(again):
            return drawn
        # A row that repeats is drawn anew as a whole, which keeps all sets alike.
        drawn[again] = rng.integers(size, size=(len(again), count))


class _Block:
    """One block of rows, shown to agents."""

    def __init__(
        self, logged: LoggedBandit, part: Ints, observation: Observation, candidates: int, draws: int, seed: int
    ) -> None:
        self.logged, self.part, self.observation = logged, part, observation
        self.m = candidates
        # By rows of the store, so that a shard draws what the whole log would.
        first = int(logged.rows[part[0]])
        self.seed = seed + first
        self.width = observation["action_mask"].shape[1]
        self.pool = len(logged.pool)
        self.inside = 1 if candidates == 1 else min(draws, (self.width - 1) // (candidates - 1))
        self.without = min(draws, (self.width - 1) // candidates)
        self._rng = np.random.default_rng([seed, 0x5E75, first])
        self.uniform = self._rng.random((len(part), 2))
        # The same places for every agent.
        self.orders = [
            self._rng.permuted(np.tile(np.arange(candidates), (len(part), 1)), axis=1)
            for _ in range(self.inside + self.without)
        ]

    def picks(self, agent: Agent, own: _Rows) -> tuple[Picks, npt.NDArray[np.bool_]]:
        """What an agent picks, and whether it picks the logged video from the first set that holds it."""
        if self.logged.sets is not None:
            shown = self._ask(agent, self.observation, 0)
            return Picks(shown[:, 0], shown[:, 1:]), self.uniform[:, 0] < shown[:, 0]
        if own.pointwise is None:
            own.pointwise = self._is_pointwise(agent)
        if own.pointwise:
            scores = self._scores(agent, self.observation)
            first = scores[:, : self.m]
            ties = (first == first[:, :1]).sum(axis=1)
            best = first[:, 0] >= first.max(axis=1)
            return pick_probabilities(scores, self.pool, self.m, self.uniform[:, 1]), best & (
                self.uniform[:, 0] * ties < 1
            )
        return self._by_sets(agent)

    def _by_sets(self, agent: Agent) -> tuple[Picks, npt.NDArray[np.bool_]]:
        rows, m = len(self.part), self.m
        logged, others = np.zeros(rows), np.zeros((rows, self.width - 1))
        share = m / self.pool
        match = np.zeros(rows, dtype=bool)
        for draw in range(self.inside):
            beside = np.arange(draw * (m - 1), (draw + 1) * (m - 1))
            shown = self._ask_set(agent, np.append(0, 1 + beside), draw)
            if draw == 0:
                match = self.uniform[:, 0] < shown[:, 0]
            logged += share / self.inside * shown[:, 0]
            others[:, beside] += share / self.inside * shown[:, 1:]
        for draw in range(self.without):
            beside = np.arange(draw * m, (draw + 1) * m)
            shown = self._ask_set(agent, 1 + beside, self.inside + draw)
            others[:, beside] += (1 - share) / self.without * shown
        return Picks(logged, others), match

    def _ask_set(self, agent: Agent, columns: Ints, draw: int) -> Floats:
        """(B, m) probabilities of some columns, shown in random places."""
        order = self.orders[draw]
        shown = self._ask(agent, _placed(self.observation, columns[order]), 1 + draw)
        back = np.empty_like(shown)
        np.put_along_axis(back, order, shown, axis=1)
        return back

    def _ask(self, agent: Agent, observation: Observation, stream: int) -> Floats:
        agent.reset(observation, {}, seed=self.seed + stream * self.logged.store.n_events)
        return slot_probabilities(agent, observation)

    def _scores(self, agent: Agent, observation: Observation) -> Array:
        agent.reset(observation, {}, seed=self.seed)
        scores = np.asarray(getattr(agent, "score")(observation))  # noqa: B009
        if scores.shape != observation["action_mask"].shape or np.isnan(scores).any():
            raise AgentError(
                f"expected scores of shape {observation['action_mask'].shape} that are numbers", where="score"
            )
        return scores

    def _is_pointwise(self, agent: Agent) -> bool:
        """Whether a video's score is the same whatever stands beside it, and the highest one is what is served."""
        if not callable(getattr(agent, "score", None)):
            return False
        few = {name: values[:PROBED] for name, values in self.observation.items()}
        rows = len(few["action_mask"])
        order = np.tile(np.arange(self.width), (rows, 1))
        places = np.random.default_rng(self.seed).permuted(order, axis=1)[:, : self.m]
        small = _placed(few, places)
        try:
            wide, narrow = self._scores(agent, few), self._scores(agent, small)
            if not np.array_equal(np.take_along_axis(wide, places, axis=1), narrow):
                return False
            agent.reset(small, {}, seed=self.seed)
            told = slot_probabilities(agent, small)
        except (Exception, SystemExit):
            # As an agent that was made for so many slots and no others; what else is wrong shows when it is asked.
            return False
        served = greedy(narrow, small["action_mask"])
        return bool((told[np.arange(rows), served] == 1).all())


_BY_SLOT = ("candidates", "candidate_video", "candidate_author", "action_mask")


def _placed(observation: Observation, columns: Ints) -> Observation:
    """The observation with (B, m) of its candidates."""
    found = dict(observation)
    for name in _BY_SLOT:
        values = observation[name]
        index = columns if values.ndim == 2 else columns[..., None]
        found[name] = np.take_along_axis(values, index, axis=1)
    return found
