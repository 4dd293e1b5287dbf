"""A small deterministic stand-in for KuaiRand: the official CSV layout, simple behaviour, no claim to its figures.

A play is liked with probability σ(user + quality + taste for the video's tag); a liked play is watched far, another one
is skipped after seconds. So a video's past tells something of its future, and a user's history a little more.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.data.atomic import atomic_folder
from svsim.errors import OptionError
from svsim.names import LOG_COLUMNS, ONEHOT_COLUMNS, USER_COLUMNS, VIDEO_COLUMNS

__all__ = ["StandIn", "write_standin"]

FIRST_DAY_MS = 1_649_347_200_000  # 8 April 2022, midnight in Beijing
DAY_MS = 86_400_000
TAGS = 40
BLOCK_ROWS = 500_000

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """Sizes of a stand-in."""

    users: int = 300
    """Users; ids from 0."""
    videos: int = 2_000
    """Videos; ids from 0."""
    rows: int = 60_000
    """Rows of both logs together, before the duplicates that are added as KuaiRand has them."""
    days: int = 21
    """Days from 8 April 2022; at least 16 leave the paper's dates something to test on."""
    random_share: float = 0.02
    """Share of rows in the random log."""
    duplicates: float = 0.01
    """Share of rows that stand twice."""

    def __post_init__(self) -> None:
        if min(self.users, self.videos, self.rows, self.days) < 1 or self.days > 31:
            raise OptionError(
                f"expected at least one user, video and row and 1 to 31 days, found {self}", where="stand-in"
            )


def write_standin(folder: str | Path, size: StandIn | None = None, *, seed: int = 0) -> Path:
    """Write the stand-in's files; same size and seed, same bytes.

    Args:
        folder: Where they go; must not exist or be empty.
        size: How large.
        seed: Of everything that is drawn.

    Returns:
        `folder`.

    Raises:
        OutputError: The folder holds something, or the disk refuses.
    """
    size = size or StandIn()
    catalogue_seed, user_seed, log_seed = np.random.SeedSequence(seed).spawn(3)
    videos = _videos(size, np.random.default_rng(catalogue_seed))
    users = _users(size, np.random.default_rng(user_seed))
    with atomic_folder(Path(folder)) as partial:
        data = partial / "data"
        data.mkdir()
        _write_table(data / "user_features_1k.csv", {name: users[name] for name in USER_COLUMNS})
        _write_table(data / "video_features_basic_1k.csv", {name: videos[name] for name in VIDEO_COLUMNS})
        _write_logs(data, size, users, videos, log_seed)
    return Path(folder)


def _users(size: StandIn, rng: np.random.Generator) -> dict[str, Array]:
    n = size.users
    fans = np.floor(np.exp(rng.normal(3.9, 2.2, n))).astype(np.int64)
    follows = np.minimum(np.floor(np.exp(rng.normal(5.0, 1.6, n))), 5_000).astype(np.int64)
    friends = np.minimum(fans, follows) // 3
    register = rng.integers(14, 3_600, n)
    degree = np.array(["full_active", "high_active", "middle_active", "low_active"])
    activity = rng.choice(4, n, p=[0.66, 0.22, 0.08, 0.04])
    table: dict[str, Array] = {
        "user_id": np.arange(n),
        "user_active_degree": degree[activity],
        "is_lowactive_period": np.zeros(n, dtype=np.int64),
        "is_live_streamer": np.where(rng.random(n) < 0.23, 1, -124),
        "is_video_author": (rng.random(n) < 0.82).astype(np.int64),
        "follow_user_num": follows,
        "follow_user_num_range": _ranges(follows, (0, 10, 50, 100, 150, 250, 500), "({},{}]"),
        "fans_user_num": fans,
        "fans_user_num_range": _ranges(fans, (0, 9, 99, 999, 4_999), "[{},{})"),
        "friend_user_num": friends,
        "friend_user_num_range": _ranges(friends, (0, 4, 29, 59, 119, 249), "[{},{})"),
        "register_days": register,
        "register_days_range": _ranges(register, (15, 30, 60, 90, 180, 365, 730), "{}-{}"),
    }
    for name in ONEHOT_COLUMNS:
        table[name] = rng.integers(0, 2, n)
    table["effect"] = rng.normal(0, 0.6, n) - 0.25 * (3 - activity)
    table["taste"] = rng.normal(0, 1.0, (n, TAGS))
    return table


def _ranges(values: Array, edges: tuple[int, ...], form: str) -> Array:
    texts = ["0", *(form.format(a, b) for a, b in itertools.pairwise(edges)), f"{edges[-1]}+"]
    return np.array(texts)[np.searchsorted(edges, values)]


def _videos(size: StandIn, rng: np.random.Generator) -> dict[str, Array]:
    n = size.videos
    duration = np.clip(np.exp(rng.normal(10.6, 0.9, n)), 3_000, 900_000).astype(np.int64)
    first_tag, second_tag = rng.integers(1, TAGS + 1, n), rng.integers(1, TAGS + 1, n)
    pair = np.char.add(np.char.add(first_tag.astype("<U2"), ","), second_tag.astype("<U2"))
    picture = rng.random(n) < 0.03
    day = np.array([f"2022-04-{d:02d}" for d in range(1, 11)])
    return {
        "video_id": np.arange(n),
        "author_id": (rng.pareto(1.2, n) * n / 20).astype(np.int64) % max(n, 2),
        "video_type": np.where(rng.random(n) < 0.01, "AD", "NORMAL"),
        "upload_dt": day[rng.integers(0, 10, n)],
        "upload_type": np.array(["LongImport", "Web", "ShortImport", "Kmovie"])[rng.integers(0, 4, n)],
        "visible_status": np.zeros(n),
        "video_duration": np.where(picture, np.nan, duration.astype(np.float64)),
        "server_width": np.full(n, 720.0),
        "server_height": np.full(n, 1280.0),
        "music_id": rng.integers(1_000_000, 9_000_000, n),
        "music_type": np.full(n, 9.0),
        "tag": np.where(rng.random(n) < 0.25, pair, first_tag.astype("<U5")),
        "quality": rng.normal(0, 0.7, n),
        "first_tag": first_tag,
        "duration_ms": np.where(picture, 0, duration),
    }


def _write_logs(
    folder: Path, size: StandIn, users: dict[str, Array], videos: dict[str, Array], seed: np.random.SeedSequence
) -> None:
    activity = np.exp(np.random.default_rng(seed).normal(0, 0.5, size.users))
    share = np.cumsum(activity) / activity.sum()
    counts = np.diff(np.rint(share * size.rows).astype(np.int64), prepend=0)
    names = ("log_standard_4_08_to_4_21_1k.csv", "log_standard_4_22_to_5_08_1k.csv", "log_random_4_22_to_5_08_1k.csv")
    files = [(folder / name).open("wb") for name in names]
    try:
        for file in files:
            file.write((",".join(LOG_COLUMNS) + "\n").encode())
        for start, stop in _blocks(counts):
            rng = np.random.default_rng([*seed.generate_state(4).tolist(), start])
            log = _log(np.repeat(np.arange(start, stop), counts[start:stop]), size, users, videos, rng)
            late = log["date"] >= 2022_04_22
            chosen = log["is_rand"] == 1
            for file, keep in zip(files, (~late & ~chosen, late & ~chosen, late & chosen), strict=True):
                _append(file, {name: values[keep] for name, values in log.items()})
    finally:
        for file in files:
            file.close()


def _blocks(counts: Array) -> list[tuple[int, int]]:
    block = np.cumsum(counts) // BLOCK_ROWS
    edges = [0, *(np.flatnonzero(np.diff(block)) + 1).tolist(), len(counts)]
    return list(itertools.pairwise(edges))


def _log(
    user: Array, size: StandIn, users: dict[str, Array], videos: dict[str, Array], rng: np.random.Generator
) -> dict[str, Array]:
    n = len(user)
    time = _request_times(user, size, rng)
    random = rng.random(n) < size.random_share
    # Popular videos have low ids; the random log draws evenly.
    draw = rng.random(n)
    video = (np.where(random, draw, draw**2) * size.videos).astype(np.int64)
    duration = videos["duration_ms"][video]
    taste = users["taste"][user, videos["first_tag"][video] - 1]
    logit = users["effect"][user] + videos["quality"][video] + taste - 0.4
    liked = rng.random(n) < 1 / (1 + np.exp(-logit))
    skip = np.minimum(np.exp(rng.normal(7.4, 0.5, n)), duration)
    far = duration * np.where(rng.random(n) < 0.4, 1 + rng.exponential(0.1, n), rng.random(n))
    play = np.where(duration == 0, np.exp(rng.normal(8, 1, n)), np.where(liked, far, skip)).astype(np.int64)
    click = np.where(duration <= 7_000, play >= duration, play > 7_000) & (duration > 0)
    social = rng.random((n, 5)) < np.array([0.04, 0.004, 0.006, 0.002, 0.001]) * np.where(liked, 1.5, 0.3)[:, None]
    social[:, 4] = rng.random(n) < 0.001
    shifted = time + 600_000
    day = (shifted - FIRST_DAY_MS) // DAY_MS
    return {
        "user_id": user,
        "video_id": video,
        "date": np.where(day < 23, 2022_04_08 + day, 2022_05_01 + day - 23),
        "hourmin": (shifted - FIRST_DAY_MS) % DAY_MS // 3_600_000 * 100,
        "time_ms": time,
        "is_click": click,
        "is_like": social[:, 0],
        "is_follow": social[:, 1],
        "is_comment": social[:, 2],
        "is_forward": social[:, 3],
        "is_hate": social[:, 4],
        "long_view": np.where(duration <= 18_000, play >= duration, play >= 18_000) & (duration > 0),
        "play_time_ms": play,
        "duration_ms": duration,
        "profile_stay_time": np.zeros(n, dtype=np.int64),
        "comment_stay_time": np.where(social[:, 2], 6_000, 0),
        "is_profile_enter": rng.random(n) < 0.02,
        "is_rand": random & (day >= 14),
        "tab": np.where(rng.random(n) < 0.9, 1, 4),
    }


def _request_times(user: Array, size: StandIn, rng: np.random.Generator) -> Array:
    """Times of rows: requests of a few rows, sessions of about twenty-five, spread over the days, ascending by user."""
    n, own = len(user), user - user[0]
    first = np.append(True, own[1:] != own[:-1])
    opens_session = first | (rng.random(n) < 1 / 25)
    opens_request = ~opens_session & (rng.random(n) < 1 / 6)
    step = np.where(opens_request, rng.exponential(60_000, n), 0.0)
    # Pauses share what a user's sessions leave of the days.
    pause = np.where(opens_session, 0.2 + rng.random(n), 0.0)
    free = np.maximum(size.days * DAY_MS - 1_200_000 - np.bincount(own, weights=step), 0.0)
    step += pause * (free / np.bincount(own, weights=pause))[own]
    total = np.cumsum(step)
    before = np.repeat((total - step)[first], np.bincount(own))
    return np.asarray(FIRST_DAY_MS + np.minimum(total - before, size.days * DAY_MS - 1_200_000).astype(np.int64))


def _append(file: Any, log: dict[str, Array]) -> None:
    import pyarrow as pa
    from pyarrow import csv

    n = len(log["user_id"])
    if not n:
        return
    # As in the real files, about one row in a hundred stands twice.
    order = np.sort(np.concatenate([np.arange(n), np.arange(0, n, 100)]))
    table = pa.table({name: np.asarray(log[name][order], dtype=np.int64) for name in LOG_COLUMNS})
    csv.write_csv(table, file, csv.WriteOptions(include_header=False))


def _write_table(path: Path, table: dict[str, Array]) -> None:
    import pyarrow as pa
    from pyarrow import csv

    with path.open("wb") as file:
        file.write((",".join(table) + "\n").encode())
        arrow = pa.table({name: pa.array(values, from_pandas=True) for name, values in table.items()})
        csv.write_csv(arrow, file, csv.WriteOptions(include_header=False))
