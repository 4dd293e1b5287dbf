"""A response model learned from logs answers for the users.

A user's state is what the model remembers (`svsim.models.response.memory`); a served video costs one matrix product for the
user and one for what both have in common, since the pool's part of the first layer is made once. Everything is numpy.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.data.store import FeedStore
from svsim.errors import OptionError
from svsim.models.response.forward import AFTER_LIKE, FLAG_OUTPUTS, play_features
from svsim.models.response.inputs import Source, both_block, repeats_of, user_block
from svsim.models.response.leaving import DISAPPOINTMENT_DECAY, leaving_features, repeated_share
from svsim.models.response.material import expected_of
from svsim.models.response.memory import SESSION, Memory, PastSums, above, duration_class, event_signals
from svsim.models.response.outcomes import click_limit_ms, long_limit_ms
from svsim.models.response.runs import ResponseRun, load_response
from svsim.models.response.watch import N_PHASES, PlayTable
from svsim.names import (
    AUX,
    CLICK,
    DURATION,
    FEEDBACK,
    LIKE,
    LONG_VIEW,
    PLAY_TIME,
    WTG,
    WTR,
)
from svsim.response.pauses import median_pause_ms
from svsim.response.protocol import Past, State
from svsim.response.truth_videos import shortest_relevant_ms
from svsim.signals import aux

__all__ = ["LearnedResponse", "open_learned"]

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

FEED_TAB = 1
"""Feed-v0 plays in the main feed."""
LONGEST_PLAY_MS = 900_000.0


class LearnedResponse:
    """Users as a trained response model has them, see `svsim.response.ResponseModel`.

    `respond` also tells `disagreement`: the standard deviation among the ensemble's members of the mean log-hazard of the
    first 18 s, large where the model was asked for what it has not seen.

    Args:
        run: The trained model.
        store: The store that it was trained on.
        pool: (P,) dense ids of the videos that may be served; None: all of the store.
        threads: Of the matrix products; None leaves the process's setting.
        chance: Whether videos are those of a policy that knows no more than the log tells (as the random log's are), or of
            the platform itself. None: the former where the store has a random log.

    Raises:
        RunError: The model is of another store.
        OptionError: The threads are fewer than one.
    """

    def __init__(
        self,
        run: ResponseRun,
        store: FeedStore,
        pool: Ints | None = None,
        *,
        threads: int | None = None,
        chance: bool | None = None,
    ) -> None:
        run.check(store)
        if threads is not None:
            if threads < 1:
                raise OptionError(f"expected at least 1, found {threads}", where="threads")
            from threadpoolctl import threadpool_limits

            threadpool_limits(threads, user_api="blas")
        self.run, self.store, self.parts, self.forward = run, store, run.parts, run.forward
        self.pause_ms = median_pause_ms(store)
        self.chance = bool((store.events["is_rand"] > 0).any()) if chance is None else chance
        self._source = Source(store)
        self._past = PastSums(store, self.parts.usual)
        self._n_tags = self._past.n_tags
        videos = np.arange(1, store.n_videos + 1) if pool is None else np.asarray(pool, dtype=np.int64)
        self._place = np.full(store.n_videos + 1, -1, dtype=np.int64)
        self._place[videos] = np.arange(len(videos))
        shown = self._source.shown(videos)
        self._video_part = self.forward.video_part(self._source.videos(videos, shown))
        self._duration = np.nan_to_num(store.videos["video_duration"][videos].astype(np.float64)).astype(np.int64)
        self._limits = click_limit_ms(self._duration), long_limit_ms(self._duration)
        self._kind = duration_class(self._duration)
        every = np.full(len(videos), FEED_TAB), np.full(len(videos), self.chance)
        self._usual = self.parts.usual(shown, self._kind, *every)
        self._table = self.parts.baseline.table(self._duration)
        self._relevant_ms = shortest_relevant_ms(store, self._duration)
        self._tag, self._author = self._source.tag[videos], self._source.author[videos]
        self._video_ids = videos

    # --- state --------------------------------------------------------------------------------------------------------

    def begin(self, users: Ints, history: Past) -> State:
        """The state of (B,) users who open a session there; see `ResponseModel.begin`."""
        memory = self._past.memory(users, history.event)
        memory.session_ms[:] = history.time_ms
        rows = len(users)
        return {
            "time_ms": history.time_ms.astype(np.int64),
            "user": users.astype(np.int64),
            "disappointment": np.zeros(rows),
            "expected_wtr": np.zeros(rows, dtype=np.float32),
            "served_ms": history.time_ms.astype(np.int64),
            **{f"memory.{name}": values for name, values in memory.arrays().items()},
        }

    def _memory(self, state: State) -> Memory:
        return Memory(**{name.removeprefix("memory."): values for name, values in state.items() if "." in name})

    def _user_part(self, state: State) -> Array:
        n = len(state["user"])
        block = user_block(
            state["memory.sums"],
            state["memory.habits"],
            self._source.profile[state["user"]],
            np.full(n, FEED_TAB),
            state["time_ms"],
            state["memory.last_ms"],
            state["memory.session_ms"],
            np.full(n, self.chance),
        )
        return self.forward.user_part(block)

    def _both(self, state: State, row: Array, place: Ints) -> tuple[Array, Array]:
        """Block of both and repeats for videos at places of the pool, each of a row of the state."""
        tag, kind = self._tag[place], self._kind[place]
        by_tag, by_kind = state["memory.by_tag"][row, tag], state["memory.by_duration"][row, kind]
        age = self._source.age_days(self._video_ids[place], state["time_ms"][row])
        both = both_block(age, (by_tag[:, 0], by_tag[:, 1]), (by_kind[:, 0], by_kind[:, 1]))
        rings = tuple(state[f"memory.ring_{name}"][row] for name in ("video", "author", "tag"))
        return both, repeats_of(self._video_ids[place], self._author[place], tag, (rings[0], rings[1], rings[2]))

    def _outputs(self, state: State, row: Array, place: Ints) -> Array:
        """(M, n, 13) outputs, not calibrated."""
        user_part = self._user_part(state)
        both, repeats = self._both(state, row, place)
        return self.forward(
            user_part if len(row) == len(user_part) else user_part[row], self._video_part[place], both, repeats
        )

    def _calibrated(self, out: Array) -> Array:
        return np.asarray(self.parts.calibration(out, np.full(len(out), self.chance)))

    # --- the protocol -------------------------------------------------------------------------------------------------

    def expect(self, state: State, videos: Ints) -> dict[str, npt.NDArray[np.float32]]:
        """(B, K) expectations by name of `EXPECTED`; see `ResponseModel.expect`."""
        rows, slots = videos.shape
        flat = videos.ravel()
        known = np.flatnonzero(flat > 0)
        place, row = self._place[flat[known]], np.repeat(np.arange(rows), slots)[known]
        out = self._calibrated(self._outputs(state, row, place).mean(axis=0))
        columns = {"duration_ms": self._duration[place], "tab": np.full(len(place), FEED_TAB)}
        found = expected_of(self.parts, out, columns, self.forward)
        found[WTR] = found["wtr"]
        table = self._table.take(place)
        survival = table.survival(table.hazards(out[:, :N_PHASES]), np.minimum(self._relevant_ms[place], 1e12))
        found[WTG] = (1 - found["no_play"]) * np.where(np.isfinite(self._relevant_ms[place]), survival, 0.0)
        found[AUX] = aux(found)
        told = {}
        for name in (PLAY_TIME, CLICK, LONG_VIEW, *FLAG_OUTPUTS, WTR, WTG, AUX):
            values = np.zeros(rows * slots, dtype=np.float32)
            values[known] = found[name]
            told[name] = values.reshape(rows, slots)
        return told

    def respond(self, state: State, video: Ints, noise: Floats) -> dict[str, Array]:
        """One reaction to one video a row; see `ResponseModel.respond`."""
        place = self._place[video]
        every = np.arange(len(video))
        members = self._outputs(state, every, place)
        out = self._calibrated(members.mean(axis=0))
        table = PlayTable(self._table.times.take(place, axis=0), self._table.rise.take(place, axis=0))
        no_play = 1 / (1 + np.exp(-out[:, N_PHASES].astype(np.float64)))
        quiet, rest = _split(noise[:, 1], no_play)
        drawn = np.floor(table.draw(out[:, :N_PHASES], noise[:, 0]))
        play = np.where(quiet, 0.0, np.clip(drawn, 1.0, LONGEST_PLAY_MS))
        duration = self._duration[place]
        p_click, p_long = self.parts.flags.given_play(np.full(len(video), FEED_TAB), play, duration)
        click, rest = _split(rest, p_click)
        long_view, _ = _split(rest, p_long)
        logit = out[:, N_PHASES + 1 :] + play_features(play, duration) @ self.forward.flag_play.T
        flags: dict[str, Array] = {}
        for f, (name, column) in enumerate(zip(FLAG_OUTPUTS, _NOISE_OF_FLAG, strict=True)):
            own = logit[:, f] if not AFTER_LIKE[f] else logit[:, f] + self.forward.flag_like[f] * flags[LIKE]
            flags[name] = noise[:, column] < 1 / (1 + np.exp(-own.astype(np.float64)))
        found = {PLAY_TIME: play, DURATION: duration, CLICK: click, LONG_VIEW: long_view, **flags}
        none = video <= 0
        told: dict[str, Array] = {}
        for name in FEEDBACK:
            values = found[name].astype(np.int32)
            if none.any():
                values[none] = 0
            told[name] = values
        spread = members[..., :_EARLY_PHASES].mean(axis=2).std(axis=0)
        told["disagreement"] = np.where(none, np.float32(0.0), spread).astype(np.float32)
        # `advance` is told the reaction alone.
        state["expected_wtr"] = self._expected_wtr(table, out, no_play, duration, none)
        return told

    def _expected_wtr(self, table: PlayTable, out: Array, no_play: Floats, duration: Ints, none: Array) -> Array:
        _, clipped = table.means(table.hazards(out[:, :N_PHASES]))
        timed = (duration > 0) & ~none
        return np.where(timed, (1 - no_play) * clipped / np.maximum(duration, 1), 0.0).astype(np.float32)

    def advance(self, state: State, video: Ints, feedback: dict[str, Array]) -> State:
        """The state after a video and its reaction; see `ResponseModel.advance`."""
        served = video > 0
        place = self._place[video]
        play, duration = feedback[PLAY_TIME], feedback[DURATION]
        ratio = np.where(duration > 0, np.minimum(play / np.maximum(duration, 1), 1.0), 0.0)
        x = above(event_signals(feedback, ratio, play >= self._relevant_ms[place]), self._usual[place])
        memory = self._memory(state)
        memory.add(
            x,
            video,
            self._author[place],
            self._tag[place],
            self._kind[place],
            state["time_ms"],
            None if served.all() else served,
        )
        surprise = np.where(served, state["expected_wtr"] - ratio, 0.0)
        decay = np.where(served, DISAPPOINTMENT_DECAY, 1.0)
        state["disappointment"] = state["disappointment"] * decay + (1 - DISAPPOINTMENT_DECAY) * surprise
        state["served_ms"] = np.where(served, state["time_ms"] + play, state["served_ms"])
        state["time_ms"] = state["time_ms"] + np.where(served, play + self.pause_ms, 0)
        return state

    def _leaving(self, state: State) -> Floats:
        return leaving_features(
            state["disappointment"],
            repeated_share(state["memory.ring_tag"]),
            repeated_share(state["memory.ring_author"]),
            (state["served_ms"] - state["memory.session_ms"]) / 60_000.0,
            state["memory.sums"][:, SESSION, 0],
            state["memory.last_ms"],
        )

    def leave_probability(self, state: State) -> Floats:
        """(B,) P(leave); see `ResponseModel.leave_probability`."""
        probability = self.parts.leaving.probability(self._leaving(state))
        return np.where(state["memory.sums"][:, SESSION, 0] > 0, probability, 0.0)

    def continue_probability(self, state: State, feedback: dict[str, Array]) -> Floats:  # noqa: ARG002
        """(B,) share of videos after which the log's request goes on, by whether this one was clicked."""
        return np.asarray(self.parts.leaving.follows[(feedback[CLICK] > 0).astype(np.int64)])

    def return_gap_h(self, state: State, noise: Floats) -> Floats:
        """(B,) hours until the next session; see `ResponseModel.return_gap_h`."""
        return self.parts.leaving.gap_h(self._leaving(state), noise)

    def come_back(self, state: State, gap_h: Floats) -> State:
        """The state as a new session opens; see `ResponseModel.come_back`."""
        rows = np.flatnonzero(np.isfinite(gap_h))
        if len(rows):
            opened = state["served_ms"][rows] + (gap_h[rows] * 3_600_000).astype(np.int64)
            self._memory(state).open_session(rows, opened)
            for name, value in (("time_ms", opened), ("served_ms", opened), ("disappointment", 0.0)):
                state[name] = state[name].copy()
                state[name][rows] = value
        return state


_NOISE_OF_FLAG = (2, 3, 4, 5, 6)
_EARLY_PHASES = 3


def _split(uniform: Floats, probability: Floats) -> tuple[Array, Floats]:
    """Spend a uniform draw on an event; what is left of it is uniform again."""
    event = uniform < probability
    low, width = np.where(event, 0.0, probability), np.where(event, probability, 1 - probability)
    return event, np.clip((uniform - low) / np.maximum(width, 1e-300), 0.0, 1.0 - 2.0**-53)


_cache: OrderedDict[tuple[Any, ...], LearnedResponse] = OrderedDict()
_CACHED = 4


def open_learned(folder: str | Path, store: FeedStore, pool: Ints | None = None) -> LearnedResponse:
    """The model in a folder; the last few are kept, so that a thousand single environments share one.

    Raises:
        RunError: The folder holds no response model, one of another store, or one whose card is missing or failed.
    """
    run = load_response(folder)
    run.check(store)
    run.check_card()
    weights = (Path(folder) / "model.safetensors").stat()
    key = (
        str(Path(folder).resolve()),
        weights.st_mtime_ns,
        store.fingerprint,
        None if pool is None else pool.tobytes(),
    )
    if key not in _cache:
        _cache[key] = LearnedResponse(run, store, pool)
        if len(_cache) > _CACHED:
            _cache.popitem(last=False)
    _cache.move_to_end(key)
    return _cache[key]
