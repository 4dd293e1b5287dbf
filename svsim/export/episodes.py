"""Logged sessions as episodes: svsim/Replay-v0 played in the log's own order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

import svsim  # noqa: F401 - registers the environments
from svsim.agents.rails import LoggedAgent
from svsim.data.store import FeedStore
from svsim.envs.batch import BatchEnv
from svsim.errors import OptionError

__all__ = ["ENV", "LoggedEpisode", "logged_episodes", "session_count"]

Array = npt.NDArray[Any]

ENV = "svsim/Replay-v0"
ROWS = 64
STEP_KEYS = ("reward_vector", "wtg_gain", "propensity", "video_id")


@dataclass(frozen=True)
class LoggedEpisode:
    """A logged session of T steps.

    Attributes:
        observations: (T + 1, …) by key, as the environment's; the last one follows the last action.
        actions: (T,) int64 slots, in the order in which the log served them.
        rewards: (T,) float64.
        terminated, truncated: (T,) bool.
        steps: (T, …) by key: `reward_vector`, `wtg_gain`, `propensity` (NaN where the log does not know it), `video_id`.
        user_id: The source's.
    """

    observations: dict[str, Array]
    actions: npt.NDArray[np.int64]
    rewards: npt.NDArray[np.float64]
    terminated: npt.NDArray[np.bool_]
    truncated: npt.NDArray[np.bool_]
    steps: dict[str, Array]
    user_id: int


def _environment(store: FeedStore, rows: int, arguments: Mapping[str, Any]) -> BatchEnv:
    made = gym.make_vec(
        ENV, num_envs=rows, vectorization_mode="vector_entry_point", store=store, privileged=True, **arguments
    ).unwrapped
    assert isinstance(made, BatchEnv)
    return made


def session_count(store: FeedStore, arguments: Mapping[str, Any], most: int | None = None) -> int:
    """How many sessions `logged_episodes` gives.

    Raises:
        OptionError: The split has none that is long enough, or `most` is not positive.
    """
    if most is not None and most < 1:
        raise OptionError(f"expected at least 1, found {most}", where="--episodes")
    sessions = _environment(store, 1, arguments).sessions
    return sessions if most is None else min(sessions, most)


def logged_episodes(store: FeedStore, arguments: Mapping[str, Any], most: int | None = None) -> Iterator[LoggedEpisode]:
    """Every session once, in the store's order, a few dozen in memory at a time.

    Args:
        store: The log.
        arguments: The environment's, without store.
        most: Sessions, at most.

    Raises:
        OptionError: The split has no session that is long enough.
    """
    count = session_count(store, arguments, most)
    env = _environment(store, min(ROWS, count), arguments)
    for start in range(0, count, env.num_envs):
        # An episode's key modulo the number of sessions is its session; what fills up the last turn is left out.
        keys = np.arange(start, start + env.num_envs) % env.sessions
        yield from _play(env, keys.astype(np.uint64))[: count - start]


def _play(env: BatchEnv, keys: npt.NDArray[np.uint64]) -> list[LoggedEpisode]:
    agent = LoggedAgent()
    observation, info = env.reset(seed=0, options={"episodes": keys})
    agent.reset(observation, info, seed=0)
    user = info["user_id"].copy()
    records: list[list[dict[str, Any]]] = [[] for _ in keys]
    seen: list[list[dict[str, Array]]] = [[_row(observation, row)] for row in range(len(keys))]
    playing = np.ones(len(keys), dtype=bool)
    while playing.any():
        action = agent.act(observation)
        following, reward, terminated, truncated, info = env.step(action)
        ended = terminated | truncated
        for row in np.flatnonzero(playing).tolist():
            records[row].append(
                {
                    "action": action[row],
                    "reward": reward[row],
                    "terminated": terminated[row],
                    "truncated": truncated[row],
                    **{name: info[name][row] for name in STEP_KEYS},
                }
            )
            seen[row].append(info["final_obs"][row] if ended[row] else _row(following, row))
        agent.observe(observation, action, reward, following, terminated, truncated, info, ended)
        playing &= ~ended
        observation = following
    return [_episode(*parts) for parts in zip(seen, records, user.tolist(), strict=True)]


def _row(observation: Mapping[str, Array], row: int) -> dict[str, Array]:
    return {name: values[row] for name, values in observation.items()}


def _episode(seen: list[dict[str, Array]], steps: list[dict[str, Any]], user: int) -> LoggedEpisode:
    columns = {name: np.stack([step[name] for step in steps]) for name in steps[0]}
    return LoggedEpisode(
        observations={name: np.stack([one[name] for one in seen]) for name in seen[0]},
        actions=columns["action"].astype(np.int64),
        rewards=columns["reward"].astype(np.float64),
        terminated=columns["terminated"],
        truncated=columns["truncated"],
        steps={name: columns[name] for name in STEP_KEYS},
        user_id=user,
    )
