"""From files to a store: what must come out of what goes in."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from svsim.data import FeedStore, PrepareOptions, open_store, prepare
from svsim.data.atomic import partial_path
from svsim.data.features import candidate_feature_names, candidate_features
from svsim.envs import ReplayEnv
from svsim.errors import LeakError, OutputError, StoreError
from svsim.names import LEAKY_CANDIDATE_FEATURES, LOG_COLUMNS, STATISTIC_COLUMNS, USER_COLUMNS, VIDEO_COLUMNS
from svsim.signals import WatchTimeGain
from tests.kuairand import log_row, user_row, video_row, write_csv, write_kuairand

LOG = "log_standard_4_08_to_4_21.csv"
DAY = 86_400_000


def rows_of(users: tuple[int, ...] = (1, 2), dates: int = 4) -> list[dict[str, Any]]:
    """Three rows a user and date, in order."""
    return [
        log_row(
            user=user,
            video=1 + n % 3,
            time_ms=date * DAY + n * 60_000,
            date=20220420 + date,
            play=1_000 * (n + 1) + 100 * date,
            duration=10_000,
        )
        for user in users
        for date in range(dates)
        for n in range(3)
    ]


def prepared(folder: Path, rows: list[dict[str, Any]], name: str = "store", **options: Any) -> FeedStore:
    files = write_kuairand(folder / f"{name}-files", rows, users={1: 5, 2: 5_000}, videos=[1, 2, 3])
    return prepare(files, folder / name, PrepareOptions(**options))


def columns(store: FeedStore, *leave_out: str) -> dict[str, np.ndarray]:
    tables = {"events": store.events, "users": store.users, "videos": store.videos}
    return {
        f"{table}/{name}": np.array(values)
        for table, source in tables.items()
        for name, values in source.items()
        if name not in leave_out
    }


def assert_same(one: FeedStore, other: FeedStore) -> None:
    left, right = columns(one), columns(other)
    assert left.keys() == right.keys()
    for name, values in left.items():
        np.testing.assert_array_equal(values, right[name], err_msg=name)


# --- rows ------------------------------------------------------------------------------------------------------------


def test_a_row_comes_out_as_it_went_in(tmp_path: Path) -> None:
    row = log_row(
        user=2, video=3, time_ms=1_650_000_000_123, date=20220415, play=12_345, duration=23_456, is_click=1, is_hate=1,
        is_profile_enter=1, comment_stay_time=77, profile_stay_time=88,
    )  # fmt: skip
    row.update(hourmin=2300, tab=14)
    store = prepared(tmp_path, [row, *rows_of()], train_until="20220420")
    at = int(np.flatnonzero(store.events["time_ms"] == 1_650_000_000_123)[0])
    event = {name: values[at].item() for name, values in store.events.items()}
    assert store.users["user_id"][event["user"]] == 2
    assert store.videos["video_id"][event["video"]] == 3
    assert (event["hour"], event["tab"], event["date"]) == (23, 14, 20220415)
    assert (event["play_time_ms"], event["duration_ms"]) == (12_345, 23_456)
    assert (event["comment_stay_time"], event["profile_stay_time"]) == (77, 88)
    flags = {name for name, value in event.items() if name.startswith("is_") and value}
    assert flags == {"is_click", "is_hate", "is_profile_enter"}


def test_events_are_sorted_by_user_then_time_whatever_came_first(tmp_path: Path) -> None:
    rows = rows_of()
    shuffled = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    straight, mixed = prepared(tmp_path, rows, "a"), prepared(tmp_path, shuffled, "b")
    assert_same(straight, mixed)
    user, time = mixed.events["user"], mixed.events["time_ms"]
    assert np.all((np.diff(user) > 0) | ((np.diff(user) == 0) & (np.diff(time) >= 0)))


def test_rows_of_one_request_keep_their_order(tmp_path: Path) -> None:
    request = [log_row(user=1, video=video, time_ms=5, date=20220420, play=video) for video in (3, 1, 2, 1)]
    request[3]["play_time_ms"] = 9
    store = prepared(tmp_path, [*request, *rows_of()], train_until="20220420")
    same = np.flatnonzero(store.events["time_ms"] == 5)
    assert store.events["play_time_ms"][same].tolist() == [3, 1, 2, 9]


def test_exact_duplicates_are_dropped_and_counted(tmp_path: Path) -> None:
    rows = rows_of()
    store = prepared(tmp_path, [*rows, rows[3], rows[3], rows[7]])
    assert store.n_events == len(rows)
    assert store.manifest["rows"] == {"read": len(rows) + 3, "kept": len(rows), "dropped": {"exact duplicate": 3}}


def test_almost_duplicates_stay(tmp_path: Path) -> None:
    rows = rows_of()
    other = rows[3] | {"tab": 4}
    assert prepared(tmp_path, [*rows, other]).n_events == len(rows) + 1


def test_overlapping_logs_count_once(tmp_path: Path) -> None:
    rows = rows_of()
    files = write_kuairand(tmp_path / "f", rows, users={1: 5, 2: 5_000}, videos=[1, 2, 3])
    write_csv(files / "log_standard_4_22_to_5_08.csv", LOG_COLUMNS, rows[6:])
    store = prepare(files, tmp_path / "s")
    assert store.n_events == len(rows)
    assert store.manifest["rows"]["dropped"] == {"exact duplicate": len(rows) - 6}


def test_strangers_and_impossible_rows_are_counted_by_reason(tmp_path: Path) -> None:
    rows = rows_of()
    bad = [
        log_row(user=99, video=1, time_ms=1, date=20220420),
        log_row(user=1, video=99, time_ms=2, date=20220420),
        log_row(user=99, video=99, time_ms=3, date=20220420),
        log_row(user=1, video=1, time_ms=4, date=20220420, duration=-5),
        log_row(user=1, video=1, time_ms=5, date=20220420, duration=0),
        log_row(user=1, video=1, time_ms=6, date=20220420, duration=0),
        log_row(user=1, video=1, time_ms=7, date=20220420, play=-1),
    ]
    store = prepared(tmp_path, [*rows, *bad])
    assert store.manifest["rows"]["dropped"] == {
        "unknown user": 2,
        "unknown video": 1,
        "negative duration": 1,
        "zero duration": 2,
        "negative play time": 1,
    }
    kept = prepared(tmp_path, [*rows, *bad], "kept", keep_zero_duration=True)
    assert kept.n_events == len(rows) + 2
    assert np.isnan(kept.events["wtg_gain"][kept.events["duration_ms"] == 0]).all()


# --- forms of the files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\r\n", 5),
        lambda text: text.rstrip("\n"),
        lambda text: text + "\n\n\n",
        lambda text: text.replace(",1\n", ",1.0\n"),
        lambda text: text.replace(",10000,", ",10000.,"),
        lambda text: text.replace(",10000,", ",+10000,"),
        lambda text: text.replace(",10000,", ", 10000 ,"),
        lambda text: text.replace(",10000,", ',"10000",'),
    ],
    ids=["bom", "crlf", "mixed", "no newline", "blank lines", "1.0", "10000.", "+", "spaces", "quotes"],
)
def test_harmless_forms_are_read_alike(tmp_path: Path, change: Any) -> None:
    plain = prepared(tmp_path, rows_of(), "plain")
    files = write_kuairand(tmp_path / "f", rows_of(), users={1: 5, 2: 5_000}, videos=[1, 2, 3])
    text = (files / LOG).read_text()
    assert change(text) != text
    (files / LOG).write_text(change(text), newline="")
    assert_same(prepare(files, tmp_path / "s"), plain)


def test_columns_may_stand_in_any_order_with_strangers_among_them(tmp_path: Path) -> None:
    files = write_kuairand(tmp_path / "f", [], users={1: 5, 2: 5_000}, videos=[1, 2, 3])
    rows = [row | {"note": "x"} for row in rows_of()]
    write_csv(files / LOG, ["note", *reversed(LOG_COLUMNS)], rows)
    assert_same(prepare(files, tmp_path / "s"), prepared(tmp_path, rows_of(), "plain"))


def test_parquet_gives_the_same_columns(tmp_path: Path) -> None:
    files = write_kuairand(tmp_path / "f", rows_of(), users={1: 5, 2: 5_000}, videos=[1, 2, 3])
    plain = prepare(files, tmp_path / "csv")
    for path in files.glob("*.csv"):
        texts = {"tag": str, "upload_dt": str}
        frame = pd.read_csv(path, dtype={name: kind for name, kind in texts.items() if path.name.startswith("video")})
        frame.to_parquet(path.with_suffix(".parquet"), index=False)
        path.unlink()
    assert_same(prepare(files, tmp_path / "parquet"), plain)


@pytest.mark.parametrize("suffix", ["_pure", "_1k", "_27k"])
def test_parts_and_suffixes(tmp_path: Path, suffix: str) -> None:
    rows = rows_of()
    files = write_kuairand(tmp_path / "f", rows, users={1: 5, 2: 5_000}, videos=[1, 2, 3], suffix=suffix)
    (files / f"log_standard_4_08_to_4_21{suffix}.csv").unlink()
    for part in (1, 2):
        name = f"log_standard_4_08_to_4_21{suffix}_part{part}.csv"
        write_csv(files / name, LOG_COLUMNS, rows[part - 1 :: 2])
    (files / f"video_features_basic{suffix}.csv").unlink()
    for part, video in enumerate((1, 2, 3), start=1):
        write_csv(files / f"video_features_basic{suffix}_part{part}.csv", VIDEO_COLUMNS, [video_row(video)])
    store = prepare(files, tmp_path / "s")
    assert store.manifest["variant"] == suffix[1:]
    assert_same(store, prepared(tmp_path, rows, "plain"))


def test_files_may_lie_in_data(tmp_path: Path) -> None:
    files = write_kuairand(tmp_path / "f/data", rows_of(), users={1: 5, 2: 5_000}, videos=[1, 2, 3])
    assert_same(prepare(files.parent, tmp_path / "s"), prepared(tmp_path, rows_of(), "plain"))


def test_the_random_log_is_joined_and_what_is_missing_is_named(tmp_path: Path) -> None:
    random = [log_row(user=1, video=3, time_ms=9, date=20220423, is_rand=1)]
    files = write_kuairand(tmp_path / "f", rows_of(), users={1: 5, 2: 5}, videos=[1, 2, 3], random_logs=random)
    store = prepare(files, tmp_path / "s")
    assert store.events["is_rand"].sum() == 1
    assert store.manifest["missing"] == ["log_standard_4_22_to_5_08", "video_features_statistic"]
    assert [(source["file"], source["kind"], source["rows"]) for source in store.manifest["sources"]] == [
        ("user_features.csv", "users", 2),
        ("video_features_basic.csv", "videos", 3),
        ("log_standard_4_08_to_4_21.csv", "log_standard", 24),
        ("log_random_4_22_to_5_08.csv", "log_random", 1),
    ]


# --- tables ----------------------------------------------------------------------------------------------------------


def test_users_as_the_official_files_have_them(tmp_path: Path) -> None:
    """−124, quoted ranges, empty one-hot features, an unknown degree of activity, rows in any order."""
    files = write_kuairand(tmp_path / "f", rows_of(), users={}, videos=[1, 2, 3])
    gaps = {f"onehot_feat{n}": "" for n in (4, 12, 13, 14, 15, 16, 17)}
    users = [
        user_row(2, 1_000) | gaps | {"user_active_degree": "UNKNOWN"},
        user_row(1, 999) | {"onehot_feat4": "949.0"},
    ]
    write_csv(files / "user_features.csv", USER_COLUMNS, users)
    store = prepare(files, tmp_path / "s")
    assert store.users["user_id"].tolist() == [-1, 1, 2]
    assert store.users["is_live_streamer"][1:].tolist() == [-124, -124]
    np.testing.assert_array_equal(store.users["onehot_feat4"][1:], [949.0, np.nan])
    texts = store.texts["user_active_degree"]
    assert [texts[code] for code in store.users["user_active_degree"][1:]] == ["full_active", "UNKNOWN"]
    ranges = store.texts["fans_user_num_range"]
    assert [ranges[code] for code in store.users["fans_user_num_range"][1:]] == ["[100,1k)", "[100,1k)"]
    assert store.influencer.tolist() == [False, False, True]
    assert store.user_group[1:].tolist() == ["normal", "influencer"]
    assert store.manifest["groups"]["influencer"] == 1
    assert (store.users["n_events"].tolist(), store.users["first_event"][1:].tolist()) == ([0, 12, 12], [0, 12])


def test_videos_as_the_official_files_have_them(tmp_path: Path) -> None:
    """Picture posts without duration, unknown types and dates, no music, none or several tags, an author of two."""
    videos = [
        video_row(1, author=70, tag="20,67"),
        video_row(2, author=50, video_duration="", tag="", music_id=0, music_type=""),
        video_row(3, author=70, video_type="UNKNOWN", upload_dt="UNKNOWN", upload_type="UNKNOWN"),
    ]
    files = write_kuairand(tmp_path / "f", rows_of(), users={1: 5, 2: 5}, videos=videos)
    store = prepare(files, tmp_path / "s")
    assert store.videos["author"].tolist() == [0, 2, 1, 2]
    assert store.n_authors == 2
    assert store.videos["video_duration"].tolist() == [0, 10_000, 0, 10_000]
    assert store.videos["upload_date"].tolist() == [0, 20220410, 20220410, 0]
    assert [store.video_tags[code] for code in store.videos["tag_set"][1:]] == [[20, 67], [], [39]]
    assert store.videos["music_type"].tolist() == [-1, 9, -1, 9]


def test_repeated_table_rows_are_counted(tmp_path: Path) -> None:
    files = write_kuairand(tmp_path / "f", rows_of(), users={1: 5, 2: 5}, videos=[1, 2, 3])
    for name in ("user_features.csv", "video_features_basic.csv"):
        lines = (files / name).read_text().splitlines()
        (files / name).write_text("\n".join([*lines, lines[1]]) + "\n")
    store = prepare(files, tmp_path / "s")
    assert store.manifest["rows"]["dropped"] == {"repeated user rows": 1, "repeated video rows": 1}
    assert (store.n_users, store.n_videos) == (2, 3)


def statistics(folder: Path) -> None:
    rows = [
        dict.fromkeys(STATISTIC_COLUMNS, 1.5) | {"video_id": video, "play_cnt": 10.0 * video} for video in (3, 1, 77)
    ]
    write_csv(folder / "video_features_statistic.csv", STATISTIC_COLUMNS, rows)


def test_statistics_leak_and_are_refused(tmp_path: Path) -> None:
    files = write_kuairand(tmp_path / "f", rows_of(), users={1: 5, 2: 5}, videos=[1, 2, 3])
    statistics(files)
    store = prepare(files, tmp_path / "s")
    assert store.manifest["rows"]["dropped"] == {"statistics of an unknown video": 1}
    with pytest.raises(LeakError, match="--allow-leaky-statistics"):
        _ = store.video_statistics
    allowed = prepare(files, tmp_path / "leaky", PrepareOptions(allow_leaky_statistics=True))
    np.testing.assert_array_equal(allowed.video_statistics["play_cnt"], [np.nan, 10, np.nan, 30])


def test_statistics_that_are_not_there_are_explained(tmp_path: Path) -> None:
    store = prepared(tmp_path, rows_of(), allow_leaky_statistics=True)
    with pytest.raises(StoreError, match="had no video_features_statistic"):
        _ = store.video_statistics


# --- training statistics and gain ------------------------------------------------------------------------------------


def test_training_sums_know_the_training_split_only(tmp_path: Path) -> None:
    rows = rows_of()
    store = prepared(tmp_path, rows, train_until="20220421")
    train = [row for row in rows if row["date"] <= 20220421]
    for video in (1, 2, 3):
        mine = [row for row in train if row["video_id"] == video]
        assert store.videos["train_exposures"][video] == len(mine)
        ratio = sum(row["play_time_ms"] / row["duration_ms"] for row in mine)
        assert store.videos["train_wtr"][video] == pytest.approx(ratio, rel=1e-6)
    later = prepared(tmp_path, [*train, *(row | {"play_time_ms": 9} for row in rows[6:12] + rows[18:])], "b",
                     train_until="20220421")  # fmt: skip
    for name, values in columns(store).items():
        if name.startswith("videos/train_"):
            np.testing.assert_array_equal(columns(later)[name], values)


@pytest.mark.parametrize("preset", ["rank", "dvr", "paper"])
def test_the_gain_is_fitted_on_the_training_split(
    store: FeedStore, standin_files: Path, tmp_path: Path, preset: str
) -> None:
    made = prepare(standin_files, tmp_path / "s", PrepareOptions(wtg_preset=preset))
    train = made.split_rows("train")
    play, duration = made.events["play_time_ms"], made.events["duration_ms"]
    expected = WatchTimeGain(preset).fit(play[train], duration[train]).transform(play, duration)
    np.testing.assert_allclose(made.events["wtg_gain"], expected, atol=1e-5)
    np.testing.assert_allclose(made.wtg.transform(play, duration), expected, atol=1e-5)


# --- the store as a whole --------------------------------------------------------------------------------------------


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_same_input_same_bytes(standin_files: Path, tmp_path: Path) -> None:
    prepare(standin_files, tmp_path / "a")
    prepare(standin_files, tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_blocks_do_not_matter(
    standin_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: FeedStore
) -> None:
    """Small blocks, many spilled ranges and chunks: the same columns."""
    monkeypatch.setattr("svsim.data.reader.BLOCK_BYTES", 50_000)
    monkeypatch.setattr("svsim.data.spill.MAX_BUCKETS", 7)
    monkeypatch.setattr("svsim.data.gains.CHUNK_ROWS", 1_000)
    small = prepare(standin_files, tmp_path / "s")
    assert_same(small, store)


def test_a_second_run_opens_what_is_there(standin_files: Path, tmp_path: Path) -> None:
    first = prepare(standin_files, tmp_path / "s")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "s").rglob("*")}
    assert prepare(standin_files, tmp_path / "s") == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "s").rglob("*")} == before


def test_a_store_of_other_options_or_files_is_refused(standin_files: Path, tmp_path: Path) -> None:
    made = prepare(standin_files, tmp_path / "s")
    with pytest.raises(OutputError, match="found one of others"):
        prepare(standin_files, tmp_path / "s", PrepareOptions(wtg_preset="dvr"))
    shutil.copytree(standin_files, tmp_path / "files")
    log = next((tmp_path / "files/data").glob("log_standard_4_08*"))
    log.write_text("\n".join(log.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(OutputError, match="found one of others"):
        prepare(tmp_path / "files", tmp_path / "s")
    assert open_store(tmp_path / "s").fingerprint == made.fingerprint
    assert prepare(tmp_path / "files", tmp_path / "t").fingerprint != made.fingerprint


def test_an_empty_folder_is_taken(standin_files: Path, tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    assert prepare(standin_files, tmp_path / "s").n_events > 0


def test_progress_tells_every_step(standin_files: Path, tmp_path: Path) -> None:
    told: dict[str, list[tuple[int, int]]] = {}
    prepare(
        standin_files,
        tmp_path / "s",
        progress=lambda name, done, whole: told.setdefault(name, []).append((done, whole)),
    )
    assert "reading" in told
    for steps in told.values():
        assert [done for done, _ in steps] == sorted(done for done, _ in steps)
        assert steps[-1][0] == steps[-1][1]


KILLED = """
import os, signal, sys
from svsim.data import prepare
def progress(name, done, whole):
    if name == sys.argv[3] or (sys.argv[3] == "last" and name != "reading" and done == whole):
        os.kill(os.getpid(), signal.SIGKILL)
prepare(sys.argv[1], sys.argv[2], progress=progress)
"""


@pytest.mark.parametrize("step", ["reading", "sorting", "last"])
def test_a_killed_run_leaves_no_store_and_can_be_run_again(
    standin_files: Path, tmp_path: Path, step: str, store: FeedStore
) -> None:
    out = tmp_path / "s"
    killed = subprocess.run([sys.executable, "-c", KILLED, standin_files, out, step], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not out.exists()
    assert_same(prepare(standin_files, out), store)
    assert not partial_path(out).exists()
    assert os.listdir(tmp_path) == ["s"]  # noqa: PTH208


def test_leaky_features_stand_only_where_they_were_allowed(tmp_path: Path) -> None:
    files = write_kuairand(tmp_path / "f", rows_of(), users={1: 5, 2: 5}, videos=[1, 2, 3])
    rows = [
        dict.fromkeys(STATISTIC_COLUMNS, 0.0)
        | {"video_id": video, "play_cnt": 10.0, "like_cnt": 2.0 * video, "play_progress": 0.25}
        for video in (1, 2)
    ]
    write_csv(files / "video_features_statistic.csv", STATISTIC_COLUMNS, rows)
    honest = prepare(files, tmp_path / "honest")
    leaky = prepare(files, tmp_path / "leaky", PrepareOptions(allow_leaky_statistics=True))
    chosen = leaky.split_rows("test")
    names = candidate_feature_names(leaky)
    assert names == candidate_feature_names(honest) + LEAKY_CANDIDATE_FEATURES
    table = candidate_features(leaky, chosen)
    expected = {1: 0.2, 2: 0.4, 3: 0.0}
    likes = [expected[video] for video in leaky.videos["video_id"][leaky.events["video"][chosen]].tolist()]
    np.testing.assert_allclose(table[:, names.index("leaky_like_rate")], likes, rtol=1e-6)
    env = ReplayEnv(leaky, candidates=2)
    assert env.observation_space["candidates"].shape == (2, len(names))
    assert env.observation_space.contains(env.reset(seed=0)[0])
