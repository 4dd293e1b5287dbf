"""KuaiRand folders written by hand, for tests that work out the truth on paper."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from svsim.names import LOG_COLUMNS, USER_COLUMNS, VIDEO_COLUMNS

__all__ = ["log_row", "user_row", "video_row", "write_csv", "write_kuairand"]


def log_row(
    *, user: int, video: int, time_ms: int, date: int, play: int = 0, duration: int = 10_000, **flags: int
) -> dict[str, Any]:
    """A log row; what is not named is 0, `tab` 1."""
    row = dict.fromkeys(LOG_COLUMNS, 0)
    row.update(user_id=user, video_id=video, date=date, hourmin=1200, time_ms=time_ms, tab=1)
    row.update(play_time_ms=play, duration_ms=duration, **flags)
    return row


def user_row(user: int, fans: int = 0, **cells: Any) -> dict[str, Any]:
    """A user's row as KuaiRand writes it."""
    row: dict[str, Any] = dict.fromkeys(USER_COLUMNS, 0)
    row.update(
        user_id=user,
        user_active_degree="full_active",
        is_live_streamer=-124,
        follow_user_num_range="(0,10]",
        fans_user_num=fans,
        fans_user_num_range="[100,1k)",
        friend_user_num_range="[5,30)",
        register_days=100,
        register_days_range="61-90",
        **cells,
    )
    return row


def video_row(video: int, author: int | None = None, **cells: Any) -> dict[str, Any]:
    """A video's row as KuaiRand writes it."""
    row: dict[str, Any] = {
        "video_id": video,
        "author_id": 100 + video if author is None else author,
        "video_type": "NORMAL",
        "upload_dt": "2022-04-10",
        "upload_type": "LongImport",
        "visible_status": 0.0,
        "video_duration": 10_000.0,
        "server_width": 720.0,
        "server_height": 1280.0,
        "music_id": 5,
        "music_type": 9.0,
        "tag": "39",
    }
    return row | cells


def write_csv(path: Path, columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write rows with a header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(columns), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_kuairand(
    folder: Path,
    logs: Iterable[Mapping[str, Any]],
    *,
    users: Mapping[int, int],
    videos: Iterable[int | dict[str, Any]],
    random_logs: Iterable[Mapping[str, Any]] = (),
    suffix: str = "",
) -> Path:
    """Write a folder in KuaiRand's layout.

    Args:
        folder: Where.
        logs: Rows of the standard log.
        users: Number of fans by user.
        videos: Ids, or whole rows.
        random_logs: Rows of the random log, if any.
        suffix: `_pure`, `_1k` or `_27k`.
    """
    write_csv(folder / f"log_standard_4_08_to_4_21{suffix}.csv", LOG_COLUMNS, logs)
    if random_logs:
        write_csv(folder / f"log_random_4_22_to_5_08{suffix}.csv", LOG_COLUMNS, random_logs)
    write_csv(
        folder / f"user_features{suffix}.csv", USER_COLUMNS, [user_row(user, fans) for user, fans in users.items()]
    )
    rows = [video if isinstance(video, dict) else video_row(video) for video in videos]
    write_csv(folder / f"video_features_basic{suffix}.csv", VIDEO_COLUMNS, rows)
    return folder
