"""The world's truth as a response model: the world's own reactions and expectations, whatever the batch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svsim.data.store import FeedStore
from svsim.errors import DataError, OptionError
from svsim.names import AUX, FEEDBACK, LOG_COLUMN_OF, WTG, WTR
from svsim.response import EXPECTED, NOISE, Past, State
from svsim.response.protocol import put_rows
from svsim.response.relevance import shortest_relevant_ms
from svsim.response.truth import TruthResponse
from svsim.signals import aux, wtr
from svsim.world import State as WorldState
from svsim.world import preset_store
from svsim.world.constants import constants
from svsim.world.state import MEMORY


@pytest.fixture(scope="module")
def tiny() -> FeedStore:
    return preset_store("tiny")


@pytest.fixture(scope="module")
def truth(tiny: FeedStore) -> TruthResponse:
    return TruthResponse(tiny)


def opened(truth: TruthResponse, store: FeedStore, rng: np.random.Generator, rows: int) -> State:
    users = rng.integers(1, store.n_users + 1, rows)
    event = store.users["first_event"][users].astype(np.int64)
    return truth.begin(
        users, Past(event, store.events["time_ms"][event], rng.integers(0, 1 << 62, rows).astype(np.uint64))
    )


def walked(
    truth: TruthResponse, store: FeedStore, rng: np.random.Generator, rows: int, steps: int, videos: int = 30
) -> State:
    """States in the middle of sessions of few videos, which tire."""
    state = opened(truth, store, rng, rows)
    pool = rng.integers(1, store.n_videos + 1, videos)
    for _ in range(steps):
        video = rng.choice(pool, rows)
        state = truth.advance(state, video, truth.respond(state, video, rng.random((rows, NOISE))))
    return state


def of_the_world(truth: TruthResponse, store: FeedStore, state: State) -> WorldState:
    """The same state in the world's terms."""
    catalogue = truth.world.catalogue
    video = state["recent"][:, 0]
    index = np.where(video > 0, catalogue.index_of(store.videos["video_id"][video]), -1)
    zeros = np.zeros_like(state["user"])
    return WorldState(
        user=state["user"], session=state["session"], request=zeros, slot=zeros, time_ms=state["time_ms"], tab=zeros + 1,
        recent=index,
        recent_author=np.where(video > 0, catalogue.author(np.maximum(index, 0)), -1),
        recent_tag=np.where(video > 0, catalogue.tag(np.maximum(index, 0)), 0),
        shown=state["shown"], clicked=state["clicked"],
    )  # fmt: skip


@pytest.mark.parametrize("steps", [0, 1, 7, 40])
def test_reactions_are_the_worlds_own(truth: TruthResponse, tiny: FeedStore, steps: int) -> None:
    rng = np.random.default_rng(steps)
    state = walked(truth, tiny, rng, 3_000, steps)
    video, noise = rng.integers(1, tiny.n_videos + 1, 3_000), rng.random((3_000, NOISE))
    # Corners of the uniforms, and some of what the session has shown.
    noise[:40] = rng.choice([0.0, 0.5, 1.0 - 2.0**-53], (40, NOISE))
    video[:1_000] = np.where(steps, state["recent"][:1_000, 0, 0], video[:1_000])
    found = truth.respond(state, video, noise)
    index = truth.world.catalogue.index_of(tiny.videos["video_id"][video])
    expected = truth.world.respond(of_the_world(truth, tiny, state), index, noise)
    assert tuple(found) == FEEDBACK
    for name in FEEDBACK:
        answer = expected.get(LOG_COLUMN_OF[name], truth.world.catalogue.duration_ms(index))
        assert found[name].dtype == np.int32
        np.testing.assert_array_equal(found[name], answer, err_msg=name)


def test_expectations_are_the_worlds_own(truth: TruthResponse, tiny: FeedStore) -> None:
    rng = np.random.default_rng(3)
    state = walked(truth, tiny, rng, 50, 5)
    videos = rng.integers(1, tiny.n_videos + 1, (50, 12))
    found = truth.expect(state, videos)
    index = truth.world.catalogue.index_of(tiny.videos["video_id"][videos])
    expected = truth.world.expect(of_the_world(truth, tiny, state), index)
    assert set(found) == set(EXPECTED)
    for name, values in found.items():
        assert values.dtype == np.float32
        assert values.shape == videos.shape
        if name in expected:
            np.testing.assert_allclose(values, expected[name], rtol=1e-5, atol=1e-30, err_msg=name)


def test_expectations_are_means_of_reactions(truth: TruthResponse, tiny: FeedStore) -> None:
    """Monte Carlo over reactions: four standard errors for each of 30 videos and each signal."""
    rng = np.random.default_rng(4)
    pairs, draws = 30, 30_000
    state = walked(truth, tiny, rng, pairs, 4)
    duration = np.asarray(tiny.videos["video_duration"])
    # A video without duration, one short enough for other thresholds, the others as they come.
    video = rng.integers(1, tiny.n_videos + 1, pairs)
    video[0], video[1] = np.flatnonzero(np.nan_to_num(duration[1:]) == 0)[0] + 1, np.nanargmin(duration[1:]) + 1
    expected = truth.expect(state, video[:, None])
    many = {name: np.repeat(values, draws, axis=0) for name, values in state.items()}
    answer = truth.respond(many, np.repeat(video, draws), rng.random((pairs * draws, NOISE)))
    signals = {**answer, AUX: aux(answer)}
    signals[WTR] = np.nan_to_num(wtr(answer["play_time_ms"], answer["duration_ms"], clip=1.0))
    signals[WTG] = tiny.wtg.relevance(answer["play_time_ms"], answer["duration_ms"])
    for name in EXPECTED:
        drawn = np.asarray(signals[name], dtype=np.float64).reshape(pairs, draws)
        # Play times are floored to whole ms; and a signal that never came has at most a few chances in so many draws.
        rounding = 0.5 if name == "play_time_ms" else 5 / draws
        error = 4 * drawn.std(axis=1, ddof=1) / np.sqrt(draws) + rounding
        assert (np.abs(drawn.mean(axis=1) - expected[name][:, 0]) <= error).all(), name
    assert expected[WTR][0, 0] == expected[WTG][0, 0] == 0
    assert expected[WTG].max() > 0.01
    assert expected[WTR].max() > 0.3


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1_000), sevens=st.integers(2, 7))
def test_a_batch_is_its_rows_byte_for_byte(truth: TruthResponse, tiny: FeedStore, seed: int, sevens: int) -> None:
    rng = np.random.default_rng(seed)
    whole = opened(truth, tiny, rng, sevens)
    single = [{name: values[row : row + 1].copy() for name, values in whole.items()} for row in range(sevens)]
    pool = rng.integers(1, tiny.n_videos + 1, 4)
    for step in range(20):
        # Few videos, so that they tire; now and then none.
        video, noise = rng.choice([0, *pool], sevens), rng.random((sevens, NOISE))
        offered = rng.choice([0, *pool], (sevens, 5))
        expected, answer = truth.expect(whole, offered), truth.respond(whole, video, noise)
        whole = truth.advance(whole, video, answer)
        gap = np.where(rng.random(sevens) < 0.2, truth.return_gap_h(whole, noise[:, 0]), np.nan)
        leave, goes_on = truth.leave_probability(whole), truth.continue_probability(whole, answer)
        if step % 5 == 4:
            whole = truth.come_back(whole, gap)
        for row in range(sevens):
            part = slice(row, row + 1)
            alone = truth.expect(single[row], offered[part])
            assert all(alone[name].tobytes() == values[part].tobytes() for name, values in expected.items())
            alone = truth.respond(single[row], video[part], noise[part])
            assert all(alone[name].tobytes() == values[part].tobytes() for name, values in answer.items())
            single[row] = truth.advance(single[row], video[part], alone)
            assert truth.leave_probability(single[row]).tobytes() == leave[part].tobytes()
            assert truth.continue_probability(single[row], alone).tobytes() == goes_on[part].tobytes()
            if not np.isnan(gap[row]):
                assert truth.return_gap_h(single[row], noise[part, 0]).tobytes() == gap[part].tobytes()
            if step % 5 == 4:
                single[row] = truth.come_back(single[row], gap[part])
            assert all(single[row][name].tobytes() == values[part].tobytes() for name, values in whole.items())


def test_no_video_is_no_reaction_and_no_step(truth: TruthResponse, tiny: FeedStore) -> None:
    rng = np.random.default_rng(6)
    state = walked(truth, tiny, rng, 6, 3)
    before = {name: values.copy() for name, values in state.items()}
    none = np.zeros(6, dtype=np.int64)
    answer = truth.respond(state, none, rng.random((6, NOISE)))
    assert all((values == 0).all() for values in answer.values())
    assert all((values == 0).all() for values in truth.expect(state, none[:, None]).values())
    state = truth.advance(state, none, answer)
    for name, values in before.items():
        np.testing.assert_array_equal(state[name], values, err_msg=name)


def test_the_clock_goes_by_play_time_and_pause(truth: TruthResponse, tiny: FeedStore) -> None:
    rng = np.random.default_rng(7)
    state = opened(truth, tiny, rng, 5)
    start = state["time_ms"].copy()
    played, pauses = np.zeros(5, dtype=np.int64), []
    for _ in range(3):
        video = rng.integers(1, tiny.n_videos + 1, 5)
        answer = truth.respond(state, video, rng.random((5, NOISE)))
        state = truth.advance(state, video, answer)
        played += answer["play_time_ms"]
        pauses.append((state["time_ms"] - start - played).tolist())
    once = pauses[0][0]
    assert once > 0
    assert pauses == [[once] * 5, [2 * once] * 5, [3 * once] * 5]


def test_only_the_last_sixteen_videos_tire(truth: TruthResponse, tiny: FeedStore) -> None:
    rng = np.random.default_rng(8)
    state = opened(truth, tiny, rng, 1)
    favourite, others = np.array([5]), rng.choice(np.arange(6, tiny.n_videos), 40, replace=False)
    fresh = truth.expect(state, favourite[:, None])["play_time_ms"][0, 0]
    served = truth.advance(state, favourite, truth.respond(state, favourite, rng.random((1, NOISE))))
    assert truth.expect(served, favourite[:, None])["play_time_ms"][0, 0] < fresh
    for video in others[: MEMORY - 1, None]:
        served = truth.advance(served, video, truth.respond(served, video, rng.random((1, NOISE))))
    assert (served["recent"][0, 0] == 5).sum() == 1
    served = truth.advance(served, others[-1:], truth.respond(served, others[-1:], rng.random((1, NOISE))))
    assert 5 not in served["recent"][0, 0]


def test_leaving_is_the_worlds_and_begins_with_the_first_video(truth: TruthResponse, tiny: FeedStore) -> None:
    rng = np.random.default_rng(9)
    state = opened(truth, tiny, rng, 200)
    assert (truth.leave_probability(state) == 0).all()
    video = rng.integers(1, tiny.n_videos + 1, 200)
    answer = truth.respond(state, video, rng.random((200, NOISE)))
    state = truth.advance(state, video, answer)
    c = constants("leaving")
    factor = np.where(answer["click"] == 1, c["after_click"], c["after_none"])
    np.testing.assert_allclose(truth.leave_probability(state), truth.world.leaving.hazard[state["user"]] * factor)
    assert set(answer["click"]) == {0, 1}


def test_a_slate_goes_on_as_requests_do(truth: TruthResponse, tiny: FeedStore) -> None:
    """Of simulated requests, the share of videos that another one of the request follows (four standard errors)."""
    n = 40_000
    size, _ = truth.world.visits.open(np.zeros(n, dtype=np.int64), np.arange(n), np.ones(n, dtype=np.int64))
    state = opened(truth, tiny, np.random.default_rng(0), 2)
    found = truth.continue_probability(state, {})
    error = 4 * size.std() / np.sqrt(n) / size.mean() ** 2
    np.testing.assert_allclose(found, 1 - 1 / size.mean(), atol=error)


def test_coming_back_is_a_new_session(truth: TruthResponse, tiny: FeedStore) -> None:
    rng = np.random.default_rng(10)
    state = walked(truth, tiny, rng, 6, 20)
    before = {name: values.copy() for name, values in state.items()}
    gap = np.array([np.nan, 0.6, 30.0, np.nan, 1.0, 2.0])
    back = truth.come_back(state, gap)
    stays, comes = np.isnan(gap), ~np.isnan(gap)
    for name, values in before.items():
        np.testing.assert_array_equal(back[name][stays], values[stays], err_msg=name)
    np.testing.assert_array_equal(
        back["time_ms"][comes] - before["time_ms"][comes], [2_160_000, 108_000_000, 3_600_000, 7_200_000]
    )
    np.testing.assert_array_equal(back["session"][comes], before["session"][comes] + 1)
    assert (back["own"][comes] != before["own"][comes]).all()
    assert (truth.leave_probability(back)[comes] == 0).all()
    # As fresh as an episode that opens in that session.
    videos = rng.integers(1, tiny.n_videos + 1, (6, 4))
    dense = np.searchsorted(tiny.users["user_id"][1:], back["user"]) + 1
    key = (back["session"] - (1 << 32)).astype(np.uint64)
    anew = truth.begin(dense, Past(np.zeros(6, dtype=np.int64), back["time_ms"], key))
    for name, values in truth.expect(anew, videos).items():
        np.testing.assert_array_equal(values[comes], truth.expect(back, videos)[name][comes], err_msg=name)


def test_few_clicks_keep_users_away_longer(truth: TruthResponse, tiny: FeedStore) -> None:
    rng = np.random.default_rng(11)
    state = opened(truth, tiny, rng, 4_000)
    state["shown"][:], uniform = 20, rng.random(4_000)
    state["clicked"][:] = 0
    bored = truth.return_gap_h(state, uniform)
    state["clicked"][:] = 20
    pleased = truth.return_gap_h(state, uniform)
    assert (bored >= 0.5).all()
    assert bored.mean() > pleased.mean()


def test_rows_can_be_put_in_place_of_others(truth: TruthResponse, tiny: FeedStore) -> None:
    rng = np.random.default_rng(12)
    state, other = walked(truth, tiny, rng, 5, 9), opened(truth, tiny, rng, 2)
    put_rows(state, np.array([3, 1]), other)
    videos = rng.integers(1, tiny.n_videos + 1, (5, 3))
    alone = truth.expect(other, videos[[3, 1]])
    for name, values in truth.expect(state, videos).items():
        np.testing.assert_array_equal(values[[3, 1]], alone[name], err_msg=name)


def test_the_least_relevant_play_is_where_relevance_begins(tiny: FeedStore) -> None:
    duration = np.array([0, 900, 7_000, 12_345, 60_000, 600_000, 7_000])
    least = shortest_relevant_ms(tiny, duration)
    assert least[0] == np.inf
    assert least[2] == least[6]
    known = np.isfinite(least)
    assert known[1:].all()
    at = least[known].astype(np.int64)
    assert (tiny.wtg.relevance(at, duration[known]) == 1).all()
    assert (tiny.wtg.relevance(at - 1, duration[known]) == 0).all()


def test_a_pool_answers_for_its_own_videos_alone(truth: TruthResponse, tiny: FeedStore) -> None:
    rng = np.random.default_rng(13)
    pool = np.array([9, 4, 700])
    small = TruthResponse(tiny, pool)
    state = walked(truth, tiny, rng, 3, 6)
    noise = rng.random((3, NOISE))
    for name, values in small.respond(state, pool, noise).items():
        np.testing.assert_array_equal(values, truth.respond(state, pool, noise)[name], err_msg=name)
    for name, values in small.expect(state, pool[None].repeat(3, axis=0)).items():
        np.testing.assert_array_equal(values, truth.expect(state, pool[None].repeat(3, axis=0))[name], err_msg=name)
    with pytest.raises(OptionError, match=r"videos of the pool \(3\), found dense id 5"):
        small.respond(state, np.array([9, 5, 0]), noise)
    with pytest.raises(OptionError, match="dense ids from 1"):
        TruthResponse(tiny, [0, 4])
    with pytest.raises(OptionError, match="dense ids from 1"):
        TruthResponse(tiny, [4, tiny.n_videos + 1])


def test_a_log_without_truth_is_refused(store: FeedStore) -> None:
    with pytest.raises(DataError, match="svsim train response"):
        TruthResponse(store)


def test_a_loop_over_the_best_videos_loses_to_popularity(truth: TruthResponse, tiny: FeedStore) -> None:
    """Three videos over and over tire: per video they earn less than the next most clicked ones, each served once."""
    rng = np.random.default_rng(14)
    clicks, shown = np.asarray(tiny.videos["train_click"]), np.asarray(tiny.videos["train_exposures"])
    by_rate = np.argsort(-(clicks + 3.0) / (shown + 10.0))
    horizon, users = 30, 400
    earned = {}
    for name, order in {"loop": np.tile(by_rate[:3], horizon // 3), "popularity": by_rate[:horizon]}.items():
        state = opened(truth, tiny, np.random.default_rng(15), users)
        total = 0.0
        for video in order:
            served = np.full(users, video)
            total += float(truth.expect(state, served[:, None])["click"].mean())
            state = truth.advance(state, served, truth.respond(state, served, rng.random((users, NOISE))))
        earned[name] = total / horizon
    assert earned["loop"] < 0.7 * earned["popularity"]
