"""Sums by user: merging, blocks of rows, influences."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svsim.errors import OptionError
from svsim.ope import estimate
from svsim.ope.estimates import TUNED
from svsim.ope.estimators import ESTIMATORS
from svsim.ope.rows import checked_rows
from svsim.ope.sums import Terms, UserSums

EXACT = 1e-12
finite = st.floats(-100, 100, allow_subnormal=False)
rows_of_users = st.lists(st.tuples(finite, st.floats(0, 50), st.integers(0, 4)), min_size=1, max_size=12)


class TestSums:
    @given(st.lists(rows_of_users, min_size=3, max_size=3))
    def test_merging_is_the_sum_of_the_whole_in_any_order(self, shards: list[list[tuple[float, float, int]]]) -> None:
        def sums(rows: list[tuple[float, float, int]]) -> UserSums:
            reward, weight, user = (np.array(part) for part in zip(*rows, strict=True))
            checked = checked_rows(reward=reward, weight=weight, user=user)
            return UserSums.of(ESTIMATORS["snips"].terms(checked), checked)

        whole = sums([row for shard in shards for row in shard])
        for one, two, three in permutations(map(sums, shards)):
            for merged in (one.merge(two).merge(three), one.merge(two.merge(three))):
                assert merged.user.tolist() == whole.user.tolist()
                assert merged.sums == pytest.approx(whole.sums, rel=1e-9, abs=1e-9)
                assert merged.largest == whole.largest

    def test_merging_by_hand(self) -> None:
        one = checked_rows(reward=[1.0, 2.0], weight=[1.0, 3.0], user=[7, 2])
        two = checked_rows(reward=[5.0], weight=[2.0], user=[7])
        merged = UserSums.of(Terms(one.reward), one).merge(UserSums.of(Terms(two.reward), two))
        assert merged.user.tolist() == [2, 7]
        # Rows, c, a, b, w, w², matches.
        assert merged.sums.tolist() == [[1, 0, 2, 1, 3, 9, 1], [2, 0, 6, 2, 3, 5, 2]]
        assert (merged.rows, merged.matches, merged.largest, merged.value) == (3, 3, 3.0, 8 / 3)

    def test_ids_of_users_do_not_matter_their_groups_do(self) -> None:
        """Whole numbers close together, far apart, below zero, and texts."""
        groups = np.array([0, 1, 0, 2, 1, 1])
        arrays = {"reward": [1.0, 0.0, 3.0, 1.0, 2.0, 0.5], "weight": [1.0, 2.0, 0.5, 3.0, 0.0, 1.0]}
        expected = estimate("snips", **arrays, user=groups).interval()
        for ids in ([10, 20, 30], [-5, 10**12, 3], ["ann", "bo", "cy"], [b"x", b"a", b"m"]):
            assert estimate("snips", **arrays, user=np.array(ids)[groups]).interval() == pytest.approx(
                expected, rel=EXACT
            )
        assert estimate("snips", **arrays).interval() != pytest.approx(expected, rel=0.01)

    def test_influences_sum_to_nothing_and_are_derivatives(self) -> None:
        rng = np.random.default_rng(3)
        n = 40
        names = ("reward", "weight", "q_logged", "q_expected")
        rows = checked_rows(**{name: rng.random(n) for name in names}, user=rng.integers(0, 6, n))
        sums = UserSums.of(ESTIMATORS["sndr"].terms(rows), rows)
        influence = sums.influence()
        assert influence.sum() == pytest.approx(0, abs=EXACT)
        step = 1e-6
        for user in range(6):
            more = sums.total + step * sums.sums[user]
            assert float(sums.values_of(more[None])[0]) - sums.value == pytest.approx(step * influence[user], rel=1e-4)


def test_shards_name_users_alike_or_not_at_all() -> None:
    rows = {"reward": [1.0, 2.0], "weight": [1.0, 3.0]}
    named = [estimate("ips", **rows, user=users).sums for users in (["b", "a"], ["c", "b"])]
    assert named[0].merge(named[1]).value == pytest.approx(3.5)
    assert len(named[0].merge(named[1]).user) == 3
    nameless = estimate("ips", **rows).sums
    assert len(nameless.merge(nameless).user) == 4
    with pytest.raises(OptionError, match="expected users in both shards or in neither"):
        nameless.merge(named[0])


@pytest.mark.parametrize("name", [*ESTIMATORS, *TUNED])
@pytest.mark.parametrize("users", [30, None])
def test_blocks_of_rows_say_what_all_rows_say(name: str, users: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    arrays = {column: rng.random(500) for column in ("reward", "q_logged", "q_expected")}
    arrays |= {"weight": rng.choice([0.0, 0.5, 4.0], 500), "match": rng.random(500) < 0.2}
    if users is not None:
        arrays["user"] = rng.integers(users, size=500)
    constant = 2.0 if name in ESTIMATORS and ESTIMATORS[name].grid else None
    whole = estimate(name, constant=constant, **arrays)
    for module in ("rows", "sums", "slope"):
        monkeypatch.setattr(f"svsim.ope.{module}.BLOCK", 7)
    blocks = estimate(name, constant=constant, **arrays)
    assert blocks.value == pytest.approx(whole.value, rel=1e-12)
    assert blocks.interval() == pytest.approx(whole.interval(), rel=1e-12)
    assert (blocks.matches, blocks.constant) == (whole.matches, whole.constant)
    assert (blocks.ess, blocks.largest_weight) == pytest.approx((whole.ess, whole.largest_weight))
