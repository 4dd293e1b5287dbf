"""A response model learned from logs answers for the users.

A user's state is what the model remembers (`svsim.models.response.memory`); a served video costs one matrix product for the
user and one for what both have in common, since the pool's part of the first layer is made once. Everything is numpy.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.data.features import DAY_MS, MAX_DAYS
from svsim.data.store import FeedStore
from svsim.errors import OptionError
from svsim.models.response.forward import FLAG_OUTPUTS, play_features, product
from svsim.models.response.inputs import Source, both_block, moment_block, repeats_of, standing_block
from svsim.models.response.kinds import duration_class
from svsim.models.response.leaving import DISAPPOINTMENT_DECAY, leaving_features, repeated_shares
from svsim.models.response.material import expected_of
from svsim.models.response.memory import SESSION, Memory, above, event_signals
from svsim.models.response.outcomes import click_limit_ms, long_limit_ms
from svsim.models.response.past_sums import PastSums
from svsim.models.response.runs import ResponseRun, load_response
from svsim.models.response.watch import LONGEST_PLAY_MS, N_PHASES
from svsim.names import (
    AUX,
    CLICK,
    COMMENT,
    FEEDBACK,
    FOLLOW,
    FORWARD,
    LIKE,
    LONG_VIEW,
    PLAY_TIME,
    WTG,
    WTR,
)
from svsim.response.openings import Openings
from svsim.response.pauses import median_pause_ms
from svsim.response.protocol import Past, State
from svsim.response.relevance import shortest_relevant_ms
from svsim.signals import aux

__all__ = ["LearnedResponse", "open_learned"]

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

FEED_TAB = 1
"""Feed-v0 plays in the main feed."""


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
        self._past = PastSums(store, self.parts.usual)
        self._opening = Openings(self._past)
        self._source = Source(store, self._past.effects)
        videos = np.arange(1, store.n_videos + 1) if pool is None else np.asarray(pool, dtype=np.int64)
        self._place = np.full(store.n_videos + 1, -1, dtype=np.int64)
        self._place[videos] = np.arange(len(videos))
        # No video goes by the first place; what it finds there is thrown away.
        self._place[0] = 0
        shown = self._source.shown(videos)
        self._video_part = self.forward.video_part(
            self._source.videos(videos, shown), np.full(len(videos), self.chance)
        )
        self._duration = np.nan_to_num(store.videos["video_duration"][videos].astype(np.float64)).astype(np.int64)
        self._over_duration = np.where(self._duration > 0, 1.0 / np.maximum(self._duration, 1), 0.0)
        self._click_ms, self._long_ms = click_limit_ms(self._duration), long_limit_ms(self._duration)
        kind = duration_class(self._duration)
        every = np.full(len(videos), FEED_TAB), np.full(len(videos), self.chance)
        self._usual = self.parts.usual(shown, kind, *every)
        self._table = self.parts.baseline.table(self._duration)
        self._relevant_ms = shortest_relevant_ms(store, self._duration)
        tag = self._source.tag[videos]
        self._shown = np.stack([videos, self._source.author[videos], tag], axis=1).astype(np.int32)
        self._kinds = np.stack([tag, self._past.n_tags + kind], axis=1)
        self._uploaded_ms = self._source.uploaded_ms[videos]
        self._dated = self._uploaded_ms > 0
        self._flag_play = np.ascontiguousarray(self.forward.flag_play.T)
        # Of the members' sum, which spares a mean.
        self._slope = (self.parts.calibration.slope / self.forward.members).astype(np.float32)
        self._shift = self.parts.calibration.shift[int(self.chance)].astype(np.float32)
        self._usual += self._level(videos)

    def _level(self, videos: Ints) -> npt.NDArray[np.float32]:
        """(6,) how far the model's own mean lies from what is usual, over users as they are in the log.

        What users do is held against the usual and tells the model what they will do: were its level a little off, every
        served video would push it further. Against its own level it stays.
        """
        rng = np.random.default_rng(0)
        rows = self.store.split_rows("train")
        rows = rng.choice(rows, min(_LEVEL_ROWS, len(rows)), replace=False)
        user = self.store.events["user"][rows].astype(np.int64)
        state = self.begin(user, Past(rows, self.store.events["time_ms"][rows], rows.astype(np.uint64)))
        drawn = rng.choice(videos, (len(rows), _LEVEL_VIDEOS))
        found = self.expect(state, drawn)
        means = [found[name].mean() for name in (CLICK, LONG_VIEW, WTR, LIKE, WTG)]
        none = (1 - found[COMMENT]) * (1 - found[FORWARD]) * (1 - found[FOLLOW])
        means.append((1 - none).mean())
        usual = self._usual[self._place[drawn]].mean(axis=(0, 1))
        return np.asarray(np.array(means, dtype=np.float32) - usual)

    # --- state --------------------------------------------------------------------------------------------------------

    def begin(self, users: Ints, history: Past) -> State:
        """The state of (B,) users who open a session there; see `ResponseModel.begin`."""
        memory = self._opening.of(users, history.event)
        memory.session_ms[:] = history.time_ms
        rows = len(users)
        # What stays for the session goes through the first layer once.
        standing = standing_block(
            memory.habits, self._source.profile[users], np.full(rows, FEED_TAB), np.full(rows, self.chance)
        )
        return {
            "time_ms": history.time_ms.astype(np.int64),
            "standing": self.forward.standing_part(standing),
            "disappointment": np.zeros(rows),
            "expected_wtr": np.zeros(rows),
            "served_ms": history.time_ms.astype(np.int64),
            **memory.arrays(),
        }

    def _memory(self, state: State) -> Memory:
        return Memory(**{name: state[name] for name in _MEMORY})

    def _user_part(self, state: State) -> Array:
        moment = moment_block(state["sums"], state["time_ms"], state["last_ms"], state["session_ms"])
        part = self.forward.moment_part(moment)
        part += state["standing"]
        return part

    def _outputs(self, state: State, row: Array | None, place: Ints) -> Array:
        """(M, n, 13) outputs, not calibrated, for videos at places of the pool.

        Args:
            state: B rows.
            row: (n,) whose each video is; None: row i has video i.
            place: (n,) places.
        """
        user_part, time_ms, rings = self._user_part(state), state["time_ms"], state["rings"]
        by_kind = state["by_kind"]
        width = by_kind.shape[1]
        if row is None:
            first = np.arange(len(place)) * width
        else:
            user_part, time_ms, rings, first = user_part[row], time_ms[row], rings[row], row * width
        kinds = by_kind.reshape(-1, 2).take(self._kinds.take(place, axis=0) + first[:, None], axis=0)
        age = np.minimum(np.maximum((time_ms - self._uploaded_ms.take(place)) / DAY_MS, 0.0), MAX_DAYS)
        age *= self._dated.take(place)
        repeats = repeats_of(self._shown.take(place, axis=0), rings)
        return self.forward(user_part, self._video_part.take(place, axis=0), both_block(age, kinds), repeats)

    def _places(self, video: Ints) -> Ints:
        place = self._place.take(video)
        if place.size and place.min() < 0:
            raise OptionError(
                f"expected videos of the pool, found {int(video[place.argmin()])}",
                where="response",
                remedy="open it with them",
            )
        return place

    def _calibrated(self, members: Array) -> Array:
        out = np.asarray(np.add.reduce(members, axis=0))
        out *= self._slope
        out += self._shift
        return out

    # --- the protocol -------------------------------------------------------------------------------------------------

    def expect(self, state: State, videos: Ints) -> dict[str, npt.NDArray[np.float32]]:
        """(B, K) expectations by name of `EXPECTED`; see `ResponseModel.expect`."""
        rows, slots = videos.shape
        flat = videos.ravel()
        known = np.flatnonzero(flat > 0)
        place, row = self._places(flat[known]), np.repeat(np.arange(rows), slots)[known]
        out = self._calibrated(self._outputs(state, row, place))
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
        place = self._places(video)
        members = self._outputs(state, None, place)
        out = self._calibrated(members)
        table = self._table.take(place)
        hazards = table.hazards(out[:, :N_PHASES])
        no_play = _sigmoid(out[:, N_PHASES])
        quiet_draw, click_draw, long_draw = _three(noise[:, 1])
        played = quiet_draw >= no_play
        drawn = np.floor(table.draw(hazards, noise[:, 0]))
        play = np.minimum(np.maximum(drawn, 1.0), LONGEST_PLAY_MS) * played
        duration = self._duration.take(place)
        p_click, p_long = self.parts.flags.given_play(
            FEED_TAB, play, self._click_ms.take(place), self._long_ms.take(place)
        )
        logit = out[:, N_PHASES + 1 :] + product(play_features(play, duration), self._flag_play)
        like = noise[:, 2] < _sigmoid(logit[:, 0])
        flags = noise[:, 2:7] < _sigmoid(logit + like[:, None] * self.forward.flag_like)
        told = np.empty((len(video), len(FEEDBACK)), dtype=np.int32)
        told[:, 0] = play
        told[:, 1] = duration
        told[:, 2] = click_draw < p_click
        told[:, 3] = long_draw < p_long
        told[:, 4:] = flags
        clipped = table.clipped_mean(hazards)
        # `advance` is told the reaction alone.
        state["expected_wtr"] = (1 - no_play) * clipped * self._over_duration.take(place)
        disagreement = _spread(np.add.reduce(members[..., :_EARLY_PHASES], axis=2) / np.float32(_EARLY_PHASES))
        none = video <= 0
        if none.any():
            told[none], disagreement[none] = 0, 0.0
        columns = {name: told[:, number] for number, name in enumerate(FEEDBACK)}
        return {**columns, "disagreement": disagreement}

    def advance(self, state: State, video: Ints, feedback: dict[str, Array]) -> State:
        """The state after a video and its reaction; see `ResponseModel.advance`."""
        place = self._place.take(video)
        play = feedback[PLAY_TIME]
        ratio = np.minimum(play * self._over_duration.take(place), 1.0)
        signals = event_signals(feedback, ratio, play >= self._relevant_ms.take(place))
        x = above(signals, self._usual.take(place, axis=0))
        served = video > 0
        every = bool(served.all())
        self._memory(state).add(
            x,
            self._shown.take(place, axis=0),
            self._kinds.take(place, axis=0),
            state["time_ms"],
            None if every else served,
        )
        surprise = (1 - DISAPPOINTMENT_DECAY) * (state["expected_wtr"] - ratio)
        disappointment = DISAPPOINTMENT_DECAY * state["disappointment"] + surprise
        over = state["time_ms"] + play
        if every:
            state["disappointment"], state["served_ms"], state["time_ms"] = disappointment, over, over + self.pause_ms
        else:
            for name, values in (
                ("disappointment", disappointment),
                ("served_ms", over),
                ("time_ms", over + self.pause_ms),
            ):
                state[name] = np.where(served, values, state[name])
        return state

    def _leaving(self, state: State) -> Floats:
        return leaving_features(
            state["disappointment"],
            repeated_shares(state["rings"]),
            (state["served_ms"] - state["session_ms"]) / 60_000.0,
            state["sums"][:, SESSION, 0],
            state["last_ms"],
        )

    def leave_probability(self, state: State) -> Floats:
        """(B,) P(leave); 0 where the log's sessions are cut-outs. See `ResponseModel.leave_probability`."""
        if not self.parts.leaving.whole:
            return np.zeros(len(state["time_ms"]))
        probability = self.parts.leaving.probability(self._leaving(state))
        return np.where(state["sums"][:, SESSION, 0] > 0, probability, 0.0)

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


_MEMORY = tuple(field.name for field in fields(Memory))
_EARLY_PHASES = 3
_LEVEL_ROWS, _LEVEL_VIDEOS = 400, 20


def _sigmoid(logit: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-logit)))


def _spread(values: Array) -> Array:
    """(n,) standard deviation over the first axis, without the overhead of `std`."""
    off = values - np.add.reduce(values, axis=0) / np.float32(len(values))
    return np.asarray(np.sqrt(np.add.reduce(off * off, axis=0) / np.float32(len(values))))


def _three(uniform: Floats) -> tuple[Floats, Floats, Floats]:
    """Three uniform draws from the bits of one."""
    first = uniform * 2.0**17
    second = (first - np.floor(first)) * 2.0**17
    return uniform, second * 2.0**-17, second - np.floor(second)


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
