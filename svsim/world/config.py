"""Which world: its size, its calendar and its seed."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from svsim.errors import OptionError, UnknownNameError

__all__ = ["CALENDAR_DAYS", "DAY_MS", "FIRST_DAY", "HOUR_MS", "PRESETS", "START_MS", "WorldConfig", "preset"]

FIRST_DAY = dt.date(2022, 4, 8)
START_MS = 1_649_347_200_000
"""Midnight in Beijing that opens 8 April 2022, in ms since 1970."""
DAY_MS, HOUR_MS = 86_400_000, 3_600_000
CALENDAR_DAYS = 31
RANDOM_FROM = 14
"""The random log opens on the fifteenth day, 22 April."""
MAX_USERS, MAX_POOL = 1_000_000, 1_000_000


@dataclass(frozen=True, kw_only=True)
class WorldConfig:
    """Sizes of a world; with its seed they decide every byte of it."""

    users: int = 1_000
    """Users, ids from 0."""
    days: int = 31
    """Days from 8 April 2022; the random log opens on the fifteenth."""
    visits: float = 1.0
    """Share of KuaiRand's visits that are paid: fewer sessions of the same shape."""
    random_share: float = 0.0037
    """Share of all exposures that a random video of the pool replaces."""
    pool: int = 7_583
    """Videos of the random log, ids from 0."""
    popularity_offset: float = 1_000.0
    """Rank within an upload day up to which popularity is nearly flat."""
    popularity_ceiling: int = 300_000
    """Videos uploaded a day."""
    seed: int = 0
    """Of everything that is drawn."""

    def __post_init__(self) -> None:
        for name, low, high in (
            ("users", 1, MAX_USERS),
            ("days", 1, CALENDAR_DAYS),
            ("pool", 20, MAX_POOL),
            ("popularity_ceiling", 200, 10_000_000),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise OptionError(f"expected {low:,} to {high:,} {name}, found {value!r}", where=_option(name))
        if not isinstance(self.seed, int) or not 0 <= self.seed < 2**63:
            raise OptionError(f"expected a seed of 0 or more, found {self.seed!r}", where="--seed")
        if not 0 < self.visits <= 1:
            raise OptionError(f"expected a share above 0 and up to 1, found {self.visits}", where="--visits")
        if not 0 <= self.random_share <= 0.2:
            raise OptionError(f"expected a share of 0 to 0.2, found {self.random_share}", where="--random-share")
        if not 1 <= self.popularity_offset <= self.popularity_ceiling:
            raise OptionError(
                f"expected 1 to {self.popularity_ceiling:,}, found {self.popularity_offset}",
                where="--popularity-offset",
            )
        if self.random_share and self.days <= RANDOM_FROM:
            raise OptionError(
                f"expected more than {RANDOM_FROM} days, since the random log opens on 22 April, found {self.days}",
                where="--days",
                remedy="or ask for --random-share 0",
            )

    def as_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return dataclasses.asdict(self)


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


PRESETS: Mapping[str, WorldConfig] = MappingProxyType(
    {
        "tiny": WorldConfig(
            users=80,
            visits=0.02,
            random_share=0.03,
            pool=300,
            popularity_offset=5.0,
            popularity_ceiling=200,
        ),
        "small": WorldConfig(visits=0.0427, random_share=0.03, popularity_offset=40.0, popularity_ceiling=12_000),
        "1k": WorldConfig(),
    }
)
"""Named sizes: `tiny` for tests, `small` the embedded default, `1k` the size of KuaiRand-1K."""


def preset(name: str) -> WorldConfig:
    """The configuration of a preset.

    Raises:
        UnknownNameError: No such preset.
    """
    if name not in PRESETS:
        raise UnknownNameError(f"expected a preset of {', '.join(PRESETS)}, found {name!r}", where="--preset")
    return PRESETS[name]
