"""Several processes as one: what those that `torchrun` started have to agree on."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from svsim.errors import SvsimError

__all__ = ["Processes", "join_processes"]

T = TypeVar("T")


def join_processes() -> None:
    """Join the processes that `torchrun` started; alone, nothing happens."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        dist.init_process_group("gloo")


@dataclass(frozen=True)
class Processes:
    """This process among the others.

    Attributes:
        rank: Its number; the first one writes.
        count: How many there are.
    """

    rank: int = 0
    count: int = 1

    @classmethod
    def joined(cls) -> Self:
        """Those that `join_processes` joined."""
        return cls(dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else cls()

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def decide(self, question: Callable[[], T]) -> T:
        """What the first process finds, in all of them; what it raises, all raise."""
        if self.count == 1:
            return question()
        told: list[Any] = [None, None]
        if self.is_first:
            try:
                told[0] = question()
            except SvsimError as error:
                told[1] = error
        dist.broadcast_object_list(told, src=0)
        if told[1] is not None:
            raise told[1]
        answer: T = told[0]
        return answer

    def sum_values(self, values: dict[str, float]) -> dict[str, float]:
        """Sums of values by name."""
        if self.count == 1:
            return values
        together = torch.tensor(list(values.values()), dtype=torch.float64)
        dist.all_reduce(together)
        return dict(zip(values, together.tolist(), strict=True))

    def sum_gradients(self, parameters: list[torch.nn.Parameter]) -> None:
        """Sum gradients in one message."""
        if self.count == 1:
            return
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in parameters])
        dist.all_reduce(flat)
        start = 0
        for parameter in parameters:
            size = parameter.numel()
            parameter.grad = flat[start : start + size].view_as(parameter)
            start += size

    def sum_rows(self, rows: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Sum gradients of some rows of a table: rows (n,) ascending and gradients (n, D) of all processes together."""
        if self.count == 1:
            return rows, gradient
        parts: list[Any] = [None] * self.count
        dist.all_gather_object(parts, (rows, gradient))
        every, place = torch.unique(torch.cat([part[0] for part in parts]), return_inverse=True)
        total = gradient.new_zeros(len(every), gradient.shape[1])
        total.index_add_(0, place, torch.cat([part[1] for part in parts]))
        return every, total
