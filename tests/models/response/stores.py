"""Stores whose feedback was changed after they were made, and trained runs that several files share."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from svsim.data import FeedStore
from svsim.data.columns import column_path
from svsim.data.store import open_store
from svsim.models.response.config import ResponseConfig, ResponseTraining
from svsim.models.response.training import train_response

__all__ = ["CONFIG", "FLAG_COLUMNS", "TRAINING", "altered", "other_feedback", "trained"]

FLAG_COLUMNS = ("is_click", "is_like", "is_follow", "is_comment", "is_forward", "is_hate", "long_view")
CONFIG = ResponseConfig(members=2, hidden=8)
TRAINING = ResponseTraining(epochs=3)

_runs: dict[tuple[Any, ...], Path] = {}


def trained(
    store: FeedStore,
    factory: pytest.TempPathFactory,
    config: ResponseConfig = CONFIG,
    training: ResponseTraining = TRAINING,
) -> Path:
    """The folder of a trained run without a card; trained once a process. Do not change it, copy it."""
    key = (store.fingerprint, config, training)
    if key not in _runs:
        torch.set_num_threads(1)
        _runs[key] = train_response(store, factory.mktemp("response") / "run", config, training).path
    return _runs[key]


def altered(store: FeedStore, folder: Path, columns: Mapping[str, np.ndarray]) -> FeedStore:
    """A copy of a store with other values in columns of its events, the gains of its plays following."""
    shutil.copytree(store.path, folder)
    columns = dict(columns)
    if "play_time_ms" in columns:
        gain = store.wtg.transform(columns["play_time_ms"], store.events["duration_ms"])
        columns["wtg_gain"] = gain
    for name, values in columns.items():
        file = column_path(folder / "events", name)
        mapped = np.load(file, mmap_mode="r+")
        mapped[:] = values
        mapped.flush()
    return open_store(folder)


def other_feedback(store: FeedStore, rows: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Columns of events with all other feedback in some rows."""
    columns = {name: np.array(store.events[name]) for name in (*FLAG_COLUMNS, "play_time_ms")}
    for name in FLAG_COLUMNS:
        columns[name][rows] = 1 - columns[name][rows]
    columns["play_time_ms"][rows] = rng.integers(90_000, 200_000, len(rows))
    return columns
