"""What stands on top of each user's list, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from svsim.metrics import top_gains


def test_by_hand() -> None:
    user = [5, 5, 5, 9, 9, 5]
    score = [0.1, 0.9, 0.5, 1.0, 2.0, 0.2]
    gain = [3.0, 1.0, -1.0, 7.0, 7.0, 2.0]
    users, wtg, dcwtg = top_gains(user, score, gain, 2)
    assert users.tolist() == [5], "a user with no more than k rows has no choice to be judged by"
    assert wtg.tolist() == [0.0]
    assert dcwtg[0] == pytest.approx(1 / np.log(2) - 1 / np.log(3))
    _, _, binary = top_gains(user, score, gain, 2, log2=True)
    assert binary[0] == pytest.approx(1 - 1 / np.log2(3))


def test_the_order_of_gains_is_the_best() -> None:
    rng = np.random.default_rng(0)
    user, gain = rng.integers(0, 20, 400), rng.normal(size=400)
    best = top_gains(user, gain, gain, 5)
    other = top_gains(user, rng.normal(size=400), gain, 5)
    assert (best[1] >= other[1]).all()
    assert (best[2] >= other[2]).all()


def test_nobody_has_enough() -> None:
    users, wtg, dcwtg = top_gains([1, 2], [0.0, 0.0], [1.0, 1.0], 3)
    assert len(users) == len(wtg) == len(dcwtg) == 0
