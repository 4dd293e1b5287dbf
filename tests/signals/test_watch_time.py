"""The watch-time ratio and the labels cut from it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svsim.errors import OptionError
from svsim.signals import binary_label, wtr

MS = st.integers(0, 2**31 - 1)


def test_hand_worked_ratios() -> None:
    ratio = wtr([0, 2_500, 10_000, 25_000], [10_000, 10_000, 10_000, 10_000])
    np.testing.assert_array_equal(ratio, np.array([0.0, 0.25, 1.0, 1.0], dtype=np.float32))
    assert ratio.dtype == np.float32


def test_unclipped_ratio_goes_past_one() -> None:
    np.testing.assert_array_equal(wtr([25_000, 5_000], 10_000, clip=None), [2.5, 0.5])


def test_another_clip_holds() -> None:
    np.testing.assert_array_equal(wtr([25_000, 90_000], 10_000, clip=3.0), [2.5, 3.0])


@pytest.mark.parametrize("clip", [1.0, None])
@pytest.mark.parametrize("duration", [0, -5])
def test_without_duration_there_is_no_ratio(duration: int, clip: float | None) -> None:
    assert np.isnan(wtr([0, 700], duration, clip=clip)).all()


def test_shapes_are_kept_and_broadcast() -> None:
    assert wtr(3, 4).shape == ()
    assert wtr(np.ones((2, 1)), np.ones(3)).shape == (2, 3)
    assert wtr([], []).shape == (0,)


def test_arguments_are_left_as_they_were() -> None:
    play, duration = np.array([5, 6]), np.array([0, 3])
    wtr(play, duration)
    np.testing.assert_array_equal(play, [5, 6])
    np.testing.assert_array_equal(duration, [0, 3])


@given(play=MS, duration=st.integers(1, 2**31 - 1))
def test_the_ratio_is_the_quotient_held_below_one(play: int, duration: int) -> None:
    assert float(wtr(play, duration)) == np.float32(min(play / duration, 1.0))
    assert float(wtr(play, duration, clip=None)) == np.float32(play / duration)


@pytest.mark.parametrize(
    ("play", "half", "complete"),
    [(0, 0, 0), (4_999, 0, 0), (5_000, 0, 0), (5_001, 1, 0), (9_999, 1, 0), (10_000, 1, 1), (30_000, 1, 1)],
)
def test_labels_at_their_thresholds(play: int, half: int, complete: int) -> None:
    """More than half is strict, complete is not."""
    assert binary_label(play, 10_000) == half
    assert binary_label(play, 10_000, label="complete") == complete


@pytest.mark.parametrize("label", ["wtr>0.5", "complete"])
def test_a_play_without_duration_has_label_zero(label: str) -> None:
    np.testing.assert_array_equal(binary_label([0, 9_000], [0, -1], label=label), [0, 0])  # type: ignore[arg-type]


@given(play=MS, duration=MS)
def test_complete_plays_are_past_half(play: int, duration: int) -> None:
    assert binary_label(play, duration, label="complete") <= binary_label(play, duration)


@given(play=MS, duration=st.integers(1, 2**31 - 1))
def test_labels_are_exact_in_integers(play: int, duration: int) -> None:
    assert binary_label(play, duration) == (2 * play > duration)
    assert binary_label(play, duration, label="complete") == (play >= duration)


def test_an_unknown_label_is_refused() -> None:
    with pytest.raises(OptionError, match="complete"):
        binary_label(1, 2, label="finished")  # type: ignore[arg-type]
