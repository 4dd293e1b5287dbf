"""The videos that a random log draws from, those that it never drew among them.

A log of n draws shows 1 − (1 − 1/K)^n of its pool: 85 % at n = 2 K. Whoever counts what was drawn takes K for too
small, and with it 1/p̂, so the pool is read from the store's video table where it can be known:

    truth       the store of a synthetic world: ids below `config.pool`
    kuairand    KuaiRand's files: the pool is ids 0 to 7,582 in Pure, 1K and 27K alike (facts, 1)
    seen        any other log: what it drew, as `svsim.envs` takes for its pool `random`

What the store does not keep is not in it: videos without a duration, unless it was prepared with `--keep-zero-
duration`.

Of a pool of `seen` videos, weights 1/p̂ are too small by the share that was never drawn, if the target policy may
choose among all; `unseen` of the audit estimates that share. A target that chooses among the drawn ones alone has no
such bias: given which were drawn, each draw of a uniform log falls on each of them alike. So target and propensities
must have one pool.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from svsim.data.store import FeedStore
from svsim.data.truth import TRUTH_FILE
from svsim.envs.pools import pool_videos
from svsim.errors import DataError

__all__ = ["KUAIRAND_POOL", "PoolSource", "known_pool", "world_pool"]

Ints = npt.NDArray[np.int64]
PoolSource = Literal["truth", "kuairand", "seen"]

KUAIRAND_POOL = 7_583
"""Videos of KuaiRand's random log, ids from 0."""
LEAST_INSIDE = 0.99
"""Share of the drawn videos that have such ids, where a log in KuaiRand's layout is taken to be KuaiRand's."""


def known_pool(store: FeedStore) -> tuple[Ints, PoolSource]:
    """The pool, and what it is known from; it need not hold all that was drawn, which is for the audit to say.

    Raises:
        OptionError: The store has no random log.
    """
    seen = pool_videos(store, "random")
    ids = store.videos["video_id"]
    size = world_pool(store)
    if size is not None:
        return _kept(store, np.flatnonzero((ids >= 0) & (ids < size)), seen), "truth"
    listed = np.flatnonzero((ids >= 0) & (ids < KUAIRAND_POOL))
    inside = float((ids[seen] < KUAIRAND_POOL).mean())
    if store.manifest["variant"] and len(listed) == KUAIRAND_POOL and inside >= LEAST_INSIDE:
        return _kept(store, listed, seen), "kuairand"
    return seen, "seen"


def world_pool(store: FeedStore) -> int | None:
    """Videos of the pool by the world's truth, with those that the store dropped; None where there is no truth."""
    from svsim.world import open_world

    if not (store.path / TRUTH_FILE).is_file():
        return None
    try:
        return open_world(store.path).config.pool
    except DataError:
        # Another version's world: its log is as good as any other's.
        return None


def _kept(store: FeedStore, listed: Ints, seen: Ints) -> Ints:
    if store.manifest["options"]["keep_zero_duration"]:
        return listed
    return listed[(store.videos["video_duration"][listed] > 0) | np.isin(listed, seen)]
