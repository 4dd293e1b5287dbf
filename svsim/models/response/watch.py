"""How long a video is watched: piecewise exponential play times, by duration.

    hazard of stopping at time t of a video of duration d, for a viewer of log-hazards η:
        h(t) = e^{η_phase(t)} λ_{group(d), segment(t)}

Time is cut into segments: fixed times up to 0.9 d, then multiples of d, since completions gather just above 1 and replays
go on from there. Rates λ are the baseline of videos of like duration, fitted as events over exposure (the piecewise
exponential model; Holford 1980, Laird and Olivier 1981); a model of the viewer gives one η for each of seven phases. So
P(T ≥ t), expectations and draws are closed forms, and the skips of the first seconds, the spike of completions and the
replays are those of the log. A play of no time at all is another event and not part of this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

__all__ = ["LONGEST_PLAY_MS", "N_PHASES", "N_SEGMENTS", "PHASES", "PlayBaseline", "PlayTable"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

FIXED_MS = (
    0, 250, 500, 750, 1_000, 1_250, 1_500, 1_750, 2_000, 2_500, 3_000, 4_000, 5_000, 7_000, 10_000, 14_000, 18_000, 30_000,
    45_000, 60_000, 90_000, 120_000, 180_000, 300_000,
)  # fmt: skip
"""Knots in ms; those past 0.9 d fall onto it."""
EARLY_END = 0.9
RATIOS = (EARLY_END, 0.95, 0.98, 1.0, 1.02, 1.05, 1.1, 1.2, 1.5, 2.0, 3.0, 5.0)
"""Knots in durations; the last segment is open."""
N_SEGMENTS = len(FIXED_MS) + len(RATIOS)
AT_END = len(FIXED_MS) + RATIOS.index(1.0)
"""Number of the knot at the duration."""
PHASES = ("below 2 s", "2 to 7 s", "7 to 18 s", "past 18 s", "0.9 to 1 durations", "1 to 1.1 durations", "replays")
N_PHASES = len(PHASES)
LONGEST_PLAY_MS = 900_000.0
"""Nobody plays longer: expectations and reactions end there."""
NOMINAL_MS = 60_000.0
"""Where the knots of picture posts lie, which have no duration."""
MERGED_PLAYS, LAST_SECOND = 2_000, 600
PSEUDO_EVENTS = 3.0
"""Events at the rate of all durations together that every rate is shrunk by."""
BLOCK = 200_000


def _phase_of_segment() -> npt.NDArray[np.int64]:
    fixed = np.searchsorted([2_000, 7_000, 18_000], FIXED_MS, side="right")
    fixed[-1] = fixed[-2]
    late = np.where(np.array(RATIOS) < 1.0, 4, np.where(np.array(RATIOS) < 1.1, 5, 6))
    return np.concatenate([fixed, late])


SEGMENT_PHASE = _phase_of_segment()


@dataclass(frozen=True)
class PlayTable:
    """What the play times of N videos are made of, whoever watches them.

    Attributes:
        times: (N, S) ms at which the segments begin; the last one is open.
        rise: (N, S) baseline cumulative hazard of each segment; of the open one, per ms.
    """

    times: Floats
    rise: Floats

    def take(self, rows: Array) -> PlayTable:
        """Some rows."""
        return PlayTable(self.times.take(rows, axis=0), self.rise.take(rows, axis=0))

    def hazards(self, log_hazard: Array) -> tuple[Floats, Floats]:
        """Cumulative hazard at the knots and rise of each segment, both (N, S).

        Args:
            log_hazard: (N, 7) η by phase.
        """
        rise = np.exp(log_hazard.astype(np.float64)).take(SEGMENT_PHASE, axis=-1) * self.rise
        at = np.zeros_like(rise)
        np.cumsum(rise[:, :-1], axis=1, out=at[:, 1:])
        return at, rise

    def draw(self, hazards: tuple[Floats, Floats], uniform: Floats) -> Floats:
        """(N,) play times in ms: where 1 − S reaches the uniforms; from `hazards`."""
        at, rise = hazards
        target = -np.log1p(-uniform)
        segment = (at <= target[:, None]).sum(axis=1) - 1
        flat = np.arange(len(at)) * N_SEGMENTS + segment
        times, spent, step = self.times.ravel(), at.ravel().take(flat), rise.ravel().take(flat)
        start = times.take(flat)
        last = segment == N_SEGMENTS - 1
        width = np.where(last, 1.0, times.take(np.minimum(flat + 1, times.size - 1)) - start)
        return np.asarray(start + (target - spent) / np.maximum(step, 1e-300) * width)

    def survival(self, hazards: tuple[Floats, Floats], t_ms: npt.ArrayLike) -> Floats:
        """(N,) P(T ≥ t) for one time a row, from `hazards`."""
        at, rise = hazards
        t = np.broadcast_to(np.asarray(t_ms, dtype=np.float64), (len(at),))
        segment = np.maximum((self.times <= t[:, None]).sum(axis=1) - 1, 0)
        flat = np.arange(len(at)) * N_SEGMENTS + segment
        times = self.times.ravel()
        start = times.take(flat)
        width = np.where(segment == N_SEGMENTS - 1, 1.0, times.take(np.minimum(flat + 1, times.size - 1)) - start)
        share = np.divide(t - start, width, out=np.zeros_like(t), where=width > 0)
        return np.asarray(np.exp(-(at.ravel().take(flat) + share * rise.ravel().take(flat))))

    def means(self, hazards: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
        """(N,) E[T] and (N,) E[min(T, d)] in ms, of plays cut at `LONGEST_PLAY_MS`: ∫ S, exact segment by segment."""
        inside = self._integrals(hazards)
        return inside.sum(axis=1), inside[:, :AT_END].sum(axis=1)

    def clipped_mean(self, hazards: tuple[Floats, Floats]) -> Floats:
        """(N,) E[min(T, d)] in ms alone."""
        at, rise = hazards[0][:, : AT_END + 1], hazards[1][:, :AT_END]
        survival = np.exp(-at)
        width = self.times[:, 1 : AT_END + 1] - self.times[:, :AT_END]
        # ∫ S over a segment is (S₀ − S₁) w / rise; where nothing rises it is S₀ w.
        drop = survival[:, :-1] - survival[:, 1:]
        return np.asarray((np.where(rise > 1e-9, drop / np.maximum(rise, 1e-9), survival[:, :-1]) * width).sum(axis=1))

    def outcomes(self, hazards: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
        """(N, S) mean play time within each segment in ms, cut at `LONGEST_PLAY_MS`, and its probability."""
        at, rise = hazards
        survival = np.exp(-at)
        probability = survival.copy()
        probability[:, :-1] -= survival[:, 1:]
        width = np.diff(self.times, axis=1)
        r = rise[:, :-1]
        # Exponential within the segment: mean = start + w (1/r − 1/(e^r − 1)).
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            inside = np.where(r > 1e-6, 1 / r - 1 / np.expm1(r), 0.5)
        mean = self.times.copy()
        mean[:, :-1] += width * inside
        left = np.maximum(LONGEST_PLAY_MS - self.times[:, -1], 0.0)
        mean[:, -1] += left * _mean_survival(rise[:, -1] * left)
        return np.minimum(mean, LONGEST_PLAY_MS), probability

    def _integrals(self, hazards: tuple[Floats, Floats]) -> Floats:
        at, rise = hazards
        begins = np.minimum(self.times, LONGEST_PLAY_MS)
        width = np.diff(begins, axis=1, append=LONGEST_PLAY_MS)
        risen = rise * width
        risen[:, :-1] /= np.maximum(np.diff(self.times, axis=1), 1e-9)
        return np.asarray(np.exp(-at) * width * _mean_survival(risen))


def _mean_survival(rise: Floats) -> Floats:
    """Mean of e^{−x} over x from 0 to the rise."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(rise > 1e-9, -np.expm1(-rise) / rise, 1.0)


@dataclass(frozen=True)
class PlayBaseline:
    """Rates of stopping by duration, fitted to a log.

    Attributes:
        first_second: (G,) the least whole second of each group of durations, ascending; group 0 is picture posts.
        rate: (G, S) hazard: per ms in the fixed segments, per duration in the others.
    """

    first_second: npt.NDArray[np.int64]
    rate: Floats

    @classmethod
    def fit(cls, play_ms: Array, duration_ms: Array) -> Self:
        """Learn the rates from plays of more than no time.

        Args:
            play_ms: (n,) play times in ms.
            duration_ms: (n,) durations in ms, 0 for picture posts.
        """
        first = _groups(duration_ms)
        events, exposure = np.zeros((len(first), N_SEGMENTS)), np.zeros((len(first), N_SEGMENTS))
        shell = cls(first, np.ones((len(first), N_SEGMENTS)))
        for start in range(0, len(play_ms), BLOCK):
            part = slice(start, start + BLOCK)
            play, duration = play_ms[part].astype(np.float64), duration_ms[part]
            group = shell.group(duration)
            spent, segment = _exposure(play, *shell._knots(duration))
            np.add.at(events, (group, segment), 1.0)
            for number in np.unique(group):
                exposure[number] += spent[group == number].sum(axis=0)
        overall = events.sum(axis=0) / np.maximum(exposure.sum(axis=0), 1e-9)
        overall = np.maximum(overall, 1e-9)
        if not exposure[:, -1].any():
            # Nobody went on so long: whoever does stays for one more duration on average.
            overall[-1] = 1.0
        return cls(first, (events + PSEUDO_EVENTS) / (exposure + PSEUDO_EVENTS / overall))

    def group(self, duration_ms: Array) -> npt.NDArray[np.int64]:
        """Group of each duration."""
        second = np.minimum(np.asarray(duration_ms) // 1_000, LAST_SECOND)
        found = np.searchsorted(self.first_second, second, side="right") - 1
        return np.where(np.asarray(duration_ms) <= 0, 0, np.maximum(found, 1)).astype(np.int64)

    def _knots(self, duration_ms: Array) -> tuple[Floats, Floats]:
        """(N, S) times in ms at which segments begin, and what a unit of their rates is in ms."""
        d = np.where(np.asarray(duration_ms) > 0, duration_ms, NOMINAL_MS).astype(np.float64)[:, None]
        times = np.concatenate(
            [np.minimum(np.array(FIXED_MS, dtype=np.float64), EARLY_END * d), d * np.array(RATIOS)], axis=1
        )
        unit = np.concatenate([np.ones((len(d), len(FIXED_MS))), np.repeat(d, len(RATIOS), axis=1)], axis=1)
        return times, unit

    def table(self, duration_ms: Array) -> PlayTable:
        """The play times of videos of these durations (N,)."""
        times, unit = self._knots(duration_ms)
        rate = self.rate[self.group(duration_ms)] / unit
        rise = rate.copy()
        rise[:, :-1] *= np.diff(times, axis=1)
        return PlayTable(times, rise)

    def exposure(self, play_ms: Array, duration_ms: Array) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int8]]:
        """What a play says of η: the log-likelihood is Σ_p (O_p η_p − e^{η_p} E_p) + a constant.

        Returns:
            (N, 7) E, the baseline hazard that was lived through by phase, and (N,) the phase in which it ended; for a
            play of no time nothing was lived through and the phase is −1.
        """
        lived = np.zeros((len(play_ms), N_PHASES), dtype=np.float32)
        ended = np.full(len(play_ms), -1, dtype=np.int8)
        for start in range(0, len(play_ms), BLOCK):
            part = slice(start, start + BLOCK)
            play, duration = play_ms[part].astype(np.float64), duration_ms[part]
            spent, segment = _exposure(play, *self._knots(duration))
            spent *= self.rate[self.group(duration)]
            played = play > 0
            for phase in range(N_PHASES):
                lived[part, phase] = np.where(played, spent[:, phase == SEGMENT_PHASE].sum(axis=1), 0.0)
            ended[part] = np.where(played, SEGMENT_PHASE[segment], -1)
        return lived, ended


def _exposure(play: Floats, times: Floats, unit: Floats) -> tuple[Floats, npt.NDArray[np.int64]]:
    """(N, S) time spent in each segment in units of its rate, and the segment in which the play ended."""
    ends = np.concatenate([times[:, 1:], np.full((len(times), 1), np.inf)], axis=1)
    spent = np.clip(play[:, None], times, ends) - times
    segment = (times <= play[:, None]).sum(axis=1) - 1
    return spent / unit, np.maximum(segment, 0)


def _groups(duration_ms: Array) -> npt.NDArray[np.int64]:
    """Least second of each group: seconds are merged upwards until a group holds enough plays; −1 opens picture posts."""
    second = np.minimum(duration_ms[duration_ms > 0] // 1_000, LAST_SECOND).astype(np.int64)
    enough = min(MERGED_PLAYS, max(len(second) // 20, 1))
    first, held = [-1, 0], 0
    for number, count in enumerate(np.bincount(second, minlength=1).tolist()):
        if held >= enough:
            first.append(number)
            held = 0
        held += count
    if held < enough and len(first) > 2:
        first.pop()
    return np.array(first, dtype=np.int64)
