"""The response network: an ensemble of small networks side by side, in torch for training.

    z₁ = relu(W_u u + W_v v + W_b b + c₁)      z₂ = relu(W₂ z₁ + c₂)
    o = W₃ z₂ + S_u u + S_v v + S_b b + c₃ + [chance] S_c v
    η_p = o_p + s_p f · repeats                 log-hazards of stopping by phase (`watch`)
    P(no play) = σ(o)                           P(flag | play, like) = σ(o + g · play features + l · like)

u, v and b are the standardised blocks of user, video and both (`inputs`). S_c tells what the video's numbers are worth where
chance chose it: a policy shows the good ones to those who like them less, and so hides what makes them good. Members have
their own weights and see their own resample of users; their mean answers, their spread says how far they agree. What
repetition costs, f, starts from a prior and stays near it where the log says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, dropout, relu

from svsim.models.response.config import ResponseConfig
from svsim.models.response.forward import (
    AFTER_LIKE,
    FLAG_OUTPUTS,
    N_OUTPUTS,
    N_PLAY_FEATURES,
    PRIOR_REPEATS,
    REPEAT_SHARES,
)
from svsim.models.response.inputs import N_NUMBERS
from svsim.models.response.watch import N_PHASES

__all__ = ["ResponseNetwork", "Targets"]


@dataclass(frozen=True)
class Targets:
    """What came of rows.

    Attributes:
        lived: (n, 7) baseline hazard lived through by phase.
        ended: (n,) phase in which the play ended, −1 no play.
        flags: (n, 5) in the order of `FLAG_OUTPUTS`.
        play: (n, 12) play features.
        limits: (2, n, 7) baseline hazard up to the limits of a click and of a long view.
        reached: (2, n) whether they were reached.
    """

    lived: Tensor
    ended: Tensor
    flags: Tensor
    play: Tensor
    limits: Tensor
    reached: Tensor


class ResponseNetwork(nn.Module):
    """M networks side by side.

    Args:
        config: Sizes.
        widths: Columns of the blocks of user, video and both.
    """

    def __init__(self, config: ResponseConfig, widths: tuple[int, int, int]) -> None:
        super().__init__()
        self.config, self.widths = config, widths
        members, hidden, columns = config.members, config.hidden, sum(widths)
        self.first = nn.Parameter(torch.randn(columns, members * hidden) * (1.5 / columns**0.5))
        self.first_bias = nn.Parameter(torch.zeros(members * hidden))
        self.second = nn.Parameter(torch.randn(members, hidden, hidden) * (1.4 / hidden**0.5))
        self.second_bias = nn.Parameter(torch.zeros(members, 1, hidden))
        self.third = nn.Parameter(torch.randn(members, hidden, N_OUTPUTS) * (0.3 / hidden**0.5))
        self.third_bias = nn.Parameter(torch.zeros(members, 1, N_OUTPUTS))
        self.skip = nn.Parameter(torch.zeros(columns, members * N_OUTPUTS))
        self.by_chance = nn.Parameter(torch.zeros(N_NUMBERS, members * N_OUTPUTS))
        self.flag_play = nn.Parameter(torch.zeros(len(FLAG_OUTPUTS), N_PLAY_FEATURES))
        self.flag_like = nn.Parameter(torch.zeros(len(FLAG_OUTPUTS)))
        self.repeats = nn.Parameter(torch.tensor(PRIOR_REPEATS))
        self.register_buffer("shares", torch.tensor(REPEAT_SHARES), persistent=False)
        self.register_buffer("after_like", torch.tensor(AFTER_LIKE), persistent=False)

    def forward(self, blocks: tuple[Tensor, Tensor, Tensor], repeats: Tensor, chance: Tensor) -> Tensor:
        """(M, n, 13) outputs: log-hazards by phase, no play, flags as if there were no play and no like.

        Args:
            blocks: Of user (n, U), video (n, V) and both (n, 4), standardised.
            repeats: (n, 3).
            chance: (n,) whether chance chose the video.
        """
        config, x = self.config, torch.cat(blocks, dim=1)
        hidden = relu(x @ self.first + self.first_bias).view(len(x), config.members, -1).transpose(0, 1)
        hidden = dropout(hidden, config.dropout, self.training)
        hidden = relu(torch.baddbmm(self.second_bias, hidden, self.second))
        hidden = dropout(hidden, config.dropout, self.training)
        out = torch.baddbmm(self.third_bias, hidden, self.third)
        around = x @ self.skip
        rows = torch.nonzero(chance).squeeze(1)
        if len(rows):
            around = around.index_add(0, rows, blocks[1][rows, :N_NUMBERS] @ self.by_chance)
        out = out + around.view(len(x), config.members, -1).transpose(0, 1)
        assert isinstance(self.shares, Tensor)
        tired = (repeats @ self.repeats).unsqueeze(1) * self.shares
        return torch.cat([out[..., :N_PHASES] + tired, out[..., N_PHASES:]], dim=-1)

    def losses(self, outputs: Tensor, targets: Targets) -> dict[str, Tensor]:
        """(M, n) losses by name.

        The likelihood of each row's `watch`, `no_play` and `flags`, and once more that of reaching the `limits` of a click
        and of a long view, which everything else hangs on.
        """
        hazard = outputs[..., :N_PHASES].clamp(-12, 8)
        rate = hazard.exp()
        played = targets.ended >= 0
        at = targets.ended.clamp(min=0).long().expand(len(outputs), -1).unsqueeze(-1)
        watch = (rate * targets.lived).sum(-1) - hazard.gather(-1, at).squeeze(-1) * played
        quiet = (~played).float().expand(len(outputs), -1)
        no_play = binary_cross_entropy_with_logits(outputs[..., N_PHASES], quiet, reduction="none")
        assert isinstance(self.after_like, Tensor)
        extra = targets.play @ self.flag_play.T + targets.flags[:, :1] * self.flag_like * self.after_like
        logits = outputs[..., N_PHASES + 1 :] + extra
        wanted = targets.flags.expand_as(logits)
        flags = binary_cross_entropy_with_logits(logits, wanted, reduction="none").sum(-1)
        played_at_all = torch.sigmoid(-outputs[..., N_PHASES])
        limits = torch.zeros_like(watch)
        for lived, reached in zip(targets.limits, targets.reached, strict=True):
            share = (played_at_all * torch.exp(-(rate * lived).sum(-1))).clamp(1e-6, 1 - 1e-6)
            limits = limits - torch.where(reached > 0, share.log(), (-share).log1p())
        return {"watch": watch, "no_play": no_play, "flags": flags, "limits": self.config.limits_weight * limits}

    def prior_loss(self) -> Tensor:
        """Pull of the repeats' costs to their prior: so many nats a unit squared."""
        prior = self.repeats.new_tensor(PRIOR_REPEATS)
        return self.config.prior_strength * (self.repeats - prior).square().sum()

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """Weights by name, for `forward.Weights`."""
        return {name: value.detach().numpy() for name, value in self.named_parameters()}
