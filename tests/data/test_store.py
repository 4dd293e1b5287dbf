"""The store as its users hold it."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from svsim import open_store
from svsim.data import FeedStore
from svsim.data.conversion import prepare
from svsim.errors import LeakError, OptionError, SvsimError, UnknownNameError
from svsim.world import PRESETS, find_store, preset_store, write_world


def test_it_pickles_and_copies_as_its_path(store: FeedStore) -> None:
    assert len(pickle.dumps(store)) < 500
    assert pickle.loads(pickle.dumps(store)) == store
    assert copy.deepcopy(store) is store
    assert hash(pickle.loads(pickle.dumps(store))) == hash(store)


def test_opening_reads_no_column(store: FeedStore) -> None:
    opened = open_store(store.path)
    assert not any(table._maps for table in opened._tables.values())
    assert opened.n_events == store.n_events
    assert not any(table._maps for table in opened._tables.values())


def test_columns_are_mapped_and_read_only(store: FeedStore) -> None:
    play = store.events["play_time_ms"]
    assert not play.flags.writeable
    assert not play.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        play[0] = 1


def test_another_process_sees_the_same(store: FeedStore) -> None:
    code = "import sys, svsim; print(int(svsim.open_store(sys.argv[1]).events['play_time_ms'].sum()))"
    shown = subprocess.run([sys.executable, "-c", code, store.path], capture_output=True, text=True, check=True).stdout
    assert int(shown) == store.events["play_time_ms"].sum(dtype=np.int64)


def test_numpy_can_open_a_column_by_itself(store: FeedStore) -> None:
    np.testing.assert_array_equal(np.load(store.path / "events" / "video.npy"), store.events["video"])


def test_splits_are_disjoint_and_by_date(store: FeedStore) -> None:
    rows = [store.split_rows(name) for name in ("train", "valid", "test")]
    assert len(np.unique(np.concatenate(rows))) == sum(map(len, rows))
    dates = [store.events["date"][part] for part in rows]
    assert dates[0].max() < dates[1].min() <= dates[1].max() < dates[2].min()
    with pytest.raises(OptionError, match="train, valid, test"):
        store.split_rows("tests")


def test_users_point_to_their_events(store: FeedStore) -> None:
    for user in (1, store.n_users):
        first, count = store.users["first_event"][user], store.users["n_events"][user]
        np.testing.assert_array_equal(np.flatnonzero(store.events["user"] == user), np.arange(first, first + count))


def test_frames_are_copies(store: FeedStore) -> None:
    frame = store.to_pandas("events", ["user", "play_time_ms"])
    assert isinstance(frame, pd.DataFrame)
    assert list(frame) == ["user", "play_time_ms"]
    assert len(frame) == store.n_events
    frame.loc[0, "play_time_ms"] = -1
    assert store.events["play_time_ms"][0] >= 0
    assert set(store.to_pandas("users")) == set(store.users)
    with pytest.raises(OptionError, match="expected events, users"):
        store.to_pandas("event")
    with pytest.raises(OptionError, match="found 'plays'"):
        store.to_pandas("events", ["plays"])
    with pytest.raises(LeakError):
        store.to_pandas("statistics")


def test_presets_are_built_once(tmp_path: Path) -> None:
    first = preset_store("tiny")
    assert preset_store("tiny").path == first.path
    elsewhere = prepare(write_world(tmp_path / "world", PRESETS["tiny"]), tmp_path / "store")
    assert first == elsewhere, "a world's store is the same wherever it lies"
    assert find_store("tiny") == first
    assert find_store(first) is first
    assert find_store(str(first.path)) == first
    assert set(PRESETS) == {"tiny", "small", "1k"}
    with pytest.raises(UnknownNameError, match="tiny, small"):
        preset_store("huge")


def test_errors_are_what_they_should_be_caught_as() -> None:
    error = UnknownNameError("expected a, found b", where="here", remedy="do that")
    assert str(error) == "here: expected a, found b; do that"
    assert isinstance(error, KeyError)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.where) == (UnknownNameError, str(error), "here")
    assert issubclass(UnknownNameError, SvsimError)
