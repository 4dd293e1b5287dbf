"""Mean rewards of videos in the training split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from svsim.data.features import smoothed
from svsim.data.store import FeedStore
from svsim.names import SIGNALS
from svsim.signals import reward_weights

__all__ = ["TrainingValues", "training_values"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TrainingValues:
    """Rewards of the training split by dense video id (n_videos + 1,), and over all of it."""

    total: Floats
    plays: Floats
    overall: float

    @property
    def mean(self) -> Floats:
        """Mean reward of each video, shrunk towards the overall mean by `PSEUDO_PLAYS` plays."""
        return smoothed(self.total, self.plays, self.overall)


def training_values(store: FeedStore, weights: Mapping[str, float] | str | None = None) -> TrainingValues:
    """Sum the scalar reward over each video's training rows.

    Args:
        store: Where from.
        weights: Weight of each signal; None: 1 each.
    """
    chosen = reward_weights(weights)
    total = np.zeros(store.n_videos + 1)
    for name in SIGNALS:
        total += chosen[name] * store.videos[f"train_{name}"].astype(np.float64)
    plays = store.videos["train_exposures"].astype(np.float64)
    return TrainingValues(total, plays, float(total.sum() / max(plays.sum(), 1.0)))
