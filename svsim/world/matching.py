"""Which exposure of a world's path an event of its store is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from svsim.data.store import FeedStore
from svsim.errors import StoreError
from svsim.randomness import keyed_hash
from svsim.world.simulation import Path

__all__ = ["path_rows"]

Ints = npt.NDArray[np.int64]


def path_rows(store: FeedStore, path: Path) -> Ints:
    """(n_events,) row of the path behind each event of its store.

    Args:
        store: The prepared log of the path's world.
        path: All users' (`simulate`).

    Raises:
        StoreError: An event that the path does not know.
    """
    c, events = path.columns, store.events
    lived = [c["user"], c["time_ms"], path.world.catalogue.public_id(c["video"]), c["play_time_ms"]]
    logged = [
        store.users["user_id"][events["user"]],
        events["time_ms"],
        store.videos["video_id"][events["video"]],
        events["play_time_ms"],
    ]
    lived_key, logged_key = _numbered(keyed_hash(*lived)), _numbered(keyed_hash(*logged))
    order = np.argsort(lived_key, kind="stable")
    place = np.minimum(np.searchsorted(lived_key, logged_key, sorter=order), len(order) - 1)
    rows = order[place]
    unknown = np.flatnonzero(lived_key[rows] != logged_key)
    if len(unknown):
        raise StoreError(
            f"expected events that the world's users lived through, found {len(unknown):,} others, the first in row"
            f" {unknown[0]:,}",
            where=str(store.path),
        )
    return np.asarray(rows, dtype=np.int64)


def _numbered(key: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The keys, equal ones told apart by how many came before."""
    order = np.argsort(key, kind="stable")
    ranked = key[order]
    first = np.searchsorted(ranked, ranked, side="left")
    before = np.empty(len(key), dtype=np.int64)
    before[order] = np.arange(len(key)) - first
    return keyed_hash(key, before)
