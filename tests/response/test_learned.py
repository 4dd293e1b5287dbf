"""A learned response model: expectations are means of reactions, repetition tires, sessions open, batches are rows."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from svsim.agents.values import training_values
from svsim.data import FeedStore
from svsim.envs import FeedEnv, FeedVectorEnv
from svsim.errors import OptionError, RunError
from svsim.models.response.leaving import leaving_features
from svsim.models.response.material import Material
from svsim.models.response.memory import SESSION
from svsim.models.response.past_sums import PastSums, session_starts
from svsim.models.response.runs import ResponseRun, load_response
from svsim.names import AUX, CLICK, FEEDBACK, FLAGS, LOG_COLUMN_OF, PLAY_TIME, WTG, WTR
from svsim.response import EXPECTED, NOISE, Past, State
from svsim.response.learned import LearnedResponse
from svsim.response.protocol import put_rows
from svsim.signals import aux, wtr
from svsim.world import preset_store
from tests.models.response.stores import trained

LIFE = 0


@pytest.fixture(scope="module")
def run_path(store: FeedStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run whose flags hang more on play time and like than a short training teaches, and clicks less."""
    folder = tmp_path_factory.mktemp("lively") / "run"
    shutil.copytree(trained(store, tmp_path_factory), folder)
    weights = load_file(folder / "model.safetensors")
    rng = np.random.default_rng(0)
    weights["flag_play"] = rng.normal(0, 0.3, weights["flag_play"].shape).astype(np.float32)
    weights["flag_like"] = np.full_like(weights["flag_like"], 1.5)
    save_file(weights, folder / "model.safetensors")
    parts = load_file(folder / "parts.safetensors")
    for name in ("flags.click", "flags.long_view"):
        parts[name] = np.sort(rng.uniform(0.1, 0.9, parts[name].shape), axis=1)
    save_file(parts, folder / "parts.safetensors")
    return folder


@pytest.fixture(scope="module")
def run(run_path: Path) -> ResponseRun:
    return load_response(run_path)


@pytest.fixture(scope="module")
def model(run: ResponseRun, store: FeedStore) -> LearnedResponse:
    return LearnedResponse(run, store)


def opened(model: LearnedResponse, rng: np.random.Generator, rows: int) -> State:
    """Users in the middle of what the log knows of them."""
    event = rng.integers(0, model.store.n_events, rows)
    user = model.store.events["user"][event].astype(np.int64)
    return model.begin(user, Past(event, model.store.events["time_ms"][event], event.astype(np.uint64)))


def walked(model: LearnedResponse, rng: np.random.Generator, rows: int, steps: int, videos: int = 30) -> State:
    state = opened(model, rng, rows)
    pool = rng.integers(1, model.store.n_videos + 1, videos)
    for _ in range(steps):
        video = rng.choice(pool, rows)
        state = model.advance(state, video, model.respond(state, video, rng.random((rows, NOISE))))
    return state


def rows_of(state: State, rows: np.ndarray) -> State:
    return {name: values[rows].copy() for name, values in state.items()}


def copied(state: State) -> State:
    return {name: values.copy() for name, values in state.items()}


# --- reactions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chance", [False, True])
def test_expectations_are_means_of_reactions(run: ResponseRun, store: FeedStore, chance: bool) -> None:
    """Monte Carlo: four standard errors for each of 16 videos and each signal."""
    model = LearnedResponse(run, store, chance=chance)
    rng = np.random.default_rng(4)
    pairs, draws = 16, 20_000
    state = walked(model, rng, pairs, 4)
    duration = np.nan_to_num(np.asarray(store.videos["video_duration"]))
    # The shortest, the longest, the others as they come.
    video = rng.integers(1, store.n_videos + 1, pairs)
    video[0], video[1] = 1 + np.argmin(duration[1:]), 1 + np.argmax(duration[1:])
    expected = model.expect(state, video[:, None])
    assert set(expected) == set(EXPECTED)
    judged = dict.fromkeys(EXPECTED, 0)
    for pair in range(pairs):
        many = rows_of(state, np.full(draws, pair))
        answer = model.respond(many, np.full(draws, video[pair]), rng.random((draws, NOISE)))
        signals = {**answer, AUX: aux({name: answer[name] for name in FLAGS})}
        signals[WTR] = np.nan_to_num(wtr(answer[PLAY_TIME], answer["duration_ms"], clip=1.0))
        signals[WTG] = store.wtg.relevance(answer[PLAY_TIME], answer["duration_ms"])
        for name in EXPECTED:
            drawn = np.asarray(signals[name], dtype=np.float64)
            # Play times are floored to whole ms.
            error = 4 * drawn.std(ddof=1) / np.sqrt(draws) + (0.5 if name == PLAY_TIME else 5 / draws)
            assert abs(drawn.mean() - expected[name][pair, 0]) <= error, (name, pair)
            judged[name] += 0 < drawn.mean() < 1 or name == PLAY_TIME
    assert min(judged.values()) > pairs / 2


def test_reactions_are_of_the_protocols_kind(model: LearnedResponse, store: FeedStore) -> None:
    rng = np.random.default_rng(5)
    n = 4_000
    state = walked(model, rng, n, 2)
    video, noise = rng.integers(1, store.n_videos + 1, n), rng.random((n, NOISE))
    noise[:60] = rng.choice([0.0, 0.5, 1.0 - 2.0**-53], (60, NOISE))
    answer = model.respond(state, video, noise)
    assert tuple(answer)[: len(FEEDBACK)] == FEEDBACK
    for name in FEEDBACK:
        assert answer[name].dtype == np.int32
        assert answer[name].shape == (n,)
    for name in FLAGS:
        assert set(np.unique(answer[name])) <= {0, 1}
    assert answer[PLAY_TIME].min() == 0
    assert (answer[PLAY_TIME] >= 0).all()
    np.testing.assert_array_equal(answer["duration_ms"], store.videos["video_duration"][video])
    # What counts as a relevant gain by the store is what the expectation is of.
    expected = model.expect(state, video[:, None])
    assert all(values.dtype == np.float32 and values.shape == (n, 1) for values in expected.values())


def test_the_same_noise_is_the_same_reaction(model: LearnedResponse, store: FeedStore) -> None:
    rng = np.random.default_rng(6)
    state = walked(model, rng, 200, 3)
    video, noise = rng.integers(1, store.n_videos + 1, 200), rng.random((200, NOISE))
    before = copied(state)
    first = model.respond(state, video, noise)
    for name, values in before.items():
        # A note for `advance` aside nothing changes.
        if name != "expected_wtr":
            np.testing.assert_array_equal(state[name], values, err_msg=name)
    again = model.respond(state, video, noise)
    assert all((again[name] == values).all() for name, values in first.items())
    other = model.respond(state, video, rng.random((200, NOISE)))
    assert (other[PLAY_TIME] != first[PLAY_TIME]).mean() > 0.5


def test_a_longer_draw_is_a_longer_play(model: LearnedResponse) -> None:
    rng = np.random.default_rng(7)
    state = rows_of(walked(model, rng, 1, 3), np.zeros(50, dtype=int))
    noise = np.full((50, NOISE), 0.999)
    noise[:, 0] = np.linspace(0, 0.999, 50)
    play = model.respond(state, np.full(50, 7), noise)[PLAY_TIME]
    assert (np.diff(play) >= 0).all()
    assert play[-1] > 10 * play[10]


def test_a_batch_is_its_rows(model: LearnedResponse, store: FeedStore) -> None:
    rng = np.random.default_rng(8)
    n = 6
    whole = opened(model, rng, n)
    single = [rows_of(whole, np.array([row])) for row in range(n)]
    pool = rng.integers(1, store.n_videos + 1, 5)
    for step in range(25):
        video, noise = rng.choice([0, *pool], n), rng.random((n, NOISE))
        offered = rng.choice([0, *pool], (n, 4))
        expected, answer = model.expect(whole, offered), model.respond(whole, video, noise)
        whole = model.advance(whole, video, answer)
        gap = np.where(rng.random(n) < 0.3, model.return_gap_h(whole, noise[:, 0]), np.nan)
        leave = model.leave_probability(whole)
        if step % 5 == 4:
            whole = model.come_back(whole, gap)
        for row in range(n):
            part = slice(row, row + 1)
            alone = model.expect(single[row], offered[part])
            for name, values in expected.items():
                np.testing.assert_allclose(alone[name], values[part], rtol=1e-5, atol=1e-7, err_msg=name)
            reaction = model.respond(single[row], video[part], noise[part])
            assert all(reaction[name] == answer[name][part] for name in FEEDBACK)
            single[row] = model.advance(single[row], video[part], reaction)
            np.testing.assert_allclose(model.leave_probability(single[row]), leave[part], rtol=1e-6)
            if step % 5 == 4:
                single[row] = model.come_back(single[row], gap[part])
            for name, values in whole.items():
                np.testing.assert_allclose(single[row][name], values[part], rtol=1e-5, atol=1e-5, err_msg=name)


def test_no_video_is_no_reaction_and_no_step(model: LearnedResponse, store: FeedStore) -> None:
    rng = np.random.default_rng(9)
    state = walked(model, rng, 6, 5)
    before = copied(state)
    video = np.array([0, 3, 0, 4, 0, 5])
    none = video == 0
    answer = model.respond(state, video, rng.random((6, NOISE)))
    assert all((values[none] == 0).all() for values in answer.values())
    assert all((values[none] == 0).all() for values in model.expect(state, video[:, None]).values())
    assert (model.expect(state, video[:, None])[CLICK][~none] > 0).all()
    state = model.advance(state, video, answer)
    for name, values in before.items():
        if name != "expected_wtr":
            np.testing.assert_array_equal(state[name][none], values[none], err_msg=name)
    assert (state["time_ms"][~none] > before["time_ms"][~none]).all()
    nobody = np.zeros(6, dtype=np.int64)
    assert all((values == 0).all() for values in model.respond(state, nobody, rng.random((6, NOISE))).values())


def test_where_a_session_opens_it_expects_what_the_log_is_judged_by(run: ResponseRun, store: FeedStore) -> None:
    """Predictions for the sessions' first rows, of the main feed and not by chance: the same numbers by another way."""
    model = LearnedResponse(run, store, chance=False)
    events = store.events
    rows = np.concatenate([store.split_rows("valid"), store.split_rows("test")])
    opens = session_starts(store)[rows] == rows
    rows = rows[opens & (events["tab"][rows] == 1) & (events["is_rand"][rows] == 0)]
    rows = rows[store.videos["video_duration"][events["video"][rows]] == events["duration_ms"][rows]]
    assert len(rows) > 25
    expected = Material(store, run.parts.usual).predictions(rows, "running", run.forward, run.parts)
    user, video = (events[name][rows].astype(np.int64) for name in ("user", "video"))
    found = model.expect(model.begin(user, Past(rows, events["time_ms"][rows], rows.astype(np.uint64))), video[:, None])
    for name in (PLAY_TIME, CLICK, "long_view", "like", "comment", "forward", "follow", "hate", WTR):
        np.testing.assert_allclose(found[name][:, 0], expected[name], rtol=1e-4, atol=1e-6, err_msg=name)


# --- the ensemble -----------------------------------------------------------------------------------------------------


def of_one_member(folder: Path, out: Path) -> ResponseRun:
    """The run with every member the first one."""
    shutil.copytree(folder, out)
    held = load_file(out / "model.safetensors")
    for name in ("second", "second_bias", "third", "third_bias"):
        held[name] = np.repeat(held[name][:1], 2, axis=0)
    for name in ("first", "first_bias", "skip", "by_chance"):
        half = held[name].shape[-1] // 2
        held[name] = np.concatenate([held[name][..., :half]] * 2, axis=-1)
    save_file(held, out / "model.safetensors")
    return load_response(out)


def test_members_that_are_equal_agree(model: LearnedResponse, run_path: Path, store: FeedStore, tmp_path: Path) -> None:
    equal = LearnedResponse(of_one_member(run_path, tmp_path / "one"), store)
    rng = np.random.default_rng(10)
    state = walked(model, rng, 300, 3)
    video, noise = rng.integers(1, store.n_videos + 1, 300), rng.random((300, NOISE))
    told = model.respond(state, video, noise)["disagreement"]
    assert (told >= 0).all()
    assert (told > 1e-3).mean() > 0.9
    state = walked(equal, np.random.default_rng(10), 300, 3)
    np.testing.assert_allclose(equal.respond(state, video, noise)["disagreement"], 0, atol=1e-6)


# --- memory -----------------------------------------------------------------------------------------------------------


def test_a_repeated_video_is_played_less(model: LearnedResponse, store: FeedStore) -> None:
    """The same user but for what the session has shown: the more often the video, the shorter the play."""
    state = opened(model, np.random.default_rng(11), 40)
    video = np.full((40, 1), 12)
    found = []
    for times in (0, 1, 2, 5, 16):
        shown = copied(state)
        shown["rings"][:, 0, 16 - times :] = 12
        found.append(model.expect(shown, video))
    for name in (PLAY_TIME, WTR, CLICK):
        curve = np.stack([each[name][:, 0] for each in found])
        assert (np.diff(curve, axis=0) < 0).all(), name
    assert (found[-1][WTR] < 0.5 * found[0][WTR]).all()


def test_only_the_last_sixteen_videos_tire(model: LearnedResponse, store: FeedStore) -> None:
    rng = np.random.default_rng(12)
    state = opened(model, rng, 1)
    for video in [5, *rng.choice(np.arange(6, store.n_videos), 15, replace=False)]:
        served = np.array([video])
        state = model.advance(state, served, model.respond(state, served, rng.random((1, NOISE))))
    assert (state["rings"][0, 0] == 5).sum() == 1
    served = np.array([store.n_videos])
    state = model.advance(state, served, model.respond(state, served, rng.random((1, NOISE))))
    assert 5 not in state["rings"][0, 0]


def test_events_count_as_logged_ones_do_but_for_the_models_own_level(run: ResponseRun, store: FeedStore) -> None:
    """Logged feedback of the main feed advances the memory by what the log's past sums hold, less one level for all."""
    model = LearnedResponse(run, store, chance=False)
    past = PastSums(store, run.parts.usual)
    events = store.events
    rows = store.split_rows("test")
    duration = store.videos["video_duration"][events["video"][rows]]
    rows = rows[(events["tab"][rows] == 1) & (events["is_rand"][rows] == 0) & (duration == events["duration_ms"][rows])]
    assert len(rows) > 50
    state = model.begin(
        events["user"][rows].astype(np.int64), Past(rows, events["time_ms"][rows], rows.astype(np.uint64))
    )
    np.testing.assert_allclose(state["sums"], past.memory(events["user"][rows].astype(np.int64), rows).sums)
    before = copied(state)
    feedback = {name: np.asarray(events[column])[rows] for name, column in LOG_COLUMN_OF.items()}
    state = model.advance(state, events["video"][rows].astype(np.int64), feedback)
    x = state["sums"][:, LIFE] - before["sums"][:, LIFE]
    np.testing.assert_allclose(x[:, 0], 1, rtol=1e-5)
    level = past.events[rows] - x
    np.testing.assert_allclose(level, np.tile(level.mean(axis=0), (len(rows), 1)), atol=2e-4)
    np.testing.assert_allclose(state["sums"][:, SESSION], x, atol=2e-4)
    np.testing.assert_array_equal(state["last_ms"], events["time_ms"][rows])


def test_against_its_own_level_a_user_stays(model: LearnedResponse, store: FeedStore) -> None:
    """Users as the log has them, videos at random: on average nothing is above the usual."""
    rng = np.random.default_rng(13)
    train, n = store.split_rows("train"), 8_000
    event = rng.choice(train, n)
    user = store.events["user"][event].astype(np.int64)
    state = model.begin(user, Past(event, store.events["time_ms"][event], event.astype(np.uint64)))
    before = state["sums"][:, SESSION].copy()
    video = rng.integers(1, store.n_videos + 1, n)
    state = model.advance(state, video, model.respond(state, video, rng.random((n, NOISE))))
    x = (state["sums"][:, SESSION] - before)[:, 1:]
    assert (np.abs(x.mean(axis=0)) < 4 * x.std(axis=0) / np.sqrt(n) + 0.01).all(), x.mean(axis=0)


def reward(expected: dict[str, np.ndarray]) -> np.ndarray:
    return expected[WTR] + expected[WTG] + expected[AUX]


def test_a_loop_over_the_best_videos_earns_less_than_fresh_ones(model: LearnedResponse, store: FeedStore) -> None:
    """Three videos in turn, the best by training, against the best of twenty that were never shown."""
    users, horizon = 100, 14
    best = 1 + np.argsort(-training_values(store).mean[1:], kind="stable")[:3]
    earned = {}
    for name in ("loop", "fresh"):
        rng = np.random.default_rng(14)
        state, total = opened(model, rng, users), 0.0
        order = rng.permuted(np.tile(np.arange(1, store.n_videos + 1), (users, 1)), axis=1)
        for step in range(horizon):
            offered = order[:, 20 * step : 20 * step + 20] if name == "fresh" else np.full((users, 1), best[step % 3])
            worth = reward(model.expect(state, offered))
            video = offered[np.arange(users), worth.argmax(axis=1)]
            total += float(worth.max(axis=1).mean())
            state = model.advance(state, video, model.respond(state, video, rng.random((users, NOISE))))
        earned[name] = total / horizon
    assert earned["loop"] < 0.7 * earned["fresh"]


# --- sessions ---------------------------------------------------------------------------------------------------------


def test_the_clock_goes_by_play_time_and_pause(model: LearnedResponse, store: FeedStore) -> None:
    rng = np.random.default_rng(15)
    state = opened(model, rng, 5)
    start, played = state["time_ms"].copy(), np.zeros(5, dtype=np.int64)
    for step in range(1, 4):
        video = rng.integers(1, store.n_videos + 1, 5)
        answer = model.respond(state, video, rng.random((5, NOISE)))
        state = model.advance(state, video, answer)
        played += answer[PLAY_TIME]
        np.testing.assert_array_equal(state["time_ms"], start + played + step * model.pause_ms)


def test_leaving_goes_by_its_formula(model: LearnedResponse, run: ResponseRun, store: FeedStore) -> None:
    """After one video: disappointment a tenth of expected less realised ratio, minutes of its play, nothing repeated."""
    rng = np.random.default_rng(16)
    n = 300
    state = opened(model, rng, n)
    assert (model.leave_probability(state) == 0).all()
    video = rng.integers(1, store.n_videos + 1, n)
    opening, expected = state["time_ms"].copy(), model.expect(state, video[:, None])[WTR][:, 0]
    answer = model.respond(state, video, rng.random((n, NOISE)))
    state = model.advance(state, video, answer)
    ratio = np.nan_to_num(wtr(answer[PLAY_TIME], answer["duration_ms"], clip=1.0))
    features = leaving_features(
        0.1 * (expected - ratio), np.zeros((n, 2)), answer[PLAY_TIME] / 60_000, np.ones(n), opening
    )
    leaving = dataclasses.replace(run.parts.leaving, whole=True)
    whole = LearnedResponse(dataclasses.replace(run, parts=dataclasses.replace(run.parts, leaving=leaving)), store)
    np.testing.assert_allclose(whole.leave_probability(state), leaving.probability(features), rtol=1e-4)
    assert leaving.probability(features).std() > 0
    uniform = rng.random(n)
    np.testing.assert_allclose(whole.return_gap_h(state, uniform), leaving.gap_h(features, uniform), rtol=1e-4)


def test_of_cut_outs_nobody_leaves(run: ResponseRun, store: FeedStore) -> None:
    leaving = dataclasses.replace(run.parts.leaving, whole=False)
    cut = LearnedResponse(dataclasses.replace(run, parts=dataclasses.replace(run.parts, leaving=leaving)), store)
    assert (cut.leave_probability(walked(cut, np.random.default_rng(17), 20, 3)) == 0).all()


def test_a_slate_goes_on_as_the_logs_requests_do(model: LearnedResponse, run: ResponseRun) -> None:
    state = opened(model, np.random.default_rng(18), 2)
    found = model.continue_probability(state, {CLICK: np.array([0, 1])})
    np.testing.assert_array_equal(found, run.parts.leaving.follows)


def test_coming_back_is_a_new_session(model: LearnedResponse, store: FeedStore) -> None:
    rng = np.random.default_rng(19)
    state = walked(model, rng, 6, 20)
    before = copied(state)
    gap = np.array([np.nan, 0.6, 30.0, np.nan, 1.0, 2.0])
    back = model.come_back(state, gap)
    stays, comes = np.isnan(gap), ~np.isnan(gap)
    for name, values in before.items():
        np.testing.assert_array_equal(back[name][stays], values[stays], err_msg=name)
    # From where the last play ended, whose pause is over by then.
    over = before["time_ms"][comes] - model.pause_ms
    np.testing.assert_array_equal(back["time_ms"][comes] - over, [2_160_000, 108_000_000, 3_600_000, 7_200_000])
    assert (back["rings"][comes] == -1).all()
    assert (before["rings"][comes] >= 0).any()
    assert (back["sums"][comes, SESSION] == 0).all()
    np.testing.assert_array_equal(back["sums"][comes, :SESSION], before["sums"][comes, :SESSION])
    np.testing.assert_array_equal(back["session_ms"][comes], back["time_ms"][comes])
    assert (model.leave_probability(back)[comes] == 0).all()
    # Nothing tires any more.
    fresh = copied(back)
    fresh["rings"][:] = -1
    video = before["rings"][:, 0, -1:].astype(np.int64)
    for name, values in model.expect(fresh, video).items():
        np.testing.assert_array_equal(model.expect(back, video)[name][comes], values[comes], err_msg=name)


def test_rows_can_be_put_in_place_of_others(model: LearnedResponse, store: FeedStore) -> None:
    rng = np.random.default_rng(20)
    state, other = walked(model, rng, 5, 9), opened(model, rng, 2)
    put_rows(state, np.array([3, 1]), other)
    videos = rng.integers(1, store.n_videos + 1, (5, 3))
    alone = model.expect(other, videos[[3, 1]])
    for name, values in model.expect(state, videos).items():
        np.testing.assert_allclose(values[[3, 1]], alone[name], rtol=1e-5, err_msg=name)


def test_users_of_whom_nothing_is_known_are_answered_for(model: LearnedResponse, store: FeedStore) -> None:
    """A user's first row, and the user who is none at all: both have no event, and expectations in their range."""
    users = np.array([4, 0])
    event = np.array([store.users["first_event"][4], 0], dtype=np.int64)
    state = model.begin(users, Past(event, np.full(2, 1_650_000_000_000), np.zeros(2, dtype=np.uint64)))
    assert (state["sums"] == 0).all()
    assert (state["last_ms"] == 0).all()
    found = model.expect(state, np.arange(1, 9).reshape(2, 4))
    for name, values in found.items():
        assert np.isfinite(values).all(), name
        if name not in (PLAY_TIME, AUX):
            assert ((values >= 0) & (values <= 1)).all(), name
    answer = model.respond(state, np.array([1, 2]), np.full((2, NOISE), 0.7))
    assert (model.advance(state, np.array([1, 2]), answer)["sums"][:, LIFE, 0] == 1).all()


# --- what is refused --------------------------------------------------------------------------------------------------


def test_a_pool_answers_for_its_own_videos_alone(model: LearnedResponse, run: ResponseRun, store: FeedStore) -> None:
    rng = np.random.default_rng(21)
    pool = np.array([9, 4, 70])
    small = LearnedResponse(run, store, pool)
    state, noise = walked(model, rng, 3, 6), rng.random((3, NOISE))
    for name, values in small.expect(state, pool[None].repeat(3, axis=0)).items():
        expected = model.expect(state, pool[None].repeat(3, axis=0))[name]
        np.testing.assert_allclose(values, expected, rtol=1e-5, err_msg=name)
    answer = small.respond(state, pool, noise)
    assert all(
        (answer[name] == values).all() for name, values in model.respond(state, pool, noise).items() if name in FLAGS
    )
    for ask in (
        lambda: small.respond(state, np.array([9, 5, 0]), noise),
        lambda: small.expect(state, np.array([[9, 4], [0, 5], [4, 4]])),
    ):
        with pytest.raises(OptionError, match="videos of the pool, found 5; open it with them"):
            ask()


@pytest.mark.parametrize("threads", [0, -3])
def test_fewer_threads_than_one_are_refused(run: ResponseRun, store: FeedStore, threads: int) -> None:
    with pytest.raises(OptionError, match=rf"threads: expected at least 1, found {threads}"):
        LearnedResponse(run, store, threads=threads)


def test_threads_do_not_change_what_is_answered(model: LearnedResponse, run: ResponseRun, store: FeedStore) -> None:
    state = walked(model, np.random.default_rng(22), 3, 2)
    other = LearnedResponse(run, store, threads=1)
    for name, values in other.expect(state, np.array([[1], [2], [3]])).items():
        np.testing.assert_allclose(
            values, model.expect(state, np.array([[1], [2], [3]]))[name], rtol=1e-5, err_msg=name
        )


def test_another_store_is_refused(run: ResponseRun) -> None:
    with pytest.raises(RunError, match="response model of the store"):
        LearnedResponse(run, preset_store("tiny"))


# --- Feed-v0 ----------------------------------------------------------------------------------------------------------

Policy = Callable[[dict, np.ndarray], np.ndarray]


def mean_reward(world: FeedStore, response: Path, policy: Policy, **arguments: object) -> float:
    """Mean reward a step of a policy (observation, steps since reset) over the same 96 episodes."""
    rows, turns = 48, 2
    vector = FeedVectorEnv(rows, world, response=response, repeats=True, horizon=40, **arguments)
    observation, _ = vector.reset(
        seed=0, options={"episodes": np.arange(turns * rows, dtype=np.uint64).reshape(turns, rows)}
    )
    total, steps = 0.0, 0
    turn, step = np.zeros(rows, dtype=np.int64), np.zeros(rows, dtype=np.int64)
    while (turn < turns).any():
        observation, earned, terminated, truncated, _ = vector.step(policy(observation, step))
        total, steps = total + earned[turn < turns].sum(), steps + int((turn < turns).sum())
        over = terminated | truncated
        turn += over
        step = np.where(over, 0, step + 1)
    return float(total / steps)


def test_loops_lose_in_feed_v0(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whoever shows the three best videos in turn earns less a step than who shows the most popular of what is on offer."""
    world = preset_store("tiny")
    shutil.copytree(trained(world, tmp_path_factory), tmp_path / "run")
    (tmp_path / "run" / "card.json").write_text(json.dumps({"passed": True, "gates": []}))
    mean = training_values(world).mean
    pool = FeedEnv(world, response=tmp_path / "run", actions="catalogue").pool
    best = np.argsort(-mean[pool], kind="stable")[:3]
    loop = mean_reward(world, tmp_path / "run", lambda _, step: best[step % 3], actions="catalogue")
    popularity = mean_reward(world, tmp_path / "run", lambda seen, _: np.argmax(mean[seen["candidate_video"]], axis=1))
    assert loop < 0.85 * popularity
