"""Who runs the shards: this process, a pool of them, or a Ray cluster. The results are the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

from svsim.benchmark.executors.processes import ProcessExecutor
from svsim.benchmark.executors.ray import RayExecutor
from svsim.benchmark.executors.serial import SerialExecutor
from svsim.errors import OptionError

__all__ = ["EXECUTORS", "Executor", "ProcessExecutor", "RayExecutor", "SerialExecutor", "make_executor"]

T = TypeVar("T")

EXECUTORS = ("serial", "processes", "ray")


class Executor(Protocol):
    """Runs tasks in any order and gives each one's number with its result as soon as it is there."""

    def map(self, function: Callable[..., T], tasks: list[tuple[Any, ...]]) -> Iterator[tuple[int, T]]:
        """Run `function(*task)` for each task."""
        ...


def make_executor(
    name: str, workers: int | None = None, *, address: str | None = None, ship_store: bool = False
) -> Executor:
    """The executor of a name.

    Args:
        name: One of `EXECUTORS`.
        workers: How many shards are played at a time; by default as many as there are cores.
        address: Of `ray`: the cluster.
        ship_store: Of `ray`: whether nodes get copies of what tasks name by path.

    Raises:
        OptionError: No executor has that name, or it does not take the other arguments.
        SvsimError: Ray is not installed, or there is no cluster at the address.
    """
    if name not in EXECUTORS:
        raise OptionError(f"expected one of {', '.join(EXECUTORS)}, found {name!r}", where="--executor")
    if name == "ray":
        return RayExecutor(workers, address=address, ship_store=ship_store)
    for option, given in (("--address", address is not None), ("--ship-store", ship_store)):
        if given:
            raise OptionError(f"expected it with --executor ray alone, found {name}", where=option)
    return SerialExecutor() if name == "serial" else ProcessExecutor(workers)
