"""Embedding tables whose update touches a batch's rows alone.

A dense Adam step on 4.37 million rows costs forty times the model. Here the rows of a batch are gathered into a leaf with a
dense gradient of the rows' own size; row-wise Adagrad (one accumulator a row) writes them back.
Source of the update: Duchi et al. 2011, with one accumulator a row as in the deep-learning recommendation models.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Table"]


class Table(nn.Module):
    """An embedding table, row 0 padding.

    Small tables are plain parameters. After `by_rows()` the weight is no parameter any more: `begin_batch` names the rows
    of a batch, lookups go through their copy, `rows_step` writes back what Adagrad makes of their gradient.

    Args:
        rows: Rows, padding among them.
        width: Of a row.
    """

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        weight = torch.empty(rows, width).normal_(std=0.05)
        weight[0] = 0
        self.weight: Tensor = nn.Parameter(weight)
        self.sum_of_squares: Tensor | None
        self.register_buffer("sum_of_squares", None, persistent=False)
        self._touched: Tensor | None = None
        self._leaf: Tensor | None = None

    @property
    def is_by_rows(self) -> bool:
        """Whether updates touch a batch's rows alone."""
        return self.sum_of_squares is not None

    def by_rows(self) -> None:
        """Update by rows from now on."""
        weight = self.weight.detach()
        del self.weight
        self.register_buffer("weight", weight)
        self.sum_of_squares = torch.zeros(len(weight))

    def begin_batch(self, *rows: Tensor) -> None:
        """Gather the rows that the batch will look up."""
        if not self.is_by_rows:
            return
        self._touched = torch.unique(torch.cat([part.reshape(-1) for part in rows] + [rows[0].new_tensor([0, 1])]))
        self._leaf = self.weight[self._touched].requires_grad_()

    def end_batch(self) -> None:
        """Forget the gathered rows."""
        self._touched = self._leaf = None

    def forward(self, rows: Tensor) -> Tensor:
        """(…, width) embeddings."""
        if self._leaf is None or self._touched is None:
            return nn.functional.embedding(rows, self.weight, padding_idx=0)
        return nn.functional.embedding(torch.searchsorted(self._touched, rows), self._leaf)

    @property
    def touched(self) -> tuple[Tensor, Tensor]:
        """Rows of the batch, ascending, and their gradient (n, width)."""
        assert self._leaf is not None
        assert self._touched is not None
        return self._touched, torch.zeros_like(self._leaf) if self._leaf.grad is None else self._leaf.grad

    @torch.no_grad()
    def rows_step(self, rows: Tensor, gradient: Tensor, learning_rate: float) -> None:
        """Row-wise Adagrad: w −= lr · g / √(Σ mean(g²) + ε), row by row; padding stays nought."""
        assert self.sum_of_squares is not None
        squares = self.sum_of_squares[rows] + gradient.square().mean(dim=1)
        self.sum_of_squares[rows] = squares
        step = gradient * (learning_rate / (squares.sqrt() + 1e-8)).unsqueeze(1)
        step[rows == 0] = 0
        self.weight[rows] -= step
