"""A response model whose answers can be worked out on paper."""

from __future__ import annotations

from typing import Any

import numpy as np

from svsim.data import FeedStore
from svsim.names import DURATION, FEEDBACK, LIKE, PLAY_TIME
from svsim.response import EXPECTED, Past, State

PAUSE_MS = 1_000


class FakeResponse:
    """Videos of ten seconds.

    Args:
        share: Watched share of each video by dense id, or of all; None: the first noise column, doubled.
        like: Whether a video is liked, by dense id or for all; None: where the third noise column is above 0.9.
        leave: P(leave) after a video, by dense id or after all.
        go_on: P(next slot) after a video, by dense id or after all.
        gap_h: Hours until the next session; None: 48 times the noise.
    """

    def __init__(
        self, *, share: Any = None, like: Any = None, leave: Any = 0.1, go_on: Any = 0.7, gap_h: float | None = None
    ) -> None:
        self.share, self.like, self.leave, self.go_on, self.gap_h = share, like, leave, go_on, gap_h
        self.asked: list[np.ndarray] = []

    def begin(self, users: np.ndarray, history: Past) -> State:
        nothing = np.zeros(len(users), dtype=np.int64)
        return {"time_ms": history.time_ms.copy(), "user": users.copy(), "last": nothing, "begun": history.event.copy()}

    def expect(self, state: State, videos: np.ndarray) -> dict[str, np.ndarray]:
        share = np.broadcast_to(1.0 if self.share is None else self.of(self.share, videos), videos.shape)
        zeros = {name: np.zeros(videos.shape, dtype=np.float32) for name in EXPECTED}
        return zeros | {"wtr": np.minimum(share, 1.0).astype(np.float32)}

    def respond(self, state: State, video: np.ndarray, noise: np.ndarray) -> dict[str, np.ndarray]:
        assert noise.shape == (len(video), 8)
        assert ((noise >= 0) & (noise < 1)).all()
        share = 2 * noise[:, 0] if self.share is None else self.of(self.share, video)
        like = noise[:, 2] > 0.9 if self.like is None else self.of(self.like, video)
        there = video > 0
        feedback = {name: np.zeros(len(video), dtype=np.int32) for name in FEEDBACK}
        feedback[DURATION][there] = 10_000
        feedback[PLAY_TIME] = (there * share * 10_000).astype(np.int32)
        feedback[LIKE] = (there & np.asarray(like, dtype=bool)).astype(np.int32)
        return feedback | {"disagreement": (there * 0.25).astype(np.float32)}

    def advance(self, state: State, video: np.ndarray, feedback: dict[str, np.ndarray]) -> State:
        there = video > 0
        state["time_ms"] += there * (feedback[PLAY_TIME] + PAUSE_MS)
        state["last"] = np.where(there, video, state["last"])
        return state

    def leave_probability(self, state: State) -> np.ndarray:
        return np.broadcast_to(np.asarray(self.of(self.leave, state["last"]), dtype=np.float64), state["last"].shape)

    def continue_probability(self, state: State, feedback: dict[str, np.ndarray]) -> np.ndarray:
        return np.broadcast_to(np.asarray(self.of(self.go_on, state["last"]), dtype=np.float64), state["last"].shape)

    def return_gap_h(self, state: State, noise: np.ndarray) -> np.ndarray:
        return 48 * noise if self.gap_h is None else np.full(len(noise), self.gap_h)

    def come_back(self, state: State, gap_h: np.ndarray) -> State:
        there = np.isfinite(gap_h)
        state["time_ms"] += np.where(there, np.nan_to_num(gap_h) * 3_600_000, 0).astype(np.int64)
        state["last"][there] = 0
        return state

    @staticmethod
    def of(value: Any, video: np.ndarray) -> Any:
        """What an argument means for videos."""
        return value[video] if isinstance(value, np.ndarray) else value


def by_video(store: FeedStore, values: dict[int, float], other: float) -> np.ndarray:
    """(n_videos + 1,) an argument by dense id from one by the source's ids."""
    table = np.full(store.n_videos + 1, other)
    for video_id, value in values.items():
        table[np.flatnonzero(store.videos["video_id"] == video_id)] = value
    return table
