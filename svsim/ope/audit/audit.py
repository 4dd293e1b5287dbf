"""Is the random log what off-policy evaluation takes it for: uniform draws from a known pool?

Asked of it, each with its n: are videos alike, over all, on each day, in each tab; is a user shown a video again more
often than another user is; does chance take over in some contexts rather than others. What is judged is a gate
(`svsim.ope.audit.gates`). KuaiRand-1K: 43,028 draws hit 7,388 of 7,583 videos, where uniform draws hit 7,557 ± 5.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.data.store import FeedStore
from svsim.errors import OptionError
from svsim.ope.audit.findings import days_without, pool_found, propensities_found, repeats_found, uniformity_found
from svsim.ope.audit.gates import gates_of
from svsim.ope.audit.insertion import insertion
from svsim.ope.audit.pool import known_pool
from svsim.ope.audit.propensity import Propensities

__all__ = ["KINDS", "Audit", "propensity_audit"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Told = dict[str, Any]

KINDS = ("estimated", "uniform")


@dataclass(frozen=True, eq=False)
class Audit:
    """What an audit found, and the propensities of the rows that it read."""

    rows: Ints
    """(n,) rows of the store's events, ascending."""
    pool: Ints
    """(K,) dense ids that the propensities are over, ascending; a target policy must choose among these."""
    _told: Told = field(repr=False)
    _place: Ints = field(repr=False)
    _day: Ints = field(repr=False)
    _propensities: Propensities = field(repr=False)

    def record(self) -> Told:
        """Plain numbers, texts, lists and dictionaries, fit for JSON."""
        return copy.deepcopy(self._told)

    @property
    def passed(self) -> bool:
        """Whether no gate failed; warnings and notes do not count."""
        return not self.failures

    @property
    def failures(self) -> tuple[str, ...]:
        """Names of the gates that failed."""
        return self._gates("failed")

    @property
    def warnings(self) -> tuple[str, ...]:
        """Names of the gates that 1/K does not pass, and estimated propensities do."""
        return self._gates("warned")

    def passes(self, kind: str = "estimated") -> bool:
        """Whether propensities of a kind can be relied on: of `uniform` ones, a warning is a failure.

        Raises:
            OptionError: Another kind.
        """
        return self.passed and (_checked(kind) == "estimated" or not self.warnings)

    def propensity(self, rows: npt.ArrayLike, kind: str = "estimated") -> Floats:
        """Probability of the logged video of random rows, in (0, 1].

        Args:
            rows: (m,) rows of the store's events that the audit read.
            kind: `estimated` by day (`svsim.ope.audit.propensity`) or `uniform`, 1/K.

        Raises:
            OptionError: Another kind, or a row that the audit did not read.
        """
        asked = np.asarray(rows, dtype=np.int64)
        at = np.minimum(np.searchsorted(self.rows, asked), len(self.rows) - 1)
        wrong = np.flatnonzero(self.rows[at] != asked)
        if len(wrong):
            raise OptionError(
                f"expected random rows that the audit read, found row {asked[wrong[0]]} ({len(wrong):,} such rows)",
                where="propensity",
                remedy="audit the whole random log",
            )
        if _checked(kind) == "uniform":
            return np.full(len(asked), 1 / len(self.pool))
        return self._propensities.of(self._place[at], self._day[at])

    def pool_shares(self, kind: str = "estimated") -> Floats:
        """(K,) probability of each video of the pool, over all days.

        Raises:
            OptionError: Another kind.
        """
        rates = self._propensities.rates if _checked(kind) == "estimated" else np.ones(len(self.pool))
        return np.asarray(rates / rates.sum())

    def _gates(self, verdict: str) -> tuple[str, ...]:
        return tuple(gate["name"] for gate in self._told["gates"] if gate["verdict"].startswith(verdict))


def propensity_audit(store: FeedStore, *, rows: npt.ArrayLike | None = None, alpha: float = 0.001) -> Audit:
    """Audit a store's random log.

    Args:
        store: Which.
        rows: Rows of its events, of both logs, that it is restricted to, as those of a split; None takes all.
        alpha: Level at which counts contradict chance.

    Raises:
        OptionError: The store has no random log, or none in the rows; a level outside (0, 1).
    """
    if not 0 < alpha < 1:
        raise OptionError(f"expected a level between 0 and 1, found {alpha}", where="alpha")
    events = store.events
    asked = np.arange(store.n_events) if rows is None else np.unique(np.asarray(rows, dtype=np.int64))
    chosen = asked[events["is_rand"][asked] == 1]
    if not len(chosen):
        raise OptionError(
            f"expected rows of a random log (is_rand = 1), found none among {len(asked):,}",
            where=str(store.path),
            remedy="prepare KuaiRand's log_random_4_22_to_5_08_pure.csv (_1k, _27k) with the other files, or take a world"
            " that has one: `svsim data synth --preset small`, or `--store small`",
        )
    listed, source = known_pool(store)
    video, user = (events[name][chosen].astype(np.int64) for name in ("video", "user"))
    pool = np.union1d(listed, video)
    place = np.searchsorted(pool, video)
    dates, day = np.unique(events["date"][chosen], return_inverse=True)
    opens = np.searchsorted(dates, store.videos["upload_date"][pool])
    fitted = Propensities.fit(place, day, opens, len(dates), alpha)

    outside = int((~np.isin(video, listed)).sum())
    told: Told = {
        "store": store.fingerprint,
        "alpha": alpha,
        "rows": len(chosen),
        "users": len(np.unique(user)),
        "dates": [int(date) for date in dates],
        "days_without": days_without(dates),
        "pool": pool_found(store, pool, source, place, outside),
        "uniformity": uniformity_found(place, dates[day], events["tab"][chosen], len(pool), source),
        "repeats": repeats_found(place, user, len(pool)),
        "insertion": insertion(store, asked) if len(asked) > len(chosen) else None,
        "propensities": propensities_found(fitted, dates, place, day),
    }
    told["gates"] = gates_of(told)
    told["passed"] = not any(gate["verdict"] == "failed" for gate in told["gates"])
    return Audit(chosen, pool, told, place, day, fitted)


def _checked(kind: str) -> str:
    if kind not in KINDS:
        raise OptionError(f"expected {' or '.join(KINDS)}, found {kind!r}", where="propensities")
    return kind
