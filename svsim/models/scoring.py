"""The scoring calls: a history that is read once, one step for each served video, candidates scored through the cache.

Keys and values of past events stay where they were written: rotary positions are relative, so that a window slides without
touching them. `score` equals the full pass within rounding as long as the window has not slid; then tokens still know
what they saw of older events, which a fresh pass over the window would not.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from svsim.models.network import Block, SASRec4SV, Tokens, attend_with_self

__all__ = ["Cache", "Scorer"]


@dataclass
class Cache:
    """What has been read of B histories, in a ring of C places.

    Attributes:
        keys: A tensor (B, h, C, d) for each block; event n of a row lies at place n mod C.
        values: Likewise (B, h, C, d + 1), the last column all ones, as `attend_with_self` takes them.
        seen: (B,) events read.
    """

    keys: list[Tensor]
    values: list[Tensor]
    seen: Tensor

    @torch.inference_mode()
    def replace(self, rows: Tensor, other: Cache) -> None:
        """Take the rows of another cache (len(rows) of them) in place of some."""
        for mine, its in zip([*self.keys, *self.values], [*other.keys, *other.values], strict=True):
            mine[rows] = its
        self.seen[rows] = other.seen


class Scorer:
    """Scores candidates by a trained network, without gradients.

    Args:
        network: In evaluation mode.
        capacity: C, past events kept; by default the network's own length.
    """

    def __init__(self, network: SASRec4SV, capacity: int | None = None) -> None:
        self.network = network
        self.capacity = min(capacity or network.config.length, network.config.length)

    @torch.inference_mode()
    def prefill(self, history: Tokens, length: Tensor) -> Cache:
        """Read histories.

        Args:
            history: (B, T) tokens, oldest first, padding at the end; T at most the capacity.
            length: (B,) events of each.
        """
        network, (rows, width) = self.network, history.shape
        past = network.embed(history, query=False)
        if network.config.positions == "learned":
            past = past + network.position[:width]
        cache = self._empty(rows, past)
        cache.seen[:] = length
        place = torch.arange(width)
        for number, block in enumerate(network.blocks):
            assert isinstance(block, Block)
            query, key, value = block.qkv(past, place)
            cache.keys[number][:, :, :width], cache.values[number][:, :, :width, :-1] = key, value
            if number + 1 < len(network.blocks):
                attended = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
                past = block.finish(past, attended)
        return cache

    def _empty(self, rows: int, like: Tensor) -> Cache:
        config = self.network.config
        shape, each = (rows, config.attention_heads, self.capacity), config.width // config.attention_heads
        return Cache(
            keys=[like.new_zeros(*shape, each) for _ in range(config.blocks)],
            values=[like.new_ones(*shape, each + 1) for _ in range(config.blocks)],
            seen=torch.zeros(rows, dtype=torch.int64),
        )

    @torch.inference_mode()
    def step(self, cache: Cache, event: Tokens, served: Tensor | None = None) -> None:
        """Append one served video with its feedback to each row.

        Args:
            cache: Is changed.
            event: (B,) tokens.
            served: (B,) whether the row has one; by default all.
        """
        rows = torch.arange(len(cache.seen)) if served is None else torch.nonzero(served).squeeze(1)
        if not len(rows):
            return
        network, every = self.network, served is None
        token = network.embed(event if every else event.take(rows), query=False).unsqueeze(1)  # (R, 1, D)
        position = cache.seen[rows]
        place = position % self.capacity
        if network.config.positions == "learned":
            token = token + network.position[position.clamp(max=network.config.length - 1)].unsqueeze(1)
        earlier = self._seen(position)
        for number, block in enumerate(network.blocks):
            assert isinstance(block, Block)
            query, key, value = block.qkv(token, position.unsqueeze(1))
            keys, values = cache.keys[number], cache.values[number]
            if number + 1 < len(network.blocks):
                old_keys, old_values = (keys, values) if every else (keys[rows], values[rows])
                attended = attend_with_self(query, key, value, old_keys, old_values, earlier)
                token = block.finish(token, attended)
            keys[rows, :, place], values[rows, :, place, :-1] = key.squeeze(2), value.squeeze(2)
        cache.seen[rows] += 1

    def _seen(self, seen: Tensor) -> Tensor:
        """(R, 1, C) places that hold an event a new token may see; the oldest makes room in a full ring."""
        place = torch.arange(self.capacity)
        there = place < seen.unsqueeze(1)
        leaving = (seen.unsqueeze(1) >= self.capacity) & (place == (seen % self.capacity).unsqueeze(1))
        return (there & ~leaving).unsqueeze(1)

    @torch.inference_mode()
    def score(self, cache: Cache, candidates: Tokens) -> dict[str, Tensor]:
        """Raw outputs by head for (B, K) candidates, each of which sees the history and itself alone."""
        return self.network.read(self.shared(cache, candidates))

    @torch.inference_mode()
    def shared(self, cache: Cache, candidates: Tokens) -> Tensor:
        """(B, K, S) what the heads read of candidates."""
        network = self.network
        asked = network.embed(candidates, query=True)
        width = asked.shape[1]
        if network.config.positions == "learned":
            asked = asked + network.position[cache.seen.clamp(max=network.config.length)].unsqueeze(1)
        own = asked
        place = torch.arange(self.capacity)
        there = place < cache.seen.unsqueeze(1)
        position = cache.seen.unsqueeze(1).expand(-1, width)
        earlier = there.unsqueeze(1).expand(-1, width, -1)
        for number, block in enumerate(network.blocks):
            assert isinstance(block, Block)
            query, key, value = block.qkv(asked, position)
            attended = attend_with_self(query, key, value, cache.keys[number], cache.values[number], earlier)
            asked = block.finish(asked, attended)
        return network.share(network.norm(asked), own)
