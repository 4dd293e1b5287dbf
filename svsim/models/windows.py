"""Which events a model sees together: windows over every user's history, and batches of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from svsim.data.splits import SPLIT_CODES
from svsim.data.store import FeedStore
from svsim.models.inputs import Events, Inputs, event_inputs, forget_rates, profiles, request_starts, waiting
from svsim.models.network import Tokens
from svsim.signals import binary_label, wtr

__all__ = ["Batch", "Material", "Protocol", "Windows", "batches", "make_windows"]

Array = npt.NDArray[Any]
Protocol = Literal["frozen", "running"]


@dataclass(frozen=True)
class Windows:
    """Windows: rows of events that are history, and rows that are queried.

    Attributes:
        past: (W,) first row of each window's history.
        n_past: (W,) its events.
        asked: (W,) first queried row.
        n_asked: (W,) rows queried, all of one user; those outside the split are left out by `Material.in_split`.
    """

    past: Array
    n_past: Array
    asked: Array
    n_asked: Array

    def __len__(self) -> int:
        return len(self.past)

    def take(self, rows: Array) -> Windows:
        """Some of the windows."""
        return Windows(self.past[rows], self.n_past[rows], self.asked[rows], self.n_asked[rows])


def make_windows(
    store: FeedStore,
    split: str,
    length: int,
    protocol: Protocol,
    *,
    training: np.random.Generator | None = None,
    within: bool = False,
) -> Windows:
    """Windows that query every row of a split once.

    While training, windows are `length` long and lie end to end over each user's whole log, their first one cut at random:
    every event is learnt from once, now with a long history and now with a short one. Else every query sees at least the
    last `length` events before it: under `frozen` those before the split, under `running` those of earlier requests.

    Args:
        store: Whose events.
        split: Which rows are queried.
        length: T.
        protocol: What queries may see.
        training: Cuts windows to learn from, others at each call.
        within: No window is longer than `length`, as absolute positions need it; under `running` a query then sees at
            least three quarters of it.
    """
    rows = store.split_rows(split)
    user = store.events["user"][rows]
    opens = np.flatnonzero(np.append(True, user[1:] != user[:-1])) if len(rows) else np.zeros(0, dtype=np.int64)
    begin = rows[opens]
    end = rows[np.append(opens[1:], len(rows)) - 1] + 1 if len(rows) else begin
    first = store.users["first_event"][user[opens]]
    stride = length if training is not None else max(length // 4, 1)
    # A log that fits into one window is left whole.
    cut = np.zeros(len(begin), dtype=np.int64) if training is None else training.integers(0, stride, len(begin))
    cut[end - begin <= stride] = 0
    chunks = -(-(end - begin + cut) // stride)
    owner = np.repeat(np.arange(len(begin)), chunks)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(chunks) - chunks, chunks)
    start = begin[owner] - cut[owner] + number * stride
    asked = np.maximum(start, begin[owner])
    n_asked = np.minimum(start + stride, end[owner]) - asked
    back = length - stride if training is not None or (within and protocol == "running") else length
    if protocol == "frozen":
        past_end = begin[owner]
        past = np.maximum(first[owner], past_end - back)
    else:
        past = np.maximum(first[owner], request_starts(store)[asked] - back)
        past_end = asked + n_asked - 1
        if within:
            past = np.maximum(past, past_end - length)
    return Windows(past, np.maximum(past_end - past, 0), asked, n_asked)


class Material:
    """A store's events as tokens and targets, gathered once.

    Args:
        store: Whose events.
        inputs: Fitted maps and scales.
    """

    def __init__(self, store: FeedStore, inputs: Inputs) -> None:
        self.store = store
        self.inputs = inputs
        self.events: Events = event_inputs(store, inputs, np.arange(store.n_events))
        self.events.number[:] = (self.events.number - inputs.number_mean) / inputs.number_scale
        self.profiles = profiles(store)
        self.request_start = request_starts(store)
        ratio = wtr(store.events["play_time_ms"], store.events["duration_ms"], clip=None)
        self.timed = np.isfinite(ratio)
        self.ratio = np.nan_to_num(ratio).astype(np.float32)
        self.half = binary_label(store.events["play_time_ms"], store.events["duration_ms"])
        self.gain = np.nan_to_num(np.asarray(store.events["wtg_gain"])).astype(np.float32)
        self.split = np.asarray(store.events["split"])

    def tokens(self, rows: Array, padding: Array, newest: Array | None = None) -> Tokens:
        """Tokens of rows of any shape; padding reads as nothing.

        Args:
            rows: Of the store's events.
            padding: Places that hold none.
            newest: The newest row that each query sees, −1 for none; None makes history of them.
        """
        events = self.events.take(rows)
        wait = None
        if newest is None:
            forget_rates(events.number)
        else:
            time_ms = self.store.events["time_ms"]
            wait = waiting((time_ms[rows] - time_ms[np.maximum(newest, 0)]) / 60_000.0, newest >= 0)
        for column in (events.user, events.video, events.author):
            column[padding] = 0
        return as_tokens(events, self.profiles, wait)


def as_tokens(events: Events, table: Array, wait: Array | None = None) -> Tokens:
    """Events as tensors, (n,) or (B, n) with one user a row.

    Args:
        events: As arrays.
        table: User features that `Events.profile` points into.
        wait: Read of queries alone.
    """
    return Tokens(
        user=torch.from_numpy(events.user),
        video=torch.from_numpy(events.video),
        author=torch.from_numpy(events.author),
        tag_set=torch.from_numpy(events.tag_set),
        number=torch.from_numpy(events.number),
        category=torch.from_numpy(events.category.astype(np.int64)),
        profile=torch.from_numpy(table[events.profile[:, :1] if events.profile.ndim > 1 else events.profile]),
        feedback=torch.from_numpy(events.feedback),
        wait=torch.from_numpy(np.zeros(events.video.shape, dtype=np.float32) if wait is None else wait),
    )


@dataclass
class Batch:
    """Windows side by side.

    Attributes:
        history: (B, T) tokens, padding at the end.
        queries: (B, Q) tokens.
        visible: (B, Q) events of the window that each query may see.
        rows: (B, Q) rows of the events that are queried.
        asked: (B, Q) whether the place is a query at all.
        total: Queries of the whole batch, of which this may be one process's part.
    """

    history: Tokens
    queries: Tokens
    visible: torch.Tensor
    rows: Array
    asked: Array
    total: int


def batches(
    material: Material,
    windows: Windows,
    split: str,
    protocol: Protocol,
    *,
    places: int,
    order: np.random.Generator | None = None,
    part: tuple[int, int] = (0, 1),
    skip: int = 0,
) -> Iterator[Batch]:
    """Batches of windows of like length, at most `places` places each.

    Args:
        material: Events as tokens.
        windows: What to go through.
        split: Rows of other splits are not queried.
        protocol: What queries may see.
        places: Largest number of rows × longest window.
        order: Shuffles; None goes by length.
        part: (rank, processes): each takes every so manieth window of every batch.
        skip: Batches that are passed over.
    """
    size = np.maximum(windows.n_past, windows.n_asked)
    key = size.astype(np.float64)
    if order is not None:
        # Windows of like length, but not always the same ones together.
        key = key * np.exp(order.uniform(-0.1, 0.1, len(key))) + order.uniform(0, 1, len(key))
    ranked = np.argsort(key, kind="stable")
    groups = _groups(size[ranked], places)
    if order is not None:
        groups = [groups[i] for i in order.permutation(len(groups))]
    for start, end in groups[skip:]:
        yield _batch(material, windows, ranked[start:end], split, protocol, part)


def count_batches(windows: Windows, places: int) -> int:
    """Batches that an epoch has, about."""
    return len(_groups(np.sort(np.maximum(windows.n_past, windows.n_asked)), places))


def _groups(sizes: Array, places: int) -> list[tuple[int, int]]:
    groups, start, longest = [], 0, 0
    for i, size in enumerate(sizes.tolist()):
        longest = max(longest, size)
        if i > start and longest * (i - start + 1) > places:
            groups.append((start, i))
            start, longest = i, size
    if len(sizes):
        groups.append((start, len(sizes)))
    return groups


def _batch(
    material: Material, windows: Windows, chosen: Array, split: str, protocol: Protocol, part: tuple[int, int]
) -> Batch:
    code = SPLIT_CODES[split]
    everything = windows.take(chosen)
    rows, asked = _spread(everything.asked, everything.n_asked)
    asked &= material.split[rows] == code
    total = int(asked.sum())
    rank, processes = part
    mine = everything.take(np.arange(rank, len(everything), processes))
    rows, asked = rows[rank::processes], asked[rank::processes]
    past, there = _spread(mine.past, mine.n_past)
    limit = (
        material.request_start[rows]
        if protocol == "running"
        else np.broadcast_to((mine.past + mine.n_past)[:, None], rows.shape)
    )
    visible = np.clip(limit - mine.past[:, None], 0, mine.n_past[:, None])
    newest = np.where(visible > 0, mine.past[:, None] + visible - 1, -1)
    return Batch(
        history=material.tokens(past, ~there),
        queries=material.tokens(rows, ~asked, newest),
        visible=torch.from_numpy(np.where(asked, visible, 0)),
        rows=rows,
        asked=asked,
        total=total,
    )


def _spread(start: Array, count: Array) -> tuple[Array, Array]:
    """(B, longest) rows of ranges, and which places hold one; the others repeat the first."""
    place = np.arange(max(int(count.max(initial=0)), 1))[None, :]
    there = place < count[:, None]
    return np.where(there, start[:, None] + place, start[:, None]), there
