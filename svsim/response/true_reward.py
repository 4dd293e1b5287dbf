"""What a world expects of the environment's reward, of any video in any tab: what the truth of a policy is made of.

In the main feed, of the random log's pool, expectations are those that Feed-v0's users are made of
(`svsim.response.truth_expectation`). Elsewhere the play time, and with it the watch-time ratio, is integrated over the
world's table of play times, one of whose knots is the duration; relevance and flags are closed forms. Both agree to the
fourth digit (a test); the second takes ten times as long.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from svsim.data.dense import DenseIds
from svsim.data.store import FeedStore
from svsim.errors import OptionError
from svsim.names import AUX, FLAGS, SIGNALS, WTG, WTR
from svsim.response.relevance import shortest_relevant_ms
from svsim.response.truth_expectation import Expectation
from svsim.response.truth_videos import MAIN_FEED, get_videos
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
    return _weighed(store, world, chosen)


def true_signal(store: FeedStore, world: World, name: str) -> Expected:
    """The expectation of one signal: `wtr`, `wtg`, `aux`, or a flag as `click`; arguments and result as of `true_reward`.

    Raises:
        OptionError: There is no such signal.
    """
    if name not in (*SIGNALS, *FLAGS):
        raise OptionError(f"expected one of {', '.join((*SIGNALS, *FLAGS))}, found {name!r}", where="signal")
    return _weighed(store, world, {name: 1.0})


def _weighed(store: FeedStore, world: World, weights: Mapping[str, float]) -> Expected:
    main_feed = _MainFeed(store, world)

    def expected(state: State, videos: Ints) -> Floats:
        if main_feed.knows(state, videos):
            told = main_feed.expect(state, videos)
            return np.asarray(sum(weight * told[name].astype(np.float64) for name, weight in weights.items()))
        return np.asarray(
            sum(weight * _of_world(store, world, name, state, videos) for name, weight in weights.items())
        )

    return expected


class _MainFeed:
    """Expectations in the main feed, of the videos that the random log draws from."""

    def __init__(self, store: FeedStore, world: World) -> None:
        self._world = world
        dense = DenseIds(store.videos["video_id"]).of(world.catalogue.public_id(world.pool))
        self._tables = get_videos(store, dense[dense > 0])
        self._row = np.zeros(len(world.pool), dtype=np.int64)
        self._row[dense > 0] = self._tables.row[dense[dense > 0]]
        self._expectation = Expectation(self._tables.hazard)

    def knows(self, state: State, videos: Ints) -> bool:
        inside = videos.min() >= 0 and videos.max() < len(self._row)
        return bool(inside and (state.tab == MAIN_FEED).all() and self._row[videos].all())

    def expect(self, state: State, videos: Ints) -> dict[str, npt.NDArray[np.float32]]:
        rows = self._row[videos].ravel()
        like = np.broadcast_to(self._world.users.like_effect[state.user][:, None], videos.shape).ravel()
        interest = self._world.interest(state, videos).ravel()
        found = self._expectation.of(self._tables.real[rows], self._tables.whole[rows], interest, like)
        return {name: values.reshape(videos.shape) for name, values in found.items()}


def _of_world(store: FeedStore, world: World, name: str, state: State, videos: Ints) -> Floats:
    if name == WTR:
        return _ratio(world, state, videos)
    if name == WTG:
        duration = world.catalogue.duration_ms(np.maximum(videos, 0))
        least = shortest_relevant_ms(store, duration.ravel()).reshape(duration.shape)
        return world.reach_probability(state, videos, least)
    if name == AUX:
        return np.asarray(aux(world.expect(state, videos, tuple(AUX_WEIGHTS["default"]))), dtype=np.float64)
    return world.expect(state, videos, [name])[name]


def _ratio(world: World, state: State, videos: Ints) -> Floats:
    """E[min(play / duration, 1)]; none for a picture post, which has no duration."""
    duration = world.catalogue.duration_ms(np.maximum(videos, 0)).astype(np.float64)
    play, probability = world.play_distribution(state, videos)
    ratio = np.minimum(play / np.where(duration > 0, duration, np.inf)[..., None], 1.0)
    return np.asarray((ratio * probability).sum(axis=-1))
