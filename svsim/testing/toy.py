"""A feed that can be solved: every slot shows what it is worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.envs.batch import BatchEnv
from svsim.envs.rules import Rules, Setup, Step
from svsim.envs.spaces import observation_space
from svsim.names import CANDIDATE_FEATURES, FEEDBACK, HISTORY_FEATURES, NORMAL, SIGNALS, USER_FEATURES
from svsim.randomness import keyed_uniform

__all__ = ["toy_feed"]

Array = npt.NDArray[Any]

SLOTS, HISTORY, HORIZON = 4, 2, 5
VIDEOS = 100
EMPTY_SHARE = 0.2
_WORTH = CANDIDATE_FEATURES.index("video_wtr")
_DURATION = CANDIDATE_FEATURES.index("log_duration")


def toy_feed(num_envs: int, *, privileged: bool = False) -> BatchEnv:
    """A vector environment of four slots, five steps and no secrets, for trying out whether an agent learns.

    A slot's reward is its feature `video_wtr`, uniform on [0, 1]; every fifth slot is empty. So the oracle's mean reward a
    step is that of the largest of the legal slots' numbers, and an agent that reads one feature equals it.

    Args:
        num_envs: B.
        privileged: Whether infos tell the true rewards.
    """
    space = observation_space(
        candidates=SLOTS,
        history=HISTORY,
        candidate_features=CANDIDATE_FEATURES,
        n_users=1,
        n_videos=VIDEOS,
        n_authors=1,
    )
    return BatchEnv(_ToySetup(None, space, CANDIDATE_FEATURES, "penalise", privileged), num_envs, True, None)


@dataclass(frozen=True)
class _ToySetup(Setup):
    @property
    def sessions(self) -> int:
        return 1

    @property
    def skipped_sessions(self) -> int:
        return 0

    @property
    def pool(self) -> npt.NDArray[np.int32]:
        return np.arange(1, VIDEOS + 1, dtype=np.int32)

    def rules(self, rows: int) -> Rules:
        return _ToyRules(rows)


class _ToyRules(Rules):
    def __init__(self, rows: int) -> None:
        self.rows, self.slots = rows, SLOTS
        self._key = np.zeros(rows, dtype=np.uint64)
        self._steps = np.zeros(rows, dtype=np.int64)
        self._sum = np.zeros(rows)
        self._candidates = np.zeros((rows, SLOTS, len(CANDIDATE_FEATURES)), dtype=np.float32)
        self._legal = np.zeros((rows, SLOTS), dtype=bool)

    @property
    def action_masks(self) -> npt.NDArray[np.bool_]:
        return self._legal.copy()

    def observation(self) -> dict[str, Array]:
        video = np.where(self._legal, 1 + (self._candidates[..., _WORTH] * (VIDEOS - 1)).astype(np.int32), 0)
        return {
            "user": np.zeros((self.rows, len(USER_FEATURES)), dtype=np.float32),
            "user_id": np.ones((self.rows, 1), dtype=np.int32),
            "history": np.zeros((self.rows, HISTORY, len(HISTORY_FEATURES)), dtype=np.float32),
            "history_video": np.zeros((self.rows, HISTORY), dtype=np.int32),
            "history_author": np.zeros((self.rows, HISTORY), dtype=np.int32),
            "candidates": self._candidates,
            "candidate_video": video.astype(np.int32),
            "candidate_author": self._legal.astype(np.int32),
            "action_mask": self._legal.astype(np.int8),
        }

    def privileged(self) -> dict[str, Array]:
        return {
            "reward": self._candidates[..., _WORTH].astype(np.float64),
            "logged_rank": np.where(self._legal, np.arange(SLOTS), -1),
        }

    def whereabouts(self) -> dict[str, Array]:
        return {
            "user_id": np.zeros(self.rows, dtype=np.int64),
            "group": np.full(self.rows, NORMAL),
            "episode_key": self._key.copy(),
        }

    def video_ids(self) -> Array:
        return np.asarray(self.observation()["candidate_video"] - 1)

    def begin(self, rows: Array, keys: npt.NDArray[np.uint64]) -> None:
        self._key[rows] = keys
        self._steps[rows] = 0
        self._sum[rows] = 0.0
        self._deal(rows)

    def _deal(self, rows: Array) -> None:
        keys, steps = self._key[rows, None, None], self._steps[rows, None, None]
        drawn = keyed_uniform(keys, steps, np.arange(SLOTS)[:, None], np.arange(len(CANDIDATE_FEATURES) + 1))
        legal = drawn[..., -1] >= EMPTY_SHARE
        legal[:, 0] |= ~legal.any(axis=1)
        features = drawn[..., :-1]
        # A video has a duration: no legal slot is all nought.
        features[..., _DURATION] = 1 + 4 * features[..., _DURATION]
        self._candidates[rows] = features * legal[..., None]
        self._legal[rows] = legal

    def step(self, actions: Array) -> Step:
        every = np.arange(self.rows)
        legal = self._legal[every, actions]
        worth = self._candidates[every, actions, _WORTH] * legal
        self._sum += worth
        self._steps += 1
        vector = np.zeros((self.rows, len(SIGNALS)), dtype=np.float32)
        vector[:, 0] = worth
        info = {
            "reward_vector": vector,
            "wtg_gain": np.zeros(self.rows, dtype=np.float32),
            "feedback": {name: np.zeros(self.rows, dtype=np.int32) for name in FEEDBACK},
            "video_id": self.video_ids()[every, actions],
            "propensity": np.full(self.rows, np.nan),
            "illegal_action": ~legal,
            **self.whereabouts(),
        }
        ended = self._steps >= HORIZON
        self._deal(np.flatnonzero(~ended))
        return Step(worth.astype(np.float64), np.zeros(self.rows, dtype=bool), ended, info)

    def episode_metrics(self) -> dict[str, Array]:
        nought = np.zeros(self.rows)
        return {
            "reward": self._sum.copy(),
            "wtr": self._sum.copy(),
            "wtg": nought,
            "aux": nought,
            "watch_s": nought,
            "length": self._steps.copy(),
        }

    def choose(self, keys: npt.NDArray[np.uint64], users: Array, sessions: Array) -> npt.NDArray[np.uint64]:  # noqa: ARG002
        return keys
