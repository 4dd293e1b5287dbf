"""What usually comes of a video: a linear world is found again."""

from __future__ import annotations

import numpy as np
import pytest

from svsim.models.response.quality import EFFECTS
from svsim.models.response.usual import SIGNALS, Usual
from svsim.names import CANDIDATE_FEATURES

COLUMNS = len(CANDIDATE_FEATURES) + len(EFFECTS)
CLICK_RATE = CANDIDATE_FEATURES.index("video_click")
FIRST_EFFECT = len(CANDIDATE_FEATURES)
HABITS = np.zeros(5)


def circumstances(rng: np.random.Generator, n: int) -> tuple[np.ndarray, ...]:
    shown = rng.random((n, COLUMNS)).astype(np.float32)
    return shown, rng.integers(0, 8, n), rng.integers(0, 16, n), rng.random(n) < 0.3


def linear(shown: np.ndarray, kind: np.ndarray, tab: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """(n, 6): each signal its own multiple of what rate, effect, duration, tab and chance do; the rate tells chance less."""
    by_rate = np.where(chance, 0.1, 0.3) * shown[:, CLICK_RATE]
    whole = 0.2 + by_rate + 0.1 * shown[:, FIRST_EFFECT] + 0.02 * kind + 0.05 * (tab == 4) - 0.08 * chance
    return whole[:, None] * np.linspace(1.0, 0.5, len(SIGNALS))


def test_a_linear_world_is_found_again() -> None:
    rng = np.random.default_rng(0)
    known, fresh = circumstances(rng, 20_000), circumstances(rng, 2_000)
    found = Usual.fit(*known, linear(*known), HABITS)
    np.testing.assert_allclose(found(*fresh), linear(*fresh), atol=2e-3)


def test_noise_costs_what_least_squares_says() -> None:
    """The mean squared error of predictions is σ² · (coefficients / rows); there are 90 of them or fewer."""
    rng, n, sigma = np.random.default_rng(1), 20_000, 0.3
    known, fresh = circumstances(rng, n), circumstances(rng, 5_000)
    found = Usual.fit(*known, linear(*known) + rng.normal(0, sigma, (n, len(SIGNALS))), HABITS)
    error = np.sqrt(np.mean((found(*fresh) - linear(*fresh)) ** 2))
    assert error < 1.5 * sigma * np.sqrt(90 / n)


def test_it_stays_within_nought_and_one() -> None:
    rng = np.random.default_rng(2)
    known = circumstances(rng, 2_000)
    found = Usual.fit(*known, np.tile(4 * known[0][:, [CLICK_RATE]] - 1.5, (1, len(SIGNALS))), HABITS)
    told = found(*known)
    assert told.min() == 0
    assert told.max() == 1
    assert told.dtype == np.float32


def test_tabs_beyond_the_last_go_by_it() -> None:
    rng = np.random.default_rng(3)
    known = circumstances(rng, 5_000)
    found = Usual.fit(*known, linear(*known), HABITS)
    shown, kind, _, chance = circumstances(rng, 50)
    np.testing.assert_array_equal(
        found(shown, kind, np.full(50, 40), chance), found(shown, kind, np.full(50, 15), chance)
    )


def test_a_tab_without_rows_is_as_the_others() -> None:
    """Least squares with a ridge: no row, no coefficient of its own."""
    rng = np.random.default_rng(4)
    shown, kind, tab, chance = circumstances(rng, 8_000)
    found = Usual.fit(shown, kind, tab % 2, chance, np.full((8_000, len(SIGNALS)), 0.4), HABITS)
    told = found(shown[:100], kind[:100], np.full(100, 9), chance[:100])
    # What the seen tabs have for themselves is a ridge's share of .4.
    assert told == pytest.approx(0.4, abs=0.15)
