"""Play times: the exponential distribution in closed form, rates found again from plays, the laws of a distribution."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svsim.models.response.watch import (
    FIXED_MS,
    N_PHASES,
    N_SEGMENTS,
    RATIOS,
    SEGMENT_PHASE,
    PlayBaseline,
)

DURATIONS = (3_000, 10_000, 20_500, 100_000, 640_000)
FIXED = len(FIXED_MS)


def constant(rate: float, duration_ms: int) -> PlayBaseline:
    """Everybody stops at the same rate (per ms) at any time of a video of this duration."""
    per_unit = np.concatenate([np.full(FIXED, rate), np.full(len(RATIOS), rate * duration_ms)])
    return PlayBaseline(np.array([-1, 0]), np.stack([per_unit, per_unit]))


def wavy(rng: np.random.Generator) -> PlayBaseline:
    """Rates between a stop in a minute and one in a tenth of a second; three groups."""
    rate = np.exp(rng.uniform(np.log(1 / 60_000), np.log(1 / 100), (3, N_SEGMENTS)))
    rate[:, FIXED:] *= 30_000
    return PlayBaseline(np.array([-1, 0, 20]), rate)


# --- one rate ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("duration", DURATIONS)
@pytest.mark.parametrize("rate", [1 / 800, 1 / 9_000, 1 / 250_000])
def test_one_rate_is_the_exponential_distribution(duration: int, rate: float) -> None:
    table = constant(rate, duration).table(np.full(400, duration))
    hazards = table.hazards(np.zeros((400, N_PHASES)))
    t = np.linspace(0, 4 / rate, 400)
    np.testing.assert_allclose(table.survival(hazards, t), np.exp(-rate * t), rtol=1e-9)
    mean, clipped = table.means(hazards)
    # Nobody plays longer than 15 minutes.
    np.testing.assert_allclose(mean, (1 - np.exp(-rate * 900_000)) / rate, rtol=1e-9)
    np.testing.assert_allclose(clipped, (1 - np.exp(-rate * duration)) / rate, rtol=1e-9)
    uniform = np.linspace(0, 0.9999, 400)
    np.testing.assert_allclose(table.draw(hazards, uniform), -np.log1p(-uniform) / rate, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("phase", "low", "high"), [
    (0, 0, 2), (1, 2, 7), (2, 7, 18), (3, 18, 90), (4, 90, 100), (5, 100, 110), (6, 110, np.inf),
])  # fmt: skip
def test_ln_2_in_one_phase_doubles_the_hazard_there_and_nowhere_else(phase: int, low: float, high: float) -> None:
    """A video of 100 s, a stop in 50 s on average: the hazard lived through by t is t plus what of t lies in the phase."""
    t = np.array([0, 1, 2, 5, 7, 12, 18, 50, 89, 90, 95, 100, 104, 110, 130, 400.0])
    eta = np.zeros((len(t), N_PHASES))
    eta[:, phase] = np.log(2)
    table = constant(1 / 50_000, 100_000).table(np.full(len(t), 100_000))
    expected = np.exp(-(t + np.clip(t, low, high) - low) / 50)
    np.testing.assert_allclose(table.survival(table.hazards(eta), t * 1_000), expected, rtol=1e-9)


def test_phases_of_a_short_video_end_where_it_ends() -> None:
    """Of 3 s: below 2 s, 2 to 2.7 s, 2.7 to 3 s, 3 to 3.3 s, replays; what begins at 7 s or 18 s never comes."""
    table = constant(1 / 1_000, 3_000).table(np.full(4, 3_000))
    for phase, seconds in ((0, 2.0), (1, 0.7), (2, 0.0), (3, 0.0), (4, 0.3), (5, 0.3)):
        eta = np.zeros((4, N_PHASES))
        eta[:, phase] = np.log(2)
        found = table.survival(table.hazards(eta), 3_300.0)
        np.testing.assert_allclose(found, np.exp(-(3.3 + seconds)), rtol=1e-9, err_msg=str(phase))


# --- exposure ---------------------------------------------------------------------------------------------------------


def test_exposure_of_three_seconds_by_hand() -> None:
    """Rates of (s + 1) · 10⁻⁵ a ms in segment s of a video of 100 s.

    To 2 s eight segments of 250 ms: 250 · 36 · 10⁻⁵ = 0.09; from 2 to 3 s two of 500 ms: 500 · (9 + 10) · 10⁻⁵ = 0.095. The
    play ends at 3 s, in the second phase.
    """
    rate = np.arange(1, N_SEGMENTS + 1) * 1e-5
    baseline = PlayBaseline(np.array([-1, 0]), np.stack([rate, rate]))
    lived, ended = baseline.exposure(np.array([3_000, 0]), np.array([100_000, 100_000]))
    np.testing.assert_allclose(lived, [[0.09, 0.095, 0, 0, 0, 0, 0], np.zeros(7)], rtol=1e-6)
    assert ended.tolist() == [1, -1]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_what_is_lived_through_is_the_logarithm_of_survival(seed: int) -> None:
    rng = np.random.default_rng(seed)
    baseline, n = wavy(rng), 200
    duration = rng.choice([0, 1, 700, 4_000, 19_000, 61_000, 700_000], n)
    play = np.floor(np.exp(rng.uniform(0, np.log(2_000_000), n)))
    lived, ended = baseline.exposure(play, duration)
    table = baseline.table(duration)
    survival = table.survival(table.hazards(np.zeros((n, N_PHASES))), play)
    known = survival > 1e-200
    np.testing.assert_allclose(lived.sum(axis=1)[known], -np.log(survival[known]), rtol=1e-5, atol=1e-6)
    assert known.sum() > 20
    # It ended in the phase of the last segment that had begun.
    begun = (table.times <= play[:, None]).sum(axis=1) - 1
    np.testing.assert_array_equal(ended, SEGMENT_PHASE[begun])


# --- fitting ----------------------------------------------------------------------------------------------------------


def drawn(baseline: PlayBaseline, duration: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    table = baseline.table(duration)
    return table.draw(table.hazards(np.zeros((len(duration), N_PHASES))), rng.random(len(duration)))


def test_rates_are_found_again_from_plays_drawn_at_them() -> None:
    """Two durations; a rate's standard error is its size over the root of the events (of the Poisson likelihood)."""
    rng = np.random.default_rng(0)
    rate = np.stack([np.full(N_SEGMENTS, 1.0), *np.exp(rng.uniform(np.log(1e-5), np.log(1e-4), (2, N_SEGMENTS)))])
    rate[:, FIXED:] *= np.array([1.0, 12_000.0, 90_000.0])[:, None]
    # Completions gather at the end.
    rate[:, FIXED + 3 : FIXED + 6] *= 20
    truth = PlayBaseline(np.array([-1, 0, 50]), rate)
    duration = np.repeat([12_000, 90_000], 60_000)
    play = drawn(truth, duration, rng)
    found = PlayBaseline.fit(play, duration)
    assert found.group(np.array([12_000, 90_000])).tolist() == [1, 2]
    judged = 0
    for group, d in ((1, 12_000), (2, 90_000)):
        own = play[duration == d]
        begun = (truth.table(np.array([d])).times[0][None, :] <= own[:, None]).sum(axis=1) - 1
        events = np.bincount(begun, minlength=N_SEGMENTS)
        known = events > 200
        off = found.rate[group, known] / rate[group, known] - 1
        # Besides the standard error three events of the common rate, that every rate is shrunk by.
        assert (np.abs(off) < 4 / np.sqrt(events[known]) + 6 / events[known]).all()
        judged += known.sum()
    assert judged > 35


def test_a_segment_without_a_play_takes_the_rate_of_all_durations() -> None:
    """1,000 plays of 10 s videos stopped in the first quarter of a second; 1,000 of 60 s videos after one second."""
    play = np.repeat([100.0, 1_100.0], 1_000)
    found = PlayBaseline.fit(play, np.repeat([10_000, 60_000], 1_000))
    # Between 1 and 1.25 s: 1,000 events in 1,000 · 100 ms.
    overall = 1_000 / 100_000
    short, long = found.rate[found.group(np.array([10_000, 60_000])), FIXED_MS.index(1_000)]
    assert short == pytest.approx(overall)
    assert long == pytest.approx((1_000 + 3) / (100_000 + 3 / overall))


def test_where_nobody_went_on_so_long_a_play_ends_within_reason() -> None:
    """All stop before five durations of 10 s: past them one more duration is what is left on average."""
    play = np.minimum(np.random.default_rng(6).exponential(8_000, 5_000), 49_000)
    found = PlayBaseline.fit(play, np.full(5_000, 10_000))
    table = found.table(np.array([10_000]))
    eager = table.hazards(np.full((1, N_PHASES), -2.0))
    past = table.survival(eager, 50_000.0)
    assert past[0] > 0.1
    longer = table.survival(eager, 60_000.0)
    assert longer[0] / past[0] == pytest.approx(np.exp(-np.exp(-2)))
    assert table.means(eager)[0][0] < 110_000


def test_picture_posts_are_a_group_of_their_own() -> None:
    """Half of them are left after 2 s, of the others half after 14 s; binomial standard errors."""
    rng, n = np.random.default_rng(1), 20_000
    duration = np.repeat([0, 500, 15_000], n)
    pace = np.where(duration == 0, 2_000.0, 14_000.0) / np.log(2)
    found = PlayBaseline.fit(rng.exponential(pace), duration)
    assert found.group(np.array([0]))[0] == 0
    assert (found.group(np.array([1, 500, 15_000, 900_000])) > 0).all()
    table = found.table(np.array([0, 15_000]))
    survival = table.survival(table.hazards(np.zeros((2, N_PHASES))), np.array([2_000.0, 14_000.0]))
    np.testing.assert_allclose(survival, 0.5, atol=4 * 0.5 / np.sqrt(n))


def test_a_duration_below_the_first_group_goes_by_the_first() -> None:
    rng = np.random.default_rng(2)
    rate = wavy(rng).rate
    baseline = PlayBaseline(np.array([-1, 8, 20]), rate)
    assert baseline.group(np.array([0, 300, 7_999, 8_000, 19_999, 20_000, 3_600_000])).tolist() == [0, 1, 1, 1, 1, 2, 2]
    fitted = PlayBaseline.fit(rng.exponential(5_000.0, 5_000), np.full(5_000, 30_000))
    table = fitted.table(np.array([700, 30_000]))
    assert np.isfinite(table.rise).all()
    assert (table.survival(table.hazards(np.zeros((2, N_PHASES))), 100.0) < 1).all()


def test_seconds_are_merged_upwards_until_they_hold_enough_plays() -> None:
    """10,000 plays: a group closes at 500. Seconds 5 and 6 hold 300 each, 7 and 8 600 each, 9 the rest but for a few."""
    second = np.repeat([5, 6, 7, 8, 9, 11], [300, 300, 600, 600, 8_100, 100])
    found = PlayBaseline.fit(np.full(10_000, 1_000.0), second * 1_000)
    assert found.first_second.tolist() == [-1, 0, 7, 8, 9]
    assert found.group(np.array([5_500, 6_999, 7_000, 8_000, 11_000])).tolist() == [1, 1, 2, 3, 4]


# --- the distribution's laws ------------------------------------------------------------------------------------------


@st.composite
def plays(draw: st.DrawFn):
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    duration = np.array(draw(st.lists(st.integers(0, 900_000), min_size=1, max_size=6)))
    eta = rng.uniform(-3, 3, (len(duration), N_PHASES))
    table = wavy(rng).table(duration)
    return table, table.hazards(eta), duration, rng


@settings(max_examples=60, deadline=None)
@given(case=plays())
def test_survival_falls_from_one_to_nought(case) -> None:
    table, hazards, _, rng = case
    times = np.sort(np.append(np.exp(rng.uniform(0, 16, 60)), [0.0, 1e9]))
    curve = np.stack([table.survival(hazards, t) for t in times])
    assert (curve[0] == 1).all()
    assert (np.diff(curve, axis=0) <= 0).all()
    assert ((curve >= 0) & (curve <= 1)).all()
    assert (curve[-1] < 1e-6).all()


@settings(max_examples=60, deadline=None)
@given(case=plays())
def test_draws_invert_the_survival(case) -> None:
    table, hazards, duration, rng = case
    for uniform in (0.0, *rng.random(20)):
        play = table.draw(hazards, np.full(len(duration), uniform))
        np.testing.assert_allclose(table.survival(hazards, play), 1 - uniform, rtol=1e-8)


@settings(max_examples=60, deadline=None)
@given(case=plays())
def test_the_table_of_outcomes_is_the_distribution(case) -> None:
    table, hazards, duration, _ = case
    mean, probability = table.outcomes(hazards)
    np.testing.assert_allclose(probability.sum(axis=1), 1, rtol=1e-12)
    assert (probability >= 0).all()
    whole, clipped = table.means(hazards)
    # Up to three minutes, of which five times are the fifteen that nobody plays longer than; past them the table's
    # segment in which those end is told by its mean, which is more.
    table_mean = (mean * probability).sum(axis=1)
    np.testing.assert_allclose(table_mean[duration <= 180_000], whole[duration <= 180_000], rtol=1e-7)
    assert (table_mean >= whole * (1 - 1e-7)).all()
    np.testing.assert_allclose(table.clipped_mean(hazards), clipped, rtol=1e-9)
    # Each mean lies within its segment.
    assert (mean >= np.minimum(table.times, 900_000)).all()
    assert (mean <= 900_000).all()
    assert (mean[:, :-1] <= table.times[:, 1:] * (1 + 1e-12)).all()


def test_means_are_those_of_draws() -> None:
    rng = np.random.default_rng(5)
    baseline, n = wavy(rng), 30_000
    for duration in (0, 2_500, 30_000):
        table = baseline.table(np.full(n, duration))
        hazards = table.hazards(np.full((n, N_PHASES), -1.0))
        play = table.draw(hazards, rng.random(n))
        whole, clipped = table.means(hazards)
        play = np.minimum(play, 900_000)
        for values, expected in ((play, whole), (np.minimum(play, duration or 60_000), clipped)):
            assert abs(values.mean() - expected[0]) < 4 * values.std() / np.sqrt(n)
