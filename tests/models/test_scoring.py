"""The cache equals the full pass; candidates see the history and themselves alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from svsim.models.config import ModelConfig
from svsim.models.inputs import CATEGORIES, FEEDBACK_INPUTS, NUMBERS
from svsim.models.network import SASRec4SV, Tokens
from svsim.models.scoring import Scorer
from svsim.names import USER_FEATURES

ROWS = (20, 60, 30)
CONFIGS = {
    "rotary": ModelConfig(width=16, blocks=2, length=12),
    "learned": ModelConfig(
        width=16, blocks=3, length=12, positions="learned", fields="concat", content=False, user_ids=True
    ),
    "average": ModelConfig(width=16, blocks=2, length=12, trunk="average"),
}


def network(config: ModelConfig, seed: int = 0) -> SASRec4SV:
    torch.manual_seed(seed)
    bag = torch.rand(7, 5)
    bag[0] = 0
    made = SASRec4SV(config, ROWS, bag)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return made.eval()


def tokens(rng: np.random.Generator, *shape: int) -> Tokens:
    def whole(high: int) -> torch.Tensor:
        return torch.from_numpy(rng.integers(1, high, shape))

    def real(size: int) -> torch.Tensor:
        return torch.from_numpy(rng.normal(size=(*shape, size)).astype(np.float32))

    category = torch.stack([whole(size) for size in CATEGORIES.values()], dim=-1)
    return Tokens(
        user=whole(ROWS[0]), video=whole(ROWS[1]), author=whole(ROWS[2]), tag_set=whole(7), number=real(len(NUMBERS)),
        category=category, profile=real(len(USER_FEATURES)), feedback=real(len(FEEDBACK_INPUTS)), wait=real(1)[..., 0],
    )  # fmt: skip


@pytest.mark.parametrize("name", CONFIGS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_prefill_steps_and_scores_equal_the_full_pass(name: str, data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    rows, candidates = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 5))
    lengths = np.array(data.draw(st.lists(st.integers(0, 8), min_size=rows, max_size=rows)))
    steps = data.draw(st.integers(0, 4))
    made = network(CONFIGS[name])
    history, asked = tokens(rng, rows, 8), tokens(rng, rows, candidates)
    served = [tokens(rng, rows) for _ in range(steps)]
    takes = [torch.from_numpy(rng.random(rows) < 0.7) for _ in range(steps)]

    scorer = Scorer(made)
    cache = scorer.prefill(history, torch.from_numpy(lengths))
    for event, take in zip(served, takes, strict=True):
        scorer.step(cache, event, take)
    found = scorer.score(cache, asked)

    for row in range(rows):
        past = [history.take((row, slice(0, lengths[row])))]
        past += [event.take(slice(row, row + 1)) for event, take in zip(served, takes, strict=True) if take[row]]
        length = int(lengths[row] + sum(bool(take[row]) for take in takes))
        whole = Tokens(
            **{
                f.name: torch.cat([*(getattr(part, f.name) for part in past), getattr(history, f.name)[row, :1]])[None]
                for f in dataclasses.fields(Tokens)
            }
        )
        with torch.inference_mode():
            visible = torch.full((1, candidates), length)
            expected = made(whole, asked.take(slice(row, row + 1)), visible)
        for head, values in expected.items():
            torch.testing.assert_close(found[head][row], values[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["rotary", "average"])
def test_a_full_ring_forgets_the_oldest(name: str) -> None:
    rng = np.random.default_rng(1)
    made = network(dataclasses.replace(CONFIGS[name], blocks=1))
    stream = [tokens(rng, 2) for _ in range(20)]
    asked = tokens(rng, 2, 3)
    found = []
    for first in (0, 8):
        scorer = Scorer(made)
        cache = scorer.prefill(tokens(rng, 2, 1), torch.zeros(2, dtype=torch.int64))
        for event in stream[first:]:
            scorer.step(cache, event)
        found.append(scorer.score(cache, asked))
    # One block: what was forgotten is gone. Positions are relative, so that it does not matter when reading began.
    for head, values in found[0].items():
        torch.testing.assert_close(values, found[1][head], rtol=1e-4, atol=1e-5)


def test_candidates_do_not_see_each_other() -> None:
    rng = np.random.default_rng(2)
    made = network(CONFIGS["rotary"])
    scorer = Scorer(made)
    cache = scorer.prefill(tokens(rng, 3, 6), torch.tensor([6, 2, 0]))
    asked = tokens(rng, 3, 4)
    together = scorer.score(cache, asked)
    alone = scorer.score(cache, asked.take((slice(None), slice(2, 3))))
    for head, values in together.items():
        torch.testing.assert_close(values[:, 2], alone[head][:, 0], rtol=1e-5, atol=1e-5)
