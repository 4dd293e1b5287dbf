"""Best of m: the closed forms against every set there is."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svsim.errors import OptionError
from svsim.ope.logs.best_of import best_of_weight, pick_probabilities


def shares(scores: np.ndarray, candidates: int) -> np.ndarray:
    """π of a scorer over the pool: every set is drawn, ties are split."""
    found = np.zeros(len(scores))
    for chosen in map(list, itertools.combinations(range(len(scores)), candidates)):
        best = [video for video in chosen if scores[video] == scores[chosen].max()]
        found[best] += 1 / len(best)
    return found / found.sum()


@given(st.lists(st.integers(0, 3), min_size=2, max_size=8), st.data())
def test_weights_are_those_of_every_set_there_is(values: list[int], data: st.DataObject) -> None:
    scores = np.array(values, dtype=float)
    candidates = data.draw(st.integers(1, len(scores)))
    better = (scores[None, :] > scores[:, None]).sum(axis=1)
    equal = (scores[None, :] == scores[:, None]).sum(axis=1)
    weight = best_of_weight(better, equal, len(scores), candidates)
    np.testing.assert_allclose(weight, len(scores) * shares(scores, candidates), atol=1e-12)
    assert weight.mean() == pytest.approx(1, abs=1e-12)


def test_without_ties_the_weight_is_a_ratio_of_two_counts_of_sets() -> None:
    pool, candidates = 7_344, 20
    better = np.array([0, 1, 50, 400, 3_000])
    expected = [
        candidates * math.comb(pool - 1 - g, candidates - 1) / math.comb(pool - 1, candidates - 1) for g in better
    ]
    np.testing.assert_allclose(best_of_weight(better, np.ones(5), pool, candidates), expected, rtol=1e-9)


def test_weights_average_to_one_over_a_large_pool_and_their_square_is_as_the_design_says() -> None:
    pool, candidates = 7_583, 50
    weight = best_of_weight(np.arange(pool), np.ones(pool), pool, candidates)
    assert weight.mean() == pytest.approx(1, abs=1e-12)
    # Effective share n (2m − 1) / m².
    assert 1 / (weight**2).mean() == pytest.approx((2 * candidates - 1) / candidates**2, rel=0.01)


def test_a_sample_of_the_pool_keeps_nine_tenths_of_the_effective_rows() -> None:
    candidates, drawn = 50, 199
    whole = (2 * candidates - 1) / candidates**2
    weight = best_of_weight(np.arange(drawn + 1), np.ones(drawn + 1), drawn + 1, candidates)
    assert 1 / (weight**2).mean() == pytest.approx(0.9 * whole, rel=0.03)


@pytest.mark.parametrize(("pool", "drawn", "candidates"), [(5, 4, 2), (5, 3, 3), (6, 3, 1), (4, 3, 4), (6, 4, 3)])
def test_sums_over_a_sample_have_the_expectation_of_sums_over_the_pool(pool: int, drawn: int, candidates: int) -> None:
    scores = np.array([2.0, 0.0, 1.0, 3.0, -1.0, 0.5])[:pool]
    worth = np.array([1.0, 5.0, -2.0, 0.3, 7.0, -4.0])[:pool]
    truth = shares(scores, candidates)
    for logged in range(pool):
        # Every sample of others in every order: the expectation itself.
        rest = [video for video in range(pool) if video != logged]
        samples = np.array([[logged, *chosen] for chosen in itertools.permutations(rest, drawn)])
        picks = pick_probabilities(scores[samples], pool, candidates, np.zeros(len(samples)))
        assert picks.logged.mean() == pytest.approx(truth[logged], abs=1e-12)
        sums = picks.logged * worth[logged] + (picks.others * worth[samples[:, 1:]]).sum(axis=1)
        assert sums.mean() == pytest.approx(float(truth @ worth), abs=1e-12)


def test_among_equals_chance_decides() -> None:
    pool, drawn, candidates = 5, 4, 2
    rest = np.array([[0, *chosen] for chosen in itertools.permutations(range(1, pool), drawn)])
    uniforms = (np.arange(500) + 0.5) / 500
    samples, ties = np.repeat(rest, 500, axis=0), np.tile(uniforms, len(rest))
    picks = pick_probabilities(np.zeros(samples.shape), pool, candidates, ties)
    np.testing.assert_allclose(picks.logged, 1 / pool)
    worth = np.array([1.0, 5.0, -2.0, 0.3, 7.0])
    sums = picks.logged * worth[0] + (picks.others * worth[samples[:, 1:]]).sum(axis=1)
    assert sums.mean() == pytest.approx(worth.mean(), abs=1e-9)


def test_numbers_that_cannot_be_are_refused() -> None:
    with pytest.raises(OptionError, match="expected 1 to 5 candidates, found 6"):
        best_of_weight([0], [1], 5, 6)
    with pytest.raises(OptionError, match="itself among the equal ones"):
        best_of_weight([0], [0], 5, 2)
    with pytest.raises(OptionError, match="found 4"):
        pick_probabilities(np.zeros((2, 3)), 10, 4, np.zeros(2))
