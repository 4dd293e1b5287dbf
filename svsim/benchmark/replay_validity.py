"""How far Replay-v0's assumption moves the values of policies: measured on a world, where the truth is known.

Replay-v0 answers as logged, in whatever order an agent serves a session. Here every agent's episodes are answered again by
the world in the order in which it served them (`svsim.benchmark.reorder`). Mood and response noise are the logged ones, so
values are paired and differ by fatigue alone. An agent that looks at feedback chooses by the logged one in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.agents.registry import make_agent
from svsim.benchmark.reorder import Reordered
from svsim.benchmark.shard import episode_plan, make_environment
from svsim.benchmark.spec import BenchmarkSpec
from svsim.benchmark.statistics import Estimate, Panel, interval
from svsim.data.store import FeedStore
from svsim.metrics import Resamples
from svsim.names import DURATION, FEEDBACK, FLAGS, LOG_COLUMN_OF, PLAY_TIME
from svsim.signals import aux, scalar_reward, wtr
from svsim.world.files import open_world
from svsim.world.matching import path_rows
from svsim.world.presets import find_store
from svsim.world.simulation import Path, simulate

__all__ = ["AgentValidity", "ReplayValidity", "markdown", "rank_correlation", "served_ranks"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_COLUMNS = ("replay", "truth", "difference", "changed", "steps")


@dataclass(frozen=True)
class AgentValidity:
    """One agent's values, means over episodes of their sums of rewards.

    Attributes:
        agent: As typed.
        replay: With the logged feedback.
        truth: With the world's in the order served.
        difference: truth − replay, paired.
        changed: Share of served videos of which a flag (a click, a long view, a like, …) is another one.
    """

    agent: str
    replay: Estimate
    truth: Estimate
    difference: Estimate
    changed: float


class ReplayValidity:
    """A world's store and the lives behind it, on which agents are measured.

    Args:
        store: A store of a world.
        path: What its users lived through; by default simulated anew.

    Raises:
        DataError: The store holds no world's truth.
    """

    def __init__(self, store: FeedStore, path: Path | None = None) -> None:
        self.store = store
        self.path = simulate(open_world(store.path)) if path is None else path
        self._row_of_event = path_rows(store, self.path)

    def measure(self, spec: BenchmarkSpec) -> list[AgentValidity]:
        """Values of a benchmark's agents in Replay-v0 and in truth."""
        sessions = spec.served_sessions(self.store)
        begin = np.cumsum(sessions.length) - sessions.length
        place = np.arange(int(sessions.length.sum())) - np.repeat(begin - sessions.start, sessions.length)
        rows = self._row_of_event[sessions.rows[place]]
        reordered = Reordered(self.path, rows, begin, sessions.length)
        known, user = np.unique(sessions.user, return_inverse=True)
        resamples = Resamples(len(known), keep=True)
        found = []
        for name in spec.all_agents:
            users, values = [], []
            for seed in range(spec.seeds):
                session, rank = served_ranks(spec, name, seed)
                served = np.where(rank >= 0, rows[begin[session][:, None] + np.maximum(rank, 0)], -1)
                users.append(user[session])
                values.append(self._values(reordered, session, served, spec))
            panel = Panel(users, [values], {}, resamples)
            replay, truth, difference, changed, steps = (panel.overall(0, column) for column in range(len(_COLUMNS)))
            found.append(AgentValidity(name, replay, truth, difference, changed.value / steps.value))
        return found

    def _values(self, reordered: Reordered, session: Ints, served: Ints, spec: BenchmarkSpec) -> Floats:
        """(E, 5) values of episodes in the order of `_COLUMNS`."""
        columns, full = self.path.columns, served >= 0
        logged = {name: columns[LOG_COLUMN_OF[name]][served] * full for name in FEEDBACK}
        true = reordered.answer(session, served)
        by_log, by_truth = (self._reward(feedback, spec) for feedback in (logged, true))
        changed = np.any([logged[name] != true[name] for name in FLAGS], axis=0)
        return np.column_stack([by_log, by_truth, by_truth - by_log, changed.sum(axis=1), full.sum(axis=1)]).astype(
            np.float64
        )

    def _reward(self, feedback: dict[str, Array], spec: BenchmarkSpec) -> Floats:
        """(E,) sums of rewards."""
        play, duration = feedback[PLAY_TIME], feedback[DURATION]
        ratio = np.nan_to_num(wtr(play, duration, clip=1.0))
        vector = np.stack([ratio, self.store.wtg.relevance(play, duration), aux(feedback)], axis=-1)
        return np.asarray(scalar_reward(vector.astype(np.float32), spec.reward_weights).sum(axis=1))


def served_ranks(spec: BenchmarkSpec, name: str, seed: int) -> tuple[Ints, Ints]:
    """What an agent serves in Replay-v0.

    Args:
        spec: The benchmark.
        name: The agent as typed.
        seed: Number of the evaluation seed.

    Returns:
        (E,) session of each episode, and (E, T) the served videos by their place in the log's order of the session; −1
        after the end.
    """
    agent = make_agent(name, reward_weights=dict(spec.reward_weights))
    if hasattr(agent, "fit"):
        agent.fit(find_store(spec.store), seed=seed)
    sessions = make_environment(spec, 1).sessions
    plan = episode_plan(sessions, spec.episodes, seed)
    rows = min(spec.num_envs, len(plan))
    env = make_environment(spec, rows, privileged=True)
    served: list[tuple[Ints, Ints, Ints]] = []
    observation, info = env.reset(seed=seed, options={"episodes": np.resize(plan, (-(-len(plan) // rows), rows))})
    agent.reset(observation, _told(agent.privileged, info), seed=seed)
    every, step, episode = np.arange(rows), np.zeros(rows, dtype=np.int64), np.arange(rows)
    while (counted := np.flatnonzero(episode < len(plan))).size:
        action = agent.act(observation)
        rank = info["privileged"]["logged_rank"][every, action]
        served.append((episode[counted], step[counted], rank[counted]))
        following, reward, terminated, truncated, info = env.step(action)
        began = terminated | truncated
        agent.observe(
            observation, action, reward, following, terminated, truncated, _told(agent.privileged, info), began
        )
        step, episode = np.where(began, 0, step + 1), episode + rows * began
        observation = following
    which, when, rank = (np.concatenate(parts) for parts in zip(*served, strict=True))
    ranks = np.full((len(plan), int(when.max()) + 1), -1)
    ranks[which, when] = rank
    return (plan % np.uint64(sessions)).astype(np.int64), ranks


def _told(privileged: bool, info: dict[str, Any]) -> dict[str, Any]:
    """What an agent may know of the infos."""
    return info if privileged else {name: value for name, value in info.items() if name != "privileged"}


def rank_correlation(found: Sequence[AgentValidity]) -> float:
    """Kendall's τ between the agents' order in Replay-v0 and in truth."""
    from scipy.stats import kendalltau

    return float(kendalltau([one.replay.value for one in found], [one.truth.value for one in found]).statistic)


def markdown(found: Sequence[AgentValidity]) -> str:
    """The agents as a table, the best in truth first."""
    lines = [
        "| agent | in Replay-v0 | in truth | truth − Replay [95 %] | in % | other flags |",
        "|---|---|---|---|---|---|",
    ]
    for one in sorted(found, key=lambda one: -one.truth.value):
        low, high = interval(one.difference)
        numbers = (
            f"{one.replay.value:.3f} | {one.truth.value:.3f} | {one.difference.value:+.4f} [{low:+.4f}, {high:+.4f}]"
            f" | {100 * one.difference.value / one.replay.value:+.2f} | {100 * one.changed:.1f} %"
        )
        lines.append(f"| {one.agent} | {numbers.replace('-', '−')} |")
    return "\n".join(lines) + "\n"
