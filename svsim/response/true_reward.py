"""What a world expects of the environment's reward, of any video in any tab: what the truth of a policy is made of.

Play time, and with it the watch-time ratio, is integrated over the world's table of play times, one of whose knots is the
duration; relevance and flags are closed forms. `svsim.response.truth` tells the same of episodes in the main feed, faster.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from svsim.data.store import FeedStore
from svsim.errors import OptionError
from svsim.names import AUX, FLAGS, SIGNALS, WTG, WTR
from svsim.response.relevance import shortest_relevant_ms
from svsim.signals import AUX_WEIGHTS, aux, reward_weights
from svsim.world.state import State
from svsim.world.world import World

__all__ = ["true_reward", "true_signal"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Expected = Callable[[State, Ints], Floats]


def true_reward(store: FeedStore, world: World, weights: Mapping[str, float] | str | None = None) -> Expected:
    """The expected scalar reward.

    Args:
        store: Of the world's log; its fitted gain says what is relevant.
        world: The world.
        weights: Weight of each signal; None: 1 each.

    Returns:
        A function of a state of B rows and (B, K) video indices that gives (B, K).
    """
    chosen = {name: weight for name, weight in reward_weights(weights).items() if weight}
    parts = {name: true_signal(store, world, name) for name in chosen}

    def expected(state: State, videos: Ints) -> Floats:
        return np.asarray(sum(chosen[name] * part(state, videos) for name, part in parts.items()))

    return expected


def true_signal(store: FeedStore, world: World, name: str) -> Expected:
    """The expectation of one signal: `wtr`, `wtg`, `aux`, or a flag as `click`; arguments and result as of `true_reward`.

    Raises:
        OptionError: There is no such signal.
    """
    if name not in (*SIGNALS, *FLAGS):
        raise OptionError(f"expected one of {', '.join((*SIGNALS, *FLAGS))}, found {name!r}", where="signal")

    def expected(state: State, videos: Ints) -> Floats:
        if name == WTR:
            return _ratio(world, state, videos)
        if name == WTG:
            duration = world.catalogue.duration_ms(np.maximum(videos, 0))
            least = shortest_relevant_ms(store, duration.ravel()).reshape(duration.shape)
            return world.reach_probability(state, videos, least)
        if name == AUX:
            return np.asarray(aux(world.expect(state, videos, tuple(AUX_WEIGHTS["default"]))), dtype=np.float64)
        return world.expect(state, videos, [name])[name]

    return expected


def _ratio(world: World, state: State, videos: Ints) -> Floats:
    """E[min(play / duration, 1)]; none for a picture post, which has no duration."""
    duration = world.catalogue.duration_ms(np.maximum(videos, 0)).astype(np.float64)
    play, probability = world.play_distribution(state, videos)
    ratio = np.minimum(play / np.where(duration > 0, duration, np.inf)[..., None], 1.0)
    return np.asarray((ratio * probability).sum(axis=-1))
