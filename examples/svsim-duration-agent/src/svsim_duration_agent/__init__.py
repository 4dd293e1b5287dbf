"""An agent for svsim that knows durations only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from svsim.agents import ScoringAgent
from svsim.agents.values import training_values
from svsim.errors import AgentError, OptionError
from svsim.names import CANDIDATE_FEATURES

__all__ = ["DurationAgent"]

LOG_DURATION = CANDIDATE_FEATURES.index("log_duration")


class DurationAgent(ScoringAgent):
    """Serves the video whose duration did best in the training split.

    Args:
        bins: Durations are cut into so many bins of equally many exposures.
        reward_weights: Weight of each signal, as the environment's; the benchmark hands it in.
    """

    def __init__(self, bins: int = 20, reward_weights: Mapping[str, float] | str | None = None) -> None:
        if bins < 1:
            raise OptionError(f"expected at least 1, found {bins}", where="bins")
        self.bins, self.reward_weights = bins, reward_weights
        self.mean: np.ndarray[Any, Any] | None = None

    def fit(self, store: Any, *, seed: int) -> None:  # noqa: ARG002 - nothing is drawn
        """Take the mean reward of each bin from the training split."""
        values = training_values(store, self.reward_weights)
        seen = np.flatnonzero(values.plays)
        seconds = np.nan_to_num(np.asarray(store.videos["video_duration"], dtype=float)[seen]) / 1e3
        # As observations have it: an edge that was rounded otherwise would put its own video in the bin below.
        duration = np.log1p(seconds).astype(np.float32)
        order = np.argsort(duration, kind="stable")
        share = np.cumsum(values.plays[seen][order]) / values.plays.sum()
        inner = np.searchsorted(share, np.arange(1, self.bins) / self.bins)
        self.edges = duration[order][inner]
        bucket = np.searchsorted(self.edges, duration, side="right")
        total = np.bincount(bucket, weights=values.total[seen], minlength=self.bins)
        plays = np.bincount(bucket, weights=values.plays[seen], minlength=self.bins)
        self.mean = np.where(plays > 0, total / np.maximum(plays, 1), values.overall)

    def score(self, observation: dict[str, Any]) -> np.ndarray[Any, Any]:
        """(B, K) mean training reward of each candidate's duration."""
        if self.mean is None:
            raise AgentError("expected fit(store, seed=…) before the first call", where="duration")
        duration = observation["candidates"][..., LOG_DURATION]
        return np.asarray(self.mean[np.searchsorted(self.edges, duration, side="right")])
