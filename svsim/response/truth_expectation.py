"""What the truth expects of videos, fast: `svsim.world.response.expectations` in the main feed, and the three signals.

Click, long view and relevance come from the survival at their thresholds, whose baseline hazards are looked up; play time,
watch-time ratio and what is more than watching are integrated over the segments of the play time's distribution, one of
whose knots is the duration. Sums go along the segments alone, so that a row's do not depend on the batch around it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.names import AUX, CLICK, LONG_VIEW, PLAY_TIME, WTG, WTR
from svsim.response.protocol import EXPECTED
from svsim.response.truth_social import DRAWN, Social
from svsim.response.truth_videos import KNOTS, MAIN_FEED, Int, Real
from svsim.signals import aux
from svsim.world.constants import constants
from svsim.world.hazard import knot_times
from svsim.world.response import LONGEST_PLAY_MS

__all__ = ["Expectation"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

BLOCK = 256
"""Videos looked at together: all that is made of them stays in the processor's cache."""


class Expectation:
    """Expectations over the response noise, for any rows of the tables of `TruthVideos`.

    Args:
        hazard: (D, `KNOTS`) the tables' baseline hazards.
    """

    def __init__(self, hazard: Floats) -> None:
        c = constants("response")
        self._knots = 1 + int(c["early_knots"]) + len(c["late_ratios"])
        self._hazard = np.ascontiguousarray(hazard[:, : self._knots])
        self._late = float(c["hazard_late"])
        self._opens = 1.0 - float(c["tab_zero_play"][MAIN_FEED])
        self._shift = float(c["tab_shift"][MAIN_FEED])
        self._unseen = c["unseen_click"]
        self._social = Social(np.float32)

    def of(self, real: Floats, whole: Array, interest: Floats, like_effect: Floats) -> dict[str, Singles]:
        """Expectations of videos, by name of `protocol.EXPECTED`.

        Args:
            real: (N, R) rows of `TruthVideos.real`.
            whole: (N, 6) rows of `TruthVideos.whole`.
            interest: (N,) interest in each.
            like_effect: (N,) λ of the user.

        Returns:
            (N,) float32 by name.
        """
        push = real[:, Real.PUSH] * (interest + self._shift)
        early, late = np.exp(push), np.exp(self._late * push)
        found = {name: np.empty(len(interest), dtype=np.float32) for name in EXPECTED}
        for name, values in self._thresholds(real, early, late).items():
            found[name][:] = values
        for start in range(0, len(interest), BLOCK):
            part = slice(start, start + BLOCK)
            integrals = self._integrals(
                real[part], whole[part], interest[part], like_effect[part], early[part], late[part]
            )
            for name, singles in integrals.items():
                found[name][part] = singles
        found[AUX] = aux(found)
        return found

    def _thresholds(self, real: Floats, early: Floats, late: Floats) -> dict[str, Floats]:
        """P(click), P(long view) and P(relevant gain)."""
        kink = real[:, Real.KINK]

        def survival(column: int) -> Floats:
            now = real[:, column]
            return np.asarray(np.exp(-(early * np.minimum(now, kink) + late * np.maximum(now - kink, 0.0))))

        opened, unseen = self._opens, real[:, Real.UNSEEN]
        click = survival(Real.H_CLICK)
        before: Floats | float = 1.0
        missed: Floats | float = (1 - opened) * self._unseen[0]
        for rate, column in zip(self._unseen[1:], (Real.H_SHORT, Real.H_MIDDLE, Real.H_CLICK), strict=True):
            upto = survival(column)
            missed = missed + opened * rate * (before - upto)
            before = upto
        enough = opened * survival(Real.H_LONG)
        relevant = opened * survival(Real.H_GAIN)
        return {
            CLICK: opened * click + unseen * missed,
            LONG_VIEW: enough + (1 - enough) * real[:, Real.UNSEEN_LONG],
            WTG: relevant + real[:, Real.GAIN_AT_NONE] * (1 - opened),
        }

    def _integrals(
        self, real: Floats, whole: Array, interest: Floats, like_effect: Floats, early: Floats, late: Floats
    ) -> dict[str, Singles]:
        """Play time, watch-time ratio and P(like), …; float32 from where probabilities are known."""
        play, probability = self._segments(real, whole, early[:, None], late[:, None])
        duration, drawn_to = real[:, Real.DURATION, None].astype(np.float32), interest.astype(np.float32)
        like = like_effect.astype(np.float32)
        odds = self._social.odds_against(play, duration, drawn_to[:, None], like[:, None])
        none = self._social.odds_against(np.zeros_like(drawn_to), duration[:, 0], drawn_to, like)
        found = {
            name: (p * probability).sum(axis=-1) + np.float32(1 - self._opens) * without
            for name, p, without in zip(DRAWN, self._social.marginals(odds), self._social.marginals(none), strict=True)
        }
        # A picture post has no watch-time ratio, which then counts as none.
        ratio = (np.minimum(play / duration, np.float32(1.0)) * probability).sum(axis=-1)
        found[WTR] = ratio * (whole[:, Int.DURATION] > 0)
        found[PLAY_TIME] = (play * probability).sum(axis=-1)
        return found

    def _segments(self, real: Floats, whole: Array, early: Floats, late: Floats) -> tuple[Singles, Singles]:
        """(n, S) mean play times in the segments and their probabilities, see `WatchHazard.segments`."""
        row = whole[:, Int.HAZARD] // KNOTS
        second, kink = real[:, Real.SHARE, None], real[:, Real.KINK, None]
        baseline = (1 - second) * self._hazard.take(row, axis=0) + second * self._hazard.take(row + 1, axis=0)
        times = knot_times(real[:, Real.DURATION])
        theta = early * np.minimum(baseline, kink) + late * np.maximum(baseline - kink, 0.0)
        survival = np.exp(-theta)
        rise, width = np.diff(theta, axis=-1), np.diff(times, axis=-1)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            inside = np.where(rise > 1e-6, 1 / rise - 1 / np.expm1(rise), 0.5)
            tail = np.where(rise[:, -1] > 0, width[:, -1] / rise[:, -1], 0.0)
        play, probability = np.empty(times.shape, dtype=np.float32), np.empty(times.shape, dtype=np.float32)
        play[:, :-1] = times[:, :-1] + width * inside
        play[:, -1] = times[:, -1] + tail
        np.multiply(self._opens, survival[:, :-1] - survival[:, 1:], out=probability[:, :-1], casting="same_kind")
        probability[:, -1] = self._opens * survival[:, -1]
        return np.minimum(play, np.float32(LONGEST_PLAY_MS)), probability
