"""Logged bandit data of a store: contexts in which the propensities of what was shown are known.

Two logs can be asked. In the random log an exposure's video is a uniform draw from a pool of K, whatever the context: the
question is what a policy would earn that picks its best of m candidates drawn from that pool. The standard log's
propensities are known in a synthetic world alone, given the set that the platform retrieved for a request: the question
there is what re-ranking that set would earn at a request's first place. Of the set a policy may choose what the training
split has shown. Whatever else the store knows, it may know through the very exposure that is asked about, and a set that
depends on what was drawn from it has no propensities.

Both values are one-step, over the logged contexts: what a policy's picks would have done to the rest of a session, they do
not tell.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.data.dense import DenseIds
from svsim.data.splits import SPLIT_CODES
from svsim.data.store import FeedStore
from svsim.data.truth import TRUTH_FILE
from svsim.errors import OptionError
from svsim.ope.audit import Audit, propensity_audit
from svsim.ope.logs.rewards import Reward
from svsim.randomness import keyed_hash

__all__ = ["OFFER", "LoggedBandit", "may_be_chosen", "random_log", "standard_log"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

OFFER = "svsim data synth --preset small --out W makes a world that has one, and --store small is such a one"
"""What is said where a log lacks what off-policy evaluation needs."""


@dataclass(frozen=True)
class LoggedBandit:
    """n exposures whose propensities are known, ascending by user, then time."""

    store: FeedStore
    """Where from."""
    log: str
    """`random` or `standard`."""
    rows: Ints
    """(n,) rows of the store's events."""
    user: Ints
    """(n,) dense ids."""
    video: Ints
    """(n,) dense ids of what was shown."""
    time_ms: Ints
    """(n,) when it was asked for."""
    reward: Floats
    """(n,) what came of it."""
    propensity: Floats
    """(n,) probability of the video in its context under the log's policy."""
    kind: Reward
    """Which reward."""
    pool: Ints
    """(K,) dense ids that the random log draws from; of the standard log none."""
    pool_share: Floats
    """(K,) probability of each of them."""
    sets: Ints | None = None
    """(n, R) of the standard log: dense ids that were retrieved and may be chosen, 0 for the rest."""

    def __post_init__(self) -> None:
        low = self.propensity[~((self.propensity > 0) & (self.propensity <= 1))]
        if len(low):
            raise OptionError(
                f"expected propensities above 0 and up to 1, found {low[0]:g} ({len(low):,} such rows)",
                where="propensity",
            )

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, chosen: npt.NDArray[np.bool_] | Ints) -> LoggedBandit:
        """Some of the rows.

        Args:
            chosen: (n,) bool or places.
        """
        names = ("rows", "user", "video", "time_ms", "reward", "propensity")
        parts = {name: getattr(self, name)[chosen] for name in names}
        return replace(self, **parts, sets=None if self.sets is None else self.sets[chosen])


def random_log(
    store: FeedStore,
    *,
    split: str | None = "test",
    reward: Reward | None = None,
    audit: Audit | None = None,
    propensities: str = "estimated",
    most: int | None = None,
    seed: int = 0,
) -> LoggedBandit:
    """The random log.

    Args:
        store: Where from.
        split: `train`, `valid` or `test`; None takes all days. Agents and models are fitted on the training split, so that
            its rows say too much good of them.
        reward: What counts; by default the environment's.
        audit: Of the store's random log; made here if there is none.
        propensities: `estimated` by the audit, or `uniform`, one over the pool.
        most: Rows at most, of whole users chosen by hash.
        seed: Of that choice.

    Raises:
        OptionError: The store has no random log, or none in the split.
    """
    events = store.events
    audit = audit if audit is not None else propensity_audit(store)
    rows = np.flatnonzero(events["is_rand"] == 1) if split is None else _by_chance(store, split)
    if not len(rows):
        raise OptionError(
            f"expected rows of the random log in the split {split}, found none",
            where=str(store.path),
            remedy="name another --split",
        )
    rows = _some(store, rows, most, seed)
    return _gathered(
        store,
        rows,
        reward,
        log="random",
        propensity=audit.propensity(rows, propensities),
        pool=audit.pool,
        pool_share=audit.pool_shares(propensities),
    )


def standard_log(
    store: FeedStore,
    *,
    split: str | None = "test",
    reward: Reward | None = None,
    most: int | None = None,
    seed: int = 0,
) -> LoggedBandit:
    """First places of requests in a world's standard log, with the platform's own propensities given the retrieved set.

    Args:
        store: A store of a synthetic world.
        split: `train`, `valid` or `test`; None takes all days.
        reward: What counts; by default the environment's.
        most: Rows at most, of whole users chosen by hash.
        seed: Of that choice.

    Raises:
        OptionError: No world is behind the store, so that nobody knows the platform's propensities; no rows.
    """
    if not (store.path / TRUTH_FILE).is_file():
        raise OptionError(
            "expected a world's log: of a real one's standard rows nobody knows the propensities",
            where=f"--log standard, {store.path}",
            remedy=OFFER,
        )
    from svsim.world.files import open_world
    from svsim.world.matching import path_rows
    from svsim.world.simulation import simulate

    path = simulate(open_world(store.path))
    lived, events = path_rows(store, path), store.events
    rows = np.arange(store.n_events) if split is None else store.split_rows(split)
    rows = rows[(path.columns["slot"][lived[rows]] == 0) & (events["is_rand"][rows] == 0)]
    if not len(rows):
        raise OptionError(f"expected requests in the split {split}, found none", where=str(store.path))
    rows = _some(store, rows, most, seed)
    c = {name: path.columns[name][lived[rows]] for name in ("user", "request", "time_ms", "logprob")}
    retrieved = path.world.retrieved(c["user"], c["request"], c["time_ms"])
    sets = DenseIds(store.videos["video_id"]).of(path.world.catalogue.public_id(np.maximum(retrieved, 0)))
    sets = np.where((retrieved >= 0) & may_be_chosen(store)[sets], sets, 0)
    some = sets.any(axis=1)
    rows, sets, logprob = rows[some], sets[some], c["logprob"][some]
    return _gathered(
        store,
        rows,
        reward,
        log="standard",
        propensity=np.exp(logprob.astype(np.float64)),
        pool=np.zeros(0, dtype=np.int64),
        pool_share=np.zeros(0),
        sets=sets,
    )


def _gathered(store: FeedStore, rows: Ints, reward: Reward | None, **told: Any) -> LoggedBandit:
    """Rows with their columns and rewards, and what else is told of them."""
    kind = reward or Reward.named()
    user, video, time_ms = (store.events[name][rows].astype(np.int64) for name in ("user", "video", "time_ms"))
    return LoggedBandit(
        store=store,
        rows=rows,
        user=user,
        video=video,
        time_ms=time_ms,
        reward=kind.of(store, rows),
        kind=kind,
        **told,
    )


def may_be_chosen(store: FeedStore) -> npt.NDArray[np.bool_]:
    """(n_videos + 1,) whether the training split has shown a video, which of the standard log a policy may choose."""
    return np.asarray(store.videos["train_exposures"] > 0)


def _by_chance(store: FeedStore, split: str) -> Ints:
    if split not in SPLIT_CODES:
        raise OptionError(f"expected a split of {', '.join(SPLIT_CODES)}, found {split!r}", where="split")
    rows = store.split_rows(split)
    return np.asarray(rows[store.events["is_rand"][rows] == 1])


def _some(store: FeedStore, rows: Ints, most: int | None, seed: int) -> Ints:
    """Rows of so many users, in the order of a hash, that there are no more than `most`."""
    if most is None or len(rows) <= most:
        return rows
    if most < 1:
        raise OptionError(f"expected at least 1 row, found {most}", where="--rows")
    users, place, count = np.unique(store.events["user"][rows], return_inverse=True, return_counts=True)
    order = np.argsort(keyed_hash(seed, users))
    kept = np.zeros(len(users), dtype=bool)
    kept[order[np.cumsum(count[order]) <= most]] = True
    kept[order[0]] = True
    return np.asarray(rows[kept[place]])
