"""Where things go: results to stdout, progress to stderr and only on a terminal."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["console", "print_json", "task_progress"]

PIPED_WIDTH = 120


def console(piped: int = PIPED_WIDTH) -> Console:
    """A console on stdout; as wide as the terminal, or `piped` columns wide where there is none.

    Texts are shown as they are: names and errors of agents may hold square brackets, which would be markup.
    """
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else piped, highlight=False, markup=False)


def print_json(document: Any) -> None:
    """Print one JSON document to stdout."""
    print(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False))


@contextlib.contextmanager
def task_progress(unit: str = "") -> Iterator[Callable[[str, int, int | None], None]]:
    """Bars on stderr, one a named task: call it with the task's name, what is done and the whole (None: not known).

    Args:
        unit: `bytes` shows sizes and speed.
    """
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    amount = DownloadColumn() if unit == "bytes" else TaskProgressColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), amount, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        numbers: dict[str, Any] = {}

        def tell(name: str, done: int, whole: int | None) -> None:
            if name not in numbers:
                numbers[name] = bars.add_task(name, total=whole)
            bars.update(numbers[name], completed=done, total=whole)

        yield tell
