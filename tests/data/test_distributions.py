"""Distributions that figures show."""

from __future__ import annotations

import numpy as np

from svsim.data import FeedStore
from svsim.data.distributions import LAST_MINUTE, fans_histogram, watch_by_minute
from svsim.names import INFLUENCER_FANS


def test_minutes_hold_their_own_rows(store: FeedStore) -> None:
    rows = store.split_rows("train")
    play, duration = store.events["play_time_ms"][rows], store.events["duration_ms"][rows]
    table = watch_by_minute(store).set_index("minute")
    assert table["events"].sum() == (duration > 0).sum()
    for minute, row in table.iterrows():
        own = (duration > 0) & (np.minimum(duration // 60_000, LAST_MINUTE) == minute)
        assert row["watch_p50"] == np.median(play[own]) / 1e3
        gain = store.wtg.transform(play[own], duration[own])
        assert np.isclose(row["relevant"], (gain > store.wtg.threshold).mean())
    assert (table["watch_p95"] >= table["watch_p50"]).all()


def test_gains_do_not_depend_on_the_duration(store: FeedStore) -> None:
    """What the grouping is for: the median gain is nought in every minute that has enough plays."""
    table = watch_by_minute(store)
    assert np.abs(table.loc[table["events"] >= 500, "gain_p50"]).max() < 0.15


def test_every_user_is_in_a_bin_and_influencers_begin_at_an_edge(store: FeedStore) -> None:
    table = fans_histogram(store)
    fans = np.asarray(store.users["fans_user_num"])[1:]
    assert table["users"].sum() == len(fans)
    assert (table["low"].to_numpy()[1:] == table["high"].to_numpy()[:-1]).all()
    assert table["users"][0] == (fans <= 0).sum()
    influencers = table.loc[table["low"] >= INFLUENCER_FANS, "users"].sum()
    assert influencers == (fans >= INFLUENCER_FANS).sum()
