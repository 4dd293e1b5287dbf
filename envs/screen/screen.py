"""Keeps what a screen shows beside the rules: rewards so far, what the last step chose from, why an episode ended."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.data.store import FeedStore
from svsim.envs.rules import Rules, Step
from svsim.envs.screen.scene import Clip, Scene, View
from svsim.names import CANDIDATE_FEATURES, DURATION, FLAGS, HISTORY_FEATURES, PLAY_TIME, WTR

__all__ = ["STRIP", "Screen"]

Array = npt.NDArray[Any]

STRIP = 24
"""Videos of a user's history that a scene tells of."""

_FLAGS = HISTORY_FEATURES.index(FLAGS[0])
_WTR, _PLAY, _LENGTH = (HISTORY_FEATURES.index(name) for name in (WTR, "log_play", "log_duration"))
_OFFERED_LENGTH = CANDIDATE_FEATURES.index("log_duration")


class Screen:
    """The screens of B rows.

    Call `open` when rows have begun, `before` and `after` around every step of the rules.

    Args:
        rules: The kernel.
        store: Whose videos they are; None: their tags and authors are not known.
    """

    def __init__(self, rules: Rules, store: FeedStore | None) -> None:
        self._rules, self._videos = rules, _Videos(store)
        self._rewards: list[list[float]] = [[] for _ in range(rules.rows)]
        self._served = np.zeros(rules.rows, dtype=np.int64)
        self._last: Step | None = None
        self._actions = np.zeros((rules.rows, rules.slate), dtype=np.int64)
        self._fresh = np.ones(rules.rows, dtype=bool)
        self._offer: dict[str, Array] = {}

    def open(self, rows: Array) -> None:
        """Forget what was before in some rows: their episodes have just begun."""
        for row in rows.tolist():
            self._rewards[row] = []
        self._served[rows] = 0
        self._fresh[rows] = True

    def before(self, actions: Array) -> None:
        """Remember what a step is about to choose from: (B,) slots, or (B, S) slates."""
        self._offer = {name: values.copy() for name, values in self._now().items()}
        self._actions = actions.reshape(self._rules.rows, -1).copy()

    def after(self, outcome: Step) -> None:
        """Remember what it came to."""
        for row, reward in enumerate(outcome.reward.tolist()):
            self._rewards[row].append(reward)
        self._last = outcome
        self._served += _watched(outcome.info)
        self._fresh[:] = False

    def scene(self, row: int) -> Scene:
        """What stands on a row's screen."""
        observation, whereabouts = self._rules.observation(), self._rules.whereabouts()
        last = None if self._fresh[row] else self._last
        offer = self._now() if last is None else self._offer
        history = self._history(observation, row)
        return Scene(
            user_id=int(whereabouts["user_id"][row]),
            group=str(whereabouts["group"][row]),
            episode_key=int(whereabouts["episode_key"][row]),
            step=len(self._rewards[row]),
            horizon=self._rules.horizon,
            offered=self._offered(offer, row),
            choices=int(offer["mask"][row].sum()),
            chosen=() if last is None else tuple(self._actions[row].tolist()),
            watched=() if last is None else _exact(history, last.info, row),
            history=history,
            signals=(0.0, 0.0, 0.0, 0.0) if last is None else _signals(last.info, row),
            rewards=tuple(self._rewards[row]),
            away_h=None if last is None else _away(last.info, row),
            end=None if last is None else self._end(last, observation["action_mask"], row),
        )

    def _now(self) -> dict[str, Array]:
        observation = self._rules.observation()
        offer = {"mask": observation["action_mask"][:, : self._rules.slots]}
        if "candidates" in observation:
            offer |= {
                "video": observation["candidate_video"],
                "length": observation["candidates"][..., _OFFERED_LENGTH],
            }
        return offer

    def _offered(self, offer: dict[str, Array], row: int) -> tuple[Clip | None, ...]:
        if "video" not in offer:
            return ()
        clips = self._videos.clips(offer["video"][row], offer["length"][row])
        return tuple(clip if there else None for clip, there in zip(clips, offer["mask"][row].tolist(), strict=True))

    def _history(self, observation: dict[str, Array], row: int) -> tuple[View, ...]:
        video, events = observation["history_video"][row, -STRIP:], observation["history"][row, -STRIP:]
        there = video > 0
        video, events = video[there], events[there]
        served = np.arange(len(video)) >= len(video) - self._served[row]
        clips = self._videos.clips(video, events[:, _LENGTH])
        return tuple(
            View(
                clip=clip,
                play_s=math.expm1(event[_PLAY]),
                wtr=event[_WTR],
                flags=tuple(name for name, given in zip(FLAGS, event[_FLAGS:], strict=False) if given),
                served=new,
            )
            for clip, event, new in zip(clips, events.tolist(), served.tolist(), strict=True)
        )

    def _end(self, last: Step, mask: Array, row: int) -> str | None:
        if last.terminated[row]:
            return "the user left"
        if not last.truncated[row]:
            return None
        horizon = self._rules.horizon
        if horizon is not None and len(self._rewards[row]) >= horizon:
            return f"the horizon of {horizon} steps"
        return "time is up" if mask[row].any() else "the pool is used up"


class _Videos:
    """What a store says of videos by dense id."""

    def __init__(self, store: FeedStore | None) -> None:
        self._store = store

    def clips(self, video: Array, length: Array) -> list[Clip]:
        """Clips of dense ids (n,), with their durations as ln(1 + seconds) (n,)."""
        seconds = np.expm1(np.asarray(length, dtype=np.float64)).tolist()
        if self._store is None:
            return [Clip(-1, -1, (), duration) for duration in seconds]
        videos, tags = self._store.videos, self._store.video_tags
        columns = (videos[name][video].tolist() for name in ("video_id", "author_id", "tag_set"))
        return [
            Clip(number, author, tuple(tags[own]), duration)
            for number, author, own, duration in zip(*columns, seconds, strict=True)
        ]


def _watched(info: dict[str, Any]) -> Array:
    """(B,) videos that a step made the users watch."""
    return np.asarray(info["watched"] if "watched" in info else info["video_id"] >= 0).astype(np.int64)


def _exact(history: tuple[View, ...], info: dict[str, Any], row: int) -> tuple[View, ...]:
    """The views of a step, read from the end of the history; a single one has the times that the feedback tells."""
    count = int(_watched(info)[row])
    views = history[-count:] if count else ()
    if len(views) != 1 or count != 1:
        return views
    (view,), feedback = views, info["feedback"]
    clip = Clip(view.clip.video_id, view.clip.author_id, view.clip.tags, float(feedback[DURATION][row]) / 1_000.0)
    return (View(clip, float(feedback[PLAY_TIME][row]) / 1_000.0, view.wtr, view.flags, view.served),)


def _signals(info: dict[str, Any], row: int) -> tuple[float, float, float, float]:
    wtr, wtg, aux = info["reward_vector"][row].tolist()
    return wtr, wtg, aux, float(info["wtg_gain"][row])


def _away(info: dict[str, Any], row: int) -> float | None:
    away = float(info["return_gap_h"][row]) if "return_gap_h" in info else math.nan
    return None if math.isnan(away) else away
