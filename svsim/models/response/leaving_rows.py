"""Where a log's sessions end, as rows to fit and to judge leaving by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from svsim.data.store import FeedStore
from svsim.models.response.calibration import Calibration
from svsim.models.response.forward import Forward
from svsim.models.response.leaving import DISAPPOINTMENT_DECAY, LAST, Leaving, leaving_features, repeated_shares
from svsim.models.response.material import Material
from svsim.models.response.outcomes import WatchFlags
from svsim.models.response.past_sums import SESSION_GAP_MS
from svsim.models.response.runs import Parts
from svsim.models.response.watch import PlayBaseline
from svsim.signals import wtr

__all__ = ["LeavingRows", "fit_leaving", "leaving_rows"]

MOST_ROWS = 1_000_000

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LeavingRows:
    """Rows after whose videos a user may leave.

    Attributes:
        rows: (n,) rows of the events.
        features: (n, 10) after the row's video.
        left: (n,) whether the session ended there.
        gap_h: (n,) hours from the end of the row's play to the user's next row, NaN where there is none.
        goes_on: (n,) whether the next row is of the same request.
        click: (n,) whether the row was a click.
    """

    rows: Ints
    features: Array
    left: Array
    gap_h: Array
    goes_on: Array
    click: Array


def leaving_rows(material: Material, rows: Ints, expected_wtr: Array) -> LeavingRows:
    """Rows with what is known when their videos are over; a log's last rows, whose sessions it may have cut, left out.

    Args:
        material: The store.
        rows: (n,) ascending rows of the events, whole sessions.
        expected_wtr: (n,) watch ratio expected of each.
    """
    store, log = material.store, material.log
    events = store.events
    user, time = events["user"], events["time_ms"]
    session = log.session[rows].astype(np.int64)
    ratio = np.nan_to_num(wtr(events["play_time_ms"][rows], events["duration_ms"][rows]))
    disappointment = _running(session, expected_wtr - ratio)
    following = np.minimum(rows + 1, store.n_events - 1)
    has_next = (rows + 1 < store.n_events) & (user[following] == user[rows])
    over = time[rows] + events["play_time_ms"][rows]
    pause = np.where(has_next, time[following] - time[rows], np.int64(1) << 60)
    left = pause > SESSION_GAP_MS
    # The log's end cuts sessions that may have gone on.
    cut = ~has_next & (int(time.max()) - time[rows] <= SESSION_GAP_MS)
    features = leaving_features(
        disappointment,
        repeated_shares(_last(store, material, rows, session)),
        (over - time[session]) / 60_000.0,
        rows - session + 1.0,
        time[rows],
    )
    gap = np.where(has_next & left, (time[following] - over) / 3_600_000.0, np.nan)
    kept = ~cut
    goes_on = has_next & (time[following] == time[rows])
    click = events["is_click"][rows] > 0
    return LeavingRows(rows[kept], features[kept], left[kept], gap[kept], goes_on[kept], click[kept])


def _running(session: Ints, surprise: Array) -> Array:
    """(n,) exponential mean within each session, from nought."""
    out = np.empty(len(surprise))
    starts = np.flatnonzero(np.append(True, session[1:] != session[:-1]))
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(session)], strict=True):
        out[start:end] = lfilter([1 - DISAPPOINTMENT_DECAY], [1.0, -DISAPPOINTMENT_DECAY], surprise[start:end])
    return out


def _last(store: FeedStore, material: Material, rows: Ints, session: Ints) -> Array:
    """(n, 3, 10) videos, authors and first tags of the session's last ten, this one last; 0 none."""
    back = rows[:, None] - np.arange(LAST - 1, -1, -1)[None, :]
    video = np.where(back >= session[:, None], store.events["video"][np.maximum(back, 0)], 0)
    return np.stack([video, material.source.author[video], material.source.tag[video]], axis=1)


def fit_leaving(
    material: Material,
    rows: Ints,
    forward: Forward,
    baseline: PlayBaseline,
    flags: WatchFlags,
    calibration: Calibration,
) -> Leaving:
    """Fit leaving and coming back to training rows; of long logs to those of the first users, whole."""
    if len(rows) > MOST_ROWS:
        user = material.store.events["user"][rows]
        rows = rows[user < user[MOST_ROWS]]
    blank = Leaving(np.zeros(10), np.zeros(10), 1.0, np.zeros(2), np.zeros((2, 5)))
    parts = Parts(forward.scales, material.past.usual, baseline, flags, calibration, blank)
    expected = material.predictions(rows, "running", forward, parts)["wtr"]
    found = leaving_rows(material, rows, expected)
    return Leaving.fit(found.features, found.left, found.gap_h, found.goes_on, found.click)
