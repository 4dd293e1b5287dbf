"""A folder of results belongs to one specification: what was stopped goes on, what was asked otherwise is refused."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from svsim.data.atomic import as_output_error, locked, write_file
from svsim.errors import OutputError

__all__ = ["SPEC", "claimed"]

SPEC = "spec.json"


@contextlib.contextmanager
def claimed(folder: Path, spec: bytes, what: str, *, beside: Collection[str] = ()) -> Iterator[None]:
    """Make a folder this specification's, and this process's as long as it runs.

    Args:
        folder: Made if it is not there.
        spec: A JSON object; written as `spec.json`, or compared with the one that is there.
        what: As `a benchmark`, for messages.
        beside: What may lie there already.

    Raises:
        OutputError: The folder holds something else, or results of other arguments, or the disk refuses.
        BusyError: Another process is writing there.
    """
    with as_output_error(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder):
            _check(folder, spec, what, beside)
            yield


def _check(folder: Path, spec: bytes, what: str, beside: Collection[str]) -> None:
    path = folder / SPEC
    if not path.exists():
        names = {entry.name for entry in folder.iterdir() if not entry.name.startswith(f".{SPEC}")}
        strangers = sorted(names - set(beside))
        if strangers:
            raise OutputError(
                f"expected no such folder or an empty one, found {strangers[0]}",
                where=str(folder),
                remedy="name another --out",
            )
        write_file(path, spec)
        return
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise OutputError(f"expected {what}'s {SPEC}, found {error}", where=str(path)) from error
    differing = _difference(json.loads(spec), found, what)
    if differing:
        raise OutputError(
            f"expected {what} with the same arguments, found another ({differing})",
            where=str(folder),
            remedy="name another --out",
        )


def _difference(wanted: dict[str, Any], found: Any, what: str) -> str | None:
    if not isinstance(found, dict):
        return f"not {what}'s"
    for name in (*wanted, *found):
        if wanted.get(name) != found.get(name):
            return f"{name}: now {json.dumps(wanted.get(name))}, there {json.dumps(found.get(name))}"
    return None
