"""Shards in a pool of processes on this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from svsim.errors import OptionError, SvsimError

__all__ = ["ProcessExecutor"]

T = TypeVar("T")


class ProcessExecutor:
    """A pool of freshly started processes.

    Args:
        workers: How many; by default as many as this process may use cores.
    """

    def __init__(self, workers: int | None = None) -> None:
        if workers is not None and workers < 1:
            raise OptionError(f"expected at least 1, found {workers}", where="--workers")
        self.workers = workers or len(os.sched_getaffinity(0))

    def map(self, function: Callable[..., T], tasks: list[tuple[Any, ...]]) -> Iterator[tuple[int, T]]:
        """Run `function(*task)` for each task; both must pickle.

        Raises:
            SvsimError: A worker was killed.
        """
        if not tasks:
            return
        # Forked processes would inherit threads' locks; spawned ones begin clean.
        context = multiprocessing.get_context("spawn")
        others = set(multiprocessing.active_children())
        pool = ProcessPoolExecutor(min(self.workers, len(tasks)), mp_context=context, initializer=_begin)
        try:
            numbers = {pool.submit(function, *task): number for number, task in enumerate(tasks)}
            for future in as_completed(numbers):
                yield numbers[future], future.result()
        except BrokenProcessPool as error:
            raise SvsimError(
                "a worker process was killed (out of memory?)",
                where="--executor processes",
                remedy="run the command again: it goes on where it stopped; fewer --workers need less memory",
            ) from error
        except BaseException:
            # Nobody waits for the shards at work: they are played again by the next run.
            for worker in set(multiprocessing.active_children()) - others:
                worker.terminate()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _begin() -> None:
    """What each worker does first."""
    # Ctrl-C reaches the whole process group, and is the parent's to handle.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that was killed tells nobody, and a worker would wait for its next task for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
