"""The logged sessions that a feed opens with: whose they are, when they began, what lay before."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.data.features import user_features
from svsim.data.store import FeedStore
from svsim.envs.past import LoggedPast, logged_past
from svsim.errors import OptionError

__all__ = ["Openings", "openings"]

Array = npt.NDArray[Any]

GAP_MINUTES = 30.0
"""A longer pause ends a session."""

_CACHED = 4


@dataclass(frozen=True)
class Openings:
    """The S sessions of a split, as a feed opens with them.

    Attributes:
        user: (S,) int64 dense ids.
        event: (S,) int64 row of each session's first event.
        time_ms: (S,) int64 its time.
        past: What the users saw before.
        user_features, user_id, group: By dense user id.
    """

    user: Array
    event: Array
    time_ms: Array
    past: LoggedPast
    user_features: Array
    user_id: Array
    group: Array

    def __len__(self) -> int:
        return len(self.user)


_openings: OrderedDict[tuple[str, str, str, int], Openings] = OrderedDict()


def openings(store: FeedStore, split: str, history: int) -> Openings:
    """The sessions of a split, of any length; the last few are kept.

    Raises:
        OptionError: There is no such split, or nothing in it.
    """
    key = (str(store.path), store.fingerprint, split, history)
    if key not in _openings:
        sessions = store.sessions(split, GAP_MINUTES)
        if not len(sessions):
            raise OptionError(f"expected sessions in the split {split!r}, found none", where=str(store.path))
        event = sessions.rows[sessions.start]
        _openings[key] = Openings(
            user=sessions.user.astype(np.int64),
            event=event,
            time_ms=store.events["time_ms"][event].astype(np.int64),
            past=logged_past(store, event, history),
            user_features=user_features(store),
            user_id=np.asarray(store.users["user_id"]),
            group=store.user_group,
        )
        if len(_openings) > _CACHED:
            _openings.popitem(last=False)
    _openings.move_to_end(key)
    return _openings[key]
