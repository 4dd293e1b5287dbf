"""The world's truth as a response model: users of a synthetic world answer as they do when its log is written."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.data.store import FeedStore
from svsim.names import CLICK, FEEDBACK, PLAY_TIME
from svsim.randomness import extended_hash, keyed_hash
from svsim.response.protocol import Past, State
from svsim.response.truth_expectation import Expectation
from svsim.response.truth_reaction import Viewer
from svsim.response.truth_videos import Int, Real, get_videos
from svsim.world.config import HOUR_MS
from svsim.world.constants import constants
from svsim.world.draws import Draw, normal_table
from svsim.world.state import MEMORY

__all__ = ["TruthResponse"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class TruthResponse:
    """The users of a synthetic world, as they are.

    Episodes are sessions of the main feed (tab 1) that the world never simulated: each has a mood of its own, drawn by
    the episode's key, and the memory of no video. Every value of a row is the same whatever the batch around it.

    A state holds, a row an episode: `time_ms`; `user` (the world's id); `session` (a number for the mood, beyond all that
    the world simulates); `own` (effect and mood together) and `like_effect`; `taste`, the key of the user's taste;
    `recent` (B, 3, 16) dense ids, authors and first tags of the session's last videos in no order; `shown` and `clicked`,
    counts of the session; `click`, whether the last video was.

    Args:
        store: A store made from a synthetic world.
        pool: Dense ids of the videos that may be served; None means all of the store's.

    Raises:
        DataError: The store has no truth: a model has to be trained.
        OptionError: An id of the pool is no video of the store.
    """

    def __init__(self, store: FeedStore, pool: npt.ArrayLike | None = None) -> None:
        self._videos = get_videos(store, pool)
        self._viewer, self._expectation = Viewer(self._videos.hazard), Expectation(self._videos.hazard)
        self.world = self._videos.world
        fatigue = constants("platform")
        self._fatigue = tuple(float(fatigue[f"fatigue_{name}"]) for name in ("video", "author", "tag"))
        self._taste_sd = np.float32(constants("users")["taste_sd"])
        self._goes_on = 1.0 - 1.0 / self.world.visits.mean_size

    # --- the course of an episode -------------------------------------------------------------------------------------

    def begin(self, users: Ints, history: Past) -> State:
        """The state of (B,) users, by dense id, who open a session; what the log shows before it tires nobody."""
        world = self.world
        user = self._videos.user.take(users)
        session = (history.key % np.uint64(1 << 31)).astype(np.int64) + (1 << 32)
        rows = len(user)
        return {
            "time_ms": np.array(history.time_ms, dtype=np.int64),
            "user": user,
            "session": session,
            "own": world.users.effect[user] + world.session_effect(user, session),
            "like_effect": world.users.like_effect[user],
            "taste": keyed_hash(world.key, Draw.TASTE, user),
            "recent": _no_memory(rows),
            "shown": np.zeros(rows, dtype=np.int64),
            "clicked": np.zeros(rows, dtype=np.int64),
            "click": np.zeros(rows, dtype=bool),
        }

    def advance(self, state: State, video: Ints, feedback: dict[str, Array]) -> State:
        """The state after a video and its reaction: remembered, counted, and the clock past play time and pause."""
        served = video > 0
        rows = np.arange(len(video)) if served.all() else np.flatnonzero(served)
        seen = self._videos.whole.take(self._videos.rows(video[rows]), axis=0)[:, Int.MEMORY]
        # A ring: which video was when does not matter to what it tires.
        state["recent"][rows, :, state["shown"][rows] % MEMORY] = np.maximum(seen, 0)
        click = (feedback[CLICK] > 0) & served
        state["shown"] += served
        state["clicked"] += click
        state["click"] = np.where(served, click, state["click"])
        state["time_ms"] += (feedback[PLAY_TIME] + np.int64(self._videos.pause_ms)) * served
        return state

    def come_back(self, state: State, gap_h: Floats) -> State:
        """The state as new sessions open after (B,) hours, in another mood; rows of NaN stay as they are."""
        rows = np.flatnonzero(~np.isnan(gap_h))
        user, session = state["user"][rows], state["session"][rows] + 1
        state["session"][rows] = session
        state["own"][rows] = self.world.users.effect[user] + self.world.session_effect(user, session)
        state["time_ms"][rows] += np.floor(gap_h[rows] * HOUR_MS).astype(np.int64)
        state["recent"][rows] = _no_memory(1)
        state["shown"][rows] = state["clicked"][rows] = 0
        state["click"][rows] = False
        return state

    # --- what users do ------------------------------------------------------------------------------------------------

    def expect(self, state: State, videos: Ints) -> dict[str, npt.NDArray[np.float32]]:
        """(B, K) expectations over the response noise, by name of `protocol.EXPECTED`; 0 for video 0."""
        rows = self._videos.rows(videos)
        real, whole = self._videos.real.take(rows, axis=0), self._videos.whole.take(rows, axis=0)
        own, taste, recent = (state[name][:, None] for name in ("own", "taste", "recent"))
        interest = self._interest(own, taste, recent, real[..., Real.QUALITY], whole).ravel()
        like = np.broadcast_to(state["like_effect"][:, None], rows.shape).ravel()
        found = self._expectation.of(
            real.reshape(-1, real.shape[-1]), whole.reshape(-1, whole.shape[-1]), interest, like
        )
        known = rows > 0
        return {name: values.reshape(rows.shape) * known for name, values in found.items()}

    def respond(self, state: State, video: Ints, noise: Floats) -> dict[str, Array]:
        """The reaction of the world to one video a row, (B,) int32 by name of `names.FEEDBACK`; zeros for video 0."""
        rows = self._videos.rows(video)
        real, whole = self._videos.real.take(rows, axis=0), self._videos.whole.take(rows, axis=0)
        interest = self._interest(state["own"], state["taste"], state["recent"], real[:, Real.QUALITY], whole)
        answer = self._viewer.respond(real, whole, interest, state["like_effect"], noise)
        if not rows.all():
            answer[:, rows == 0] = 0
        return dict(zip(FEEDBACK, answer, strict=True))

    def leave_probability(self, state: State) -> Floats:
        """(B,) P(the user ends the session after the last video), see `svsim.world.leaving`; 0 before the first."""
        return self.world.leaving.probability(state["user"], state["click"]) * (state["shown"] > 0)

    def continue_probability(self, state: State, feedback: dict[str, Array]) -> Floats:  # noqa: ARG002 - the protocol's
        """(B,) P(the next slot of a slate is reached), of users who stay: 1 − 1 / the world's mean request size.

        The world has no slates: it answers requests, whose sizes are drawn beforehand, and who does not leave sees all of
        a request. Of its videos one in a mean size is the last of its request, whatever was done with it; so a slate goes
        on with the share of videos that another one of the same request follows.
        """
        return np.full(len(state["user"]), self._goes_on)

    def return_gap_h(self, state: State, noise: Floats) -> Floats:
        """(B,) hours until the next session of users who leave now, from (B,) uniforms; longer after few clicks."""
        return self.world.leaving.gap_from(state["user"], state["time_ms"], state["clicked"], state["shown"], noise)

    def _interest(self, own: Floats, taste: Array, recent: Array, quality: Floats, whole: Array) -> Floats:
        """Interest as `World.interest` tells it; arrays that broadcast but for the axes (3, 16) of the memory."""
        word = extended_hash(taste, whole[..., Int.CLUSTER].astype(np.uint64))
        liking = self._taste_sd * normal_table().take((word >> np.uint64(48)).astype(np.int64))
        same = recent == whole[..., Int.MEMORY, None]
        # Sixteen flags are two words, whose bits are counted faster than flags are added.
        halves = np.bitwise_count(same.view(np.uint64))
        times = halves[..., 0] + halves[..., 1]
        by_video, by_author, by_tag = self._fatigue
        tired = by_video * times[..., 0] + by_author * times[..., 1] + by_tag * times[..., 2]
        return np.asarray(own + quality + liking - tired)


def _no_memory(rows: int) -> npt.NDArray[np.int32]:
    memory = np.zeros((rows, 3, MEMORY), dtype=np.int32)
    memory[:, 1] = -1
    return memory
