"""How much likelier chance than the platform's policy was to show a video to a user: weights for the standard log.

A model of a policy's choices learns most where the policy looks most. With both logs at hand, a row of the standard log
counts by w(x) = P(random | x) / P(standard | x), the density ratio of the two logs as a classifier tells them apart
(Bickel, Brückner, Scheffer 2009), so that its rows stand for the pool as chance shows it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.errors import OptionError
from svsim.models.response.inputs import Past
from svsim.models.response.material import Material

__all__ = ["LARGEST_ODDS", "chance_odds"]

LARGEST_ODDS = 10.0
FEWEST = 200
FIT_ROWS = 300_000


def chance_odds(material: Material, past: Past, seed: int) -> npt.NDArray[np.float32]:
    """(n,) weights of training rows, mean one over the standard log, within [0.1, 10] before that.

    Raises:
        OptionError: The training split has hardly a random row.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    events = material.store.events
    chance = events["is_rand"][past.rows] > 0
    if chance.sum() < FEWEST:
        raise OptionError(
            f"expected {FEWEST} training rows of the random log or more, found {int(chance.sum())}",
            where="--weights propensity",
            remedy="train with --weights none",
        )
    features = _features(material, past)
    # The random log opens later than the standard one: days without it say nothing.
    first = events["date"][past.rows][chance].min()
    known = np.flatnonzero(events["date"][past.rows] >= first)
    if len(known) > FIT_ROWS:
        known = np.random.default_rng(seed).choice(known, FIT_ROWS, replace=False)
    model = HistGradientBoostingClassifier(max_iter=100, learning_rate=0.1, min_samples_leaf=100, random_state=seed)
    share = model.fit(features[known], chance[known]).predict_proba(features)[:, 1]
    odds = share / np.maximum(1 - share, 1e-6)
    odds = np.clip(odds / odds[~chance].mean(), 1 / LARGEST_ODDS, LARGEST_ODDS)
    return np.asarray(odds / odds[~chance].mean(), dtype=np.float32)


def _features(material: Material, past: Past) -> npt.NDArray[Any]:
    events = material.store.events
    return np.column_stack(
        [
            material.past.shown[past.rows - material.past.first],
            np.log1p(past.sums[:, :, 0]),
            past.sums[:, 0, 1] / (past.sums[:, 0, 0] + 10),
            events["tab"][past.rows],
        ]
    )
