"""Ray as executor: the same bytes, whatever is lost on the way."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import types
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from svsim.benchmark import BenchmarkSpec, run
from svsim.benchmark.executors import RayExecutor, make_executor, shipping
from svsim.benchmark.executors import ray as ray_module
from svsim.benchmark.shard import Shard, play_shard
from svsim.cli.main import main
from svsim.data import FeedStore
from svsim.errors import AgentError, OptionError, StoreError, SvsimError

pytest.importorskip("ray", reason="pip install 'svsim[ray]'")

FAILING = """
from svsim.agents import ScoringAgent


class Failing(ScoringAgent):
    def score(self, observation):
        raise ZeroDivisionError("no score today")
"""

# Says where it plays, and is stuck on the node that is to be killed.
MARKING = """
import pathlib
import time

import numpy as np
import ray

from svsim.agents import Agent


class Marking(Agent):
    def __init__(self, *, marks):
        self.marks = pathlib.Path(marks)

    def reset(self, observation, info, *, seed):
        node = ray.get_runtime_context().get_node_id() if ray.is_initialized() else "here"
        (self.marks / f"{seed}-{node}").touch()
        if (self.marks / "victim").exists() and (self.marks / "victim").read_text() == node:
            time.sleep(120)
            raise RuntimeError("expected to be killed")

    def act(self, observation):
        return np.argmax(observation["action_mask"], axis=1)
"""


def spec(store: FeedStore | str, *agents: str, **settings: Any) -> BenchmarkSpec:
    defaults = {"split": "train", "candidates": 5, "horizon": 4, "seeds": 4, "rails": False}
    return BenchmarkSpec(store=store, agents=agents, **(defaults | settings))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def processes(words: str) -> list[str]:
    """Command lines that hold some words."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if words in line:
            found.append(line)
    return found


@pytest.fixture
def temporary() -> Iterator[str]:
    """A temporary folder with a short name, since Ray's sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="svsim-t-") as folder:
        yield folder


# --- a stand-in for Ray ----------------------------------------------------------------------------------------------


class Reference(int):
    """Into the object store of `FakeRay`."""


class FakeRay(types.ModuleType):
    """A cluster of two CPUs that plays a task when its result is asked for."""

    def __init__(self) -> None:
        super().__init__("ray")
        self.exceptions = types.SimpleNamespace(RayTaskError=_Never, RayError=_Never)
        self.objects: dict[int, Any] = {}
        self.cancelled: list[int] = []
        self.flying: set[int] = set()
        self.most = self.submitted = 0

    def is_initialized(self) -> bool:
        return True

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 2.0}

    def put(self, value: Any) -> Reference:
        self.objects[len(self.objects)] = value
        return Reference(len(self.objects) - 1)

    def get(self, reference: Any) -> Any:
        value = self.objects[reference]
        return value() if callable(value) else value

    def remote(self, **options: Any) -> Any:
        assert options["num_cpus"] == 1
        assert options["max_retries"] >= 1
        assert not options["retry_exceptions"]
        return lambda function: types.SimpleNamespace(remote=lambda *task: self._submit(function, task))

    def _submit(self, function: Any, task: tuple[Any, ...]) -> int:
        reference = self.put(lambda: function(*[self.get(x) if isinstance(x, Reference) else x for x in task]))
        self.flying.add(reference)
        self.submitted += 1
        self.most = max(self.most, len(self.flying))
        return reference

    def wait(self, references: list[int], num_returns: int) -> tuple[list[int], list[int]]:
        done, rest = references[-num_returns:], references[:-num_returns]
        self.flying -= set(done)
        return done, rest

    def cancel(self, reference: int, *, force: bool) -> None:
        assert force
        self.cancelled.append(reference)


class _Never(Exception):
    pass


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    module = FakeRay()
    monkeypatch.setitem(sys.modules, "ray", module)
    return module


def test_few_tasks_are_under_way_at_a_time(fake: FakeRay) -> None:
    results = dict(RayExecutor().map(lambda x: x * x, [(x,) for x in range(200)]))
    assert results == {x: x * x for x in range(200)}
    assert fake.submitted == 200
    assert fake.most == ray_module.AHEAD * 2


def test_a_stopped_run_cancels_what_is_under_way(fake: FakeRay) -> None:
    running = RayExecutor().map(lambda x: x, [(x,) for x in range(50)])
    next(running)
    running.close()
    assert set(fake.cancelled) == fake.flying
    assert len(fake.flying) == ray_module.AHEAD * 2 - 1


def test_no_tasks_need_no_ray(fake: FakeRay) -> None:
    assert list(RayExecutor().map(lambda x: x, [])) == []
    assert fake.submitted == 0


# --- what tasks name by path -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ship", [False, True])
def test_agents_errors_tell_of_paths_as_typed(
    fake: FakeRay, store: FeedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ship: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SVSIM_HOME", str(tmp_path / "home"))
    Path("mine.py").write_text(FAILING)
    agent = "mine.py:Failing"
    expected = play_shard(spec(store, agent), agent, 0)
    assert isinstance(expected, AgentError)
    assert "mine.py, line 7" in str(expected)
    tasks = [(spec(store, agent), agent, 0)]
    ((_, found),) = RayExecutor(ship_store=ship).map(play_shard, tasks)
    assert isinstance(found, AgentError)
    assert str(found) == str(expected)
    assert (tmp_path / "home").exists() == ship


def test_shards_are_the_same_on_copies(
    fake: FakeRay, store: FeedStore, sasrec4sv_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SVSIM_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(shipping, "PIECE", 1_000)
    agents = (f"sasrec4sv?run={sasrec4sv_run}&head=wtr", f"mmr?diversity=0.5&of=sasrec4sv?run={sasrec4sv_run}")
    asked = spec(store, *agents, episodes=20)
    tasks = [(asked, agent, 0) for agent in agents]
    found = dict(RayExecutor(ship_store=True).map(play_shard, tasks))
    for number, task in enumerate(tasks):
        expected, shard = play_shard(*task), found[number]
        assert isinstance(expected, Shard)
        assert isinstance(shard, Shard)
        assert shard.to_bytes() == expected.to_bytes()
    folders = sorted(path.name.partition("-")[0] for path in (tmp_path / "home" / "shipped").iterdir())
    assert folders == ["copy", "store"], "the run is one copy, though two agents name it"
    for path in store.path.rglob("*.npy"):
        (copy,) = (tmp_path / "home" / "shipped").glob(f"store-*/{path.relative_to(store.path)}")
        assert copy.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("name", "moved"),
    [
        ("random", "random"),
        ("mine.py:Mine?head=wtr", "/new/mine.py:Mine?head=wtr"),
        ("sasrec4sv?run=runs/a&head=run", "sasrec4sv?run=/new/a&head=run"),
        ("mmr?diversity=1&of=mine.py:Mine?run=runs/a", "mmr?diversity=1&of=/new/mine.py:Mine?run=/new/a"),
        ("ppo?run=other", "ppo?run=other"),
    ],
)
def test_paths_within_names(name: str, moved: str) -> None:
    assert shipping._moved(name, {"mine.py": "/new/mine.py", "runs/a": "/new/a"}) == moved


def test_one_task_unpacks_and_the_others_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SVSIM_HOME", str(tmp_path))
    monkeypatch.setattr(shipping, "PAUSE_S", 0.01)
    fetched = []

    def get(piece: int) -> Any:
        fetched.append(piece)
        time.sleep(0.02)
        return np.full(10, piece, dtype=np.uint8)

    parcel = shipping.Parcel("store-x", tuple((f"events/{number}.npy", (number, number)) for number in range(5)))
    with ThreadPoolExecutor(4) as pool:
        places = list(pool.map(lambda _: shipping.unpack(parcel, get), range(4)))
    assert set(places) == {tmp_path / "shipped" / "store-x"}
    assert sorted(fetched) == sorted([*range(5), *range(5)]), "each piece was asked for once"
    assert (places[0] / "events" / "3.npy").read_bytes() == bytes([3] * 20)
    assert [path.name for path in (tmp_path / "shipped").iterdir()] == ["store-x"]


# --- what cannot be ---------------------------------------------------------------------------------------------------


def test_without_ray_it_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, store: FeedStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    out = tmp_path / "out"
    words = ["benchmark", "--store", store.path, "--out", out, "--agents", "random", "--executor", "ray"]
    assert main([str(word) for word in words]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert "pip install 'svsim[ray]'" in shown.err
    assert not out.exists()


@pytest.mark.parametrize("listening", [False, True])
def test_a_wrong_address_is_told_soon(
    listening: bool,
    monkeypatch: pytest.MonkeyPatch,
    store: FeedStore,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(ray_module, "CONNECT_S", 0.5)
    out = tmp_path / "out"
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if listening:
            server.listen()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        words = ["benchmark", "--store", store.path, "--out", out, "--agents", "random", "--executor", "ray"]
        began = time.monotonic()
        assert main([*map(str, words), "--address", address]) == 2
        assert time.monotonic() - began < 10
    shown = capfd.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert f"--address: expected a Ray cluster at {address}" in shown.err
    assert not out.exists()


def test_the_address_of_a_cluster_that_is_gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ray_module, "CONNECT_S", 0.5)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("127.0.0.1:1")
    with pytest.raises(OptionError, match=r"expected a Ray cluster at auto, found none: nothing at .*:1 answers"):
        make_executor("ray", address="auto")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(OptionError, match=r"RAY_ADDRESS: expected a Ray cluster at 127\.0\.0\.1:1"):
        make_executor("ray")


@pytest.mark.parametrize("address", ["somewhere", "ray://host:10001", "host:port"])
def test_no_address_at_all(address: str) -> None:
    with pytest.raises(OptionError, match="expected auto or HOST:PORT"):
        make_executor("ray", address=address)


def test_options_of_ray_alone() -> None:
    with pytest.raises(OptionError, match="--address: expected it with --executor ray"):
        make_executor("processes", address="auto")
    with pytest.raises(OptionError, match="--ship-store: expected it with --executor ray"):
        make_executor("serial", ship_store=True)
    with pytest.raises(OptionError, match="at least 1"):
        make_executor("ray", 0)


# --- Ray itself ------------------------------------------------------------------------------------------------------


def test_a_local_ray_gives_the_same_bytes_and_leaves_nothing(
    store: FeedStore,
    tmp_path: Path,
    temporary: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", temporary)
    words = [
        "benchmark",
        "--store",
        store.path,
        "--agents",
        "epsilon-greedy,linucb",
        "--split",
        "train",
        "--seeds",
        "2",
    ]
    words += ["--candidates", "5", "--horizon", "4"]
    tables = []
    for executor in ("serial", "ray"):
        more = ["--executor", executor, "--out", tmp_path / executor]
        assert main([str(word) for word in [*words, *more]]) == 0
        tables.append(capfd.readouterr())
    assert tables[1].out.replace(str(tmp_path / "ray"), str(tmp_path / "serial")) == tables[0].out
    assert tables[1].err == ""
    assert contents(tmp_path / "ray") == contents(tmp_path / "serial")
    assert processes(temporary) == []
    assert list(Path(temporary).iterdir()) == []


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A node of one CPU on this machine, to which others may be added."""
    from ray.cluster_utils import Cluster

    # Names of sockets have to be short, and Ray notes there which cluster `auto` means.
    with (
        tempfile.TemporaryDirectory(prefix="svsim-cl-", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("RAY_TMPDIR", folder)
        # A dead node is noticed within seconds.
        checks = {"initial_delay_ms": 500, "period_ms": 500, "timeout_ms": 3_000, "failure_threshold": 3}
        head = {"num_cpus": 1, "include_dashboard": False}
        head["_system_config"] = {f"health_check_{name}": value for name, value in checks.items()}
        made = Cluster(initialize_head=True, head_node_args=head)
        yield made
        made.shutdown()


@pytest.mark.slow
def test_errors_are_not_tried_again_and_lost_workers_are(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_module, "RETRIES", 1)

    def fail() -> None:
        with (tmp_path / "failed").open("a") as file:
            file.write("x")
        raise StoreError("expected a store, found nothing")

    def die(times: int) -> int:
        with (tmp_path / f"died-{times}").open("a") as file:
            file.write("x")
        if (tmp_path / f"died-{times}").stat().st_size <= times:
            os.kill(os.getpid(), signal.SIGKILL)
        return times

    executor = RayExecutor(address=cluster.address)
    with pytest.raises(StoreError, match="expected a store, found nothing"):
        list(executor.map(fail, [()]))
    assert (tmp_path / "failed").read_text() == "x"
    assert list(executor.map(die, [(1,)])) == [(0, 1)]
    with pytest.raises(SvsimError, match="lost with its worker 2 times"):
        list(executor.map(die, [(9,)]))


@pytest.mark.slow
def test_a_lost_node_costs_time_and_nothing_else(
    cluster: Any, store: FeedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The store, the agent's file and all go through the object store; one of two nodes is killed at its work."""
    monkeypatch.setenv("SVSIM_HOME", str(tmp_path / "home"))
    (tmp_path / "marking.py").write_text(MARKING)
    marks = tmp_path / "marks"
    marks.mkdir()
    asked = spec(store, f"{tmp_path}/marking.py:Marking?marks={marks}", "linucb", seeds=5)
    run(asked, tmp_path / "serial")
    for mark in marks.iterdir():
        mark.unlink()

    node = cluster.add_node(num_cpus=1)
    (marks / "victim").write_text(node.node_id)

    def kill() -> None:
        while not list(marks.glob(f"*-{node.node_id}")):
            time.sleep(0.02)
        cluster.remove_node(node, allow_graceful=False)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    capfd.readouterr()
    run(asked, tmp_path / "ray", executor=RayExecutor(address=cluster.address, ship_store=True))
    killer.join(timeout=10)
    shown = capfd.readouterr()

    assert contents(tmp_path / "ray") == contents(tmp_path / "serial")
    lost = [mark.name.partition("-")[0] for mark in marks.glob(f"*-{node.node_id}")]
    assert lost
    for seed in lost:
        assert len(list(marks.glob(f"{seed}-*"))) == 2, "played again on another node"
    assert shown.out == ""
    assert len(list((tmp_path / "home" / "shipped").iterdir())) == 2, "nodes on one machine share their copies"


INTERRUPTED = """
import signal, sys
from svsim.benchmark import BenchmarkSpec, run
from svsim.benchmark.executors import RayExecutor

# A shell that starts the suite in the background has it ignore interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)
spec = BenchmarkSpec(store=sys.argv[1], split="train", agents=("random",), candidates=5, seeds=400, rails=False)
run(spec, sys.argv[2], executor=RayExecutor(2), progress=lambda *_: print("shard", flush=True))
"""


@pytest.mark.slow
def test_ctrl_c_ends_ray_and_keeps_what_was_done(store: FeedStore, tmp_path: Path, temporary: str) -> None:
    command = [sys.executable, "-c", INTERRUPTED, store.path, tmp_path / "out"]
    environment = os.environ | {"TMPDIR": temporary}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, text=True
    ) as running:
        assert running.stdout.readline() == "shard\n"
        # As a terminal does it: to the whole group.
        os.killpg(running.pid, signal.SIGINT)
        _, err = running.communicate(timeout=60)
    assert "KeyboardInterrupt" in err
    assert 1 <= len(list((tmp_path / "out" / "shards").iterdir())) < 400
    assert processes(temporary) == []
