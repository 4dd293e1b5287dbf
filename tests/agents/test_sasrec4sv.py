"""SASRec4SV as an agent: what it promises like every agent, and that its cache is what a full pass would be."""

from __future__ import annotations

from pathlib import Path

import gymnasium as gym
import pytest

from svsim.agents import Agent, make_agent
from svsim.data import FeedStore
from svsim.testing import check_agent


def feed(store: FeedStore, rows: int = 6, **arguments: object) -> gym.vector.VectorEnv:
    return gym.make_vec(
        "svsim/Replay-v0",
        num_envs=rows,
        vectorization_mode="vector_entry_point",
        **({"store": store, "candidates": 5, "min_videos": 3} | arguments),
    )


def fitted(run: Path, store: FeedStore, options: str = "") -> Agent:
    agent = make_agent(f"sasrec4sv?run={run}{options}")
    agent.fit(store, seed=0)  # type: ignore[attr-defined]
    return agent


@pytest.mark.parametrize(
    "options", ["", "&head=wtg", "&choose=epsilon&epsilon=0.5", "&head=wtr:1+wtg:0.5&choose=softmax"]
)
def test_conformance(store: FeedStore, sasrec4sv_run: Path, options: str) -> None:
    check_agent(fitted(sasrec4sv_run, store, options), feed(store))
