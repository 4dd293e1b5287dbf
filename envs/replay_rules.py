"""What happens in Replay-v0: one batched kernel in numpy, without Gymnasium."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.envs.episodes import choose_sessions
from svsim.envs.rules import Rules, Step
from svsim.envs.tape import METRICS, Tape
from svsim.envs.window import HistoryWindow
from svsim.names import FEEDBACK, HISTORY_FEATURES
from svsim.randomness import keyed_hash

__all__ = ["ReplayRules"]

Array = npt.NDArray[Any]


class ReplayRules(Rules):
    """B replayed sessions side by side.

    Episode k plays session k mod S; the places of the first K videos are shuffled by a hash of k. A served video is
    replaced by the session's next one; an illegal slot serves nothing.

    Args:
        tape: The sessions.
        rows: B.
        candidates: K.
        history: L.
        horizon: Steps after which an episode is truncated.
    """

    horizon: int

    def __init__(self, tape: Tape, *, rows: int, candidates: int, history: int, horizon: int) -> None:
        self.tape = tape
        self.rows = rows
        self.slots = candidates
        self.horizon = horizon
        self._row_start = np.arange(rows) * candidates
        self._window = HistoryWindow(rows, history, len(HISTORY_FEATURES))
        self._slot = np.full((rows, candidates), -1, dtype=np.int64)
        self._mask = np.zeros((rows, candidates), dtype=np.int8)
        self._candidates = np.zeros((rows, candidates, tape.candidates.shape[1]), dtype=np.float32)
        self._video = np.zeros((rows, candidates), dtype=np.int32)
        self._author = np.zeros((rows, candidates), dtype=np.int32)
        self._user = np.zeros((rows, tape.user_features.shape[1]), dtype=np.float32)
        self._user_id = np.zeros((rows, 1), dtype=np.int32)
        self._next = np.zeros(rows, dtype=np.int64)
        self._end = np.zeros(rows, dtype=np.int64)
        self._left = np.zeros(rows, dtype=np.int64)
        self._steps = np.zeros(rows, dtype=np.int64)
        self._sums = np.zeros((rows, len(METRICS)))
        self._source_user = np.zeros(rows, dtype=np.int64)
        self._group = np.zeros(rows, dtype=tape.group.dtype)
        self._episode = np.zeros(rows, dtype=np.uint64)
        # The same memory by (row × slot), where one index finds a slot.
        self._flat_slot, self._flat_mask = self._slot.reshape(-1), self._mask.reshape(-1)
        self._flat_candidates = self._candidates.reshape(rows * candidates, -1)
        self._flat_video, self._flat_author = self._video.reshape(-1), self._author.reshape(-1)

    @property
    def action_masks(self) -> npt.NDArray[np.bool_]:
        """(B, K) legal slots."""
        return self._slot >= 0

    def observation(self) -> dict[str, Array]:
        """Views on what each row sees now; valid until the next step."""
        history, videos, authors = self._window.views()
        return {
            "user": self._user,
            "user_id": self._user_id,
            "history": history,
            "history_video": videos,
            "history_author": authors,
            "candidates": self._candidates,
            "candidate_video": self._video,
            "candidate_author": self._author,
            "action_mask": self._mask,
        }

    def privileged(self) -> dict[str, Array]:
        """`reward` (B, K) that each slot would bring and `logged_rank` (B, K), its place in the log; 0 and −1 empty."""
        return {"reward": self.tape.metrics[:, 0].take(self._slot), "logged_rank": self.tape.rank.take(self._slot)}

    def whereabouts(self) -> dict[str, Array]:
        """Whose episode each row plays: `user_id` (the source's), `group`, `episode_key`."""
        return {"user_id": self._source_user.copy(), "group": self._group.copy(), "episode_key": self._episode.copy()}

    def video_ids(self) -> Array:
        """(B, K) the source's ids of the videos on offer, −1 in an empty slot."""
        return np.asarray(self.tape.video_id.take(self._slot))

    def begin(self, rows: Array, keys: npt.NDArray[np.uint64]) -> None:
        """Open the episodes `keys` in the rows numbered `rows`."""
        tape = self.tape
        session = (keys % np.uint64(len(tape))).astype(np.int64)
        first, length, user = tape.first[session], tape.length[session], tape.user[session]
        self._deal(rows, keys, first, length)
        self._window.fill(rows, *tape.past.recall(session, self._window.length))
        self._user[rows] = tape.user_features[user]
        self._user_id[rows, 0] = user
        self._next[rows] = first + np.minimum(length, self.slots)
        self._end[rows] = first + length
        self._left[rows] = length
        self._steps[rows] = 0
        self._sums[rows] = 0.0
        self._source_user[rows] = tape.user_id[user]
        self._group[rows] = tape.group[user]
        self._episode[rows] = keys

    def _deal(self, rows: Array, keys: Array, first: Array, length: Array) -> None:
        """Put the first K videos of each session in shuffled places."""
        places = np.argsort(keyed_hash(keys[:, None], np.arange(self.slots)[None, :]), axis=1)
        videos = first[:, None] + places
        videos[places >= length[:, None]] = -1
        self._slot[rows] = videos
        self._mask[rows] = videos >= 0
        self._candidates[rows] = self.tape.candidates.take(videos, axis=0)
        self._video[rows] = self.tape.video.take(videos)
        self._author[rows] = self.tape.author.take(videos)

    def step(self, actions: Array) -> Step:
        """Serve slot `actions[b]` in every row b; (B,) int64 within [0, K)."""
        tape = self.tape
        flat = self._row_start + actions
        served = self._flat_slot.take(flat)
        illegal = served < 0
        any_illegal = bool(illegal.any())
        self._window.push(
            tape.served.take(served, axis=0),
            tape.video.take(served),
            tape.author.take(served),
            np.flatnonzero(illegal) if any_illegal else None,
        )
        self._refill(flat, illegal if any_illegal else None)
        metrics = tape.metrics.take(served, axis=0)
        self._sums += metrics
        self._steps += 1
        self._left -= 1
        if any_illegal:
            self._left += illegal
        truncated = (self._steps >= self.horizon) | (self._left == 0)
        return Step(metrics[:, 0], np.zeros(self.rows, dtype=bool), truncated, self._info(served, illegal))

    def _refill(self, flat: Array, illegal: Array | None) -> None:
        """Put each session's next video where one was served."""
        following = np.where(self._next < self._end, self._next, -1)
        self._next += 1
        if illegal is not None:
            following[illegal] = -1
            self._next -= illegal
        self._flat_slot[flat] = following
        self._flat_mask[flat] = following >= 0
        self._flat_candidates[flat] = self.tape.candidates.take(following, axis=0)
        self._flat_video[flat] = self.tape.video.take(following)
        self._flat_author[flat] = self.tape.author.take(following)

    def _info(self, served: Array, illegal: Array) -> dict[str, Any]:
        signals = self.tape.signals.take(served, axis=0)
        feedback = self.tape.feedback.take(served, axis=0)
        return {
            "reward_vector": signals[:, :3],
            "wtg_gain": signals[:, 3],
            "feedback": {name: feedback[:, i] for i, name in enumerate(FEEDBACK)},
            "video_id": self.tape.video_id.take(served),
            "propensity": self.tape.propensity.take(served),
            "illegal_action": illegal,
            **self.whereabouts(),
        }

    def episode_metrics(self) -> dict[str, Array]:
        """Sums over each row's episode so far: (B,) float64 by name of `METRICS`, and `length` (steps)."""
        sums = self._sums.copy()
        return {**{name: sums[:, i] for i, name in enumerate(METRICS)}, "length": self._steps.copy()}

    def choose(self, keys: npt.NDArray[np.uint64], users: Array, sessions: Array) -> npt.NDArray[np.uint64]:
        """Keys of given sessions: the `sessions[b]`-th served session (from 0) of the source's user `users[b]`.

        Raises:
            EnvironmentUsageError: The user has no such session here.
        """
        return choose_sessions(keys, users, sessions, self.tape.user_id[self.tape.user])
