"""A log written by hand for Feed-v0: eight videos in the random log's pool, three users."""

from __future__ import annotations

from pathlib import Path

from svsim.data import FeedStore, prepare
from tests.kuairand import log_row, video_row, write_kuairand

MINUTE = 60_000
DAY = 86_400_000
TRAIN_DAY = 1_650_000_000_000
TEST_DAY = TRAIN_DAY + 20 * DAY
"""5 May 2022, 13:20 in Beijing."""

POOL = tuple(range(11, 19))
"""Videos 11 to 18; their authors are 1 and 2 in turns, their first tags 5, 5, 6, 6, 7, 7, none, none."""
TAGS = ("5", "5,9", "6", "6", "7", "7,5", "", "")


def hand_store(folder: Path) -> FeedStore:
    """User 7 plays videos 1–3 in training, user 9 video 1 five times: the only video with so many exposures.

    In the test split user 7 opens two sessions, user 9 one, user 12 one that is their first and holds the random log.
    """
    train = [
        log_row(user=7, video=video, time_ms=TRAIN_DAY + video * MINUTE, date=20220415, play=play)
        for video, play in ((1, 1_000), (2, 5_000), (3, 9_000))
    ]
    train += [
        log_row(user=9, video=1, time_ms=TRAIN_DAY + n * MINUTE, date=20220415, play=2_000 * n) for n in range(1, 6)
    ]
    valid = [log_row(user=9, video=1, time_ms=TEST_DAY - DAY, date=20220501, play=2_000)]
    test = [
        log_row(user=7, video=4, time_ms=TEST_DAY, date=20220502, play=4_000),
        log_row(user=7, video=4, time_ms=TEST_DAY + 90 * MINUTE, date=20220502, play=4_000),
        log_row(user=9, video=4, time_ms=TEST_DAY, date=20220502, play=4_000),
    ]
    random = [
        log_row(user=12, video=video, time_ms=TEST_DAY + n * MINUTE, date=20220502, play=3_000, is_rand=1)
        for n, video in enumerate(POOL)
    ]
    pool = [
        video_row(video, author=1 + video % 2, tag=tag, upload_dt="2022-04-25")
        for video, tag in zip(POOL, TAGS, strict=True)
    ]
    write_kuairand(
        folder / "files",
        [*train, *valid, *test],
        users={7: 2_000, 9: 3, 12: 5},
        videos=[1, 2, 3, 4, *pool],
        random_logs=random,
    )
    return prepare(folder / "files", folder / "store")
