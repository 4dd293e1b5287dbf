"""What a logged exposure was worth: the environment's scalar reward, or one signal alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from svsim.data.features import history_features
from svsim.data.store import FeedStore
from svsim.errors import OptionError
from svsim.names import AUX, FLAGS, HISTORY_FEATURES, SIGNALS
from svsim.signals import AUX_WEIGHTS, reward_weights, scalar_reward

__all__ = ["REWARDS", "Reward"]

Floats = npt.NDArray[np.float64]

REWARDS = ("reward", *SIGNALS, *FLAGS)
"""What may be asked about: `reward`, the weighed sum of the three signals, or one signal."""


@dataclass(frozen=True)
class Reward:
    """Which reward is meant.

    Attributes:
        name: Of `REWARDS`.
        weights: Weight of each signal in `reward`.
    """

    name: str
    weights: Mapping[str, float]

    @classmethod
    def named(cls, name: str = "reward", weights: Mapping[str, float] | str | None = None) -> Reward:
        """Check a name and complete the weights.

        Raises:
            OptionError: No such reward, or weights that cannot be.
        """
        if name not in REWARDS:
            raise OptionError(f"expected one of {', '.join(REWARDS)}, found {name!r}", where="reward")
        return cls(name, reward_weights(weights))

    @property
    def range(self) -> tuple[float, float]:
        """Least and greatest value that a row may have."""
        if self.name == "reward":
            parts = [weight * _most(signal) for signal, weight in self.weights.items()]
            return sum(min(part, 0.0) for part in parts), sum(max(part, 0.0) for part in parts)
        return 0.0, _most(self.name)

    def of(self, store: FeedStore, rows: npt.NDArray[np.int64]) -> Floats:
        """(n,) rewards of logged rows; an environment pays the same for the same feedback."""
        told = history_features(store, rows)
        if self.name == "reward":
            return scalar_reward(told[:, [HISTORY_FEATURES.index(name) for name in SIGNALS]], self.weights)
        return np.asarray(told[:, HISTORY_FEATURES.index(self.name)], dtype=np.float64)


def _most(signal: str) -> float:
    return float(sum(AUX_WEIGHTS["default"].values())) if signal == AUX else 1.0
