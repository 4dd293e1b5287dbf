"""Files at fault: one message that names file, line and column, and nothing left behind or changed."""

from __future__ import annotations

import csv
import errno
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from svsim.data import open_store, prepare
from svsim.data.atomic import partial_path
from svsim.errors import DataError, OptionError, OutputError, StoreError, SvsimError
from tests.kuairand import log_row, write_kuairand

LOG = "log_standard_4_08_to_4_21.csv"
USERS = "user_features.csv"
VIDEOS = "video_features_basic.csv"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Twelve rows of two users over four dates."""
    rows = [
        log_row(user=1 + n % 2, video=1 + n % 3, time_ms=1_000 * n, date=20220420 + n % 4, play=100 * n)
        for n in range(12)
    ]
    return write_kuairand(tmp_path / "files", rows, users={1: 5, 2: 5_000}, videos=[1, 2, 3])


def digest(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def refused(files: Path, error: type[SvsimError], *words: str) -> None:
    """Prepare fails with one line that holds the words; no store, no part of one, no changed file."""
    out = files.parent / "store"
    before = digest(files) if files.is_dir() else {}
    with pytest.raises(error) as caught:
        prepare(files, out)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message
    assert not out.exists()
    assert not partial_path(out).exists()
    assert (digest(files) if files.is_dir() else {}) == before


def edit(path: Path, change: Callable[[list[str]], Any]) -> None:
    lines = path.read_text().splitlines()
    changed = change(lines)
    path.write_text("\n".join(lines if changed is None else changed) + "\n")


def set_cell(path: Path, line: int, column: str, value: str) -> None:
    """Replace a cell; line 1 is the header."""
    rows = list(csv.reader(path.read_text().splitlines()))
    rows[line - 1][rows[0].index(column)] = value
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


# --- what is not there -----------------------------------------------------------------------------------------------


def test_no_folder(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", DataError, "nowhere", "expected a folder, found nothing")


def test_a_file_for_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    refused(tmp_path / "file", DataError, "found a file")


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/cat.jpg").write_text("x")
    refused(tmp_path / "photos", DataError, "expected KuaiRand's files", "svsim data download")


@pytest.mark.parametrize(
    ("name", "words"), [(USERS, "the user table"), (VIDEOS, "the video table"), (LOG, "a log (log_standard")]
)
def test_a_missing_file(files: Path, name: str, words: str) -> None:
    (files / name).unlink()
    refused(files, DataError, words, "found none")


def test_an_empty_log(files: Path) -> None:
    (files / LOG).write_bytes(b"")
    refused(files, DataError, LOG, "found an empty file")


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n\n"])
def test_a_log_of_a_header_only(files: Path, end: str) -> None:
    header = (files / LOG).read_text().splitlines()[0]
    (files / LOG).write_text(header + end, newline="")
    refused(files, DataError, LOG, "found only a header")


def test_a_folder_named_like_a_log(files: Path) -> None:
    (files / LOG).unlink()
    (files / LOG).mkdir()
    refused(files, DataError, LOG, "expected a file, found a folder")


def test_two_releases_in_one_folder(files: Path) -> None:
    shutil.copy(files / LOG, files / "log_standard_4_22_to_5_08_pure.csv")
    refused(files, DataError, "expected one release")


def test_one_log_as_csv_and_as_parquet(files: Path) -> None:
    (files / LOG.replace(".csv", ".parquet")).write_bytes(b"PAR1")
    refused(files, DataError, "found both")


def test_rows_of_strangers_only(files: Path) -> None:
    edit(files / LOG, lambda lines: [lines[0], *("9" + line for line in lines[1:])])
    refused(files, DataError, "expected rows of known users and videos")


# --- what is wrong in a file -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda line: line.replace("video_id", "video_ids"), ("expected a column 'video_id', found 'video_ids'",)),
        (lambda line: line.replace(",tab", ""), ("expected a column 'tab'",)),
        (lambda line: line + ",tab", ("'tab' 2 times",)),
        (lambda _: "a,b,c", ("expected a column 'user_id'", "a, b, c")),
        (lambda line: line.replace("user_id", "USER_ID"), ("expected a column 'user_id'",)),
    ],
)
def test_a_wrong_header(files: Path, change: Callable[[str], str], words: tuple[str, ...]) -> None:
    edit(files / LOG, lambda lines: [change(lines[0]), *lines[1:]])
    refused(files, DataError, LOG, "line 1", *words)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("video_id", "abc", "expected an integer, found 'abc'"),
        ("video_id", "1.5", "found the fraction '1.5'"),
        ("user_id", "1e3", "found '1e3'"),
        ("user_id", "", "found an empty cell"),
        ("user_id", "9223372036854775808", "does not fit 64 bits"),
        ("user_id", "-9223372036854775809", "does not fit 64 bits"),
        ("user_id", "0x1F", "found '0x1F'"),
        ("user_id", "nan", "found 'nan'"),
        ("user_id", "１", "found '１'"),
        ("is_like", "2", "from 0 to 1, found '2'"),
        ("is_like", "true", "found 'true'"),
        ("tab", "-1", "from 0 to 255, found '-1'"),
        ("date", "20221301", "expected a date such as 20220504, found '20221301'"),
        ("time_ms", "-5", "found '-5'"),
        ("play_time_ms", "4294967296", "found '4294967296'"),
        ("hourmin", "2400", "found '2400'"),
    ],
)
def test_a_wrong_cell_of_a_log(files: Path, column: str, value: str, words: str) -> None:
    set_cell(files / LOG, 6, column, value)
    refused(files, DataError, LOG, "line 6", f"column {column}", words)


@pytest.mark.parametrize(
    ("name", "column", "value", "words"),
    [
        (USERS, "user_id", "x", "expected an integer"),
        (USERS, "fans_user_num", "many", "column fans_user_num"),
        (USERS, "onehot_feat4", "x", "expected a number or nothing"),
        (VIDEOS, "author_id", "1.5", "the fraction '1.5'"),
        (VIDEOS, "video_duration", "x", "expected a number or nothing"),
        (VIDEOS, "upload_dt", "10.04.2022", "expected a date such as 2022-04-10"),
        (VIDEOS, "tag", "a", "expected tag numbers"),
        (VIDEOS, "server_width", "1.5", "expected a whole number"),
    ],
)
def test_a_wrong_cell_of_a_table(files: Path, name: str, column: str, value: str, words: str) -> None:
    set_cell(files / name, 2, column, value)
    refused(files, DataError, name, f"column {column}", words)


def test_one_id_with_two_rows(files: Path) -> None:
    edit(files / VIDEOS, lambda lines: [*lines, lines[1].replace("NORMAL", "AD")])
    refused(files, DataError, "expected one row for video_id 1", "video_type")


@pytest.mark.parametrize(("cells", "found"), [(18, 18), (20, 20), (1, 1)])
def test_a_wrong_number_of_cells(files: Path, cells: int, found: int) -> None:
    edit(files / LOG, lambda lines: lines.__setitem__(4, ",".join((lines[4] + ",7").split(",")[:cells])))
    refused(files, DataError, "line 5", f"expected 19 cells, found {found}")


@pytest.mark.parametrize("cut", [3, 12, 20])
def test_a_file_that_ends_in_the_middle_of_a_row(files: Path, cut: int) -> None:
    text = (files / LOG).read_text()
    (files / LOG).write_text(text[: len(text) - cut - 1])
    refused(files, DataError, "line 13", "expected 19 cells", "ends in the middle of a row")


def test_a_second_header(files: Path) -> None:
    edit(files / LOG, lambda lines: [*lines[:7], lines[0], *lines[7:]])
    refused(files, DataError, "line 8", "found a second header")


def test_an_open_quote(files: Path) -> None:
    edit(files / LOG, lambda lines: lines.__setitem__(2, f'{lines[2][:-1]}"1'))
    refused(files, DataError, "line 3", "quoting")


def test_nul_bytes(files: Path) -> None:
    content = (files / LOG).read_bytes()
    (files / LOG).write_bytes(content[:-10] + b"\0" + content[-10:])
    refused(files, DataError, "line 13", "NUL bytes")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16(files: Path, encoding: str) -> None:
    (files / LOG).write_bytes((files / LOG).read_text().encode(encoding))
    refused(files, DataError, LOG)


@pytest.mark.parametrize("kind", ["random", "image", "repeated"])
def test_noise(files: Path, kind: str) -> None:
    noise = {
        "random": np.random.default_rng(0).bytes(5_000),
        "image": b"\x89PNG\r\n" + bytes(2_000),
        "repeated": b"\xff\xfe\xff" * 100,
    }
    (files / LOG).write_bytes(noise[kind])
    refused(files, DataError, LOG)


def test_noise_after_good_rows(files: Path) -> None:
    (files / LOG).write_bytes((files / LOG).read_bytes() + b"\xff\xfe\x80,1\n")
    refused(files, DataError, "line 14", "UTF-8")


def test_one_endless_line(files: Path) -> None:
    (files / LOG).write_bytes((files / LOG).read_bytes() + b"1" * (3 << 20))
    refused(files, DataError, LOG, "is this a CSV file?")


def test_parquet_that_is_none(files: Path) -> None:
    (files / LOG).rename(files / LOG.replace(".csv", ".parquet"))
    refused(files, DataError, ".parquet", "expected a Parquet file")


@pytest.mark.parametrize(
    ("column", "values", "words"),
    [
        ("video_id", ["a"] * 12, "expected numbers, found"),
        ("video_id", [1.5] * 12, "expected an integer"),
        ("video_id", [1, None] * 6, "found nothing"),
        ("is_like", [0] * 11 + [2], "from 0 to 1, found 2"),
        ("date", [20221301] * 12, "expected a date"),
    ],
)
def test_a_wrong_column_of_a_parquet_log(files: Path, column: str, values: list[Any], words: str) -> None:
    frame = pd.read_csv(files / LOG)
    frame[column] = values
    frame.to_parquet((files / LOG).with_suffix(".parquet"))
    (files / LOG).unlink()
    refused(files, DataError, ".parquet", f"column {column}", words)


def test_parquet_text_that_is_none(files: Path) -> None:
    frame = pd.read_csv(files / VIDEOS).assign(upload_dt=5)
    frame.to_parquet((files / VIDEOS).with_suffix(".parquet"))
    (files / VIDEOS).unlink()
    refused(files, DataError, "column upload_dt", "expected text")


def test_a_truncated_parquet_log(files: Path) -> None:
    path = (files / LOG).with_suffix(".parquet")
    pd.read_csv(files / LOG).to_parquet(path)
    (files / LOG).unlink()
    path.write_bytes(path.read_bytes()[:-20])
    refused(files, DataError, "expected a Parquet file")


# --- options ---------------------------------------------------------------------------------------------------------


def test_nothing_to_test_on(files: Path) -> None:
    edit(files / LOG, lambda lines: [line.replace("20220422", "20220420") for line in lines])
    out = files.parent / "store"
    from svsim.data import PrepareOptions

    with pytest.raises(OptionError, match="no row is left to test on"):
        prepare(files, out, PrepareOptions(split="paper"))
    assert not out.exists()


# --- the disk --------------------------------------------------------------------------------------------------------


def failing(code: int, after: int) -> Callable[..., Any]:
    """`open` that refuses to write after some calls."""
    original, calls = Path.open, 0

    def opened(self: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        if "w" in mode:
            calls += 1
            if calls > after:
                raise OSError(code, os.strerror(code), str(self))
        return original(self, mode, *args, **kwargs)

    return opened


@pytest.mark.parametrize("after", [0, 1, 5, 20, 40])
@pytest.mark.parametrize(("code", "words"), [(errno.ENOSPC, "No space left"), (errno.EACCES, "Permission denied")])
def test_a_disk_that_refuses(files: Path, monkeypatch: pytest.MonkeyPatch, after: int, code: int, words: str) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", failing(code, after))
        refused(files, OutputError, words, "--out")
    assert prepare(files, files.parent / "store").n_events == 12


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_folder_that_cannot_be_made(files: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(self: Path, *_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code), str(self))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", refuse)
        refused(files, OutputError, os.strerror(code))


def test_a_disk_that_refuses_to_sync(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        refused(files, OutputError, "Input/output error")


def test_an_output_that_holds_something(files: Path) -> None:
    out = files.parent / "taken"
    out.mkdir()
    (out / "thesis.tex").write_text("x")
    with pytest.raises(OutputError, match="expected no such folder or an empty one"):
        prepare(files, out)
    assert digest(out) == {"thesis.tex": hashlib.sha256(b"x").hexdigest()}


# --- stores ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def made(files: Path) -> Path:
    out = files.parent / "store"
    prepare(files, out)
    return out


def test_a_store_of_another_version(made: Path) -> None:
    manifest = made / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"version": 1,', '"version": 2,', 1))
    with pytest.raises(StoreError, match=r"expected store format 1, found 2.*prepare the store again"):
        open_store(made)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"format": "other"}'])
def test_a_manifest_that_is_none(made: Path, content: str) -> None:
    (made / "manifest.json").write_text(content)
    with pytest.raises(StoreError, match=r"manifest\.json"):
        open_store(made)


@pytest.mark.parametrize("size", [0, 100, 130, -1])
def test_a_truncated_column(made: Path, size: int) -> None:
    column = made / "events" / "play_time_ms.npy"
    os.truncate(column, size if size >= 0 else column.stat().st_size - 1)
    with pytest.raises(StoreError, match=r"play_time_ms\.npy: expected .* bytes, found"):
        open_store(made)


def test_a_missing_column(made: Path) -> None:
    (made / "videos" / "author.npy").unlink()
    with pytest.raises(StoreError, match=r"author\.npy: expected a column file"):
        open_store(made)


@pytest.mark.parametrize("path", ["nothing", "files", "files/user_features.csv"])
def test_what_is_no_store(files: Path, path: str) -> None:
    with pytest.raises(StoreError, match="expected a store"):
        open_store(files.parent / path)


# --- anything --------------------------------------------------------------------------------------------------------

MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "delete", "insert", "cut", "double", "separator"]),
        st.integers(0, 10_000),
        st.integers(0, 255),
    ),
    min_size=1,
    max_size=6,
)


def mutate(content: bytes, mutations: list[tuple[str, int, int]]) -> bytes:
    for kind, place, value in mutations:
        at = place % max(len(content), 1)
        if kind == "flip":
            content = content[:at] + bytes([value]) + content[at + 1 :]
        elif kind == "delete":
            content = content[:at] + content[at + 1 + value % 30 :]
        elif kind == "insert":
            content = content[:at] + bytes([value]) * (1 + value % 3) + content[at:]
        elif kind == "cut":
            content = content[:at]
        elif kind == "double":
            lines = content.split(b"\n")
            lines.insert(at % len(lines), lines[place % len(lines)])
            content = b"\n".join(lines)
        else:
            content = content.replace(b",", b';,\t "'[value % 5 : value % 5 + 1], value % 4)
    return content


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from([LOG, USERS, VIDEOS]), mutations=MUTATIONS)
def test_mutated_files_never_crash(files: Path, name: str, mutations: list[tuple[str, int, int]]) -> None:
    """Whatever stands in a file: a store that opens, or one of svsim's errors in one line and nothing left."""
    work = files.parent / "mutated"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(files, work / "files")
    (work / "files" / name).write_bytes(mutate((files / name).read_bytes(), mutations))
    try:
        store = prepare(work / "files", work / "store")
    except SvsimError as error:
        message = str(error)
    else:
        assert open_store(work / "store").n_events == store.n_events > 0
        return
    assert "\n" not in message
    assert not (work / "store").exists()
