"""Neural-linear: Thompson sampling on the last layer of a small network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.agents.bandits.forms import Form, Shared
from svsim.agents.bandits.linucb import LinearBandit
from svsim.errors import OptionError

__all__ = ["NeuralLinearAgent"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PASSES = 8
"""Passes over the memory when the network is trained for the first time; later ones take one."""


class NeuralLinear(Form):
    """r = φ(z)ᵀθ with φ the last hidden layer of a network that is trained from a memory of rows now and then.

    θ is the posterior of a ridge regression on φ of what is remembered (Riquelme, Tucker, Snoek 2018, "Deep Bayesian
    bandits showdown", NeuralLinear, with known noise). Until the network is trained, φ is what random weights give.

    Args:
        slot: D.
        ridge: λ above 0.
        hidden: Width of the two layers.
        memory: Rows that are remembered, the newest ones.
        retrain: Rows after which the network is trained anew.
        seed: Of the network.
    """

    def __init__(self, slot: int, ridge: float, hidden: int, memory: int, retrain: int, seed: int) -> None:
        from sklearn.neural_network import MLPRegressor

        super().__init__(1, slot, 0, ridge)
        self.memory, self.retrain = memory, retrain
        self.network = MLPRegressor(hidden_layer_sizes=(hidden, hidden), learning_rate_init=1e-3, random_state=seed)
        draw = np.random.default_rng(seed)
        self._layers = [(draw.normal(size=(size, hidden)) / np.sqrt(size), np.zeros(hidden)) for size in (slot, hidden)]
        self._slots, self._rewards = np.zeros((0, slot)), np.zeros(0)
        self._since = 0
        self.linear = Shared(1, hidden + 1, 0, ridge)

    def features(self, slot: Floats) -> Floats:
        """(…, hidden + 1) the last hidden layer, and 1."""
        for weight, bias in self._layers:
            slot = np.maximum(slot @ weight + bias, 0.0)
        return np.concatenate([slot, np.ones((*slot.shape[:-1], 1))], axis=-1)

    def learn(self, slot: Floats, user: Floats, arm: Ints, reward: Floats) -> None:
        """Learn n rows."""
        self._slots = np.concatenate([self._slots, slot])[-self.memory :]
        self._rewards = np.concatenate([self._rewards, reward])[-self.memory :]
        self._since += len(reward)
        if self._since >= self.retrain:
            self._train()
        else:
            self.linear.learn(self.features(slot), user, arm, reward)

    def _train(self) -> None:
        from threadpoolctl import threadpool_limits

        # One thread: what a process has learnt must not depend on how many it was given.
        with threadpool_limits(1):
            for _ in range(1 if hasattr(self.network, "coefs_") else PASSES):
                self.network.partial_fit(self._slots, self._rewards)
        self._layers = list(zip(self.network.coefs_[:-1], self.network.intercepts_[:-1], strict=True))
        self.linear = Shared(1, self.linear.slot, 0, self.ridge)
        nobody = np.zeros(len(self._rewards), dtype=np.int64)
        self.linear.learn(self.features(self._slots), self._slots, nobody, self._rewards)
        self._since = 0

    def bound(self, slot: Floats, user: Floats, arm: Ints) -> tuple[Floats, Floats]:
        """Mean and spread of slots."""
        return self.linear.bound(self.features(slot), user, arm)

    def sample(self, slot: Floats, user: Floats, arm: Ints, width: float, draws: Floats) -> Floats:
        """Expected rewards under a draw."""
        return self.linear.sample(self.features(slot), user, arm, width, draws)


class NeuralLinearAgent(LinearBandit):
    """Serves the highest reward that a network's last layer gives under weights drawn from their posterior.

    `svsim.agents.bandits.neural_linear.NeuralLinear` says how; the contexts are LinUCB's.

    Args:
        width: Width of the posterior; 0 is greedy.
        hidden: Width of the network's two layers.
        ridge: Strength of the prior that the last layer is 0; above 0.
        warm: Whether to begin with rows of the training split instead of nothing.
        fit_rows: Training rows to begin with, at most; drawn if there are more.
        recent: Events whose mean watch-time ratio stands for the user.
        memory: Rows that the network is trained on, the newest ones.
        retrain: Rows after which it is trained anew.
        reward_weights: Weight of each signal in the training rows, as the environment's.
    """

    def __init__(
        self,
        width: float = 0.3,
        hidden: int = 32,
        ridge: float = 1.0,
        warm: bool = True,
        fit_rows: int = 100_000,
        recent: int = 50,
        memory: int = 100_000,
        retrain: int = 20_000,
        reward_weights: Mapping[str, float] | str | None = None,
    ) -> None:
        for name, value in (("hidden", hidden), ("memory", memory), ("retrain", retrain)):
            if value < 1:
                raise OptionError(f"expected at least 1, found {value}", where=name)
        if not width >= 0:
            raise OptionError(f"expected at least 0, found {width}", where="width")
        super().__init__("shared", ridge, warm, fit_rows, recent, 1, reward_weights)
        self.width, self.hidden, self.memory, self.retrain = width, hidden, memory, retrain
        self._seed = 0

    def fit(self, store: Any, *, seed: int) -> None:
        """Learn the features' scales and, if `warm`, train the network on training rows."""
        self._seed = seed
        super().fit(store, seed=seed)

    def _make(self, slot: int) -> Form:
        return NeuralLinear(slot, self.ridge, self.hidden, self.memory, self.retrain, self._seed)

    def _score(self, model: Form, slot: Floats, user: Floats, arm: Ints) -> Floats:
        assert isinstance(model, NeuralLinear)
        return model.sample(slot, user, arm, self.width, self._normal(slot, self.hidden + 1))
