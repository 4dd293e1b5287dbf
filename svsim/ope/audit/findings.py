"""What there is to find in a random log: its pool, how even its videos are, repeats, the propensities it gives."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.data.store import FeedStore
from svsim.ope.audit.pool import PoolSource, world_pool
from svsim.ope.audit.propensity import Propensities
from svsim.ope.audit.uniformity import (
    CountTest,
    collision_test,
    distinct_test,
    even_pool,
    truncated_test,
    unevenness_error,
    unseen_videos,
)

__all__ = ["days_without", "pool_found", "propensities_found", "repeats_found", "uniformity_found"]

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Told = dict[str, Any]


def days_without(dates: Array) -> list[int]:
    """Days between the first and the last that have no row, as YYYYMMDD."""
    ends = [dt.datetime.strptime(str(date), "%Y%m%d") for date in (dates[0], dates[-1])]
    all_days = [ends[0] + dt.timedelta(number) for number in range((ends[1] - ends[0]).days + 1)]
    return sorted({int(day.strftime("%Y%m%d")) for day in all_days} - set(dates.tolist()))


def pool_found(store: FeedStore, pool: Ints, source: PoolSource, place: Ints, outside: int) -> Told:
    """Sizes of the pool: as the store keeps it, as drawn, as estimated, and as the world has it."""
    counts = np.bincount(place, minlength=len(pool))
    seen, unseen = int(np.count_nonzero(counts)), unseen_videos(counts)
    even = even_pool(len(place), seen)
    return {
        "videos": len(pool),
        "source": source,
        "outside": None if source == "seen" else outside,
        "seen": seen,
        "unseen": unseen,
        "unseen_share": unseen / (seen + unseen),
        "even_pool": even if np.isfinite(even) else None,
        "world": world_pool(store),
        "zero_durations_kept": bool(store.manifest["options"]["keep_zero_duration"]),
    }


def uniformity_found(place: Ints, date: Array, tab: Array, size: int, source: PoolSource) -> list[Told]:
    """Tests of all rows, of each day, of each tab.

    Where the pool is not known, parts are judged against the one that the whole would have if it were even.
    """
    counts = np.bincount(place, minlength=size)
    if source == "seen":
        even = even_pool(len(place), size)
        size = round(even) if np.isfinite(even) else size
        parts = [_tested("all", counts, size, truncated_test(counts), of_whole=True)]
    else:
        parts = [_tested("all", counts, size, collision_test(counts, size))]
    for name, values in (("day", date), ("tab", tab)):
        for value in np.unique(values).tolist():
            counts = np.bincount(place[values == value])
            parts.append(_tested(f"{name} {value}", counts, size, collision_test(counts, size)))
    return parts


def _tested(where: str, counts: Ints, pool: int, pairs: CountTest, *, of_whole: bool = False) -> Told:
    n, seen = int(counts.sum()), int(np.count_nonzero(counts))
    # A pool that was read off the draws cannot say how many of its videos they hit.
    distinct = None if of_whole else distinct_test(seen, n, pool)
    error = pairs.sd / pairs.expected if of_whole and pairs.expected else unevenness_error(n, pool)
    judged = pairs.sd > 0
    return {
        "where": where,
        "rows": n,
        "distinct": seen,
        "distinct_expected": distinct and distinct.expected,
        "distinct_sd": distinct and distinct.sd,
        "distinct_z": distinct and distinct.z,
        "distinct_p": distinct and distinct.p,
        "pairs": int(pairs.value),
        "pairs_expected": pairs.expected,
        "pairs_sd": pairs.sd,
        "pairs_z": pairs.z,
        "pairs_p": pairs.p,
        "unevenness": pairs.value / pairs.expected - 1 if judged else None,
        "unevenness_error": error if judged else None,
    }


def repeats_found(place: Ints, user: Ints, pool: int) -> Told:
    """Pairs of one video within users against those between users, which needs no pool and no uniformity.

    Pairs are independent two by two, so given all pairs those within users are binomial, to second order, with the share
    that pairs within users have among all pairs of draws.
    """
    from scipy import stats

    n = len(place)
    own = np.bincount(user)
    shown = np.unique(np.stack([user, place]), axis=1, return_counts=True)[1]
    counts = np.bincount(place)
    within = int((shown * (shown - 1)).sum()) // 2
    pairs = int((counts * (counts - 1)).sum()) // 2
    possible = float((own * (own - 1)).sum()) / 2
    share = possible / (n * (n - 1) / 2) if n > 1 else 0.0
    expected, sd = pairs * share, float(np.sqrt(pairs * share * (1 - share)))
    return {
        "pairs": within,
        "expected_uniform": possible / pool,
        "expected": expected,
        "ratio": within / expected if expected else None,
        "z": (within - expected) / sd if sd else 0.0,
        "p": float(stats.binom.sf(within - 1, pairs, share)) if sd else 1.0,
    }


def propensities_found(fitted: Propensities, dates: Array, place: Ints, day: Ints) -> Told:
    """1/K, and what was estimated: the variance of rates, the range, the size of each day's pool."""
    estimated = fitted.of(place, day)
    rows, videos = np.bincount(day), fitted.there.sum(axis=1)
    # Of a target that chooses uniformly, so that its mean is 1 where the propensities are right.
    weight = 1 / (estimated * len(fitted.counts))
    return {
        "uniform": 1 / len(fitted.counts),
        "variance": fitted.variance,
        "lowest": float(estimated.min()),
        "highest": float(estimated.max()),
        "mean_weight": float(weight.mean()),
        "effective_share": float(weight.sum() ** 2 / (weight @ weight) / len(weight)),
        "days": [
            {
                "date": int(date),
                "rows": int(rows[number]),
                "videos": int(videos[number]),
                "mean": float(estimated[day == number].mean()),
            }
            for number, date in enumerate(dates)
        ],
    }
