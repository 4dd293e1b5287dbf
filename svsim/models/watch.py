"""The watch head: a distribution of the watch ratio over bins, monotone by construction.

P(play > t) for any t follows by interpolation within the bin of t / duration, so that expectations, clicks and long views
of any definition come from one distribution.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["WATCH_BINS", "WATCH_EDGES", "expected_ratio", "survival", "watch_bin"]

WATCH_EDGES = (
    0.0, 0.01, 0.02, 0.03, 0.045, 0.06, 0.08, 0.1, 0.13, 0.16, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9,
    0.97, 1.0, 1.03, 1.1, 1.3, 1.6, 2.0, 3.0, 5.0,
)  # fmt: skip
"""Edges of the bins of play time / duration; what lies above the last counts as it."""
WATCH_BINS = len(WATCH_EDGES) - 1


def watch_bin(ratio: Tensor) -> Tensor:
    """Bin of each watch ratio, an edge belonging to the bin above it."""
    edges = torch.tensor(WATCH_EDGES[1:-1], device=ratio.device, dtype=ratio.dtype)
    return torch.bucketize(ratio, edges, right=True)


def expected_ratio(logits: Tensor, ceiling: float = WATCH_EDGES[-1]) -> Tensor:
    """E[min(ratio, ceiling)] (…,) of logits (…, bins), uniform within a bin."""
    edges = torch.tensor(WATCH_EDGES, device=logits.device, dtype=logits.dtype)
    low, high = edges[:-1], edges[1:]
    # Of a uniform on [low, high]: the mean of min(r, c).
    top = high.clamp(max=ceiling)
    inside = (top - low).clamp(min=0) / (high - low)
    mean = inside * (low + top) / 2 + (1 - inside) * ceiling
    return torch.softmax(logits, dim=-1) @ mean


def survival(logits: Tensor, ratio: Tensor) -> Tensor:
    """P(ratio >= r) (…,) for r (…,) under logits (…, bins)."""
    edges = torch.tensor(WATCH_EDGES, device=logits.device, dtype=logits.dtype)
    below = ((ratio.unsqueeze(-1) - edges[:-1]) / (edges[1:] - edges[:-1])).clamp(0, 1)
    return 1 - (torch.softmax(logits, dim=-1) * below).sum(dim=-1)
