"""Sessions, requests, tabs and the clock.

request size n = 1 + NB(r, p), at most 20; mean about 5.8             (facts, 8: 82.8 % of rows share their request)
tab          : drawn from the user's own shares when a session opens, and anew with probability ρ at a request
next request : play times + a pause for each video + a pause before the request, and now and then a break of
               minutes, since play times alone leave none                                                (facts, 8)
hours        : visits go by operational time, whose rate is the share of each hour and day    (facts, 8; 27K tables)
logged hour  : that of the request some minutes on                                                      (facts, 2)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.randomness import keyed_hash, keyed_uniform
from svsim.world.config import DAY_MS, FIRST_DAY, HOUR_MS, START_MS, WorldConfig
from svsim.world.constants import constants
from svsim.world.draws import Draw, split
from svsim.world.users import Users

__all__ = ["LARGEST_REQUEST", "Clock", "Visits", "logged_date_hour"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LARGEST_REQUEST = 20
FEWEST_PAUSE_MS = 300.0
LOGGED_SHIFT_MS = (300_000, 960_000)
"""The log's date and hour are those of the request 5 to 16 minutes on."""


class Clock:
    """Operational time: how much visiting time has gone by; it runs slowly at night."""

    def __init__(self, config: WorldConfig) -> None:
        c = constants("visits")
        daily = c["day_share"][: config.days] / c["day_share"].mean()
        rate = (daily[:, None] * c["hour_rate"][None, :]).reshape(-1)
        self._hours = np.arange(len(rate) + 1, dtype=np.float64)
        self._gone = np.concatenate([[0.0], np.cumsum(rate)])
        self.end_ms = START_MS + config.days * DAY_MS

    def operational(self, time_ms: npt.NDArray[Any]) -> Floats:
        """Operational hours from the start to these times."""
        hours = (np.asarray(time_ms, dtype=np.float64) - START_MS) / HOUR_MS
        over = np.maximum(hours - self._hours[-1], 0.0)
        return np.asarray(np.interp(hours, self._hours, self._gone) + over)

    def time_ms(self, operational: Floats) -> Ints:
        """The times at which so many operational hours are over."""
        over = np.maximum(operational - self._gone[-1], 0.0)
        hours = np.interp(operational, self._gone, self._hours) + over
        return np.asarray(START_MS + np.floor(hours * HOUR_MS), dtype=np.int64)


class Visits:
    """Requests of a session."""

    def __init__(self, users: Users, key: np.uint64) -> None:
        from scipy.stats import nbinom

        c = constants("visits")
        sizes = np.arange(LARGEST_REQUEST)
        mass = nbinom.pmf(sizes, c["request_r"], c["request_r"] / (c["request_r"] + c["request_mean"] - 1))
        self._size = np.cumsum(mass / mass.sum())
        self._tabs = users.tabs
        self._key = key

    @property
    def mean_size(self) -> float:
        """Mean number of videos of a request: Σ P(size > n) over all n from 0."""
        return 1.0 + float((1.0 - self._size).sum())

    def open(self, user: Ints, request: Ints, tab: Ints) -> tuple[Ints, Ints]:
        """Size and tab of requests.

        Args:
            user: (B,) user ids.
            request: (B,) number of the request among all of the user's.
            tab: (B,) tab of the request before in the session, −1 for its first.
        """
        row = keyed_hash(self._key, Draw.REQUEST, user, request)
        size = 1 + np.searchsorted(self._size, keyed_uniform(row, 0), side="right")
        again, rest = split(keyed_uniform(row, 1), np.where(tab < 0, 1.0, float(constants("visits")["tab_switch"])))
        drawn = (self._tabs[user] <= rest[:, None]).sum(axis=1)
        return np.minimum(size, LARGEST_REQUEST), np.where(again, drawn, tab)

    def span_ms(self, user: Ints, request: Ints, play_ms: Floats, videos: Ints, page: Array) -> Floats:
        """Time from a request to the next one.

        Args:
            user: (B,) user ids.
            request: (B,) number of the request.
            play_ms: (B,) its play times together.
            videos: (B,) videos shown.
            page: (B,) whether its tab is a page, where videos that stay closed are passed over quickly.
        """
        from scipy.special import ndtri

        c = constants("visits")
        row = keyed_hash(self._key, Draw.REQUEST, user, request)
        pause = c["request_pause_ms"] * np.exp(c["request_pause_log_sd"] * ndtri(keyed_uniform(row, 2) + 2.0**-54))
        each = np.where(page, c["page_pause_ms"], c["feed_pause_ms"])
        breaks, rest = split(keyed_uniform(row, 3), np.full(len(user), c["break_share"]))
        low, high = np.log(c["break_ms"])
        pause = pause + np.where(breaks, np.exp(low + rest * (high - low)), 0.0)
        return np.asarray(np.maximum(FEWEST_PAUSE_MS, np.floor(play_ms + videos * each + pause)))


def logged_date_hour(key: np.uint64, user: Ints, time_ms: Ints) -> tuple[Ints, Ints]:
    """The columns `date` (YYYYMMDD) and `hourmin` (hour × 100) of requests, by Beijing time."""
    low, high = LOGGED_SHIFT_MS
    shift = low + keyed_uniform(key, Draw.REQUEST, user, time_ms, 9) * (high - low)
    since = time_ms + shift.astype(np.int64) - START_MS
    day = since // DAY_MS
    dates = np.datetime64(FIRST_DAY) + day.astype("timedelta64[D]")
    year, month = dates.astype("datetime64[Y]"), dates.astype("datetime64[M]")
    number = (year.astype(np.int64) + 1970) * 10_000 + (month - year).astype(np.int64) * 100 + 100
    number = number + (dates - month).astype(np.int64) + 1
    return number, since % DAY_MS // HOUR_MS * 100
