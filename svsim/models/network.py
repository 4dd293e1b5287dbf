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
from torch.nn.functional import embedding, gelu, scaled_dot_product_attention, softplus

from svsim.models.config import ModelConfig
from svsim.models.embedding import Table
from svsim.models.inputs import CATEGORIES, FEEDBACK_INPUTS, NUMBERS
from svsim.models.watch import WATCH_BINS
from svsim.names import USER_FEATURES

__all__ = ["Block", "SASRec4SV", "Tokens", "attend_with_self", "with_ones"]

MOMENT = ("tab", "hour")
"""The first categories: what is known of the moment and not of the video."""
QUERIES = 125
"""Queries that attend together."""
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
    """(…, U) user features; where the tokens are rows of one user each, one place a row is enough."""
    feedback: Tensor
    """(…, F); not read of queries."""
    wait: Tensor
    """(…,) as `windows.waiting` gives it; read of queries alone."""

    def take(self, index: object) -> Self:
        """The tokens that an index picks."""
        each = {field.name: getattr(self, field.name) for field in fields(self)}
        each["profile"] = self.profile.expand(*self.shape, -1)
        return type(self)(**{name: values[index] for name, values in each.items()})

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
            sizes = list(CATEGORIES.values())
            self.category_table = nn.Parameter(torch.randn(sum(sizes), part) * 0.05)
            self.category_offset: Tensor
            offset = torch.tensor([0, *sizes[:-1]]).cumsum(dim=0)
            self.register_buffer("category_offset", offset, persistent=False)
            self.number_in = nn.Linear(len(NUMBERS), 2 * width)
            self.profile_in = nn.Linear(len(USER_FEATURES), 2 * width, bias=False)
            self.content_in = nn.Sequential(nn.GELU(), nn.Linear(2 * width, part))
            self.wait_in = nn.Sequential(nn.Linear(2, width), nn.GELU(), nn.Linear(width, part))
        if config.positions == "learned":
            self.position = nn.Parameter(torch.randn(config.length + 1, width) * 0.02)
        self.embedding_dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(width)
        hidden = 4 * width
        self.shared = nn.Sequential(nn.Linear(2 * width, hidden), nn.GELU(), Dropout(config.dropout))
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
            content = self.content_in(self.number_in(tokens.number) + self.profile_in(tokens.profile))
            content = content + embedding(tokens.tag_set, self.tag_bag @ self.tag_table)
            category = self._forgetful(tokens.category) if query and self.training else tokens.category
            # All six lookups and their sum as one product: twice as fast as tables of so few rows.
            hot = content.new_zeros(*category.shape[:-1], len(self.category_table))
            content = content + hot.scatter_(-1, category + self.category_offset, 1.0) @ self.category_table
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
        parts = _parts(visible, place)
        for number, block in enumerate(self.blocks):
            last = number + 1 == len(self.blocks)
            past, asked = block(past, asked, parts, place, visible, last)
        return self.read(self.share(self.norm(asked), own))

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

    def share(self, trunk: Tensor, own: Tensor) -> Tensor:
        """(…, S) what the heads read of queries, from the trunk (…, D) and their own tokens (…, D)."""
        return cast(Tensor, self.shared(torch.cat([trunk, own], dim=-1)))

    def read(self, shared: Tensor) -> dict[str, Tensor]:
        """Outputs by head, from what they read (…, S)."""
        outputs: dict[str, Tensor] = {}
        for name, head in self.heads.items():
            raw = head(shared)
            raw = raw.squeeze(-1) if OUTPUTS[name] == 1 else raw
            # A rectifier that starts below zero gets no gradient: it would predict nought for ever.
            outputs[name] = softplus(raw) if name == "wtr" else raw
        return outputs


class Dropout(nn.Module):
    """Dropout by random bytes: eight elements a draw, where torch draws each by itself and takes five times as long.

    Args:
        chance: Of an element to be dropped, to a 256th.
    """

    def __init__(self, chance: float) -> None:
        super().__init__()
        self.threshold = round(256 * chance)

    def forward(self, values: Tensor) -> Tensor:
        """Values of the same shape; as they are while not training."""
        if not self.training or not self.threshold:
            return values
        words = torch.empty((values.numel() + 7) // 8, dtype=torch.int64, device=values.device)
        draws = words.random_(-(2**63), None).view(torch.uint8)[: values.numel()].view(values.shape)
        kept = (draws >= self.threshold).to(values.dtype).mul_(256 / (256 - self.threshold))
        return values * kept


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
        self.dropout = Dropout(config.dropout)

    def forward(
        self, past: Tensor, asked: Tensor, parts: list[Part], place: Tensor, visible: Tensor, last: bool
    ) -> tuple[Tensor, Tensor]:
        """One step of both streams: history (B, T, D) and queries (B, Q, D); nobody reads the last step of the history."""
        if last:
            after = past
            _, key, value = self.qkv(past, place)
        else:
            after, key, value = self.past(past, place)
        own = self.qkv(asked, visible)
        attended, value = [], with_ones(value)
        for chosen, most, earlier in parts:
            query, own_key, own_value = (each[:, :, chosen] for each in own)
            attended.append(attend_with_self(query, own_key, own_value, key[:, :, :most], value[:, :, :most], earlier))
        return after, self.finish(asked, torch.cat(attended, dim=2))

    def past(self, past: Tensor, place: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One step of the history stream (B, T, D), and the keys and values (B, h, T, d) that it leaves."""
        query, key, value = self.qkv(past, place)
        attended = scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.finish(past, attended), key, value

    def qkv(self, tokens: Tensor, position: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (B, h, n, d); the first two turned by their positions."""
        split = self.project(self.before(tokens)).unflatten(-1, (3, self.heads, -1))  # (B, n, 3, h, d)
        turned, value = split.split([2, 1], dim=2)
        if self.rotary:
            turned = rotate(turned, position)
        query, key = (part.transpose(1, 2) for part in turned.unbind(dim=2))
        if self.average:
            query = torch.zeros_like(query)  # weighs all that it sees alike
        return query, key, value.squeeze(2).transpose(1, 2)

    def finish(self, tokens: Tensor, attended: Tensor) -> Tensor:
        """Residual of attention (B, h, n, d), then the feed-forward part."""
        merged = self.out(attended.transpose(1, 2).flatten(-2))
        tokens = tokens + self.dropout(self.after(merged))
        fed = self.feed_out(gelu(self.feed_in(self.before_feed(tokens))))
        return cast(Tensor, tokens + self.dropout(self.after_feed(fed)))


Part = tuple[slice, int, Tensor]
"""Some queries, how many events they see at most, and (B, Q, most) which of those each sees."""


def _parts(visible: Tensor, place: Tensor) -> list[Part]:
    """Queries by the hundred: where later ones see more, the early ones need not be compared with all of the history."""
    parts = []
    for start in range(0, visible.shape[1], QUERIES):
        seen = visible[:, start : start + QUERIES]
        most = int(seen.max()) if seen.numel() else 0
        parts.append((slice(start, start + QUERIES), most, place[:most] < seen.unsqueeze(-1)))
    return parts


def attend_with_self(
    query: Tensor, own_key: Tensor, own_value: Tensor, key: Tensor, value: Tensor, earlier: Tensor
) -> Tensor:
    """(B, h, Q, d) attention of queries over history where `earlier` (B, Q, T), and over themselves.

    Args:
        query: (B, h, Q, d) of the queries.
        own_key: Likewise.
        own_value: Likewise.
        key: (B, h, T, d) of the history.
        value: (B, h, T, d + 1) of the history, `with_ones`.
        earlier: (B, Q, T) what each query sees.
    """
    query = query * query.shape[-1] ** -0.5
    scores = (query @ key.transpose(-1, -2)).masked_fill_(~earlier.unsqueeze(1), float("-inf"))
    own = (query * own_key).sum(dim=-1, keepdim=True)
    # A softmax over history and itself, in place and without joining the two.
    most = own.detach()
    if scores.shape[-1]:
        most = torch.maximum(scores.detach().amax(dim=-1, keepdim=True), most)
    weight, own_weight = scores.sub_(most).exp_(), (own - most).exp()
    both = weight @ value
    return (both[..., :-1] + own_weight * own_value) / (both[..., -1:] + own_weight)


def with_ones(value: Tensor) -> Tensor:
    """Values with a column of ones, so that the sum of attention's weights comes from the same product."""
    return torch.cat([value, value.new_ones(*value.shape[:-1], 1)], dim=-1)


def rotate(vectors: Tensor, position: Tensor) -> Tensor:
    """Turn pairs of (B, n, …, d) by angles that grow with their position, (n,) or (B, n): as complex numbers, in one go."""
    pairs = torch.view_as_complex(vectors.float().reshape(*vectors.shape[:-1], -1, 2))  # (B, n, …, d/2)
    half = pairs.shape[-1]
    frequency = 10_000.0 ** (-torch.arange(half, device=vectors.device, dtype=torch.float32) / half)
    angle = position.to(torch.float32).unsqueeze(-1) * frequency
    angle = angle.view(*angle.shape[:-1], *[1] * (vectors.dim() - 3), half)  # (n or (B, n), 1, …, d/2)
    turned = pairs * torch.polar(torch.ones_like(angle), angle)
    return torch.view_as_real(turned).flatten(-2).to(vectors.dtype)
