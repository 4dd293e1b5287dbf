"""The statistics table of the pool: what the platform as a whole is said to have counted of its videos.

Shows are log-normal at KuaiRand's quantiles; plays and what follows from them are the world's own expectations in tab 1 for
a viewer whom the platform serves as well as most (facts, 10). As in KuaiRand they know the days of the log.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.names import CLICK, COMMENT, FOLLOW, FORWARD, LIKE, LONG_VIEW, PLAY_TIME, STATISTIC_COLUMNS
from svsim.world.draws import Draw, keyed_normal
from svsim.world.response import Situation, expectations
from svsim.world.world import World

__all__ = ["statistics_table"]

Array = npt.NDArray[Any]

MEDIAN_SHOWS, SHOWS_LOG_SD = 4_519.0, 1.18
PLAYS_A_SHOW = 0.734
TYPICAL_SELECTION = 0.8
"""How far the interest of those it is shown to lies above that of anybody."""
DAYS = 30
VIEWERS = 0.88
"""Viewers of an event, for each event."""


def statistics_table(world: World) -> dict[str, Array]:
    """`video_features_statistic` of the pool's videos as columns."""
    pool = world.pool
    quality, _, _ = world.catalogue.appeal(pool)
    duration = world.catalogue.duration_ms(pool)
    expected = expectations(
        Situation(
            quality.astype(np.float64) + TYPICAL_SELECTION,
            duration,
            np.ones(len(pool), dtype=np.int64),
            np.zeros(len(pool)),
        )
    )
    shows = MEDIAN_SHOWS * np.exp(SHOWS_LOG_SD * keyed_normal(world.key, Draw.STATISTIC, pool, 0).astype(np.float64))
    plays = PLAYS_A_SHOW * shows
    complete = expected[LONG_VIEW] * 0.5
    counted = {
        "show": shows,
        "play": plays,
        "complete_play": plays * complete,
        "valid_play": plays * expected[CLICK],
        "long_time_play": plays * expected[LONG_VIEW],
        "short_time_play": plays * (1 - expected[CLICK]) * 0.65,
        "like": plays * expected[LIKE],
        "click_like": plays * expected[LIKE] * 0.45,
        "double_click": plays * expected[LIKE] * 0.55,
        "cancel_like": plays * expected[LIKE] * 0.11,
        "comment": plays * expected[COMMENT],
        "direct_comment": plays * expected[COMMENT] * 0.8,
        "reply_comment": plays * expected[COMMENT] * 0.2,
        "delete_comment": plays * expected[COMMENT] * 0.1,
        "comment_like": plays * expected[COMMENT] * 0.2,
        "follow": plays * expected[FOLLOW],
        "cancel_follow": plays * expected[FOLLOW] * 0.6,
        "share": plays * expected[FORWARD],
        "download": plays * expected[FORWARD] * 0.3,
        "report": plays * 1e-5,
        "reduce_similar": plays * 1e-3,
        "collect": plays * expected[LIKE] * 0.14,
        "cancel_collect": plays * expected[LIKE] * 0.04,
        "share_all": plays * expected[FORWARD] * 1.4,
    }
    columns: dict[str, Array] = {
        "video_id": pool,
        "counts": np.full(len(pool), DAYS),
        "play_duration": plays * expected[PLAY_TIME],
        "play_progress": np.where(duration > 0, np.minimum(expected[PLAY_TIME] / np.maximum(duration, 1), 1.0), 0.0),
        "comment_stay_duration": plays * expected[COMMENT] * 6_000.0,
        "outsite_share_all_cnt": counted["share_all"] * 0.6,
    }
    for name, values in counted.items():
        columns[f"{name}_cnt"], columns[f"{name}_user_num"] = values, values * VIEWERS
    return {name: columns[name] for name in STATISTIC_COLUMNS}
