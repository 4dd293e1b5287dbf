"""True values of policies: against what logs say, against each other, and against bad policies."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from svsim.errors import AgentError, OptionError
from svsim.randomness import keyed_uniform
from svsim.world import (
    PRESETS,
    Path,
    State,
    World,
    oracle_policy,
    policy_value,
    policy_values,
    simulate,
    uniform_policy,
)
from svsim.world.draws import Draw


@pytest.fixture(scope="module")
def path() -> Path:
    return simulate(World(dataclasses.replace(PRESETS["tiny"], users=200, random_share=0.1, seed=5)))


@pytest.fixture(scope="module")
def contexts(path: Path) -> np.ndarray:
    return np.flatnonzero(path.columns["random"])


def test_the_uniform_policys_value_is_the_random_logs_click_rate(path: Path, contexts: np.ndarray) -> None:
    clicks = path.columns["is_click"][contexts]
    value = policy_value(uniform_policy, path, contexts, over="contexts", draws=8)
    logged_error = np.sqrt(clicks.mean() * (1 - clicks.mean()) / len(clicks))
    assert abs(value.value - clicks.mean()) < 3 * np.hypot(value.standard_error, logged_error)
    assert 0 < value.standard_error < logged_error


def test_no_policy_beats_the_oracle_and_more_candidates_help_it(path: Path, contexts: np.ndarray) -> None:
    rows = contexts[:400]
    values = [policy_value(oracle_policy(path), path, rows, candidates=m).value for m in (1, 5, 20)]
    uniform = policy_value(uniform_policy, path, rows, candidates=20).value
    assert values[0] < values[1] < values[2]
    assert values[2] > uniform + 0.1
    single = policy_value(uniform_policy, path, rows, candidates=1)
    assert values[0] == pytest.approx(single.value)


def test_the_error_among_users_covers_the_value_of_other_users(path: Path, contexts: np.ndarray) -> None:
    half = path.columns["user"][contexts] < 100
    one, other = (policy_value(uniform_policy, path, contexts[part]) for part in (half, ~half))
    assert abs(one.value - other.value) < 4 * np.hypot(one.standard_error, other.standard_error)
    assert one.users + other.users <= 200


@pytest.mark.parametrize("bad", [{"draws": 1}, {"candidates": 0}, {"candidates": 10_000}, {"signal": "joy"}])
def test_impossible_questions_are_refused(path: Path, contexts: np.ndarray, bad: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        policy_value(uniform_policy, path, contexts[:5], **bad)
    with pytest.raises(OptionError):
        policy_value(uniform_policy, path, contexts[:0])


def test_what_is_no_policy_is_refused(path: Path, contexts: np.ndarray) -> None:
    with pytest.raises(AgentError, match="sum to one"):
        policy_value(lambda state, videos: np.ones(videos.shape), path, contexts[:5])


def test_re_ranking_what_was_retrieved_by_the_platforms_own_policy_is_worth_what_was_logged(path: Path) -> None:
    world = path.world
    rows = np.flatnonzero((path.columns["slot"] == 0) & ~path.columns["random"])[:3_000]

    def behaviour(state: State, videos: np.ndarray) -> np.ndarray:
        utility = world.utilities(state.user, videos)
        weight = np.exp(utility - utility.max(axis=1, keepdims=True))
        return weight / weight.sum(axis=1, keepdims=True)

    clicks = path.columns["is_click"][rows]
    value = policy_value(behaviour, path, rows, candidates="retrieved", over="contexts")
    logged_error = np.sqrt(clicks.mean() * (1 - clicks.mean()) / len(clicks))
    assert value.standard_error == 0
    # The first of a Plackett–Luce slate is the softmax of the utilities; which one it was is chance, as is its click.
    assert abs(value.value - clicks.mean()) < 3 * logged_error
    best = policy_value(oracle_policy(path), path, rows, candidates="retrieved").value
    uniform = policy_value(uniform_policy, path, rows, candidates="retrieved").value
    assert uniform < value.value < best


def test_many_policies_at_once_are_worth_what_each_is_alone(path: Path, contexts: np.ndarray) -> None:
    rows = contexts[:300]

    def clicks(state: State, videos: np.ndarray) -> np.ndarray:
        return path.world.expect(state, videos, ["click"])["click"]

    policies = {"chance": uniform_policy, "oracle": oracle_policy(path)}
    together = policy_values(policies, path, rows)
    assert together == {name: policy_value(policy, path, rows) for name, policy in policies.items()}
    assert together == policy_values({**policies, "oracle": oracle_policy(path, clicks)}, path, rows, signal=clicks)


def test_candidates_are_the_videos_of_the_least_hashes(path: Path, contexts: np.ndarray) -> None:
    """Whatever the number of contexts: a seed's sets never change."""
    rows, size, sets = contexts[:37], 6, []

    def seen(state: State, videos: np.ndarray) -> np.ndarray:
        sets.append(videos)
        return uniform_policy(state, videos)

    policy_value(seen, path, rows, candidates=size, draws=2, seed=9)
    for draw, videos in enumerate(sets):
        key = keyed_uniform(path.world.key, Draw.EVALUATION, 9, draw, rows[:, None], path.world.pool)
        np.testing.assert_array_equal(np.sort(videos), np.sort(np.argsort(key, axis=1)[:, :size]))
    assert len(sets) == 2


def test_an_empty_slot_is_worth_nothing(path: Path) -> None:
    c = path.columns
    rows = np.flatnonzero(c["slot"] == 0)[:3_000]
    retrieved = path.world.retrieved(c["user"][rows], c["request"][rows], c["time_ms"][rows])
    rows = rows[(retrieved < 0).any(axis=1)]
    assert len(rows)

    def careless(state: State, videos: np.ndarray) -> np.ndarray:
        return np.where(videos < 0, 0.5, uniform_policy(state, videos))

    found = policy_values({"careless": careless, "chance": uniform_policy}, path, rows, candidates="retrieved")
    assert found["careless"] == found["chance"]
