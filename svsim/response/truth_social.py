"""What viewers do beside watching, fast: `svsim.world.response`'s logits, their draws and their marginals.

A logit is linear in hinges of ln T and of T/d, so between two hinges it is one straight line: two numbers looked up
instead of a dozen products. The odds against a signal are e^{−logit}, so what an earlier signal adds to the logit is a
factor: σ(l + a) = 1 / (1 + e^{−l} e^{−a}). Every operation is by element.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.names import COMMENT, FOLLOW, FORWARD, HATE, LIKE
from svsim.names import PROFILE_ENTER as PROFILE
from svsim.world.constants import constants
from svsim.world.response import COMMENT_PAGE

__all__ = ["DRAWN", "Social", "split"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.floating[Any]]

SIGNALS = (COMMENT_PAGE, LIKE, COMMENT, PROFILE, FOLLOW, FORWARD, HATE)
DRAWN = (LIKE, COMMENT, FORWARD, FOLLOW, HATE)
SHORTEST_MS, LONGEST_MS, MOST_RATIO = 300.0, 600_000.0, 6.0
BELOW_ONE = 1.0 - 2.0**-53


class Social:
    """The logits of the signals as straight lines.

    Args:
        dtype: What is computed in: float64 to draw as the world draws; float32 to six digits, at half the cost.
    """

    def __init__(self, dtype: npt.DTypeLike = np.float64) -> None:
        c = constants("response")
        logit = np.stack([c[f"{name}_logit"] for name in SIGNALS])
        logs, self._ratio_from = len(c["log_play_hinges"]), c["ratio_hinges"]
        start, slope = _lines(logit[:, 1 : 2 + logs], c["log_play_hinges"])
        # No play at all has a line of its own, with the logarithm of the shortest play.
        start = np.concatenate([start[:, :1] + logit[:, -1:], start], axis=1) + logit[:, :1]
        slope = np.concatenate([slope[:, :1], slope], axis=1)
        self._log_from = np.concatenate([[0.5], 1_000.0 * np.exp(c["log_play_hinges"])])
        self._by_log = start.astype(dtype), slope.astype(dtype)
        start, slope = _lines(logit[:, 2 + logs : -1], self._ratio_from)
        self._by_ratio = start.astype(dtype), slope.astype(dtype)
        self._interest = np.array([c[f"{name}_interest"] for name in SIGNALS], dtype=dtype)
        self._no_page = float(c["comment_no_page"])
        self._page = {name: float(np.exp(-c[f"{name}_given_page"])) for name in ("like", "profile")}
        self._like = {
            name: float(np.exp(-c[f"{name}_given_like"])) for name in ("comment", "profile", "follow", "forward")
        }
        self._profile = float(np.exp(-c["follow_given_profile"]))

    def odds_against(self, play_ms: Floats, duration_ms: Floats, interest: Floats, like_effect: Floats) -> Floats:
        """The odds against each signal of `SIGNALS`, as if no earlier one had happened.

        Args:
            play_ms: (…,) play times; below ½ none.
            duration_ms: Nominal durations; this and the others broadcast against the play times.
            interest: Interest in the video.
            like_effect: λ of the user.

        Returns:
            (7, …).
        """
        log_play = np.log(np.minimum(np.maximum(play_ms, SHORTEST_MS), LONGEST_MS) / 1_000.0)
        ratio = np.minimum(play_ms / duration_ms, MOST_RATIO)
        piece = _place(self._log_from, play_ms)
        logit = self._by_log[1].take(piece, axis=1)
        logit *= log_play
        logit += self._by_log[0].take(piece, axis=1)
        piece = _place(self._ratio_from, ratio)
        by_ratio = self._by_ratio[1].take(piece, axis=1)
        by_ratio *= ratio
        logit += by_ratio
        logit += self._by_ratio[0].take(piece, axis=1)
        logit += self._interest.reshape(-1, *[1] * play_ms.ndim) * interest
        logit[1] += like_effect
        return np.asarray(np.exp(np.negative(logit, out=logit), out=logit))

    def draw(self, odds: Floats, noise: Floats) -> tuple[Array, ...]:
        """Whether each signal of `DRAWN` happens.

        Args:
            odds: (7, B) from `odds_against`.
            noise: (5, B) uniforms for like, comment (and its page), forward, follow (and the profile), hate.
        """
        page, rest = split(noise[1], 1 / (1 + odds[0]))
        like = noise[0] < 1 / (1 + odds[1] * np.where(page, self._page["like"], 1.0))
        liked = {name: np.where(like, factor, 1.0) for name, factor in self._like.items()}
        comment = rest < 1 / (1 + odds[2] * liked["comment"]) * np.where(page, 1.0, self._no_page)
        earlier = np.where(page, self._page["profile"], 1.0) * liked["profile"]
        profile, rest = split(noise[3], 1 / (1 + odds[3] * earlier))
        follow = rest < 1 / (1 + odds[4] * (liked["follow"] * np.where(profile, self._profile, 1.0)))
        forward = noise[2] < 1 / (1 + odds[5] * liked["forward"])
        return like, comment, forward, follow, noise[4] < 1 / (1 + odds[6])

    def marginals(self, odds: Floats) -> tuple[Floats, ...]:
        """The probability of each signal of `DRAWN`, summed over those before it; `odds` (7, …)."""
        page = _given(odds[0])
        both = page * _given(odds[1], self._page["like"])
        like_alone = (1 - page) * _given(odds[1])
        like = both + like_alone
        not_liked = 1 - like
        page_alone, neither = page - both, 1 - page - like_alone
        comment = _given(odds[2], self._like["comment"]) * (both + self._no_page * like_alone)
        comment += _given(odds[2]) * (page_alone + self._no_page * neither)
        by_page, by_like = self._page["profile"], self._like["profile"]
        profile_liked = both * _given(odds[3], by_page * by_like) + like_alone * _given(odds[3], by_like)
        profile = page_alone * _given(odds[3], by_page) + neither * _given(odds[3])
        liked, entered = self._like["follow"], self._profile
        follow = profile_liked * _given(odds[4], liked * entered) + (like - profile_liked) * _given(odds[4], liked)
        follow += profile * _given(odds[4], entered) + (not_liked - profile) * _given(odds[4])
        forward = like * _given(odds[5], self._like["forward"]) + not_liked * _given(odds[5])
        return like, comment, forward, follow, _given(odds[6])


def split(uniform: Floats, probability: Any) -> tuple[npt.NDArray[np.bool_], Floats]:
    """`svsim.world.draws.split` without a division that could fail."""
    event = uniform < probability
    rest = (uniform - np.where(event, 0.0, probability)) / np.where(event, probability, 1 - probability)
    return event, np.asarray(np.minimum(rest, BELOW_ONE))


def _given(odds: Floats, factor: float = 1.0) -> Floats:
    """The probability of a signal whose odds against are multiplied by a factor."""
    against = odds * factor
    against += 1
    return np.asarray(np.reciprocal(against, out=against))


def _place(edges: Floats, values: Floats) -> Array:
    """Edges that each value has reached: `searchsorted`, which is slower for many values among few edges."""
    if values.size <= edges.size:
        return np.asarray(edges.searchsorted(values, side="right"))
    place: Array = (values >= edges[0]).astype(np.intp)
    for edge in edges[1:]:
        place += values >= edge
    return place


def _lines(weights: Floats, edges: Floats) -> tuple[Floats, Floats]:
    """Starts and slopes (S, E + 1) of w₀ x + Σ wᵢ (x − eᵢ)₊ between the edges e."""
    slope = np.cumsum(weights, axis=1)
    start = np.concatenate([np.zeros((len(weights), 1)), -np.cumsum(weights[:, 1:] * edges, axis=1)], axis=1)
    return start, slope
