"""Click and long view from the play time, by KuaiRand's definitions and with its log's exceptions.

    click: T > 7 s (d > 7 s), T ≥ d (d ≤ 7 s);   long view: T ≥ min(18 s, d)

The log keeps to them in all but 2 to 3 % of rows: some clicks where nothing was watched, tabs that always or never click,
pages where to click is to open. So each is drawn with its share in the training rows of the tab and of the band of play
times: no play, below 1 s, 1 to 3 s, 3 s to the limit, past it. Tabs with few rows take the shares of all tabs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from svsim.models.response.watch import PlayTable

__all__ = ["N_TABS", "WatchFlags", "click_limit_ms", "long_limit_ms"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

CLICK_MS, LONG_MS = 7_000, 18_000
BANDS_MS = (1_000.0, 3_000.0)
N_BANDS = len(BANDS_MS) + 3
N_TABS = 16
PSEUDO_ROWS = 20.0


def click_limit_ms(duration_ms: Array) -> Floats:
    """(n,) the least whole ms of play that is a click."""
    return np.where((duration_ms > 0) & (duration_ms <= CLICK_MS), duration_ms, CLICK_MS + 1).astype(np.float64)


def long_limit_ms(duration_ms: Array) -> Floats:
    """(n,) the least whole ms of play that is a long view."""
    return np.where((duration_ms > 0) & (duration_ms <= LONG_MS), duration_ms, LONG_MS).astype(np.float64)


@dataclass(frozen=True)
class WatchFlags:
    """Shares of clicks and of long views by tab and band of play time, both (16, 5)."""

    click: Floats
    long_view: Floats

    @classmethod
    def fit(cls, tab: Array, play_ms: Array, duration_ms: Array, click: Array, long_view: Array) -> Self:
        """Take the shares from rows of a log, all (n,)."""
        tab = np.minimum(tab, N_TABS - 1).astype(np.int64)
        shares = []
        for limit, flag in ((click_limit_ms(duration_ms), click), (long_limit_ms(duration_ms), long_view)):
            band = _band(play_ms, limit)
            cell = tab * N_BANDS + band
            rows = np.bincount(cell, minlength=N_TABS * N_BANDS).reshape(N_TABS, N_BANDS).astype(np.float64)
            yes = np.bincount(cell, weights=flag, minlength=N_TABS * N_BANDS).reshape(N_TABS, N_BANDS)
            # Where no row was seen the definition holds.
            prior = (yes.sum(axis=0) + np.array([0, 0, 0, 0, 1.0])) / (rows.sum(axis=0) + 1.0)
            shares.append((yes + PSEUDO_ROWS * prior) / (rows + PSEUDO_ROWS))
        return cls(*shares)

    def given_play(self, tab: int, play_ms: Array, click_ms: Array, long_ms: Array) -> tuple[Floats, Floats]:
        """(n,) P(click) and (n,) P(long view) once the play times are known, in one tab.

        Args:
            tab: The tab.
            play_ms: (n,) play times in ms.
            click_ms: (n,) limits of a click.
            long_ms: (n,) limits of a long view.
        """
        below = 1 + (play_ms >= BANDS_MS[0]) + (play_ms >= BANDS_MS[1])
        below *= play_ms > 0
        past = N_BANDS - 1
        return (
            self.click[min(tab, N_TABS - 1)].take(np.where((play_ms >= click_ms) & (play_ms > 0), past, below)),
            self.long_view[min(tab, N_TABS - 1)].take(np.where((play_ms >= long_ms) & (play_ms > 0), past, below)),
        )

    def expected(
        self, tab: Array, duration_ms: Array, no_play: Floats, table: PlayTable, hazards: tuple[Floats, Floats]
    ) -> tuple[Floats, Floats]:
        """(n,) P(click) and (n,) P(long view) before anything is played.

        Args:
            tab: (n,) tabs.
            duration_ms: (n,) durations in ms.
            no_play: (n,) P(no play at all).
            table: The play times of the rows.
            hazards: Of `table.hazards`.
        """
        tab = np.minimum(tab, N_TABS - 1)
        found = []
        for limit, share in ((click_limit_ms(duration_ms), self.click), (long_limit_ms(duration_ms), self.long_view)):
            edges = [np.minimum(edge, limit) for edge in BANDS_MS] + [limit]
            before = np.ones(len(tab))
            total = no_play * share[tab, 0]
            for band, edge in enumerate(edges, start=1):
                after = table.survival(hazards, edge)
                total += (1 - no_play) * (before - after) * share[tab, band]
                before = after
            found.append(total + (1 - no_play) * before * share[tab, N_BANDS - 1])
        return found[0], found[1]


def _band(play_ms: Array, limit_ms: Array) -> npt.NDArray[np.int64]:
    """Band of each play: 0 none, 1 to 3 below the limit, 4 at or past it."""
    below = 1 + np.searchsorted(BANDS_MS, play_ms, side="right")
    return np.where(play_ms <= 0, 0, np.where(play_ms >= limit_ms, N_BANDS - 1, below)).astype(np.int64)
