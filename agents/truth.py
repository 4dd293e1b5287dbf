"""Agents before the world's truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.agents.base import Agent
from svsim.data.store import FeedStore
from svsim.envs.contexts import Contexts
from svsim.errors import AgentError, StoreError
from svsim.world.state import State
from svsim.world.truth import Policy
from svsim.world.world import World

__all__ = ["agent_policy"]

Ints = npt.NDArray[np.int64]


def agent_policy(agent: Agent, store: FeedStore, world: World, *, history: int = 50, seed: int = 0) -> Policy:
    """An agent as a policy that `svsim.world.policy_value` takes: it sees the store's observation of each context.

    Args:
        agent: Fitted; one with `probabilities`.
        store: The world's prepared log.
        world: Whose users and videos the states speak of.
        history: L of the observations.
        seed: Of what the agent draws.

    Raises:
        AgentError: The agent tells no probabilities.
        StoreError: The store does not know a user or a video of the world (raised when the policy is asked).
    """
    probabilities = getattr(agent, "probabilities", None)
    if probabilities is None:
        raise AgentError("expected an agent with probabilities(observation)", where=type(agent).__name__)
    contexts = Contexts(store, history)
    users, videos = _Ids(store.users["user_id"], "user"), _Ids(store.videos["video_id"], "video")

    def policy(state: State, candidates: Ints) -> npt.NDArray[Any]:
        public = world.catalogue.public_id(np.maximum(candidates, 0))
        dense = np.where(candidates < 0, 0, videos.dense(public))
        observation = contexts.observe(users.dense(state.user), state.time_ms, dense)
        agent.reset(observation, {}, seed=seed)
        return np.asarray(probabilities(observation))

    return policy


class _Ids:
    """From the source's ids to dense ids."""

    def __init__(self, source: npt.NDArray[Any], what: str) -> None:
        self._source = np.asarray(source)[1:]
        self._order = np.argsort(self._source, kind="stable")
        self._what = what

    def dense(self, ids: Ints) -> Ints:
        place = np.searchsorted(self._source, ids, sorter=self._order)
        found = self._order[np.minimum(place, len(self._order) - 1)]
        if (self._source[found] != ids).any():
            unknown = int(ids[self._source[found] != ids].flat[0])
            raise StoreError(
                f"expected a store of this world, found no {self._what} {unknown} in it", where="agent_policy"
            )
        return np.asarray(found + 1, dtype=np.int64)
