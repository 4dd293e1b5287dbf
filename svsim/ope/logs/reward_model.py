"""A model of the reward, cross-fitted by user, and the fit that makes the variance of DR small.

Gradient boosting over what the observation tells (`svsim.ope.logs.reward_features`). A user's rows are predicted by a model
of the other folds' users, so that no row's reward is in its own q̂ and errors of one user's rows stay within the user: what
the clustered interval of DR assumes.

More robust doubly robust (Farajtabar, Chow, Ghavamzadeh 2018) fits q̂ for the target at hand, by the part of DR's variance
that q̂ decides: the logged squared errors weighed by w² (1 − p). Here over q̂ plus a linear form of few features,

    q̂ + β φ,   β = argmin Σ w² (1 − p) (r − q̂ − β φ)² + ridge,   again by the other folds' users.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.envs.contexts import Contexts
from svsim.errors import OptionError
from svsim.ope.logs.logged import LoggedBandit
from svsim.ope.logs.reward_features import features
from svsim.randomness import keyed_hash

__all__ = ["RewardModel", "fold_of", "variance_fit"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FOLDS = 5
FIT_ROWS = 30_000
"""Rows of the training split that join those of the log, at most."""
BLOCK = 16_384
"""Rows whose features are made together; candidates of training rows cost a pass over the split each time."""
RIDGE = 10.0
"""Of the linear form, in rows of mean weight at unit variance."""


def fold_of(user: Ints, folds: int = FOLDS, *, seed: int = 0) -> Ints:
    """(n,) the fold of each row's user."""
    return (keyed_hash(seed, 0xC305, user) % np.uint64(folds)).astype(np.int64)


class RewardModel:
    """q̂ of any candidates in the contexts of a log.

    Args:
        logged: Whose rewards; its rows, cross-fitted, and earlier ones of the store are learnt from.
        contexts: Builds the observations.
        folds: Of users; 2 or more.
        fit_rows: Rows of the training split, at most, of either log.
        seed: Of folds, draws and boosting.

    Raises:
        OptionError: Fewer than two folds.
    """

    def __init__(
        self,
        logged: LoggedBandit,
        contexts: Contexts,
        *,
        folds: int = FOLDS,
        fit_rows: int = FIT_ROWS,
        seed: int = 0,
    ) -> None:
        if folds < 2:
            raise OptionError(f"expected 2 folds or more, found {folds}", where="folds")
        from sklearn.ensemble import HistGradientBoostingRegressor

        self.folds, self._seed = folds, seed
        rows = self._rows(logged, fit_rows)
        events = logged.store.events
        table, target = self._features(logged, contexts, rows), logged.kind.of(logged.store, rows)
        fold = fold_of(events["user"][rows].astype(np.int64), folds, seed=seed)
        self._models: list[Any] = []
        for held_out in range(folds):
            own = fold != held_out
            if not own.any():
                self._models.append(None)
                continue
            model = HistGradientBoostingRegressor(
                max_iter=200, learning_rate=0.05, max_leaf_nodes=15, min_samples_leaf=60, l2_regularization=10.0,
                early_stopping=False, random_state=seed,
            )  # fmt: skip
            self._models.append(model.fit(table[own], target[own]))

    def _rows(self, logged: LoggedBandit, fit_rows: int) -> Ints:
        """The log's rows, other rows of the same kind in earlier splits, and a sample of the training split."""
        store, rng = logged.store, np.random.default_rng([self._seed, 0xF17])
        train = store.split_rows("train")
        chance = train[store.events["is_rand"][train] == 1]
        others = train[store.events["is_rand"][train] == 0]
        chosen = [rng.choice(part, min(len(part), fit_rows), replace=False) for part in (chance, others)]
        return np.unique(np.concatenate([logged.rows, *chosen]))

    def _features(self, logged: LoggedBandit, contexts: Contexts, rows: Ints) -> Array:
        events, parts = logged.store.events, []
        for start in range(0, len(rows), BLOCK):
            part = rows[start : start + BLOCK]
            video = events["video"][part].astype(np.int64)[:, None]
            observation = contexts.observe(events["user"][part], events["time_ms"][part].astype(np.int64), video)
            parts.append(features(observation, events["is_rand"][part])[:, 0])
        return np.concatenate(parts)

    def predict(self, table: Array, user: Ints) -> Floats:
        """(B, K) q̂ of candidates.

        Args:
            table: (B, K, F) of `svsim.ope.logs.reward_features.features`.
            user: (B,) dense ids.
        """
        rows, slots, width = table.shape
        fold = fold_of(user, self.folds, seed=self._seed)
        found = np.zeros((rows, slots))
        for number in np.unique(fold):
            # Without a row of another user there is no model: q̂ = 0 leaves DR what IPS is.
            if self._models[number] is not None:
                own = fold == number
                flat = table[own].reshape(-1, width)
                found[own] = self._models[number].predict(flat).reshape(-1, slots)
        return found


def variance_fit(
    residual: Floats, weight: Floats, propensity: Floats, form: Floats, expected: Floats, fold: Ints
) -> tuple[Floats, Floats]:
    """What to add to q̂ and to q̄ for the least variance of DR.

    Args:
        residual: (n,) r − q̂ of the logged actions.
        weight: (n,) w.
        propensity: (n,) p.
        form: (n, d) φ of the logged actions, the first column ones.
        expected: (n, d) Σ π φ.
        fold: (n,) folds of the rows' users.

    Returns:
        (n,) β φ and (n,) β Σ π φ, each with β of the other folds.
    """
    # The square root of the loss's weights: both sides of a least-squares problem are multiplied by it.
    root = weight * np.sqrt(np.maximum(1 - propensity, 0.0))
    scale = form.std(axis=0)
    scale[0] = 1.0
    centre = np.append(0.0, form[:, 1:].mean(axis=0))
    plain, target = ((table - centre) / np.where(scale > 0, scale, 1.0) for table in (form, expected))
    logged, mean = np.zeros(len(residual)), np.zeros(len(residual))
    for number in np.unique(fold):
        held_out = fold == number
        known = ~held_out & (root > 0)
        if not known.any():
            continue
        a, b = plain[known] * root[known, None], residual[known] * root[known]
        strength = RIDGE * float(np.mean(root[known] ** 2))
        beta = np.linalg.solve(a.T @ a + strength * np.eye(a.shape[1]), a.T @ b)
        logged[held_out], mean[held_out] = plain[held_out] @ beta, target[held_out] @ beta
    return logged, mean
