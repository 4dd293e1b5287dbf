"""SASRec4SV: a causal self-attention model that predicts how a user takes the next video.

Two streams share one trunk. The history stream holds past events with their feedback and attends causally. A query is a
video that may be served: content, and "unknown" in place of the feedback; it attends to the history of strictly earlier
requests and to itself. So a query's prediction cannot know its own feedback, nor that of its request.

Shapes: B users, T past events, Q queries of each user, D width, h attention heads, d = D / h.
Source: Kang and McAuley 2018, "Self-attentive sequential recommendation"; the SASRec4SV paper (2023); rotary positions of
Su et al. 2021.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention, softplus

from svsim.models.config import ModelConfig
from svsim.models.embedding import Table
from svsim.models.inputs import CATEGORIES, FEEDBACK_INPUTS, NUMBERS
from svsim.models.watch import WATCH_BINS
from svsim.names import USER_FEATURES

__all__ = ["Block", "SASRec4SV", "Tokens", "attend_with_self"]

MOMENT = ("tab", "hour")
"""The first categories: what is known of the moment and not of the video."""
FLAGS = 7
"""Outputs of the feedback head, in the order of `names.FLAGS`."""
OUTPUTS = {"wtr": 1, "binary": 1, "wtg": 2, "feedback": FLAGS, "watch": WATCH_BINS}
"""Numbers that each head puts out; `wtg`: the gain, and the logit of its relevance."""


@dataclass
class Tokens:
    """Inputs of tokens, of any leading shape (…)."""

    user: Tensor
    """(…,) int rows."""
    video: Tensor
    """(…,) int rows; 0 padding."""
    author: Tensor
    """(…,) int rows."""
    tag_set: Tensor
    """(…,) int rows."""
    number: Tensor
    """(…, N) standardised."""
    category: Tensor
    """(…, 6) int."""
    profile: Tensor
    """(…, U) user features."""
    feedback: Tensor
    """(…, F); not read of queries."""
    wait: Tensor
    """(…,) as `windows.waiting` gives it; read of queries alone."""

    def take(self, index: object) -> Self:
        """The tokens that an index picks."""
        return type(self)(**{field.name: getattr(self, field.name)[index] for field in fields(self)})

    @property
    def shape(self) -> torch.Size:
        """Leading shape."""
        return self.video.shape


class SASRec4SV(nn.Module):
    """The network.

    Args:
        config: Sizes and forms.
        rows: Rows of the user, video and author tables.
        tag_bag: (sets + 1, tags) each tag set as a mean over tags, row 0 none.
    """

    def __init__(self, config: ModelConfig, rows: tuple[int, int, int], tag_bag: Tensor) -> None:
        super().__init__()
        self.config = config
        width = config.width
        part = width if config.fields == "sum" else width // 4
        self.user_table = Table(rows[0], part) if config.user_ids else None
        self.video_table = Table(rows[1], part)
        self.author_table = Table(rows[2], part)
        self.feedback_in = nn.Linear(len(FEEDBACK_INPUTS), part)
        self.unknown = nn.Parameter(torch.zeros(part))
        if config.content:
            self.tag_bag: Tensor
            self.register_buffer("tag_bag", tag_bag)
            self.tag_table = nn.Parameter(torch.randn(tag_bag.shape[1], part) * 0.05)
            self.category_tables = nn.ModuleList(nn.Embedding(size, part) for size in CATEGORIES.values())
            for table in self.category_tables:
                nn.init.normal_(table.weight, std=0.05)  # type: ignore[arg-type]
            known = len(NUMBERS) + len(USER_FEATURES)
            self.content_in = nn.Sequential(nn.Linear(known, 2 * width), nn.GELU(), nn.Linear(2 * width, part))
            self.wait_in = nn.Sequential(nn.Linear(2, width), nn.GELU(), nn.Linear(width, part))
        if config.positions == "learned":
            self.position = nn.Parameter(torch.randn(config.length + 1, width) * 0.02)
        self.embedding_dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(width)
        hidden = 4 * width
        self.shared = nn.Sequential(nn.Linear(2 * width, hidden), nn.GELU(), nn.Dropout(config.dropout))
        self.heads = nn.ModuleDict({name: nn.Linear(hidden, OUTPUTS[name]) for name in config.heads})

    # --- tokens -------------------------------------------------------------------------------------------------------

    def embed(self, tokens: Tokens, *, query: bool) -> Tensor:
        """(…, D) tokens before the first block."""
        video, author, user = tokens.video, tokens.author, tokens.user
        if self.training and self.config.id_dropout:
            # One row of hashed ids stands for "any": what the unknown falls back on.
            drop = torch.rand(video.shape, device=video.device) < self.config.id_dropout
            video, author = torch.where(drop & (video > 0), 1, video), torch.where(drop & (author > 0), 1, author)
            user = torch.where(drop & (user > 0), 1, user)
        feedback = self.unknown.expand(*tokens.shape, -1) if query else self.feedback_in(tokens.feedback)
        parts = [self.video_table(video), self.author_table(author), feedback]
        if self.user_table is not None:
            parts.append(self.user_table(user))
        if self.config.content:
            content = self.content_in(torch.cat([tokens.number, tokens.profile], dim=-1))
            content = content + (self.tag_bag @ self.tag_table)[tokens.tag_set]
            category = self._forgetful(tokens.category) if query and self.training else tokens.category
            for column, table in enumerate(self.category_tables):
                content = content + table(category[..., column])
            if query:
                content = content + self.wait_in(torch.stack([tokens.wait, tokens.wait.square()], dim=-1))
            parts.append(content)
        if self.config.fields == "concat":
            token = torch.cat([*parts, *[torch.zeros_like(feedback)] * (4 - len(parts))], dim=-1)
        else:
            token = torch.stack(parts).sum(dim=0)
        return cast(Tensor, self.embedding_dropout(token))

    def _forgetful(self, category: Tensor) -> Tensor:
        """Categories with tab and hour sometimes unknown, as an agent's candidates have them."""
        known = torch.rand((*category.shape[:-1], len(MOMENT)), device=category.device) >= self.config.moment_dropout
        return torch.cat([category[..., : len(MOMENT)] * known, category[..., len(MOMENT) :]], dim=-1)

    # --- full pass ----------------------------------------------------------------------------------------------------

    def forward(self, history: Tokens, queries: Tokens, visible: Tensor) -> dict[str, Tensor]:
        """Predictions of queries.

        Args:
            history: (B, T) past events, oldest first, padding at the end.
            queries: (B, Q) videos.
            visible: (B, Q) how many of the row's first events each query may see.

        Returns:
            Raw outputs by head: (B, Q) or (B, Q, outputs).
        """
        past, asked = self.embed(history, query=False), self.embed(queries, query=True)
        length = history.shape[1]
        if self.config.positions == "learned":
            past = past + self.position[:length]
            asked = asked + self.position[visible.clamp(max=self.config.length)]
        own = asked
        place = torch.arange(length, device=past.device)
        earlier = place < visible.unsqueeze(-1)  # (B, Q, T)
        for block in self.blocks:
            past, asked = block(past, asked, earlier, place, visible)
        return self.predict(self.norm(asked), own)

    def encode(self, history: Tokens) -> Tensor:
        """(B, T, D) what the trunk makes of each past event and those before it: the history stream alone."""
        past = self.embed(history, query=False)
        length = history.shape[1]
        if self.config.positions == "learned":
            past = past + self.position[:length]
        place = torch.arange(length, device=past.device)
        for block in self.blocks:
            assert isinstance(block, Block)
            past = block.past(past, place)[0]
        return cast(Tensor, self.norm(past))

    def predict(self, trunk: Tensor, own: Tensor) -> dict[str, Tensor]:
        """Outputs by head of queries, from the trunk (…, D) and their own tokens (…, D)."""
        shared = self.shared(torch.cat([trunk, own], dim=-1))
        outputs: dict[str, Tensor] = {}
        for name, head in self.heads.items():
            raw = head(shared)
            raw = raw.squeeze(-1) if OUTPUTS[name] == 1 else raw
            # A rectifier that starts below zero gets no gradient: it would predict nought for ever.
            outputs[name] = softplus(raw) if name == "wtr" else raw
        return outputs


class Block(nn.Module):
    """Attention and a feed-forward part, each with its norm before and after."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.attention_heads
        self.rotary = config.positions == "rotary"
        self.average = config.trunk == "average"
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.before_feed, self.after_feed = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width)
        self.feed_in, self.feed_out = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, past: Tensor, asked: Tensor, earlier: Tensor, place: Tensor, visible: Tensor
    ) -> tuple[Tensor, Tensor]:
        """One step of both streams: history (B, T, D) and queries (B, Q, D)."""
        after, key, value = self.past(past, place)
        own_query, own_key, own_value = self.qkv(asked, visible)
        attended = attend_with_self(own_query, own_key, own_value, key, value, earlier)
        return after, self.finish(asked, attended)

    def past(self, past: Tensor, place: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One step of the history stream (B, T, D), and the keys and values (B, h, T, d) that it leaves."""
        query, key, value = self.qkv(past, place)
        attended = scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.finish(past, attended), key, value

    def qkv(self, tokens: Tensor, position: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (B, h, n, d); the first two turned by their positions."""
        split = self.project(self.before(tokens)).unflatten(-1, (3, self.heads, -1))  # (B, n, 3, h, d)
        query, key, value = (part.transpose(1, 2) for part in split.unbind(dim=2))
        if self.average:
            query = torch.zeros_like(query)  # weighs all that it sees alike
        if self.rotary:
            query, key = rotate(query, position), rotate(key, position)
        return query, key, value

    def finish(self, tokens: Tensor, attended: Tensor) -> Tensor:
        """Residual of attention (B, h, n, d), then the feed-forward part."""
        merged = self.out(attended.transpose(1, 2).flatten(-2))
        tokens = tokens + self.dropout(self.after(merged))
        fed = self.feed_out(gelu(self.feed_in(self.before_feed(tokens))))
        return cast(Tensor, tokens + self.dropout(self.after_feed(fed)))


def attend_with_self(
    query: Tensor, own_key: Tensor, own_value: Tensor, key: Tensor, value: Tensor, earlier: Tensor
) -> Tensor:
    """(B, h, Q, d) attention of queries over history (B, h, T, d) where `earlier` (B, Q, T), and over themselves."""
    scale = query.shape[-1] ** -0.5
    scores = (query @ key.transpose(-1, -2)) * scale
    scores = scores.masked_fill(~earlier.unsqueeze(1), float("-inf"))
    own = (query * own_key).sum(dim=-1, keepdim=True) * scale
    weight = torch.softmax(torch.cat([scores, own], dim=-1), dim=-1)
    return weight[..., :-1] @ value + weight[..., -1:] * own_value


def rotate(vectors: Tensor, position: Tensor) -> Tensor:
    """Turn pairs of (B, h, n, d) by angles that grow with their position, (n,) or (B, n)."""
    half = vectors.shape[-1] // 2
    frequency = 10_000.0 ** (-torch.arange(half, device=vectors.device, dtype=torch.float32) / half)
    angle = position.to(torch.float32).unsqueeze(-1) * frequency
    if angle.dim() == 3:
        angle = angle.unsqueeze(1)  # (B, 1, n, d/2)
    cos, sin = angle.cos().to(vectors.dtype), angle.sin().to(vectors.dtype)
    one, two = vectors[..., :half], vectors[..., half:]
    return torch.cat([one * cos - two * sin, one * sin + two * cos], dim=-1)
