"""Sessions of a behaviour policy in an environment, told what a target policy would have done at each step.

Only there is a session's value more than a model's word: a log tells nothing of what a session that it does not hold would
have been. Both agents are shown every step, those that keep a state of the episode among them, so that the target's
probabilities are those that follow the played past. Neither must learn: propensities of an agent that learns meanwhile
are right at each step, but the sessions are then no sample of one policy. Freeze such agents first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from svsim.agents.base import Agent, Observation, slot_probabilities
from svsim.envs.batch import BatchEnv
from svsim.errors import EnvironmentUsageError, OptionError
from svsim.ope.logs.reward_features import features as observed_features
from svsim.ope.sequences.fqe import Trajectories
from svsim.randomness import keyed_hash, keyed_uniform

__all__ = ["Features", "collect", "state_action_features"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]
Features = Callable[[Observation, Ints], npt.NDArray[np.float32]]
"""From B observations and their step numbers (B,), from 0, to (B, K, F) of each candidate in its state."""

_ACTIONS, _EPISODES = 0xAC7, 0xE915


def state_action_features(observation: Observation, step: Ints) -> npt.NDArray[np.float32]:
    """(B, K, F) `svsim.ope.logs.reward_features.features` and the step number.

    Args:
        observation: B rows of K candidates.
        step: (B,) from 0.
    """
    shown = observed_features(observation, np.zeros(len(step)))
    number = np.broadcast_to(step[:, None, None], (*shown.shape[:2], 1))
    return np.concatenate([shown, number], axis=2, dtype=np.float32)


def collect(
    env: BatchEnv,
    behaviour: Agent,
    target: Agent,
    *,
    episodes: int | npt.ArrayLike,
    seed: int,
    features: Features | None = None,
) -> Trajectories:
    """Let a behaviour policy play episodes, and ask a target policy at every step.

    Slots are drawn by (seed, episode, step): the same sessions come of any number of environments, agents that follow
    their observation alone given.

    Args:
        env: Replay-v0 or Feed-v0 in the vector form, one video a step, `copy=True`.
        behaviour: Fitted and frozen, with `probabilities`; it is never asked to `act`. `svsim.agents`' `explore` makes
            one of any agent that scores.
        target: Fitted and frozen, with `probabilities`; unless it is the behaviour itself, they share nothing.
        episodes: How many, drawn by the seed; or (n,) their keys, see `svsim.benchmark.shard.episode_plan`.
        seed: Of the drawn slots and episodes, and of what the agents draw.
        features: Of state and action, for `svsim.ope.sequences.fqe`. None: `state_action_features`.

    Returns:
        n sessions in the episodes' order; T is the length of the longest.

    Raises:
        OptionError: An environment of another form, no episodes.
        AgentError: An agent without probabilities, or whose probabilities are none.
    """
    if not isinstance(env.single_action_space, spaces.Discrete):
        raise OptionError(f"expected one slot a step, found {env.single_action_space}", where="collect")
    if not env.copies:
        # Agents are shown an observation beside the next one.
        raise OptionError("expected observations that are copies, found views", where="collect", remedy="copy=True")
    plan = _plan(episodes, seed)
    made = state_action_features if features is None else features
    shown = env.single_observation_space
    assert isinstance(shown, spaces.Dict)
    if made is state_action_features and "candidates" not in shown.spaces:
        raise OptionError(
            "expected candidates in the observation, found none", where="collect", remedy='actions="slot", or features'
        )
    return _Rollout(env, (behaviour, target), plan, seed, made).run()


def _plan(episodes: int | npt.ArrayLike, seed: int) -> Keys:
    if isinstance(episodes, int):
        episodes = keyed_hash(seed, _EPISODES, np.arange(max(episodes, 0)))
    keys = np.asarray(episodes)
    if keys.ndim != 1 or not len(keys) or keys.dtype.kind not in "iu":
        raise OptionError(
            f"expected a number of episodes or (n,) keys, found {keys.dtype} of shape {keys.shape}", where="episodes"
        )
    return keys.astype(np.uint64)


def _probabilities(agent: Agent, observation: Observation) -> Floats:
    """(B, K) an agent's, whose sums are as exact as can be: ratios of them are multiplied."""
    shown = slot_probabilities(agent, observation)
    return np.asarray(shown / shown.sum(axis=1, keepdims=True))


@dataclass
class _Steps:
    """What is kept of each step, in the order of play."""

    episode: list[Ints] = field(default_factory=list)
    step: list[Ints] = field(default_factory=list)
    values: dict[str, list[Array]] = field(default_factory=dict)

    def add(self, episode: Ints, step: Ints, **values: Array) -> None:
        self.episode.append(episode)
        self.step.append(step)
        for name, array in values.items():
            self.values.setdefault(name, []).append(array)

    def laid_out(self, episodes: int) -> dict[str, Array]:
        """(n, T, …) of each name; NaN in rewards where there was no step, else 0."""
        episode, step = np.concatenate(self.episode), np.concatenate(self.step)
        found = {}
        for name, parts in self.values.items():
            shape = (episodes, int(step.max()) + 1, *parts[0].shape[1:])
            found[name] = np.full(shape, np.nan if name == "reward" else 0, dtype=parts[0].dtype)
            found[name][episode, step] = np.concatenate(parts)
        return found


class _Rollout:
    """Episodes, played B at a time: row r plays the r-th, the (r + B)-th and so on."""

    def __init__(self, env: BatchEnv, agents: tuple[Agent, Agent], plan: Keys, seed: int, features: Features) -> None:
        self.env, self.agents, self.plan, self.seed, self.features = env, agents, plan, seed, features

    def run(self) -> Trajectories:
        rows, n = self.env.num_envs, len(self.plan)
        # What fills up the last turn is played and not kept.
        queue = np.resize(self.plan, (-(-n // rows), rows))
        observation, info = self.env.reset(seed=self.seed, options={"episodes": queue})
        for agent in self._shown():
            agent.reset(observation, info, seed=self.seed)
        kept, user = _Steps(), np.zeros(n, dtype=np.int64)
        episode, step = np.arange(rows), np.zeros(rows, dtype=np.int64)
        while (episode < n).any():
            key = self.plan[episode % n]
            behaviour, target = self._asked(observation)
            action = _drawn(behaviour, keyed_uniform(self.seed, _ACTIONS, key, step))
            following, reward, terminated, truncated, info = self.env.step(action)
            self._keep(kept, observation, reward, action, behaviour, target, episode, step)
            counted = episode < n
            if not np.array_equal(info["episode_key"][counted], key[counted]):
                raise EnvironmentUsageError("expected the planned episodes, found others", where="collect")
            user[episode[counted]] = info["user_id"][counted]
            began = terminated | truncated
            for agent in self._shown():
                agent.observe(observation, action, reward, following, terminated, truncated, info, began)
            episode, step = episode + rows * began, np.where(began, 0, step + 1)
            observation = following
        return Trajectories(**kept.laid_out(n), user=user)

    def _asked(self, observation: Observation) -> tuple[Floats, Floats]:
        behaviour, target = self.agents
        first = _probabilities(behaviour, observation)
        return first, first if behaviour is target else _probabilities(target, observation)

    def _shown(self) -> list[Agent]:
        """Both agents, once each."""
        behaviour, target = self.agents
        return [behaviour] if behaviour is target else [behaviour, target]

    def _keep(
        self,
        kept: _Steps,
        observation: Observation,
        reward: Array,
        action: Ints,
        behaviour: Floats,
        target: Floats,
        episode: Ints,
        step: Ints,
    ) -> None:
        rows = np.flatnonzero(episode < len(self.plan))
        kept.add(
            episode[rows],
            step[rows],
            reward=np.asarray(reward[rows], dtype=np.float64),
            features=self.features({name: values[rows] for name, values in observation.items()}, step[rows]),
            action=action[rows],
            behaviour=behaviour[rows, action[rows]],
            target=target[rows],
        )


def _drawn(probabilities: Floats, uniform: Floats) -> Ints:
    """(B,) slots drawn by uniforms (B,), none of probability 0."""
    reached = np.cumsum(probabilities, axis=1)
    # Divided, the last slot that has a probability reaches one exactly, which no uniform does.
    return np.asarray((reached / reached[:, -1:] > uniform[:, None]).argmax(axis=1), dtype=np.int64)
