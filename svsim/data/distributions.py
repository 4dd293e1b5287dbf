"""Distributions of a store that are shown as figures: watch time by duration, fans of users."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from svsim.data.store import FeedStore

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BOX", "LAST_MINUTE", "fans_histogram", "watch_by_minute"]

BOX = {"p5": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}
"""Quantiles of a distribution that is shown as a box."""

LAST_MINUTE = 6
"""Longer videos count as these."""

_SAMPLE = 400_000
_BINS_PER_DECADE = 5


def watch_by_minute(store: FeedStore, split: str = "train") -> pd.DataFrame:
    """Watch time and watch-time gain by whole minutes of duration (the SASRec4SV paper's figure 4).

    Args:
        store: Its events, of long logs every n-th, so that 400,000 to 800,000 are read.
        split: Which of them.

    Returns:
        A row a minute: `minute` (`LAST_MINUTE`: that and more), `events`, `relevant` (share of gains above the
        threshold), `watch_p5` … `watch_p95` in seconds, `gain_p5` … `gain_p95`, the z-scores within the group of
        durations that the store's gain was fitted on.
    """
    import pandas as pd

    rows = store.split_rows(split)
    rows = rows[:: max(1, len(rows) // _SAMPLE)]
    play, duration = store.events["play_time_ms"][rows], store.events["duration_ms"][rows]
    known = duration > 0
    play, duration = play[known], duration[known]
    gain = store.wtg.transform(play, duration)
    minute = np.minimum(duration // 60_000, LAST_MINUTE)
    levels = list(BOX.values())
    made = []
    for number in np.unique(minute):
        own = minute == number
        watch, gains = np.quantile(play[own] / 1e3, levels), np.quantile(gain[own], levels)
        row = {
            "minute": int(number),
            "events": int(own.sum()),
            "relevant": float((gain[own] > store.wtg.threshold).mean()),
        }
        row |= {f"watch_{name}": float(value) for name, value in zip(BOX, watch, strict=True)}
        row |= {f"gain_{name}": float(value) for name, value in zip(BOX, gains, strict=True)}
        made.append(row)
    return pd.DataFrame(made)


def fans_histogram(store: FeedStore) -> pd.DataFrame:
    """Users by their number of fans (the SASRec4SV paper's figure 5).

    Returns:
        A row a bin, none left out between the first and the last: `low`, `high` (fans, from low up to but without high;
        the first bin holds those without fans), `users`.
    """
    import pandas as pd

    fans = np.maximum(np.asarray(store.users["fans_user_num"])[1:], 0)
    decades = int(np.ceil(np.log10(max(int(fans.max(initial=0)), 1) + 1)))
    edges = np.unique(np.r_[0, np.ceil(np.logspace(0, max(decades, 1), max(decades, 1) * _BINS_PER_DECADE + 1))])
    users, _ = np.histogram(fans, np.r_[edges[:-1], edges[-1]])
    table = pd.DataFrame({"low": edges[:-1].astype(np.int64), "high": edges[1:].astype(np.int64), "users": users})
    return table[: int(np.flatnonzero(users).max(initial=0)) + 1]
