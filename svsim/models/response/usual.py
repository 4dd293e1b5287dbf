"""What usually comes of a video, whoever watches: the yardstick that a user's past is measured by.

    ŷ = w · (1, the video's rates and effects by other users, exposures, duration, tab, chance, chance × those)

by least squares on the training rows, one w for each signal. A past that counts what was more or less than usual says the
same of a user whether the platform, chance or another policy chose the videos; plain rates would say that users got worse
when a simulated policy serves worse videos, and the model would follow them down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from svsim.names import CANDIDATE_FEATURES

__all__ = ["SIGNALS", "Usual"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

SIGNALS = ("click", "long_view", "wtr", "like", "relevant", "social")
RATES = [CANDIDATE_FEATURES.index(f"video_{name}") for name in ("click", "long_view", "wtr", "wtg", "aux")]
EFFECTS_FROM = len(CANDIDATE_FEATURES)
EXPOSURES = CANDIDATE_FEATURES.index("video_log_exposures")
N_TABS, N_CLASSES = 16, 8
RIDGE = 1.0
BLOCK = 1 << 18


@dataclass(frozen=True)
class Usual:
    """What is usual.

    Attributes:
        weight: (F, 6) coefficients, a column for each of `SIGNALS`.
        habits: (5,) the population's means of `memory.HABITS`.
    """

    weight: Floats
    habits: Floats

    @classmethod
    def fit(cls, shown: Array, kind: Array, tab: Array, chance: Array, signals: Array, habits: Floats) -> Self:
        """Fit to training rows.

        Args:
            shown: (n, C + 11) candidate features and effects.
            kind: (n,) class of durations.
            tab: (n,) tabs.
            chance: (n,) whether chance chose the video.
            signals: (n, 6) what came of it.
            habits: (5,) means of `memory.HABITS`.
        """
        width = _design(shown[:1], kind[:1], tab[:1], chance[:1]).shape[1]
        gram, moment = RIDGE * np.eye(width), np.zeros((width, len(SIGNALS)))
        for start in range(0, len(shown), BLOCK):
            part = slice(start, start + BLOCK)
            x = _design(shown[part], kind[part], tab[part], chance[part]).astype(np.float64)
            gram += x.T @ x
            moment += x.T @ signals[part]
        return cls(np.linalg.solve(gram, moment).astype(np.float64), habits)

    def __call__(self, shown: Array, kind: Array, tab: Array, chance: Array) -> npt.NDArray[np.float32]:
        """(n, 6) what is usual, within [0, 1]."""
        out = np.empty((len(shown), len(SIGNALS)), dtype=np.float32)
        weight = self.weight.astype(np.float32)
        for start in range(0, len(shown), BLOCK):
            part = slice(start, start + BLOCK)
            out[part] = np.clip(_design(shown[part], kind[part], tab[part], chance[part]) @ weight, 0.0, 1.0)
        return out


def _design(shown: Array, kind: Array, tab: Array, chance: Array) -> npt.NDArray[np.float32]:
    video = np.concatenate(
        [
            shown[:, RATES],
            shown[:, EFFECTS_FROM:],
            shown[:, EXPOSURES : EXPOSURES + 1] / 10.0,
            kind[:, None] == np.arange(N_CLASSES),
        ],
        axis=1,
    )
    by_chance = np.asarray(chance, dtype=np.float32)[:, None]
    one = np.ones((len(shown), 1))
    tabs = np.minimum(tab, N_TABS - 1)[:, None] == np.arange(N_TABS)
    return np.concatenate([one, video, tabs, by_chance, by_chance * video], axis=1, dtype=np.float32)
