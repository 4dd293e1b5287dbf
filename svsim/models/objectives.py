"""What a batch's losses are added up to: the plain mean, or one that cares for groups of users.

A query is one exposure whose outcome is predicted, its loss l_i the weighted sum of its heads'. The plain mean over queries
serves whoever has most of them. The others weigh a batch's queries by w_i, that depend on the losses of the **whole batch**
(all processes' parts together), are taken as constants, and make Σ w_i l_i the objective's value:

- `reweight`: every group weighs the same. Σ_i (n / (G n_g(i))) l_i / B for a batch of B queries.
- `group-dro`: Σ_g q_g l_g with l_g the mean loss of the batch's queries of group g, and q growing where the loss is large.
- `cvar`: the mean over the worst share α of the batch's users, a user's loss being the mean of their queries'.

Where weights follow from losses, the gradient of Σ w_i l_i at constant w is the objective's own: for `cvar` by Danskin's
theorem (the weights are the maximising ones), for `group-dro` because that is the algorithm.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from svsim.data.groups import UserGroups, user_groups
from svsim.data.store import FeedStore
from svsim.errors import OptionError
from svsim.models.config import TrainingConfig

__all__ = [
    "CVaR",
    "GroupDRO",
    "Objective",
    "Reweight",
    "balancing_weights",
    "cvar_weights",
    "make_objective",
    "next_shares",
    "sums_by_code",
]

Together: TypeAlias = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Adds up the parts of a batch: (k,) ascending codes and (k, 2) sums of one part, the same of all parts."""


def _alone(codes: Tensor, sums: Tensor) -> tuple[Tensor, Tensor]:
    return codes, sums


# --- formulas ---------------------------------------------------------------------------------------------------------


def sums_by_code(loss: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
    """Losses added up by code (a user's, or a group's).

    Args:
        loss: (n,) of each query.
        code: (n,) int64 of each query.

    Returns:
        (k,) codes that occur, ascending; (k, 2) float64 sum of their losses and number of their queries.
    """
    found, place = torch.unique(code, return_inverse=True)
    sums = torch.zeros(len(found), 2, dtype=torch.float64)
    sums.index_add_(0, place, torch.stack([loss.double(), torch.ones(len(loss), dtype=torch.float64)], dim=1))
    return found, sums


def balancing_weights(queries: Tensor) -> Tensor:
    """Weights of queries under which every group weighs the same: n / (G n_g).

    Their mean over the n queries is 1. G counts the groups that have queries; the others' weight is 0.

    Args:
        queries: (G,) n_g, queries of each group.

    Returns:
        (G,) float64.
    """
    counts = queries.double()
    met = counts > 0
    return torch.where(met, counts.sum() / (met.sum() * counts.clamp(min=1)), 0.0)


def next_shares(shares: Tensor, group: Tensor, loss: Tensor, step: float) -> Tensor:
    """Exponentiated gradient: q_g ∝ q_g exp(η l_g), among the groups that a batch has.

    A group without queries in the batch keeps its q. (Sagawa et al. draw from one group at a time and norm over all: with
    losses above 0 that takes from whoever is absent, and the rare would lose for being rare.)

    Source: Sagawa, Koh, Hashimoto, Liang 2020, "Distributionally robust neural networks for group shifts", algorithm 1.

    Args:
        shares: (G,) q, adding up to 1.
        group: (k,) int64 groups that the batch has.
        loss: (k,) their mean losses.
        step: η, above 0, per unit of loss.

    Returns:
        (G,) q, adding up to 1.
    """
    if not len(group):
        return shares
    # In logarithms, and never from nought: nothing overflows, and who was at nought comes back.
    odds = shares[group].clamp(min=torch.finfo(shares.dtype).tiny).log() + step * loss
    moved = shares.clone()
    moved[group] = torch.softmax(odds, dim=0) * shares[group].sum()
    return moved


def cvar_weights(loss: Tensor, share: float) -> Tensor:
    """Weights under which a sum of losses is the mean over the worst share of them.

    CVaR_α = max {Σ p_u l_u : 0 ≤ p_u ≤ 1 / (α U), Σ p_u = 1}. The worst ⌊α U⌋ get 1 / (α U), the next one what is left: a
    user on the boundary counts by a fraction. α = 1 is the mean, α ≤ 1 / U the largest.

    Source: Rockafellar, Uryasev 2000; as an objective Levy, Carmon, Duchi, Sidford 2020, "Large-scale methods for
    distributionally robust optimization", who show that a batch's value lies below the population's by O(1 / √(α U)).

    Args:
        loss: (U,) of each user.
        share: α in (0, 1].

    Returns:
        (U,) float64, adding up to 1; of equal losses the first ones come first.
    """
    size = share * len(loss)
    weights = torch.zeros(len(loss), dtype=torch.float64)
    rank = torch.arange(len(loss), dtype=torch.float64)
    weights[torch.argsort(loss, descending=True, stable=True)] = (size - rank).clamp(0, 1)
    return weights / weights.sum() if len(loss) else weights


# --- objectives -------------------------------------------------------------------------------------------------------


class Objective(ABC):
    """A way of weighing queries; knows who is in which group."""

    def weigh(self, loss: Tensor, user: Tensor, total: int, together: Together = _alone) -> Tensor:
        """Weights of one part of a batch to learn from; what the objective remembers moves on.

        Args:
            loss: (n,) losses of the part's queries; nothing is learnt through them here.
            user: (n,) int64 their dense users, on the CPU.
            total: Queries of the whole batch.
            together: Adds up the parts of a batch; every part calls it as often as the others do.

        Returns:
            (n,) of the losses' dtype and device: over all parts, Σ w_i l_i is the objective's value.
        """
        return self._weigh(loss.detach().double().cpu(), user, total, together).to(loss)

    def criterion(self, loss: Tensor, user: Tensor) -> float:
        """What a whole split is judged by: (n,) losses and (n,) users of its queries."""
        return self._criterion(loss.double(), user)

    @abstractmethod
    def _weigh(self, loss: Tensor, user: Tensor, total: int, together: Together) -> Tensor: ...

    @abstractmethod
    def _criterion(self, loss: Tensor, user: Tensor) -> float: ...

    def by_group(self, loss: Tensor, user: Tensor) -> dict[str, float]:
        """Mean loss by group, of the groups that have queries; empty without groups."""
        del loss, user
        return {}

    @property
    def shares(self) -> dict[str, float]:
        """Weights by group that move while training; empty where none do."""
        return {}

    def state(self) -> dict[str, Tensor]:
        """What is remembered from batch to batch."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state."""
        del state


class _Grouped(Objective):
    """An objective over groups of users.

    Args:
        groups: Who is in which.
        queries: (G,) training queries of each.

    Raises:
        OptionError: Fewer than two groups have training queries.
    """

    def __init__(self, groups: UserGroups, queries: Tensor) -> None:
        met = [name for name, count in zip(groups.levels, queries.tolist(), strict=True) if count]
        if len(met) < 2:
            raise OptionError(
                f"expected training rows of at least two groups, found {', '.join(met) or 'none'}",
                where=f"groups {groups.name}",
                remedy="choose another grouping, or the objective mean or cvar",
            )
        self.groups, self.queries = groups, queries
        self.code = torch.from_numpy(groups.code)

    def _means(self, loss: Tensor, user: Tensor) -> tuple[Tensor, Tensor]:
        """(k,) groups that have queries, (k,) their mean losses."""
        group, sums = sums_by_code(loss, self.code[user])
        return group, sums[:, 0] / sums[:, 1]

    def by_group(self, loss: Tensor, user: Tensor) -> dict[str, float]:
        """Mean loss by group, of the groups that have queries."""
        group, means = self._means(loss, user)
        return {self.groups.levels[g]: mean for g, mean in zip(group.tolist(), means.tolist(), strict=True)}


class Reweight(_Grouped):
    """Every group weighs the same, by its queries in the training split; judged by the mean of the groups' means."""

    def _weigh(self, loss: Tensor, user: Tensor, total: int, together: Together) -> Tensor:
        del loss, together
        return balancing_weights(self.queries)[self.code[user]] / max(total, 1)

    def _criterion(self, loss: Tensor, user: Tensor) -> float:
        return float(self._means(loss, user)[1].mean())


class GroupDRO(_Grouped):
    """Weight goes where the loss is large, batch by batch (`next_shares`); judged by the worst group.

    As in the source a batch first moves q and is then weighed by it.

    It fails where the groups differ in what cannot be predicted: all weight goes to the noisier group, which gains nothing.

    Args:
        groups: Who is in which.
        queries: (G,) training queries of each.
        step: η.
    """

    def __init__(self, groups: UserGroups, queries: Tensor, step: float) -> None:
        super().__init__(groups, queries)
        self.step = step
        met = (queries > 0).double()
        self.q = met / met.sum()

    def _weigh(self, loss: Tensor, user: Tensor, total: int, together: Together) -> Tensor:
        del total
        group = self.code[user]
        found, sums = together(*sums_by_code(loss, group))
        self.q = next_shares(self.q, found, sums[:, 0] / sums[:, 1], self.step)
        each = torch.zeros_like(self.q)
        each[found] = self.q[found] / sums[:, 1]
        return each[group]

    def _criterion(self, loss: Tensor, user: Tensor) -> float:
        return float(self._means(loss, user)[1].max())

    @property
    def shares(self) -> dict[str, float]:
        """Every group's q."""
        return dict(zip(self.groups.levels, self.q.tolist(), strict=True))

    def state(self) -> dict[str, Tensor]:
        """Its q, (G,)."""
        return {"q": self.q}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on with q."""
        self.q = state["q"].cpu()


class CVaR(Objective):
    """The worst share of the users, whoever they are (`cvar_weights`); judged by the same over the whole split.

    A user's loss is the mean over their queries, so that nobody is among the worst for having many. It fails where a user
    has a query or two in a batch: then the worst are the unlucky, not the badly served. Batches hold windows of like
    length: the worst are found among users of like activity.

    Args:
        share: α in (0, 1].
    """

    def __init__(self, share: float) -> None:
        self.share = share

    def _weigh(self, loss: Tensor, user: Tensor, total: int, together: Together) -> Tensor:
        del total
        users, sums = together(*sums_by_code(loss, user))
        each = cvar_weights(sums[:, 0] / sums[:, 1], self.share) / sums[:, 1]
        return each[torch.searchsorted(users, user)]

    def _criterion(self, loss: Tensor, user: Tensor) -> float:
        _, sums = sums_by_code(loss, user)
        means = sums[:, 0] / sums[:, 1]
        return float((cvar_weights(means, self.share) * means).sum())


def make_objective(training: TrainingConfig, store: FeedStore) -> Objective | None:
    """The objective of a training; None is the plain mean.

    Args:
        training: Names it and its options.
        store: Whose users and training rows.

    Raises:
        OptionError: Fewer than two groups have training rows.
    """
    if training.objective == "mean":
        return None
    if training.objective == "cvar":
        return CVaR(training.worst_share)
    groups = user_groups(store, training.groups)
    rows = groups.code[store.events["user"][store.split_rows("train")]]
    queries = torch.from_numpy(np.bincount(rows, minlength=len(groups.levels)))
    if training.objective == "reweight":
        return Reweight(groups, queries)
    return GroupDRO(groups, queries, training.group_step)
