"""Logs whose propensities are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from svsim.data.store import FeedStore
from svsim.errors import OptionError
from svsim.names import FLAGS
from svsim.ope import Reward, random_log, standard_log


def test_the_random_log_is_the_splits_rows_by_chance(chance_store: FeedStore) -> None:
    events = chance_store.events
    parts = [random_log(chance_store, split=split) for split in ("train", "valid", "test")]
    whole = random_log(chance_store, split=None)
    assert np.array_equal(np.sort(np.concatenate([part.rows for part in parts])), whole.rows)
    assert np.array_equal(whole.rows, np.flatnonzero(events["is_rand"]))
    assert np.isin(whole.video, whole.pool).all()
    uniform = random_log(chance_store, split=None, propensities="uniform")
    np.testing.assert_allclose(uniform.propensity, 1 / len(whole.pool))
    # This world's chance is even, and the audit finds it so, but for videos that were not uploaded yet.
    np.testing.assert_allclose(whole.propensity, uniform.propensity, rtol=0.1)


def test_rewards_are_what_an_environment_pays(chance_store: FeedStore) -> None:
    log = random_log(chance_store, split=None)
    events, rows = chance_store.events, log.rows
    ratio = np.minimum(events["play_time_ms"][rows] / np.maximum(events["duration_ms"][rows], 1), 1)
    ratio[events["duration_ms"][rows] == 0] = 0
    relevant = events["wtg_gain"][rows] > chance_store.wtg.threshold
    social = sum(events[f"is_{name}"][rows] for name in ("like", "comment", "forward", "follow"))
    np.testing.assert_allclose(log.reward, ratio + relevant + social, atol=1e-6)
    clicks = random_log(chance_store, split=None, reward=Reward.named("click"))
    assert np.array_equal(clicks.reward, events["is_click"][rows])
    weighed = random_log(chance_store, split=None, reward=Reward.named("reward", "wtr=2,aux=-1"))
    np.testing.assert_allclose(weighed.reward, 2 * ratio - social, atol=1e-6)


def test_ranges_hold_what_can_be() -> None:
    assert Reward.named().range == (0, 6)
    assert Reward.named("reward", "wtr=2,aux=-1").range == (-4, 2)
    assert Reward.named("aux").range == (0, 4)
    assert {Reward.named(name).range for name in ("wtr", "wtg", *FLAGS)} == {(0, 1)}
    with pytest.raises(OptionError, match="expected one of reward, wtr"):
        Reward.named("joy")


def test_fewer_rows_are_whole_users(chance_store: FeedStore) -> None:
    whole, few = random_log(chance_store, split=None), random_log(chance_store, split=None, most=300)
    assert 0 < len(few) <= 300
    for user in np.unique(few.user):
        assert (few.user == user).sum() == (whole.user == user).sum()
    other = random_log(chance_store, split=None, most=300, seed=1)
    assert set(other.user) != set(few.user)


def test_in_a_worlds_standard_log_propensities_are_those_of_the_first_place(chance_store: FeedStore) -> None:
    log = standard_log(chance_store, split=None)
    assert log.sets is not None
    assert not chance_store.events["is_rand"][log.rows].any()
    # Whatever may be chosen of a set, 1 / p of what was drawn has the set's size as its expectation.
    size = (log.sets > 0).sum(axis=1)
    assert size.min() >= 1
    chosen = (log.sets == log.video[:, None]).any(axis=1)
    rest = chosen / log.propensity - size
    assert rest.mean() == pytest.approx(0, abs=4 * rest.std() / np.sqrt(len(log)))


def test_what_is_not_there_is_told_in_a_line(store: FeedStore, chance_store: FeedStore) -> None:
    with pytest.raises(
        OptionError, match=r"of a real one's standard rows nobody knows the propensities; svsim data synth"
    ):
        standard_log(store)
    with pytest.raises(OptionError, match="expected a split of train, valid, test, found 'dev'"):
        random_log(chance_store, split="dev")
    with pytest.raises(OptionError, match="expected at least 1 row, found 0"):
        random_log(chance_store, most=0)


def test_propensities_of_zero_are_refused(chance_store: FeedStore) -> None:
    log = random_log(chance_store)
    wrong = log.propensity.copy()
    wrong[3] = 0
    with pytest.raises(OptionError, match=r"expected propensities above 0 and up to 1, found 0 \(1 such rows\)"):
        replace(log, propensity=wrong)
