"""The store: a prepared log as memory-mapped columns with a manifest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from svsim.data.columns import ColumnTable
from svsim.data.sessions import Sessions, find_sessions
from svsim.data.splits import SPLIT_CODES
from svsim.errors import LeakError, OptionError, StoreError
from svsim.names import GROUPS, INFLUENCER, INFLUENCER_FANS, NORMAL
from svsim.signals import WatchTimeGain

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FORMAT", "VERSION", "FeedStore", "fingerprint_of", "is_store", "open_store"]

FORMAT = "svsim-store"
VERSION = 1
MANIFEST = "manifest.json"
GAIN_FILE = "wtg.npz"


def fingerprint_of(content: Mapping[str, Any]) -> str:
    """SHA-256 of a canonical JSON text."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def is_store(path: Path) -> bool:
    """Whether a folder says that it is a store, of whatever version."""
    return (path / MANIFEST).is_file()


def open_store(path: str | Path) -> FeedStore:
    """Open a store made by `svsim data prepare`; reads its manifest and no column.

    Raises:
        StoreError: Not a store, of another format version, or with a truncated column file.
    """
    return FeedStore(path)


class FeedStore:
    """A prepared log: events sorted by user, then time; users and videos by dense id.

    Row 0 of `users` and `videos` stands for padding and the unknown; dense ids go from 1. Columns are read-only arrays
    mapped into memory when first used, so that processes share them. A store pickles and deep-copies as its path.

    Attributes:
        path: Its folder.
        manifest: Format version, sources with SHA-256 and rows, rows dropped by reason, splits, session rule, the fitted
            watch-time gain, fingerprint.
        events: `user`, `video` (dense ids), `time_ms`, `date`, `hour`, `tab`, `play_time_ms`, `duration_ms`, KuaiRand's
            flags (`is_click`, …), `profile_stay_time`, `comment_stay_time`, `split` and `wtg_gain`.
        users: KuaiRand's user columns (texts as codes, see `texts`) and `first_event`, `n_events`.
        videos: KuaiRand's video columns, `author` (dense), `tag_set`, and sums over the training split (`train_…`).
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()
        self.manifest = _read_manifest(self.path)
        self._tables: dict[str, ColumnTable] = {}
        for name, description in self.manifest["tables"].items():
            self._tables[name] = ColumnTable(self.path / name, description["rows"], description["columns"])
            self._tables[name].check_sizes()

    # --- identity -----------------------------------------------------------------------------------------------------

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the sources' hashes and the options of the conversion."""
        return str(self.manifest["fingerprint"])

    def __reduce__(self) -> tuple[Any, ...]:
        return FeedStore, (str(self.path),)

    def __deepcopy__(self, memo: dict[int, Any]) -> FeedStore:
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FeedStore) and other.fingerprint == self.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        return (
            f"FeedStore({str(self.path)!r}: {self.n_events:,} events, {self.n_users:,} users, {self.n_videos:,} videos)"
        )

    # --- tables -------------------------------------------------------------------------------------------------------

    @property
    def events(self) -> Mapping[str, npt.NDArray[Any]]:
        """Columns of the events, sorted by user, then time."""
        return self._tables["events"]

    @property
    def users(self) -> Mapping[str, npt.NDArray[Any]]:
        """Columns of the users by dense id."""
        return self._tables["users"]

    @property
    def videos(self) -> Mapping[str, npt.NDArray[Any]]:
        """Columns of the videos by dense id."""
        return self._tables["videos"]

    @property
    def n_events(self) -> int:
        """Number of events."""
        return self._tables["events"].rows

    @property
    def n_users(self) -> int:
        """Number of users, row 0 not counted."""
        return self._tables["users"].rows - 1

    @property
    def n_videos(self) -> int:
        """Number of videos, row 0 not counted."""
        return self._tables["videos"].rows - 1

    @property
    def n_authors(self) -> int:
        """Number of authors; dense ids go from 1."""
        return int(self.manifest["authors"])

    @property
    def texts(self) -> dict[str, list[Any]]:
        """What the codes of a column stand for, by column: texts, or lists of tags for `tag_set`."""
        texts: dict[str, list[Any]] = self.manifest["texts"]
        return texts

    @property
    def allows_leaky_statistics(self) -> bool:
        """Whether the store was prepared with `--allow-leaky-statistics`."""
        return bool(self.manifest["options"]["allow_leaky_statistics"])

    @property
    def video_statistics(self) -> Mapping[str, npt.NDArray[Any]]:
        """Columns of `video_features_statistic` by dense video id, NaN where it says nothing.

        They are platform-wide averages over the month that includes the log, so as features they know the future.

        Raises:
            LeakError: The store was prepared without `--allow-leaky-statistics`.
            StoreError: The sources had no such table.
        """
        if not self.allows_leaky_statistics:
            raise LeakError(
                "video_features_statistic covers the days of the log itself: as a feature it leaks",
                where=str(self.path),
                remedy="prepare the store with --allow-leaky-statistics if that is what you want",
            )
        if "statistics" not in self._tables:
            raise StoreError("its sources had no video_features_statistic table", where=str(self.path))
        return self._tables["statistics"]

    def to_pandas(self, table: str, columns: list[str] | None = None) -> pd.DataFrame:
        """A table (`events`, `users`, `videos` or `statistics`) as a pandas frame; copies the named columns.

        Raises:
            OptionError: No such table or column.
        """
        import pandas as pd

        if table not in ("events", "users", "videos", "statistics"):
            raise OptionError(f"expected events, users, videos or statistics, found {table!r}", where="table")
        source = self.video_statistics if table == "statistics" else self._tables[table]
        chosen = list(source) if columns is None else columns
        unknown = [name for name in chosen if name not in source]
        if unknown:
            raise OptionError(f"expected columns among {', '.join(source)}, found {unknown[0]!r}", where=table)
        return pd.DataFrame({name: np.array(source[name]) for name in chosen})

    # --- what is derived ----------------------------------------------------------------------------------------------

    def split_rows(self, split: str) -> npt.NDArray[np.int64]:
        """Rows of the events of a split (`train`, `valid`, `test`), ascending.

        Raises:
            OptionError: No such split.
        """
        if split not in SPLIT_CODES:
            raise OptionError(f"expected a split of {', '.join(SPLIT_CODES)}, found {split!r}", where="split")
        return np.flatnonzero(self.events["split"] == SPLIT_CODES[split])

    def sessions(self, split: str, gap_minutes: float | None = 30.0) -> Sessions:
        """Sessions of a split: a user's consecutive rows, cut where two are further apart than the gap.

        Args:
            split: `train`, `valid` or `test`.
            gap_minutes: Minutes; None takes all of a user's rows in the split as one session.
        """
        return find_sessions(self.split_rows(split), self.events["user"], self.events["time_ms"], gap_minutes)

    @cached_property
    def influencer(self) -> npt.NDArray[np.bool_]:
        """(n_users + 1,) whether a user is an influencer (`fans_user_num >= 1000`), by dense id."""
        return np.asarray(self.users["fans_user_num"] >= INFLUENCER_FANS)

    @cached_property
    def user_group(self) -> npt.NDArray[np.str_]:
        """(n_users + 1,) name of each user's group, by dense id."""
        width = max(map(len, GROUPS))
        return np.where(self.influencer, INFLUENCER, NORMAL).astype(f"<U{width}")

    @cached_property
    def wtg(self) -> WatchTimeGain:
        """The watch-time gain fitted when the store was prepared."""
        return WatchTimeGain.load(self.path / GAIN_FILE)

    @cached_property
    def video_tags(self) -> list[list[int]]:
        """Tags of each tag set; `videos["tag_set"]` points into it."""
        return [list(tags) for tags in self.texts["tag_set"]]


def _read_manifest(path: Path) -> dict[str, Any]:
    file = path / MANIFEST
    if not path.exists():
        raise StoreError(
            "expected a store, found nothing", where=str(path), remedy="make one with `svsim data prepare`"
        )
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StoreError(
            f"expected a store, found no {MANIFEST}", where=str(path), remedy="make one with `svsim data prepare`"
        ) from error
    except NotADirectoryError as error:
        raise StoreError("expected a store's folder, found a file", where=str(path)) from error
    except (OSError, ValueError) as error:
        raise StoreError(
            f"expected a manifest, found {error}", where=str(file), remedy="prepare the store again"
        ) from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise StoreError("expected the manifest of a store, found another file", where=str(file))
    if manifest.get("version") != VERSION:
        raise StoreError(
            f"expected store format {VERSION}, found {manifest.get('version')}",
            where=str(path),
            remedy="prepare the store again with this version of svsim",
        )
    return manifest
