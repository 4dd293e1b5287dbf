"""Losses: worked out by hand, over real positions alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from svsim.data import FeedStore
from svsim.models.config import ModelConfig
from svsim.models.inputs import Inputs
from svsim.models.losses import losses, query_losses
from svsim.models.network import OUTPUTS
from svsim.models.windows import Batch, Material, batches, make_windows
from svsim.names import FLAGS, LOG_COLUMN_OF


@pytest.fixture(scope="module")
def material(store: FeedStore) -> Material:
    return Material(store, Inputs.fit(store, ModelConfig(length=20, buckets=16)))


@pytest.fixture(scope="module")
def batch(material: Material) -> Batch:
    windows = make_windows(material.store, "test", 20, "running")
    found = max(batches(material, windows, "test", "running", places=500), key=lambda one: (~one.asked).sum())
    assert (~found.asked).any(), "there is padding to be tried"
    return found


def outputs(batch: Batch, seed: int = 0) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    shape = batch.rows.shape
    return {name: torch.randn(*shape, size) if size > 1 else torch.randn(shape) for name, size in OUTPUTS.items()}


def means(raw: dict[str, torch.Tensor], batch: Batch, material: Material) -> dict[str, torch.Tensor]:
    return losses(query_losses(raw, batch, material), batch)


def test_padding_does_not_count(material: Material, batch: Batch) -> None:
    raw = outputs(batch)
    found = means(raw, batch, material)
    padding = torch.from_numpy(~batch.asked)
    other = {name: values.clone() for name, values in raw.items()}
    for values in other.values():
        values[padding] = 1e6
    for name, value in means(other, batch, material).items():
        assert torch.equal(value, found[name]), name
    for values in raw.values():
        values.requires_grad_()
    torch.stack(list(means(raw, batch, material).values())).sum().backward()
    for name, values in raw.items():
        assert values.grad is not None
        assert not values.grad[padding].any(), name
        assert values.grad[~padding].any(), name


def test_by_hand(material: Material, batch: Batch) -> None:
    raw = outputs(batch)
    found = means(raw, batch, material)
    rows, asked = batch.rows[batch.asked], torch.from_numpy(batch.asked)
    events = material.store.events
    ratio = np.minimum(events["play_time_ms"][rows] / events["duration_ms"][rows], 5)
    logit = raw["binary"][asked].numpy().astype(np.float64)
    target = ratio > 0.5
    expected = np.mean(np.log1p(np.exp(logit)) - target * logit)
    assert float(found["binary"]) == pytest.approx(expected, rel=1e-5)
    error = np.abs(raw["wtr"][asked].numpy() - ratio)
    huber = np.where(error < 1, error**2 / 2, error - 0.5)
    assert float(found["wtr"]) == pytest.approx(huber.mean(), rel=1e-4)
    flags = np.column_stack([events[LOG_COLUMN_OF[name]][rows] for name in FLAGS])
    logits = raw["feedback"][asked].numpy().astype(np.float64)
    expected = (np.log1p(np.exp(logits)) - flags * logits).sum(axis=1).mean()
    assert float(found["feedback"]) == pytest.approx(expected, rel=1e-5)


def test_a_process_part_is_weighed_by_the_whole_batch(material: Material) -> None:
    windows = make_windows(material.store, "test", 20, "running")
    whole = next(iter(batches(material, windows, "test", "running", places=900)))
    parts = [next(iter(batches(material, windows, "test", "running", places=900, part=(rank, 2)))) for rank in (0, 1)]
    raw = outputs(whole)
    split = [{name: values[rank::2] for name, values in raw.items()} for rank in (0, 1)]
    for name, value in means(raw, whole, material).items():
        width = parts[0].rows.shape[1], parts[1].rows.shape[1]
        total = sum(
            float(means({n: v[:, : width[i]] for n, v in split[i].items()}, parts[i], material)[name]) for i in (0, 1)
        )
        assert total == pytest.approx(float(value), rel=1e-5)
