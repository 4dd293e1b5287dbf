"""Metrics of scores: by hand, against scikit-learn, and weighted as if rows stood several times."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as known
from hypothesis import assume, given
from hypothesis import strategies as st

from svsim.metrics import (
    auc,
    calibration_error,
    confusion_scores,
    pairs_in_order,
    root_mean_square_error,
    user_auc,
)

ROWS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6), st.integers(0, 3)), min_size=2, max_size=60)


@given(ROWS)
def test_auc_is_scikit_learns_with_ties_and_weights(rows: list[tuple[int, int, int]]) -> None:
    label, score, weight = (np.array(column) for column in zip(*rows, strict=True))
    assume(0 < weight @ label < weight.sum())
    assert auc(label, score, weight) == pytest.approx(known.roc_auc_score(label, score, sample_weight=weight))
    repeated = np.repeat(np.arange(len(label)), weight)
    assert auc(label, score, weight) == pytest.approx(auc(label[repeated], score[repeated]))


def test_auc_of_one_class_is_no_number() -> None:
    assert np.isnan(auc([1, 1], [0.2, 0.3]))
    assert np.isnan(auc([0], [0.2]))


@given(ROWS)
def test_user_auc_is_the_auc_of_each_user(rows: list[tuple[int, int, int]]) -> None:
    label, score, user = (np.array(column) for column in zip(*rows, strict=True))
    owners, each, count = user_auc(user, label, score)
    expected = {u: auc(label[user == u], score[user == u]) for u in np.unique(user)}
    both = [u for u, value in expected.items() if not np.isnan(value)]
    assert owners.tolist() == both
    np.testing.assert_allclose(each, [expected[u] for u in both])
    assert count.tolist() == [(user == u).sum() for u in both]


@given(ROWS)
def test_confusion_scores_are_scikit_learns(rows: list[tuple[int, int, int]]) -> None:
    label, score, weight = (np.array(column) for column in zip(*rows, strict=True))
    chosen = score > 3
    assume(weight @ label > 0)
    found = confusion_scores(label, chosen, weight)
    options = {"sample_weight": weight, "zero_division": 0.0}
    assert found["accuracy"] == pytest.approx(known.accuracy_score(label, chosen, sample_weight=weight))
    for name, function in (
        ("precision", known.precision_score),
        ("recall", known.recall_score),
        ("f1", known.f1_score),
    ):
        assert found[name] == pytest.approx(function(label, chosen, **options))


def test_calibration_error_by_hand() -> None:
    # Two bins of two rows: means .1 and .8 predicted, 0 and .5 seen.
    assert calibration_error([0, 0, 1, 0], [0.1, 0.1, 0.9, 0.7], bins=2) == pytest.approx((0.1 + 0.3) / 2)
    assert calibration_error([0, 1], [0.0, 1.0], bins=2) == 0
    assert np.isnan(calibration_error([], []))


def test_a_calibrated_model_errs_by_chance_alone() -> None:
    rng = np.random.default_rng(0)
    probability = rng.random(200_000)
    label = rng.random(200_000) < probability
    # Each bin's gap is a mean of 13,000 Bernoulli draws: its mean size is at most √(2/π) ½ / √13,333.
    assert calibration_error(label, probability) < 0.0045
    assert calibration_error(label, np.sqrt(probability)) > 0.1


def test_root_mean_square_error() -> None:
    assert root_mean_square_error([0, 2], [1, 0]) == pytest.approx(np.sqrt(2.5))
    assert root_mean_square_error([0, 2], [1, 0], [3, 1]) == pytest.approx(np.sqrt(7 / 4))
    assert np.isnan(root_mean_square_error([], []))


def test_pairs_in_order() -> None:
    value = np.arange(50.0)
    for prediction, expected in ((value, 1.0), (-value, 0.0), (np.zeros(50), 0.5)):
        one, two, right = pairs_in_order(value, prediction)
        assert (value[one] != value[two]).all()
        assert right.mean() == expected
    rng = np.random.default_rng(1)
    noisy = value + rng.normal(0, 20, 50)
    _, _, right = pairs_in_order(value, noisy)
    every = [(noisy[i] > noisy[j]) == (i > j) for i in range(50) for j in range(i)]
    assert right.mean() == pytest.approx(np.mean(every), abs=4 * 0.5 / np.sqrt(len(right)))
    assert not len(pairs_in_order([1.0], [1.0])[2])
