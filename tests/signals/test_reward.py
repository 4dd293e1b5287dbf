"""The scalar reward and its weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from svsim.errors import OptionError
from svsim.signals import DEFAULT_REWARD_WEIGHTS, reward_weights, scalar_reward

VECTORS = arrays(np.float32, st.tuples(st.integers(1, 8), st.just(3)), elements=st.floats(0, 4, width=32))
WEIGHTS = st.fixed_dictionaries({name: st.floats(-10, 10) for name in ("wtr", "wtg", "aux")})


def test_each_signal_weighs_one_by_default() -> None:
    assert reward_weights() == {"wtr": 1.0, "wtg": 1.0, "aux": 1.0} == dict(DEFAULT_REWARD_WEIGHTS)


def test_a_signal_not_named_weighs_nothing() -> None:
    assert reward_weights({"wtg": 2}) == {"wtr": 0.0, "wtg": 2.0, "aux": 0.0}


def test_the_command_lines_form() -> None:
    assert reward_weights(" wtr=1, aux=-0.5 ,") == {"wtr": 1.0, "wtg": 0.0, "aux": -0.5}


@pytest.mark.parametrize(
    "weights",
    [{}, "", "wtr", "wtr=much", {"wtr": float("nan")}, {"wtr": float("inf")}, {"watch": 1.0}, {"wtr": None}, "click=1"],
)
def test_impossible_weights_are_refused(weights: object) -> None:
    with pytest.raises(OptionError, match="reward weights"):
        reward_weights(weights)  # type: ignore[arg-type]


def test_further_names_may_be_weighed() -> None:
    assert reward_weights({"return": 2.0}, names=("wtr", "return")) == {"wtr": 0.0, "return": 2.0}


def test_the_mapping_handed_in_is_not_changed() -> None:
    given_weights = {"wtr": 3.0}
    reward_weights(given_weights)
    assert given_weights == {"wtr": 3.0}


def test_hand_worked_rewards() -> None:
    vector = np.array([[0.5, 1.0, 2.0], [0.25, 0.0, 0.0]], dtype=np.float32)
    np.testing.assert_array_equal(scalar_reward(vector, reward_weights()), [3.5, 0.25])
    np.testing.assert_array_equal(scalar_reward(vector, {"wtr": 2.0, "aux": -1.0}), [-1.0, 0.5])


@given(vector=VECTORS, weights=WEIGHTS)
def test_a_batch_gives_the_bytes_of_single_rows(vector: np.ndarray, weights: dict[str, float]) -> None:
    batch = scalar_reward(vector, weights)
    singles = np.concatenate([scalar_reward(row[None], weights) for row in vector])
    assert batch.tobytes() == singles.tobytes()
    assert batch.dtype == np.float64


@given(vector=VECTORS, weights=WEIGHTS)
def test_the_reward_is_the_weighted_sum(vector: np.ndarray, weights: dict[str, float]) -> None:
    expected = vector.astype(np.float64) @ np.array([weights[name] for name in ("wtr", "wtg", "aux")])
    np.testing.assert_allclose(scalar_reward(vector, weights), expected, rtol=1e-12, atol=1e-12)
