"""Click and long view: KuaiRand's definitions at their boundaries, shares by tab, expectations as means of draws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svsim.models.response.outcomes import N_BANDS, N_TABS, WatchFlags, click_limit_ms, long_limit_ms
from svsim.models.response.watch import N_PHASES, N_SEGMENTS, PlayBaseline

BY_DEFINITION = WatchFlags(np.tile(np.arange(N_BANDS) == N_BANDS - 1, (N_TABS, 1)) * 1.0,
                           np.tile(np.arange(N_BANDS) == N_BANDS - 1, (N_TABS, 1)) * 1.0)  # fmt: skip


@pytest.mark.parametrize(("duration", "play", "click", "long_view"), [
    (60_000, 7_000, 0, 0), (60_000, 7_001, 1, 0), (60_000, 17_999, 1, 0), (60_000, 18_000, 1, 1),
    (18_000, 17_999, 1, 0), (18_000, 18_000, 1, 1), (10_000, 7_000, 0, 0), (10_000, 9_999, 1, 0), (10_000, 10_000, 1, 1),
    (7_001, 7_000, 0, 0), (7_001, 7_001, 1, 1), (7_000, 6_999, 0, 0), (7_000, 7_000, 1, 1),
    (2_500, 2_499, 0, 0), (2_500, 2_500, 1, 1), (900, 899, 0, 0), (900, 900, 1, 1), (60_000, 0, 0, 0), (900, 0, 0, 0),
    # A picture post has no end.
    (0, 7_000, 0, 0), (0, 7_001, 1, 0), (0, 18_000, 1, 1),
])  # fmt: skip
def test_kuairands_definitions(duration: int, play: int, click: int, long_view: int) -> None:
    d = np.array([duration])
    found = BY_DEFINITION.given_play(1, np.array([float(play)]), click_limit_ms(d), long_limit_ms(d))
    assert [values[0] for values in found] == [click, long_view]


def definitions(play: np.ndarray, duration: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As KuaiRand's authors write them."""
    click = np.where(duration <= 7_000, play >= duration, play > 7_000)
    return click, play >= np.minimum(18_000, duration)


def test_a_log_by_the_definitions_is_answered_by_them() -> None:
    rng = np.random.default_rng(0)
    duration = rng.integers(500, 60_000, 30_000)
    play = np.floor(rng.exponential(12_000, 30_000)) * (rng.random(30_000) > 0.1)
    click, long_view = definitions(play, duration)
    found = WatchFlags.fit(np.ones(30_000, dtype=int), play, duration, click, long_view)
    for told, expected in zip(
        found.given_play(1, play, click_limit_ms(duration), long_limit_ms(duration)), (click, long_view), strict=True
    ):
        np.testing.assert_array_equal(told, expected)


def test_tabs_that_always_or_never_click_are_learnt_and_few_rows_take_the_shares_of_all() -> None:
    """Tab 2 clicks whatever is played, tab 3 never, tab 4 has three rows that contradict all others, tab 5 none."""
    rng = np.random.default_rng(1)
    n = 20_000
    tab = rng.choice([1, 2, 3], n)
    play = np.floor(rng.exponential(9_000, n)) * (rng.random(n) > 0.2)
    duration = np.full(n, 30_000)
    click = np.where(tab == 2, 1, np.where(tab == 3, 0, play > 7_000))
    few = np.array([4, 4, 4])
    found = WatchFlags.fit(
        np.append(tab, few), np.append(play, [0, 0, 20_000]), np.append(duration, [30_000] * 3),
        np.append(click, [1, 1, 0]), np.append(play >= 18_000, [1, 1, 0]),
    )  # fmt: skip
    asked = np.array([0.0, 500.0, 2_000.0, 5_000.0, 12_000.0])
    limits = click_limit_ms(np.full(5, 30_000)), long_limit_ms(np.full(5, 30_000))
    by_tab = {number: found.given_play(number, asked, *limits)[0] for number in range(1, 6)}
    assert (by_tab[2] > 0.95).all()
    assert (by_tab[3] < 0.05).all()
    np.testing.assert_allclose(by_tab[1], [0, 0, 0, 0, 1], atol=0.02)
    overall = [click[(play >= low) & (play < high)].mean() for low, high in
               ((0, 1), (1, 1_000), (1_000, 3_000), (3_000, 7_001), (7_001, np.inf))]  # fmt: skip
    np.testing.assert_allclose(by_tab[5], overall, atol=1e-3)
    # Three rows move the shares of their bands by less than a seventh.
    np.testing.assert_allclose(by_tab[4], overall, atol=1 / 7)
    assert by_tab[4][0] > by_tab[5][0]
    assert by_tab[4][4] < by_tab[5][4]


def test_unseen_tabs_share_the_last_number() -> None:
    flags = WatchFlags(np.linspace(0, 1, N_TABS * N_BANDS).reshape(N_TABS, N_BANDS), np.zeros((N_TABS, N_BANDS)))
    limits = np.array([7_001.0]), np.array([18_000.0])
    assert (
        flags.given_play(99, np.array([9_000.0]), *limits)[0] == flags.given_play(15, np.array([9_000.0]), *limits)[0]
    )


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 10_000), duration=st.sampled_from([0, 800, 1_500, 2_999, 6_000, 7_000, 7_001, 15_000, 90_000])
)
def test_expectations_are_the_means_over_draws(seed: int, duration: int) -> None:
    """Every share its own, so that a band mistaken for another would show; five standard errors."""
    rng, n = np.random.default_rng(seed), 40_000
    flags = WatchFlags(rng.random((N_TABS, N_BANDS)), rng.random((N_TABS, N_BANDS)))
    rate = np.exp(rng.uniform(np.log(1e-5), np.log(1e-3), (2, N_SEGMENTS)))
    rate[:, -12:] *= 20_000
    tab, quiet = int(rng.integers(0, 20)), rng.uniform(0, 0.5)
    table = PlayBaseline(np.array([-1, 0]), rate).table(np.full(n, duration))
    hazards = table.hazards(np.tile(rng.uniform(-1, 1, N_PHASES), (n, 1)))
    play = np.maximum(np.floor(table.draw(hazards, rng.random(n))), 1.0) * (rng.random(n) >= quiet)
    d = np.full(n, duration)
    expected = flags.expected(np.full(n, tab), d, np.full(n, quiet), table, hazards)
    for drawn, told in zip(flags.given_play(tab, play, click_limit_ms(d), long_limit_ms(d)), expected, strict=True):
        assert abs(drawn.mean() - told[0]) <= 5 * drawn.std() / np.sqrt(n) + 1e-12
