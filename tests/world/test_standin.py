"""The stand-in for KuaiRand, and the stores made of it."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from svsim.data import FeedStore
from svsim.errors import OptionError, OutputError
from svsim.names import LOG_COLUMNS, USER_COLUMNS, VIDEO_COLUMNS
from svsim.world import StandIn, preset_store, write_standin

SMALL = StandIn(users=20, videos=50, rows=2_000, days=16)


def digest(folder: Path) -> str:
    content = b"".join(path.read_bytes() for path in sorted(folder.rglob("*.csv")))
    return hashlib.sha256(content).hexdigest()


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    first, again, other = (
        digest(write_standin(tmp_path / name, SMALL, seed=seed)) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert first == again != other


def test_the_layout_is_the_official_one(tmp_path: Path) -> None:
    folder = write_standin(tmp_path / "w", SMALL) / "data"
    logs = {path.name: pd.read_csv(path) for path in folder.glob("log_*.csv")}
    assert set(logs) == {
        "log_standard_4_08_to_4_21_1k.csv",
        "log_standard_4_22_to_5_08_1k.csv",
        "log_random_4_22_to_5_08_1k.csv",
    }
    assert all(list(log) == list(LOG_COLUMNS) for log in logs.values())
    assert list(pd.read_csv(folder / "user_features_1k.csv")) == list(USER_COLUMNS)
    assert list(pd.read_csv(folder / "video_features_basic_1k.csv")) == list(VIDEO_COLUMNS)
    early, late = logs["log_standard_4_08_to_4_21_1k.csv"], logs["log_standard_4_22_to_5_08_1k.csv"]
    assert early["date"].max() < 20220422 <= late["date"].min()
    assert (logs["log_random_4_22_to_5_08_1k.csv"]["is_rand"] == 1).all()


def test_dates_run_ten_minutes_ahead_of_the_clock(tmp_path: Path) -> None:
    folder = write_standin(tmp_path / "w", SMALL) / "data"
    log = pd.read_csv(folder / "log_standard_4_08_to_4_21_1k.csv")
    shifted = pd.to_datetime(log["time_ms"] + 600_000, unit="ms") + pd.Timedelta(hours=8)
    np.testing.assert_array_equal(shifted.dt.strftime("%Y%m%d").astype(int), log["date"])
    np.testing.assert_array_equal(shifted.dt.hour * 100, log["hourmin"])


def test_videos_differ_in_quality(store: FeedStore) -> None:
    """What the training split says of a video tells something of its later plays."""
    test = store.split_rows("test")
    video = store.events["video"][test]
    plays = store.videos["train_exposures"][video]
    rate = (store.videos["train_click"] / np.maximum(store.videos["train_exposures"], 1))[video]
    known = plays >= 20
    assert known.sum() > 100
    assert np.corrcoef(rate[known], store.events["is_click"][test][known])[0, 1] > 0.1


def test_impossible_sizes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="at least one user"):
        StandIn(users=0)
    with pytest.raises(OptionError, match="1 to 31 days"):
        StandIn(days=40)
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="expected no such folder"):
        write_standin(tmp_path, SMALL)


def test_processes_that_ask_at_once_share_one_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SVSIM_HOME", str(tmp_path))
    code = "from svsim.world import preset_store; print(preset_store('tiny').fingerprint)"
    asking = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    told = {process.communicate()[0] for process in asking}
    assert told == {f"{preset_store('tiny').fingerprint}\n"}
    assert len(list((tmp_path / "stores").iterdir())) == 1


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("SVSIM_HOME", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="could not write"):
        preset_store("tiny")
