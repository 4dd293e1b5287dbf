"""One episode of one agent, scene by scene: for looking at, not for measuring."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from svsim.agents.registry import blamed
from svsim.benchmark.shard import checked_slots, episode_plan, fitted_agent
from svsim.benchmark.spec import ENVIRONMENTS, BenchmarkSpec
from svsim.envs.screen import Scene
from svsim.envs.single import SingleEnv
from svsim.world.presets import find_store

__all__ = ["EpisodePlayer"]

Array = npt.NDArray[Any]


class EpisodePlayer:
    """Plays episodes of a benchmark with one agent; another agent's player of the same seed meets the same.

    Args:
        spec: The benchmark; its agents do not matter here.
        name: The agent as typed.
        seed: Number of the evaluation seed; decides the episode where no user is named.

    Attributes:
        metrics: Sums over the episode that was played last: reward, wtr, wtg, aux, watch_s, length; empty before its end.

    Raises:
        SvsimError: The agent cannot be made or fitted, or the environment not be made.
    """

    def __init__(self, spec: BenchmarkSpec, name: str, seed: int = 0) -> None:
        self.spec, self.name, self.seed = spec, name, seed
        store = find_store(spec.store)
        self.agent = fitted_agent(spec, name, seed)
        made = gym.make(
            ENVIRONMENTS[spec.env],
            disable_env_checker=True,
            store=store,
            privileged=self.agent.privileged,
            render_mode="rgb_array",
            **spec.environment_arguments,
        ).unwrapped
        assert isinstance(made, SingleEnv)
        self.env = made
        self.metrics: dict[str, float] = {}

    def play(self, user: int | None = None, session: int = 0) -> Iterator[Scene]:
        """What stands on the screen at the start and after every step.

        Args:
            user: The source's id; None takes the seed's first episode.
            session: Which of the user's sessions, from 0.

        Raises:
            EnvironmentUsageError: The user has no such session.
            AgentError: The agent did something that is not allowed.
        """
        self.metrics = {}
        options: dict[str, Any] = {"user": user, "session": session}
        if user is None:
            options = {"episodes": episode_plan(self.env.sessions, None, self.seed)[0]}
        single, info = self.env.reset(seed=self.seed, options=options)
        observation = _batch(single)
        with self._agents_turn():
            self.agent.reset(observation, _batch(info), seed=self.seed)
        yield self.env.scene()
        over = False
        while not over:
            with self._agents_turn():
                action = checked_slots(self.agent.act(observation), observation["action_mask"])
            single, reward, terminated, truncated, info = self.env.step(int(action[0]))
            following, over = _batch(single), terminated or truncated
            ends = (np.array([terminated]), np.array([truncated]))
            with self._agents_turn():
                self.agent.observe(
                    observation, action, np.array([reward]), following, *ends, _batch(info), np.array([over])
                )
            observation = following
            yield self.env.scene()
        self.metrics = {name: float(value) for name, value in info["episode_metrics"].items()}

    def _agents_turn(self) -> Any:
        return blamed(self.name, f" in {ENVIRONMENTS[self.spec.env]}")


def _batch(values: dict[str, Any]) -> dict[str, Any]:
    """A single environment's dictionary as that of a batch of one."""
    return {
        name: _batch(value) if isinstance(value, dict) else np.asarray(value)[None] for name, value in values.items()
    }
