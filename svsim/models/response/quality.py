"""How good videos, authors and tags are, freed of who showed them to whom.

    effect of v = Σ (y − ŷ) / (plays + m),   ŷ from duration, tab and chance alone (least squares)

A video that chance showed has lower rates than one that a policy showed to those who would like it; what is left over after
ŷ can be compared. Sums and ŷ are those of the training split; for rows of the training split itself of the users of the
other folds, so that no row's feature holds its own label.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.data.splits import SPLIT_CODES
from svsim.data.store import FeedStore
from svsim.models.response.kinds import N_DURATIONS as N_CLASSES
from svsim.models.response.kinds import duration_class, first_tags
from svsim.randomness import keyed_hash
from svsim.signals import wtr

__all__ = ["EFFECTS", "VideoEffects"]

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

OF = ("click", "wtr", "relevant")
EFFECTS = (
    *(f"{whose}_{what}" for whose in ("video", "author", "tag") for what in OF), "log_standard_plays", "log_random_plays",
)  # fmt: skip
"""Names of the columns; how often the platform itself showed a video tells what it thinks of it."""
PSEUDO_PLAYS = 8.0
FOLDS, FOLD_KEY = 5, 0xF01D
N_TABS = 16
RIDGE = 1.0


class VideoEffects:
    """Effects of a store's videos.

    Args:
        store: Whose training split.
    """

    def __init__(self, store: FeedStore) -> None:
        self.store = store
        rows = store.split_rows("train")
        events = store.events
        video = events["video"][rows]
        cell, signals = _cells(store, rows), _signals(store, rows)
        self._fold_of_user = (keyed_hash(np.arange(store.n_users + 1), FOLD_KEY) % np.uint64(FOLDS)).astype(np.int64)
        fold = self._fold_of_user[events["user"][rows]]
        self._kinds = {
            "video": (np.arange(store.n_videos + 1), store.n_videos + 1),
            "author": (np.asarray(store.videos["author"]).astype(np.int64), store.n_authors + 1),
            "tag": (first_tags(store), int(first_tags(store).max(initial=0)) + 1),
        }
        # By whose: (folds + 1, ids, 1 + 3) plays and left-over sums; fold f leaves out the users of fold f, the last none.
        self._sums = {
            whose: np.empty((FOLDS + 1, size, 1 + len(OF)), dtype=np.float32)
            for whose, (_, size) in self._kinds.items()
        }
        self._plays = self._count_plays(video, fold, events["is_rand"][rows] > 0)
        for number in range(FOLDS + 1):
            # ŷ and sums of the other folds, not the whole less the own: not even the last bit may tell.
            others = np.flatnonzero(fold != number)
            left = _left_over(cell[others], signals[others])
            for whose, (kind, size) in self._kinds.items():
                own, sums = kind[video[others]], self._sums[whose][number]
                sums[:, 0] = np.bincount(own, minlength=size)
                for column, weights in enumerate(left.T, start=1):
                    sums[:, column] = np.bincount(own, weights=weights, minlength=size)

    def _count_plays(self, video: Array, fold: Array, chance: Array) -> Floats:
        """(folds + 1, n_videos + 1, 2) ln(1 + plays) of the standard and of the random log; a fold's scaled to the whole."""
        size = self.store.n_videos + 1
        parts = np.zeros((FOLDS, size, 2))
        for number in range(FOLDS):
            for column, chosen in enumerate((~chance, chance)):
                parts[number, :, column] = np.bincount(video[(fold == number) & chosen], minlength=size)
        plays = np.empty((FOLDS + 1, size, 2), dtype=np.float32)
        for number in range(FOLDS):
            others = sum(parts[other] for other in range(FOLDS) if other != number)
            plays[number] = np.log1p(others * (FOLDS / (FOLDS - 1)))
        plays[FOLDS] = np.log1p(parts.sum(axis=0))
        return plays

    def of_events(self, rows: Ints) -> Floats:
        """(n, 11) float32 in the order of `EFFECTS`, for rows of the log."""
        events = self.store.events
        in_training = events["split"][rows] == SPLIT_CODES["train"]
        fold = np.where(in_training, self._fold_of_user[events["user"][rows]], FOLDS)
        return self._effects(events["video"][rows], fold)

    def of_videos(self, video: Ints) -> Floats:
        """(n, 11) float32 in the order of `EFFECTS`, as the whole training split knows them."""
        return self._effects(video, np.full(len(video), FOLDS))

    def _effects(self, video: Array, fold: Array) -> Floats:
        found = np.empty((len(video), len(EFFECTS)), dtype=np.float32)
        for number, (whose, (kind, _)) in enumerate(self._kinds.items()):
            sums = self._sums[whose][fold, kind[video]]
            part = slice(number * len(OF), (number + 1) * len(OF))
            found[:, part] = sums[:, 1:] / (sums[:, :1] + PSEUDO_PLAYS)
        found[:, -2:] = self._plays[fold, video]
        return found


def _cells(store: FeedStore, rows: Ints) -> Ints:
    """(n,) cell of each row among chance × duration × tab."""
    events = store.events
    chance = (events["is_rand"][rows] > 0).astype(np.int64)
    tab = np.minimum(events["tab"][rows], N_TABS - 1)
    return np.asarray((chance * N_CLASSES + duration_class(events["duration_ms"][rows])) * N_TABS + tab)


def _signals(store: FeedStore, rows: Ints) -> Array:
    """(n, 3) what came of rows, in the order of `OF`."""
    events = store.events
    return np.column_stack(
        [
            events["is_click"][rows],
            np.nan_to_num(wtr(events["play_time_ms"][rows], events["duration_ms"][rows])),
            events["wtg_gain"][rows] > store.wtg.threshold,
        ]
    ).astype(np.float64)


def _left_over(cell: Ints, signals: Array) -> Array:
    """(n, 3) what rows brought above what their duration, tab and exposure by chance would have, fitted to them."""
    # Three tables at once: chance × duration, and tab.
    cells = 2 * N_CLASSES * N_TABS
    count = np.bincount(cell, minlength=cells).astype(np.float64)
    grid = np.arange(cells)
    design = np.concatenate(
        [grid[:, None] // N_TABS == np.arange(2 * N_CLASSES), grid[:, None] % N_TABS == np.arange(N_TABS)], axis=1
    ).astype(np.float64)
    gram = (design * count[:, None]).T @ design + RIDGE * np.eye(design.shape[1])
    moment = np.column_stack([design.T @ np.bincount(cell, weights=y, minlength=cells) for y in signals.T])
    return np.asarray(signals - (design @ np.linalg.solve(gram, moment))[cell])
