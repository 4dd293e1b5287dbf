"""Can a classifier tell the world's responses from KuaiRand's?

    python scripts/tell_world.py --pure DIR [--store small]

Tab-1 response columns given the duration, no ids and no clocks: gradient boosting on real rows against world rows, the
world's rows drawn so that their durations are the real ones. Split by user; prints the AUC beside that of real early days
against real late days, the yardstick of what a change of days alone makes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import tyro
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from svsim.world import find_store

RESPONSES = ["play_time_ms", "is_click", "long_view", "is_like", "is_follow", "is_comment", "is_forward", "is_hate",
             "is_profile_enter", "comment_stay_time", "profile_stay_time"]  # fmt: skip
COLUMNS = ["duration_ms", "ratio", *RESPONSES]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What is compared."""

    pure: Path
    """KuaiRand-Pure's folder of CSV files."""
    store: str = "small"
    """The world's store, or the name of a preset."""
    only_odd: bool = False
    """Take real users of odd id only: those that `fit_world.py --users even` has not seen."""
    seed: int = 0
    """Of the draws."""


def main(options: Options) -> None:
    rng = np.random.default_rng(options.seed)
    real = pd.concat([pd.read_csv(file) for file in sorted(options.pure.glob("log_standard_4_22*.csv"))])
    real = real.drop_duplicates()
    real = real[(real.tab == 1) & (real.duration_ms > 0)]
    if options.only_odd:
        real = real[real.user_id % 2 == 1]
    store = find_store(options.store)
    world = store.to_pandas("events", ["user", "tab", "is_rand", "duration_ms", *RESPONSES])
    world = world[(world.tab == 1) & (world.is_rand == 0) & (world.duration_ms > 0)].rename(columns={"user": "user_id"})
    matched_real, matched_world = same_durations(real, world, rng)
    days = np.sort(real.date.unique())
    early = real[real.date <= days[len(days) // 2 - 1]]
    late = real[real.date > days[len(days) // 2 - 1]]
    result = {
        "auc": told_apart(matched_real, matched_world, rng),
        "auc_early_against_late_real_days": told_apart(early, late, rng),
        "target": 0.60,
        "rows": len(matched_real),
        "world": options.store,
    }
    print(json.dumps(result, indent=1))


def same_durations(real: pd.DataFrame, world: pd.DataFrame, rng: np.random.Generator) -> tuple[pd.DataFrame, ...]:
    """One world row for each real one, of the same fiftieth of ln duration."""
    real_bin = np.round(np.log(real.duration_ms) * 50).astype(int)
    groups = world.groupby(np.round(np.log(world.duration_ms) * 50).astype(int)).indices
    chosen, kept = [], []
    for place, number in enumerate(real_bin):
        if number in groups:
            chosen.append(rng.choice(groups[number]))
            kept.append(place)
    pair, model = world.iloc[chosen].copy(), real.iloc[kept]
    # Within a bin lengths still differ by a hundredth, and the pool's few lengths would tell: the world's rows take the
    # real length, a play that keeps its ratio, and the flags that follow where they followed before.
    before = formulas(pair.play_time_ms, pair.duration_ms)
    scale = model.duration_ms.to_numpy() / pair.duration_ms.to_numpy()
    pair["play_time_ms"] = np.floor(pair.play_time_ms * scale).astype(int)
    pair["duration_ms"] = model.duration_ms.to_numpy()
    for name, old, new in zip(
        ("is_click", "long_view"), before, formulas(pair.play_time_ms, pair.duration_ms), strict=True
    ):
        pair[name] = np.where(pair[name] == old, new, pair[name])
    return model, pair


def formulas(play: pd.Series, duration: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """KuaiRand's definitions of click and long view."""
    click = np.where(duration <= 7_000, play >= duration, play > 7_000)
    return click, np.where(duration <= 18_000, play >= duration, play >= 18_000)


def told_apart(one: pd.DataFrame, other: pd.DataFrame, rng: np.random.Generator) -> float:
    """AUC of a classifier on users that it was not trained on."""
    parts = []
    for label, frame in enumerate((one, other)):
        users = frame.user_id.unique()
        test = set(rng.permutation(users)[: len(users) // 2].tolist())
        features = frame.assign(ratio=frame.play_time_ms / frame.duration_ms)[COLUMNS].astype(float)
        parts.append((features, np.full(len(frame), label), frame.user_id.isin(test).to_numpy()))
    x, y, test_rows = (np.concatenate([np.asarray(part[i]) for part in parts]) for i in range(3))
    model = HistGradientBoostingClassifier(random_state=0).fit(x[~test_rows], y[~test_rows])
    return round(float(roc_auc_score(y[test_rows], model.predict_proba(x[test_rows])[:, 1])), 4)


if __name__ == "__main__":
    main(tyro.cli(Options))
