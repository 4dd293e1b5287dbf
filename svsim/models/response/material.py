"""A store's rows as a response model learns and is judged from: inputs, targets, predictions, in blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.data.store import FeedStore
from svsim.models.response.forward import FLAG_OUTPUTS, Forward, play_features, standardised
from svsim.models.response.inputs import Log, Past, Protocol, Scales, Source
from svsim.models.response.outcomes import WatchFlags, click_limit_ms, long_limit_ms
from svsim.models.response.past_sums import PastSums
from svsim.models.response.runs import Parts
from svsim.models.response.usual import Usual
from svsim.models.response.watch import N_PHASES, PlayBaseline
from svsim.names import CLICK, FLAGS, HATE, LIKE, LOG_COLUMN_OF, LONG_VIEW, PLAY_TIME

__all__ = ["Material", "expected_flags"]

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]

BLOCK = 20_000
SCALE_ROWS = 200_000
LEAST_SCALE = 1e-2


class Material:
    """A store, gathered once.

    Args:
        store: Whose events.
        usual: What usually comes of a video; None fits it to the training split.
        span: First row, and the one past the last, of the users that are gathered; None: all.
    """

    def __init__(self, store: FeedStore, usual: Usual | None = None, span: tuple[int, int] | None = None) -> None:
        self.store = store
        self.past = PastSums(store, usual, span)
        self.source = Source(store, self.past.effects)
        self.log = Log(store, self.source, self.past)

    def columns(self, rows: Ints) -> dict[str, Array]:
        """Logged feedback of rows, by signal; and `duration_ms`, `tab`, `chance`."""
        events = self.store.events
        told = {name: np.asarray(events[LOG_COLUMN_OF[name]])[rows] for name in FLAGS}
        told[PLAY_TIME] = events["play_time_ms"][rows].astype(np.int64)
        told["duration_ms"] = events["duration_ms"][rows].astype(np.int64)
        told["tab"] = events["tab"][rows].astype(np.int64)
        told["chance"] = events["is_rand"][rows] > 0
        return told

    def fit_scales(self, past: Past) -> Scales:
        """Means and scales of the inputs, from an even share of the training rows."""
        part = np.arange(0, len(past.rows), max(1, len(past.rows) // SCALE_ROWS))
        block = self.log.block(past, part)
        found: dict[str, Array] = {}
        for name in ("user", "video", "both"):
            values = getattr(block, name)
            found[f"{name}_mean"] = values.mean(axis=0, dtype=np.float64).astype(np.float32)
            found[f"{name}_scale"] = np.maximum(values.std(axis=0, dtype=np.float64), LEAST_SCALE).astype(np.float32)
        return Scales(**found)

    def fit_plays(self, rows: Ints) -> tuple[PlayBaseline, WatchFlags]:
        """The baseline of play times and the shares of clicks and long views, from training rows."""
        c = self.columns(rows)
        played = c[PLAY_TIME] > 0
        baseline = PlayBaseline.fit(c[PLAY_TIME][played], c["duration_ms"][played])
        return baseline, WatchFlags.fit(c["tab"], c[PLAY_TIME], c["duration_ms"], c[CLICK], c[LONG_VIEW])

    def inputs(self, past: Past, part: Array, scales: Scales) -> tuple[Array, Array, Array, Array, Array]:
        """Blocks of user, video and both, standardised, the repeats, and whether it was chance, of some rows."""
        block = self.log.block(past, part)
        return (
            standardised(block.user, scales.user_mean, scales.user_scale),
            standardised(block.video, scales.video_mean, scales.video_scale),
            standardised(block.both, scales.both_mean, scales.both_scale),
            block.repeats,
            block.chance,
        )

    def targets(self, rows: Ints, baseline: PlayBaseline) -> dict[str, Array]:
        """What came of rows, by name of `network.Targets`; float32 but for `ended`."""
        c = self.columns(rows)
        lived, ended = baseline.exposure(c[PLAY_TIME], c["duration_ms"])
        limits = [limit(c["duration_ms"]) for limit in (click_limit_ms, long_limit_ms)]
        return {
            "lived": lived,
            "ended": ended,
            "flags": np.stack([c[name] for name in FLAG_OUTPUTS], axis=1).astype(np.float32),
            "play": play_features(c[PLAY_TIME].astype(np.float64), c["duration_ms"]),
            "limits": np.stack([baseline.exposure(limit, c["duration_ms"])[0] for limit in limits]),
            "reached": np.stack([c[PLAY_TIME] >= limit for limit in limits]).astype(np.float32),
        }

    def outputs(self, past: Past, forward: Forward) -> Array:
        """(n, 13) float32 mean outputs of the members, not calibrated."""
        found = np.empty((len(past.rows), forward.columns // forward.members - forward.hidden), dtype=np.float32)
        for part, out in self._outputs(past, forward):
            found[part] = out.mean(axis=0)
        return found

    def _outputs(self, past: Past, forward: Forward) -> Iterator[tuple[Array, Array]]:
        for start in range(0, len(past.rows), BLOCK):
            part = np.arange(start, min(start + BLOCK, len(past.rows)))
            block = self.log.block(past, part)
            yield (
                part,
                forward(
                    forward.user_part(block.user),
                    forward.video_part(block.video, block.chance),
                    block.both,
                    block.repeats,
                ),
            )

    def predictions(self, rows: Ints, protocol: Protocol, forward: Forward, parts: Parts) -> dict[str, Array]:
        """Expectations for rows under a protocol, (n,) float32 by name.

        `click`, `long_view`, `half` (watch ratio above one half), `wtr` (clipped at 1), `play_time_ms`, the flags;
        `no_play`.
        """
        past = self.log.past_of(rows, protocol)
        told: dict[str, list[Array]] = {}
        for part, out in self._outputs(past, forward):
            c = self.columns(rows[part])
            found = expected_of(parts, parts.calibration(out.mean(axis=0), c["chance"]), c, forward)
            for name, values in found.items():
                told.setdefault(name, []).append(np.asarray(values, dtype=np.float32))
        return {name: np.concatenate(values) for name, values in told.items()}

    def draw_plays(self, rows: Ints, forward: Forward, parts: Parts, rng: np.random.Generator) -> Array:
        """(n,) play times in ms drawn for rows, under the protocol `running`."""
        past = self.log.past_of(rows, "running")
        drawn = np.empty(len(rows))
        for part, out in self._outputs(past, forward):
            c = self.columns(rows[part])
            calibrated = parts.calibration(out.mean(axis=0), c["chance"])
            quiet = rng.random(len(part)) < 1 / (1 + np.exp(-calibrated[:, N_PHASES].astype(np.float64)))
            table = parts.baseline.table(c["duration_ms"])
            play = table.draw(table.hazards(calibrated[:, :N_PHASES]), rng.random(len(part)))
            drawn[part] = np.where(quiet, 0.0, np.maximum(np.floor(play), 1.0))
        return drawn


def expected_of(parts: Parts, out: Array, columns: dict[str, Array], forward: Forward) -> dict[str, Array]:
    """Expectations of calibrated outputs (n, 13), see `Material.predictions`."""
    duration, tab = columns["duration_ms"], columns["tab"]
    table = parts.baseline.table(duration)
    hazards = table.hazards(out[:, :N_PHASES])
    no_play = 1 / (1 + np.exp(-out[:, N_PHASES].astype(np.float64)))
    click, long_view = parts.flags.expected(tab, duration, no_play, table, hazards)
    mean, clipped = table.means(hazards)
    timed = duration > 0
    told = {
        CLICK: click,
        LONG_VIEW: long_view,
        "half": np.where(timed, (1 - no_play) * table.survival(hazards, duration / 2 + 0.5), 0.0),
        "wtr": np.where(timed, (1 - no_play) * clipped / np.maximum(duration, 1), 0.0),
        PLAY_TIME: (1 - no_play) * mean,
        "no_play": no_play,
    }
    told.update(expected_flags(forward, out, duration, no_play, table.outcomes(hazards)))
    return told


def expected_flags(
    forward: Forward, out: Array, duration: Array, no_play: Array, outcomes: tuple[Array, Array]
) -> dict[str, Array]:
    """(n,) P(flag), summed over the play times and over whether there is a like.

    Args:
        forward: For the flags' coefficients.
        out: (n, 13) calibrated outputs.
        duration: (n,) ms.
        no_play: (n,) P(no play).
        outcomes: The play times as a table (n, S) and their probabilities.
    """
    base = out[:, -len(FLAG_OUTPUTS) :].astype(np.float64)
    mean, probability = outcomes
    times = np.concatenate([np.zeros((len(mean), 1)), mean], axis=1)
    weight = np.concatenate([no_play[:, None], (1 - no_play)[:, None] * probability], axis=1)
    features = play_features(times, duration[:, None]).astype(np.float64)
    told: dict[str, Array] = {}
    extra = {name: (features * forward.flag_play[f]).sum(axis=-1) for f, name in enumerate(FLAG_OUTPUTS)}
    p_like = _sigmoid(base[:, :1] + extra[LIKE])
    for f, name in enumerate(FLAG_OUTPUTS):
        logit = base[:, f : f + 1] + extra[name]
        if name in (LIKE, HATE):
            p = p_like if name == LIKE else _sigmoid(logit)
        else:
            p = p_like * _sigmoid(logit + forward.flag_like[f]) + (1 - p_like) * _sigmoid(logit)
        told[name] = (p * weight).sum(axis=1)
    return told


def _sigmoid(logit: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-logit)))
