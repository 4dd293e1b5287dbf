"""The expected reward: against draws of the world itself, and against the tables of the main feed."""

from __future__ import annotations

import dataclasses
from pathlib import Path as Folder

import numpy as np
import pytest

from svsim.data.conversion import prepare
from svsim.data.store import FeedStore
from svsim.errors import OptionError
from svsim.response.true_reward import true_reward, true_signal
from svsim.signals import aux, wtr
from svsim.world import PRESETS, Path, State, open_world, simulate, write_world


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeedStore:
    folder: Folder = tmp_path_factory.mktemp("world")
    config = dataclasses.replace(PRESETS["tiny"], users=60, seed=2)
    return prepare(write_world(folder / "files", config), folder / "store")


@pytest.fixture(scope="module")
def path(store: FeedStore) -> Path:
    return simulate(open_world(store.path))


@pytest.mark.parametrize("tab", [0, 1])
def test_expectations_are_means_of_the_worlds_reactions(store: FeedStore, path: Path, tab: int) -> None:
    world = path.world
    rows = np.flatnonzero(path.columns["tab"] == tab)[:40]
    videos = np.arange(40)
    state, draws = path.state(np.repeat(rows, 800)), np.random.default_rng(0).random((32_000, 8))
    reaction = world.respond(state, np.repeat(videos, 800), draws)
    play, duration = reaction["play_time_ms"], np.repeat(world.catalogue.duration_ms(videos), 800)
    drawn = {
        "wtr": np.nan_to_num(wtr(play, duration)),
        "wtg": store.wtg.relevance(play, duration) == 1,
        "aux": aux({name: reaction[f"is_{name}"] for name in ("like", "comment", "forward", "follow")}),
        "click": reaction["is_click"],
    }
    own = path.state(rows)
    for name, values in drawn.items():
        by_row = np.nan_to_num(np.asarray(values, dtype=np.float64)).reshape(40, 800)
        error = by_row.std(axis=1, ddof=1).clip(0.08) / np.sqrt(800)
        expected = true_signal(store, world, name)(own, videos[:, None])[:, 0]
        assert np.abs((by_row.mean(axis=1) - expected) / error).max() < 4.5, name
    whole = true_reward(store, world, "wtr=2,aux=-1")(own, videos[:, None])
    parts = [true_signal(store, world, name)(own, videos[:, None]) for name in ("wtr", "aux")]
    np.testing.assert_allclose(whole, 2 * parts[0] - parts[1])


def test_in_the_main_feed_it_is_what_a_feed_answers_with(store: FeedStore, path: Path) -> None:
    from svsim.response.truth import TruthResponse

    response = TruthResponse(store)
    known = np.flatnonzero(store.videos["video_id"][1:] < path.world.config.pool)[:50] + 1
    index = path.world.catalogue.index_of(store.videos["video_id"][known])
    user = np.arange(20)
    dense = np.array([np.flatnonzero(store.users["user_id"] == u)[-1] for u in user])
    none = np.full((20, 16), -1)
    state = State(
        user=user, session=np.arange(20) + 3, request=np.zeros(20, np.int64), slot=np.zeros(20, np.int64),
        time_ms=np.full(20, int(store.events["time_ms"].max())), tab=np.ones(20, np.int64),
        recent=none, recent_author=none, recent_tag=np.zeros((20, 16), np.int64),
        shown=np.zeros(20, np.int64), clicked=np.zeros(20, np.int64),
    )  # fmt: skip
    from svsim.response.protocol import Past

    opened = response.begin(dense, Past(np.zeros(20, np.int64), state.time_ms, np.arange(20, dtype=np.uint64)))
    opened["own"] = path.world.users.effect[user] + path.world.session_effect(user, state.session)
    told = response.expect(opened, np.tile(known, (20, 1)))
    for name in ("wtr", "wtg", "aux", "click", "long_view"):
        videos = np.tile(index, (20, 1))
        own = true_signal(store, path.world, name)(state, videos)
        np.testing.assert_allclose(own, told[name], atol=1e-6, err_msg=name)


def test_there_is_no_other_signal(store: FeedStore, path: Path) -> None:
    with pytest.raises(OptionError, match="expected one of wtr"):
        true_signal(store, path.world, "joy")


def test_flags_are_the_worlds_own_expectations(store: FeedStore, path: Path) -> None:
    """Of pictures, pages and empty slots too."""
    rows = np.concatenate([np.flatnonzero(path.columns["tab"] == tab)[:15] for tab in (0, 1, 4)])
    picture = np.flatnonzero(path.world.catalogue.duration_ms(path.world.pool) == 0)[:1]
    videos = np.tile(np.concatenate([np.arange(12), picture, [-1]]), (len(rows), 1))
    state = path.state(rows)
    world = path.world.expect(state, videos)
    for name in ("click", "long_view", "like", "comment", "forward", "follow", "hate"):
        told = true_signal(store, path.world, name)(state, videos)
        np.testing.assert_allclose(told, world[name], rtol=1e-9, err_msg=name)
    assert (true_signal(store, path.world, "wtr")(state, videos)[:, 12:-1] == 0).all()
