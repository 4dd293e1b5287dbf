"""What a benchmark's agents served: how many videos and authors, and how evenly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from svsim.benchmark.shard import Shard
from svsim.benchmark.statistics import Estimate
from svsim.data.store import FeedStore
from svsim.metrics import coverage, gini, tail_share

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["EXPOSURE_METRICS", "Exposure"]

EXPOSURE_METRICS = (
    "distinct_videos",
    "distinct_authors",
    "distinct_tags",
    "coverage",
    "author_coverage",
    "author_gini",
    "author_tail_share",
)
"""Over all episodes of a seed: different videos, authors and tags served; shares of the pool's videos and authors served at
all; Gini of the authors' exposures; share of the exposures that went to authors outside the fifth most shown in training."""


class Exposure:
    """Exposure of the videos and authors of a pool.

    Args:
        store: What they are of.
        pool: (P,) dense ids of the videos that could have been served.
    """

    def __init__(self, store: FeedStore, pool: npt.NDArray[np.int64]) -> None:
        self.store, self.pool = store, pool
        self._author = np.asarray(store.videos["author"])
        self.authors = np.unique(self._author[pool])
        """(Q,) dense ids of the pool's authors."""
        shown = store.events["video"][store.split_rows("train")]
        self._training = np.bincount(self._author[shown], minlength=store.n_authors + 1)[self.authors]

    def measure(self, runs: list[Shard]) -> dict[str, Estimate]:
        """`EXPOSURE_METRICS` of an agent, from its shards."""
        by_seed = np.array([self._of(run) for run in runs]).T
        return {
            name: Estimate(float(values.mean()), values, np.empty(0))
            for name, values in zip(EXPOSURE_METRICS, by_seed, strict=True)
        }

    def by_author(self, run: Shard) -> npt.NDArray[np.float64]:
        """(Q,) exposures of the pool's authors."""
        plays = np.bincount(self._author[run.video], weights=run.plays, minlength=self.store.n_authors + 1)
        return np.asarray(plays[self.authors])

    def _of(self, run: Shard) -> list[float]:
        tag_sets = np.unique(self.store.videos["tag_set"][run.video]).tolist()
        tags = {tag for number in tag_sets for tag in self.store.video_tags[number]}
        plays = np.zeros(len(self._author))
        plays[run.video] = run.plays
        authors = self.by_author(run)
        return [
            len(run.video),
            int((authors > 0).sum()),
            len(tags),
            coverage(plays[self.pool]),
            coverage(authors),
            gini(authors),
            tail_share(authors, self._training),
        ]

    def table(self, shards: Mapping[str, list[Shard]]) -> pd.DataFrame:
        """A row an agent and author that it served: `agent`, `author_id` (the source's), `exposures` over all seeds."""
        import pandas as pd

        author_id = np.full(self.store.n_authors + 1, -1, dtype=np.int64)
        author_id[self._author] = self.store.videos["author_id"]
        frames = []
        for name, runs in shards.items():
            total = np.sum([self.by_author(run) for run in runs], axis=0).astype(np.int64)
            served = total > 0
            frames.append(
                pd.DataFrame({"agent": name, "author_id": author_id[self.authors[served]], "exposures": total[served]})
            )
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame({"agent": []})
