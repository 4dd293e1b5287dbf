"""Splits, sessions, atomic writing, spilling, id maps."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from svsim.data.atomic import atomic_folder, partial_path, write_file
from svsim.data.sessions import find_sessions
from svsim.data.spill import ROW, UserSpill, drop_repeated
from svsim.data.splits import PAPER, choose_split, parse_date
from svsim.data.tables import IdMap
from svsim.errors import OptionError, OutputError

MINUTE = 60_000

# --- splits ----------------------------------------------------------------------------------------------------------

WHOLE = dict.fromkeys((*range(20220408, 20220431), *range(20220501, 20220509)), 10)
LATE = dict.fromkeys((20220430, 20220501, 20220502, 20220504), 10)


def spans(split: object) -> tuple[object, ...]:
    return split.train, split.valid, split.test


def test_auto_takes_the_paper_s_dates_where_they_can_be_tested() -> None:
    assert choose_split(WHOLE) == PAPER
    assert spans(PAPER) == ((20220409, 20220420), (20220421, 20220421), (20220422, 20220422))


def test_auto_else_tests_the_last_date_and_validates_the_one_before() -> None:
    split = choose_split(LATE)
    assert split.rule == "auto"
    assert split.rows(LATE) == {"train": 20, "valid": 10, "test": 10}
    assert split.codes(np.array([20220430, 20220501, 20220502, 20220503, 20220504])).tolist()[::2] == [1, 2, 3]


def test_dates_are_inclusive() -> None:
    split = choose_split(WHOLE, train_until=20220415, valid_until=20220417, test_until=20220420)
    codes = split.codes(np.array([20220408, 20220415, 20220416, 20220417, 20220418, 20220420, 20220421]))
    assert codes.tolist() == [1, 1, 2, 2, 3, 3, 0]
    assert split.rule == "dates"


def test_dates_that_are_not_named_follow() -> None:
    split = choose_split(WHOLE, train_until=20220430)
    assert spans(split) == ((20220408, 20220430), (20220501, 20220501), (20220502, 20220508))
    assert choose_split(WHOLE, test_until=20220410).rows(WHOLE) == {"train": 10, "valid": 10, "test": 10}


@pytest.mark.parametrize(
    ("counts", "arguments", "message"),
    [
        (LATE, {"rule": "paper"}, "no row is left to train on"),
        (WHOLE, {"rule": "dates"}, "expected at least one of"),
        ({20220501: 5, 20220502: 5}, {}, "three dates"),
        (WHOLE, {"train_until": 20220420, "valid_until": 20220410}, "expected --train-until"),
        (WHOLE, {"train_until": 20220401, "test_until": 20220430}, "no row is left to train on"),
        (LATE, {"valid_until": 20220510, "test_until": 20220511}, "no row is left to test on"),
    ],
)
def test_impossible_splits_are_refused(counts: dict, arguments: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        choose_split(counts, **arguments)


def test_dates_of_either_form() -> None:
    assert parse_date("2022-05-04", "x") == parse_date("20220504", "x") == parse_date(20220504, "x") == 20220504
    for wrong in ("4 May", "20220231", ""):
        with pytest.raises(OptionError, match="expected a date such as 20220504"):
            parse_date(wrong, "--train-until")


# --- sessions --------------------------------------------------------------------------------------------------------


def test_sessions_by_hand() -> None:
    """A pause of exactly the gap does not cut; another user does; rows of other splits are not there."""
    user = np.array([1, 1, 1, 1, 2, 2], dtype=np.int32)
    time = np.array([0, 30, 61, 62, 62, 63]) * MINUTE
    every = find_sessions(np.arange(6), user, time, 30)
    assert (every.start.tolist(), every.length.tolist(), every.user.tolist()) == ([0, 2, 4], [2, 2, 2], [1, 1, 2])
    assert find_sessions(np.arange(6), user, time, None).length.tolist() == [4, 2]
    assert find_sessions(np.array([0, 3, 4]), user, time, 30).length.tolist() == [1, 1, 1]
    assert len(find_sessions(np.arange(0), user, time, 30)) == 0
    assert every.longer_than(3).length.tolist() == []
    with pytest.raises(OptionError, match="above 0 or none"):
        find_sessions(np.arange(6), user, time, 0)


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(0, 200)), min_size=1, max_size=60), st.sampled_from([5, 30, None])
)
def test_sessions_are_a_partition(rows: list[tuple[int, int]], gap: float | None) -> None:
    user, minute = np.array(sorted(rows)).T
    found = find_sessions(np.arange(len(user)), user.astype(np.int32), minute * MINUTE, gap)
    assert found.length.sum() == len(user)
    for start, length, owner in zip(found.start, found.length, found.user, strict=True):
        part = slice(start, start + length)
        assert (user[part] == owner).all()
        if gap is not None:
            assert (np.diff(minute[part]) <= gap).all()
    for left, right in zip(found.start[:-1], found.start[1:], strict=True):
        assert user[right] != user[left] or (gap is not None and minute[right] - minute[right - 1] > gap)


# --- writing ---------------------------------------------------------------------------------------------------------


def test_a_folder_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    writer = atomic_folder(tmp_path / "out")
    partial = writer.__enter__()
    (partial / "half").write_text("x")
    assert not (tmp_path / "out").exists()
    assert not writer.__exit__(ZeroDivisionError, ZeroDivisionError(), None), "the error goes on"
    assert list(tmp_path.iterdir()) == []
    with atomic_folder(tmp_path / "deep/out") as partial:
        (partial / "whole").write_text("x")
    assert (tmp_path / "deep/out/whole").read_text() == "x"


def test_what_a_killed_process_left_is_cleared(tmp_path: Path) -> None:
    partial_path(tmp_path / "out").mkdir()
    (partial_path(tmp_path / "out") / "old").mkdir()
    (partial_path(tmp_path / "out") / "rest").write_text("x")
    with atomic_folder(tmp_path / "out") as partial:
        assert list(partial.iterdir()) == []


def _try_to_write(folder: str, answer: multiprocessing.Queue) -> None:
    try:
        with atomic_folder(Path(folder)):
            answer.put("written")
    except OutputError as error:
        answer.put(str(error))


def test_two_processes_are_kept_apart(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    with atomic_folder(tmp_path / "out") as partial:
        (partial / "mine").write_text("x")
        other = context.Process(target=_try_to_write, args=(str(tmp_path / "out"), answer))
        other.start()
        assert "another process is writing there" in answer.get(timeout=60)
        other.join()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]


def test_a_file_is_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_file(tmp_path / "f", b"old")

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", refuse)
        with pytest.raises(OutputError, match="No space left"):
            write_file(tmp_path / "f", b"new")
    assert (tmp_path / "f").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
    write_file(tmp_path / "f", b"new")
    assert (tmp_path / "f").read_bytes() == b"new"


# --- sorting ---------------------------------------------------------------------------------------------------------


def spilled_rows(pairs: list[tuple[int, int]]) -> np.ndarray:
    rows = np.zeros(len(pairs), dtype=ROW)
    rows["user"], rows["time_ms"] = np.array(pairs).reshape(-1, 2).T
    rows["play_time_ms"] = np.arange(len(pairs))
    return rows


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 5)), min_size=1, max_size=80), st.integers(1, 5))
def test_spilling_sorts_stably(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[int, int]], blocks: int
) -> None:
    rows = spilled_rows(pairs)
    spill = UserSpill(tmp_path_factory.mktemp("spill") / "rows", 9)
    for part in np.array_split(np.arange(len(rows)), blocks):
        spill.append(rows[part])
    found = np.concatenate(list(spill))
    spill.close()
    order = sorted(range(len(pairs)), key=lambda i: pairs[i])
    assert found["play_time_ms"].tolist() == order


@given(st.lists(st.integers(0, 6), max_size=60))
def test_only_the_first_of_equal_rows_stays(values: list[int]) -> None:
    rows = np.zeros(len(values), dtype=ROW)
    rows["video"] = values
    expected = list(dict.fromkeys(values))
    assert drop_repeated(rows)["video"].tolist() == expected


@pytest.mark.parametrize("ids", [[5], [0, 1, 2, 7], [-9_223_372_036_854_775_808, 0, 9_223_372_036_854_775_807]])
def test_ids_are_found_and_strangers_are_not(ids: list[int]) -> None:
    known = IdMap(np.array(ids))
    assert known.lookup(np.array(ids)).tolist() == list(range(1, len(ids) + 1))
    assert known.lookup(np.array([3, 4, 6, -1, 10**12])).tolist() == [0] * 5
