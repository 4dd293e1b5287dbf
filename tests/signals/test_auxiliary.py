"""Auxiliary feedback."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svsim.errors import OptionError
from svsim.names import FLAGS, PROFILE_ENTER
from svsim.signals import AUX_WEIGHTS, aux, aux_weights

FLAG_VALUES = st.fixed_dictionaries({name: st.integers(0, 1) for name in (*FLAGS, PROFILE_ENTER)})


def test_hand_worked_sums() -> None:
    feedback = {
        "like": [1, 0, 1, 0],
        "comment": [0, 0, 1, 0],
        "forward": [0, 1, 1, 0],
        "follow": [0, 0, 1, 0],
        "hate": [1, 1, 1, 1],
    }
    total = aux(feedback)
    np.testing.assert_array_equal(total, [1, 1, 4, 0])
    assert total.dtype == np.float32


@given(flags=FLAG_VALUES)
def test_the_default_counts_social_signals_only(flags: dict[str, int]) -> None:
    """Click, long view, hate and profile visits change nothing."""
    assert aux(flags) == flags["like"] + flags["comment"] + flags["forward"] + flags["follow"]
    assert 0 <= aux(flags) <= 4


@given(flags=FLAG_VALUES)
def test_the_notebook_adds_clicks_and_profile_visits(flags: dict[str, int]) -> None:
    assert aux(flags, "notebook") == aux(flags) + flags["click"] + flags[PROFILE_ENTER]


def test_hate_may_weigh_negatively() -> None:
    assert aux({"hate": 1, "like": 1}, {"hate": -2.0, "like": 0.5}) == -1.5


def test_no_weights_give_nothing() -> None:
    assert aux({"like": [1, 1]}, {}) == 0


def test_shapes_are_kept() -> None:
    ones = dict.fromkeys(("like", "comment", "forward", "follow"), np.ones((2, 3), dtype=np.uint8))
    np.testing.assert_array_equal(aux(ones), np.full((2, 3), 4.0))


def test_flags_of_small_integers_do_not_overflow() -> None:
    assert aux({"like": np.array([1], dtype=np.uint8)}, {"like": 1_000.0}) == 1_000.0


def test_presets_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        AUX_WEIGHTS["default"]["hate"] = 1.0  # type: ignore[index]


@pytest.mark.parametrize("weights", ["everything", {"watch": 1.0}])
def test_unknown_weights_are_refused(weights: object) -> None:
    with pytest.raises(OptionError, match="aux weights"):
        aux_weights(weights)  # type: ignore[arg-type]


def test_a_missing_signal_is_named() -> None:
    with pytest.raises(OptionError, match="'comment'"):
        aux({"like": [1]})
