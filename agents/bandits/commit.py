"""Explore, then commit: the control that never looks back."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from svsim.agents.bandits.arms import ArmBandit
from svsim.agents.base import ScoringAgent
from svsim.errors import OptionError

__all__ = ["ExploreThenCommitAgent"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class ExploreThenCommitAgent(ArmBandit, ScoringAgent):
    """Serves every video `explore` times, the least served first; then by what its first plays brought, for ever.

    The control of any bandit that adapts (Garivier, Kaufmann, Lattimore 2016, "On explore-then-commit strategies").

    Args:
        explore: Plays of a video before it is judged.
        warm: Whether the training split's plays count as explored.
        reward_weights: Weight of each signal in those, as the environment's.
    """

    def __init__(
        self, explore: int = 3, warm: bool = True, reward_weights: Mapping[str, float] | str | None = None
    ) -> None:
        if explore < 1:
            raise OptionError(f"expected at least 1, found {explore}", where="explore")
        super().__init__(warm, None, reward_weights)
        self.explore = explore

    def _index(self, video: Ints, legal: npt.NDArray[np.bool_]) -> Floats:  # noqa: ARG002
        plays = self.arms.plays[video]
        mean = self.arms.total[video] / np.maximum(plays, 1.0)
        # Above any mean, and the higher the fewer plays there were.
        unexplored = 1e6 * (1 + self.explore - plays)
        return np.where(plays < self.explore, unexplored, mean)

    def _learn(self, video: Ints, reward: Floats) -> None:
        self.arms.grow(video)
        open_still = self.arms.plays[video] < self.explore
        super()._learn(video[open_still], reward[open_still])
