"""One shard of a benchmark: one agent plays the episodes of one seed."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import gymnasium as gym
import numpy as np
import numpy.typing as npt

import svsim  # noqa: F401 - registers the environments
from svsim.agents.base import Agent
from svsim.agents.registry import blamed, make_agent
from svsim.benchmark.spec import ENVIRONMENTS, BenchmarkSpec
from svsim.envs.batch import BatchEnv
from svsim.errors import AgentError, EnvironmentUsageError
from svsim.names import SIGNALS
from svsim.randomness import keyed_hash
from svsim.world.presets import find_store

__all__ = ["EPISODE_METRICS", "STEP_LIMIT", "Shard", "episode_plan", "make_environment", "play_shard"]

Array = npt.NDArray[Any]

EPISODE_METRICS = ("reward", *SIGNALS, "watch_s", "length")
"""What an episode is measured by; sums over its steps."""

STEP_METRICS = ("reward", *SIGNALS)
STEP_LIMIT = 1.0
"""Seconds that an agent may take a step of all rows, on average."""
PATIENCE = 10
TOGETHER = 64
"""Steps that are added up at a time: a call to numpy costs as much as the sums of a step."""
FIRST_STEPS = 128
"""Steps that are made room for; as many again whenever an episode goes on for longer."""


@dataclass
class Shard:
    """What a shard leaves behind: E episodes, T steps.

    Attributes:
        key: (E,) uint64 episode keys.
        user_id: (E,) the source's ids.
        group: (E,) names.
        metrics: (E, M) float64 in the order of `EPISODE_METRICS`.
        step_episodes: (T,) episodes that reached each step.
        step_sums: (T, 4) sums of reward, wtr, wtg and aux over them.
        video, plays: dense ids of the served videos, ascending, and how often each was served.
        skipped, sessions: sessions too short to be served, and those that are.
        pool: (P,) dense ids of the videos that could have been served.
    """

    key: Array
    user_id: Array
    group: Array
    metrics: Array
    step_episodes: Array
    step_sums: Array
    video: Array
    plays: Array
    skipped: int
    sessions: int
    pool: Array

    def to_bytes(self) -> bytes:
        """As an `.npz` of plain arrays."""
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **{item.name: getattr(self, item.name) for item in fields(self)})
        return buffer.getvalue()

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `to_bytes` made."""
        with np.load(path, allow_pickle=False) as file:
            values = {item.name: file[item.name] for item in fields(cls)}
        return cls(**{name: value.item() if value.ndim == 0 else value for name, value in values.items()})


def episode_plan(sessions: int, episodes: int | None, seed: int) -> npt.NDArray[np.uint64]:
    """Keys of a seed's episodes: every session once in random order, then anew until there are enough.

    The same for all agents. A key decides the session (key modulo `sessions`) and how its candidates are shuffled.

    Args:
        sessions: Sessions that the environment serves.
        episodes: How many; None plays every session once.
        seed: Number of the evaluation seed.
    """
    count = sessions if episodes is None else episodes
    keys = []
    for turn in range(-(-count // sessions)):
        order = np.random.default_rng([seed, turn]).permutation(sessions).astype(np.uint64)
        block = keyed_hash(seed, turn) >> np.uint64(32)
        keys.append(block * np.uint64(sessions) + order)
    return np.concatenate(keys)[:count]


def play_shard(spec: BenchmarkSpec, name: str, seed: int, step_limit: float = STEP_LIMIT) -> Shard | AgentError:
    """Let one agent play one seed's episodes.

    Args:
        spec: The benchmark.
        name: The agent as typed.
        seed: Number of the evaluation seed.
        step_limit: Seconds that the agent may take a step of all rows, on average.

    Returns:
        The shard, or what the agent did wrong.
    """
    try:
        return _Play(spec, name, fitted_agent(spec, name, seed), seed, step_limit).run()
    except AgentError as error:
        return error


def checked_slots(action: npt.ArrayLike, mask: Array) -> npt.NDArray[np.int64]:
    """(B,) what an agent chose, if its mask (B, K) allows it.

    Raises:
        AgentError: It is no slot, or an empty one.
    """
    chosen = np.asarray(action)
    rows = len(mask)
    if chosen.shape != (rows,) or chosen.dtype.kind not in "iu":
        raise AgentError(
            f"expected whole numbers of shape ({rows},), found {chosen.dtype} of shape {chosen.shape}", where="act"
        )
    if chosen.min() < 0 or chosen.max() >= mask.shape[1]:
        outside = np.flatnonzero((chosen < 0) | (chosen >= mask.shape[1]))
        raise AgentError(
            f"expected slots from 0 to {mask.shape[1] - 1}, found {chosen[outside[0]]} in row {outside[0]}", where="act"
        )
    legal = mask[np.arange(rows), chosen]
    if not legal.all():
        empty = np.flatnonzero(legal == 0)
        raise AgentError(
            f"expected a slot that action_mask allows, found slot {chosen[empty[0]]} in row {empty[0]}", where="act"
        )
    return chosen.astype(np.int64, copy=False)


def fitted_agent(spec: BenchmarkSpec, name: str, seed: int) -> Agent:
    """Make an agent, and fit it on the training split where it wants that.

    Args:
        spec: The benchmark.
        name: The agent as typed.
        seed: Number of the evaluation seed.
    """
    with blamed(name, f" in {ENVIRONMENTS[spec.env]}"):
        agent = make_agent(spec.agent_of_seed(name, seed), reward_weights=spec.signal_weights)
        if hasattr(agent, "fit"):
            agent.fit(find_store(spec.store), seed=seed)
    return agent


def make_environment(spec: BenchmarkSpec, rows: int, *, privileged: bool = False) -> BatchEnv:
    """The benchmark's environment with B = `rows`."""
    made = gym.make_vec(
        ENVIRONMENTS[spec.env],
        num_envs=rows,
        vectorization_mode="vector_entry_point",
        store=find_store(spec.store),
        privileged=privileged,
        **spec.environment_arguments,
    ).unwrapped
    assert isinstance(made, BatchEnv)
    return made


class _Play:
    """The episodes of a shard, played B at a time: row r plays the r-th, the (r + B)-th and so on."""

    def __init__(self, spec: BenchmarkSpec, name: str, agent: Agent, seed: int, step_limit: float) -> None:
        self.spec, self.name, self.agent, self.seed, self.step_limit = spec, name, agent, seed, step_limit
        self.steps, self.seconds = 0, 0.0
        store = find_store(spec.store)
        self.plan = episode_plan(make_environment(spec, 1).sessions, spec.episodes, seed)
        self.rows = min(spec.num_envs, len(self.plan))
        # What only privileged agents may know is not even made for the others.
        self.env = make_environment(spec, self.rows, privileged=agent.privileged)
        self.queue_length = -(-len(self.plan) // self.rows)
        self.plays = np.zeros(store.n_videos + 1, dtype=np.int64)
        self.metrics = np.zeros((len(self.plan), len(EPISODE_METRICS)))
        self.user_id = np.zeros(len(self.plan), dtype=np.int64)
        self.group = np.zeros(len(self.plan), dtype="<U16")
        self.step_episodes = np.zeros(FIRST_STEPS, dtype=np.int64)
        # A row a metric: numpy adds to one-dimensional arrays of one type ten times as fast.
        self.step_sums = np.zeros((len(STEP_METRICS), FIRST_STEPS))
        self.every = np.arange(self.rows)
        self.kept: list[tuple[Array, ...]] = []

    def run(self) -> Shard:
        # What fills up the last turn is played and not counted.
        queue = np.resize(self.plan, (self.queue_length, self.rows))
        observation, info = self.env.reset(seed=self.seed, options={"episodes": queue})
        with self._agents_turn():
            self.agent.reset(observation, info, seed=self.seed)
        step = np.zeros(self.rows, dtype=np.int64)
        episode = self.every.copy()
        counted = episode < len(self.plan)
        while counted.any():
            action = self._act(observation)
            following, reward, terminated, truncated, info = self.env.step(action)
            self._count(observation, action, reward, info, step, counted)
            began = terminated | truncated
            with self._agents_turn():
                self.agent.observe(observation, action, reward, following, terminated, truncated, info, began)
            self._check_pace()
            if began.any():
                self._close(episode[began & counted], np.flatnonzero(began & counted), info["final_info"])
                episode += began * self.rows
                counted = episode < len(self.plan)
            step += 1
            step[began] = 0
            observation = following
        return self._shard()

    def _act(self, observation: dict[str, Array]) -> Array:
        with self._agents_turn():
            return checked_slots(self.agent.act(observation), observation["action_mask"])

    @contextmanager
    def _agents_turn(self) -> Iterator[None]:
        began = time.perf_counter()
        with blamed(self.name, f" in {ENVIRONMENTS[self.spec.env]}"):
            yield
        self.seconds += time.perf_counter() - began

    def _check_pace(self) -> None:
        """One slow step is forgiven, ten are not."""
        self.steps += 1
        if self.seconds > max(self.steps, PATIENCE) * self.step_limit:
            with blamed(self.name, f" in {ENVIRONMENTS[self.spec.env]}"):
                raise AgentError(
                    f"expected at most {self.step_limit:g} s a step of {self.rows} rows, found"
                    f" {self.seconds / self.steps:.1f} s over {self.steps} steps",
                    remedy="raise --step-limit or lower --num-envs",
                )

    def _count(
        self,
        observation: dict[str, Array],
        action: Array,
        reward: Array,
        info: dict[str, Any],
        step: Array,
        counted: Array,
    ) -> None:
        # A served video is counted before it leaves its slot; an empty slot is video 0.
        served = observation["candidate_video"][self.every, action]
        kept = (served, step.copy(), np.column_stack([reward, info["reward_vector"]]))
        self.kept.append(kept if counted.all() else tuple(values[counted] for values in kept))
        if len(self.kept) == TOGETHER:
            self._add()

    def _add(self) -> None:
        """Add up the steps that were kept, in their order."""
        if not self.kept:
            return
        served, step, values = (np.concatenate(parts) for parts in zip(*self.kept, strict=True))
        self.kept.clear()
        np.add.at(self.plays, served, 1)
        while step.max() >= len(self.step_episodes):
            more = len(self.step_episodes)
            self.step_episodes = np.pad(self.step_episodes, (0, more))
            self.step_sums = np.pad(self.step_sums, ((0, 0), (0, more)))
        np.add.at(self.step_episodes, step, 1)
        for sums, value in zip(self.step_sums, np.array(values.T, dtype=np.float64, order="C"), strict=True):
            np.add.at(sums, step, value)

    def _close(self, episodes: Array, rows: Array, final: dict[str, Any]) -> None:
        for column, name in enumerate(EPISODE_METRICS):
            self.metrics[episodes, column] = final["episode_metrics"][name][rows]
        self.user_id[episodes] = final["user_id"][rows]
        self.group[episodes] = final["group"][rows]
        if not np.array_equal(final["episode_key"][rows], self.plan[episodes]):
            raise EnvironmentUsageError("expected the planned episodes, found others", where=self.name)

    def _shard(self) -> Shard:
        self._add()
        self.plays[0] = 0
        video = np.flatnonzero(self.plays)
        return Shard(
            key=self.plan,
            user_id=self.user_id,
            group=self.group,
            metrics=self.metrics,
            step_episodes=self.step_episodes,
            step_sums=np.ascontiguousarray(self.step_sums.T),
            video=video,
            plays=self.plays[video],
            skipped=self.env.skipped_sessions,
            sessions=self.env.sessions,
            pool=self.env.pool,
        )
