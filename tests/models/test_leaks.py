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
from svsim.models.checkpoints import Run, load_run
from svsim.models.prediction import predict
from svsim.models.windows import Material
from svsim.names import SPLITS

FEEDBACK = ["is_click", "is_like", "is_follow", "is_comment", "is_forward", "is_hate", "long_view"]


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


def predictions(run: Run, store: FeedStore) -> dict[str, np.ndarray]:
    """(n_events,) by reading, under `running`."""
    material = Material(store, run.inputs)
    found: dict[str, np.ndarray] = {}
    for split in SPLITS:
        for name, values in predict(run, material, split, "running").items():
            found.setdefault(name, np.full(store.n_events, np.nan, dtype=np.float32))[store.split_rows(split)] = values
    return found


def changed_store(files: Path, before: FeedStore, row: int, folder: Path) -> FeedStore:
    """The store of the log with other feedback at `row` and other events after it, under the gain fitted before."""
    rng = np.random.default_rng(row)
    user = int(before.users["user_id"][before.events["user"][row]])
    time_ms = int(before.events["time_ms"][row])
    video = int(before.videos["video_id"][before.events["video"][row]])
    shutil.copytree(files, folder / "files")
    for file in (folder / "files").rglob("log_*.csv"):
        log = pd.read_csv(file)
        later = (log.user_id == user) & (log.time_ms > time_ms)
        own = (log.user_id == user) & (log.time_ms == time_ms) & (log.video_id == video)
        other = later | own
        log.loc[other, FEEDBACK] = 1 - log.loc[other, FEEDBACK]
        log.loc[other, "play_time_ms"] = rng.integers(1, 90_000, other.sum())
        log.loc[later, "video_id"] = rng.permutation(log.loc[later, "video_id"].to_list())
        log.loc[later, "tab"] = rng.integers(0, 5, later.sum())
        log.to_csv(file, index=False)
    prepare(folder / "files", folder / "store")
    # The fitted gain is part of what is saved with the weights.
    shutil.copy(before.path / "wtg.npz", folder / "store" / "wtg.npz")
    events = open_store(folder / "store").events
    gain = before.wtg.transform(events["play_time_ms"], events["duration_ms"])
    column = column_path(folder / "store" / "events", "wtg_gain")
    mapped = np.load(column, mmap_mode="r+")
    mapped[:] = gain
    mapped.flush()
    return open_store(folder / "store")


@pytest.mark.parametrize("split", SPLITS)
def test_feedback_changes_no_earlier_prediction_nor_its_own(
    split: str, files: Path, before: FeedStore, sasrec4sv_run: Path, tmp_path: Path
) -> None:
    run = load_run(sasrec4sv_run)
    row = int(np.random.default_rng(4).choice(before.split_rows(split)))
    after = changed_store(files, before, row, tmp_path)
    assert after.n_events == before.n_events
    user, time = before.events["user"], before.events["time_ms"]
    own = user == user[row]
    changed = after.events["play_time_ms"] != before.events["play_time_ms"]
    assert changed[row]
    assert not changed[~own].any()
    up_to = own & ((time < time[row]) | (np.arange(before.n_events) == row))
    later = own & (time > time[row])
    assert up_to.sum() > 1
    old, new = predictions(run, before), predictions(run, after)
    for name in old:
        np.testing.assert_array_equal(old[name][up_to], new[name][up_to], err_msg=name)
    # The test could fail: what comes after knows of it.
    assert later.any()
    assert (old["click"][later] != new["click"][later]).all()
