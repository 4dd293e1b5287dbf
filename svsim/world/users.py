"""Users: what they are like, how much they use the app, and what the user table shows of it.

Latent, for each user: activity a ~ N(0, 1) (stratified over the users), effect e ~ N(0, σ²) on interest in whatever is
shown, like effect λ ~ N(0, σ²) on the logit of a like, and a taste for each micro-cluster of videos.

    exposures N = Q(Φ(a)) × visits      Q: KuaiRand-27K's quantiles of exposures per user in 31 days (facts, 7)
    sessions  S = clip(m + s·(ρ a + √(1−ρ²) ε))                                                     (facts, 8)
    share of page tabs rises with a: logit weights w₀ exp(κ a + τ ε)                                (facts, 4)

The social columns are a Gaussian copula with a: fans, friends, follows and register days at KuaiRand's margins and rank
correlations (facts, 9). The active degree cuts ρ a + ε′ − κ e at the shares of its nine levels, so that less active users
click more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.names import ONEHOT_COLUMNS, USER_COLUMNS
from svsim.randomness import keyed_hash, keyed_uniform
from svsim.world.config import WorldConfig
from svsim.world.constants import constants
from svsim.world.draws import Draw, from_table, keyed_normal

__all__ = ["Users", "believed_taste", "draw_users", "taste", "user_table"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

RANGES: dict[str, tuple[tuple[int, ...], tuple[str, ...]]] = {
    # Each label holds the values from one edge up to the one below the next.
    "follow_user_num_range": (
        (1, 11, 51, 101, 151, 251, 501),
        ("0", "(0,10]", "(10,50]", "(50,100]", "(100,150]", "(150,250]", "(250,500]", "500+"),
    ),
    "fans_user_num_range": (
        (1, 10, 100, 1_000, 5_000, 10_000, 100_000, 1_000_000),
        ("0", "[1,10)", "[10,100)", "[100,1k)", "[1k,5k)", "[5k,1w)", "[1w,10w)", "[10w,100w)", "[100w,1000w)"),
    ),
    "friend_user_num_range": (
        (1, 5, 30, 60, 120, 250),
        ("0", "[1,5)", "[5,30)", "[30,60)", "[60,120)", "[120,250)", "250+"),
    ),
    "register_days_range": (
        (15, 31, 61, 91, 181, 366, 731),
        ("8-14", "15-30", "31-60", "61-90", "91-180", "181-365", "366-730", "730+"),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Users:
    """What the world knows of its users; arrays of (U,) by user id."""

    activity: Floats
    """a, a standard normal."""
    effect: Floats
    """e, added to the interest in every video."""
    like_effect: Floats
    """λ, added to the logit of a like."""
    sharpness: Floats
    """Factor of the behaviour policy's utilities: how well the platform serves this user."""
    exposures: Floats
    """Expected exposures over 31 days, of all visits."""
    sessions: Floats
    """Expected sessions over 31 days, of all visits."""
    tabs: Floats
    """(U, T) cumulative probabilities of the tabs of a request."""
    fans: npt.NDArray[np.int64]
    """`fans_user_num`."""

    def __len__(self) -> int:
        return len(self.activity)


def draw_users(config: WorldConfig, key: np.uint64) -> Users:
    """The users of a world.

    Args:
        config: Sizes.
        key: The world's key.
    """
    from scipy.special import ndtr

    c = constants("users")
    ids = np.arange(config.users)
    activity = _activity(config, key)
    effect = c["effect_sd"] * keyed_normal(key, Draw.USER, ids, 1).astype(np.float64)
    like = c["like_effect_sd"] * keyed_normal(key, Draw.USER, ids, 2).astype(np.float64)
    spread = c["sessions_activity"]
    sessions = spread * activity + np.sqrt(1 - spread**2) * keyed_normal(key, Draw.USER, ids, 3)
    return Users(
        activity=activity,
        effect=effect,
        like_effect=like + c["like_effect_activity"] * activity,
        sharpness=c["sharpness"]
        * np.exp(
            np.clip(c["sharpness_activity"] * activity + c["sharpness_effect"] * effect, *c["sharpness_log_range"])
        ),
        exposures=_quantile(c["exposures_quantiles"], ndtr(activity)),
        sessions=np.clip(c["sessions_mean"] + c["sessions_sd"] * sessions, *c["sessions_range"]),
        tabs=_tabs(ids, activity, key),
        fans=_social(ids, activity, key)["fans_user_num"],
    )


def _activity(config: WorldConfig, key: np.uint64) -> Floats:
    """Standard normal scores, one from each of U equal strata, dealt to the users by a hash."""
    from scipy.special import ndtri

    ids = np.arange(config.users)
    stratum = np.empty(config.users, dtype=np.int64)
    stratum[np.argsort(keyed_hash(key, Draw.USER, ids, 0), kind="stable")] = ids
    return np.asarray(ndtri((stratum + keyed_uniform(key, Draw.USER, ids, 4)) / config.users))


def _tabs(ids: Array, activity: Floats, key: np.uint64) -> Floats:
    """(U, T) cumulative tab probabilities: a weight for each tab, for some users none."""
    c = constants("users")
    tabs = np.arange(len(c["tab_weight"]))[None, :]
    noise = keyed_normal(key, Draw.USER, ids[:, None], 100 + tabs)
    has = keyed_uniform(key, Draw.USER, ids[:, None], 200 + tabs) < c["tab_users"]
    weight = c["tab_weight"] * np.exp(c["tab_activity"] * activity[:, None] + c["tab_spread"] * noise) * has
    total = np.cumsum(weight, axis=1)
    return np.asarray(total / total[:, -1:])


def _social(ids: Array, activity: Floats, key: np.uint64) -> dict[str, npt.NDArray[np.int64]]:
    """Fans, friends, follows and register days: a Gaussian copula that activity is part of."""
    from scipy.special import ndtr

    c = constants("users")
    loadings = np.linalg.cholesky(c["social_correlation"])
    latent = [activity, *(keyed_normal(key, Draw.USER, ids, 10 + i).astype(np.float64) for i in range(1, 5))]
    names = ("fans_user_num", "friend_user_num", "follow_user_num", "register_days")
    columns = {}
    for row, name in enumerate(names, start=1):
        score = sum(loadings[row, i] * latent[i] for i in range(row + 1))
        columns[name] = np.floor(_quantile(c[f"{name}_quantiles"], ndtr(score)) + 1e-9).astype(np.int64)
    return columns


def _quantile(quantiles: Floats, probability: Floats) -> Floats:
    """A value from a table of quantiles [[p, value], …], linear in ln(1 + value)."""
    return np.asarray(np.expm1(np.interp(probability, quantiles[:, 0], np.log1p(quantiles[:, 1]))))


# --- the user table ---------------------------------------------------------------------------------------------------


def user_table(users: Users, key: np.uint64) -> dict[str, Array]:
    """`user_features` as columns: texts, integers, and floats with NaN where the official table is empty."""
    c = constants("users")
    ids = np.arange(len(users))
    social = _social(ids, users.activity, key)
    fans = np.log1p(social["fans_user_num"])
    table: dict[str, Array] = {
        "user_id": ids,
        "user_active_degree": _degree(users, key),
        "is_lowactive_period": np.zeros(len(ids), dtype=np.int64),
        "is_live_streamer": np.where(_chance(c["streamer_logit"], fans, key, ids, 20), 1, -124),
        "is_video_author": _chance(c["author_logit"], fans, key, ids, 21).astype(np.int64),
        **social,
        **_onehots(ids, key),
    }
    for name, (edges, labels) in RANGES.items():
        table[name] = np.array(labels)[np.searchsorted(edges, social[name.removesuffix("_range")], side="right")]
    return {name: table[name] for name in USER_COLUMNS}


def _degree(users: Users, key: np.uint64) -> Array:
    from scipy.special import ndtr

    c = constants("users")
    ids = np.arange(len(users))
    a, e = c["degree_activity"], c["degree_effect"]
    noise = np.sqrt(1 - a**2 - e**2) * keyed_normal(key, Draw.USER, ids, 22)
    score = a * users.activity + e * users.effect / c["effect_sd"] + noise
    # The levels stand from the most active down.
    level = np.searchsorted(np.cumsum(c["degree_shares"]), 1 - ndtr(score), side="right")
    return np.asarray(c["degree_names"][np.minimum(level, len(c["degree_names"]) - 1)])


def _chance(logit: Floats, fans: Floats, key: np.uint64, ids: Array, draw: int) -> Array:
    return np.asarray(keyed_uniform(key, Draw.USER, ids, draw) < 1 / (1 + np.exp(-(logit[0] + logit[1] * fans))))


def _onehots(ids: Array, key: np.uint64) -> dict[str, Array]:
    """The eighteen encrypted columns, independent of one another but for which of them are empty together."""
    c = constants("users")
    empty_four = keyed_uniform(key, Draw.USER_COLUMN, ids, 98) < c["onehot_feat4_empty"]
    empty_last = keyed_uniform(key, Draw.USER_COLUMN, ids, 99) < c["onehot_feat12_17_empty"]
    columns: dict[str, Array] = {}
    for number, name in enumerate(ONEHOT_COLUMNS):
        shares = c[f"{name}_shares"]
        value = from_table(np.arange(len(shares)), np.cumsum(shares), key, Draw.USER_COLUMN, ids, number)
        if number == 4 or number >= 12:
            value = np.where(empty_four if number == 4 else empty_last, np.nan, value)
        columns[name] = value
    return columns


def taste(key: np.uint64, user: Array, cluster: Array) -> npt.NDArray[np.float32]:
    """How much users like micro-clusters of videos, N(0, σ²); arrays that broadcast.

    KuaiRand's residual of user × tag is about nothing (facts, 6), so taste is finer than tags.
    """
    return np.float32(constants("users")["taste_sd"]) * keyed_normal(key, Draw.TASTE, user, cluster)


def believed_taste(key: np.uint64, user: Array, cluster: Array) -> npt.NDArray[np.float32]:
    """What the platform believes of `taste`: off by N(0, σ_e²), once for each user and micro-cluster."""
    error = np.float32(constants("users")["taste_error_sd"]) * keyed_normal(key, Draw.TASTE_ERROR, user, cluster)
    return taste(key, user, cluster) + error
