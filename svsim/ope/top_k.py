"""A deterministic or top-k policy as arrays: the k actions that it takes at each of n logged rows, and how often.

π(a | x) is the mass of the row's actions that equal a, and 0 for all others, so that

    w = π(a | x) / p,   match = 1{π(a | x) > 0},   q̄(x) = Σ_j π_j q̂(x, a_j)

cost n × k, never n × actions. Against uniform logging over K actions about k rows in K match: a deterministic policy keeps
n / K rows, and below a hundred of them an estimate says little (see `Estimate.ess`).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.errors import OptionError
from svsim.ope.estimates import OPEWarning

__all__ = ["Cut", "TopK"]

Floats = npt.NDArray[np.float64]

BLOCK = 4_096
"""Rows compared at a time."""
SLACK = 1e-9
"""Rounding that a sum of probabilities is forgiven."""


@dataclass(frozen=True)
class Cut:
    """What a pool took from a policy."""

    mass: float
    """Mean over rows of the probability that lay outside the pool."""
    empty: int
    """Rows with nothing left: there the policy takes no action, weight and q̄ are 0."""


@dataclass(frozen=True)
class TopK:
    """A policy that takes one of k actions at each of n rows.

    An action may stand twice in a row; its masses add up. Rows may sum to less than 1: the rest of the mass is nowhere, and
    values are those of a policy that earns nothing with it.
    """

    actions: npt.NDArray[Any]
    """(n, k) int, ids as in the log."""
    probabilities: Floats | None = None
    """(n, k) of these actions; None: 1 / k each."""

    def __post_init__(self) -> None:
        shape = self.actions.shape
        if len(shape) != 2 or shape[1] == 0 or self.actions.dtype.kind not in "iu":
            raise OptionError(
                f"expected whole numbers of shape (n, k), found {self.actions.dtype} of shape {shape}", where="actions"
            )
        if self.probabilities is None:
            return
        if self.probabilities.shape != shape:
            raise OptionError(f"expected shape {shape}, found {self.probabilities.shape}", where="probabilities")
        # Negated, so that NaN is found out too.
        low = ~(self.probabilities.min(axis=1) >= 0)
        high = ~(self._mass() <= 1 + SLACK)
        wrong = np.flatnonzero(low | high)
        if len(wrong):
            raise OptionError(
                f"expected 0 or more, at most 1 in sum, found {self.probabilities[wrong[0]]} in row {wrong[0]} "
                f"({len(wrong):,} such rows)",
                where="probabilities",
            )

    def __len__(self) -> int:
        return len(self.actions)

    def _mass(self) -> Floats:
        """(n,) what a row's probabilities sum to."""
        if self.probabilities is None:
            return np.ones(len(self))
        return np.asarray(np.einsum("nk->n", self.probabilities, dtype=np.float64))

    def weight(self, action: npt.ArrayLike, propensity: npt.ArrayLike) -> Floats:
        """Weights of logged actions.

        Args:
            action: (n,) int, what was logged.
            propensity: (n,) its probability under the log's policy, or one for all rows.

        Returns:
            (n,) w = π(a | x) / p.

        Raises:
            OptionError: Other lengths; a propensity that is not above 0 and up to 1.
        """
        chance = self._propensity(propensity)
        mass = np.zeros(len(self))
        for rows, share in self._hits(action):
            np.add.at(mass, rows, share)
        mass /= chance
        return mass

    def match(self, action: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Which logged actions the policy could have taken.

        Args:
            action: (n,) int, what was logged.

        Returns:
            (n,) bool, whether π(a | x) is above 0. For `replay` of a deterministic policy; with k > 1 it weighs all k alike.

        Raises:
            OptionError: Another length.
        """
        found = np.zeros(len(self), dtype=bool)
        for rows, share in self._hits(action):
            found[rows[share > 0]] = True
        return found

    def q_expected(self, q_at: npt.NDArray[Any]) -> Floats:
        """What a model expects of the policy.

        Args:
            q_at: (n, k) q̂ of the row's actions.

        Returns:
            (n,) q̄ = Σ π q̂.

        Raises:
            OptionError: Another shape.
        """
        if q_at.shape != self.actions.shape:
            raise OptionError(f"expected q of shape {self.actions.shape}, found {q_at.shape}", where="q_at")
        if self.probabilities is None:
            return np.asarray(np.einsum("nk->n", q_at, dtype=np.float64) / q_at.shape[1])
        return np.asarray(np.einsum("nk,nk->n", self.probabilities, q_at, dtype=np.float64))

    def restricted(self, in_pool: npt.NDArray[np.bool_]) -> tuple[TopK, Cut]:
        """The policy without the actions that the log could not have taken; what is left keeps each row's sum.

        A row with nothing left has weight 0, and the value is short of what the policy earns there: leave such rows out, or
        give the value as one over the others, when they are more than a few.

        Args:
            in_pool: (actions,) whether the log's policy takes the action.

        Returns:
            The policy on the pool, and what was cut; an `OPEWarning` tells it too, since the value is another policy's.

        Raises:
            OptionError: An id that the pool does not tell of, or no row with anything left.
        """
        if in_pool.ndim != 1 or in_pool.dtype != bool:
            raise OptionError(
                f"expected (actions,) bool, found {in_pool.dtype} of shape {in_pool.shape}", where="in_pool"
            )
        if len(self) and not 0 <= self.actions.min() <= self.actions.max() < len(in_pool):
            raise OptionError(
                f"expected actions from 0 to {len(in_pool) - 1:,}, found {self.actions.min()} to {self.actions.max()}",
                where="actions",
            )
        whole = self._mass()
        kept = in_pool[self.actions] * (1 / self.actions.shape[1] if self.probabilities is None else self.probabilities)
        left = np.einsum("nk->n", kept)
        empty = left == 0
        if empty.all():
            raise OptionError(
                "expected an action inside the pool in some row, found none",
                where="in_pool",
                remedy="check that policy and log name actions alike",
            )
        kept *= np.divide(whole, left, out=np.zeros_like(left), where=~empty)[:, None]
        cut = Cut(float((whole - left).clip(0).mean()), int(empty.sum()))
        if cut.mass > SLACK:
            nothing = f", {cut.empty:,} of {len(self):,} rows have none left" if cut.empty else ""
            warnings.warn(
                f"{100 * cut.mass:.1f} % of the policy's mass lay outside the pool and was cut{nothing}",
                OPEWarning,
                stacklevel=2,
            )
        return TopK(self.actions, kept), cut

    def _hits(self, action: npt.ArrayLike) -> Iterator[tuple[npt.NDArray[np.int64], Floats]]:
        """By block, rows at which an action of the policy is the logged one, and that action's probability."""
        logged = np.asarray(action)
        if logged.shape != (len(self),) or logged.dtype.kind not in "iu":
            raise OptionError(
                f"expected {len(self):,} whole numbers, found {logged.dtype} of shape {logged.shape}", where="action"
            )
        k = self.actions.shape[1]
        for start in range(0, len(self), BLOCK):
            part = slice(start, start + BLOCK)
            # Few places match, and they are found faster than rows are added up.
            row, place = divmod(np.flatnonzero(self.actions[part] == logged[part, None]), k)
            row += start
            yield row, np.full(len(row), 1 / k) if self.probabilities is None else self.probabilities[row, place]

    def _propensity(self, propensity: npt.ArrayLike) -> Floats:
        chance = np.asarray(propensity, dtype=np.float64)
        if chance.shape not in ((), (len(self),)):
            raise OptionError(f"expected one number, or {len(self):,}, found shape {chance.shape}", where="propensity")
        wrong = np.flatnonzero(~((chance > 0) & (chance <= 1)))
        if len(wrong):
            row = "" if chance.ndim == 0 else f" in row {wrong[0]} ({len(wrong):,} such rows)"
            raise OptionError(
                f"expected probabilities above 0 and up to 1, found {chance.flat[wrong[0]]:g}{row}",
                where="propensity",
                remedy="leave out rows whose action the log's policy could not take",
            )
        return chance
