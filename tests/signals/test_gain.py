"""The watch-time gain: published values, hand-worked tables, closed forms, invariants."""

from __future__ import annotations

import csv
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svsim.errors import OptionError, StoreError
from svsim.signals import GainAccumulator, WatchTimeGain, duration_unit

TABLE3 = Path(__file__).parents[1] / "fixtures" / "wtg_table3.csv"
PRESETS = ("rank", "dvr", "paper")
SCORE = NormalDist().inv_cdf


def published() -> dict[str, np.ndarray]:
    with TABLE3.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


# --- the published table ---------------------------------------------------------------------------------------------


def test_every_published_bucket() -> None:
    table = published()
    np.testing.assert_array_equal(duration_unit(table["duration_ms"], "paper"), table["duration_bucket"])


def test_published_scores_follow_from_the_inverted_statistics() -> None:
    table = published()
    gain = WatchTimeGain.from_moments("paper", units=[0, 1], mean_ms=[8_697, 20_320], sd_ms=[14_100, 33_205])
    rows = table["duration_bucket"] <= 1
    assert rows.sum() == 8
    play, duration = table["play_time_ms"][rows], table["duration_ms"][rows]
    np.testing.assert_allclose(gain.transform(play, duration), table["z_score"][rows], atol=1e-4)
    np.testing.assert_array_equal(gain.relevance(play, duration), table["relevance"][rows])


# --- hand-worked -----------------------------------------------------------------------------------------------------


def test_normal_scores_of_four_plays() -> None:
    """F of the four is 1/8, 3/8, 5/8, 7/8."""
    gain = WatchTimeGain().fit([1_000, 3_000, 9_000, 12_000], 10_000)
    expected = [SCORE(share) for share in (0.125, 0.375, 0.625, 0.875)]
    np.testing.assert_allclose(gain.transform([1_000, 3_000, 9_000, 12_000], 10_000), expected, rtol=1e-6)
    np.testing.assert_array_equal(gain.relevance([1_000, 3_000, 9_000, 12_000], 10_000), [0, 0, 0, 1])


def test_ties_share_the_middle_of_their_ranks() -> None:
    """Plays 0, 0, 0, 8: the zeros have F = 1.5/4."""
    gain = WatchTimeGain().fit([0, 0, 0, 8], 5_000)
    np.testing.assert_allclose(gain.transform([0, 8], 5_000), [SCORE(0.375), SCORE(0.875)], rtol=1e-6)


def test_plays_outside_the_sample_are_held_at_its_ends() -> None:
    gain = WatchTimeGain().fit([100, 200, 300, 400], 5_000)
    np.testing.assert_allclose(
        gain.transform([0, 250, 9_999], 5_000), [SCORE(0.125), 0.0, SCORE(0.875)], rtol=1e-6, atol=1e-7
    )


def test_z_scores_of_three_plays() -> None:
    """Mean 20, s.d. √(200/3) with ddof 0."""
    gain = WatchTimeGain("paper").fit([10, 20, 30], [1_000, 2_000, 59_999])
    np.testing.assert_allclose(
        gain.transform([10, 20, 30], 1_000), np.array([-10, 0, 10]) / np.sqrt(200 / 3), rtol=1e-6
    )


def test_only_dvr_cuts_plays_at_the_duration() -> None:
    """Plays 1,000 and 5,000 of a 3,000 ms video: 1,000 and 3,000 to dvr, so ±1; to paper ±1 at 5,000."""
    play, duration = [1_000, 5_000], 3_000
    dvr = WatchTimeGain("dvr").fit(play, duration)
    paper = WatchTimeGain("paper").fit(play, duration)
    np.testing.assert_allclose(dvr.transform([1_000, 3_000, 5_000], duration), [-1, 1, 1])
    np.testing.assert_allclose(paper.transform([1_000, 3_000, 5_000], duration), [-1, 0, 1])


@pytest.mark.parametrize("preset", ["dvr", "paper"])
def test_equal_plays_have_no_spread_and_no_gain(preset: str) -> None:
    gain = WatchTimeGain(preset).fit([500, 500], 1_000)
    np.testing.assert_array_equal(gain.transform([0, 500, 900], 1_000), [0, 0, 0])


def test_paper_groups_by_whole_minutes_and_does_not_merge() -> None:
    gain = WatchTimeGain("paper").fit([1, 2, 3], [59_999, 60_000, 120_000])
    np.testing.assert_array_equal(gain.group([59_999, 60_000, 119_999, 120_000]), [0, 1, 1, 2])


# --- merging ---------------------------------------------------------------------------------------------------------


def gain_of_counts(counts: dict[int, int], preset: str = "rank") -> WatchTimeGain:
    """A gain fitted on so many plays by second of duration."""
    seconds = np.repeat(list(counts), list(counts.values()))
    return WatchTimeGain(preset).fit(np.arange(len(seconds)), seconds * 1_000)


@pytest.mark.parametrize("preset", ["rank", "dvr"])
@pytest.mark.parametrize(
    ("counts", "groups"),
    [
        ({5: 200, 6: 200}, {5: 0, 6: 1}),
        ({5: 199, 6: 1, 7: 200}, {5: 0, 6: 0, 7: 1}),
        ({5: 150, 6: 150, 7: 199, 8: 1}, {5: 0, 6: 0, 7: 1, 8: 1}),
        ({5: 200, 6: 199}, {5: 0, 6: 0}),
        ({5: 1}, {5: 0}),
        ({5: 200, 600: 150, 700: 49, 9_000: 1}, {5: 0, 600: 1, 700: 1, 9_000: 1}),
    ],
)
def test_seconds_are_merged_upwards_to_two_hundred_plays(
    counts: dict[int, int], groups: dict[int, int], preset: str
) -> None:
    """A group closes at 200; an incomplete last one joins the one before; 600 s and longer are one."""
    found = gain_of_counts(counts, preset).group(np.array(list(groups)) * 1_000)
    np.testing.assert_array_equal(found, list(groups.values()))


def test_an_unseen_duration_takes_the_nearest_group() -> None:
    """Groups 10…12 s, 20 s, 30 s; the lower one where two are as near."""
    gain = gain_of_counts({10: 100, 12: 100, 20: 200, 30: 200})
    seconds = {1: 0, 11: 0, 15: 0, 16: 0, 17: 1, 25: 1, 26: 2, 599: 2, 9_999: 2}
    np.testing.assert_array_equal(gain.group(np.array(list(seconds)) * 1_000 + 999), list(seconds.values()))


# --- rows without duration, shapes, misuse ---------------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS)
def test_rows_without_duration_neither_count_nor_gain(preset: str) -> None:
    fitted = WatchTimeGain(preset).fit([1, 5, 9, 700, 800], [2_000, 2_000, 2_000, 0, -1])
    clean = WatchTimeGain(preset).fit([1, 5, 9], [2_000, 2_000, 2_000])
    play, duration = [1, 7, 9, 3, 3], [2_000, 2_000, 2_000, 0, -1]
    np.testing.assert_array_equal(fitted.transform(play, duration), clean.transform(play, duration))
    assert np.isnan(fitted.transform(play, duration)[3:]).all()
    np.testing.assert_array_equal(fitted.relevance([9, 9], [0, -1]), [0, 0])


@pytest.mark.parametrize("preset", PRESETS)
def test_shapes_are_kept(preset: str) -> None:
    gain = WatchTimeGain(preset).fit([1, 5, 9], 2_000)
    assert gain.transform(3, 2_000).shape == ()
    assert gain.transform(np.ones((2, 1)), np.full(3, 2_000)).shape == (2, 3)
    assert gain.transform([], []).shape == (0,)
    assert gain.transform([1.0], [2_000]).dtype == np.float32


def test_misuse_is_refused() -> None:
    with pytest.raises(OptionError, match="rank, dvr, paper"):
        WatchTimeGain("mean")
    with pytest.raises(OptionError, match="fit"):
        WatchTimeGain().transform([1], [2])
    with pytest.raises(OptionError, match="duration above 0"):
        WatchTimeGain().fit([1, 2], [0, 0])


# --- invariants ------------------------------------------------------------------------------------------------------

SAMPLES = st.lists(st.tuples(st.integers(0, 5_000), st.integers(1, 60_000)), min_size=1, max_size=60)


@settings(max_examples=40, deadline=None)
@given(sample=SAMPLES, cuts=st.sets(st.integers(0, 60), max_size=4), preset=st.sampled_from(PRESETS))
def test_fitting_in_blocks_is_fitting_the_whole(sample: list[tuple[int, int]], cuts: set[int], preset: str) -> None:
    play, duration = np.array(sample).T
    streamed = GainAccumulator(preset, min_plays=5)  # type: ignore[arg-type]
    for rows in np.split(np.arange(len(play)), sorted(min(cut, len(play)) for cut in cuts)):
        streamed.update(play[rows], duration[rows])
    whole = WatchTimeGain(preset, min_plays=5).fit(play, duration)
    np.testing.assert_allclose(
        streamed.fit().transform(play, duration), whole.transform(play, duration), rtol=1e-5, atol=1e-5
    )


@settings(max_examples=40, deadline=None)
@given(sample=SAMPLES, seconds=st.integers(1, 70), preset=st.sampled_from(PRESETS))
def test_a_longer_play_never_gains_less(sample: list[tuple[int, int]], seconds: int, preset: str) -> None:
    gain = WatchTimeGain(preset, min_plays=5).fit(*np.array(sample).T)
    assert (np.diff(gain.transform(np.arange(0, 6_000, 50), seconds * 1_000)) >= 0).all()


@settings(max_examples=40, deadline=None)
@given(sample=SAMPLES, preset=st.sampled_from(PRESETS))
def test_the_order_of_plays_does_not_matter(sample: list[tuple[int, int]], preset: str) -> None:
    play, duration = np.array(sample).T
    one = WatchTimeGain(preset, min_plays=5).fit(play, duration).transform(play, duration)
    other = WatchTimeGain(preset, min_plays=5).fit(play[::-1], duration[::-1]).transform(play, duration)
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(sample=SAMPLES)
def test_ranks_do_not_see_the_scale(sample: list[tuple[int, int]]) -> None:
    """A strictly increasing map of the plays leaves normal scores as they are."""
    play, duration = np.array(sample).T
    plain = WatchTimeGain(min_plays=5).fit(play, duration).transform(play, duration)
    mapped = WatchTimeGain(min_plays=5).fit(play**2 + 1, duration).transform(play**2 + 1, duration)
    np.testing.assert_array_equal(plain, mapped)


def test_ranks_call_the_same_share_relevant_at_every_duration() -> None:
    """1 − Φ(1) = .1587 in each fitted group, to within one play of its n."""
    rng = np.random.default_rng(0)
    second = np.repeat([5, 20, 60, 300], [400, 700, 900, 500])
    play = (rng.lognormal(8, 1 + second / 300) * 10).astype(np.int64)
    gain = WatchTimeGain().fit(play, second * 1_000)
    relevant = gain.relevance(play, second * 1_000)
    for value in (5, 20, 60, 300):
        rows = second == value
        assert relevant[rows].mean() == pytest.approx(1 - NormalDist().cdf(1), abs=1.5 / rows.sum())


@pytest.mark.parametrize("preset", ["dvr", "paper"])
def test_z_scores_of_the_fitted_sample_are_standardised(preset: str) -> None:
    rng = np.random.default_rng(1)
    play, duration = rng.integers(0, 9_000, 500), np.repeat([4_000, 90_000], 250)
    z = WatchTimeGain(preset).fit(play, duration).transform(play, duration).reshape(2, 250)
    np.testing.assert_allclose(z.mean(axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(z.std(axis=1), 1, atol=1e-6)


def test_bounded_memory_costs_no_more_than_its_resolution() -> None:
    """Past the limit plays are rounded down to 2, 4, … ms; scores stay those of the rounded plays."""
    play = np.arange(4_000)
    bounded = GainAccumulator(max_values=1_000)
    bounded.update(play, np.full(4_000, 9_000))
    gain = bounded.fit()
    assert gain.resolution_ms == 4
    exact = WatchTimeGain().fit(play // 4 * 4, 9_000)
    np.testing.assert_array_equal(gain.transform(play, 9_000), exact.transform(play // 4 * 4, 9_000))


# --- saved and loaded ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", PRESETS)
def test_a_saved_gain_gives_the_same_gains(preset: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    play, duration = rng.integers(0, 90_000, 900), rng.integers(1, 90_000, 900)
    gain = WatchTimeGain(preset, threshold=0.5).fit(play, duration)
    gain.save(tmp_path / "gain.npz")
    loaded = WatchTimeGain.load(tmp_path / "gain.npz")
    np.testing.assert_array_equal(loaded.transform(play, duration), gain.transform(play, duration))
    np.testing.assert_array_equal(loaded.relevance(play, duration), gain.relevance(play, duration))
    assert loaded.summary() == gain.summary()


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 noise", b"\x93NUMPY\x01\x00", "array"])
def test_a_damaged_gain_file_is_refused(content: bytes | str | None, tmp_path: Path) -> None:
    path = tmp_path / "gain.npz"
    if content == "array":
        np.save(tmp_path / "gain.npy", np.arange(3))
        content = (tmp_path / "gain.npy").read_bytes()
    if isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(StoreError, match=r"gain\.npz"):
        WatchTimeGain.load(path)


def test_a_truncated_gain_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gain.npz"
    WatchTimeGain().fit([1, 2, 3], 1_000).save(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(StoreError, match=r"gain\.npz"):
        WatchTimeGain.load(path)
