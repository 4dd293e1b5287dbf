"""The pieces that the rules are made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svsim.data import FeedStore, prepare
from svsim.data.features import candidate_features, history_features, user_features
from svsim.envs.episodes import EpisodeStream, episode_keys
from svsim.envs.window import SLACK, HistoryWindow
from svsim.errors import EnvironmentUsageError
from svsim.names import CANDIDATE_FEATURES, HISTORY_FEATURES, USER_FEATURES
from svsim.randomness import RowStreams, keyed_hash, keyed_uniform
from tests.kuairand import log_row, write_kuairand


@settings(max_examples=30, deadline=None)
@given(length=st.integers(1, 5), pushes=st.integers(0, 3 * SLACK), seed=st.integers(0, 99))
def test_a_window_holds_the_last_pushes(length: int, pushes: int, seed: int) -> None:
    """Against lists: rows that got nothing keep their window, a refilled row starts anew."""
    rng = np.random.default_rng(seed)
    window = HistoryWindow(3, length, 2)
    lists = [[0] * length for _ in range(3)]
    for number in range(1, pushes + 1):
        nothing = np.flatnonzero(rng.random(3) < 0.2)
        value = np.full(3, number, dtype=np.int32)
        window.push(np.repeat(value[:, None], 2, axis=1), value, -value, nothing if len(nothing) else None)
        for row in set(range(3)) - set(nothing.tolist()):
            lists[row].append(number)
        if rng.random() < 0.1:
            row = np.array([rng.integers(3)])
            past = rng.integers(100, 200, (1, length))
            window.fill(row, np.repeat(past[..., None], 2, axis=2), past, -past)
            lists[row[0]] = past[0].tolist()
    features, videos, authors = window.views()
    expected = np.array([entries[-length:] for entries in lists])
    np.testing.assert_array_equal(videos, expected)
    np.testing.assert_array_equal(authors, -expected)
    np.testing.assert_array_equal(features, np.repeat(expected[..., None], 2, axis=2))


def test_rows_of_a_stream_do_not_depend_on_each_other() -> None:
    batch, alone = EpisodeStream(3), EpisodeStream(1)
    batch.seed([5, 6, 7])
    alone.seed([6])
    first, second = batch.next(np.arange(3)), batch.next(np.array([1]))
    assert first[1] == alone.next(np.array([0]))[0]
    assert second[0] == alone.next(np.array([0]))[0]


def test_queued_keys_do_not_use_up_the_stream() -> None:
    queued, plain = EpisodeStream(2), EpisodeStream(2)
    for stream in (queued, plain):
        stream.seed([1, 2])
    queued.queue(np.array([[10, 20]], dtype=np.uint64))
    assert queued.next(np.arange(2)).tolist() == [10, 20]
    np.testing.assert_array_equal(queued.next(np.arange(2)), plain.next(np.arange(2)))


def test_a_seed_forgets_the_queue() -> None:
    queued, plain = EpisodeStream(1), EpisodeStream(1)
    queued.queue(np.array([[10], [20]], dtype=np.uint64))
    queued.next(np.arange(1))
    for stream in (queued, plain):
        stream.seed([5])
    assert queued.next(np.arange(1)) == plain.next(np.arange(1))


@pytest.mark.parametrize("keys", [3, [3], np.array([3], dtype=np.uint64), [[3], [4]]])
def test_episode_keys_of_one_row(keys: object) -> None:
    assert episode_keys(keys, 1).ravel()[0] == 3


def test_episode_keys_of_another_shape_are_refused() -> None:
    with pytest.raises(EnvironmentUsageError, match=r"expected keys of shape \(2,\)"):
        episode_keys(np.zeros((3, 1, 2), dtype=np.uint64), 2)


def test_hash_is_splitmix64() -> None:
    """The first outputs of SplitMix64 from state 0 are published with its reference implementation."""
    outputs, state = [], 0
    for _ in range(3):
        outputs.append(int(keyed_hash(state)))
        state = (state + 0x9E3779B97F4A7C15) % 2**64
    assert outputs == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


def test_uniforms_are_uniform() -> None:
    draws = keyed_uniform(7, np.arange(100_000))
    assert ((draws >= 0) & (draws < 1)).all()
    counts = np.histogram(draws, bins=20, range=(0, 1))[0]
    # Chi-square with 19 degrees of freedom: mean 19, standard deviation √38.
    assert abs(((counts - 5_000) ** 2 / 5_000).sum() - 19) < 5 * np.sqrt(38)
    assert abs(np.corrcoef(draws[:-1], draws[1:])[0, 1]) < 5 / np.sqrt(100_000)


def test_row_streams_shift_with_the_seed() -> None:
    batch, alone = RowStreams(3, 10), RowStreams(1, 12)
    for _ in range(2):
        np.testing.assert_array_equal(batch.uniform(4)[2], alone.uniform(4)[0])


def test_features_have_their_declared_columns(store: FeedStore) -> None:
    rows = store.split_rows("test")
    assert user_features(store).shape == (store.n_users + 1, len(USER_FEATURES))
    assert candidate_features(store, rows).shape == (len(rows), len(CANDIDATE_FEATURES))
    assert history_features(store, rows).shape == (len(rows), len(HISTORY_FEATURES))
    assert not user_features(store)[0].any()


def test_user_features_are_standardised(store: FeedStore) -> None:
    seen = np.unique(store.events["user"][store.split_rows("train")])
    counts = user_features(store)[seen, :4]
    np.testing.assert_allclose(counts.mean(axis=0), 0, atol=0.05)
    np.testing.assert_allclose(counts.std(axis=0), 1, atol=0.1)


def test_a_training_candidate_does_not_show_its_own_feedback(tmp_path: Path) -> None:
    """Videos 1–20 have one viewer each: what is left without them is nothing, so every rate is the others' mean."""
    day = 86_400_000
    plays = [
        log_row(user=video, video=video, time_ms=video, date=20220415, play=500 * video, duration=10_000)
        for video in range(1, 21)
    ]
    later = [log_row(user=1, video=1, time_ms=d * day, date=20220415 + d, play=5_000) for d in (1, 2)]
    users = dict.fromkeys(range(1, 21), 5)
    store = prepare(write_kuairand(tmp_path / "f", [*plays, *later], users=users, videos=users), tmp_path / "s")
    rows = store.split_rows("train")
    assert len(rows) == 20
    table = candidate_features(store, rows)
    assert not table[:, CANDIDATE_FEATURES.index("video_log_exposures")].any()
    # Within a fold all rows show the same mean: nothing of their own distinguishes them.
    rates = table[:, CANDIDATE_FEATURES.index("video_wtr")]
    assert len(np.unique(rates)) <= 5
    own = np.arange(1, 21) / 20
    assert np.corrcoef(rates, own)[0, 1] < 0


def test_a_test_candidate_shows_all_of_training(store: FeedStore) -> None:
    rows = store.split_rows("test")[:50]
    train = store.events["video"][store.split_rows("train")]
    expected = [np.log1p((train == v).sum()) for v in store.events["video"][rows].tolist()]
    shown = candidate_features(store, rows)[:, CANDIDATE_FEATURES.index("video_log_exposures")]
    np.testing.assert_allclose(shown, expected, rtol=1e-5)
