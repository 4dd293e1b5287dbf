"""A benchmark that is killed at any moment, however often, ends with the bytes of one that was let alone."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from svsim.benchmark import BenchmarkSpec, run
from svsim.data import FeedStore

KILLS = 20

SETTINGS = {
    "agents": ("random", "linucb", "lints"),
    "split": "train",
    "candidates": 5,
    "horizon": 4,
    "seeds": 4,
    "episodes": 24,
    "num_envs": 4,
    "rails": False,
}

SHARED = f"""
import os, random, signal, sys, time, traceback
from pathlib import Path
import pandas, pyarrow.parquet
from svsim.benchmark import BenchmarkSpec, ProcessExecutor, run
from svsim.benchmark.shard import make_environment

SPEC = BenchmarkSpec(store=sys.argv[1], **{SETTINGS!r})
FOLDER = Path(sys.argv[2])
make_environment(SPEC, 1)

def start(out, before=lambda: None):
    # A fork has all imported already: its life is the benchmark's alone.
    pid = os.fork()
    if pid:
        return pid
    try:
        before()
        run(SPEC, out)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)

def ended(pid):
    status = os.waitpid(pid, 0)[1]
    assert status in (0, signal.SIGKILL), status
    return status == 0
"""

AT_RANDOM = """
began = time.monotonic()
assert ended(start(FOLDER / "whole"))
life = time.monotonic() - began
draws = random.Random(20220408)
kills = number = 0
while kills < int(sys.argv[3]):
    pid = start(FOLDER / str(number))
    # Mostly short lives, which leave much behind; now and then a long one, which comes to the end's own moments.
    time.sleep(draws.uniform(0, life if draws.random() < 0.2 else life / 6))
    os.kill(pid, signal.SIGKILL)
    if ended(pid):
        number += 1
    else:
        kills += 1
assert ended(start(FOLDER / str(number)))
print(kills)
"""

AT_FILES = """
def kill_at(name, last):
    real, calls = getattr(os, name), []
    def counted(*arguments, **named):
        calls.append(arguments)
        if len(calls) == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **named)
    setattr(os, name, counted)

kills = 0
for name, moments in {"fsync": range(1, 99), "unlink": (1, 9, 99)}.items():
    for last in moments:
        # Each life gets one call further, counted from where the one before came to.
        if ended(start(FOLDER / name, lambda: kill_at(name, last))):
            break
        kills += 1
print(kills)
"""


def spec(store: FeedStore) -> BenchmarkSpec:
    return BenchmarkSpec(store=store, **SETTINGS)


def contents(folder: Path) -> dict[str, bytes]:
    """All files, hidden ones and those of folders too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def script(code: str, *arguments: object) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", SHARED + code, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def whole(store: FeedStore, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole") / "out"
    run(spec(store), folder)
    return contents(folder)


@pytest.mark.slow
def test_killed_at_random_moments(store: FeedStore, whole: dict[str, bytes], tmp_path: Path) -> None:
    assert int(script(AT_RANDOM, store.path, tmp_path, KILLS)) == KILLS
    for folder in tmp_path.iterdir():
        assert contents(folder) == whole, folder.name


def test_killed_at_files(store: FeedStore, whole: dict[str, bytes], tmp_path: Path) -> None:
    """The moments that matter: a file written and not yet in its place, shards half removed."""
    assert int(script(AT_FILES, store.path, tmp_path)) > 6
    assert {folder.name for folder in tmp_path.iterdir()} == {"fsync", "unlink"}
    for folder in tmp_path.iterdir():
        assert contents(folder) == whole, folder.name


WITH_WORKERS = """
run(SPEC, FOLDER, executor=ProcessExecutor(2), progress=lambda *_: print("shard", flush=True))
"""


def test_workers_do_not_outlive_a_killed_parent(store: FeedStore, whole: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text(SHARED + f"if __name__ == '__main__':\n    {WITH_WORKERS.strip()}\n")
    out = tmp_path / "out"
    with subprocess.Popen([sys.executable, path, store.path, out], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout.readline() == "shard\n"
        children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
        running.kill()
    assert len(children) >= 2
    waited = time.monotonic()
    while any(Path(f"/proc/{pid}/cmdline").is_file() and _is_ours(pid) for pid in children):
        assert time.monotonic() - waited < 30, "a worker waits for tasks that nobody will send"
        time.sleep(0.05)
    run(spec(store), out)
    assert contents(out) == whole


def _is_ours(pid: str) -> bool:
    """Whether a process still runs: not one that has ended and is to be collected, nor another of the same number."""
    try:
        return b"multiprocessing" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


# --- shards that are not what they should be --------------------------------------------------------------------------


@pytest.fixture
def half_done(store: FeedStore, tmp_path: Path) -> Path:
    """A benchmark that was stopped after its third shard."""

    def stop(done: int, *_: object) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(spec(store), tmp_path / "out", progress=stop)
    return tmp_path / "out"


@pytest.mark.parametrize("damage", ["cut", "empty", "nothing like it", "another's", "another seed's", "a folder's"])
def test_damaged_shards_are_played_again(
    store: FeedStore, whole: dict[str, bytes], half_done: Path, damage: str
) -> None:
    first, second, _ = sorted((half_done / "shards").iterdir())
    good = first.read_bytes()
    bad = {
        "cut": good[: len(good) // 2],
        "empty": b"",
        "nothing like it": b"not a shard",
        "another's": json.dumps({"a": 1}).encode(),
        "another seed's": second.read_bytes(),
        "a folder's": good.replace(b"step_sums", b"step_suns"),
    }[damage]
    first.write_bytes(bad)
    played: list[int] = []
    run(spec(store), half_done, progress=lambda done, *_: played.append(done))
    assert played[0] == 3, "two of three were good"
    assert contents(half_done) == whole


def test_a_kill_is_a_kill(store: FeedStore, tmp_path: Path) -> None:
    """The loop above would pass where nothing was killed at work: some life leaves shards behind."""
    code = 'pid = start(FOLDER / "out")\nwhile not list(FOLDER.glob("out/shards/*.npz")):\n    time.sleep(0.005)\n'
    script(code + "os.kill(pid, signal.SIGKILL)\nassert not ended(pid)\n", store.path, tmp_path)
    assert list(tmp_path.glob("out/shards/*.npz"))
