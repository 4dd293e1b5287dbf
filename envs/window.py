"""The newest-last window over what each row of a batch has seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["HistoryWindow"]

Array = npt.NDArray[Any]

SLACK = 50
"""Steps between two moves of the buffers."""


class HistoryWindow:
    """The last L events of every row, as views into buffers of L + `SLACK` places.

    All rows share one write pointer: a push writes behind the window and moves it on by one, so that nothing is shifted
    but once in `SLACK` steps.

    Args:
        rows: B.
        length: L.
        features: H.
    """

    def __init__(self, rows: int, length: int, features: int) -> None:
        self.length = length
        self._at = 0
        self._buffers: tuple[Array, Array, Array] = (
            np.zeros((rows, length + SLACK, features), dtype=np.float32),
            np.zeros((rows, length + SLACK), dtype=np.int32),
            np.zeros((rows, length + SLACK), dtype=np.int32),
        )

    def views(self) -> tuple[Array, Array, Array]:
        """Features (B, L, H) float32, videos and authors (B, L) int32; valid until the next push."""
        window = slice(self._at, self._at + self.length)
        features, videos, authors = self._buffers
        return features[:, window], videos[:, window], authors[:, window]

    def fill(self, rows: Array, features: Array, videos: Array, authors: Array) -> None:
        """Replace the windows of some rows."""
        window = slice(self._at, self._at + self.length)
        for buffer, values in zip(self._buffers, (features, videos, authors), strict=True):
            buffer[rows, window] = values

    def push(self, features: Array, videos: Array, authors: Array, nothing: Array | None = None) -> None:
        """Append one event to every row (B, …), but for the rows numbered in `nothing`, whose windows stay."""
        if self._at == SLACK:
            for buffer in self._buffers:
                buffer[:, : self.length] = buffer[:, SLACK:].copy()
            self._at = 0
        end = self._at + self.length
        for buffer, values in zip(self._buffers, (features, videos, authors), strict=True):
            buffer[:, end] = values
            if nothing is not None:
                buffer[nothing, self._at + 1 : end + 1] = buffer[nothing, self._at : end]
        self._at += 1
