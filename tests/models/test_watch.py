"""The watch head's distribution: closed forms."""

from __future__ import annotations

import pytest
import torch

from svsim.models.watch import WATCH_BINS, WATCH_EDGES, expected_ratio, survival, watch_bin


def certain(number: int) -> torch.Tensor:
    logits = torch.full((WATCH_BINS,), -50.0)
    logits[number] = 50.0
    return logits


def test_ratios_fall_into_their_bins() -> None:
    edges = torch.tensor(WATCH_EDGES)
    assert watch_bin(edges[:-1]).tolist() == list(range(WATCH_BINS))
    middle = (edges[:-1] + edges[1:]) / 2
    assert watch_bin(middle).tolist() == list(range(WATCH_BINS))
    assert watch_bin(torch.tensor([99.0])).tolist() == [WATCH_BINS - 1]


def test_a_certain_bin_is_a_uniform_on_it() -> None:
    number = WATCH_EDGES.index(0.5)
    low, high = WATCH_EDGES[number], WATCH_EDGES[number + 1]
    logits = certain(number)
    assert float(expected_ratio(logits)) == pytest.approx((low + high) / 2)
    assert float(survival(logits, torch.tensor(low))) == pytest.approx(1)
    assert float(survival(logits, torch.tensor(high))) == pytest.approx(0)
    assert float(survival(logits, torch.tensor(low + (high - low) / 4))) == pytest.approx(0.75)
    # E[min(r, c)] with c a quarter into the bin: ¼ (low + c)/2 + ¾ c.
    cut = low + (high - low) / 4
    assert float(expected_ratio(logits, cut)) == pytest.approx(0.25 * (low + cut) / 2 + 0.75 * cut)


def test_survival_falls_and_its_integral_is_the_mean() -> None:
    logits = torch.randn(WATCH_BINS, generator=torch.Generator().manual_seed(0))
    ratios = torch.linspace(0, WATCH_EDGES[-1], 20_001)
    curve = survival(logits.expand(len(ratios), -1), ratios)
    assert (curve.diff() <= 1e-7).all()
    assert float(torch.trapezoid(curve, ratios)) == pytest.approx(float(expected_ratio(logits)), rel=1e-4)
    below = ratios <= 1
    assert float(torch.trapezoid(curve[below], ratios[below])) == pytest.approx(
        float(expected_ratio(logits, 1.0)), rel=1e-3
    )
