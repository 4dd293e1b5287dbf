"""A reaction drawn fast: `svsim.world.response.react` in the main feed, with all that is fixed looked up.

The same formulas in the same order on the same uniforms, so the same reaction; what differs is the work. The hazard's knots
are searched by halves and computed only where the draw falls. Every operation is by element, so that a row's reaction does
not depend on the batch around it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.names import CLICK, DURATION, FEEDBACK, LONG_VIEW, PLAY_TIME
from svsim.response.truth_social import DRAWN, Social, split
from svsim.response.truth_videos import KNOTS, MAIN_FEED, Int, Real
from svsim.world.constants import constants
from svsim.world.response import LONGEST_PLAY_MS

__all__ = ["Viewer"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

_AT = {name: place for place, name in enumerate(FEEDBACK)}


class Viewer:
    """How reactions are drawn, for any rows of the tables of `TruthVideos`.

    Args:
        hazard: (D, `KNOTS`) the tables' baseline hazards.
    """

    def __init__(self, hazard: Floats) -> None:
        c = constants("response")
        self._hazard = hazard.reshape(-1)
        knots = int(c["early_knots"])
        ratios = c["late_ratios"]
        # The last segment opens here.
        self._last = knots + len(ratios) - 1
        # Knot k is scale · e^{power · ln(0.9 d / first)}: none at 0, then geometric, then ratios of the duration.
        self._power = np.concatenate([[0.0], np.arange(knots) / knots, np.ones(len(ratios))])
        early = float(c["first_knot_ms"])
        self._scale = np.concatenate([[0.0], np.full(knots, early), ratios * (early / float(c["early_end"]))])
        self._late = float(c["hazard_late"])
        self._opens = 1.0 - float(c["tab_zero_play"][MAIN_FEED])
        self._shift = float(c["tab_shift"][MAIN_FEED])
        self._unseen_ms, self._unseen = c["unseen_click_ms"], c["unseen_click"]
        self._social = Social()

    def respond(self, real: Floats, whole: Array, interest: Floats, like_effect: Floats, noise: Floats) -> Array:
        """Reactions to one video a row.

        Args:
            real: (B, R) rows of `TruthVideos.real`.
            whole: (B, 6) rows of `TruthVideos.whole`.
            interest: (B,) interest in the video now.
            like_effect: (B,) λ of the user.
            noise: (B, 8) uniforms, see `protocol.NOISE`.

        Returns:
            (9, B) int32 in the order of `names.FEEDBACK`.
        """
        uniform = np.ascontiguousarray(noise.T)
        opened, rest = split(uniform[1], self._opens)
        play = np.floor(self._play_ms(real, whole, interest + self._shift, uniform[0]))
        play = np.minimum(np.maximum(play, 1.0), LONGEST_PLAY_MS) * opened
        answer = np.empty((len(FEEDBACK), len(play)), dtype=np.int32)
        answer[_AT[PLAY_TIME]] = play
        answer[_AT[DURATION]] = whole[:, Int.DURATION]
        unseen = self._unseen.take(self._unseen_ms.searchsorted(play, side="right")) * real[:, Real.UNSEEN]
        click, rest = split(rest, np.where(play >= real[:, Real.CLICK_FROM], 1.0, unseen))
        answer[_AT[CLICK]] = click
        answer[_AT[LONG_VIEW]] = (play >= real[:, Real.LONG_FROM]) | (rest < real[:, Real.UNSEEN_LONG])
        odds = self._social.odds_against(play, real[:, Real.DURATION], interest, like_effect)
        for name, happens in zip(DRAWN, self._social.draw(odds, uniform[2:7]), strict=True):
            answer[_AT[name]] = happens
        return answer

    def _play_ms(self, real: Floats, whole: Array, interest: Floats, uniform: Floats) -> Floats:
        """Where 1 − S reaches the uniform draw, see `WatchHazard.play_ms`."""
        push = real[:, Real.PUSH] * interest
        early, late = np.exp(push), np.exp(self._late * push)
        kink = real[:, Real.KINK]
        spent = -np.log1p(-uniform)
        until = early * kink
        target = np.where(spent <= until, spent / early, kink + (spent - until) / late)
        second = real[:, Real.SHARE]
        first = 1 - second
        row = whole[:, Int.HAZARD].astype(np.int64)
        knot = np.zeros(len(row), dtype=np.int64)
        step = KNOTS // 2
        while step:
            knot += step * (self._baseline(row + (knot + step), first, second) <= target)
            step //= 2
        knot = np.minimum(knot, self._last)
        below, above = self._baseline(row + knot, first, second), self._baseline(row + (knot + 1), first, second)
        start, end = self._times(knot, real), self._times(knot + 1, real)
        rise = above - below
        flat = rise <= 0
        return np.where(flat, start, start + (target - below) * (end - start) / (rise + flat))

    def _baseline(self, at: Array, first: Floats, second: Floats) -> Floats:
        return np.asarray(first * self._hazard.take(at) + second * self._hazard.take(at + KNOTS))

    def _times(self, knot: Array, real: Floats) -> Floats:
        return np.asarray(self._scale.take(knot) * np.exp(self._power.take(knot) * real[:, Real.LOG_SPAN]))
