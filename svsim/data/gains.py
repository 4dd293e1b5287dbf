"""The third pass of a conversion: the watch-time gain of every event, and what the training split says of each video."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from svsim.data.ahead import mapped
from svsim.data.columns import TableWriter, iter_chunks
from svsim.data.spill import EVENT_COLUMNS
from svsim.data.splits import SPLIT_CODES
from svsim.names import LOG_COLUMN_OF
from svsim.signals import AUX_WEIGHTS, GainAccumulator, WatchTimeGain, aux, wtr

__all__ = ["TRAIN_SUMS", "EventFiles"]

Array = npt.NDArray[Any]
Chunk = dict[str, Array]

CHUNK_ROWS = 1 << 20

TRAIN_SUMS = ("exposures", "click", "long_view", "wtr", "wtg", "aux")
"""Sums over a video's training rows, stored as `train_…` columns of the videos."""

_FLAGS = (*AUX_WEIGHTS["default"], "click", "long_view")


@dataclass
class EventFiles:
    """The event columns as written so far.

    Attributes:
        folder: Folder of the column files.
        rows: Events.
        progress: Told of each step: its name, what of it is done, and its whole.
    """

    folder: Path
    rows: int
    progress: Callable[[str, int, int], None]

    def _chunks(self, *names: str) -> Iterator[Chunk]:
        return iter_chunks(self.folder, {name: EVENT_COLUMNS[name] for name in names}, self.rows, CHUNK_ROWS)

    def fit_gain(self, preset: Literal["rank", "dvr", "paper"], fit: Literal["train", "all"]) -> WatchTimeGain:
        """Fit the gain on the training rows, or on all."""
        accumulator = GainAccumulator(preset)
        done = 0
        for chunk in self._chunks("play_time_ms", "duration_ms", "split"):
            chosen = chunk["split"] == SPLIT_CODES["train"] if fit == "train" else slice(None)
            accumulator.update(chunk["play_time_ms"][chosen], chunk["duration_ms"][chosen])
            done += len(chunk["split"])
            self.progress("fitting the gain", done, self.rows)
        return accumulator.fit()

    def add_gain(self, gain: WatchTimeGain, n_videos: int) -> dict[str, Array]:
        """Write the column `wtg_gain`; returns the columns `train_…` of the videos, by dense id."""

        def with_gain(chunk: Chunk) -> tuple[Chunk, Array]:
            return chunk, gain.transform(chunk["play_time_ms"], chunk["duration_ms"])

        flags = (LOG_COLUMN_OF[name] for name in _FLAGS)
        chunks = self._chunks("video", "play_time_ms", "duration_ms", "split", *flags)
        sums = {name: np.zeros(n_videos + 1) for name in TRAIN_SUMS}
        done = 0
        with TableWriter(self.folder, {"wtg_gain": np.float32}) as writer:
            for chunk, gains in mapped(with_gain, chunks):
                writer.append({"wtg_gain": gains})
                _add_training_rows(sums, chunk, gains > gain.threshold)
                done += len(gains)
                self.progress("computing the gain", done, self.rows)
            writer.close()
        types = {name: np.int32 if name == "exposures" else np.float32 for name in TRAIN_SUMS}
        return {f"train_{name}": values.astype(types[name]) for name, values in sums.items()}


def _add_training_rows(sums: dict[str, npt.NDArray[np.float64]], chunk: Chunk, relevant: Array) -> None:
    train = np.flatnonzero(chunk["split"] == SPLIT_CODES["train"])
    signals = {name: chunk[LOG_COLUMN_OF[name]][train] for name in _FLAGS}
    signals["aux"] = aux(signals)
    signals["wtr"] = np.nan_to_num(wtr(chunk["play_time_ms"][train], chunk["duration_ms"][train]))
    signals["wtg"] = relevant[train]
    signals["exposures"] = np.ones(len(train))
    for name, total in sums.items():
        # In the order of the rows, so that the sums do not depend on the chunks.
        np.add.at(total, chunk["video"][train], signals[name].astype(np.float64))
