"""Agents before the world's truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.agents.base import Agent, slot_probabilities
from svsim.data.dense import DenseIds
from svsim.data.store import FeedStore
from svsim.envs.contexts import Contexts
from svsim.errors import AgentError, StoreError
from svsim.world.files import open_world
from svsim.world.state import State
from svsim.world.truth import Policy
from svsim.world.world import World

__all__ = ["agent_policy"]

Ints = npt.NDArray[np.int64]


def agent_policy(
    agent: Agent,
    store: FeedStore,
    world: World,
    *,
    history: int = 50,
    seed: int = 0,
    allowed: npt.NDArray[np.bool_] | None = None,
) -> Policy:
    """An agent as a policy that `svsim.world.policy_value` takes: it sees the store's observation of each context.

    A video that the log never showed is in no table of the store: the agent cannot name it, and does not choose it.

    Args:
        agent: Fitted; one with `probabilities`.
        store: The world's prepared log.
        world: Whose users and videos the states speak of.
        history: L of the observations.
        seed: Of what the agent draws.
        allowed: (n_videos + 1,) which videos it may choose, by dense id; None: all that the store knows.

    Raises:
        AgentError: The agent tells no probabilities.
        DataError: The store holds no world's truth.
        StoreError: The store is of another world; later, when asked, none of the candidates is known.
    """
    if not callable(getattr(agent, "probabilities", None)):
        raise AgentError("expected an agent with probabilities(observation)", where=type(agent).__name__)
    if open_world(store.path).config != world.config:
        raise StoreError("expected a store of this world, found one of another", where=str(store.path))
    contexts = Contexts(store, history)
    users = DenseIds(store.users["user_id"])
    videos = DenseIds(store.videos["video_id"])

    def policy(state: State, candidates: Ints) -> npt.NDArray[Any]:
        public = world.catalogue.public_id(np.maximum(candidates, 0))
        dense = np.where(candidates < 0, 0, videos.of(public))
        if allowed is not None:
            dense = np.where(allowed[dense], dense, 0)
        if not dense.any(axis=1).all():
            raise StoreError("expected a video of the store among each context's candidates", where=str(store.path))
        observation = contexts.observe(users.of(state.user), state.time_ms, dense)
        agent.reset(observation, {}, seed=seed)
        return slot_probabilities(agent, observation)

    return policy
