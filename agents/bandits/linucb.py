"""LinUCB and LinTS: linear bandits over what the observation tells of a candidate."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.agents.bandits.contexts import Contexts
from svsim.agents.bandits.forms import FORMS, Form
from svsim.agents.base import Agent, Observation, ScoringAgent, greedy
from svsim.data.store import FeedStore
from svsim.errors import OptionError
from svsim.names import USER_FEATURES
from svsim.randomness import RowStreams, keyed_hash

__all__ = ["LinTSAgent", "LinUCBAgent", "LinearBandit"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DECIMALS = 9
"""Scores are rounded: the last bits of a matrix product depend on the size of the batch and must not decide a tie."""


class LinearBandit(Agent):
    """What LinUCB and LinTS share: contexts, a linear form, learning from logs and from steps.

    Args:
        form: `shared`: one θ for all videos over the slot's context; `disjoint`: a θ for each arm over the user's context;
            `hybrid`: a shared θ and a small one for each arm.
        ridge: Strength of the prior that θ is 0; above 0.
        warm: Whether to begin with rows of the training split instead of nothing.
        fit_rows: Training rows to begin with, at most; drawn if there are more.
        recent: Events whose mean watch-time ratio stands for the user.
        arms: Of the forms that have some, at most: with more videos, several share an arm.
        reward_weights: Weight of each signal in the training rows, as the environment's.
    """

    def __init__(
        self,
        form: str = "shared",
        ridge: float = 1.0,
        warm: bool = True,
        fit_rows: int = 500_000,
        recent: int = 50,
        arms: int = 4_096,
        reward_weights: Mapping[str, float] | str | None = None,
    ) -> None:
        for name, value in (("fit_rows", fit_rows), ("recent", recent), ("arms", arms)):
            if value < 1:
                raise OptionError(f"expected at least 1, found {value}", where=name)
        if not ridge > 0:
            raise OptionError(f"expected a number above 0, found {ridge}", where="ridge")
        if form not in FORMS:
            raise OptionError(f"expected one of {', '.join(FORMS)}, found {form!r}", where="form")
        self.form, self.ridge, self.warm, self.fit_rows, self.arms = form, ridge, warm, fit_rows, arms
        self.contexts = Contexts(recent)
        self._weights = reward_weights
        self._model: Form | None = None

    def fit(self, store: FeedStore, *, seed: int) -> None:
        """Learn the features' scales and, if `warm`, begin with training rows (of other users' statistics only)."""
        rows = store.split_rows("train")
        if len(rows) > self.fit_rows:
            rows = np.sort(np.random.default_rng(seed).choice(rows, self.fit_rows, replace=False))
        self.contexts.fit(store, rows)
        self._model = self._make(self.contexts.size)
        if self.warm:
            for part in self.contexts.logged(store, rows, self._weights):
                self._learn(self._model, part.slot, part.user, self._arm(part.video), part.reward)

    def _learn(self, model: Form, slot: Floats, user: Floats, arm: Ints, reward: Floats) -> None:
        model.learn(slot, user, arm, reward)

    def _make(self, slot: int) -> Form:
        return FORMS[self.form](self.arms, slot, len(USER_FEATURES) + 2, self.ridge)

    def _arm(self, video: Ints) -> Ints:
        """Arms of videos: their own as long as there is one for each, else a hash."""
        video = video.astype(np.int64)
        return np.where(video < self.arms, video, (keyed_hash(video) % np.uint64(self.arms)).astype(np.int64))

    def reset(self, observation: Observation, info: dict[str, Any], *, seed: int) -> None:  # noqa: ARG002
        """Seed the rows' draws."""
        self._draws = RowStreams(len(observation["action_mask"]), seed)

    def act(self, observation: Observation) -> Ints:
        """(B,) the legal slot of the highest score in each row."""
        return greedy(self.score(observation), observation["action_mask"])

    def score(self, observation: Observation) -> Floats:
        """(B, K) what each slot is served by."""
        slot = self.contexts.slots(observation)
        if self._model is None:
            self._model = self._make(slot.shape[-1])
        user, arm = self.contexts.users(observation), self._arm(observation["candidate_video"])
        return np.round(self._score(self._model, slot, user, arm), DECIMALS)

    @abstractmethod
    def _score(self, model: Form, slot: Floats, user: Floats, arm: Ints) -> Floats: ...

    def observe(
        self,
        observation: Observation,
        action: Ints,
        reward: Floats,
        next_observation: Observation,  # noqa: ARG002
        terminated: npt.NDArray[np.bool_],  # noqa: ARG002
        truncated: npt.NDArray[np.bool_],  # noqa: ARG002
        info: dict[str, Any],  # noqa: ARG002
        began: npt.NDArray[np.bool_],  # noqa: ARG002
    ) -> None:
        """Learn from the served candidates and their rewards."""
        video = observation["candidate_video"][np.arange(len(action)), action]
        served = video > 0
        if not served.any():
            return
        slot = self.contexts.served(observation, action)
        if self._model is None:
            self._model = self._make(slot.shape[-1])
        user = self.contexts.users(observation)
        reward = np.asarray(reward, dtype=np.float64)
        self._learn(self._model, slot[served], user[served], self._arm(video[served]), reward[served])

    def _normal(self, slot: Floats, size: int | None = None) -> Floats:
        """(B, D + K) standard normal draws by row, D the slot's own or `size`."""
        from scipy.special import ndtri

        uniform = self._draws.uniform((slot.shape[-1] if size is None else size) + slot.shape[1])
        return np.asarray(ndtri(np.clip(uniform, 1e-16, 1 - 1e-16)))


class LinUCBAgent(LinearBandit, ScoringAgent):
    """Serves the highest upper bound, mean + α · spread, of a linear reward that is learnt as it goes.

    Li, Chu, Langford, Schapire 2010, "A contextual-bandit approach to personalized news article recommendation"; the
    forms' formulas stand in `svsim.agents.bandits.forms`, the contexts in `svsim.agents.bandits.contexts`.

    Args:
        alpha: Width of the bound; 0 is greedy.
        form: `shared`: one θ for all videos over the slot's context; `disjoint`: a θ for each arm over the user's context;
            `hybrid`: a shared θ and a small one for each arm.
        ridge: Strength of the prior that θ is 0; above 0.
        warm: Whether to begin with rows of the training split instead of nothing.
        fit_rows: Training rows to begin with, at most; drawn if there are more.
        recent: Events whose mean watch-time ratio stands for the user.
        arms: Of the forms that have some, at most: with more videos, several share an arm.
        reward_weights: Weight of each signal in the training rows, as the environment's.
    """

    def __init__(
        self,
        alpha: float = 0.5,
        form: str = "shared",
        ridge: float = 1.0,
        warm: bool = True,
        fit_rows: int = 500_000,
        recent: int = 50,
        arms: int = 4_096,
        reward_weights: Mapping[str, float] | str | None = None,
    ) -> None:
        if not alpha >= 0:
            raise OptionError(f"expected at least 0, found {alpha}", where="alpha")
        super().__init__(form, ridge, warm, fit_rows, recent, arms, reward_weights)
        self.alpha = alpha

    def _score(self, model: Form, slot: Floats, user: Floats, arm: Ints) -> Floats:
        mean, spread = model.bound(slot, user, arm)
        return mean + self.alpha * spread


class LinTSAgent(LinearBandit):
    """Serves the highest linear reward under weights drawn from their posterior, anew for every row and step.

    θ ~ N(θ̂, v² A⁻¹) (Agrawal and Goyal 2013, "Thompson sampling for contextual bandits with linear payoffs",
    Algorithm 1); forms and contexts are LinUCB's.

    Args:
        width: v, width of the posterior; 0 is greedy.
        form: `shared`, `disjoint` or `hybrid`, as LinUCB's.
        ridge: Strength of the prior that θ is 0; above 0.
        warm: Whether to begin with rows of the training split instead of nothing.
        fit_rows: Training rows to begin with, at most; drawn if there are more.
        recent: Events whose mean watch-time ratio stands for the user.
        arms: Of the forms that have some, at most: with more videos, several share an arm.
        reward_weights: Weight of each signal in the training rows, as the environment's.
    """

    def __init__(
        self,
        width: float = 0.5,
        form: str = "shared",
        ridge: float = 1.0,
        warm: bool = True,
        fit_rows: int = 500_000,
        recent: int = 50,
        arms: int = 4_096,
        reward_weights: Mapping[str, float] | str | None = None,
    ) -> None:
        if not width >= 0:
            raise OptionError(f"expected at least 0, found {width}", where="width")
        super().__init__(form, ridge, warm, fit_rows, recent, arms, reward_weights)
        self.width = width

    def _score(self, model: Form, slot: Floats, user: Floats, arm: Ints) -> Floats:
        return model.sample(slot, user, arm, self.width, self._normal(slot))
