"""Fresh contexts are those of the random log."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from svsim.errors import OptionError
from svsim.ope.truth.fresh import fresh_contexts
from svsim.world import PRESETS, Path, World, policy_values, simulate, uniform_policy
from svsim.world.config import CALENDAR_DAYS


@pytest.fixture(scope="module")
def path() -> Path:
    return simulate(World(dataclasses.replace(PRESETS["tiny"], users=400, random_share=0.2, seed=3)))


DATES = [20220424, 20220425, 20220501, 20220505, 20220506]


def test_values_are_those_of_the_random_logs_own_contexts(path: Path) -> None:
    day = path.world.day(path.columns["time_ms"])
    logged = np.flatnonzero(path.columns["random"].astype(bool) & np.isin(day, [16, 17, 23, 27, 28]))
    fresh = fresh_contexts(path, DATES, count=3_000)
    assert 500 < len(fresh) < 3_300
    assert not path.columns["random"][fresh].any()
    assert set(np.unique(path.columns["tab"][fresh])) == {1}
    values = [policy_values({"u": uniform_policy}, path, rows)["u"] for rows in (logged, fresh)]
    assert abs(values[0].value - values[1].value) < 4 * np.hypot(*(own.standard_error for own in values))
    # The same days, as often.
    shares = [np.bincount(day[rows], minlength=CALENDAR_DAYS) / len(rows) for rows in (logged, fresh)]
    assert np.abs(shares[0] - shares[1]).max() < 0.05


def test_parts_are_their_own_means_and_a_pool_can_be_smaller(path: Path) -> None:
    rows = fresh_contexts(path, DATES, count=400)
    first = path.columns["user"][rows] < 200
    told = policy_values(
        {"u": uniform_policy},
        path,
        rows,
        signal=lambda state, videos: np.repeat(state.user[:, None] * 1.0, videos.shape[1], axis=1),
        pool=np.arange(10, 30),
        candidates=5,
        parts={"first": first, "none": np.zeros(len(rows), dtype=bool)},
    )["u"]
    assert told.value == pytest.approx(path.columns["user"][rows].mean())
    assert told.parts["first"][0] == pytest.approx(path.columns["user"][rows][first].mean())
    assert np.isnan(told.parts["none"][0])
    seen = []
    policy_values({"u": lambda s, v: (seen.append(v), uniform_policy(s, v))[1]}, path, rows, pool=np.arange(10, 30))
    assert set(np.unique(np.concatenate(seen))) == set(range(10, 30))


def test_days_on_which_chance_does_nothing_have_none(path: Path) -> None:
    with pytest.raises(OptionError, match="found none on these days"):
        fresh_contexts(path, [20220410])
