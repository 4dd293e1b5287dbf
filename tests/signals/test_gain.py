"""Watch-time gain: golden values, hand-worked groups, invariants."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from svsim.errors import OptionError, StoreError
from svsim.signals import GainAccumulator, WatchTimeGain, duration_unit

TABLE_3 = list(
    csv.DictReader((Path(__file__).parents[1] / "fixtures/wtg_table3.csv").read_text(encoding="utf-8").splitlines())
)

plays = st.lists(st.tuples(st.integers(0, 60_000), st.integers(1, 20_000)), min_size=1, max_size=300)


def table_3(*names: str) -> list[np.ndarray]:
    return [np.array([float(row[name]) for row in TABLE_3]) for name in names]


def test_paper_reproduces_table_3() -> None:
    """Inverting the table's z-scores: bucket 0 has mean 8,697 ms and s.d. 14,100 ms, bucket 1 20,320 and 33,205."""
    play, duration, bucket, z, relevance = table_3(
        "play_time_ms", "duration_ms", "duration_bucket", "z_score", "relevance"
    )
    np.testing.assert_array_equal(duration_unit(duration, "paper"), bucket)
    known = bucket <= 1
    assert known.sum() >= 6
    moments = []
    for number in (0, 1):
        (a, b), (za, zb) = (column[bucket == number][[np.argmin(z[bucket == number]), np.argmax(z[bucket == number])]]
                            for column in (play, z))  # fmt: skip
        sd = (b - a) / (zb - za)
        moments.append((a - za * sd, sd))
    np.testing.assert_allclose(moments, [(8_697, 14_100), (20_320, 33_205)], rtol=1e-3)
    mean, sd = np.array(moments).T
    gain = WatchTimeGain.from_moments("paper", units=[0, 1], mean_ms=mean, sd_ms=sd)
    np.testing.assert_allclose(gain.transform(play[known], duration[known]), z[known], atol=1e-4)
    np.testing.assert_array_equal(gain.relevance(play[known], duration[known]), relevance[known])


def test_paper_groups_whole_minutes() -> None:
    assert duration_unit([0, 59_999, 60_000, 3_600_000], "paper").tolist() == [0, 0, 1, 60]
    assert duration_unit([0, 999, 1_000, 599_999, 600_000, 900_000], "rank").tolist() == [0, 0, 1, 599, 600, 600]


def test_paper_is_a_z_score_of_raw_play_time() -> None:
    play = np.array([1_000.0, 3_000.0, 8_000.0])
    gain = WatchTimeGain("paper").fit(play, [5_000] * 3)
    np.testing.assert_allclose(gain.transform(play, 5_000), stats.zscore(play), rtol=1e-6)


def test_dvr_cuts_play_time_at_the_duration() -> None:
    play = np.array([1_000.0, 3_000.0, 80_000.0])
    gain = WatchTimeGain("dvr").fit(play, [5_000] * 3)
    np.testing.assert_allclose(gain.transform(play, 5_000), stats.zscore(np.minimum(play, 5_000)), rtol=1e-6)


def test_dvr_without_spread_is_zero() -> None:
    gain = WatchTimeGain("dvr").fit([9_000, 9_000], [5_000, 5_000])
    assert gain.transform([0, 9_000], 5_000).tolist() == [0, 0]


def test_rank_by_hand() -> None:
    """Four plays 1, 2, 2, 9 s: F = (below + ½ equal)/4 held within [1/8, 7/8]."""
    gain = WatchTimeGain("rank", min_plays=1).fit([1_000, 2_000, 2_000, 9_000], [5_000] * 4)
    found = gain.transform([0, 1_000, 1_500, 2_000, 5_000, 9_000, 99_000], 5_000)
    shares = [1 / 8, 1 / 8, 1 / 4, 2 / 4, 3 / 4, 7 / 8, 7 / 8]
    np.testing.assert_allclose(found, stats.norm.ppf(shares), atol=1e-6)


def test_merging_closes_a_group_at_the_minimum() -> None:
    """Seconds 1, 2, 3, 4, 9 with 2, 1, 3, 1, 1 plays and a minimum of 3: {1, 2}, {3}, and {4, 9} joins {3}."""
    duration = np.repeat([1_000, 2_000, 3_000, 4_000, 9_000], [2, 1, 3, 1, 1])
    gain = WatchTimeGain("rank", min_plays=3).fit(np.arange(8), duration)
    assert gain.group([1_000, 2_000, 3_000, 4_000, 9_000]).tolist() == [0, 0, 1, 1, 1]


def test_unseen_durations_take_the_nearest_group() -> None:
    gain = WatchTimeGain("rank", min_plays=1).fit([1, 2, 3], [5_000, 10_000, 20_000])
    assert gain.group([0, 7_000, 8_000, 14_999, 16_000, 500_000]).tolist() == [0, 0, 1, 1, 2, 2]


def test_plays_without_duration_have_no_gain() -> None:
    gain = WatchTimeGain("rank", min_plays=1).fit([1, 2, 3, 4], [5_000, 5_000, 5_000, 0])
    assert gain.summary()["plays"] == 3
    assert np.isnan(gain.transform([1], [0])[0])
    assert gain.relevance([10**6], [0]).tolist() == [0]


@settings(deadline=None)
@given(plays)
def test_rank_rises_with_play_time(pairs: list[tuple[int, int]]) -> None:
    play, duration = np.array(pairs).T
    gain = WatchTimeGain("rank", min_plays=20).fit(play, duration)
    for unit in np.unique(duration)[:5].tolist():
        values = gain.transform(np.arange(0, 60_000, 997), unit)
        assert (np.diff(values) >= 0).all()
        assert np.isfinite(values).all()


@settings(deadline=None)
@given(plays, st.integers(1, 7), st.sampled_from(["rank", "dvr", "paper"]))
def test_blocks_fit_what_the_whole_fits(pairs: list[tuple[int, int]], blocks: int, preset: str) -> None:
    play, duration = np.array(pairs).T
    accumulator = GainAccumulator(preset, min_plays=20)
    for part in np.array_split(np.arange(len(play)), blocks):
        accumulator.update(play[part], duration[part])
    whole = WatchTimeGain(preset, min_plays=20).fit(play, duration)
    expected = whole.transform(play, duration)
    np.testing.assert_allclose(accumulator.fit().transform(play, duration), expected, rtol=1e-4, atol=1e-4)


def test_rank_is_neutral_to_duration() -> None:
    """However plays depend on duration, .1587 of each group lie one s.d. above its middle."""
    rng = np.random.default_rng(0)
    duration = np.repeat(np.arange(5, 55, 5) * 1_000, 2_000)
    play = rng.gamma(0.5 + duration / 20_000, 3_000)
    relevant = WatchTimeGain("rank").fit(play, duration).relevance(play, duration)
    shares = relevant.reshape(10, 2_000).mean(axis=1)
    np.testing.assert_allclose(shares, stats.norm.sf(1.0), atol=0.001)


def test_coarse_values_stay_close() -> None:
    """Past its limit the fit rounds play times down to powers of two ms: ranks move by what lies within."""
    rng = np.random.default_rng(1)
    play, duration = rng.integers(0, 60_000, 20_000), np.full(20_000, 30_000)
    coarse = GainAccumulator("rank", max_values=1_000)
    coarse.update(play, duration)
    fitted = coarse.fit()
    assert fitted.resolution_ms == 64
    exact = WatchTimeGain("rank").fit(play, duration)
    inner = (play > 5_000) & (play < 55_000)
    np.testing.assert_allclose(
        fitted.transform(play, duration)[inner], exact.transform(play, duration)[inner], atol=0.02
    )


@pytest.mark.parametrize("preset", ["rank", "dvr", "paper"])
def test_a_saved_fit_is_the_fit(preset: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    play, duration = rng.integers(0, 60_000, 3_000), rng.integers(1, 90_000, 3_000)
    gain = WatchTimeGain(preset, threshold=0.5).fit(play, duration)
    gain.save(tmp_path / "gain.npz")
    again = WatchTimeGain.load(tmp_path / "gain.npz")
    np.testing.assert_array_equal(again.transform(play, duration), gain.transform(play, duration))
    assert again.summary() == gain.summary()


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "gain.npz").write_bytes(b"no archive")
    with pytest.raises(StoreError, match="fitted watch-time gain"):
        WatchTimeGain.load(tmp_path / "gain.npz")
    with pytest.raises(StoreError, match="prepare the store again"):
        WatchTimeGain.load(tmp_path / "absent.npz")


@pytest.mark.parametrize("preset", ["rank", "dvr", "paper"])
def test_nothing_in_nothing_out(preset: str) -> None:
    gain = WatchTimeGain(preset).fit([1, 2, 3], [5_000] * 3)
    assert gain.transform([], []).shape == (0,)
    assert gain.transform(np.zeros((0, 2)), 5_000).shape == (0, 2)


def test_misuse_is_refused() -> None:
    with pytest.raises(OptionError, match="rank, dvr, paper"):
        WatchTimeGain("ranks")
    with pytest.raises(OptionError, match="call fit first"):
        WatchTimeGain().transform(1, 1)
    with pytest.raises(OptionError, match="found none"):
        WatchTimeGain().fit([5], [0])
    assert not WatchTimeGain().fitted
