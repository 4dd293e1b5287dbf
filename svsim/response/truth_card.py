"""What a perfect model would score: the truth of a synthetic world on the rows of a card."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.data.store import FeedStore
from svsim.data.truth import TRUTH_FILE
from svsim.world import open_world, simulate
from svsim.world.matching import path_rows

__all__ = ["MOST_EVENTS", "true_probabilities"]

Array = npt.NDArray[Any]

MOST_EVENTS = 2_000_000
"""Events of a log whose world is lived through again for a card."""
BLOCK = 4_096


def true_probabilities(
    store: FeedStore, rows: npt.NDArray[np.int64], signals: tuple[str, ...]
) -> dict[str, npt.NDArray[np.float64]] | None:
    """(n,) true probability of each signal at logged exposures, given all that came before; None where no truth is told.

    Args:
        store: A world's log.
        rows: (n,) rows of its events.
        signals: Of `World.expect`.
    """
    if not (store.path / TRUTH_FILE).is_file() or store.n_events > MOST_EVENTS:
        return None
    path = simulate(open_world(store.path))
    behind = path_rows(store, path)[rows]
    found = {name: np.empty(len(rows)) for name in signals}
    for start in range(0, len(rows), BLOCK):
        part = slice(start, start + BLOCK)
        video = path.columns["video"][behind[part]][:, None]
        expected = path.world.expect(path.state(behind[part]), video, signals)
        for name in signals:
            found[name][part] = expected[name][:, 0]
    return found
