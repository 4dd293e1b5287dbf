"""Files and folders that are written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from svsim.errors import BusyError, OutputError, SvsimError

__all__ = ["as_output_error", "atomic_folder", "locked", "partial_path", "write_file"]


def partial_path(target: Path) -> Path:
    """Where `target` grows before it gets its name: a hidden sibling, so that the rename stays on one file system."""
    return target.parent / f".{target.name}.partial"


@contextlib.contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """Give an empty folder to write into, which becomes `target` when the block ends well.

    A block that fails leaves nothing behind. What a killed process left behind is cleared by the next one; two processes
    that write one target at a time are kept apart by a lock on the folder.

    Raises:
        BusyError: Another process is writing it.
        OutputError: The target exists and is no empty folder, or the disk refuses.
    """
    target = Path(os.path.abspath(target))  # noqa: PTH100 - resolve() would follow a link that is to be replaced
    partial = partial_path(target)
    with as_output_error(target):
        if target.exists() and not (target.is_dir() and not any(target.iterdir())):
            raise OutputError(
                "expected no such folder or an empty one, found files", where=str(target), remedy="name another --out"
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = _lock(partial)
    try:
        with as_output_error(target):
            _clear(partial)
            yield partial
            _sync_tree(partial)
            partial.rename(target)
            _sync(target.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    finally:
        os.close(lock)


def write_file(path: Path, content: bytes) -> None:
    """Write a file so that at every moment its name holds the old content or the new.

    Raises:
        OutputError: The disk refuses.
    """
    partial = partial_path(path)
    with as_output_error(path):
        try:
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes that ask the same out of a folder, as long as the block runs.

    Raises:
        BusyError: Another process is in there.
    """
    handle = _locked_handle(folder)
    try:
        yield
    finally:
        os.close(handle)


def _locked_handle(folder: Path) -> int:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(handle)
        raise BusyError(
            "another process is writing there", where=str(folder), remedy="wait for it, or name another --out"
        ) from error
    return handle


def _lock(folder: Path) -> int:
    while True:
        folder.mkdir(exist_ok=True)
        handle = _locked_handle(folder)
        # Between our mkdir and our lock its former owner may have renamed or removed the folder.
        with contextlib.suppress(FileNotFoundError):
            if os.fstat(handle).st_ino == folder.stat().st_ino:
                return handle
        os.close(handle)


def _clear(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _sync_tree(folder: Path) -> None:
    for root, _, files in os.walk(folder, topdown=False):
        for name in files:
            _sync(Path(root) / name)
        _sync(Path(root))


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def as_output_error(target: Path) -> Iterator[None]:
    """Turn what the disk refuses into an `OutputError` with a remedy."""
    remedies = {
        errno.ENOSPC: "free some space or name an --out on another disk",
        errno.EDQUOT: "free some space or name an --out on another disk",
        errno.EACCES: "name an --out that you may write to",
        errno.EPERM: "name an --out that you may write to",
        errno.EROFS: "name an --out that you may write to",
    }
    try:
        yield
    except SvsimError:
        raise
    except OSError as error:
        remedy = remedies.get(error.errno or 0, "nothing was kept of the attempt")
        raise OutputError(
            f"could not write: {error.strerror or error}", where=str(error.filename or target), remedy=remedy
        ) from error
