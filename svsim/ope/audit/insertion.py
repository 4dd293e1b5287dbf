"""When chance took an exposure: the share of random exposures, and whether it depends on what a policy could use.

A one-step value from the random log is unbiased over the contexts in which chance took over. If those are not a
sample of all contexts, the value is one over others than the standard log's: nothing is wrong with it, but that has
to be said.

Within strata (day, or day and tab) the random exposures among all are compared between groups of contexts by the
generalised Cochran–Mantel–Haenszel statistic (Landis, Heyman, Koch 1978): with n_g exposures and r of N random in a
stratum,

    d = Σ (r_g − r n_g / N),   V = Σ r (N − r) / (N² (N − 1)) (N diag(n) − n nᵀ),   dᵀ V⁻ d ~ χ² of G − 1 degrees

sums over strata. Groups are made of what was before the request alone: how active a user is over the whole day also
depends on what was inserted, since users leave poor videos. Exposures that the store dropped (zero durations) are
missing on both sides; where they are commoner in the standard log, the share is that among the rest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.data.store import FeedStore

__all__ = ["insertion", "stratified_test"]

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Told = dict[str, Any]

EARLIER = (1, 5, 20, 80)
"""Edges of the groups by exposures earlier on the day."""


def insertion(store: FeedStore, rows: Ints) -> Told:
    """Shares by day, tab and hour, and tests of dependence.

    Args:
        store: Where from.
        rows: Exposures of both logs, ascending; days before the first random one and after the last are left out.

    Returns:
        `rows`, `random`, `share`; `by` column, lists of value, rows, random, share; `tests`.
    """
    events = store.events
    date, taken = events["date"][rows], events["is_rand"][rows] == 1
    span = date[taken]
    inside = (date >= span.min()) & (date <= span.max())
    rows, date, taken = rows[inside], date[inside], taken[inside]
    tab, hour = events["tab"][rows].astype(np.int64), events["hour"][rows].astype(np.int64)
    earlier, clicked = _before(store, rows)
    day = np.unique(date, return_inverse=True)[1]
    day_tab = day * (int(tab.max()) + 1) + tab
    return {
        "rows": len(rows),
        "random": int(taken.sum()),
        "share": float(taken.mean()),
        "by": {name: _shares(values, taken) for name, values in (("day", date), ("tab", tab), ("hour", hour))},
        "tests": [
            _test("tab", "day", day, tab, [str(number) for number in range(int(tab.max()) + 1)], taken),
            _test("hour", "day and tab", day_tab, hour // 6, ["0–5 h", "6–11 h", "12–17 h", "18–23 h"], taken),
            _test(
                "exposures earlier on the day",
                "day and tab",
                day_tab,
                np.searchsorted(EARLIER, earlier, side="right"),
                ["0", "1–4", "5–19", "20–79", "80 or more"],
                taken,
            ),
            _test("click before", "day and tab", day_tab, clicked, ["first of the day", "no", "yes"], taken),
        ],
    }


def stratified_test(stratum: Ints, group: Ints, taken: npt.NDArray[np.bool_]) -> tuple[float, int, float, Array]:
    """Does the share taken depend on the group, within strata?

    Args:
        stratum: (N,) codes from 0.
        group: (N,) codes from 0.
        taken: (N,) bool.

    Returns:
        Statistic, degrees of freedom (0: nothing to compare), p-value, and (3, G) exposures, taken and expected by group.
    """
    from scipy import stats

    shape = (int(stratum.max()) + 1, int(group.max()) + 1)
    cell = stratum * shape[1] + group
    n, r = (np.bincount(cell, w, shape[0] * shape[1]).reshape(shape) for w in (None, taken.astype(float)))
    total, random = n.sum(axis=1), r.sum(axis=1)
    told = np.stack([n.sum(axis=0), r.sum(axis=0), (n * (random / np.maximum(total, 1))[:, None]).sum(axis=0)])
    kept = total > 1
    n, total, random = n[kept].astype(float), total[kept].astype(float), random[kept]
    scale = random * (total - random) / (total**2 * (total - 1))
    variance = np.diag(scale * total @ n) - (n * scale[:, None]).T @ n
    apart = told[1] - told[2]
    degrees = int(np.linalg.matrix_rank(variance, hermitian=True)) if variance.any() else 0
    if not degrees:
        return 0.0, 0, 1.0, told
    statistic = float(apart @ np.linalg.pinv(variance, hermitian=True) @ apart)
    return statistic, degrees, float(stats.chi2.sf(statistic, degrees)), told


def _test(name: str, within: str, stratum: Ints, group: Ints, names: list[str], taken: npt.NDArray[np.bool_]) -> Told:
    statistic, degrees, p, (n, random, expected) = stratified_test(stratum, group, taken)
    groups = [
        {
            "name": names[g],
            "rows": int(n[g]),
            "random": int(random[g]),
            "expected": float(expected[g]),
            "ratio": float(random[g] / expected[g]) if expected[g] else None,
        }
        for g in np.flatnonzero(n).tolist()
    ]
    return {"name": name, "within": within, "statistic": statistic, "degrees": degrees, "p": p, "groups": groups}


def _shares(values: Array, taken: npt.NDArray[np.bool_]) -> list[Told]:
    found, place = np.unique(values, return_inverse=True)
    rows, random = np.bincount(place), np.bincount(place, taken)
    return [
        {"value": int(value), "rows": int(n), "random": int(r), "share": float(r / n)}
        for value, n, r in zip(found, rows, random, strict=True)
    ]


def _before(store: FeedStore, rows: Ints) -> tuple[Ints, Ints]:
    """Of each row, exposures of the day before its request, and the last one's click (0 there is none, 1 no, 2 yes)."""
    user, date, time = (np.asarray(store.events[name]) for name in ("user", "date", "time_ms"))
    new_day = np.r_[True, (user[1:] != user[:-1]) | (date[1:] != date[:-1])]
    # Videos of one response share its time, and the two logs are no guide to their order.
    new_request = new_day | np.r_[True, time[1:] != time[:-1]]
    number = np.arange(len(user))
    day_start = np.maximum.accumulate(np.where(new_day, number, 0))[rows]
    start = np.maximum.accumulate(np.where(new_request, number, 0))[rows]
    clicked = np.where(start > day_start, 1 + (store.events["is_click"][start - 1] == 1), 0)
    return start - day_start, clicked.astype(np.int64)
