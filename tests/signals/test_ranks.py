"""The table of the rank gain says what the gain itself says, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from svsim.signals import GainAccumulator, WatchTimeGain
from svsim.signals.ranks import RankTable


def fitted(seed: int = 0, plays: int = 4_000, **settings: int) -> WatchTimeGain:
    rng = np.random.default_rng(seed)
    duration = rng.integers(1_000, 90_000, plays)
    accumulator = GainAccumulator("rank", **settings)
    accumulator.update(np.where(rng.random(plays) < 0.1, 0, rng.integers(0, 2 * duration)), duration)
    return accumulator.fit()


GAINS = {"fine": fitted(), "small groups": fitted(1, min_plays=5), "coarse": fitted(2, max_values=300)}
WHOLE = st.integers(-(2**31), 2**31 - 1) | st.integers(-10, 200_000)


@pytest.mark.parametrize("name", GAINS)
@settings(max_examples=60, deadline=None)
@given(plays=hnp.arrays(np.int32, 40, elements=WHOLE), durations=hnp.arrays(np.int32, 40, elements=WHOLE))
def test_whole_plays_have_the_same_gain_as_others(name: str, plays: np.ndarray, durations: np.ndarray) -> None:
    gain = GAINS[name]
    looked_up, sorted_out = (
        gain.transform(plays, durations),
        gain.transform(plays.astype(float), durations.astype(float)),
    )
    assert looked_up.dtype == sorted_out.dtype
    assert looked_up.tobytes() == sorted_out.tobytes()


def test_fitted_values_themselves_have_the_same_gain() -> None:
    gain = GAINS["fine"]
    rng = np.random.default_rng(0)
    values = gain._values.astype(np.int32)
    duration = rng.integers(0, 100_000, len(values)).astype(np.int32)
    for plays in (values, values + 1, values - 1):
        plays = plays.astype(np.int32)
        assert gain.transform(plays, duration).tobytes() == gain.transform(plays * 1.0, duration * 1.0).tobytes()


def test_shapes_are_kept() -> None:
    assert GAINS["fine"].transform(np.zeros((2, 3), np.int32), np.full((2, 3), 5_000, np.int32)).shape == (2, 3)
    assert GAINS["fine"].transform(np.zeros((2, 1), np.int32), np.full((1, 3), 5_000, np.int32)).shape == (2, 3)


def test_what_cannot_stand_in_a_table_is_told() -> None:
    assert RankTable.holds(np.array([0.0, 5.0]))
    assert not RankTable.holds(np.array([0.5]))
    assert not RankTable.holds(np.array([-1.0]))
    broken = WatchTimeGain("rank", min_plays=1).fit([0.5, 1.5], [1_000, 1_000])
    play = np.array([1], dtype=np.int32)
    assert broken.transform(play, play * 1_000).tobytes() == broken.transform(play * 1.0, play * 1_000.0).tobytes()
