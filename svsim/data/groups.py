"""Users in groups: influencers and normal users, and other ways of telling users apart, all by the same rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.data.store import FeedStore
from svsim.errors import UnknownNameError
from svsim.names import GROUPS

__all__ = ["GROUPINGS", "UserGroups", "user_groups"]

Array = npt.NDArray[Any]

YEAR_DAYS = 365
_LESS_ACTIVE = ("middle_active", "low_active", "single_low_active", "30day_retention")
_NEW = ("2_14_day_new", "day_new")


@dataclass(frozen=True)
class UserGroups:
    """Every user in one of several groups.

    Attributes:
        name: Of `GROUPINGS`.
        levels: The groups' names; a gap is the last one's utility minus the first one's.
        code: (n_users + 1,) int64 position in `levels`, by dense id; of the unknown user 0.
    """

    name: str
    levels: tuple[str, ...]
    code: npt.NDArray[np.int64]


def _influencer(store: FeedStore) -> tuple[tuple[str, ...], Array]:
    # The order of GROUPS: influencers first.
    return GROUPS, np.where(store.influencer, 0, 1)


def _activity(store: FeedStore) -> tuple[tuple[str, ...], Array]:
    """By `user_active_degree`; UNKNOWN and empty cells count as less active."""
    texts, degree = store.texts["user_active_degree"], store.users["user_active_degree"]

    def are(*names: str) -> Array:
        return np.isin(degree, [texts.index(name) for name in names if name in texts])

    code = np.select([are(*_NEW), are("high_active"), are("full_active")], [0, 2, 3], default=1)
    return ("new", "less active", "highly active", "fully active"), code


def _history(store: FeedStore) -> tuple[tuple[str, ...], Array]:
    """Thirds of the users by their training rows; where many have equally few, the thirds are uneven."""
    rows = np.bincount(store.events["user"][store.split_rows("train")], minlength=store.n_users + 1)
    ends = np.quantile(rows[1:], [1 / 3, 2 / 3]) if store.n_users else np.zeros(2)
    return ("short history", "middle history", "long history"), (rows[:, None] > ends).sum(axis=1)


def _register(store: FeedStore) -> tuple[tuple[str, ...], Array]:
    years = np.asarray(store.users["register_days"]) / YEAR_DAYS
    return ("under a year", "one to three years", "over three years"), (years[:, None] >= (1, 3)).sum(axis=1)


def _author(store: FeedStore) -> tuple[tuple[str, ...], Array]:
    return ("author", "not an author"), np.where(np.asarray(store.users["is_video_author"]) == 1, 0, 1)


GROUPINGS: Mapping[str, Callable[[FeedStore], tuple[tuple[str, ...], Array]]] = {
    "influencer": _influencer,
    "activity": _activity,
    "history": _history,
    "register": _register,
    "author": _author,
}
"""By name: at least 1,000 fans or fewer; the platform's degree of activity; training rows; days since registration; whether
a user uploads videos."""


def user_groups(store: FeedStore, name: str) -> UserGroups:
    """Tell a store's users apart.

    Args:
        store: Its users table, for `history` its training split.
        name: Of `GROUPINGS`.

    Raises:
        UnknownNameError: No grouping has that name.
    """
    if name not in GROUPINGS:
        raise UnknownNameError(f"expected a grouping of {', '.join(GROUPINGS)}, found {name!r}", where="groups")
    levels, code = GROUPINGS[name](store)
    code = np.array(code, dtype=np.int64)
    code[0] = 0
    return UserGroups(name, tuple(levels), code)
