"""A reaction drawn fast: `svsim.world.response.react` in the main feed, with all that is fixed looked up.

The same formulas in the same order on the same uniforms, so the same reaction; what differs is the work. Knots of the
hazard are searched by halves and only where the draw falls, and a signal's hinges are one straight line between two
edges. Every operation is by element, so that a row's reaction does not depend on the batch around it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.names import CLICK, COMMENT, DURATION, FEEDBACK, FOLLOW, FORWARD, HATE, LIKE, LONG_VIEW, PLAY_TIME
from svsim.names import PROFILE_ENTER as PROFILE
from svsim.response.truth_videos import KNOTS, Int, Real
from svsim.world.constants import constants
from svsim.world.response import COMMENT_PAGE, LONGEST_PLAY_MS

__all__ = ["MAIN_FEED", "Viewer"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

MAIN_FEED = 1
"""The tab of the episodes: videos play by themselves."""
SIGNALS = (COMMENT_PAGE, LIKE, COMMENT, PROFILE, FOLLOW, FORWARD, HATE)
BELOW_ONE = 1.0 - 2.0**-53


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
        self._lines = _Lines()
        self._no_page = float(c["comment_no_page"])

    def respond(self, real: Floats, whole: Array, interest: Floats, like_effect: Floats, noise: Floats) -> Array:
        """Reactions to one video a row.

        Args:
            real: (B, 10) rows of `TruthVideos.real`.
            whole: (B, 6) rows of `TruthVideos.whole`.
            interest: (B,) interest in the video now.
            like_effect: (B,) λ of the user.
            noise: (B, 8) uniforms, see `protocol.NOISE`.

        Returns:
            (9, B) int32 in the order of `names.FEEDBACK`.
        """
        first, second, like, page, forward, follow, hate = np.ascontiguousarray(noise.T[:7])
        opened, rest = _split(second, self._opens)
        play = np.floor(self._play_ms(real, whole, interest + self._shift, first))
        play = np.minimum(np.maximum(play, 1.0), LONGEST_PLAY_MS) * opened
        answer = np.empty((len(FEEDBACK), len(play)), dtype=np.int32)
        answer[_AT[PLAY_TIME]] = play
        answer[_AT[DURATION]] = whole[:, Int.DURATION]
        unseen = self._unseen.take(self._unseen_ms.searchsorted(play, side="right")) * real[:, Real.UNSEEN]
        answer[_AT[CLICK]], rest = _split(rest, np.where(play >= real[:, Real.CLICK_FROM], 1.0, unseen))
        answer[_AT[LONG_VIEW]] = (play >= real[:, Real.LONG_FROM]) | (rest < real[:, Real.UNSEEN_LONG])
        self._social(
            answer, self._lines.odds_against(play, real, interest, like_effect), (page, like, follow, forward, hate)
        )
        return answer

    def _play_ms(self, real: Floats, whole: Array, interest: Floats, uniform: Floats) -> Floats:
        """Where 1 − S reaches the uniform draw, see `WatchHazard.play_ms`."""
        push = real[:, Real.PUSH] * interest
        early, late = np.exp(push), np.exp(self._late * push)
        kink, share = real[:, Real.KINK], real[:, Real.SHARE]
        spent = -np.log1p(-uniform)
        until = early * kink
        target = np.where(spent <= until, spent / early, kink + (spent - until) / late)
        base = whole[:, Int.HAZARD].astype(np.int64)
        rest = 1 - share
        knot = np.zeros(len(base), dtype=np.int64)
        step = KNOTS // 2
        while step:
            at = base + (knot + step)
            knot += step * (rest * self._hazard.take(at) + share * self._hazard.take(at + KNOTS) <= target)
            step //= 2
        knot = np.minimum(knot, self._last)
        at = base + knot
        h0 = rest * self._hazard.take(at) + share * self._hazard.take(at + KNOTS)
        h1 = rest * self._hazard.take(at + 1) + share * self._hazard.take(at + (KNOTS + 1))
        t0, t1 = self._times(knot, real), self._times(knot + 1, real)
        rise = h1 - h0
        flat = rise <= 0
        return np.where(flat, t0, t0 + (target - h0) * (t1 - t0) / (rise + flat))

    def _times(self, knot: Array, real: Floats) -> Floats:
        return self._scale.take(knot) * np.exp(self._power.take(knot) * real[:, Real.LOG_SPAN])

    def _social(self, answer: Array, odds: Floats, noise: tuple[Floats, ...]) -> None:
        """Draw what comes beside watching, each given what came before; `odds` are those against, e^{−logit}."""
        page_noise, like_noise, follow_noise, forward_noise, hate_noise = noise
        lines = self._lines
        page, rest = _split(page_noise, 1 / (1 + odds[0]))
        by_page = np.where(page, lines.page, 1.0)
        like = like_noise < 1 / (1 + odds[1] * by_page[0])
        by_like = np.where(like, lines.like, 1.0)
        comment = rest < 1 / (1 + odds[2] * by_like[0]) * np.where(page, 1.0, self._no_page)
        profile, rest = _split(follow_noise, 1 / (1 + odds[3] * by_page[1] * by_like[1]))
        follow = rest < 1 / (1 + odds[4] * by_like[2] * np.where(profile, lines.profile, 1.0))
        answer[_AT[LIKE]], answer[_AT[COMMENT]], answer[_AT[FOLLOW]] = like, comment, follow
        answer[_AT[FORWARD]] = forward_noise < 1 / (1 + odds[5] * by_like[3])
        answer[_AT[HATE]] = hate_noise < 1 / (1 + odds[6])


_AT = {name: place for place, name in enumerate(FEEDBACK)}


class _Lines:
    """The logits of the signals as straight lines in ln T and in T/d between the edges of their hinges."""

    def __init__(self) -> None:
        c = constants("response")
        logit = np.stack([c[f"{name}_logit"] for name in SIGNALS])
        self._log_edges, ratio_edges = c["log_play_hinges"], c["ratio_hinges"]
        logs, ratios = len(self._log_edges), len(ratio_edges)
        zero = logit[:, -1:]
        start, slope = _pieces(logit[:, 1 : 2 + logs], self._log_edges)
        # No play at all has a piece of its own, and a logarithm of the shortest play.
        self._log_start = np.concatenate([start[:, :1] + zero, start], axis=1) + logit[:, :1]
        self._log_slope = np.concatenate([slope[:, :1], slope], axis=1)
        self._log_from = np.concatenate([[0.5], 1_000.0 * np.exp(self._log_edges)])
        self._ratio_from = ratio_edges
        self._ratio_start, self._ratio_slope = _pieces(logit[:, 2 + logs : 3 + logs + ratios], ratio_edges)
        self._interest = np.array([[c[f"{name}_interest"]] for name in SIGNALS])
        self.page = np.exp([[-c["like_given_page"]], [-c["profile_given_page"]]])
        given_like = ("comment_given_like", "profile_given_like", "follow_given_like", "forward_given_like")
        self.like = np.exp([[-c[name]] for name in given_like])
        self.profile = float(np.exp(-c["follow_given_profile"]))

    def odds_against(self, play: Floats, real: Floats, interest: Floats, like_effect: Floats) -> Floats:
        """(7, B) e^{−logit} of `SIGNALS`, as if no earlier one had happened."""
        log_play = np.log(np.minimum(np.maximum(play, 300.0), 600_000.0) / 1_000.0)
        ratio = np.minimum(play / real[:, Real.DURATION], 6.0)
        piece, other = (
            self._log_from.searchsorted(play, side="right"),
            self._ratio_from.searchsorted(ratio, side="right"),
        )
        logit = self._log_start.take(piece, axis=1) + self._log_slope.take(piece, axis=1) * log_play
        logit += self._ratio_start.take(other, axis=1) + self._ratio_slope.take(other, axis=1) * ratio
        logit += self._interest * interest
        logit[1] += like_effect
        return np.asarray(np.exp(-logit))


def _pieces(weights: Floats, edges: Floats) -> tuple[Floats, Floats]:
    """Starts and slopes (S, E + 1) of w₀ x + Σ wᵢ (x − eᵢ)₊ between the edges e."""
    slope = np.cumsum(weights, axis=1)
    start = np.concatenate([np.zeros((len(weights), 1)), -np.cumsum(weights[:, 1:] * edges, axis=1)], axis=1)
    return start, slope


def _split(uniform: Floats, probability: Any) -> tuple[npt.NDArray[np.bool_], Floats]:
    """`svsim.world.draws.split` without a division that could fail."""
    event = uniform < probability
    rest = (uniform - np.where(event, 0.0, probability)) / np.where(event, probability, 1 - probability)
    return event, np.minimum(rest, BELOW_ONE)
