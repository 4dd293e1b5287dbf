"""Draws of candidates: distinct, by their keys alone, with the probabilities of successive sampling."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from svsim.envs import retrieval
from svsim.envs.retrieval import AliasTable, Retrieval
from svsim.randomness import extended_hash, keyed_hash


def drawn(made: Retrieval, keys: np.ndarray, step: int) -> np.ndarray:
    """(B, K) candidates of the requests that open at a step."""
    slot = np.arange(made.slots, dtype=np.uint64)
    words = extended_hash(keys[:, None], (np.uint64(step) << np.uint64(32)) | slot)
    made.draw(words, keys, np.full(len(keys), step), slice(None))
    return made.item.copy()


@settings(max_examples=60, deadline=None)
@given(
    pool=st.integers(1, 60),
    slots=st.integers(1, 60),
    rows=st.integers(1, 4),
    repeats=st.booleans(),
    popular=st.booleans(),
    seed=st.integers(0, 999),
)
def test_requests_are_distinct_new_and_the_row_s_own(
    pool: int, slots: int, rows: int, repeats: bool, popular: bool, seed: int
) -> None:
    slots = min(slots, pool)
    alias = AliasTable.of(1.0 / np.arange(1, pool + 1) ** 1.5) if popular else None
    made, alone = Retrieval(rows, pool, slots, alias, repeats), Retrieval(1, pool, slots, alias, repeats)
    keys = keyed_hash(seed, np.arange(rows))
    served: list[set[int]] = [set() for _ in range(rows)]
    rng = np.random.default_rng(seed)
    for step in range(min(2 * pool, 40)):
        items = drawn(made, keys, step)
        np.testing.assert_array_equal(drawn(alone, keys[-1:], step)[0], items[-1])
        slot = np.zeros(rows, dtype=np.int64)
        for row, item in enumerate(items):
            filled = np.flatnonzero(item < pool)
            shown = set(item[filled].tolist())
            assert len(shown) == len(filled) == min(slots, pool - len(served[row]))
            assert not shown & served[row]
            slot[row] = rng.choice(filled) if len(filled) else -1
        some = np.flatnonzero(slot >= 0)
        made.serve(slot[some], some)
        if slot[-1] >= 0:
            alone.serve(slot[-1:], slice(None))
        for row in some.tolist() if not repeats else []:
            served[row].add(int(items[row, slot[row]]))
        assert made.free.tolist() == [pool - len(seen) for seen in served]


WEIGHT = np.array([8.0, 4.0, 2.0, 1.0, 1.0])


def successive(weight: np.ndarray, size: int) -> np.ndarray:
    """P(video is among the first `size`) when videos are drawn one after another without replacement."""
    included = np.zeros(len(weight))
    for order in itertools.permutations(range(len(weight)), size):
        probability, left = 1.0, weight.sum()
        for video in order:
            probability *= weight[video] / left
            left -= weight[video]
        included[list(order)] += probability
    return included


@pytest.mark.parametrize("clocks", [False, True])
@pytest.mark.parametrize("popular", [False, True])
def test_inclusion_is_that_of_successive_sampling(popular: bool, clocks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "SCARCE_SLOTS", 1_000 if clocks else 0)
    monkeypatch.setattr(retrieval, "SCARCE_SHARE", 1 if clocks else 10**9)
    rows = 40_000
    made = Retrieval(rows, 5, 3, AliasTable.of(WEIGHT) if popular else None, False)
    items = drawn(made, keyed_hash(7, np.arange(rows)), 0)
    expected = successive(WEIGHT if popular else np.ones(5), 3)
    error = np.sqrt(expected * (1 - expected) / rows)
    assert (np.abs(np.bincount(items.ravel(), minlength=5) / rows - expected) < 4.5 * error).all()
    # A slot says nothing of what lies in it.
    for slot in range(3):
        share = np.bincount(items[:, slot], minlength=5) / rows
        assert (np.abs(share - expected / 3) < 4.5 * np.sqrt(expected / 3 / rows)).all()


def test_served_videos_leave_the_shares_of_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "SCARCE_SLOTS", 0)
    rows = 40_000
    made = Retrieval(rows, 5, 1, AliasTable.of(WEIGHT), False)
    keys = keyed_hash(7, np.arange(rows))
    first = drawn(made, keys, 0)[:, 0]
    made.serve(np.zeros(rows, dtype=np.int64), slice(None))
    second = drawn(made, keys, 1)[:, 0][first == 0]
    expected = WEIGHT[1:] / WEIGHT[1:].sum()
    shares = np.bincount(second, minlength=5) / len(second)
    assert shares[0] == 0
    assert (np.abs(shares[1:] - expected) < 4.5 * np.sqrt(expected / len(second))).all()


@pytest.mark.parametrize("weight", [np.ones(1), np.ones(7), WEIGHT, np.array([1e-6, 1.0, 1e6]), np.arange(1.0, 400.0)])
def test_the_alias_table_has_the_weights_as_probabilities(weight: np.ndarray) -> None:
    table = AliasTable.of(weight)
    keep = table.keep / 2.0**32
    probability = keep + np.bincount(table.other, weights=1 - keep, minlength=len(weight))
    np.testing.assert_allclose(probability / len(weight), weight / weight.sum(), rtol=1e-6, atol=1e-9)
