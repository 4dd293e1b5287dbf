"""Ridge regressions that grow by rows, one for each arm: A = λ I + Σ x xᵀ, b = Σ r x, θ = A⁻¹ b."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["Ridges"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

REFRESH = 256
"""Updates of an inverse by Sherman–Morrison before it is computed anew, so that rounding cannot pile up."""


class Ridges:
    """Ridge regressions of one size, by arm.

    One row at a time the inverse is updated by Sherman and Morrison's formula,

        (A + x xᵀ)⁻¹ = A⁻¹ − (A⁻¹ x)(A⁻¹ x)ᵀ / (1 + xᵀ A⁻¹ x)

    and computed anew from A every `REFRESH` times; of several rows at once it is computed anew.

    Args:
        arms: Regressions.
        size: d, length of a context.
        ridge: λ above 0.
    """

    def __init__(self, arms: int, size: int, ridge: float) -> None:
        self.size = size
        self.gram = np.broadcast_to(ridge * np.eye(size), (arms, size, size)).copy()
        self.inverse = np.broadcast_to(np.eye(size) / ridge, (arms, size, size)).copy()
        self.target = np.zeros((arms, size))
        self.theta = np.zeros((arms, size))
        self._updates = np.zeros(arms, dtype=np.int64)

    def add(self, arm: Ints, context: Floats, reward: Floats) -> Ints:
        """Learn rows.

        Args:
            arm: (n,) which regression.
            context: (n, d).
            reward: (n,).

        Returns:
            Arms that have changed.
        """
        if len(arm) == 1:
            self._add_one(int(arm[0]), context[0], float(reward[0]))
            return arm
        order = np.argsort(arm, kind="stable")
        touched, first = np.unique(arm[order], return_index=True)
        anew = []
        for one, rows in zip(touched.tolist(), np.split(order, first[1:]), strict=True):
            if len(rows) == 1:
                self._add_one(one, context[rows[0]], float(reward[rows[0]]))
            else:
                x = context[rows]
                self.gram[one] += x.T @ x
                self.target[one] += reward[rows] @ x
                anew.append(one)
        if anew:
            self._refresh(np.array(anew, dtype=np.int64))
        return np.asarray(touched)

    def _add_one(self, arm: int, x: Floats, reward: float) -> None:
        inverse, target = self.inverse[arm], self.target[arm]
        self.gram[arm] += np.multiply.outer(x, x)
        target += reward * x
        self._updates[arm] += 1
        if self._updates[arm] >= REFRESH:
            self._refresh(np.array([arm]))
            return
        turned = inverse @ x
        inverse -= np.multiply.outer(turned, turned / (1.0 + x @ turned))
        np.matmul(inverse, target, out=self.theta[arm])

    def _refresh(self, arms: Ints) -> None:
        self.inverse[arms] = np.linalg.inv(self.gram[arms])
        self.theta[arms] = np.linalg.solve(self.gram[arms], self.target[arms][..., None])[..., 0]
        self._updates[arms] = 0
