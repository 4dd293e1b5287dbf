"""The reader by itself: what it takes is what the csv module reads, and a fault is found where it is."""

from __future__ import annotations

import csv
import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from svsim.data.reader import read_blocks
from svsim.data.schema import LOG_SCHEMA, STATISTIC_SCHEMA, USER_SCHEMA, VIDEO_SCHEMA, Column
from svsim.data.source import Source
from svsim.errors import DataError
from svsim.names import LOG_COLUMNS, STATISTIC_COLUMNS, USER_COLUMNS, VIDEO_COLUMNS
from tests.kuairand import log_row, user_row, video_row, write_csv

TINY = (Column("id", "int"), Column("flag", "int", 0, 1), Column("size", "float"), Column("word", "text"))
HEADER = b"id,flag,size,word\n"


def read(path: Path, schema: tuple[Column, ...] = TINY) -> dict[str, list[Any]]:
    """All values of a file by column."""
    columns: dict[str, list[Any]] = {column.name: [] for column in schema}
    for block in read_blocks(Source(path, schema)):
        for name, values in block.items():
            columns[name] += values.tolist() if isinstance(values, np.ndarray) else values.to_pylist()
    return columns


def write(folder: Path, content: bytes) -> Path:
    path = folder / "file.csv"
    path.write_bytes(content)
    return path


def log_file(folder: Path, **cells: Any) -> Path:
    row = log_row(user=1, video=2, time_ms=3, date=20220420, play=4)
    return write_csv(folder / "log.csv", LOG_COLUMNS, [row, row | cells])


# --- what is read ----------------------------------------------------------------------------------------------------


def test_values_of_every_kind(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER + b'7,0,2.5,"a,b"\n-9223372036854775808,1,,\n9223372036854775807,1,1e3,"say ""x"""\n')
    found = read(path)
    assert found["id"] == [7, -(2**63), 2**63 - 1]
    assert found["flag"] == [0, 1, 1]
    np.testing.assert_array_equal(found["size"], [2.5, np.nan, 1_000.0])
    assert found["word"] == ["a,b", "", 'say "x"']


def test_a_source_knows_its_rows_bytes_and_hash(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf" + (HEADER + b"1,0,,x\n2,1,,y").replace(b"\n", b"\r\n")
    source = Source(write(tmp_path, content), TINY)
    told: list[int] = []
    assert sum(len(block["id"]) for block in read_blocks(source, told.append)) == 2
    assert (source.rows, source.bytes, sum(told)) == (2, len(content), len(content))
    assert source.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_blocks_of_any_size_read_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, end: bytes) -> None:
    """Also where a block ends between the two halves of a line end."""
    monkeypatch.setattr("svsim.data.reader.BLOCK_BYTES", size)
    path = write(tmp_path, (HEADER + b"1,0,,\xc3\xa9\n\n2,1,5,y\n3,0,6,").replace(b"\n", end))
    assert (read(path)["id"], read(path)["word"]) == ([1, 2, 3], ["é", "y", ""])


@pytest.mark.parametrize("size", [5, 50, 1_000])
def test_a_fault_in_a_later_block_has_its_own_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr("svsim.data.reader.BLOCK_BYTES", size)
    lines = [b"%d,0,,w" % n for n in range(2, 40)]
    lines[30] = b"32,2,,w"
    with pytest.raises(DataError, match=r"line 32, column flag: expected an integer from 0 to 1, found '2'"):
        read(write(tmp_path, HEADER + b"\n".join(lines) + b"\n"))


PLAIN = st.text(st.characters(codec="utf-8", exclude_characters='\0\r\n"'), max_size=6)
NUMBERS = st.integers(-(2**63), 2**63 - 1)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(NUMBERS, st.integers(0, 1), st.floats(width=32, allow_infinity=False), PLAIN), min_size=1),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_what_is_written_is_read(tmp_path: Path, rows: list[tuple[int, int, float, str]], end: str) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator=end).writerows(rows)
    found = read(write(tmp_path, HEADER + text.getvalue().encode()))
    assert (found["id"], found["flag"]) == ([row[0] for row in rows], [row[1] for row in rows])
    np.testing.assert_array_equal(found["size"], [row[2] for row in rows])
    assert found["word"] == [row[3] for row in rows]


ODD = st.sampled_from(
    [b"1", b"0", b"-3", b"+4", b"5.0", b"6.", b".5", b"7.5", b"1e2", b"0x1F", b"", b" 8 ", b"nan", b"9" * 25, b'"1"',
     b'"a,b"', b'"', b"\xff", b"\xc3\xa9", b"id", b"\0", b"_1", b"1_0", b"\xef\xbb\xbf", b"true", b"1,1", b"\r"]
)  # fmt: skip


@st.composite
def lines_with_odd_cells(draw: st.DrawFn) -> list[bytes]:
    """Good lines, about every second one with an odd cell in one of its places."""
    lines = []
    for _ in range(draw(st.integers(1, 3))):
        cells = [b"12", b"1", b"2.5", b"w"]
        if draw(st.booleans()):
            cells[draw(st.integers(0, 3))] = draw(ODD)
        lines.append(b",".join(cells))
    return lines


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=lines_with_odd_cells())
def test_what_is_taken_is_what_the_csv_module_reads(tmp_path: Path, lines: list[bytes]) -> None:
    """Odd cells are refused with their line, or mean what they mean to Python; no row is lost or made up."""
    content = HEADER + b"\n".join(lines) + b"\n"
    try:
        found, refusal = read(write(tmp_path, content)), ""
    except DataError as error:
        found, refusal = {}, str(error)
    if refusal:
        assert "file.csv, line " in refusal
        return
    rows = [row for row in csv.reader(io.StringIO(content.decode(), newline=None)) if row][1:]
    assert found["id"] == [int(float(row[0])) for row in rows]
    assert found["flag"] == [int(float(row[1])) for row in rows]
    np.testing.assert_array_equal(found["size"], [float(row[2] or "nan") for row in rows])
    assert found["word"] == [row[3] for row in rows]


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("date", [20220231, 20220431, 20210229, 20221301, 20220500, 20220532, 504])
def test_a_day_that_is_in_no_calendar(tmp_path: Path, date: int) -> None:
    with pytest.raises(DataError, match=rf"line 3, column date: expected a date such as 20220504, found '{date}'"):
        read(log_file(tmp_path, date=date), LOG_SCHEMA)


@pytest.mark.parametrize("date", [20220228, 20200229, 20220430, 20220531, 20221231])
def test_the_last_days_of_months(tmp_path: Path, date: int) -> None:
    assert read(log_file(tmp_path, date=date), LOG_SCHEMA)["date"] == [20220420, date]


@pytest.mark.parametrize("cell", ["9" * 5_000, "1" * 5_000 + ".0", "-" + "7" * 30])
def test_an_endless_integer(tmp_path: Path, cell: str) -> None:
    with pytest.raises(DataError, match=r"line 3, column user_id: .* does not fit 64 bits"):
        read(log_file(tmp_path, user_id=cell), LOG_SCHEMA)


@pytest.mark.parametrize("cell", ["1e300", "-1e39", "inf", "Infinity", "1_000", "1,5", "N/A", "NULL"])
@pytest.mark.parametrize("table", ["users", "videos", "statistics"])
def test_a_number_that_is_none_or_too_large(tmp_path: Path, table: str, cell: str) -> None:
    row, columns, schema, name = {
        "users": (user_row(1), USER_COLUMNS, USER_SCHEMA, "onehot_feat4"),
        "videos": (video_row(1), VIDEO_COLUMNS, VIDEO_SCHEMA, "video_duration"),
        "statistics": (dict.fromkeys(STATISTIC_COLUMNS, 1), STATISTIC_COLUMNS, STATISTIC_SCHEMA, "play_cnt"),
    }[table]
    path = write_csv(tmp_path / "table.csv", columns, [row | {name: cell}])
    with pytest.raises(DataError, match=rf"line 2, column {name}: expected a number or nothing, found '{cell}'"):
        read(path, schema)


@pytest.mark.parametrize("value", [1e300, -np.inf])
def test_a_number_of_a_parquet_file_that_is_too_large(tmp_path: Path, value: float) -> None:
    path = tmp_path / "table.parquet"
    pd.DataFrame({"id": [1, 2], "flag": [0, 1], "size": [1.0, value], "word": ["a", "b"]}).to_parquet(path)
    with pytest.raises(DataError, match="column size, row 2: expected a number or nothing"):
        read(path)


@pytest.mark.parametrize("first", [b"a" * 200_000, b'"id,flag,size,word', b"", b"id;flag;size;word", b"id,\xff,size"])
def test_a_first_line_that_is_no_header(tmp_path: Path, first: bytes) -> None:
    with pytest.raises(DataError, match=r"file\.csv, line 1: expected"):
        read(write(tmp_path, first + b"\n1,0,2,x\n"))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    places=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4), cut=st.booleans()
)
def test_damaged_parquet_files_never_crash(tmp_path: Path, places: list[tuple[float, int]], cut: bool) -> None:
    path = tmp_path / "table.parquet"
    pd.DataFrame({"id": [1, 2], "flag": [0, 1], "size": [1.0, None], "word": ["a", "b"]}).to_parquet(path)
    content = bytearray(path.read_bytes())
    for place, value in places:
        content[int(place * len(content))] = value
    path.write_bytes(content[: len(content) - 9 * cut])
    try:
        found, refusal = read(path), ""
    except DataError as error:
        found, refusal = {}, str(error)
    assert "\n" not in refusal
    if not refusal:
        assert not cut
        assert len({len(values) for values in found.values()}) == 1


def test_a_damaged_column_name_of_a_parquet_file(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    pd.DataFrame({"identity": [1]}).to_parquet(path)
    path.write_bytes(path.read_bytes().replace(b"identity", b"ident\xffty"))
    with pytest.raises(DataError, match=r"table\.parquet"):
        read(path)
