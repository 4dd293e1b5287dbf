"""Leaving a session and coming back.

    P(leave after a video) = m(click) / L          L: the user's mean session length in videos (exposures / sessions)
    m = m₁ after a click, m₀ after none; their mean at KuaiRand's click rate is one

    return gap: quick with probability π (30 to 120 minutes, log-uniform), else 2 h + an exponential in operational time,
    longer after a session of few clicks: × exp(−η (share of clicks − c̄))

54 % of KuaiRand's gaps above 30 minutes are below two hours (facts, 8). π and the long mean ℓ are set so that a user's
gaps and sessions fill the calendar: π g + (1 − π) ℓ = calendar / sessions − length of a session.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.randomness import keyed_hash, keyed_uniform
from svsim.world.config import HOUR_MS, WorldConfig
from svsim.world.constants import constants
from svsim.world.draws import Draw, split
from svsim.world.users import Users
from svsim.world.visits import Clock

__all__ = ["Leaving"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

QUICK_H = (0.5, 2.0)
LEAST_GAP_MS = 31 * 60_000
CALENDAR_H = 31 * 24.0
PRIOR_VIDEOS = 10.0
"""Videos at the mean click rate that a session's share of clicks starts from."""


class Leaving:
    """When users leave, and when they come back."""

    def __init__(self, config: WorldConfig, users: Users, clock: Clock, key: np.uint64) -> None:
        c = constants("leaving")
        self._key, self._clock = key, clock
        length = np.clip(users.exposures / users.sessions, *c["session_videos_range"])
        self.hazard = 1 / length
        session_h = np.minimum(length * c["seconds_a_video"] / 3_600, c["longest_session_h"])
        cycle = CALENDAR_H / (users.sessions * config.visits)
        gap = np.maximum(cycle - session_h, c["least_mean_gap_h"])
        quick = (QUICK_H[1] - QUICK_H[0]) / np.log(QUICK_H[1] / QUICK_H[0])
        wanted = np.maximum(QUICK_H[1] + 0.5, c["long_gap_h"] * (gap / c["typical_gap_h"]) ** c["long_gap_power"])
        self.quick = np.clip((wanted - gap) / (wanted - quick), 0.02, 0.97)
        self.long_h = np.maximum((gap - self.quick * quick) / (1 - self.quick), QUICK_H[1] + 0.25)
        self._first_h = gap + session_h

    def probability(self, user: Ints, click: Array) -> Floats:
        """P(leave) after videos, by what was done with them."""
        c = constants("leaving")
        return np.asarray(np.minimum(self.hazard[user] * np.where(click, c["after_click"], c["after_none"]), 1.0))

    def first_visit_ms(self, user: Ints) -> Ints:
        """When users first come: somewhere in a cycle of theirs."""
        uniform = keyed_uniform(self._key, Draw.ARRIVAL, user)
        return self._clock.time_ms(uniform * self._first_h[user])

    def gap_h(self, user: Ints, session: Ints, end_ms: Ints, clicks: Ints, videos: Ints) -> Floats:
        """Hours from the end of sessions to the next ones.

        Args:
            user: (B,) user ids.
            session: (B,) number of the session that ends.
            end_ms: (B,) when it ends.
            clicks: (B,) videos clicked in it.
            videos: (B,) videos shown in it.
        """
        row = keyed_hash(self._key, Draw.RETURN, user, session)
        return self.gap_from(user, end_ms, clicks, videos, keyed_uniform(row, 0))

    def gap_from(self, user: Ints, end_ms: Ints, clicks: Ints, videos: Ints, uniform: Floats) -> Floats:
        """`gap_h` from given uniform draws (B,)."""
        c = constants("leaving")
        mean = c["mean_click"]
        share = (clicks + PRIOR_VIDEOS * mean) / (videos + PRIOR_VIDEOS)
        stretch = np.exp(-c["gap_click"] * (share - mean))
        quick, rest = split(uniform, np.clip(self.quick[user] / stretch, 0.0, 0.98))
        low, high = np.log(QUICK_H)
        soon = np.exp(low + rest * (high - low))
        wait = -np.log1p(-rest) * (self.long_h[user] - QUICK_H[1]) * stretch
        start = end_ms + int(QUICK_H[1] * HOUR_MS)
        back = self._clock.time_ms(self._clock.operational(start) + wait)
        later = (back - end_ms) / HOUR_MS
        return np.maximum(np.where(quick, soon, later), LEAST_GAP_MS / HOUR_MS)
