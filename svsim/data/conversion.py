"""From KuaiRand's files to a store, in memory that does not grow with the log.

Three passes: the logs are parsed block by block and spilled by user range; each range is sorted, cleaned and appended to
the column files; the watch-time gain is fitted on the training rows and added with the sums that features are made of.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

import svsim.data.store as store_format
from svsim._version import __version__
from svsim.data.ahead import ahead
from svsim.data.atomic import atomic_folder, write_file
from svsim.data.columns import TableWriter
from svsim.data.gains import EventFiles
from svsim.data.layout import Sources, find_sources
from svsim.data.reader import read_blocks
from svsim.data.schema import LOG_SCHEMA, STATISTIC_SCHEMA, USER_SCHEMA, VIDEO_SCHEMA
from svsim.data.source import Block, Source
from svsim.data.spill import EVENT_COLUMNS, FLAG_COLUMNS, ROW, UserSpill, drop_repeated
from svsim.data.splits import SPLIT_CODES, DateSplit, SplitRule, choose_split, parse_date
from svsim.data.store import FeedStore, fingerprint_of, is_store, open_store
from svsim.data.tables import IdMap, Table, read_users, read_videos, write_statistics
from svsim.data.truth import TRUTH_FILE, find_truth
from svsim.errors import DataError, OptionError, OutputError
from svsim.names import INFLUENCER, INFLUENCER_FANS, NORMAL
from svsim.signals import WatchTimeGain

__all__ = ["PrepareOptions", "prepare"]

Progress = Callable[[str, int, int], None]
"""Told of each step: its name, what of it is done, and its whole."""


@dataclass(frozen=True, kw_only=True)
class PrepareOptions:
    """How logs become a store."""

    split: SplitRule = "auto"
    """Dates of the splits: the paper's where they leave test rows, else the last date tests and the one before validates
    (`auto`; a synthetic world brings its own); the paper's (`paper`); those named below (`dates`)."""
    train_until: str | None = None
    """Last date that trains, such as 20220502; naming any date means `--split dates`."""
    valid_until: str | None = None
    """Last date that validates."""
    test_until: str | None = None
    """Last date that tests."""
    wtg_fit: Literal["train", "all"] = "train"
    """Rows that the watch-time gain is fitted on; `all` is for tables about the whole log, not for experiments."""
    wtg_preset: Literal["rank", "dvr", "paper"] = "rank"
    """Form of the watch-time gain."""
    keep_zero_duration: bool = False
    """Keep rows without duration (picture posts), which have no watch-time ratio and no gain."""
    allow_leaky_statistics: bool = False
    """Let video_features_statistic be used as features, although it covers the days of the log itself."""


def prepare(
    folder: str | Path, out: str | Path, options: PrepareOptions | None = None, *, progress: Progress | None = None
) -> FeedStore:
    """Convert KuaiRand's official files to a store.

    Written whole or not at all. When `out` already holds the store that this would make, it is opened and returned.

    Args:
        folder: The folder of the files, or the one above its `data/`.
        out: Where the store goes.
        options: How; by default the documented defaults.
        progress: Told of each step.

    Raises:
        DataError: A file is not what it should be (file, line and column are named).
        OptionError: The split leaves nothing to train or to test on.
        OutputError: The store cannot be written, or something else is there.
    """
    options = options or PrepareOptions()
    out = Path(out)
    sources = find_sources(Path(folder))
    conversion = _Conversion(sources, options, progress or (lambda *_: None))
    if is_store(out):
        return _existing(conversion, out)
    with atomic_folder(out) as partial:
        conversion.run(partial)
    return open_store(out)


def _existing(conversion: _Conversion, out: Path) -> FeedStore:
    store = open_store(out)
    if store.fingerprint != conversion.expected_fingerprint():
        raise OutputError(
            "expected the store of these files and options, found one of others",
            where=str(out),
            remedy="name another --out",
        )
    return store


class _Conversion:
    """One run of `prepare`."""

    def __init__(self, sources: Sources, options: PrepareOptions, progress: Progress) -> None:
        if options.wtg_fit not in ("train", "all"):
            raise OptionError(f"expected train or all, found {options.wtg_fit!r}", where="--wtg-fit")
        self.sources = sources
        self.options = options
        self.until = {
            f"{name}_until": parse_date(value, f"--{name}-until")
            for name in ("train", "valid", "test")
            if (value := getattr(options, f"{name}_until")) is not None
        }
        self.truth = find_truth(sources.folder)
        if self.truth and options.split == "auto" and not self.until:
            self.until = dict(self.truth.dates)
        self._progress = progress
        self._done = 0
        self._bytes = sum(path.stat().st_size for path in sources.files)
        self.logs = [Source(path, LOG_SCHEMA) for path in sources.logs]
        self.user_files = [Source(path, USER_SCHEMA) for path in sources.users]
        self.video_files = [Source(path, VIDEO_SCHEMA) for path in sources.videos]
        self.statistic_files = [Source(path, STATISTIC_SCHEMA) for path in sources.statistics]
        self.dropped: Counter[str] = Counter()
        self.rows_by_date: Counter[int] = Counter()
        self.rows_kept = 0

    @property
    def files(self) -> list[Source]:
        """All sources in the order in which they are read."""
        return [*self.user_files, *self.video_files, *self.statistic_files, *self.logs]

    def run(self, folder: Path) -> None:
        """Write the whole store into an empty folder."""
        users = read_users(self.user_files, self._read)
        videos = read_videos(self.video_files, self._read)
        user_map, video_map = IdMap(users.columns["user_id"][1:]), IdMap(videos.columns["video_id"][1:])
        tables: dict[str, Any] = {}
        if self.statistic_files:
            tables["statistics"], unknown = write_statistics(
                self.statistic_files, video_map, folder / "statistics", self._read
            )
            self.dropped["statistics of an unknown video"] += unknown
        self.dropped["repeated user rows"] += users.repeated
        self.dropped["repeated video rows"] += videos.repeated

        split, tables["events"], n_events = self._events(folder, user_map, video_map)
        users.columns["n_events"] = n_events
        users.columns["first_event"] = np.cumsum(n_events) - n_events
        events = EventFiles(folder / "events", self.rows_kept, self._progress)
        gain = events.fit_gain(self.options.wtg_preset, self.options.wtg_fit)
        sums = events.add_gain(gain, len(video_map))
        tables["events"]["columns"]["wtg_gain"] = np.dtype(np.float32).str
        videos.columns.update(sums)
        for name, table in (("users", users), ("videos", videos)):
            dtypes = {column: values.dtype for column, values in table.columns.items()}
            with TableWriter(folder / name, dtypes) as writer:
                writer.append(table.columns)
                tables[name] = writer.close()
        gain.save(folder / store_format.GAIN_FILE)
        manifest = self._manifest(tables, users, videos, split, gain)
        if self.truth:
            write_file(folder / TRUTH_FILE, self.truth.content)
        write_file(folder / store_format.MANIFEST, json.dumps(manifest, indent=1).encode())

    # --- first pass: parse, map ids, spill ----------------------------------------------------------------------------

    def _events(
        self, folder: Path, users: IdMap, videos: IdMap
    ) -> tuple[DateSplit, dict[str, Any], npt.NDArray[np.int64]]:
        spill = UserSpill(folder / "rows.spill", len(users))
        try:
            for source in self.logs:
                for block in read_blocks(source, self._read):
                    spill.append(self._spilled(block, users, videos))
            if not spill.rows:
                raise DataError(
                    f"expected rows of known users and videos, found {sum(source.rows for source in self.logs):,} rows"
                    " of unknown ones",
                    where=str(self.sources.folder),
                    remedy="do the tables belong to the logs?",
                )
            if not self.rows_by_date:
                raise DataError(
                    f"expected plays of videos with a duration, found none among {spill.rows:,} rows",
                    where=str(self.sources.folder),
                )
            split = choose_split(self.rows_by_date, self.options.split, **self.until)
            description, n_events = self._write_events(folder, spill, split, len(users))
        finally:
            spill.close()
        return split, description, n_events

    def _spilled(self, block: Block, users: IdMap, videos: IdMap) -> npt.NDArray[Any]:
        columns = {name: np.asarray(values) for name, values in block.items()}
        user, video = users.lookup(columns["user_id"]), videos.lookup(columns["video_id"])
        known = (user > 0) & (video > 0)
        if not known.all():
            self.dropped["unknown user"] += int((user == 0).sum())
            self.dropped["unknown video"] += int(((user > 0) & (video == 0)).sum())
            columns = {name: values[known] for name, values in columns.items()}
            user, video = user[known], video[known]
        rows = np.empty(len(user), dtype=ROW)
        rows["user"], rows["video"] = user, video
        for name in ("time_ms", "play_time_ms", "duration_ms", "profile_stay_time", "comment_stay_time", "date", "tab"):
            rows[name] = columns[name]
        rows["hour"] = columns["hourmin"] // 100
        flags = np.zeros(len(user), dtype=np.uint16)
        for bit, name in enumerate(FLAG_COLUMNS):
            flags |= columns[name].astype(np.uint16) << np.uint16(bit)
        rows["flags"] = flags
        usable = (rows["duration_ms"] >= (0 if self.options.keep_zero_duration else 1)) & (rows["play_time_ms"] >= 0)
        days, counts = np.unique(rows["date"][usable], return_counts=True)
        self.rows_by_date.update(dict(zip(days.tolist(), counts.tolist(), strict=True)))
        return rows

    # --- second pass: sort, clean, write ------------------------------------------------------------------------------

    def _write_events(
        self, folder: Path, spill: UserSpill, split: DateSplit, n_users: int
    ) -> tuple[dict[str, Any], npt.NDArray[np.int64]]:
        n_events = np.zeros(n_users + 1, dtype=np.int64)
        done = 0
        with TableWriter(folder / "events", EVENT_COLUMNS) as writer:
            # One range is sorted and cleaned while the one before it is written.
            for read, rows in ahead((len(rows), self._cleaned(rows)) for rows in spill):
                columns = {name: rows[name] for name in EVENT_COLUMNS if name in ROW.names}  # type: ignore[operator]
                for bit, name in enumerate(FLAG_COLUMNS):
                    columns[name] = (rows["flags"] >> np.uint16(bit)) & np.uint16(1)
                columns["split"] = split.codes(rows["date"])
                writer.append(columns)
                n_events += np.bincount(rows["user"], minlength=n_users + 1)
                done += read
                self._progress("sorting", done, spill.rows)
            self.rows_kept = writer.rows["user"]
            return writer.close(), n_events

    def _cleaned(self, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
        unique = drop_repeated(rows)
        self.dropped["exact duplicate"] += len(rows) - len(unique)
        reasons = {"negative duration": unique["duration_ms"] < 0, "negative play time": unique["play_time_ms"] < 0}
        if not self.options.keep_zero_duration:
            reasons["zero duration"] = unique["duration_ms"] == 0
        keep = np.ones(len(unique), dtype=bool)
        for reason, hit in reasons.items():
            self.dropped[reason] += int((hit & keep).sum())
            keep &= ~hit
        return unique if keep.all() else unique[keep]

    # --- manifest -----------------------------------------------------------------------------------------------------

    def _manifest(
        self, tables: dict[str, Any], users: Table, videos: Table, split: DateSplit, gain: WatchTimeGain
    ) -> dict[str, Any]:
        fans = users.columns["fans_user_num"][1:]
        influencers = int((fans >= INFLUENCER_FANS).sum())
        content = self._content()
        return {
            "format": store_format.FORMAT,
            "version": store_format.VERSION,
            "svsim": __version__,
            "fingerprint": fingerprint_of(content),
            "variant": self.sources.variant,
            "sources": content["sources"],
            "missing": self.sources.missing,
            "options": content["options"],
            "rows": {
                "read": sum(source.rows for source in self.logs),
                "kept": self.rows_kept,
                "dropped": {reason: n for reason, n in sorted(self.dropped.items()) if n},
            },
            "splits": {
                "rule": split.rule,
                **{name: {"from": getattr(split, name)[0], "until": getattr(split, name)[1]} for name in SPLIT_CODES},
            },
            "session_rule": {"gap_minutes": 30.0, "cut": "where more minutes lie between two requests of a user"},
            "groups": {
                "rule": f"fans_user_num >= {INFLUENCER_FANS}",
                INFLUENCER: influencers,
                NORMAL: len(fans) - influencers,
            },
            "wtg": {**gain.summary(), "fitted_on": self.options.wtg_fit},
            "authors": videos.texts.pop("author")[0],
            "texts": {**users.texts, **videos.texts},
            "tables": tables,
        }

    def _content(self) -> dict[str, Any]:
        """What decides the store's content, and so its fingerprint; the sources must have been read."""
        kinds = {
            **{str(source.path): "users" for source in self.user_files},
            **{str(source.path): "videos" for source in self.video_files},
            **{str(source.path): "statistics" for source in self.statistic_files},
            **{str(path): "log_standard" for path in self.sources.standard_logs},
            **{str(path): "log_random" for path in self.sources.random_logs},
        }
        if self.truth:
            self.truth.check({source.path.name: source.sha256 for source in self.files})
        return {
            **({"truth": self.truth.sha256} if self.truth else {}),
            "version": store_format.VERSION,
            "options": dataclasses.asdict(self.options),
            "sources": [
                {
                    "file": source.path.name,
                    "kind": kinds[str(source.path)],
                    "rows": source.rows,
                    "bytes": source.bytes,
                    "sha256": source.sha256,
                }
                for source in self.files
            ],
        }

    def expected_fingerprint(self) -> str:
        """The fingerprint of the store that a run would make: reads all sources, writes nothing."""
        for source in self.files:
            for _ in read_blocks(source, self._read):
                pass
        return fingerprint_of(self._content())

    def _read(self, n_bytes: int) -> None:
        self._done += n_bytes
        self._progress("reading", self._done, self._bytes)
