"""Predictions of a trained model for the rows of a split, by protocol."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from svsim.models.checkpoints import Run
from svsim.models.watch import expected_ratio
from svsim.models.windows import Material, Protocol, batches, make_windows
from svsim.names import FLAGS

__all__ = ["predict", "readings"]


def readings(outputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """What raw outputs say, by name.

    Probabilities of flags, of WTR > 0.5 (`binary`) and of a relevant gain (`wtg_relevant`); the expected `wtr`,
    `wtr_clipped` (at 1) and `wtg`.

    Where a head is missing, the others stand in for its ranking: a model of one head scores everything by it.
    """
    told: dict[str, Tensor] = {}
    if "feedback" in outputs:
        for i, name in enumerate(FLAGS):
            told[name] = torch.sigmoid(outputs["feedback"][..., i].float())
    if "binary" in outputs:
        told["binary"] = torch.sigmoid(outputs["binary"].float())
    if "watch" in outputs:
        told["wtr_clipped"] = expected_ratio(outputs["watch"].float(), 1.0)
        told["wtr"] = expected_ratio(outputs["watch"].float())
    if "wtr" in outputs:
        told.setdefault("wtr_clipped", outputs["wtr"].float().clamp(max=1.0))
        told["wtr"] = outputs["wtr"].float()
    if "wtg" in outputs:
        told["wtg"] = outputs["wtg"][..., 0].float()
        told["wtg_relevant"] = torch.sigmoid(outputs["wtg"][..., 1].float())
    return told


def predict(
    run: Run, material: Material, split: str, protocol: Protocol, *, places: int = 16_384
) -> dict[str, npt.NDArray[Any]]:
    """Readings of every row of a split, in the rows' order: (n,) float32 by name.

    Args:
        run: The model.
        material: The store's events as tokens.
        split: Which rows.
        protocol: What they may see, see `windows.make_windows`.
        places: Of a batch.
    """
    within = run.config.positions == "learned"
    windows = make_windows(material.store, split, run.config.length, protocol, within=within)
    rows = material.store.split_rows(split)
    place = np.full(material.store.n_events, -1)
    place[rows] = np.arange(len(rows))
    found: dict[str, npt.NDArray[Any]] = {}
    with torch.inference_mode():
        for batch in batches(material, windows, split, protocol, places=places):
            told = readings(run.network(batch.history, batch.queries, batch.visible))
            where = place[batch.rows[batch.asked]]
            for name, values in told.items():
                found.setdefault(name, np.full(len(rows), np.nan, dtype=np.float32))[where] = values.numpy()[
                    batch.asked
                ]
    return found
