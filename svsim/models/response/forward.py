"""The response network in numpy: what evaluation and simulation run.

The first layer is a sum of three products, one for each block of inputs; the video's is made once for a whole pool. What is
left for a served video is one product for the user, a small one for both, and the members' second and third layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.models.response.inputs import N_MOMENT, N_NUMBERS, Scales
from svsim.models.response.watch import N_PHASES
from svsim.names import COMMENT, FOLLOW, FORWARD, HATE, LIKE

__all__ = [
    "AFTER_LIKE",
    "FLAG_OUTPUTS",
    "LARGEST_INPUT",
    "N_OUTPUTS",
    "N_PLAY_FEATURES",
    "PRIOR_REPEATS",
    "REPEAT_SHARES",
    "Forward",
    "play_features",
    "product",
    "standardised",
]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

FLAG_OUTPUTS = (LIKE, COMMENT, FORWARD, FOLLOW, HATE)
"""Flags that are drawn given play time and, but for the like itself and hate, like."""
AFTER_LIKE = (0.0, 1.0, 1.0, 1.0, 0.0)
N_OUTPUTS = N_PHASES + 1 + len(FLAG_OUTPUTS)
PRIOR_REPEATS = (0.7, 0.1, 0.02)
"""What a repeated video, author and tag add to the log-hazard, by hand: no log shows the first."""
REPEAT_SHARES = (1.0, 1.0, 1.0, 0.6, 0.6, 0.6, 0.6)
"""Share of it by phase."""
LARGEST_INPUT = 6.0
"""Standardised numbers are cut there."""
LOG_PLAY_HINGES = np.array([0.7, 1.4, 2.1, 2.9, 4.0])
"""ln of 2, 4, 8, 18 and 55 s."""
RATIO_HINGES = np.array([0.3, 0.9, 1.1, 2.0])
N_PLAY_FEATURES = 3 + len(LOG_PLAY_HINGES) + len(RATIO_HINGES)
NOMINAL_MS = 60_000.0


def standardised(block: Array, mean: Array, scale: Array) -> Floats:
    """A block of inputs as the network takes it."""
    out = (block - mean) / scale
    np.minimum(out, LARGEST_INPUT, out=out)
    np.maximum(out, -LARGEST_INPUT, out=out)
    return np.asarray(out, dtype=np.float32)


def product(rows: Floats, weights: Floats) -> Floats:
    """The product rows @ weights, where a row gives the same bytes whatever rows stand beside it.

    BLAS goes another way for a single row, whose last bits even hang on where it lies in memory.
    """
    return np.asarray((rows.repeat(2, axis=0) @ weights)[:1] if len(rows) == 1 else rows @ weights)


def play_features(play_ms: Array, duration_ms: Array) -> Floats:
    """(…, 12) float32 what the flags are linear in: hinges of ln(play) and of the watch ratio, and no play at all."""
    out = np.empty((*play_ms.shape, N_PLAY_FEATURES), dtype=np.float32)
    log_play = np.log(np.minimum(np.maximum(play_ms, 300.0), 600_000.0) / 1_000.0)
    ratio = np.minimum(play_ms / np.where(duration_ms > 0, duration_ms, NOMINAL_MS), 6.0)
    n = len(LOG_PLAY_HINGES)
    out[..., 0] = log_play
    np.maximum(log_play[..., None] - LOG_PLAY_HINGES, 0.0, out=out[..., 1 : 1 + n], casting="same_kind")
    out[..., 1 + n] = ratio
    np.maximum(ratio[..., None] - RATIO_HINGES, 0.0, out=out[..., 2 + n : -1], casting="same_kind")
    out[..., -1] = play_ms <= 0
    return out


class Forward:
    """Outputs of a trained ensemble.

    Args:
        weights: Arrays of `ResponseNetwork` by name.
        scales: What inputs are measured by.
    """

    def __init__(self, weights: Mapping[str, Array], scales: Scales) -> None:
        self.scales = scales
        self.members, self.hidden = weights["second"].shape[:2]
        # One product for the first layer and for the way around it.
        whole = np.concatenate([weights["first"], weights["skip"]], axis=1).astype(np.float32)
        n_user, n_video = len(scales.user_mean), len(scales.video_mean)
        if len(whole) != n_user + n_video + len(scales.both_mean):
            raise ValueError(f"weights of {len(whole)} inputs, scales of {n_user + n_video + len(scales.both_mean)}")
        self._user, self._video, self._both = np.split(whole, [n_user, n_user + n_video])
        self._moment, self._standing = (np.ascontiguousarray(part) for part in np.split(self._user, [N_MOMENT]))
        self._both = np.ascontiguousarray(self._both)
        self._by_chance = weights["by_chance"]
        skipped = np.zeros(self.members * N_OUTPUTS, dtype=np.float32)
        self._bias = np.concatenate([weights["first_bias"], skipped])
        self._second, self._second_bias = weights["second"], weights["second_bias"]
        self._third, self._third_bias = weights["third"], weights["third_bias"]
        self.flag_play, self.flag_like = weights["flag_play"], weights["flag_like"] * np.array(AFTER_LIKE)
        self._repeats = weights["repeats"]
        self._shares = np.array(REPEAT_SHARES, dtype=np.float32)

    @property
    def columns(self) -> int:
        """C, columns of the parts of the first layer."""
        return int(self.members * (self.hidden + N_OUTPUTS))

    def video_part(self, block: Floats, chance: Array) -> Floats:
        """(n, C) of a video block, not yet standardised; `chance` is (n,) whether chance chose the video."""
        s = self.scales
        video = standardised(block, s.video_mean, s.video_scale)
        part = np.asarray(video @ self._video)
        rows = np.flatnonzero(chance)
        if len(rows):
            part[rows, self.members * self.hidden :] += video[rows, :N_NUMBERS] @ self._by_chance
        return part

    def moment_part(self, block: Floats) -> Floats:
        """(n, C) of the moment's block, not yet standardised."""
        s = self.scales
        return np.asarray(product(standardised(block, s.user_mean[:N_MOMENT], s.user_scale[:N_MOMENT]), self._moment))

    def standing_part(self, block: Floats) -> Floats:
        """(n, C) of the standing block, not yet standardised, and the bias."""
        s = self.scales
        return np.asarray(
            product(standardised(block, s.user_mean[N_MOMENT:], s.user_scale[N_MOMENT:]), self._standing) + self._bias
        )

    def user_part(self, block: Floats) -> Floats:
        """(n, C) of a user block, not yet standardised."""
        s = self.scales
        return np.asarray(standardised(block, s.user_mean, s.user_scale) @ self._user + self._bias)

    def __call__(self, user_part: Floats, video_part: Floats, both: Floats, repeats: Floats) -> Floats:
        """(M, n, 13) outputs, see `network`.

        Args:
            user_part: (n, C).
            video_part: (n, C).
            both: (n, 4), not yet standardised.
            repeats: (n, 3).
        """
        if len(user_part) == 1:
            # As in `product`.
            user_part, video_part, both, repeats = (a.repeat(2, axis=0) for a in (user_part, video_part, both, repeats))
            return self(user_part, video_part, both, repeats)[:, :1]
        s, m, h, n = self.scales, self.members, self.hidden, len(user_part)
        first = standardised(both, s.both_mean, s.both_scale) @ self._both
        first += user_part
        first += video_part
        hidden = np.maximum(first[:, : m * h], 0.0).reshape(n, m, h).transpose(1, 0, 2)
        hidden = np.matmul(hidden, self._second)
        hidden += self._second_bias
        np.maximum(hidden, 0.0, out=hidden)
        out: Floats = np.matmul(hidden, self._third)
        out += self._third_bias
        out += first[:, m * h :].reshape(n, m, N_OUTPUTS).transpose(1, 0, 2)
        tired = repeats[:, 0] * self._repeats[0] + repeats[:, 1] * self._repeats[1] + repeats[:, 2] * self._repeats[2]
        out[..., :N_PHASES] += tired[:, None] * self._shares
        return out
