"""Watch-time ratio, auxiliary feedback and reward by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svsim.errors import OptionError
from svsim.names import SIGNALS
from svsim.signals import aux, binary_label, reward_weights, scalar_reward, wtr


def test_ratio_by_hand() -> None:
    found = wtr([5_000, 20_000, 0, 7], [10_000, 10_000, 10_000, 0])
    np.testing.assert_array_equal(found, np.array([0.5, 1.0, 0.0, np.nan], dtype=np.float32))
    assert found.dtype == np.float32


def test_ratio_without_clip_counts_replays() -> None:
    np.testing.assert_allclose(wtr([25_000, 1], [10_000, 4], clip=None), [2.5, 0.25])
    assert wtr(25_000, 10_000, clip=2.0) == 2.0


@given(play=st.integers(0, 2**31 - 1), duration=st.integers(1, 2**31 - 1))
def test_ratio_lies_between_zero_and_one(play: int, duration: int) -> None:
    assert 0 <= wtr(play, duration) <= 1


def test_ratio_keeps_shapes_and_broadcasts() -> None:
    assert wtr(np.ones((2, 3)), np.full(3, 2.0)).shape == (2, 3)
    assert wtr(1, 2).shape == ()


@given(duration=st.integers(1, 10**9), play=st.integers(0, 10**9))
def test_labels_are_exact_at_their_edges(duration: int, play: int) -> None:
    assert binary_label(play, duration) == (2 * play > duration)
    assert binary_label(play, duration, label="complete") == (play >= duration)


def test_labels_without_duration_are_negative() -> None:
    assert binary_label([5], [0]).tolist() == [0]
    with pytest.raises(OptionError, match=r"wtr>0\.5, complete"):
        binary_label(1, 1, label="half")


def test_aux_sums_likes_comments_forwards_and_follows() -> None:
    feedback = {
        "like": [1, 0, 1, 0],
        "comment": [0, 1, 1, 0],
        "forward": [0, 0, 1, 0],
        "follow": [0, 0, 1, 0],
        "hate": [1, 1, 1, 1],
        "click": [1, 1, 0, 0],
        "profile_enter": [0, 0, 0, 1],
    }
    assert aux(feedback).tolist() == [1, 1, 4, 0]
    assert aux(feedback, "notebook").tolist() == [2, 2, 4, 1]
    assert aux(feedback, {"like": 2.0, "hate": -1.0}).tolist() == [1, -1, 1, -1]


@pytest.mark.parametrize("weights", ["shares", {"likes": 1.0}])
def test_unknown_aux_weights_are_refused(weights: object) -> None:
    with pytest.raises(OptionError, match="expected"):
        aux({"like": [1]}, weights)


def test_missing_feedback_is_refused() -> None:
    with pytest.raises(OptionError, match="expected the signal 'comment'"):
        aux({"like": [1]})


def test_weights_are_completed() -> None:
    assert reward_weights(None) == {"wtr": 1.0, "wtg": 1.0, "aux": 1.0}
    assert reward_weights({"wtg": 2}) == {"wtr": 0.0, "wtg": 2.0, "aux": 0.0}
    assert reward_weights(" wtr=0.5, aux=-1 ") == {"wtr": 0.5, "wtg": 0.0, "aux": -1.0}


@pytest.mark.parametrize("weights", ["wtx=1", "wtr", "wtr=", "wtr=nan", "wtr=inf", "", {}, {"wtr": "much"}, {"x": 1}])
def test_wrong_weights_are_refused(weights: object) -> None:
    with pytest.raises(OptionError, match="expected"):
        reward_weights(weights)


def test_reward_is_the_weighted_sum() -> None:
    vectors = np.array([[0.5, 1, 2], [1, 0, 0]], dtype=np.float32)
    assert scalar_reward(vectors, {"wtr": 2, "wtg": 1, "aux": 0.5}).tolist() == [3.0, 2.0]


@given(st.lists(st.lists(st.floats(0, 4, width=32), min_size=3, max_size=3), min_size=1, max_size=40))
def test_a_batch_is_its_rows_byte_for_byte(rows: list[list[float]]) -> None:
    vectors = np.array(rows, dtype=np.float32)
    weights = {"wtr": 0.1, "wtg": 0.7, "aux": 1.3}
    whole = scalar_reward(vectors, weights)
    assert whole.tobytes() == b"".join(scalar_reward(row[None], weights).tobytes() for row in vectors)
    assert SIGNALS == ("wtr", "wtg", "aux")
