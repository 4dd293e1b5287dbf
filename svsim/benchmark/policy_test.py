"""The policy test of a simulator: does it rank policies as the truth does?

A set of policies plays in Feed-v0 with the learned model, in Replay-v0, and, on a synthetic world, in Feed-v0 with the
truth. Kendall's τ between two rankings, and the regret of picking the simulator's winner:

    regret = (best true value − true value of the picked) / (best true value − true value of random)
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from svsim.agents import ScoringAgent
from svsim.benchmark.runner import run
from svsim.benchmark.spec import BenchmarkSpec
from svsim.data.store import FeedStore
from svsim.data.truth import TRUTH_FILE
from svsim.errors import OptionError
from svsim.names import CANDIDATE_FEATURES

__all__ = ["POLICIES", "FeaturePolicy", "policy_test"]

Told = dict[str, Any]
Progress = Callable[[str, int, int | None], None]

_FEATURE = "svsim.benchmark.policy_test:FeaturePolicy?feature="
POLICIES = (
    "random",
    "popularity",
    "epsilon-greedy",
    "ucb1",
    "thompson-gaussian",
    "linucb",
    "lints",
    "mmr",
    f"{_FEATURE}video_wtr",
    f"{_FEATURE}tag_wtg",
    f"{_FEATURE}video_log_exposures",
    f"{_FEATURE}log_duration",
    f"{_FEATURE}log_duration&sign=-1",
)
"""Rails, bandits that learn as they go, a re-ranker, and simple rules, some of them bad on purpose."""
EPISODES, SEEDS = 400, 2
REPLAY: Told = {"env": "replay", "candidates": 5, "horizon": 5}
CUT_OUTS: Told = {"env": "replay", "candidates": 5, "horizon": 3, "session_gap_minutes": None}
"""Of a log whose sessions are too short for that, as KuaiRand-Pure's are."""
FEWEST_SESSIONS = 200


class FeaturePolicy(ScoringAgent):
    """Serves the candidate of the largest value of one feature.

    Args:
        feature: Of `names.CANDIDATE_FEATURES`.
        sign: −1 for the smallest.
    """

    def __init__(self, feature: str, sign: float = 1.0) -> None:
        if feature not in CANDIDATE_FEATURES:
            raise OptionError(f"expected one of {', '.join(CANDIDATE_FEATURES)}, found {feature!r}", where="feature")
        self._column, self._sign = CANDIDATE_FEATURES.index(feature), float(sign)

    def score(self, observation: dict[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
        """(B, K) the feature."""
        return np.asarray(self._sign * observation["candidates"][..., self._column])


def policy_test(
    store: FeedStore,
    response: str | Path,
    *,
    policies: tuple[str, ...] = POLICIES,
    episodes: int = EPISODES,
    seeds: int = SEEDS,
    horizon: int = 100,
    progress: Progress | None = None,
) -> Told:
    """Rank policies in a learned simulation, in replay and by the truth.

    Args:
        store: Whose users; its test split.
        response: Folder of the response model.
        policies: Agents that need no trained run.
        episodes: Of each policy and seed, in feeds; as many sessions in the replay, if there are.
        seeds: Evaluation seeds.
        horizon: Steps of an episode in feeds.
        progress: Told of the environments.

    Returns:
        `values` by policy and environment ({mean, low, high} of an episode's reward and of a step's), `rankings`:
        Kendall's τ and regret of each simulator against the truth, or against the replay where there is no truth.
    """
    feed: Told = {"env": "feed", "horizon": horizon}
    enough = int((store.sessions("test").length >= REPLAY["candidates"]).sum()) >= FEWEST_SESSIONS
    environments = {"learned": {**feed, "response": str(response)}, "replay": REPLAY if enough else CUT_OUTS}
    if (store.path / TRUTH_FILE).is_file():
        environments["truth"] = {**feed, "response": "truth"}
    values: dict[str, dict[str, Told]] = {name: {} for name in policies}
    for number, (where, arguments) in enumerate(environments.items()):
        if progress is not None:
            progress("policy test", number, len(environments))
        spec = BenchmarkSpec(store=store, agents=policies, rails=False, episodes=episodes, seeds=seeds, **arguments)
        for record in run(spec).records:
            if "error" in record:
                raise OptionError(f"expected a policy that plays, found: {record['error']}", where="policy test")
            reward, length = record["metrics"]["reward"], record["metrics"]["length"]["mean"]
            values[record["agent"]][where] = {**reward, "by_step": reward["mean"] / length, "length": length}
    return {"values": values, "rankings": _rankings(values, "truth" if "truth" in environments else "replay")}


def _rankings(values: dict[str, dict[str, Told]], judge: str) -> dict[str, Told]:
    from scipy.stats import kendalltau

    told: dict[str, Told] = {}
    for measure in ("mean", "by_step"):
        true = np.array([own[judge][measure] for own in values.values()])
        start = float(true[list(values).index("random")]) if "random" in values else float(true.min())
        for where in next(iter(values.values())):
            if where == judge:
                continue
            found = np.array([own[where][measure] for own in values.values()])
            spread = float(true.max()) - start
            regret = (float(true.max()) - float(true[found.argmax()])) / spread if spread > 0 else 0.0
            entry = told.setdefault(where, {"against": judge, "policies": len(true)})
            name = "episode" if measure == "mean" else "step"
            tau = float(kendalltau(found, true).statistic)
            # Where all are worth the same, nothing is ranked.
            entry[name] = {"kendall_tau": tau if np.isfinite(tau) else 0.0, "regret": regret}
    return told
