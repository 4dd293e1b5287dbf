"""When a viewer stops watching: proportional hazards over a baseline fitted to KuaiRand's tab 1.

    S(t | d, x) = exp(−Θ(t)),   Θ(t) = e^{−b x} H(min(t, 18 s); d) + e^{−b′ x} (H(t; d) − H(18 s; d))₊
    b = β (× β_short for d < 15 s),  b′ = b × β_late

H(t; d) is the baseline cumulative hazard, piecewise linear between knots: geometric in time from 0.3 s to 0.9 d, then
ratios of the duration past its end, since completions gather just above 1 and replays go on from there. Between the
durations that it was fitted at, H is linear in ln d. It was found by inverting the mixture that a log shows: with x
distributed as the world's own in tab 1, E[S(t | d, x)] is the real survival at every knot (`scripts/fit_world.py`).
Picture posts have a row of their own, with a nominal duration.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.world.constants import constants

__all__ = ["WatchHazard", "knot_times"]

Floats = npt.NDArray[np.float64]

KINK_MS = 18_000.0
"""Where `long_view` begins, and interest begins to matter less."""
SHORT_MS = 15_000.0


def knot_times(duration_ms: npt.ArrayLike) -> Floats:
    """(…, S) times in ms at which the baseline is given for videos of these durations."""
    c = constants("response")
    d = np.asarray(duration_ms, dtype=np.float64)[..., None]
    first, end = float(c["first_knot_ms"]), float(c["early_end"])
    steps = int(c["early_knots"])
    early = first * (end * d / first) ** (np.arange(steps) / steps)
    late = c["late_ratios"] * d
    zero = np.zeros_like(d)
    return np.concatenate([zero, early, late], axis=-1)


class WatchHazard:
    """The hazard of some videos: their knots and baselines, gathered once.

    Args:
        duration_ms: Durations in ms, 0 for picture posts; of any shape, rows below.
    """

    def __init__(self, duration_ms: npt.NDArray[Any]) -> None:
        c = constants("response")
        nodes, table = np.log(c["hazard_durations_ms"]), c["hazard"]
        duration = np.asarray(duration_ms, dtype=np.float64)
        picture = duration <= 0
        self.nominal = np.where(picture, c["picture_duration_ms"], duration)
        place = np.interp(np.log(self.nominal), nodes, np.arange(len(nodes)))
        low = np.minimum(place.astype(np.int64), len(nodes) - 2)
        share = (place - low)[..., None]
        # One gather from a table of all mixtures would be large; two rows and a weight are not.
        self.baseline = (1 - share) * table[low] + share * table[low + 1]
        if picture.any():
            self.baseline[picture] = c["picture_hazard"]
        self.times = knot_times(self.nominal)
        self._short = self.nominal < SHORT_MS

    def slopes(self, interest: Floats) -> tuple[Floats, Floats]:
        """e^{−b x} and e^{−b′ x}."""
        c = constants("response")
        push = -c["hazard_interest"] * interest * np.where(self._short, c["hazard_short"], 1.0)
        return np.exp(push), np.exp(c["hazard_late"] * push)

    def at(self, t_ms: npt.ArrayLike) -> Floats:
        """H(t; d) at one time for each row; beyond the last knot it goes on as in the last segment."""
        t = np.broadcast_to(np.asarray(t_ms, dtype=np.float64), self.nominal.shape)[..., None]
        last = self.times.shape[-1] - 2
        segment = np.clip((self.times <= t).sum(axis=-1, keepdims=True) - 1, 0, last)
        t0, t1, h0, h1 = self._segment(segment)
        return np.asarray((h0 + (t - t0) * (h1 - h0) / (t1 - t0))[..., 0])

    def survival(self, t_ms: npt.ArrayLike, interest: Floats) -> Floats:
        """S(t | d, x) at one time for each row."""
        early, late = self.slopes(interest)
        kink, now = self.at(KINK_MS), self.at(t_ms)
        return np.exp(-(early * np.minimum(now, kink) + late * np.maximum(now - kink, 0.0)))

    def play_ms(self, uniform: Floats, interest: Floats) -> Floats:
        """The time at which 1 − S reaches `uniform`: a draw of the play time in ms."""
        early, late = self.slopes(interest)
        kink = self.at(KINK_MS)
        spent = -np.log1p(-uniform)
        target = np.where(spent <= early * kink, spent / early, kink + (spent - early * kink) / late)[..., None]
        last = self.times.shape[-1] - 2
        segment = np.clip((self.baseline <= target).sum(axis=-1, keepdims=True) - 1, 0, last)
        t0, t1, h0, h1 = self._segment(segment)
        with np.errstate(divide="ignore", invalid="ignore"):
            play = np.where(h1 > h0, t0 + (target - h0) * (t1 - t0) / (h1 - h0), t0)
        return np.asarray(play[..., 0])

    def segments(self, interest: Floats) -> tuple[Floats, Floats]:
        """The distribution of the play time as a table.

        Returns:
            Mean play time within each segment between knots, (…, S) ms, and the probability of the segment. The first
            is exact but for the segment that holds the kink; the last one is open and goes on for ever.
        """
        early, late = self.slopes(interest)
        kink = self.at(KINK_MS)[..., None]
        theta = early[..., None] * np.minimum(self.baseline, kink) + late[..., None] * np.maximum(
            self.baseline - kink, 0.0
        )
        survival = np.exp(-theta)
        rise = np.diff(theta, axis=-1)
        width = np.diff(self.times, axis=-1)
        probability = survival[..., :-1] - survival[..., 1:]
        # Exponential within the segment: mean = t0 + w (1/r − 1/(e^r − 1)).
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            inside = np.where(rise > 1e-6, 1 / rise - 1 / np.expm1(rise), 0.5)
            tail = np.where(rise[..., -1:] > 0, width[..., -1:] / rise[..., -1:], 0.0)
        mean = np.concatenate([self.times[..., :-1] + width * inside, self.times[..., -1:] + tail], axis=-1)
        return mean, np.concatenate([probability, survival[..., -1:]], axis=-1)

    def _segment(self, segment: npt.NDArray[np.int64]) -> tuple[Floats, Floats, Floats, Floats]:
        def take(table: Floats, at: npt.NDArray[np.int64]) -> Floats:
            return np.take_along_axis(table, at, axis=-1)

        return (
            take(self.times, segment),
            take(self.times, segment + 1),
            take(self.baseline, segment),
            take(self.baseline, segment + 1),
        )
