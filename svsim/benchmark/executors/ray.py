"""Shards as Ray tasks: on this machine, or on a cluster whose nodes may come and go.

Ray is imported when an executor is made, not before. Nothing is reported to Ray's makers and no dashboard is started,
unless the environment says otherwise.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from svsim.benchmark.executors.shipping import arrived, by_path, copied
from svsim.benchmark.spec import BenchmarkSpec
from svsim.errors import OptionError, SvsimError

__all__ = ["RETRIES", "RayExecutor"]

T = TypeVar("T")

RETRIES = 5
"""How often a shard is begun anew because its worker or its node was lost."""

AHEAD = 2
"""Shards that are handed to Ray for each CPU: one is played, one waits."""

CONNECT_S = 5.0
"""How long a cluster may take to answer."""

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
ONE_THREAD = dict.fromkeys(_THREADS, "1")
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray warns of a change to come where it sees no GPU.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
SOCKETS = 30
"""Longest temporary folder in which the names of Ray's sockets are not too long for the system."""


class RayExecutor:
    """Tasks of one CPU and one thread each, on a Ray cluster or on a local Ray that ends with them.

    What a lost worker or node was at is begun anew elsewhere, at most `RETRIES` times; an error that a task raises is
    not. At most `AHEAD` tasks for each CPU are handed over at a time, however many there are. Where Ray runs in this
    process already, that one is used and left running.

    Args:
        workers: Tasks at a time; by default as many as this process may use cores, or all CPUs of the cluster.
        address: Of a running cluster that this machine belongs to: HOST:PORT, or `auto` for the one started here; by
            default `$RAY_ADDRESS`, else a local Ray is started.
        ship_store: Send what the tasks of `play_shard` name by path (store, trained runs, agent files) through Ray's
            object store; otherwise nodes open the same paths.

    Raises:
        OptionError: Ray is not installed, an argument is impossible, or no cluster answers at the address.
    """

    def __init__(self, workers: int | None = None, *, address: str | None = None, ship_store: bool = False) -> None:
        if workers is not None and workers < 1:
            raise OptionError(f"expected at least 1, found {workers}", where="--workers")
        ray = _ray()
        self.workers = workers
        self.address = address or os.environ.get("RAY_ADDRESS") or None
        self.ship_store = ship_store
        self._where = "--address" if address else "RAY_ADDRESS"
        if self.address is not None and not ray.is_initialized():
            self._check_address()

    def map(self, function: Callable[..., T], tasks: list[tuple[Any, ...]]) -> Iterator[tuple[int, T]]:
        """Run `function(*task)` for each task; both must pickle.

        Raises:
            SvsimError: The cluster cannot be used, or a task's workers were lost too often.
        """
        if not tasks:
            return
        with self._connected() as ray:
            task, tasks = self._prepared(ray, function, tasks)
            waiting = enumerate(tasks)
            pending: dict[Any, int] = {}
            try:
                while True:
                    for number, arguments in itertools.islice(waiting, max(0, self._room(ray) - len(pending))):
                        pending[task(*arguments)] = number
                    if not pending:
                        return
                    for done in ray.wait(list(pending), num_returns=1)[0]:
                        number = pending.pop(done)
                        yield number, _result(ray, done)
            finally:
                for reference in pending:
                    ray.cancel(reference, force=True)

    def _prepared(
        self, ray: Any, function: Callable[..., T], tasks: list[tuple[Any, ...]]
    ) -> tuple[Callable[..., Any], list[tuple[Any, ...]]]:
        """What hands a task to Ray, and the tasks as it takes them."""
        remote = ray.remote(
            num_cpus=1, max_retries=RETRIES, retry_exceptions=False, runtime_env={"env_vars": ONE_THREAD}
        )
        if not tasks[0] or not isinstance(tasks[0][0], BenchmarkSpec):
            return remote(function).remote, tasks
        cargo = ray.put(copied(tasks, ray.put) if self.ship_store else by_path(tasks))
        # A store would be opened wherever it is unpickled.
        light = [(dataclasses.replace(spec, store=""), *rest) for spec, *rest in tasks]
        return functools.partial(remote(arrived).remote, cargo, function), light

    def _room(self, ray: Any) -> int:
        """Tasks that may be handed over at a time; a cluster may have grown or shrunk since the last look."""
        if self.address is not None and self.workers is not None:
            return self.workers
        return AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Any]:
        ray = _ray()
        if ray.is_initialized():
            yield ray
            return
        with contextlib.ExitStack() as stack:
            stack.enter_context(_told_on_stderr())
            arguments: dict[str, Any] = {"address": self.address}
            if self.address is None:
                arguments = {
                    "address": "local",
                    "num_cpus": self.workers or len(os.sched_getaffinity(0)),
                    "include_dashboard": False,
                    "_temp_dir": stack.enter_context(_folder()),
                }
            stack.callback(ray.shutdown)
            try:
                ray.init(**arguments, log_to_driver=False, logging_level="CRITICAL")
            except Exception as error:
                raise self._no_cluster(str(error)) from error
            yield ray

    def _check_address(self) -> None:
        """Ray itself would try for minutes, and then end the process."""
        if self.address is None or self.address == "local":
            self.address = None
            return
        place = self.address
        if place == "auto":
            place = _started_here() or ""
        elif not place.rpartition(":")[2].isdigit() or "/" in place:
            raise OptionError(f"expected auto or HOST:PORT, found {place!r}", where=self._where)
        if place and not _answers(place):
            raise self._no_cluster(f"nothing at {place} answers as Ray does within {CONNECT_S:g} s")

    def _no_cluster(self, found: str) -> OptionError:
        if self.address is None:
            return OptionError(f"could not start a local Ray: {found}", where="--executor ray")
        return OptionError(
            f"expected a Ray cluster at {self.address}, found none: {found}",
            where=self._where,
            remedy="start one with `ray start --head`, join it from this machine, or leave the address out",
        )


def _ray() -> Any:
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise OptionError(
            f"expected Ray, found none ({error})", where="--executor ray", remedy="pip install 'svsim[ray]'"
        ) from error
    return ray


def _result(ray: Any, reference: Any) -> Any:
    """What a task gave or raised, as if it had run here."""
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise (error.cause if isinstance(error.cause, Exception) else error) from error
    except ray.exceptions.RayError as error:
        raise SvsimError(
            f"a shard was lost with its worker {RETRIES + 1} times ({str(error).partition(chr(10))[0]})",
            where="--executor ray",
            remedy="run the command again: it goes on where it stopped; fewer --workers need less memory",
        ) from error


def _started_here() -> str | None:
    """HOST:PORT of the cluster that `auto` means."""
    with contextlib.suppress(ImportError, ValueError):
        from ray._private.services import canonicalize_bootstrap_address

        found = canonicalize_bootstrap_address("auto")
        return None if found is None else str(found)
    return None


def _answers(address: str) -> bool:
    """Whether something speaks gRPC there, as the head of a cluster does."""
    import grpc

    # A cluster with certificates would not speak to us.
    if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):
        return True
    channel = grpc.insecure_channel(address)
    try:
        grpc.channel_ready_future(channel).result(timeout=CONNECT_S)
    except grpc.FutureTimeoutError:
        return False
    finally:
        channel.close()
    return True


@contextlib.contextmanager
def _folder() -> Iterator[str]:
    """A temporary folder for a local Ray, whose processes may write there for a moment after they were told to end."""
    place = tempfile.gettempdir()
    folder = Path(tempfile.mkdtemp(prefix="svsim-ray-", dir=place if len(place) <= SOCKETS else "/tmp"))
    try:
        yield str(folder)
    finally:
        for _ in range(50):
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                break
            time.sleep(0.1)


@contextlib.contextmanager
def _told_on_stderr() -> Iterator[None]:
    """Ray prints on stdout, at length, that a node was lost; results belong there, and one line is enough."""
    import ray._private.worker as worker

    def tell(data: dict[str, Any], **_: Any) -> None:
        for line in data.get("lines", ()):
            print(f"ray: {line.partition(chr(10))[0]}", file=sys.stderr, flush=True)

    name = "print_to_stdstream"
    before = getattr(worker, name, None)
    if before is None:
        yield
        return
    setattr(worker, name, tell)
    try:
        yield
    finally:
        setattr(worker, name, before)
