"""The truth that may lie beside logs: whose world they come from, and whether it is theirs.

`svsim data synth` writes `truth/world.json` beside `data/`. A conversion checks that it belongs to the files, keeps it
in the store, and takes its dates where none are asked for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from svsim.errors import DataError

__all__ = ["FORMAT", "TRUTH_FILE", "Truth", "find_truth"]

TRUTH_FILE = "world.json"
FORMAT = "svsim-world"


class Truth:
    """A world's own account of its files.

    Attributes:
        file: Where it was found.
        content: Its bytes.
        dates: `train_until`, `valid_until`, `test_until` (YYYYMMDD) that the world is meant to be split at, if any.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        try:
            self.content = file.read_bytes()
            told = json.loads(self.content)
            if told["format"] != FORMAT:
                raise ValueError(f"the format {told['format']!r}")
            self._files: Mapping[str, str] = dict(told["files"])
            self.dates: dict[str, int] = {name: int(day) for name, day in told.get("split", {}).items()}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"expected the truth of a world, found {error}",
                where=str(file),
                remedy="write the world again, or remove its truth",
            ) from error

    @property
    def sha256(self) -> str:
        """Fingerprint of the file."""
        return hashlib.sha256(self.content).hexdigest()

    def check(self, sources: Mapping[str, str]) -> None:
        """Check that files are those that the truth is about.

        Args:
            sources: SHA-256 by file name.

        Raises:
            DataError: A file that the truth does not know, or knows otherwise.
        """
        for name, found in sources.items():
            if self._files.get(name) != found:
                known = "another fingerprint" if name in self._files else "no such file"
                raise DataError(
                    f"expected the truth of these logs, found {known} for {name} in it",
                    where=str(self.file),
                    remedy="keep each world's truth with its own files, or remove it",
                )


def find_truth(folder: Path) -> Truth | None:
    """The truth beside a folder of logs, if there is any."""
    for place in (folder / "truth", folder.parent / "truth"):
        if (place / TRUTH_FILE).is_file():
            return Truth(place / TRUTH_FILE)
    return None
