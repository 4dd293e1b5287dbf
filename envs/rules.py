"""What an environment's rules are: a batched kernel that knows nothing of Gymnasium."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from svsim.data.store import FeedStore

__all__ = ["OnIllegal", "Rules", "Setup", "Step"]

Array = npt.NDArray[Any]
OnIllegal = Literal["penalise", "raise"]


@dataclass
class Step:
    """What a step of B rows came to: arrays (B, …) that nobody writes to later."""

    reward: Array
    terminated: Array
    truncated: Array
    info: dict[str, Any]


class Rules(ABC):
    """B episodes side by side.

    Attributes:
        rows: B.
        slots: K, what each place of an action may be.
        slate: S, places of an action; an action is a number where it is 1.
        horizon: Steps of an episode at most; None where steps do not end it.
    """

    rows: int
    slots: int
    slate: int = 1
    horizon: int | None

    @property
    @abstractmethod
    def action_masks(self) -> npt.NDArray[np.bool_]:
        """(B, K) legal slots, a new array; (B, S K) for slates, each place's one after another."""

    @abstractmethod
    def observation(self) -> dict[str, Array]:
        """Views on what each row sees now; valid until the next step."""

    @abstractmethod
    def privileged(self) -> dict[str, Array]:
        """True rewards and the like of what each row sees now, new arrays (B, K)."""

    @abstractmethod
    def whereabouts(self) -> dict[str, Array]:
        """Whose episode each row plays: new arrays (B,)."""

    @abstractmethod
    def video_ids(self) -> Array:
        """(B, K) the source's ids of the videos on offer, −1 in an empty slot."""

    @abstractmethod
    def begin(self, rows: Array, keys: npt.NDArray[np.uint64]) -> None:
        """Open the episodes `keys` in the rows numbered `rows`."""

    @abstractmethod
    def step(self, actions: Array) -> Step:
        """Serve `actions[b]` in every row b; int64 within [0, K), (B,) or (B, S). Ended rows wait for `begin`."""

    @abstractmethod
    def episode_metrics(self) -> dict[str, Array]:
        """Sums over each row's episode so far: new arrays (B,) by name."""

    @abstractmethod
    def choose(self, keys: npt.NDArray[np.uint64], users: Array, sessions: Array) -> npt.NDArray[np.uint64]:
        """(B,) keys of the `sessions[b]`-th session of user `users[b]`, as random otherwise as `keys` are."""


@dataclass(frozen=True)
class Setup(ABC):
    """An environment's checked arguments.

    Attributes:
        store: Whose sessions and videos they are; None for videos that no store knows.
        observation_space: Of a single environment.
        candidate_features: Names of the candidates' features.
        on_illegal: What an illegal action does.
        privileged: Whether infos tell the true rewards.
    """

    store: FeedStore | None
    observation_space: spaces.Dict
    candidate_features: tuple[str, ...]
    on_illegal: OnIllegal
    privileged: bool

    @property
    @abstractmethod
    def sessions(self) -> int:
        """Sessions that are served."""

    @property
    @abstractmethod
    def skipped_sessions(self) -> int:
        """Sessions that are too short to be served."""

    @property
    @abstractmethod
    def pool(self) -> npt.NDArray[np.int32]:
        """Dense ids of all videos that may be served, ascending."""

    @abstractmethod
    def rules(self, rows: int) -> Rules:
        """Rules for a batch."""
