"""Downloads from a local server that behaves and misbehaves."""

from __future__ import annotations

import errno
import hashlib
import http.client
import io
import re
import signal
import ssl
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from svsim.data.download import RELEASES, Release, download
from svsim.errors import BusyError, DataError, OptionError, OutputError, SvsimError, UnknownNameError

NAME = "KuaiRand-Test.tar.gz"


def archive(members: dict[str, bytes | str]) -> bytes:
    """A tar.gz; a text stands for a link's target."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


# Random bytes do not compress: the archive is larger than one block.
LOG = b"".join(hashlib.sha512(number.to_bytes(4, "big")).digest() for number in range(40_000))
GOOD = archive({"KuaiRand-Test/data/log.csv": LOG, "KuaiRand-Test/LICENSE": b"CC"})


class Server(ThreadingHTTPServer):
    """Serves one file; what it does wrong is set by its attributes."""

    content = GOOD
    tag: str | None = '"one"'
    ranges = True
    break_after: int | None = None
    breaks = 0
    dead_after: int | None = None
    status: int | None = None
    requests: list[tuple[str | None, int]]
    conditions: list[str | None]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests, self.conditions = [], []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/files"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        server, asked = self.server, self.headers.get("Range")
        if server.dead_after is not None and len(server.requests) >= server.dead_after:
            server.requests.append((asked, 0))
            self.close_connection = True
            return
        if server.status or self.path != f"/files/{NAME}":
            server.requests.append((asked, 0))
            self.send_error(server.status or 404)
            return
        start = 0
        self.server.conditions.append(self.headers.get("If-Range"))
        if asked and server.ranges and self.headers.get("If-Range") in (None, server.tag):
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
        if start >= len(server.content):
            server.requests.append((asked, 0))
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        if server.tag:
            self.send_header("ETag", server.tag)
        self.send_header("Content-Length", str(len(server.content) - start))
        self.end_headers()
        body = server.content[start:]
        if server.breaks:
            server.breaks -= 1
            body = body[: server.break_after]
        server.requests.append((asked, len(body)))
        self.wfile.write(body)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def fetch(server: Server, out: Path, content: bytes = GOOD, **options: object) -> Path:
    release = Release(NAME, hashlib.md5(content).hexdigest())
    return download(release, out, base_url=server.url, pause_s=0.0, **options)


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_release_is_fetched_checked_and_unpacked(server: Server, tmp_path: Path) -> None:
    told = []
    folder = fetch(server, tmp_path, progress=lambda done, whole: told.append((done, whole)))
    assert folder == tmp_path / "KuaiRand-Test"
    assert files(tmp_path) == {"KuaiRand-Test/data/log.csv", "KuaiRand-Test/LICENSE"}
    assert (folder / "data/log.csv").read_bytes() == LOG
    assert told[-1] == (len(GOOD), len(GOOD))


def test_what_is_there_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    fetch(server, tmp_path)
    fetch(server, tmp_path)
    assert len(server.requests) == 1


def test_the_archive_can_be_kept_and_used_again(server: Server, tmp_path: Path) -> None:
    folder = fetch(server, tmp_path, keep_archive=True)
    assert (tmp_path / NAME).read_bytes() == GOOD
    (folder / "LICENSE").unlink()
    (folder / "data/log.csv").unlink()
    (folder / "data").rmdir()
    folder.rmdir()
    fetch(server, tmp_path)
    assert len(server.requests) == 1


def test_a_broken_connection_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.break_after, server.breaks = 600_000, 3
    fetch(server, tmp_path)
    assert [asked for asked, _ in server.requests] == [None, "bytes=600000-", "bytes=1200000-", "bytes=1800000-"]
    assert sum(sent for _, sent in server.requests) == len(GOOD), "no byte comes twice"


def test_a_dead_connection_says_so_and_keeps_the_part(server: Server, tmp_path: Path) -> None:
    server.break_after, server.breaks, server.dead_after = 1_000_000, 1, 1
    with pytest.raises(DataError, match=r"1,000,000 bytes were kept.*run the command again"):
        fetch(server, tmp_path)
    server.dead_after = None
    server.requests.clear()
    fetch(server, tmp_path)
    assert server.requests == [("bytes=1000000-", len(GOOD) - 1_000_000)]


def test_a_changed_file_is_begun_anew(server: Server, tmp_path: Path) -> None:
    part_of_another(server, tmp_path)
    server.content, server.tag = GOOD, '"two"'
    fetch(server, tmp_path)
    assert server.requests == [("bytes=500000-", len(GOOD))]


def test_a_server_without_ranges_is_begun_anew(server: Server, tmp_path: Path) -> None:
    part_of_another(server, tmp_path)
    server.content, server.ranges = GOOD, False
    fetch(server, tmp_path)
    assert server.requests[-1][1] == len(GOOD)


def part_of_another(server: Server, out: Path) -> None:
    """Leave a part of 500,000 bytes, as a killed process does."""
    (out / f"{NAME}.part").write_bytes(b"x" * 500_000)
    (out / f"{NAME}.part.json").write_text(f'{{"url": "{server.url}/{NAME}", "tag": "\\"one\\""}}')


@pytest.mark.parametrize("state", [None, "{", "[]", '{"url": "http://elsewhere/x", "tag": "t"}'])
def test_a_part_of_unknown_origin_is_begun_anew(server: Server, tmp_path: Path, state: str | None) -> None:
    (tmp_path / f"{NAME}.part").write_bytes(GOOD[:100])
    if state is not None:
        (tmp_path / f"{NAME}.part.json").write_text(state)
    fetch(server, tmp_path)
    assert server.requests == [(None, len(GOOD))]


def test_a_complete_part_is_only_checked(server: Server, tmp_path: Path) -> None:
    part_of_another(server, tmp_path)
    (tmp_path / f"{NAME}.part").write_bytes(GOOD)
    fetch(server, tmp_path)
    assert server.requests == [(f"bytes={len(GOOD)}-", 0)]


@pytest.mark.parametrize("tag", [None, 'W/"weak"'])
def test_without_a_strong_tag_the_size_has_to_do(server: Server, tmp_path: Path, tag: str | None) -> None:
    server.tag = tag
    server.break_after, server.breaks = 600_000, 1
    fetch(server, tmp_path)
    assert [asked for asked, _ in server.requests] == [None, "bytes=600000-"]
    assert server.conditions == [None, None], "a weak tag is not allowed there"
    assert sum(sent for _, sent in server.requests) == len(GOOD)


def test_without_a_tag_a_file_of_another_size_is_begun_anew(server: Server, tmp_path: Path) -> None:
    server.tag, server.content = None, GOOD + b"longer"
    server.break_after, server.breaks, server.dead_after = 1_000_000, 1, 1
    with pytest.raises(DataError, match="were kept"):
        fetch(server, tmp_path)
    server.content, server.dead_after = GOOD, None
    server.requests.clear()
    fetch(server, tmp_path)
    assert [asked for asked, _ in server.requests] == ["bytes=1000000-", None]
    assert server.requests[-1][1] == len(GOOD)


def test_without_a_tag_the_md5_catches_a_file_of_the_same_size(server: Server, tmp_path: Path) -> None:
    server.tag, server.content = None, bytes(len(GOOD))
    server.break_after, server.breaks, server.dead_after = 1_000_000, 1, 1
    with pytest.raises(DataError, match="were kept"):
        fetch(server, tmp_path)
    server.content, server.dead_after = GOOD, None
    with pytest.raises(DataError, match="expected MD5"):
        fetch(server, tmp_path)
    assert files(tmp_path) == set()
    assert (fetch(server, tmp_path) / "data/log.csv").read_bytes() == LOG


def test_a_fault_of_the_connection_is_not_one_of_the_disk(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, faults = (
        http.client.HTTPResponse.read,
        [ssl.SSLError("bad record mac"), OSError(errno.EHOSTUNREACH, "no route")],
    )

    def faulty(self: http.client.HTTPResponse, amount: int | None = None) -> bytes:
        if faults and server.requests:
            raise faults.pop()
        return read(self, amount)

    monkeypatch.setattr(http.client.HTTPResponse, "read", faulty)
    assert (fetch(server, tmp_path) / "data/log.csv").read_bytes() == LOG
    assert not faults
    assert len(server.requests) == 3


def test_a_full_disk_in_the_middle_keeps_the_part(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(done: int, _: int | None) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path))

    with pytest.raises(OutputError, match=r"No space left.*free some space"):
        fetch(server, tmp_path, progress=full)
    kept = (tmp_path / f"{NAME}.part").stat().st_size
    assert kept > 0
    server.requests.clear()
    fetch(server, tmp_path)
    assert server.requests == [(f"bytes={kept}-", len(GOOD) - kept)]


def test_an_empty_folder_is_no_release_and_a_file_is_in_the_way(server: Server, tmp_path: Path) -> None:
    (tmp_path / "KuaiRand-Test").mkdir()
    assert (fetch(server, tmp_path) / "data/log.csv").read_bytes() == LOG
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "KuaiRand-Test").write_text("mine")
    with pytest.raises(OutputError, match="found a file"):
        fetch(server, tmp_path / "other")
    assert len(server.requests) == 1, "refused before anything is fetched"


def test_two_downloads_do_not_share_a_part(server: Server, tmp_path: Path) -> None:
    refused = []

    def second(done: int, whole: int | None) -> None:
        with pytest.raises(BusyError, match="another process is writing there"):
            fetch(server, tmp_path)
        refused.append(done)

    assert (fetch(server, tmp_path, progress=second) / "data/log.csv").read_bytes() == LOG
    assert refused
    assert len(server.requests) == 1


def test_a_wrong_file_is_removed(server: Server, tmp_path: Path) -> None:
    server.content = archive({"KuaiRand-Test/x": b"something else"})
    with pytest.raises(DataError, match=r"expected MD5 [0-9a-f]{32}, found [0-9a-f]{32}"):
        fetch(server, tmp_path)
    assert files(tmp_path) == set()


@pytest.mark.parametrize(("status", "message"), [(404, "answered 404"), (403, "answered 403"), (503, "status 503")])
def test_refusals_are_passed_on(server: Server, tmp_path: Path, status: int, message: str) -> None:
    server.status = status
    with pytest.raises(DataError, match=message):
        fetch(server, tmp_path)
    assert files(tmp_path) == set()


def test_no_network_is_explained(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing came in 5 attempts.*check the network"):
        download(Release(NAME, "0" * 32), tmp_path, base_url="http://127.0.0.1:9", pause_s=0.0)


@pytest.mark.parametrize(
    "member",
    [{"../evil": b"x"}, {"/evil": b"x"}, {"KuaiRand-Test/../../evil": b"x"}, {"link": "/etc"}, {"link": "../.."}],
)
def test_unsafe_archives_are_refused(server: Server, tmp_path: Path, member: dict[str, bytes | str]) -> None:
    server.content = archive({"fine": b"y", **member})
    out = tmp_path / "deep" / "out"
    with pytest.raises(DataError, match="not to be trusted"):
        fetch(server, out, server.content)
    assert files(tmp_path) == {f"deep/out/{NAME}"}, "the archive stays, nothing is unpacked"


@pytest.mark.parametrize("content", [b"no archive at all", GOOD[: len(GOOD) // 2]])
def test_damaged_archives_are_refused(server: Server, tmp_path: Path, content: bytes) -> None:
    server.content = content
    with pytest.raises(DataError, match="expected a tar archive"):
        fetch(server, tmp_path, content)
    assert not (tmp_path / "KuaiRand-Test").exists()


def test_an_archive_without_its_own_folder_is_not_spread(server: Server, tmp_path: Path) -> None:
    server.content = archive({"data/log.csv": b"1"})
    fetch(server, tmp_path, server.content)
    assert files(tmp_path) == {"KuaiRand-Test/data/log.csv"}


def test_a_full_disk_is_explained(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path))

    monkeypatch.setattr(tarfile.TarFile, "extract", full)
    with pytest.raises(OutputError, match="No space left"):
        fetch(server, tmp_path)
    assert files(tmp_path) == {NAME}


def test_wrong_names_and_addresses_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="pure, 1k, 27k"):
        download("2k", tmp_path)
    with pytest.raises(OptionError, match="http or https"):
        download("pure", tmp_path, base_url="file:///etc")
    assert issubclass(DataError, SvsimError)


def test_releases_are_the_published_ones() -> None:
    assert {name: (release.folder, release.md5) for name, release in RELEASES.items()} == {
        "pure": ("KuaiRand-Pure", "0820331067a3784d9691136f772b35a7"),
        "1k": ("KuaiRand-1K", "6b0b9c8222d67fcd4c676218edca3f1f"),
        "27k": ("KuaiRand-27K", "3e3c799a24e2d23a4d2c757fbf9adf59"),
    }


KILLED = """
import os, signal, sys
from svsim.data.download import Release, download
def progress(done, whole):
    if done >= whole // 2:
        os.kill(os.getpid(), signal.SIGKILL)
download(Release(sys.argv[1], sys.argv[2]), sys.argv[3], base_url=sys.argv[4], progress=progress)
"""


def test_a_killed_download_goes_on(server: Server, tmp_path: Path) -> None:
    md5 = hashlib.md5(GOOD).hexdigest()
    killed = subprocess.run([sys.executable, "-c", KILLED, NAME, md5, tmp_path, server.url], check=False)
    assert killed.returncode == -signal.SIGKILL
    kept = (tmp_path / f"{NAME}.part").stat().st_size
    server.requests.clear()
    fetch(server, tmp_path)
    assert (tmp_path / "KuaiRand-Test/data/log.csv").read_bytes() == LOG
    assert server.requests == ([(f"bytes={kept}-", len(GOOD) - kept)] if kept else [(None, len(GOOD))])
