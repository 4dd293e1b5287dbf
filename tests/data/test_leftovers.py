"""A conversion that ends early leaves nothing, and the next one finds nothing in its way."""

from __future__ import annotations

import errno
import io
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from svsim.data import open_store, prepare
from svsim.data.atomic import partial_path
from svsim.errors import OutputError
from svsim.names import STATISTIC_COLUMNS
from tests.kuairand import log_row, write_csv, write_kuairand


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Twelve rows over four dates, with every kind of table."""
    rows = [log_row(user=1, video=1 + n % 3, time_ms=n, date=20220420 + n % 4, play=n) for n in range(12)]
    folder = write_kuairand(tmp_path / "files", rows, users={1: 5}, videos=[1, 2, 3])
    statistics = [dict.fromkeys(STATISTIC_COLUMNS, 1.5) | {"video_id": video} for video in (1, 2, 3)]
    write_csv(folder / "video_features_statistic.csv", STATISTIC_COLUMNS, statistics)
    return folder


def steps_of(files: Path, out: Path) -> list[str]:
    told: list[str] = []
    prepare(files, out, progress=lambda name, *_: told.append(name))
    return list(dict.fromkeys(told))


@pytest.mark.parametrize("step", range(4))
def test_an_interrupted_run_leaves_nothing(files: Path, step: int) -> None:
    """Ctrl-C at any step that progress tells of."""
    names = steps_of(files, files.parent / "whole")
    assert len(names) == 4

    def interrupt(name: str, *_: int) -> None:
        if name == names[step]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(files, files.parent / "store", progress=interrupt)
    assert {path.name for path in files.parent.iterdir()} == {"files", "whole"}
    assert prepare(files, files.parent / "store").n_events == 12


class FillingDisk:
    """`open` whose files under a folder, after the first few, lie on a disk without a free byte."""

    def __init__(self, folder: Path, room_for: float) -> None:
        self.folder, self.room_for, self.opened = folder, room_for, 0
        self._open = io.open

    def __call__(self, file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if "w" in mode and not isinstance(file, int) and Path(file).is_relative_to(self.folder):
            self.opened += 1
            if self.opened > self.room_for:
                file = "/dev/full"
        return self._open(file, mode, *args, **kwargs)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("room_for", [0, 1, 49, 50, 51, 60, 73, -40, -3, -2, -1])
def test_a_disk_that_fills_up(files: Path, monkeypatch: pytest.MonkeyPatch, room_for: int) -> None:
    """Unlike a failing open, a full disk speaks up at a write, a flush or a close; negative counts from the last file."""
    out = files.parent / "store"
    disk = FillingDisk(partial_path(out), float("inf"))
    with monkeypatch.context() as patch:
        patch.setattr(io, "open", disk)
        whole = prepare(files, out)
        shutil.rmtree(out)
        disk.room_for, disk.opened = room_for % disk.opened, 0
        with pytest.raises(OutputError, match=r"No space left on device; free some space"):
            prepare(files, out)
    assert [path.name for path in files.parent.iterdir()] == ["files"]
    assert prepare(files, out) == whole


def test_a_rename_that_is_refused(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(target))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", refuse)
        with pytest.raises(OutputError, match="Permission denied; name an --out that you may write to"):
            prepare(files, files.parent / "store")
    assert [path.name for path in files.parent.iterdir()] == ["files"]


def test_a_link_to_nowhere_is_not_followed(files: Path) -> None:
    out = files.parent / "link"
    out.symlink_to(files.parent / "nowhere")
    with pytest.raises(OutputError, match="could not write"):
        prepare(files, out)
    assert {path.name for path in files.parent.iterdir()} == {"files", "link"}


def test_a_file_in_the_place_of_the_store(files: Path) -> None:
    out = files.parent / "store"
    out.write_text("thesis")
    with pytest.raises(OutputError, match="expected no such folder or an empty one"):
        prepare(files, out)
    assert out.read_text() == "thesis"


def test_a_store_may_lie_among_its_sources(files: Path) -> None:
    """Its name is none of KuaiRand's, so the files are the same ones the next time."""
    made = prepare(files, files / "store")
    assert prepare(files, files / "store") == made == open_store(files / "store")
