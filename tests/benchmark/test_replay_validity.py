"""Logged sessions answered again by the world: as logged in the logged order, by the world's own rules in another."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from svsim.benchmark import BenchmarkSpec, run
from svsim.benchmark.reorder import Reordered
from svsim.benchmark.replay_validity import AgentValidity, ReplayValidity, markdown, rank_correlation
from svsim.benchmark.statistics import Estimate
from svsim.data.store import FeedStore
from svsim.errors import OptionError, StoreError
from svsim.names import FEEDBACK, LOG_COLUMN_OF
from svsim.world import PRESETS, Path, State, World, open_world, preset_store, simulate
from svsim.world.matching import path_rows
from svsim.world.state import MEMORY


@pytest.fixture(scope="module")
def tiny() -> FeedStore:
    return preset_store("tiny")


@pytest.fixture(scope="module")
def path(tiny: FeedStore) -> Path:
    return simulate(open_world(tiny.path))


def sessions_of(store: FeedStore, path: Path, split: str, shortest: int = 1) -> tuple[list[np.ndarray], Reordered]:
    """The path rows of each session, in the order lived through, and their answers."""
    sessions = store.sessions(split).longer_than(shortest)
    behind = path_rows(store, path)[sessions.rows]
    rows = [np.sort(behind[a : a + n]) for a, n in zip(sessions.start, sessions.length, strict=True)]
    start = np.cumsum(sessions.length) - sessions.length
    return rows, Reordered(path, np.concatenate(rows), start, sessions.length)


def padded(rows: list[np.ndarray]) -> np.ndarray:
    table = np.full((len(rows), max(map(len, rows))), -1)
    for number, one in enumerate(rows):
        table[number, : len(one)] = one
    return table


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_in_the_logged_order_the_world_answers_as_logged(tiny: FeedStore, path: Path, split: str) -> None:
    rows, reordered = sessions_of(tiny, path, split)
    served = padded(rows)
    found = reordered.answer(np.arange(len(rows)), served)
    for name in FEEDBACK:
        logged = path.columns[LOG_COLUMN_OF[name]][served] * (served >= 0)
        np.testing.assert_array_equal(found[name], logged, err_msg=name)


def test_events_are_the_rows_lived_through(tiny: FeedStore, path: Path) -> None:
    rows = path_rows(tiny, path)
    assert len(np.unique(rows)) == tiny.n_events
    for name in ("time_ms", "tab", *(LOG_COLUMN_OF[name] for name in FEEDBACK)):
        np.testing.assert_array_equal(path.columns[name][rows], tiny.events[name], err_msg=name)


def test_another_order_is_answered_after_what_came_before_in_it(tiny: FeedStore, path: Path) -> None:
    """Against a walk through shuffled sessions, a video at a time."""
    rng = np.random.default_rng(0)
    rows, reordered = sessions_of(tiny, path, "test", shortest=8)
    chosen = rng.choice(len(rows), 12, replace=False)
    orders = [rng.permutation(rows[session])[:20] for session in chosen]
    found = reordered.answer(chosen, padded(orders))
    changed = 0
    for number, (session, order) in enumerate(zip(chosen, orders, strict=True)):
        for step, answer in enumerate(walk(path, rows[session], order)):
            for name in FEEDBACK:
                assert found[name][number, step] == answer[LOG_COLUMN_OF[name]], (name, step)
            changed += answer["play_time_ms"] != path.columns["play_time_ms"][order[step]]
    assert changed > 0


def walk(path: Path, own: np.ndarray, order: np.ndarray) -> list[dict[str, int]]:
    """Reactions to the rows of `order`, where `own` are the session's rows as logged."""
    c, world = path.columns, path.world
    first = own[0]
    same = [r for r in range(max(first - MEMORY, 0), first) if (c["user"][r], c["session"][r]) == key_of(c, first)]
    memory, answers = list(same), []
    for step, row in enumerate(order):
        if step:
            # Rows that are not the session's own keep their places in it.
            memory += [r for r in range(own[step - 1] + 1, own[step]) if r not in own]
        recent = np.full(MEMORY, -1)
        last = memory[-MEMORY:]
        recent[MEMORY - len(last) :] = c["video"][last]
        known = np.maximum(recent, 0)
        state = State(
            **{name: c[name][[row]] for name in ("user", "session", "request", "slot", "time_ms", "tab")},
            recent=recent[None],
            recent_author=np.where(recent >= 0, world.catalogue.author(known), -1)[None],
            recent_tag=np.where(recent >= 0, world.catalogue.tag(known), 0)[None],
            shown=np.zeros(1, dtype=np.int64),
            clicked=np.zeros(1, dtype=np.int64),
        )
        noise = world.noise(state.user, state.request, state.slot)
        reaction = world.respond(state, c["video"][[row]], noise)
        answers.append({**{name: int(v[0]) for name, v in reaction.items()}, "duration_ms": int(c["duration_ms"][row])})
        memory.append(row)
    return answers


def key_of(c: dict[str, np.ndarray], row: int) -> tuple[int, int]:
    return c["user"][row], c["session"][row]


def test_values_in_replay_are_the_benchmarks(tiny: FeedStore, path: Path) -> None:
    spec = BenchmarkSpec(
        store=tiny, agents=("random", "oracle", "linucb"), rails=False, seeds=2, candidates=5, horizon=7, num_envs=16
    )
    found = {one.agent: one for one in ReplayValidity(tiny, path).measure(spec)}
    for record in run(spec).records:
        one = found[record["agent"]]
        assert one.replay.value == pytest.approx(record["metrics"]["reward"]["mean"], rel=1e-6)
        assert one.difference.value == pytest.approx(one.truth.value - one.replay.value)
        assert one.difference.value != 0
        assert 0 <= one.changed < 0.2
    assert found["oracle"].truth.value > found["random"].truth.value


def test_sessions_that_span_moods_are_refused(tiny: FeedStore, path: Path) -> None:
    spec = BenchmarkSpec(store=tiny, agents=("random",), rails=False, seeds=1, candidates=5, session_gap_minutes=None)
    with pytest.raises(OptionError, match="cut them at pauses of 30 minutes"):
        ReplayValidity(tiny, path).measure(spec)


def test_a_store_of_another_world_is_refused(tiny: FeedStore) -> None:
    other = simulate(World(dataclasses.replace(PRESETS["tiny"], seed=5)))
    with pytest.raises(StoreError, match="expected events that the world's users lived through"):
        ReplayValidity(tiny, other)


def test_the_table_and_the_rank_correlation_by_hand() -> None:
    def one(agent: str, replay: float, truth: float) -> AgentValidity:
        none = np.zeros(0)
        return AgentValidity(
            agent,
            Estimate(replay, none, none),
            Estimate(truth, none, none),
            Estimate(truth - replay, np.full(2, truth - replay), none),
            0.25,
        )

    # Of three pairs two keep their order: τ = (2 − 1) / 3.
    found = [one("a-b", 1.0, 0.9), one("c", 2.0, 3.0), one("d", 3.0, 2.0)]
    assert rank_correlation(found) == pytest.approx(1 / 3)
    rows = markdown(found).splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows] == ["| c", "| d", "| a-b"]
    assert rows[2] == "| a-b | 1.000 | 0.900 | −0.1000 [−0.1000, −0.1000] | −10.00 | 25.0 % |"
