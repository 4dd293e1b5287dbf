"""Forms of a linear bandit: what is shared by all videos and what is each video's own.

Each form has the mean and the spread (standard deviation up to the noise) of every slot's expected reward, and draws from
its posterior. Contexts: z of the slot (D,), u of the user (E,), arms a.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt

from svsim.agents.bandits.posterior import Ridges

__all__ = ["FORMS", "Disjoint", "Form", "Hybrid", "Shared"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

OWN = 2
"""Numbers of a user's context that the hybrid form has for each arm: 1, and the recent watch-time ratio."""
_ROWS = 64
"""Rows whose arms' inverses are gathered together."""


class Form(ABC):
    """A linear model of rewards and how sure it is.

    Args:
        arms: Arms.
        slot: D.
        user: E.
        ridge: λ above 0.
    """

    def __init__(self, arms: int, slot: int, user: int, ridge: float) -> None:
        self.arms, self.slot, self.user, self.ridge = arms, slot, user, ridge

    @abstractmethod
    def learn(self, slot: Floats, user: Floats, arm: Ints, reward: Floats) -> None:
        """Learn n rows: (n, D), (n, E), (n,), (n,)."""

    @abstractmethod
    def bound(self, slot: Floats, user: Floats, arm: Ints) -> tuple[Floats, Floats]:
        """Mean and spread, each (B, K), of slots (B, K, D) of users (B, E) with arms (B, K)."""

    @abstractmethod
    def sample(self, slot: Floats, user: Floats, arm: Ints, width: float, draws: Floats) -> Floats:
        """(B, K) expected rewards under one draw of the weights for each row, their spread times `width`.

        Args:
            slot: (B, K, D).
            user: (B, E).
            arm: (B, K).
            width: Of the posterior.
            draws: (B, D + K · `OWN`) standard normal draws.
        """


class Shared(Form):
    """r = zᵀθ, one θ for all videos.

    Mean zᵀθ, spread √(zᵀ A⁻¹ z) (Li, Chu, Langford, Schapire 2010, "A contextual-bandit approach to personalized news
    article recommendation", Algorithm 1, with one θ for all arms).
    """

    def __init__(self, arms: int, slot: int, user: int, ridge: float) -> None:
        super().__init__(arms, slot, user, ridge)
        self.ridges = Ridges(1, slot, ridge)

    def learn(self, slot: Floats, user: Floats, arm: Ints, reward: Floats) -> None:  # noqa: ARG002 - all share one
        """Learn n rows."""
        self.ridges.add(np.zeros(len(reward), dtype=np.int64), slot, reward)

    def bound(self, slot: Floats, user: Floats, arm: Ints) -> tuple[Floats, Floats]:  # noqa: ARG002
        """Mean and spread of slots."""
        variance = ((slot @ self.ridges.inverse[0]) * slot).sum(axis=-1)
        return slot @ self.ridges.theta[0], np.sqrt(np.maximum(variance, 0.0))

    def sample(self, slot: Floats, user: Floats, arm: Ints, width: float, draws: Floats) -> Floats:  # noqa: ARG002
        """Expected rewards under a draw."""
        factor = np.linalg.cholesky(self.ridges.inverse[0])
        theta = self.ridges.theta[0] + width * draws[:, : self.slot] @ factor.T
        return np.asarray((slot @ theta[..., None])[..., 0])


class Disjoint(Form):
    """r = uᵀθ_a, a θ for each arm over the user's context.

    Mean uᵀθ_a, spread √(uᵀ A_a⁻¹ u) (Li et al. 2010, Algorithm 1).
    """

    def __init__(self, arms: int, slot: int, user: int, ridge: float) -> None:
        super().__init__(arms, slot, user, ridge)
        self.ridges = Ridges(arms, user, ridge)

    def learn(self, slot: Floats, user: Floats, arm: Ints, reward: Floats) -> None:  # noqa: ARG002
        """Learn n rows."""
        self.ridges.add(arm, user, reward)

    def bound(self, slot: Floats, user: Floats, arm: Ints) -> tuple[Floats, Floats]:  # noqa: ARG002
        """Mean and spread of slots."""
        mean = (self.ridges.theta[arm] @ user[..., None])[..., 0]
        variance = np.empty(arm.shape)
        flat = self.ridges.inverse.reshape(self.arms, -1)
        for start in range(0, len(arm), _ROWS):
            rows = slice(start, start + _ROWS)
            square = (user[rows, :, None] * user[rows, None, :]).reshape(len(user[rows]), -1, 1)
            variance[rows] = (flat[arm[rows]] @ square)[..., 0]
        return mean, np.sqrt(np.maximum(variance, 0.0))

    def sample(self, slot: Floats, user: Floats, arm: Ints, width: float, draws: Floats) -> Floats:
        """Expected rewards under a draw: those of different arms are independent of one another."""
        mean, spread = self.bound(slot, user, arm)
        return np.asarray(mean + width * spread * draws[:, self.slot : self.slot + arm.shape[1]])


class Hybrid(Form):
    """r = zᵀβ + xᵀθ_a: β for all videos, and a small θ for each arm over x, the first of the user's context.

    Li et al. 2010, Algorithm 2. With A_a = λ I + Σ x xᵀ, B_a = Σ x zᵀ, b_a = Σ r x over the arm's rows,

        A₀ = λ I + Σ z zᵀ − Σ_a B_aᵀ A_a⁻¹ B_a,   b₀ = Σ r z − Σ_a B_aᵀ A_a⁻¹ b_a,   β = A₀⁻¹ b₀,
        θ_a = A_a⁻¹ (b_a − B_a β),
        spread² = zᵀA₀⁻¹z − 2 zᵀA₀⁻¹B_aᵀA_a⁻¹x + xᵀA_a⁻¹x + xᵀA_a⁻¹B_aA₀⁻¹B_aᵀA_a⁻¹x
                = wᵀA₀⁻¹w + xᵀA_a⁻¹x   with w = z − B_aᵀA_a⁻¹x.
    """

    def __init__(self, arms: int, slot: int, user: int, ridge: float) -> None:
        super().__init__(arms, slot, user, ridge)
        self.own = Ridges(arms, OWN, ridge)
        self.cross = np.zeros((arms, OWN, slot))
        self.gram, self.target = ridge * np.eye(slot), np.zeros(slot)
        # Σ_a of what the arms explain themselves; sums over all arms would be too slow at every step.
        self._explained, self._explained_target = np.zeros((slot, slot)), np.zeros(slot)
        self._solve()

    def learn(self, slot: Floats, user: Floats, arm: Ints, reward: Floats) -> None:
        """Learn n rows."""
        touched = np.unique(arm)
        gram, target = self._of(touched)
        self._explained -= gram
        self._explained_target -= target
        self.own.add(arm, user[:, :OWN], reward)
        np.add.at(self.cross, arm, user[:, :OWN, None] * slot[:, None, :])
        gram, target = self._of(touched)
        self._explained += gram
        self._explained_target += target
        self.gram += slot.T @ slot
        self.target += reward @ slot
        self._solve()

    def _of(self, arms: Ints) -> tuple[Floats, Floats]:
        """Σ B_aᵀA_a⁻¹B_a and Σ B_aᵀA_a⁻¹b_a over some arms."""
        turned = self.own.inverse[arms] @ self.cross[arms]  # (n, OWN, D)
        flat, cross = turned.reshape(-1, self.slot), self.cross[arms].reshape(-1, self.slot)
        return cross.T @ flat, self.own.target[arms].reshape(-1) @ flat

    def _solve(self) -> None:
        gram = self.gram - self._explained
        self.inverse = np.linalg.inv(gram)
        self.beta = np.linalg.solve(gram, self.target - self._explained_target)

    def _parts(self, slot: Floats, user: Floats, arm: Ints) -> tuple[Floats, Floats, Floats, Floats]:
        """θ's own part xᵀA_a⁻¹b_a, variance xᵀA_a⁻¹x, w, and w's variance; (B, K), (B, K), (B, K, D), (B, K)."""
        x = user[:, None, :OWN]
        turned = (x[..., None, :] @ self.own.inverse[arm])[..., 0, :]  # (B, K, OWN)
        own = (turned * self.own.target[arm]).sum(axis=-1)
        left = slot - (turned[..., None, :] @ self.cross[arm])[..., 0, :]
        return own, (turned * x).sum(axis=-1), left, ((left @ self.inverse) * left).sum(axis=-1)

    def bound(self, slot: Floats, user: Floats, arm: Ints) -> tuple[Floats, Floats]:
        """Mean and spread of slots."""
        own, own_variance, left, variance = self._parts(slot, user, arm)
        return own + left @ self.beta, np.sqrt(np.maximum(variance + own_variance, 0.0))

    def sample(self, slot: Floats, user: Floats, arm: Ints, width: float, draws: Floats) -> Floats:
        """Expected rewards under a draw of β and, given it, of each arm's θ."""
        own, own_variance, left, _ = self._parts(slot, user, arm)
        beta = self.beta + width * draws[:, : self.slot] @ np.linalg.cholesky(self.inverse).T
        each = draws[:, self.slot : self.slot + arm.shape[1]]
        return np.asarray(
            own + (left @ beta[..., None])[..., 0] + width * np.sqrt(np.maximum(own_variance, 0.0)) * each
        )


FORMS: dict[str, type[Form]] = {"shared": Shared, "disjoint": Disjoint, "hybrid": Hybrid}
"""Forms by name."""
