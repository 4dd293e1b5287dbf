"""Id maps: the frequent apart, the rest hashed, padding alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from svsim.models.ids import IdMap


def test_frequent_ids_have_rows_of_their_own() -> None:
    ids = np.repeat([40, 7, 9], [5, 3, 1])
    fitted = IdMap.fit(ids, rare=3, buckets=8)
    assert len(fitted) == 1 + 8 + 2
    rows = fitted.rows(np.array([7, 40, 9, 12_345_678_901]), np.array([False, False, False, False]))
    assert rows[:2].tolist() == [9, 10]
    assert ((rows[2:] >= 1) & (rows[2:] <= 8)).all()
    assert fitted.rows(np.array([7, 40]), np.array([True, False])).tolist() == [0, 10]


@given(st.lists(st.integers(0, 2**62), min_size=1, max_size=60), st.integers(1, 4), st.integers(1, 50))
def test_rows_lie_in_the_table_and_depend_on_the_id_alone(ids: list[int], rare: int, buckets: int) -> None:
    array = np.array(ids, dtype=np.int64)
    fitted = IdMap.fit(array, rare=rare, buckets=buckets)
    rows = fitted.rows(array)
    assert ((rows >= 1) & (rows < len(fitted))).all()
    np.testing.assert_array_equal(rows[::-1], fitted.rows(array[::-1]))
    own = rows > buckets
    counts = np.array([ids.count(one) for one in ids])
    np.testing.assert_array_equal(own, counts >= rare)
    assert len(set(rows[own].tolist())) == len(set(array[own].tolist()))


def test_the_unknown_are_spread() -> None:
    rows = IdMap(np.zeros(0, dtype=np.int64), 64).rows(np.arange(6_400))
    counts = np.bincount(rows, minlength=65)[1:]
    # A hundred each; binomial with s.d. 10.
    assert counts.min() > 50
    assert counts.max() < 150
