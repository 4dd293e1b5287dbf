"""How long users pause between two videos of a session: what moves an environment's clock on besides play times."""

from __future__ import annotations

import numpy as np

from svsim.data.store import FeedStore

__all__ = ["median_pause_ms"]


def median_pause_ms(store: FeedStore) -> int:
    """The median pause of the training split, in whole ms.

    KuaiRand logs the time of a request, not of each of its videos. So over consecutive requests of a user within one
    session of 30 minutes' gap: (time between them − play times of the first one's videos) / its videos, at least 0.

    Args:
        store: Whose training split.

    Returns:
        0 where no session has two requests.
    """
    sessions = store.sessions("train")
    rows = sessions.rows
    if not len(rows):
        return 0
    time, play = store.events["time_ms"][rows], store.events["play_time_ms"][rows]
    opens = np.zeros(len(rows), dtype=bool)
    opens[sessions.start] = True
    opens[1:] |= time[1:] != time[:-1]
    first = np.flatnonzero(opens)
    videos = np.diff(first, append=len(rows))
    played = np.add.reduceat(play.astype(np.int64), first)
    session = np.searchsorted(sessions.start, first, side="right")
    followed = np.flatnonzero(session[1:] == session[:-1])
    if not len(followed):
        return 0
    between = time[first[followed + 1]] - time[first[followed]]
    pause = np.maximum((between - played[followed]) / videos[followed], 0.0)
    return int(np.median(pause))
