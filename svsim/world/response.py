"""What a viewer does with a video that is served: watch time first, then everything else given watch time and interest.

In a feed (tabs 1, 2, 4, 6, …) the video plays by itself: play time by `WatchHazard` at interest x + shift of the tab, but
for a share of rows with no play at all. On a page (tabs 0, 3, 8, …) it must be opened:

    P(open) = 1 − exp(−exp(c_tab + b x)),   then play time by `WatchHazard`.

Click and long view follow KuaiRand's own definitions (facts, 2), with its exceptions: some clicks that the formula does
not see, more of them at the shortest plays; a few long views likewise; tabs that always or never click; on a page, click
means open.

    click = T > 7 s (d > 7 s), T ≥ d (d ≤ 7 s);  long view = T ≥ min(18 s, d)

The others are logistic in the play time, the watch ratio, interest and what came before in this order, so that they occur
together as in the log (facts, 6):

    comment page → like → comment → profile → follow → forward;  hate by itself
    logit p = β₀ + piecewise linear in ln T and in T/d + γ x + effects of earlier signals (+ λ of the user for a like)
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.errors import OptionError
from svsim.names import CLICK, COMMENT, DURATION, FOLLOW, FORWARD, HATE, LIKE, LONG_VIEW, PLAY_TIME, PROFILE_ENTER
from svsim.world.constants import constants
from svsim.world.draws import split
from svsim.world.hazard import WatchHazard

__all__ = [
    "COMMENT_PAGE",
    "EXPECTED",
    "NOISE",
    "Reaction",
    "expectations",
    "outcomes",
    "play_features",
    "reaches",
    "react",
]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

NOISE = 8
"""Uniform draws of a reaction: play time (two), like, comment, forward, follow, hate, leaving."""
COMMENT_PAGE = "comment_page"
"""Whether the comment page was opened: `comment_stay_time > 0`."""
CLICK_MS, LONG_MS = 7_000.0, 18_000.0
SOCIAL = (COMMENT_PAGE, LIKE, COMMENT, PROFILE_ENTER, FOLLOW, FORWARD, HATE)
EXPECTED = (PLAY_TIME, DURATION, CLICK, LONG_VIEW, *SOCIAL)
"""Signals that have an expectation."""
LONGEST_PLAY_MS = 900_000.0
LONGEST_STAY_MS = 300_000.0

Reaction = dict[str, Array]
"""Columns of the log that a viewer decides, one row a served video."""


@dataclass(frozen=True)
class Situation:
    """Served videos, flat: arrays of one shape."""

    interest: Floats
    """x: user, video, taste, session and fatigue together."""
    duration_ms: Array
    tab: Array
    like_effect: Floats
    """λ of the user."""

    def expanded(self) -> Situation:
        """With one more axis, for what is looked at under several play times."""
        return Situation(
            *(np.asarray(a)[..., None] for a in (self.interest, self.duration_ms, self.tab, self.like_effect))
        )


def react(situation: Situation, noise: Floats) -> Reaction:
    """One reaction to each served video.

    Args:
        situation: N served videos.
        noise: (N, 8) uniforms; the last one is not used here.

    Returns:
        KuaiRand's columns of feedback: play and stay times in ms as int64, flags as bool.
    """
    c = constants("response")
    tab = situation.tab
    shifted = situation.interest + c["tab_shift"][tab]
    opened, rest = split(noise[:, 1], _played(situation))
    drawn = WatchHazard(situation.duration_ms).play_ms(noise[:, 0], shifted)
    # At least one millisecond: no play at all is another event.
    play = np.where(opened, np.clip(np.floor(drawn), 1.0, LONGEST_PLAY_MS), 0.0)
    p_click, p_long = _watch_flags(situation, play, opened)
    click, rest = split(rest, p_click)
    long_view, _ = split(rest, p_long)
    flags = _draw_social(situation, play, noise)
    stays = _stays(flags, noise)
    return {
        "play_time_ms": play.astype(np.int64),
        "is_click": click,
        "long_view": long_view,
        "is_like": flags[LIKE],
        "is_follow": flags[FOLLOW],
        "is_comment": flags[COMMENT],
        "is_forward": flags[FORWARD],
        "is_hate": flags[HATE],
        "is_profile_enter": flags[PROFILE_ENTER],
        **stays,
    }


def expectations(situation: Situation, signals: Collection[str] | None = None) -> dict[str, Floats]:
    """Expectation of signals over the response noise; arrays of the situation's shape.

    Args:
        situation: Served videos.
        signals: Of `EXPECTED`; by default all of them. Clicks and long views alone cost a tenth of the whole.

    Returns:
        By name: play time in ms, duration in ms, and the probability of each flag.

    Raises:
        OptionError: There is no such signal.
    """
    asked = EXPECTED if signals is None else tuple(signals)
    unknown = [name for name in asked if name not in EXPECTED]
    if unknown:
        raise OptionError(f"expected one of {', '.join(EXPECTED)}, found {unknown[0]!r}", where="signal")
    found: dict[str, Floats] = {}
    if DURATION in asked:
        found[DURATION] = np.asarray(situation.duration_ms, dtype=np.float64)
    if CLICK in asked or LONG_VIEW in asked:
        found.update(_exact_thresholds(situation))
    social = any(name in SOCIAL for name in asked)
    if social or PLAY_TIME in asked:
        play, probability = outcomes(situation)
        found[PLAY_TIME] = (play * probability).sum(axis=-1)
        if social:
            flags = _social_marginals(situation.expanded(), play)
            found.update({name: (p * probability).sum(axis=-1) for name, p in flags.items()})
    return {name: found[name] for name in asked}


def outcomes(situation: Situation) -> tuple[Floats, Floats]:
    """The play time's distribution as a table: (…, S + 1) times in ms and their probabilities; the first one is no play."""
    c = constants("response")
    opened = _played(situation)[..., None]
    mean, probability = WatchHazard(situation.duration_ms).segments(situation.interest + c["tab_shift"][situation.tab])
    times = np.concatenate([np.zeros_like(opened), np.minimum(mean, LONGEST_PLAY_MS)], axis=-1)
    return times, np.concatenate([1 - opened, opened * probability], axis=-1)


def reaches(situation: Situation, play_ms: npt.ArrayLike) -> Floats:
    """P(the play time is at least so long); arrays that broadcast against the situation's.

    Args:
        situation: Served videos.
        play_ms: Whole ms; 0 and below are always reached. Who plays at all plays from 1 ms to `LONGEST_PLAY_MS`.
    """
    c = constants("response")
    tab, play = situation.tab, np.asarray(play_ms, dtype=np.float64)
    opened = _played(situation)
    survival = WatchHazard(np.asarray(situation.duration_ms)).survival(
        np.minimum(play, LONGEST_PLAY_MS), situation.interest + c["tab_shift"][tab]
    )
    some = np.where(play <= 1, 1.0, survival) * (play <= LONGEST_PLAY_MS)
    return np.where(play <= 0, 1.0, opened * some)


# --- click and long view ----------------------------------------------------------------------------------------------


def _played(situation: Situation) -> Floats:
    """P(it plays at all): that it is opened on a page, that it is not passed over in a feed."""
    c = constants("response")
    page = c["tab_page"][situation.tab] > 0
    return np.where(page, _open_probability(situation), 1 - c["tab_zero_play"][situation.tab])


def _open_probability(situation: Situation) -> Floats:
    c = constants("response")
    level = c["tab_open"][situation.tab] + c["open_interest"] * situation.interest
    return np.asarray(-np.expm1(-np.exp(np.minimum(level, 20.0))))


def _watch_flags(situation: Situation, play: Floats, opened: Array) -> tuple[Floats, Floats]:
    """P(click) and P(long view) given the play time."""
    c = constants("response")
    tab, duration = situation.tab, situation.duration_ms
    valid = np.where((duration > 0) & (duration <= CLICK_MS), play >= duration, play > CLICK_MS)
    place = np.searchsorted(c["unseen_click_ms"], play, side="right")
    unseen = np.where(duration > 0, c["unseen_click"][place], c["unseen_click"][place] * c["unseen_click_picture"])
    click = np.where(valid, 1.0, unseen)
    click = np.where(c["tab_page"][tab] > 0, opened, click)
    fixed = c["tab_click"][tab]
    click = np.where(fixed >= 0, fixed, click)
    enough = np.where((duration > 0) & (duration <= LONG_MS), play >= duration, play >= LONG_MS)
    long_view = np.where(enough, 1.0, np.where(duration > 0, c["unseen_long_view"], 0.0))
    return np.broadcast_to(click, play.shape).astype(np.float64), np.broadcast_to(long_view, play.shape)


def _exact_thresholds(situation: Situation) -> dict[str, Floats]:
    """P(click) and P(long view) from the survival at their own thresholds, which lie inside segments."""
    c = constants("response")
    tab, duration = situation.tab, np.asarray(situation.duration_ms)
    page = c["tab_page"][tab] > 0
    shifted = situation.interest + c["tab_shift"][tab]
    opened = _played(situation)
    hazard = WatchHazard(duration)
    # Play times are whole ms, at least 1: T > 7 s means a draw of 7,001 ms or more.
    limit = np.where((duration > 0) & (duration <= CLICK_MS), duration, CLICK_MS + 1)
    edges = [1.0, *c["unseen_click_ms"][1:].tolist()]
    rates = c["unseen_click"] * 1.0
    click = hazard.survival(limit, shifted)
    ratio = np.where(duration > 0, 1.0, c["unseen_click_picture"])
    before = np.ones_like(click)
    for edge, rate in zip([*edges[1:], np.inf], rates[1:], strict=True):
        upto = np.where(
            edge < limit, hazard.survival(np.minimum(edge, limit), shifted), hazard.survival(limit, shifted)
        )
        click = click + rate * ratio * np.maximum(before - upto, 0.0)
        before = upto
    click = np.where(page, opened, opened * click + (1 - opened) * rates[0] * ratio)
    fixed = c["tab_click"][tab]
    click = np.where(fixed >= 0, fixed, click)
    enough = hazard.survival(np.where((duration > 0) & (duration <= LONG_MS), duration, LONG_MS), shifted)
    unseen = np.where(duration > 0, c["unseen_long_view"], 0.0)
    return {CLICK: click, LONG_VIEW: opened * enough + (1 - opened * enough) * unseen}


# --- everything else --------------------------------------------------------------------------------------------------


def play_features(play_ms: Floats, duration_ms: Array) -> Floats:
    """(…, F) what the logistic parts are linear in: hinges of ln(T/s) and of the watch ratio, and no play at all."""
    c = constants("response")
    log_play = np.log(np.clip(play_ms, 300.0, 600_000.0) / 1_000.0)[..., None]
    nominal = np.where(np.asarray(duration_ms) > 0, duration_ms, c["picture_duration_ms"])
    ratio = np.clip(play_ms / nominal, 0.0, 6.0)[..., None]
    hinges = [log_play, np.maximum(log_play - c["log_play_hinges"], 0.0)]
    hinges += [ratio, np.maximum(ratio - c["ratio_hinges"], 0.0), (play_ms <= 0)[..., None].astype(np.float64)]
    return np.concatenate(hinges, axis=-1)


def _base_logits(situation: Situation, play: Floats) -> dict[str, Floats]:
    """Logit of each signal as if no earlier one had happened."""
    c = constants("response")
    features = play_features(play, situation.duration_ms)
    return {
        name: c[f"{name}_logit"][0]
        # A sum and not a matrix product: the same bytes whatever the number of rows.
        + (features * c[f"{name}_logit"][1:]).sum(axis=-1)
        + c[f"{name}_interest"] * situation.interest
        + (situation.like_effect if name == LIKE else 0.0)
        for name in SOCIAL
    }


def _sigmoid(logit: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-logit)))


def _draw_social(situation: Situation, play: Floats, noise: Floats) -> dict[str, Array]:
    logit = _base_logits(situation, play)
    c = constants("response")
    page, rest = split(noise[:, 3], _sigmoid(logit[COMMENT_PAGE]))
    like, like_rest = split(noise[:, 2], _sigmoid(logit[LIKE] + c["like_given_page"] * page))
    p_comment = _sigmoid(logit[COMMENT] + c["comment_given_like"] * like) * np.where(page, 1.0, c["comment_no_page"])
    comment, rest = split(rest, p_comment)
    earlier = c["profile_given_page"] * page + c["profile_given_like"] * like
    profile, follow_rest = split(noise[:, 5], _sigmoid(logit[PROFILE_ENTER] + earlier))
    earlier = c["follow_given_like"] * like + c["follow_given_profile"] * profile
    follow, _ = split(follow_rest, _sigmoid(logit[FOLLOW] + earlier))
    forward, _ = split(noise[:, 4], _sigmoid(logit[FORWARD] + c["forward_given_like"] * like))
    hate, _ = split(noise[:, 6], _sigmoid(logit[HATE]))
    return {
        COMMENT_PAGE: page,
        LIKE: like,
        COMMENT: comment,
        PROFILE_ENTER: profile,
        FOLLOW: follow,
        FORWARD: forward,
        HATE: hate,
        "page_rest": rest,
        "profile_rest": like_rest,
    }


def _social_marginals(situation: Situation, play: Floats) -> dict[str, Floats]:
    """P(signal | play time, interest), summed over the signals before it."""
    logit = _base_logits(situation, play)
    c = constants("response")
    p_page = _sigmoid(logit[COMMENT_PAGE])
    total = {name: np.zeros_like(p_page) for name in (LIKE, COMMENT, PROFILE_ENTER, FOLLOW, FORWARD)}
    for page in (0, 1):
        like_if = _sigmoid(logit[LIKE] + c["like_given_page"] * page)
        for like in (0, 1):
            weight = (p_page if page else 1 - p_page) * (like_if if like else 1 - like_if)
            total[LIKE] += weight * like
            comment = _sigmoid(logit[COMMENT] + c["comment_given_like"] * like)
            total[COMMENT] += weight * comment * (1.0 if page else c["comment_no_page"])
            profile = _sigmoid(logit[PROFILE_ENTER] + c["profile_given_page"] * page + c["profile_given_like"] * like)
            total[PROFILE_ENTER] += weight * profile
            for entered, share in ((0, 1 - profile), (1, profile)):
                earlier = c["follow_given_like"] * like + c["follow_given_profile"] * entered
                total[FOLLOW] += weight * share * _sigmoid(logit[FOLLOW] + earlier)
            total[FORWARD] += weight * _sigmoid(logit[FORWARD] + c["forward_given_like"] * like)
    return {**total, COMMENT_PAGE: p_page, HATE: _sigmoid(logit[HATE])}


def _stays(flags: dict[str, Array], noise: Floats) -> dict[str, Array]:
    """Times on the comment page and on the author's profile, in ms."""
    from scipy.special import ndtri

    c = constants("response")
    uniform = np.clip(flags["page_rest"], 1e-9, 1 - 1e-9)
    stay = np.exp(np.log(c["comment_stay_median_ms"]) + c["comment_stay_log_sd"] * ndtri(uniform))
    comment_stay = np.where(flags[COMMENT_PAGE], np.clip(stay, 1.0, LONGEST_STAY_MS), 0.0)
    seen, rest = split(flags["profile_rest"], np.full(len(noise), c["profile_stay_share"]))
    stay = np.exp(np.log(c["profile_stay_median_ms"]) + c["profile_stay_log_sd"] * ndtri(np.clip(rest, 1e-9, 1 - 1e-9)))
    profile_stay = np.where(flags[PROFILE_ENTER] & seen, np.clip(stay, 1.0, LONGEST_STAY_MS), 0.0)
    return {"profile_stay_time": profile_stay.astype(np.int64), "comment_stay_time": comment_stay.astype(np.int64)}
