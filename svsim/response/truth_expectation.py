"""What the truth expects of videos: the world's own expectations in the main feed, and those of the three signals."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.names import AUX, CLICK, COMMENT, FOLLOW, FORWARD, HATE, LIKE, LONG_VIEW, PLAY_TIME, WTG, WTR
from svsim.response.protocol import EXPECTED
from svsim.response.truth_reaction import MAIN_FEED
from svsim.signals import aux
from svsim.world.constants import constants
from svsim.world.hazard import WatchHazard
from svsim.world.response import LONGEST_PLAY_MS, Situation, _social_marginals, expectations, outcomes

__all__ = ["expected"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

BLOCK = 256
"""Videos looked at together: all that is made of them stays in the processor's cache."""


def expected(
    duration_ms: Array, gain_from: Floats, interest: Floats, like_effect: Floats
) -> dict[str, npt.NDArray[np.float32]]:
    """Expectations of videos over the response noise, by name of `protocol.EXPECTED`.

    Click, long view and relevance come from the survival at their thresholds; the watch-time ratio and what is more than
    watching are integrated over the segments of the play time's distribution, one of whose knots is the duration.

    Args:
        duration_ms: (N,) durations in ms, 0 for picture posts.
        gain_from: (N,) least play in ms whose gain is relevant.
        interest: (N,) interest in each.
        like_effect: (N,) λ of the user.

    Returns:
        (N,) float32 by name.
    """
    found = {name: np.empty(len(interest), dtype=np.float32) for name in EXPECTED}
    for start in range(0, len(interest), BLOCK):
        part = slice(start, start + BLOCK)
        for name, values in _block(duration_ms[part], gain_from[part], interest[part], like_effect[part]).items():
            found[name][part] = values
    found[AUX] = aux(found)
    return found


def _block(duration_ms: Array, gain_from: Floats, interest: Floats, like_effect: Floats) -> dict[str, Floats]:
    situation = Situation(interest, duration_ms, np.full(len(interest), MAIN_FEED), like_effect)
    play, probability = outcomes(situation)
    length = np.where(duration_ms > 0, duration_ms, np.inf)[:, None]
    flags = _social_marginals(situation.expanded(), play)
    return {
        PLAY_TIME: (play * probability).sum(axis=-1),
        **expectations(situation, (CLICK, LONG_VIEW)),
        **{name: (flags[name] * probability).sum(axis=-1) for name in (LIKE, COMMENT, FORWARD, FOLLOW, HATE)},
        WTR: (np.minimum(play / length, 1.0) * probability).sum(axis=-1),
        WTG: _relevant(duration_ms, gain_from, interest),
    }


def _relevant(duration_ms: Array, gain_from: Floats, interest: Floats) -> Floats:
    """P(play time ≥ the least relevant one); play times are whole ms, 0 or from 1 to the longest."""
    c = constants("response")
    opened = 1 - c["tab_zero_play"][MAIN_FEED]
    threshold = np.minimum(gain_from, LONGEST_PLAY_MS)
    survival = WatchHazard(duration_ms).survival(threshold, interest + c["tab_shift"][MAIN_FEED])
    relevant = opened * np.where(gain_from <= 1, 1.0, np.where(gain_from > LONGEST_PLAY_MS, 0.0, survival))
    return np.where(gain_from <= 0, 1.0, relevant)
