"""Which files of a KuaiRand folder hold what."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from svsim.errors import DataError

__all__ = ["VARIANTS", "Sources", "find_sources"]

VARIANTS = ("pure", "1k", "27k")

_NAME = re.compile(
    r"^(?P<kind>log_standard|log_random|user_features|video_features_basic|video_features_statistic)"
    r"(?P<period>(?:_\d+_\d+_to_\d+_\d+)?)"
    r"(?:_(?P<variant>pure|1k|27k))?"
    r"(?P<part>(?:_part_?\d+)?)"
    r"\.(?P<format>csv|parquet)$"
)

EXPECTED_LOGS = ("log_standard_4_08_to_4_21", "log_standard_4_22_to_5_08", "log_random_4_22_to_5_08")
"""The logs of a complete release; absent ones are named, not required."""


@dataclass
class Sources:
    """The files of one KuaiRand release, each kind in the order of its names."""

    folder: Path
    variant: str | None = None
    standard_logs: list[Path] = field(default_factory=list)
    random_logs: list[Path] = field(default_factory=list)
    users: list[Path] = field(default_factory=list)
    videos: list[Path] = field(default_factory=list)
    statistics: list[Path] = field(default_factory=list)

    @property
    def logs(self) -> list[Path]:
        """All logs, the standard ones first."""
        return [*self.standard_logs, *self.random_logs]

    @property
    def files(self) -> list[Path]:
        """Every file that is read."""
        return [*self.logs, *self.users, *self.videos, *self.statistics]

    @property
    def missing(self) -> list[str]:
        """Names of the release's files that are not here."""
        stems = [path.name for path in self.logs]
        absent = [name for name in EXPECTED_LOGS if not any(stem.startswith(name) for stem in stems)]
        return absent if self.statistics else [*absent, "video_features_statistic"]


def find_sources(folder: Path) -> Sources:
    """Find the official files in a folder or in its `data/` subfolder.

    Accepts the names of Pure, 1K and 27K, with or without the variant's suffix and in any number of parts, as CSV or as
    Parquet.

    Raises:
        DataError: No such folder, no log, no user or video table, several releases in one folder, or a folder that
            bears a log's name.
    """
    if not folder.exists():
        raise DataError("expected a folder, found nothing", where=str(folder))
    if not folder.is_dir():
        raise DataError("expected a folder of KuaiRand files, found a file", where=str(folder))
    try:
        for place in (folder, folder / "data"):
            if place.is_dir() and any(_NAME.match(entry.name) for entry in place.iterdir()):
                return _gather(place)
    except OSError as error:
        raise DataError(f"could not read: {error.strerror}", where=str(error.filename or folder)) from error
    raise DataError(
        "expected KuaiRand's files (log_standard_*.csv, user_features*.csv, video_features_basic*.csv), found none",
        where=str(folder),
        remedy="name the folder that the release was unpacked to, or fetch one with `svsim data download`",
    )


def _gather(folder: Path) -> Sources:
    sources = Sources(folder)
    lists = {
        "log_standard": sources.standard_logs,
        "log_random": sources.random_logs,
        "user_features": sources.users,
        "video_features_basic": sources.videos,
        "video_features_statistic": sources.statistics,
    }
    variants: dict[str, Path] = {}
    formats: dict[str, Path] = {}
    for path in sorted(folder.iterdir(), key=lambda entry: _natural(entry.name)):
        match = _NAME.match(path.name)
        if not match:
            continue
        if not path.is_file():
            raise DataError("expected a file, found a folder of that name", where=str(path), remedy="move it away")
        if path.stem in formats:
            raise DataError(
                f"found both {formats[path.stem].name} and {path.name}", where=str(folder), remedy="keep one of the two"
            )
        formats[path.stem] = path
        variants.setdefault(match["variant"] or "", path)
        lists[match["kind"]].append(path)
    if len(variants) > 1:
        first, second = list(variants.values())[:2]
        raise DataError(
            f"expected one release, found {first.name} beside {second.name}",
            where=str(folder),
            remedy="their ids differ: keep each release in a folder of its own",
        )
    sources.variant = next(iter(variants)) or None
    for files, what in (
        (sources.logs, "a log (log_standard_*.csv or log_random_*.csv)"),
        (sources.users, "the user table (user_features*.csv)"),
        (sources.videos, "the video table (video_features_basic*.csv)"),
    ):
        if not files:
            raise DataError(f"expected {what}, found none", where=str(folder))
    return sources


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(piece), "") if piece.isdigit() else (-1, piece) for piece in re.split(r"(\d+)", name)]
