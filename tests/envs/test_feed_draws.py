"""What is random in a feed, and what policies share of it."""

from __future__ import annotations

import numpy as np
import pytest

from svsim.data import FeedStore
from svsim.envs import FeedEnv, FeedVectorEnv
from svsim.envs.draws import Draws
from svsim.randomness import extended_hash, keyed_hash, keyed_uniform, uniform_of
from tests.envs.fake_response import FakeResponse

EPISODES = np.arange(6, dtype=np.uint64)


def catalogue(store: FeedStore, **arguments: object) -> FeedEnv:
    return FeedEnv(store, **({"response": FakeResponse(leave=0.0), "actions": "catalogue"} | arguments))


def reactions(env: FeedEnv, order: list[int], episode: int = 3) -> list[dict]:
    env.reset(options={"episodes": episode})
    return [env.step(action)[4]["feedback"] for action in order]


def test_a_video_meets_the_same_reaction_whenever_it_is_served(store: FeedStore) -> None:
    env = catalogue(store)
    one, other = reactions(env, [4, 9, 7]), reactions(env, [7, 4, 9])
    assert one == [other[1], other[2], other[0]]
    assert one != reactions(env, [4, 9, 7], episode=4)


def test_a_second_showing_is_another_draw_and_shared_too(store: FeedStore) -> None:
    env = catalogue(store, repeats=True)
    one, other = reactions(env, [4, 4, 9, 4]), reactions(env, [9, 4, 4, 4])
    assert [one[0], one[1], one[3], one[2]] == [other[1], other[2], other[3], other[0]]
    assert len({answer["play_time_ms"] for answer in (one[0], one[1], one[3])}) == 3


def test_users_leave_at_the_same_step_if_nothing_drives_them_away(store: FeedStore) -> None:
    """Leaving goes by the step: with one probability after every video, what was served does not matter."""
    lengths = []
    for policy in (np.argmin, np.argmax):
        env = catalogue(store, response=FakeResponse(leave=0.1))
        lengths.append([])
        for episode in EPISODES:
            observation, _ = env.reset(options={"episodes": episode})
            over, steps = False, 0
            while not over:
                legal = np.flatnonzero(observation["action_mask"])
                observation, _, terminated, truncated, _ = env.step(int(legal[policy(legal)]))
                over, steps = terminated or truncated, steps + 1
            lengths[-1].append(steps)
    assert lengths[0] == lengths[1]
    assert len(set(lengths[0])) > 1


@pytest.mark.parametrize("retrieval", ["uniform", "popularity"])
def test_candidates_do_not_depend_on_the_actions_where_all_may_come_back(store: FeedStore, retrieval: str) -> None:
    shown = []
    for slot in (0, 4):
        vector = FeedVectorEnv(
            6, store, response=FakeResponse(leave=0.0), candidates=5, repeats=True, retrieval=retrieval, horizon=9
        )
        observation, _ = vector.reset(seed=0, options={"episodes": EPISODES})
        shown.append([observation["candidate_video"]])
        for _ in range(8):
            observation, *_ = vector.step(np.full(6, slot))
            shown[-1].append(observation["candidate_video"])
    np.testing.assert_array_equal(shown[0], shown[1])


@pytest.mark.parametrize("retrieval", ["uniform", "popularity"])
def test_else_they_depend_on_what_was_served_and_not_on_its_order(store: FeedStore, retrieval: str) -> None:
    shown = []
    for order in ((0, 1, 2), (2, 0, 1), (2, 3, 4)):
        vector = FeedVectorEnv(
            6,
            store,
            response=FakeResponse(leave=0.0),
            candidates=6,
            request_size=3,
            retrieval=retrieval,
        )
        vector.reset(seed=0, options={"episodes": EPISODES})
        for slot in order:
            observation, *_ = vector.step(np.full(6, slot))
        shown.append(observation["candidate_video"])
    np.testing.assert_array_equal(shown[0], shown[1])
    assert not np.array_equal(shown[0], shown[2])


@pytest.mark.parametrize("leave", [0.03, 0.4])
def test_users_leave_as_often_as_the_model_says(store: FeedStore, leave: float) -> None:
    rows, steps = 400, 25
    vector = FeedVectorEnv(rows, store, response=FakeResponse(leave=leave), candidates=5, repeats=True)
    vector.reset(seed=0)
    left = sum(int(vector.step(np.zeros(rows, dtype=np.int64))[2].sum()) for _ in range(steps))
    n = rows * steps
    assert abs(left / n - leave) < 4.5 * np.sqrt(leave * (1 - leave) / n)


def test_noise_is_uniform_and_its_columns_are_independent() -> None:
    rows, videos = 500, 40
    draws = Draws(rows, 2)
    draws.begin(np.arange(rows), np.arange(rows, dtype=np.uint64))
    taken = []
    for video in range(1, videos + 1):
        noise = draws.noise(np.full(rows, video), 0, 0)
        words = draws.candidates >> np.uint64(11)
        taken.append(np.column_stack([noise, words * 2.0**-53, draws.goes_on(0), draws.comes_back()]))
        draws.next_step()
    values = np.concatenate(taken)
    n = len(values)
    assert ((values >= 0) & (values < 1)).all()
    for column in values.T:
        counts = np.histogram(column, bins=20, range=(0, 1))[0]
        assert abs(((counts - n / 20) ** 2 / (n / 20)).sum() - 19) < 5 * np.sqrt(38)
    correlation = np.corrcoef(values.T) - np.eye(values.shape[1])
    assert np.abs(correlation).max() < 5 / np.sqrt(n)
    # Nor does a column foretell the next step's.
    before, after = values[:-rows], values[rows:]
    for column in range(values.shape[1]):
        assert abs(np.corrcoef(before[:, column], after[:, column])[0, 1]) < 5 / np.sqrt(n)


def test_places_of_a_slate_have_leaving_draws_of_their_own() -> None:
    draws = Draws(200, 0)
    draws.begin(np.arange(200), np.arange(200, dtype=np.uint64))
    video = np.full(200, 5)
    first, second = draws.noise(video, 0, 0), draws.noise(video, 0, 1)
    np.testing.assert_array_equal(first[:, :7], second[:, :7])
    assert abs(np.corrcoef(first[:, 7], second[:, 7])[0, 1]) < 5 / np.sqrt(200)
    assert abs(np.corrcoef(draws.goes_on(0), draws.goes_on(1))[0, 1]) < 5 / np.sqrt(200)
    np.testing.assert_array_equal(draws.noise(video, 0, 0), first)


def test_a_hash_can_be_extended_by_further_keys() -> None:
    first, second = np.arange(5, dtype=np.uint64)[:, None], np.arange(7, dtype=np.uint64)
    np.testing.assert_array_equal(extended_hash(keyed_hash(3, first), second), keyed_hash(3, first, second))
    np.testing.assert_array_equal(uniform_of(keyed_hash(3, second)), keyed_uniform(3, second))
