"""Folders that trainings grow in: `config.json` says of what, `metrics.json` that it is finished."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from svsim.errors import OutputError

__all__ = ["CONFIG", "FINISHED", "beside", "history_csv", "is_finished"]

CONFIG, FINISHED = "config.json", "metrics.json"


def beside(out: Path, name: str) -> str:
    """The folder of a run that another one reads: from the folder that `out` lies in, from the one above, else as it is.

    Runs that lie together may then move together, and be trained and used from any working directory.

    Args:
        out: Folder of the run that reads.
        name: The other's, as typed.
    """
    places = (folder / name for folder in (out.parent, out.parent.parent))
    return next((str(place) for place in places if (place / CONFIG).is_file()), name)


def is_finished(out: Path, wanted: Mapping[str, Any], read_config: Callable[[Path], Mapping[str, Any]]) -> bool:
    """Whether a folder holds a run, finished.

    Args:
        out: The folder; need not exist.
        wanted: What the run's `config.json` says, or part of it.
        read_config: Reads and checks `config.json`.

    Returns:
        False for a run that is to be gone on with, and for a new or empty folder.

    Raises:
        OutputError: The folder holds another run, or something else.
    """
    if (out / CONFIG).exists():
        found = read_config(out)
        # As a file would give it back: tuples are lists there.
        told = json.loads(json.dumps(dict(wanted)))
        differing = [name for name, value in told.items() if found.get(name) != value]
        if differing:
            raise OutputError(
                f"expected the folder of the same run, found one with another {differing[0]}",
                where=str(out),
                remedy="name another folder, or remove it",
            )
        return (out / FINISHED).exists()
    if out.exists() and (not out.is_dir() or any(not entry.name.startswith(".") for entry in out.iterdir())):
        raise OutputError("expected a new or empty folder, found something else", where=str(out))
    return False


def history_csv(rows: list[dict[str, float]]) -> bytes:
    """`history.csv`: a row an evaluation, columns as in the first."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
