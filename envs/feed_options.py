"""The arguments of Feed-v0: what they are by default, and what they may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict, get_args

from svsim.envs.pools import PoolName
from svsim.envs.rules import OnIllegal
from svsim.errors import OptionError
from svsim.names import RETURN, SIGNALS
from svsim.response import ResponseModel
from svsim.signals import reward_weights as complete_weights

__all__ = ["FeedArguments", "FeedOptions", "feed_options"]

Retrieval = Literal["uniform", "popularity"]
Actions = Literal["slot", "catalogue"]

HORIZON = 100
"""Steps of an episode where neither steps nor minutes are given."""


class FeedArguments(TypedDict, total=False):
    """Arguments of Feed-v0 beside store and rendering; `FeedEnv` says what they mean and what they are by default."""

    response: str | Path | ResponseModel | None
    split: str
    candidates: int
    history: int
    reward_weights: Mapping[str, float] | None
    on_illegal: OnIllegal
    privileged: bool
    horizon: int | None
    horizon_minutes: float | None
    pool: PoolName | None
    retrieval: Retrieval
    request_size: int
    actions: Actions
    slate_size: int
    sessions: int
    repeats: bool


@dataclass(frozen=True, kw_only=True)
class FeedOptions:
    """How a feed is played, checked and complete."""

    candidates: int
    """K, slots of a request."""
    history: int
    """L, events of a history."""
    weights: Mapping[str, float]
    """Weight of every signal and of `RETURN`."""
    horizon: int | None
    """Steps of an episode."""
    horizon_minutes: float | None
    """Minutes of an episode."""
    by_popularity: bool
    """Whether popular videos are drawn more often."""
    request_size: int
    """Steps of a request."""
    catalogue: bool
    """Whether the whole pool is on offer."""
    slate: int
    """S, videos of an action."""
    sessions: int
    """Sessions of an episode, at most."""
    repeats: bool
    """Whether a served video may come back."""


def feed_options(
    *,
    candidates: int,
    history: int,
    reward_weights: Mapping[str, float] | None,
    horizon: int | None,
    horizon_minutes: float | None,
    retrieval: str,
    request_size: int,
    actions: str,
    slate_size: int,
    sessions: int,
    repeats: bool,
) -> FeedOptions:
    """Check the arguments that do not depend on the store.

    Raises:
        OptionError: One is impossible, or two do not go together.
    """
    for name, value in (
        ("candidates", candidates),
        ("history", history),
        ("request_size", request_size),
        ("slate_size", slate_size),
        ("sessions", sessions),
    ):
        _at_least_one(name, value)
    if retrieval not in get_args(Retrieval):
        raise OptionError(f"expected {' or '.join(get_args(Retrieval))}, found {retrieval!r}", where="retrieval")
    if actions not in get_args(Actions):
        raise OptionError(f"expected {' or '.join(get_args(Actions))}, found {actions!r}", where="actions")
    if horizon is not None and horizon_minutes is not None:
        raise OptionError(
            f"expected horizon or horizon_minutes, found both ({horizon} and {horizon_minutes})", where="horizon"
        )
    if horizon is not None:
        _at_least_one("horizon", horizon)
    if horizon_minutes is not None and not 0 < horizon_minutes < float("inf"):
        raise OptionError(f"expected minutes above 0, found {horizon_minutes}", where="horizon_minutes")
    if actions == "catalogue" and (slate_size, request_size) != (1, 1):
        name, value = ("slate_size", slate_size) if slate_size != 1 else ("request_size", request_size)
        raise OptionError(f'expected 1 with actions="catalogue", found {value}', where=name)
    if slate_size > candidates:
        raise OptionError(f"expected at most the {candidates} candidates, found {slate_size}", where="slate_size")
    weights = complete_weights(reward_weights, names=(*SIGNALS, RETURN))
    if weights[RETURN] and sessions == 1:
        raise OptionError(
            f"expected sessions above 1 where {RETURN!r} is weighed, found 1",
            where="reward weights",
            remedy="name the number of sessions, or leave its weight out",
        )
    return FeedOptions(
        candidates=candidates,
        history=history,
        weights=weights,
        horizon=HORIZON if horizon is None and horizon_minutes is None else horizon,
        horizon_minutes=horizon_minutes,
        by_popularity=retrieval == "popularity",
        request_size=request_size,
        catalogue=actions == "catalogue",
        slate=slate_size,
        sessions=sessions,
        repeats=repeats,
    )


def _at_least_one(name: str, value: int) -> None:
    if value < 1:
        raise OptionError(f"expected at least 1, found {value}", where=name)
