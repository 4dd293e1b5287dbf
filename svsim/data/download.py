"""Fetches the official archives: goes on where it stopped, checks what came, unpacks it safely."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import shutil
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

from svsim._version import __version__
from svsim.data.atomic import as_output_error, atomic_folder, locked, write_file
from svsim.errors import DataError, OptionError, OutputError, UnknownNameError

__all__ = ["BASE_URL", "RELEASES", "Release", "download"]

BASE_URL = "https://zenodo.org/records/10439422/files"
BLOCK_BYTES = 1 << 20
TIMEOUT_S = 60.0
ATTEMPTS = 5

Progress = Callable[[int, "int | None"], None]


@dataclass(frozen=True)
class Release:
    """One published archive.

    Attributes:
        archive: Its file name.
        md5: Its published checksum.
    """

    archive: str
    md5: str

    @property
    def folder(self) -> str:
        """Name of the folder that it is unpacked to."""
        return self.archive.removesuffix(".tar.gz")


RELEASES: Mapping[str, Release] = MappingProxyType(
    {
        "pure": Release("KuaiRand-Pure.tar.gz", "0820331067a3784d9691136f772b35a7"),
        "1k": Release("KuaiRand-1K.tar.gz", "6b0b9c8222d67fcd4c676218edca3f1f"),
        "27k": Release("KuaiRand-27K.tar.gz", "3e3c799a24e2d23a4d2c757fbf9adf59"),
    }
)
"""The releases of KuaiRand (Gao et al., CIKM 2022; CC BY-SA 4.0)."""


def download(
    release: str | Release,
    out: str | Path,
    *,
    base_url: str = BASE_URL,
    keep_archive: bool = False,
    progress: Progress | None = None,
    pause_s: float = 1.0,
) -> Path:
    """Fetch, check and unpack a release; what is there already is not fetched again.

    The part that has come is kept beside its name as `ARCHIVE.part`, so that a broken-off or killed download goes on when
    started again.

    Args:
        release: `pure`, `1k`, `27k`, or a release of one's own.
        out: Folder that the release's folder is put into.
        base_url: Where the archive lies, without its name.
        keep_archive: Whether the archive stays after it is unpacked.
        progress: Told how many bytes have come, and how many there are if the server says so.
        pause_s: Seconds before the first retry; doubled for each further one.

    Returns:
        The unpacked folder.

    Raises:
        UnknownNameError: No such release.
        OptionError: The address is neither http nor https.
        DataError: The server does not give the file, or the file is not what was published.
        BusyError: Another process downloads into the same folder.
        OutputError: The disk refuses.
    """
    chosen = _release(release)
    if not base_url.startswith(("http://", "https://")):
        raise OptionError(f"expected an http or https address, found {base_url!r}", where="--url")
    target = Path(out) / chosen.folder
    if target.exists():
        if not target.is_dir():
            raise OutputError("expected a folder or nothing, found a file", where=str(target), remedy="move it away")
        if any(target.iterdir()):
            return target
    archive = Path(out) / chosen.archive
    with as_output_error(archive):
        archive.parent.mkdir(parents=True, exist_ok=True)
        # Two at once would write into one part.
        with locked(archive.parent):
            if not archive.is_file():
                url = f"{base_url.rstrip('/')}/{chosen.archive}"
                _Transfer(url, archive, progress or (lambda *_: None)).run(pause_s)
            _check(archive, chosen)
            _unpack(archive, target)
            if not keep_archive:
                archive.unlink()
    return target


def _release(release: str | Release) -> Release:
    if isinstance(release, Release):
        return release
    if release not in RELEASES:
        raise UnknownNameError(f"expected one of {', '.join(RELEASES)}, found {release!r}", where="release")
    return RELEASES[release]


def _check(archive: Path, release: Release) -> None:
    digest = hashlib.md5(usedforsecurity=False)
    with archive.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    if digest.hexdigest() != release.md5:
        archive.unlink()
        raise DataError(
            f"expected MD5 {release.md5}, found {digest.hexdigest()}: this is not the published file, and was removed",
            where=str(archive),
            remedy="fetch it again; if it fails again, the server has another file",
        )


# --- transfer --------------------------------------------------------------------------------------------------------


class _BrokenOff(Exception):
    """The connection ended before the file did."""


class _Transfer:
    """One file on its way to disk, in `NAME.part` with what the server said of it in `NAME.part.json`."""

    def __init__(self, url: str, path: Path, progress: Progress) -> None:
        self._url, self._path, self._progress = url, path, progress
        self._part = path.with_name(f"{path.name}.part")
        self._state = path.with_name(f"{path.name}.part.json")

    def run(self, pause_s: float) -> None:
        """Fetch the file, with a few retries that go on where the last one ended."""
        problem = ""
        failures = 0
        while failures < ATTEMPTS:
            if failures:
                time.sleep(pause_s * 2 ** (failures - 1))
            before = self._size()
            try:
                self._fetch()
                self._part.replace(self._path)
                self._state.unlink(missing_ok=True)
                return
            except (_BrokenOff, TimeoutError, ConnectionError, http.client.HTTPException) as error:
                problem = str(error) or type(error).__name__
                # What has brought the file forward is no failure to count.
                failures = failures + 1 if self._size() <= before else 1
        if not self._size():
            raise DataError(
                f"nothing came in {ATTEMPTS} attempts ({problem})",
                where=self._url,
                remedy="check the network and the address, then run the command again",
            )
        raise DataError(
            f"the connection broke off {ATTEMPTS} times ({problem}); {self._size():,} bytes were kept",
            where=self._url,
            remedy="run the command again: it goes on from there",
        )

    def _size(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def _fetch(self) -> None:
        request = urllib.request.Request(self._url, headers={"User-Agent": f"svsim/{__version__}"})
        have, known = self._size(), self._known()
        if have and known is None:
            # Nothing says that what the server has now is what the part came from.
            self._part.unlink()
            have = 0
        if have and known is not None:
            request.add_header("Range", f"bytes={have}-")
            if known["tag"]:
                request.add_header("If-Range", known["tag"])
        with self._opened(request, have) as response:
            if response is None:
                return
            resumed = response.status == 206
            start = have if resumed else 0
            if resumed and not str(response.headers.get("Content-Range", "")).startswith(f"bytes {have}-"):
                raise _BrokenOff(f"asked for bytes from {have}, was given {response.headers.get('Content-Range')}")
            length = response.headers.get("Content-Length")
            whole = start + int(length) if length and length.isdigit() else None
            if resumed and known is not None and known["bytes"] not in (None, whole):
                self._part.unlink()
                raise _BrokenOff(f"expected a file of {known['bytes']:,} bytes, found {whole}: begun anew")
            if not resumed:
                # Before the new tag is written down: a part of old bytes beside it would be taken for the new file's.
                self._part.unlink(missing_ok=True)
            self._remember(response.headers, whole)
            self._copy(response, start, whole)

    @contextlib.contextmanager
    def _opened(self, request: urllib.request.Request, have: int) -> Iterator[Any]:
        """The response; None where the server says that nothing is left to send."""
        try:
            response = urllib.request.urlopen(request, timeout=TIMEOUT_S)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416 and have:
                yield None
                return
            if error.code >= 500 or error.code == 429:
                raise _BrokenOff(f"status {error.code}") from error
            raise DataError(
                f"expected the file, the server answered {error.code} {error.reason}",
                where=self._url,
                remedy="is the address right?",
            ) from error
        except OSError as error:
            # A URLError, or what broke while the answer's head was read, which urllib passes on as it is.
            raise _BrokenOff(str(getattr(error, "reason", error)) or type(error).__name__) from error
        with response:
            yield response

    def _copy(self, response: Any, start: int, whole: int | None) -> None:
        done = start
        with self._part.open("ab" if start else "wb") as file:
            while True:
                try:
                    block = response.read(BLOCK_BYTES)
                except http.client.IncompleteRead as error:
                    file.write(error.partial)
                    raise
                except OSError as error:
                    # Of the connection, not of the disk: TLS and routing faults are no ConnectionError.
                    raise _BrokenOff(str(error) or type(error).__name__) from error
                if not block:
                    break
                file.write(block)
                done += len(block)
                self._progress(done, whole)
        if whole is not None and done < whole:
            raise _BrokenOff(f"{done:,} of {whole:,} bytes")

    # The ETag, or failing that the date, by which a server knows whether a part belongs to what it has now. Without one the
    # size has to do; a file that changed and kept its size is caught by its MD5.

    def _remember(self, headers: Any, whole: int | None) -> None:
        tag = headers.get("ETag") or headers.get("Last-Modified")
        # A weak tag does not promise the same bytes, and is not allowed in If-Range.
        tag = None if not tag or tag.startswith("W/") else tag
        write_file(self._state, json.dumps({"url": self._url, "tag": tag, "bytes": whole}).encode())

    def _known(self) -> dict[str, Any] | None:
        try:
            state = json.loads(self._state.read_bytes())
        except (OSError, ValueError):
            return None
        if not isinstance(state, dict) or state.get("url") != self._url:
            return None
        known = {"tag": state.get("tag"), "bytes": state.get("bytes")}
        return known if any(known.values()) else None


# --- unpacking -------------------------------------------------------------------------------------------------------


def _unpack(archive: Path, target: Path) -> None:
    """Unpack into a folder of its own, all or nothing; nothing of an archive lands outside of it."""
    with atomic_folder(target) as partial:
        try:
            with tarfile.open(archive, "r:gz") as tar:
                for member in tar:
                    _refuse_unsafe(member, archive)
                    tar.extract(member, partial, filter="data")
        except (tarfile.TarError, EOFError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise DataError(f"expected a tar archive, found {error}", where=str(archive)) from error
        inner = partial / target.name
        if [entry.name for entry in partial.iterdir()] == [target.name] and inner.is_dir():
            for entry in list(inner.iterdir()):
                shutil.move(entry, partial / entry.name)
            inner.rmdir()


def _refuse_unsafe(member: tarfile.TarInfo, archive: Path) -> None:
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or not (member.isfile() or member.isdir()):
        raise DataError(
            f"expected plain files and folders inside, found {member.name!r}",
            where=str(archive),
            remedy="this archive is not to be trusted",
        )
