"""What a world expects of the environment's reward, of any video in any tab: what the truth of a policy is made of.

    wtr   Σ P(play) min(play / duration, 1) over the world's table of play times, one of whose knots is the duration
    wtg   P(play ≥ the shortest whose gain is relevant), from the survival there
    aux   Σ P(play) P(like, … | play): the same logits as `svsim.world.response`, by the straight lines of `Social`

`svsim.response.truth` tells the same of episodes in the main feed, faster.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import numpy as np
import numpy.typing as npt

from svsim.data.store import FeedStore
from svsim.errors import OptionError
from svsim.names import AUX, CLICK, FLAGS, LONG_VIEW, SIGNALS, WTG, WTR
from svsim.response.relevance import shortest_relevant_ms
from svsim.response.truth_social import DRAWN, Social
from svsim.signals import AUX_WEIGHTS, aux, reward_weights
from svsim.world.constants import constants
from svsim.world.response import Situation, expectations, outcomes, reaches
from svsim.world.state import State
from svsim.world.world import World

__all__ = ["true_reward", "true_signal"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Expected = Callable[[State, Ints], Floats]

BLOCK = 1_024
"""Videos looked at together: their tables of play times stay in the processor's cache."""


def true_reward(store: FeedStore, world: World, weights: Mapping[str, float] | str | None = None) -> Expected:
    """The expected scalar reward.

    Args:
        store: Of the world's log; its fitted gain says what is relevant.
        world: The world.
        weights: Weight of each signal; None: 1 each.

    Returns:
        A function of a state of B rows and (B, K) video indices that gives (B, K).
    """
    return _Weighed(store, world, {name: weight for name, weight in reward_weights(weights).items() if weight})


def true_signal(store: FeedStore, world: World, name: str) -> Expected:
    """The expectation of one signal: `wtr`, `wtg`, `aux`, or a flag as `click`; arguments and result as of `true_reward`.

    Raises:
        OptionError: There is no such signal.
    """
    if name not in (*SIGNALS, *FLAGS):
        raise OptionError(f"expected one of {', '.join((*SIGNALS, *FLAGS))}, found {name!r}", where="signal")
    return _Weighed(store, world, {name: 1.0})


class _Weighed:
    """A weighed sum of expected signals."""

    def __init__(self, store: FeedStore, world: World, weights: Mapping[str, float]) -> None:
        self._world, self._weights = world, weights
        self._least = _Least(store)
        self._social = Social()

    def __call__(self, state: State, videos: Ints) -> Floats:
        world, shape = self._world, videos.shape
        flat = world.situation(
            np.repeat(state.user, shape[1]),
            np.repeat(state.tab, shape[1]),
            world.interest(state, videos).ravel(),
            world.catalogue.duration_ms(np.maximum(videos, 0)).ravel(),
        )
        least = self._least.of(flat.duration_ms) if WTG in self._weights else np.zeros(videos.size)
        total = np.zeros(videos.size)
        for start in range(0, videos.size, BLOCK):
            part = slice(start, start + BLOCK)
            own = Situation(flat.interest[part], flat.duration_ms[part], flat.tab[part], flat.like_effect[part])
            for name, values in self._signals(own, least[part]).items():
                total[part] += self._weights[name] * values
        return total.reshape(shape)

    def _signals(self, situation: Situation, least_ms: Floats) -> dict[str, Floats]:
        """(N,) expectations of what is weighed; `least_ms` (N,) is the shortest relevant play."""
        asked = self._weights.keys()
        found = expectations(situation, [name for name in (CLICK, LONG_VIEW) if name in asked])
        if WTG in asked:
            found[WTG] = reaches(situation, least_ms)
        drawn = [name for name in DRAWN if name in asked or (AUX in asked and name in AUX_WEIGHTS["default"])]
        if drawn or WTR in asked:
            found |= self._integrals(situation, drawn)
        if AUX in asked:
            found[AUX] = aux(found).astype(np.float64)
        return {name: found[name] for name in asked}

    def _integrals(self, situation: Situation, drawn: Collection[str]) -> dict[str, Floats]:
        """The watch-time ratio, which a picture post has none of, and the flags of `drawn`."""
        play, probability = outcomes(situation)
        picture = situation.duration_ms <= 0
        nominal = np.where(picture, float(constants("response")["picture_duration_ms"]), situation.duration_ms)[:, None]
        found = {WTR: (np.minimum(play / nominal, 1.0) * probability).sum(axis=-1) * ~picture}
        if drawn:
            odds = self._social.odds_against(
                play, nominal, situation.interest[:, None], np.asarray(situation.like_effect)[:, None]
            )
            told = dict(zip(DRAWN, self._social.marginals(odds), strict=True))
            found |= {name: np.asarray((told[name] * probability).sum(axis=-1)) for name in drawn}
        return found


class _Least:
    """`shortest_relevant_ms`, searched once a duration."""

    def __init__(self, store: FeedStore) -> None:
        self._store = store
        self._duration, self._ms = np.zeros(0, dtype=np.int64), np.zeros(0)

    def of(self, duration_ms: Ints) -> Floats:
        """(N,) ms; inf where no play is long enough."""
        new = np.setdiff1d(duration_ms, self._duration)
        if len(new):
            duration = np.concatenate([self._duration, new])
            order = np.argsort(duration)
            self._ms = np.concatenate([self._ms, shortest_relevant_ms(self._store, new)])[order]
            self._duration = duration[order]
        return self._ms[np.searchsorted(self._duration, duration_ms)]
