"""Thompson sampling of a logistic model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from svsim.agents.bandits.forms import Form
from svsim.agents.bandits.linucb import LinearBandit
from svsim.errors import OptionError
from svsim.signals import reward_weights as complete_weights

__all__ = ["LogisticThompsonAgent"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NEWTON_STEPS, SMALL = 25, 1e-9


class Logistic(Form):
    """P(success) = σ(zᵀw), w ~ N(m, Q⁻¹): Laplace's approximation, renewed with every batch.

    m minimises ½ (w − m)ᵀQ(w − m) − Σ [y ln σ(zᵀw) + (1 − y) ln(1 − σ(zᵀw))] by Newton's steps, then
    Q += Σ σ (1 − σ) z zᵀ (Chapelle and Li 2011, "An empirical evaluation of Thompson sampling", Algorithm 3, with the
    whole of Q in place of its diagonal). y may be any share of a success.
    """

    def __init__(self, arms: int, slot: int, user: int, ridge: float) -> None:
        super().__init__(arms, slot, user, ridge)
        self.mean, self.precision = np.zeros(slot), ridge * np.eye(slot)

    def learn(self, slot: Floats, user: Floats, arm: Ints, reward: Floats) -> None:  # noqa: ARG002 - all share one
        """Learn n rows."""
        from scipy.special import expit

        weights = self.mean.copy()
        for _ in range(NEWTON_STEPS):
            chance = expit(slot @ weights)
            slope = self.precision @ (weights - self.mean) + (chance - reward) @ slot
            curve = self.precision + (slot * (chance * (1 - chance))[:, None]).T @ slot
            step = np.linalg.solve(curve, slope)
            weights = weights - step
            if np.abs(step).max() < SMALL:
                break
        chance = expit(slot @ weights)
        self.mean = weights
        self.precision = self.precision + (slot * (chance * (1 - chance))[:, None]).T @ slot

    def bound(self, slot: Floats, user: Floats, arm: Ints) -> tuple[Floats, Floats]:  # noqa: ARG002
        """Mean and spread of the log-odds."""
        variance = ((slot @ np.linalg.inv(self.precision)) * slot).sum(axis=-1)
        return slot @ self.mean, np.sqrt(np.maximum(variance, 0.0))

    def sample(self, slot: Floats, user: Floats, arm: Ints, width: float, draws: Floats) -> Floats:  # noqa: ARG002
        """Log-odds under a draw."""
        from scipy.linalg import solve_triangular

        factor = np.linalg.cholesky(self.precision)
        own = solve_triangular(factor, draws[:, : self.slot].T, lower=True, trans="T").T
        return np.asarray((slot @ (self.mean + width * own)[..., None])[..., 0])


class LogisticThompsonAgent(LinearBandit):
    """Serves the highest chance of success under logistic weights drawn from their posterior.

    A reward is a success by its share of `reward_max`; `svsim.agents.bandits.logistic.Logistic` has the formulas, the
    contexts are LinUCB's.

    Args:
        width: Width of the posterior; 0 is greedy.
        ridge: Strength of the prior that the weights are 0; above 0.
        warm: Whether to begin with rows of the training split instead of nothing.
        fit_rows: Training rows to begin with, at most; drawn if there are more.
        recent: Events whose mean watch-time ratio stands for the user.
        reward_max: Reward that counts as a whole success, as does any above it; None: the sum of the weights.
        reward_weights: Weight of each signal in the training rows, as the environment's.
    """

    def __init__(
        self,
        width: float = 0.5,
        ridge: float = 1.0,
        warm: bool = True,
        fit_rows: int = 500_000,
        recent: int = 50,
        reward_max: float | None = None,
        reward_weights: Mapping[str, float] | str | None = None,
    ) -> None:
        if not width >= 0:
            raise OptionError(f"expected at least 0, found {width}", where="width")
        if reward_max is not None and not reward_max > 0:
            raise OptionError(f"expected a number above 0, found {reward_max}", where="reward_max")
        super().__init__("shared", ridge, warm, fit_rows, recent, 1, reward_weights)
        self.width = width
        whole = sum(max(weight, 0.0) for weight in complete_weights(reward_weights).values())
        self.reward_max = reward_max if reward_max is not None else max(whole, 1e-9)

    def _make(self, slot: int) -> Form:
        return Logistic(1, slot, 0, self.ridge)

    def _learn(self, model: Form, slot: Floats, user: Floats, arm: Ints, reward: Floats) -> None:
        super()._learn(model, slot, user, arm, np.clip(reward / self.reward_max, 0.0, 1.0))

    def _score(self, model: Form, slot: Floats, user: Floats, arm: Ints) -> Floats:
        return model.sample(slot, user, arm, self.width, self._normal(slot))
