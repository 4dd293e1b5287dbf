"""An agent that learns."""

import numpy as np

from svsim.agents import ScoringAgent

BINS = 24


def bins_of(log_duration):
    """Quarters of ln(1 + seconds)."""
    return np.clip((4 * log_duration).astype(int), 0, BINS - 1)


class ByDuration(ScoringAgent):
    """Serves the duration that has earned most so far."""

    def fit(self, store, *, seed):  # noqa: ARG002 - nothing is drawn
        """Begin with what the training split knows of each video."""
        videos = store.videos
        bins = bins_of(np.log1p(videos["video_duration"] / 1_000))
        earned = videos["train_wtr"] + videos["train_wtg"] + videos["train_aux"]
        self.earned = np.bincount(bins, earned, minlength=BINS)
        self.plays = np.bincount(bins, videos["train_exposures"], minlength=BINS)

    def score(self, observation):
        """(B, K) mean reward of a candidate's duration."""
        mean = self.earned / np.maximum(self.plays, 1)
        return mean[bins_of(observation["candidates"][..., 0])]

    def observe(self, observation, action, reward, *_):
        """Learn from one step of all episodes."""
        served = observation["candidates"][np.arange(len(action)), action, 0]
        np.add.at(self.earned, bins_of(served), reward)
        np.add.at(self.plays, bins_of(served), 1)
