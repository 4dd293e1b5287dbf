"""A prediction knows nothing of its own feedback nor of anything later: through the whole pipeline, from raw log rows."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from svsim.data import FeedStore
from svsim.data.columns import column_path
from svsim.data.conversion import prepare
from svsim.data.store import open_store
from svsim.models.inputs import request_starts
from svsim.models.response.inputs import Protocol
from svsim.models.response.material import Material
from svsim.models.response.runs import ResponseRun, load_response
from tests.models.response.stores import FLAG_COLUMNS, trained


@pytest.fixture(scope="module")
def files(standin_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-in without exact duplicates, so that no row's fate depends on another's content."""
    folder = tmp_path_factory.mktemp("leak") / "files"
    shutil.copytree(standin_files, folder)
    for file in folder.rglob("log_*.csv"):
        pd.read_csv(file).drop_duplicates().to_csv(file, index=False)
    return folder


@pytest.fixture(scope="module")
def before(files: Path, tmp_path_factory: pytest.TempPathFactory) -> FeedStore:
    return prepare(files, tmp_path_factory.mktemp("leak") / "store")


@pytest.fixture(scope="module")
def run(store: FeedStore, tmp_path_factory: pytest.TempPathFactory) -> ResponseRun:
    return load_response(trained(store, tmp_path_factory))


def predictions(run: ResponseRun, store: FeedStore, split: str, protocol: Protocol) -> dict[str, np.ndarray]:
    """By name, of the rows of a split."""
    material = Material(store, run.parts.usual)
    return material.predictions(store.split_rows(split), protocol, run.forward, run.parts)


def changed_store(files: Path, before: FeedStore, row: int, folder: Path) -> FeedStore:
    """The store of the log with other feedback at `row` alone, under the gain fitted before."""
    user = int(before.users["user_id"][before.events["user"][row]])
    time_ms = int(before.events["time_ms"][row])
    video = int(before.videos["video_id"][before.events["video"][row]])
    shutil.copytree(files, folder / "files")
    for file in (folder / "files").rglob("log_*.csv"):
        log = pd.read_csv(file)
        own = (log.user_id == user) & (log.time_ms == time_ms) & (log.video_id == video)
        log.loc[own, list(FLAG_COLUMNS)] = 1 - log.loc[own, list(FLAG_COLUMNS)]
        log.loc[own, "play_time_ms"] = 123_456
        log.to_csv(file, index=False)
    prepare(folder / "files", folder / "store")
    # The fitted gain is part of what is saved with the weights.
    shutil.copy(before.path / "wtg.npz", folder / "store" / "wtg.npz")
    events = open_store(folder / "store").events
    mapped = np.load(column_path(folder / "store" / "events", "wtg_gain"), mmap_mode="r+")
    mapped[:] = before.wtg.transform(events["play_time_ms"], events["duration_ms"])
    mapped.flush()
    return open_store(folder / "store")


@pytest.fixture(scope="module")
def row(before: FeedStore) -> int:
    """Of the test split, in the middle of what its user has there."""
    rows = before.split_rows("test")
    user = before.events["user"][rows]
    most = rows[user == np.bincount(user).argmax()]
    return int(most[len(most) // 3])


@pytest.fixture(scope="module")
def after(files: Path, before: FeedStore, row: int, tmp_path_factory: pytest.TempPathFactory) -> FeedStore:
    return changed_store(files, before, row, tmp_path_factory.mktemp("changed"))


def test_the_other_log_differs_in_that_row_alone(before: FeedStore, after: FeedStore, row: int) -> None:
    assert after.n_events == before.n_events
    for name in ("play_time_ms", *FLAG_COLUMNS):
        assert np.flatnonzero(after.events[name] != before.events[name]).tolist() == [row], name
    assert after.fingerprint != before.fingerprint


def test_running_predictions_know_earlier_requests_and_nothing_else(
    run: ResponseRun, before: FeedStore, after: FeedStore, row: int
) -> None:
    rows = before.split_rows("test")
    user, request = before.events["user"][rows], request_starts(before)[rows]
    own = user == before.events["user"][row]
    later = own & (request > row)
    old, new = (predictions(run, store, "test", "running") for store in (before, after))
    assert (own & ~later).sum() > 1
    assert later.sum() > 1
    for name in old:
        # Other users' rows too: nobody hears of it but who lived it.
        np.testing.assert_array_equal(old[name][~later], new[name][~later], err_msg=name)
    # The test could fail: what comes after knows of it.
    assert (old["click"][later] != new["click"][later]).all()
    assert (old["wtr"][later] != new["wtr"][later]).all()


def test_frozen_predictions_know_nothing_of_the_split(run: ResponseRun, before: FeedStore, after: FeedStore) -> None:
    old, new = (predictions(run, store, "test", "frozen") for store in (before, after))
    for name in old:
        np.testing.assert_array_equal(old[name], new[name], err_msg=name)
    # They are other predictions than those that know of it.
    running = predictions(run, before, "test", "running")
    assert (running["click"] != old["click"]).mean() > 0.5


def test_validation_rows_are_as_blind(run: ResponseRun, files: Path, before: FeedStore, tmp_path: Path) -> None:
    """Of a row of the validation day the test split knows, also frozen; its own request does not."""
    rows = before.split_rows("valid")
    tests = before.events["user"][before.split_rows("test")]
    row = int(rows[np.isin(before.events["user"][rows], tests)][0])
    after = changed_store(files, before, row, tmp_path)
    later = (before.events["user"][rows] == before.events["user"][row]) & (request_starts(before)[rows] > row)
    old, new = (predictions(run, store, "valid", "running") for store in (before, after))
    for name in old:
        np.testing.assert_array_equal(old[name][~later], new[name][~later], err_msg=name)
    assert (old["click"][later] != new["click"][later]).all()
    old, new = (predictions(run, store, "test", "frozen") for store in (before, after))
    own = tests == before.events["user"][row]
    assert (old["click"][own] != new["click"][own]).all()
    np.testing.assert_array_equal(old["click"][~own], new["click"][~own])
