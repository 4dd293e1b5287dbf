"""A world as files: KuaiRand's official CSV layout, and beside it the truth.

`truth/world.json` holds the configuration, from which the whole world follows, and the fingerprints of the logs that it
is the truth of; `truth/exposures.parquet` says of every exposure what KuaiRand cannot: session, request, slot, interest and
log-propensity under the behaviour policy.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim._version import __version__
from svsim.data.atomic import atomic_folder
from svsim.data.truth import FORMAT, TRUTH_FILE
from svsim.errors import DataError, OptionError
from svsim.names import LOG_COLUMNS
from svsim.randomness import keyed_uniform
from svsim.world.config import CALENDAR_DAYS, WorldConfig
from svsim.world.constants import constants_fingerprint
from svsim.world.draws import Draw
from svsim.world.simulation import Path as WorldPath
from svsim.world.simulation import simulate
from svsim.world.statistics import statistics_table
from svsim.world.users import user_table
from svsim.world.visits import logged_date_hour
from svsim.world.world import World

__all__ = ["LOGS", "VERSION", "open_world", "write_world"]

VERSION = 1
EXPOSURES_FILE = "exposures.parquet"
LOGS = ("log_standard_4_08_to_4_21_1k.csv", "log_standard_4_22_to_5_08_1k.csv", "log_random_4_22_to_5_08_1k.csv")
SECOND_LOG_FROM = 2022_04_22
REPEATED_SHARE = 0.024
"""Share of standard rows that stand twice, as in KuaiRand-Pure (facts, 2)."""
BLOCK_USERS = 250
SPLIT = {"train_until": 20220503, "valid_until": 20220504, "test_until": 20220508}
"""Dates of a whole calendar: its last four days test, and hold a third of the random log."""
TABLE_ROWS = 500_000

Progress = Callable[[str, int, int], None]
Array = npt.NDArray[Any]


def write_world(
    folder: str | Path,
    config: WorldConfig,
    *,
    processes: int = 1,
    block_users: int = BLOCK_USERS,
    progress: Progress | None = None,
) -> Path:
    """Write a world's files, whole or not at all; same configuration, same bytes, whatever the blocks and processes.

    Args:
        folder: Where they go; must not exist or be empty.
        config: Which world.
        processes: Processes that simulate blocks of users side by side.
        block_users: Users a block; larger blocks are faster and need more memory.
        progress: Told of each step.

    Returns:
        `folder`.

    Raises:
        OptionError: A number of processes or users that cannot be.
        OutputError: The folder holds something, or the disk refuses.
    """
    if processes < 1 or block_users < 1:
        raise OptionError(f"expected at least one process and user, found {processes} and {block_users}", where="synth")
    tell = progress or (lambda *_: None)
    with atomic_folder(Path(folder)) as partial:
        data, truth, parts = partial / "data", partial / "truth", partial / "parts"
        for place in (data, truth, parts):
            place.mkdir()
        edges = [*range(0, config.users, block_users), config.users]
        jobs = [(config, first, last, parts / f"{first:07d}") for first, last in itertools.pairwise(edges)]
        done = 0
        for job, _ in zip(jobs, _run(jobs, processes), strict=True):
            done = job[2]
            tell("users", done, config.users)
        _gather([job[3] for job in jobs], data, truth)
        world = World(config)
        _write_tables(world, [job[3] for job in jobs], data, tell)
        shutil.rmtree(parts)
        (truth / TRUTH_FILE).write_text(json.dumps(_truth(config, data), indent=1) + "\n", encoding="utf-8")
    return Path(folder)


def open_world(folder: str | Path) -> World:
    """The world whose truth lies in a folder: one that `svsim data synth` wrote, its `truth/`, or a store made from it.

    Raises:
        DataError: No truth there, or one that this version of svsim cannot tell.
    """
    folder = Path(folder)
    file = next((f for f in (folder / "truth" / TRUTH_FILE, folder / TRUTH_FILE) if f.is_file()), None)
    if file is None:
        raise DataError(f"expected the truth of a world ({TRUTH_FILE}), found none", where=str(folder))
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        config = WorldConfig(**told["config"])
        known = told["format"] == FORMAT and told["version"] == VERSION
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"expected the truth of a world, found {error}", where=str(file)) from error
    if not known or told["constants"] != constants_fingerprint():
        raise DataError(
            f"expected a world of svsim {__version__} and its constants, found one of svsim {told.get('svsim')}",
            where=str(file),
            remedy="write the world again with this version",
        )
    return World(config)


def _run(jobs: list[tuple[WorldConfig, int, int, Path]], processes: int) -> Iterator[None]:
    if processes == 1 or len(jobs) == 1:
        yield from map(_simulate_block, jobs)
        return
    with ProcessPoolExecutor(min(processes, len(jobs)), mp_context=get_context("spawn")) as pool:
        yield from pool.map(_simulate_block, jobs)


def _simulate_block(job: tuple[WorldConfig, int, int, Path]) -> None:
    """One block of users, written as parts of the logs and of the truth."""
    import pyarrow as pa
    from pyarrow import parquet

    config, first, last, folder = job
    folder.mkdir()
    world = World(config)
    path = simulate(world, np.arange(first, last))
    log = _log(path)
    late, chance = log["date"] >= SECOND_LOG_FROM, log["is_rand"] == 1
    for name, rows in zip(LOGS, (~late & ~chance, late & ~chance, chance), strict=True):
        chosen = np.flatnonzero(rows)
        if name != LOGS[2]:
            first_row = np.searchsorted(path.columns["user"], path.columns["user"][chosen])
            again = keyed_uniform(world.key, Draw.DUPLICATE, path.columns["user"][chosen], chosen - first_row)
            chosen = np.sort(np.concatenate([chosen, chosen[again < REPEATED_SHARE]]))
        _append_csv(folder / name, {column: log[column][chosen] for column in LOG_COLUMNS})
    c = path.columns
    table = {
        "user_id": c["user"],
        "video_id": log["video_id"],
        "time_ms": c["time_ms"],
        "is_rand": c["random"],
        "session": c["session"].astype(np.int32),
        "request": c["request"].astype(np.int32),
        "slot": c["slot"].astype(np.int8),
        "rank": c["rank"].astype(np.int8),
        "logprob": c["logprob"],
        "interest": c["interest"],
    }
    parquet.write_table(pa.table(table), folder / EXPOSURES_FILE, compression="zstd")
    np.save(folder / "videos.npy", np.unique(c["video"]))


def _log(path: WorldPath) -> dict[str, Array]:
    """The path as KuaiRand's columns."""
    c, world = path.columns, path.world
    date, hourmin = logged_date_hour(world.key, c["user"], c["time_ms"])
    return {
        **{name: c[name] for name in LOG_COLUMNS if name in c},
        "user_id": c["user"],
        "video_id": world.catalogue.public_id(c["video"]),
        "date": date,
        "hourmin": hourmin,
        "is_rand": c["random"],
    }


def _gather(parts: list[Path], data: Path, truth: Path) -> None:
    """The blocks' parts, one after another."""
    import pyarrow as pa
    from pyarrow import parquet

    for name in LOGS:
        with (data / name).open("wb") as whole:
            whole.write((",".join(LOG_COLUMNS) + "\n").encode())
            for part in parts:
                with (part / name).open("rb") as file:
                    shutil.copyfileobj(file, whole, 1 << 20)
                os.unlink(part / name)  # noqa: PTH108
    # One row group a user range of fixed size would need the whole table: rows are cut by count instead.
    schema = parquet.read_schema(parts[0] / EXPOSURES_FILE)
    with parquet.ParquetWriter(truth / EXPOSURES_FILE, schema, compression="zstd") as writer:
        left: list[Any] = []
        for part in parts:
            left.append(parquet.read_table(part / EXPOSURES_FILE))
            table = pa.concat_tables(left).combine_chunks()
            whole_rows = len(table) // TABLE_ROWS * TABLE_ROWS
            for start in range(0, whole_rows, TABLE_ROWS):
                writer.write_table(table.slice(start, TABLE_ROWS), row_group_size=TABLE_ROWS)
            left = [table.slice(whole_rows)]
        writer.write_table(left[0], row_group_size=TABLE_ROWS)


def _write_tables(world: World, parts: list[Path], data: Path, tell: Progress) -> None:
    seen = np.zeros(world.catalogue.size, dtype=bool)
    seen[: world.catalogue.pool] = True
    for part in parts:
        seen[np.load(part / "videos.npy")] = True
    index = np.flatnonzero(seen)
    index = index[np.argsort(world.catalogue.public_id(index))]
    _append_csv(data / "user_features_1k.csv", user_table(world.users, world.key), header=True)
    for start in range(0, len(index), TABLE_ROWS):
        rows = world.catalogue.table(index[start : start + TABLE_ROWS])
        _append_csv(data / "video_features_basic_1k.csv", rows, header=not start)
        tell("videos", min(start + TABLE_ROWS, len(index)), len(index))
    _append_csv(data / "video_features_statistic_1k.csv", statistics_table(world), header=True)


def _append_csv(file: Path, columns: dict[str, Array], *, header: bool = False) -> None:
    import pyarrow as pa
    from pyarrow import csv

    arrays = {}
    for name, values in columns.items():
        texts = values.dtype.kind == "U"
        plain = values.astype(np.int64) if values.dtype.kind == "b" else values
        # An empty text is an empty field, as an absent number is.
        arrays[name] = pa.array(plain, from_pandas=True, mask=(plain == "") if texts else None)
    with file.open("ab") as sink:
        if header:
            sink.write((",".join(columns) + "\n").encode())
        csv.write_csv(pa.table(arrays), sink, csv.WriteOptions(include_header=False, quoting_style="needed"))


def _truth(config: WorldConfig, data: Path) -> dict[str, Any]:
    files = {}
    for file in sorted(data.iterdir()):
        with file.open("rb") as opened:
            files[file.name] = hashlib.file_digest(opened, "sha256").hexdigest()
    told: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "svsim": __version__,
        "config": config.as_dict(),
        "constants": constants_fingerprint(),
        "files": files,
    }
    if config.days == CALENDAR_DAYS:
        told["split"] = SPLIT
    return told
