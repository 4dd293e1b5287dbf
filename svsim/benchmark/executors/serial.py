"""Shards one after another, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

__all__ = ["SerialExecutor"]

T = TypeVar("T")


class SerialExecutor:
    """One task after another, in this process."""

    def map(self, function: Callable[..., T], tasks: list[tuple[Any, ...]]) -> Iterator[tuple[int, T]]:
        """Run `function(*task)` for each task, in order."""
        for number, task in enumerate(tasks):
            yield number, function(*task)
