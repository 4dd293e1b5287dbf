"""Watch-time gain: a play compared with the other plays of videos of its duration.

Source: Zheng et al. 2022, "DVR: Micro-Video Recommendation Optimizing Watch-Time-Gain under Duration Bias"
(arXiv 2208.05190); the SASRec4SV paper, Table 3. We differ by default: a z-score carries a nearly five-fold duration
bias on the real log (a twenty-fold one as the paper groups it), ranks carry none.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from svsim.errors import OptionError, StoreError
from svsim.signals.ranks import RankTable

__all__ = ["PRESETS", "GainAccumulator", "WatchTimeGain", "duration_unit"]

Preset = Literal["rank", "dvr", "paper"]
PRESETS: tuple[Preset, ...] = ("rank", "dvr", "paper")

LAST_SECOND = 600
"""Videos of this many seconds and longer are one duration."""

MIN_PLAYS = 200
"""Neighbouring seconds are merged until a group holds this many plays."""

MAX_VALUES = 1 << 24
"""Distinct (duration, play) pairs kept exactly; past it play times are rounded down to 2, 4, 8, … ms."""

FEW = 1 << 16
"""Plays that are looked up in a table of all groups; more are sorted by group."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def duration_unit(duration_ms: npt.ArrayLike, preset: Preset) -> Ints:
    """The unit that a preset groups by: whole minutes for `paper`, else whole seconds, 600 and longer being one."""
    duration = np.asarray(duration_ms)
    if preset == "paper":
        return np.asarray(duration // 60_000, dtype=np.int64)
    return np.asarray(np.minimum(duration // 1_000, LAST_SECOND), dtype=np.int64)


def _check_preset(preset: str) -> Preset:
    for known in PRESETS:
        if preset == known:
            return known
    raise OptionError(f"expected a preset of {', '.join(PRESETS)}, found {preset!r}", where="watch-time gain")


def _flat_plays(play_time_ms: npt.ArrayLike, duration_ms: npt.ArrayLike) -> tuple[Floats, Floats]:
    play, duration = np.broadcast_arrays(
        np.asarray(play_time_ms, dtype=np.float64), np.asarray(duration_ms, dtype=np.float64)
    )
    return play.ravel(), duration.ravel()


@dataclass(frozen=True)
class _Groups:
    """Disjoint ranges of units, ascending: group g spans the fitted units `low[g]` to `high[g]`."""

    low: Ints
    high: Ints

    def of(self, unit: Ints) -> Ints:
        """Index of the group of each unit; a unit of no group takes the nearest, the lower one when two are as near."""
        below = np.maximum(np.searchsorted(self.low, unit, side="right") - 1, 0)
        above = np.minimum(below + 1, len(self.low) - 1)
        nearer_above = self.low[above] - unit < np.maximum(unit - self.high[below], 0)
        return np.where(nearer_above & (above != below), above, below)


def _merge_units(units: Ints, plays: Ints, minimum: int) -> Ints:
    """Group number of each unit (ascending, with their play counts): a group closes as soon as it holds `minimum`."""
    number = np.empty(len(units), dtype=np.int64)
    group, held = 0, 0
    for i, count in enumerate(plays.tolist()):
        number[i] = group
        held += count
        if held >= minimum:
            group, held = group + 1, 0
    if held and group:
        number[number == group] = group - 1
    return number


@dataclass
class GainAccumulator:
    """Gathers plays block by block, in memory that does not grow with their number, and fits a `WatchTimeGain`."""

    preset: Preset = "rank"
    threshold: float = 1.0
    min_plays: int = MIN_PLAYS
    max_values: int = MAX_VALUES
    resolution_ms: int = field(default=1, init=False)
    _values: dict[int, tuple[Floats, Ints]] = field(default_factory=dict, init=False, repr=False)
    _moments: dict[int, tuple[int, float, float]] = field(default_factory=dict, init=False, repr=False)

    def update(self, play_time_ms: npt.ArrayLike, duration_ms: npt.ArrayLike) -> None:
        """Add plays; rows whose duration is not above 0 are left out."""
        play, duration = _flat_plays(play_time_ms, duration_ms)
        keep = duration > 0
        play, duration = play[keep], duration[keep]
        if not len(play):
            return
        if self.preset == "dvr":
            play = np.minimum(play, duration)
        unit = duration_unit(duration, self.preset)
        order = np.argsort(unit, kind="stable")
        present, starts = np.unique(unit[order], return_index=True)
        for number, plays in zip(present.tolist(), np.split(play[order], starts[1:]), strict=True):
            if self.preset == "rank":
                self._add_values(number, plays)
            else:
                self._add_moments(number, plays)
        while sum(len(values) for values, _ in self._values.values()) > self.max_values:
            self._coarsen()

    def _add_values(self, unit: int, plays: Floats) -> None:
        if self.resolution_ms > 1:
            plays = plays // self.resolution_ms * self.resolution_ms
        values, counts = np.unique(plays, return_counts=True)
        if unit in self._values:
            values, counts = _sum_counts(
                np.concatenate([self._values[unit][0], values]), np.concatenate([self._values[unit][1], counts])
            )
        self._values[unit] = values, counts

    def _add_moments(self, unit: int, plays: Floats) -> None:
        """Chan, Golub, LeVeque 1983: mean and sum of squares of two sets from those of each."""
        n_new, mean_new = len(plays), float(plays.mean())
        squares_new = float(np.square(plays - mean_new).sum())
        n, mean, squares = self._moments.get(unit, (0, 0.0, 0.0))
        total, delta = n + n_new, mean_new - mean
        self._moments[unit] = (
            total,
            mean + delta * n_new / total,
            squares + squares_new + delta * delta * n * n_new / total,
        )

    def _coarsen(self) -> None:
        self.resolution_ms *= 2
        for unit, (values, counts) in self._values.items():
            self._values[unit] = _sum_counts(values // self.resolution_ms * self.resolution_ms, counts)

    def fit(self) -> WatchTimeGain:
        """The gain fitted on everything added so far.

        Raises:
            OptionError: No play with a duration above 0 was added.
        """
        units = np.array(sorted(self._values or self._moments), dtype=np.int64)
        if not len(units):
            raise OptionError("expected plays with a duration above 0 to fit on, found none", where="watch-time gain")
        if self.preset == "rank":
            plays = np.array([self._values[u][1].sum() for u in units.tolist()], dtype=np.int64)
        else:
            plays = np.array([self._moments[u][0] for u in units.tolist()], dtype=np.int64)
        merged = _merge_units(units, plays, 1 if self.preset == "paper" else self.min_plays)
        first = np.flatnonzero(np.diff(merged, prepend=-1))
        last = np.append(first[1:], len(units)) - 1
        gain = WatchTimeGain(self.preset, threshold=self.threshold, min_plays=self.min_plays)
        gain._groups = _Groups(units[first], units[last])
        members = [units[a : b + 1].tolist() for a, b in zip(first, last, strict=True)]
        if self.preset == "rank":
            gain.resolution_ms = self.resolution_ms
            gain._set_values([self._group_values(group) for group in members])
        else:
            gain._set_moments(*np.array([self._group_moments(group) for group in members]).T)
        return gain

    def _group_values(self, units: list[int]) -> tuple[Floats, Ints]:
        return _sum_counts(
            np.concatenate([self._values[u][0] for u in units]), np.concatenate([self._values[u][1] for u in units])
        )

    def _group_moments(self, units: list[int]) -> tuple[int, float, float]:
        n, mean, squares = 0, 0.0, 0.0
        for unit in units:
            n_new, mean_new, squares_new = self._moments[unit]
            delta = mean_new - mean
            squares += squares_new + delta * delta * n * n_new / (n + n_new)
            mean += delta * n_new / (n + n_new)
            n += n_new
        return n, mean, float(np.sqrt(squares / n))


def _sum_counts(values: Floats, counts: Ints) -> tuple[Floats, Ints]:
    order = np.argsort(values, kind="stable")
    values, counts = values[order], counts[order]
    first = np.flatnonzero(np.append(True, values[1:] != values[:-1]))
    return values[first], np.add.reduceat(counts, first)


def _scores(share: Floats, n: Ints) -> Floats:
    """Φ⁻¹(F), F held within [½/n, 1 − ½/n]."""
    from scipy.special import ndtri

    half = 0.5 / n
    return np.asarray(ndtri(np.clip(share, half, 1.0 - half)))


class WatchTimeGain:
    """Watch-time gain of plays, and their relevance.

    | preset | groups | play time | gain |
    |---|---|---|---|
    | `rank` | whole seconds, merged to ≥ 200 plays | raw | Φ⁻¹(F), F = (plays below + ½ equal)/n in [½/n, 1 − ½/n] |
    | `dvr` | whole seconds, merged | cut at the duration | z-score (Zheng et al.), s.d. with ddof 0; 0 where it is 0 |
    | `paper` | whole minutes | raw | z-score (SASRec4SV paper, Table 3) |

    Fit on the training split only. A duration that was not seen in fitting takes the nearest group.

    Args:
        preset: One of the three above.
        threshold: A gain above it is relevant.
        min_plays: Neighbouring seconds are merged until they hold this many plays.
    """

    def __init__(self, preset: str = "rank", *, threshold: float = 1.0, min_plays: int = MIN_PLAYS) -> None:
        self.preset: Preset = _check_preset(preset)
        self.threshold = threshold
        self.min_plays = min_plays
        self.resolution_ms = 1
        self._groups: _Groups | None = None
        self._n = np.empty(0, dtype=np.int64)
        self._mean = self._sd = np.empty(0)
        self._values = np.empty(0)
        self._below = np.empty(0, dtype=np.int64)
        self._offsets = np.zeros(1, dtype=np.int64)
        self._ranks: RankTable | None = None

    def fit(self, play_time_ms: npt.ArrayLike, duration_ms: npt.ArrayLike) -> Self:
        """Learn the groups from plays (arrays of one shape, ms); rows whose duration is not above 0 are left out."""
        accumulator = GainAccumulator(self.preset, self.threshold, self.min_plays)
        accumulator.update(play_time_ms, duration_ms)
        self.__dict__.update(accumulator.fit().__dict__)
        return self

    @classmethod
    def from_moments(
        cls, preset: Literal["dvr", "paper"], *, units: npt.ArrayLike, mean_ms: npt.ArrayLike, sd_ms: npt.ArrayLike
    ) -> Self:
        """A z-score gain from known group statistics, for instance those of a published table.

        Args:
            preset: `dvr` or `paper`.
            units: (G,) ascending: the second (`dvr`) or minute (`paper`) of each group.
            mean_ms: (G,) mean play time.
            sd_ms: (G,) its standard deviation (ddof 0).
        """
        gain = cls(preset)
        low = np.asarray(units, dtype=np.int64)
        gain._groups = _Groups(low, low)
        gain._set_moments(
            np.zeros(len(low)), np.asarray(mean_ms, dtype=np.float64), np.asarray(sd_ms, dtype=np.float64)
        )
        return gain

    def _set_moments(self, n: Floats, mean: Floats, sd: Floats) -> None:
        self._n, self._mean, self._sd = n.astype(np.int64), mean, sd

    def _set_values(self, groups: list[tuple[Floats, Ints]]) -> None:
        self._n = np.array([counts.sum() for _, counts in groups], dtype=np.int64)
        self._values = np.concatenate([values for values, _ in groups])
        # Plays below each value, within its group.
        self._below = np.concatenate([np.cumsum(counts) - counts for _, counts in groups])
        self._offsets = np.cumsum([0, *(len(values) for values, _ in groups)])

    @property
    def fitted(self) -> bool:
        """Whether the groups are known."""
        return self._groups is not None

    def group(self, duration_ms: npt.ArrayLike) -> Ints:
        """Index of the fitted group of each duration, of the durations' shape."""
        if self._groups is None:
            raise OptionError("expected a fitted gain", where="watch-time gain", remedy="call fit first")
        return self._groups.of(duration_unit(duration_ms, self.preset))

    def transform(self, play_time_ms: npt.ArrayLike, duration_ms: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Gain of each play: float32 of the broadcast shape, NaN where the duration is not above 0."""
        few = self._few(play_time_ms, duration_ms)
        if few is not None:
            return few
        shape = np.broadcast_shapes(np.shape(play_time_ms), np.shape(duration_ms))
        play, duration = _flat_plays(play_time_ms, duration_ms)
        gain = np.full(play.shape, np.nan, dtype=np.float32)
        keep = np.flatnonzero(duration > 0)
        if not len(keep):
            return gain.reshape(shape)
        play, duration = play[keep], duration[keep]
        group = self.group(duration)
        gain[keep] = self._normal_scores(play, group) if self.preset == "rank" else self._z(play, duration, group)
        return gain.reshape(shape)

    def _few(self, play_time_ms: npt.ArrayLike, duration_ms: npt.ArrayLike) -> npt.NDArray[np.float32] | None:
        """`transform` of up to `FEW` plays in whole ms (int32), an environment's step; None where that does not apply."""
        play, duration = np.asarray(play_time_ms), np.asarray(duration_ms)
        whole = play.dtype == duration.dtype == np.int32
        if not whole or self.preset != "rank" or play.shape != duration.shape or play.size > FEW:
            return None
        if self._ranks is None:
            if not (self.fitted and RankTable.holds(self._values)):
                return None
            units = self.group(np.arange(LAST_SECOND + 1) * 1_000)
            self._ranks = RankTable(self._values, self._offsets, self._below, self._n, units, _scores)
        if self.resolution_ms > 1:
            play = play // self.resolution_ms * self.resolution_ms
        gain = self._ranks.gain(play, duration // 1_000)
        gain[duration <= 0] = np.nan
        return gain

    def _z(self, play: Floats, duration: Floats, group: Ints) -> Floats:
        if self.preset == "dvr":
            play = np.minimum(play, duration)
        sd = self._sd[group]
        return np.divide(play - self._mean[group], sd, out=np.zeros_like(play), where=sd > 0)

    def _normal_scores(self, play: Floats, group: Ints) -> Floats:
        share = np.empty_like(play)
        order = np.argsort(group.astype(np.uint16), kind="stable")
        present, starts = np.unique(group[order], return_index=True)
        for number, rows in zip(present.tolist(), np.split(order, starts[1:]), strict=True):
            share[rows] = self._share_below(play[rows], number)
        return _scores(share, self._n[group])

    def _share_below(self, play: Floats, group: int) -> Floats:
        """F of plays in one group: (plays below + ½ equal) / n."""
        part = slice(self._offsets[group], self._offsets[group + 1])
        values, n = self._values[part], self._n[group]
        below = np.append(self._below[part], n)
        if self.resolution_ms > 1:
            play = play // self.resolution_ms * self.resolution_ms
        at = np.searchsorted(values, play)
        equal = np.append(values, np.nan)[at] == play
        return np.asarray((below[at] + 0.5 * np.where(equal, np.append(np.diff(below), 0)[at], 0)) / n)

    def relevance(self, play_time_ms: npt.ArrayLike, duration_ms: npt.ArrayLike) -> npt.NDArray[np.int8]:
        """1 where the gain is above the threshold, else 0 (also where there is no gain)."""
        return (self.transform(play_time_ms, duration_ms) > self.threshold).astype(np.int8)

    def summary(self) -> dict[str, Any]:
        """What a manifest says of the fit, as plain numbers."""
        return {
            "preset": self.preset,
            "threshold": self.threshold,
            "min_plays": self.min_plays,
            "resolution_ms": self.resolution_ms,
            "groups": len(self._n),
            "plays": int(self._n.sum()),
        }

    def save(self, path: Path) -> None:
        """Write the fit as an `.npz` of plain arrays."""
        assert self._groups is not None, "only a fitted gain is saved"
        values = self._values
        if len(values) and np.array_equal(values, values.astype(np.int32)):
            values = values.astype(np.int32)
        np.savez(
            path,
            allow_pickle=False,
            preset=np.array(self.preset),
            settings=np.array([self.threshold, self.min_plays, self.resolution_ms], dtype=np.float64),
            low=self._groups.low,
            high=self._groups.high,
            n=self._n,
            mean=self._mean,
            sd=self._sd,
            values=values,
            below=self._below.astype(np.int32) if self._n.max() < 1 << 31 else self._below,
            offsets=self._offsets,
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            StoreError: The file is missing or not what `save` writes.
        """
        try:
            # Opened here: numpy does not close what it cannot read.
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                threshold, min_plays, resolution = file["settings"]
                gain = cls(str(file["preset"]), threshold=float(threshold), min_plays=int(min_plays))
                gain.resolution_ms = int(resolution)
                gain._groups = _Groups(file["low"], file["high"])
                gain._n, gain._mean, gain._sd = file["n"], file["mean"], file["sd"]
                gain._values = file["values"].astype(np.float64)
                gain._below, gain._offsets = file["below"].astype(np.int64), file["offsets"]
        except (OSError, KeyError, ValueError, EOFError, TypeError, zipfile.BadZipFile) as error:
            raise StoreError(
                f"expected a fitted watch-time gain, found {error}", where=str(path), remedy="prepare the store again"
            ) from error
        return gain
