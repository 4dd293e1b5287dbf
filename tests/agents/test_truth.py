"""Agents before the world's truth, and the observations that they are asked with."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from svsim.agents import Agent, agent_policy, make_agent
from svsim.data.conversion import prepare
from svsim.data.store import FeedStore
from svsim.envs.contexts import Contexts
from svsim.envs.tape import get_tape
from svsim.errors import AgentError, DataError, StoreError
from svsim.names import CANDIDATE_FEATURES
from svsim.world import PRESETS, Path, World, oracle_policy, policy_value, simulate, uniform_policy, write_world

CONFIG = dataclasses.replace(PRESETS["tiny"], seed=3)


@pytest.fixture(scope="module")
def world_store(tmp_path_factory: pytest.TempPathFactory) -> FeedStore:
    folder = tmp_path_factory.mktemp("world")
    write_world(folder / "files", CONFIG)
    return prepare(folder / "files", folder / "store")


@pytest.fixture(scope="module")
def path() -> Path:
    return simulate(World(CONFIG))


@pytest.fixture(scope="module")
def contexts(path: Path, world_store: FeedStore) -> np.ndarray:
    """Rows after the training split."""
    last = world_store.events["time_ms"][world_store.split_rows("train")].max()
    rows = np.flatnonzero((path.columns["time_ms"] > last) & (path.columns["slot"] == 0))
    return rows[:600]


def test_agents_lie_between_chance_and_the_oracle(path: Path, world_store: FeedStore, contexts: np.ndarray) -> None:
    popularity = make_agent("popularity")
    popularity.fit(world_store, seed=0)  # type: ignore[attr-defined]
    worth = {
        name: policy_value(policy, path, contexts, draws=2).value
        for name, policy in {
            "random": agent_policy(make_agent("random"), world_store, path.world),
            "uniform": uniform_policy,
            "popularity": agent_policy(popularity, world_store, path.world),
            "oracle": oracle_policy(path),
        }.items()
    }
    assert worth["random"] == pytest.approx(worth["uniform"])
    assert worth["uniform"] < worth["popularity"] < worth["oracle"]


def test_an_agent_re_ranks_what_was_retrieved(path: Path, world_store: FeedStore, contexts: np.ndarray) -> None:
    popularity = make_agent("popularity")
    popularity.fit(world_store, seed=0)  # type: ignore[attr-defined]
    chance, ranked = (
        policy_value(agent_policy(agent, world_store, path.world), path, contexts, candidates="retrieved").value
        for agent in (make_agent("random"), popularity)
    )
    assert chance < ranked < policy_value(oracle_policy(path), path, contexts, candidates="retrieved").value


def test_a_store_of_another_world_is_refused(path: Path, store: FeedStore, world_store: FeedStore) -> None:
    with pytest.raises(DataError, match="found none"):
        agent_policy(make_agent("random"), store, path.world)
    other = World(dataclasses.replace(CONFIG, seed=4))
    with pytest.raises(StoreError, match="expected a store of this world"):
        agent_policy(make_agent("random"), world_store, other)


def test_an_agent_without_probabilities_is_refused(path: Path, world_store: FeedStore) -> None:
    class Silent(Agent):
        def act(self, observation: dict[str, np.ndarray]) -> np.ndarray:
            return np.zeros(len(observation["user"]), dtype=np.int64)

    with pytest.raises(AgentError, match="probabilities"):
        agent_policy(Silent(), world_store, path.world)


def test_contexts_show_what_an_episode_opened_there_would_show(store: FeedStore) -> None:
    from svsim.envs import ReplayVectorEnv

    env = ReplayVectorEnv(num_envs=16, store=store, candidates=4, min_videos=4, history=30)
    shown, infos = env.reset(seed=4)
    tape = get_tape(store, "test", history=30, gap_minutes=30, min_videos=4, weights={"wtr": 1, "wtg": 1, "aux": 1})
    session = (infos["episode_key"] % np.uint64(len(tape))).astype(np.int64)
    sessions = store.sessions("test", 30).longer_than(4)
    first = sessions.rows[sessions.start][session]
    built = Contexts(store, history=30).observe(
        store.events["user"][first], store.events["time_ms"][first], shown["candidate_video"]
    )
    moving = [CANDIDATE_FEATURES.index(name) for name in ("log_duration", "age_days")]
    fixed = [i for i in range(len(CANDIDATE_FEATURES)) if i not in moving]
    for name, values in shown.items():
        expected, found = (
            (values, built[name]) if name != "candidates" else (values[..., fixed], built[name][..., fixed])
        )
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-4, err_msg=name)
