"""Videos: a catalogue that is never stored, since every attribute is a hash of (seed, video).

Inside the world a video is its index: 0 … P − 1 the pool of the random log, then C for each upload day (`Catalogue`).
Public ids of feed videos are the indices shuffled by a bijection, so that they tell nothing of day or popularity.

    quality q = effect of the first tag + σ ε     the platform's estimate is off by N(0, σ_e²)
    duration: KuaiRand-27K's catalogue for feed videos, the pool's quantiles for the pool (facts, 5)
    P(no duration) = p₀ + p₁·(rank / C)^γ          9 % of exposures, 21 % of the videos seen (facts, 5)

A micro-cluster has a first tag; a video has it and sometimes more (facts, 10).
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.names import VIDEO_COLUMNS
from svsim.randomness import keyed_hash, keyed_uniform
from svsim.world.config import FIRST_DAY, WorldConfig
from svsim.world.constants import constants
from svsim.world.draws import Draw, bits, from_table, normal_table

__all__ = ["Catalogue"]

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]

POOL_UPLOAD_DAYS = (1, 2, 3)  # 9, 10 and 11 April
MUSIC_IDS, AUTHOR_IDS = 9_479_247_334, 8_839_735
PICTURE = 0
"""Duration of a video without one."""


class Catalogue:
    """All videos that there are.

    Attributes:
        pool: Videos of the random log: indices and public ids 0 … pool − 1.
        size: Number of indices.
        clusters: Number of micro-clusters.
    """

    def __init__(self, config: WorldConfig, key: np.uint64) -> None:
        c = constants("videos")
        self.pool = config.pool
        self.per_day = config.popularity_ceiling
        self.oldest = int(c["oldest_age_days"])
        self.feed = self.per_day * (self.oldest + config.days)
        self.size = self.pool + self.feed
        self.clusters = int(c["clusters"])
        self._key = key
        self._factor, self._shift, self._inverse = _affine(self.feed, key)
        first = from_table(
            c["tags"].astype(np.int64), np.cumsum(c["tag_shares"]), key, Draw.CLUSTER, np.arange(self.clusters)
        )
        self.cluster_tag: Ints = np.asarray(first)
        self._cluster_quality = _tag_quality(self.cluster_tag)
        # Multiples of the author count would make authors' sizes collide with upload days.
        self._authors = max(2, int(c["authors_per_video"] * self.feed))
        self._pool_authors = max(2, int(c["pool_authors_per_video"] * self.pool))

    # --- ids ----------------------------------------------------------------------------------------------------------

    def feed_index(self, day: Ints, rank: Ints) -> Ints:
        """Index of the feed video uploaded on a day (0 is 8 April, earlier ones negative) with a popularity rank."""
        return self.pool + (day + self.oldest) * self.per_day + rank

    def upload_day(self, index: Ints) -> Ints:
        """Upload day of videos, 0 for 8 April."""
        feed = (index - self.pool) // self.per_day - self.oldest
        third = bits(keyed_hash(self._key, Draw.VIDEO_COLUMN, index, 9), 0, 16)
        ends = np.cumsum(constants("videos")["pool_upload_shares"]) * 65_536
        own = np.array(POOL_UPLOAD_DAYS)[np.minimum(np.searchsorted(ends, third, side="right"), 2)]
        return np.where(index < self.pool, own, feed)

    def public_id(self, index: Ints) -> Ints:
        """The id that files and logs show."""
        feed = ((index - self.pool) * self._factor + self._shift) % self.feed + self.pool
        return np.where(index < self.pool, index, feed)

    def index_of(self, video_id: npt.ArrayLike) -> Ints:
        """The index behind public ids; −1 for an id that the catalogue does not hold."""
        given = np.asarray(video_id, dtype=np.int64)
        feed = ((given - self.pool - self._shift) % self.feed * self._inverse) % self.feed + self.pool
        index = np.where(given < self.pool, given, feed)
        return np.where((given >= 0) & (given < self.size), index, -1)

    # --- what the simulation needs of many videos ----------------------------------------------------------------------

    def appeal(self, index: Ints) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], Ints]:
        """Quality, the platform's estimate of it, and micro-cluster of videos."""
        c = constants("videos")
        word = keyed_hash(self._key, Draw.VIDEO, index)
        cluster = bits(word, 0, 16) % self.clusters
        normal = normal_table()
        quality = self._cluster_quality[cluster] + np.float32(c["quality_sd"]) * normal[bits(word, 48, 16)]
        estimate = quality + np.float32(c["quality_error_sd"]) * normal[bits(word, 32, 16)]
        return quality, estimate, cluster

    def duration_ms(self, index: Ints) -> Ints:
        """Duration of videos in ms, 0 for picture posts."""
        from scipy.special import ndtri

        c = constants("videos")
        shown = keyed_uniform(self._key, Draw.VIDEO_COLUMN, index, 0)
        feed = np.exp(np.log(c["duration_median_ms"]) + c["duration_log_sd"] * ndtri(np.clip(shown, 1e-12, 1 - 1e-12)))
        own = np.interp(shown, c["pool_duration_quantiles"][:, 0], c["pool_duration_quantiles"][:, 1])
        duration = np.clip(np.where(index < self.pool, own, feed), *c["duration_range_ms"]).astype(np.int64)
        rank = np.maximum(index - self.pool, 0) % self.per_day / self.per_day
        p0, p1, power = c["no_duration"]
        empty = np.where(index < self.pool, c["pool_no_duration"], p0 + p1 * rank**power)
        return np.where(keyed_uniform(self._key, Draw.VIDEO_COLUMN, index, 1) < empty, PICTURE, duration)

    def author(self, index: Ints) -> Ints:
        """Author id of videos; a few authors have many videos."""
        c = constants("videos")
        drawn = keyed_uniform(self._key, Draw.VIDEO_COLUMN, index, 2)
        feed = (self._authors * drawn ** c["author_power"]).astype(np.int64)
        own = (self._pool_authors * drawn).astype(np.int64)
        # Pool and feed have authors in common: one list of names.
        return (np.where(index < self.pool, own, feed) * 2_654_435_761 + 40_503) % AUTHOR_IDS

    def tag(self, index: Ints) -> Ints:
        """First tag of videos, 0 for those without."""
        tags = self.cluster_tag[bits(keyed_hash(self._key, Draw.VIDEO, index), 0, 16) % self.clusters]
        none = keyed_uniform(self._key, Draw.VIDEO_COLUMN, index, 3) < constants("videos")["tag_counts"][0]
        return np.where(none, 0, tags)

    # --- the video table ------------------------------------------------------------------------------------------------

    def table(self, index: Ints) -> dict[str, Array]:
        """`video_features_basic` of videos as columns, NaN and empty texts where the official table is empty."""
        c = constants("videos")

        def draw(name: str, number: int) -> Array:
            return from_table(c[name], np.cumsum(c[f"{name}_shares"]), self._key, Draw.VIDEO_COLUMN, index, number)

        duration = self.duration_ms(index)
        picture = duration == PICTURE
        music_type = draw("music_types", 5)
        silent = music_type < 0
        music = (keyed_uniform(self._key, Draw.VIDEO_COLUMN, index, 6) * MUSIC_IDS).astype(np.int64)
        resolution = draw("resolutions", 7)
        width, height = (np.array([float(r.split("x")[side]) for r in c["resolutions"]]) for side in (0, 1))
        place = np.searchsorted(c["resolutions"], resolution, sorter=np.argsort(c["resolutions"]))
        place = np.argsort(c["resolutions"])[place]
        table: dict[str, Array] = {
            "video_id": self.public_id(index),
            "author_id": self.author(index),
            "video_type": draw("video_types", 4),
            "upload_dt": _dates(self.upload_day(index)),
            "upload_type": np.where(picture, draw("picture_upload_types", 8), draw("upload_types", 8)),
            "visible_status": np.zeros(len(index)),
            "video_duration": np.where(picture, np.nan, duration.astype(np.float64)),
            "server_width": width[place],
            "server_height": height[place],
            "music_id": np.where(silent, 0, music),
            "music_type": np.where(silent, np.nan, music_type.astype(np.float64)),
            "tag": self._tags(index),
        }
        return {name: table[name] for name in VIDEO_COLUMNS}

    def _tags(self, index: Ints) -> Array:
        c = constants("videos")
        first = self.tag(index)
        counts = np.cumsum(c["tag_counts"])
        number = np.searchsorted(counts, keyed_uniform(self._key, Draw.VIDEO_COLUMN, index, 3), side="right")
        texts = first.astype("<U2").astype(object)
        for more in (2, 3):
            other = from_table(
                c["tags"].astype(np.int64), np.cumsum(c["tag_shares"]), self._key, Draw.VIDEO_COLUMN, index, 10 + more
            )
            add = (number >= more) & (other != first)
            texts[add] += "," + other[add].astype("<U2").astype(object)
        texts[first == 0] = ""
        return np.asarray(texts.astype(str))


def _tag_quality(cluster_tag: Ints) -> npt.NDArray[np.float32]:
    """Mean quality of each micro-cluster: its first tag's effect."""
    c = constants("videos")
    effects = np.zeros(int(c["tags"].max()) + 1)
    effects[c["tags"].astype(np.int64)] = c["tag_quality"]
    return effects[cluster_tag].astype(np.float32)


def _affine(size: int, key: np.uint64) -> tuple[int, int, int]:
    """A bijection of 0 … size − 1: factor, shift and inverse factor."""
    word = int(keyed_hash(key, Draw.VIDEO, -1 % 2**32, 1)[()])
    factor = word % size | 1
    while np.gcd(factor, size) != 1:
        factor += 2
    factor %= size
    if factor == 0:
        factor = 1
    return factor, (word >> 32) % size, pow(factor, -1, size)


def _dates(day: Ints) -> Array:
    low, high = int(day.min(initial=0)), int(day.max(initial=0))
    texts = np.array([(FIRST_DAY + dt.timedelta(days=d)).isoformat() for d in range(low, high + 1)])
    return np.asarray(texts[day - low])
