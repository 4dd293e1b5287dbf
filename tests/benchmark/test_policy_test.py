"""How simulators rank policies: hand-worked ranks and regrets, rules of one feature, the truth against itself."""

from __future__ import annotations

import numpy as np
import pytest

from svsim.benchmark.policy_test import FeaturePolicy, _rankings, policy_test
from svsim.errors import OptionError
from svsim.names import CANDIDATE_FEATURES
from svsim.world.presets import preset_store

POLICIES = ("random", "worse", "better", "best")


def values(policies: tuple[str, ...] = POLICIES, **by_environment: list[float]) -> dict:
    """Values as `policy_test` gathers them; an episode is two steps long."""
    return {
        policy: {where: {"mean": own[i], "by_step": own[i] / 2} for where, own in by_environment.items()}
        for i, policy in enumerate(policies)
    }


def test_four_policies_by_hand() -> None:
    told = _rankings(values(truth=[1, 2, 3, 5], learned=[1, 4, 2, 3], replay=[5, 3, 2, 1]), "truth")
    assert set(told) == {"learned", "replay"}
    for entry in told.values():
        assert (entry["against"], entry["policies"]) == ("truth", 4)
        assert entry["episode"] == entry["step"], "a constant length changes no rank"
    # Four pairs of six are ordered alike; picked is the worse one, 5 − 2 of 5 − 1 short of the best.
    assert told["learned"]["episode"] == pytest.approx({"kendall_tau": (4 - 2) / 6, "regret": 3 / 4})
    # Everything the other way round, and random is picked.
    assert told["replay"]["episode"] == pytest.approx({"kendall_tau": -1.0, "regret": 1.0})


def test_ties_are_corrected_for() -> None:
    """τ-b: (concordant − discordant) / √(pairs not tied in one · pairs not tied in the other); of equal ones the first."""
    told = _rankings(values(truth=[1, 2, 3, 5], learned=[1, 2, 2, 2]), "truth")
    assert told["learned"]["episode"] == pytest.approx({"kendall_tau": 3 / np.sqrt(3 * 6), "regret": 3 / 4})


def test_steps_and_episodes_are_ranked_apart() -> None:
    """A policy that users leave early may be best by the step."""
    both = {
        "random": {"truth": {"mean": 4.0, "by_step": 0.4}, "learned": {"mean": 4.0, "by_step": 0.2}},
        "brief": {"truth": {"mean": 3.0, "by_step": 0.9}, "learned": {"mean": 2.0, "by_step": 0.8}},
        "steady": {"truth": {"mean": 8.0, "by_step": 0.5}, "learned": {"mean": 9.0, "by_step": 0.9}},
    }
    entry = _rankings(both, "truth")["learned"]
    assert entry["episode"] == pytest.approx({"kendall_tau": 1.0, "regret": 0.0})
    # Of three pairs brief and steady are swapped; picked is steady: 0.9 − 0.5 of 0.9 − 0.4.
    assert entry["step"] == pytest.approx({"kendall_tau": 1 / 3, "regret": 0.8})


def test_without_a_random_policy_the_worst_is_where_regret_begins() -> None:
    told = _rankings(values(("a", "b", "c"), replay=[2, 4, 6], learned=[0, 9, 1]), "replay")
    assert told["learned"]["against"] == "replay"
    assert told["learned"]["episode"] == pytest.approx({"kendall_tau": 1 / 3, "regret": (6 - 4) / (6 - 2)})


def test_where_all_are_worth_the_same_nothing_is_lost_and_nothing_ranked() -> None:
    told = _rankings(values(truth=[3, 3, 3, 3], learned=[1, 2, 3, 4]), "truth")
    assert told["learned"]["episode"] == {"kendall_tau": 0.0, "regret": 0.0}


def test_the_truth_ranks_as_the_truth_does() -> None:
    """Given as the learned model it meets the same users: every value comes out the same."""
    policies = ("random", "popularity", "linucb")
    told = policy_test(preset_store("tiny"), "truth", policies=policies, episodes=16, seeds=1, horizon=10)
    assert tuple(told["values"]) == policies
    for own in told["values"].values():
        assert set(own) == {"learned", "replay", "truth"}
        assert own["learned"] == own["truth"] != own["replay"]
        assert own["truth"]["low"] <= own["truth"]["mean"] <= own["truth"]["high"]
        assert own["truth"]["by_step"] == pytest.approx(own["truth"]["mean"] / own["truth"]["length"])
        assert own["replay"]["length"] <= 5, "cut short: few logged sessions are long"
    for measure in ("episode", "step"):
        assert told["rankings"]["learned"][measure] == pytest.approx({"kendall_tau": 1.0, "regret": 0.0})
    assert set(told["rankings"]) == {"learned", "replay"}


def test_a_policy_that_fails_ends_the_test() -> None:
    with pytest.raises(
        OptionError, match=r"expected a policy that plays, found: agent tests\.benchmark\.no_module:Nobody"
    ):
        policy_test(preset_store("tiny"), "truth", policies=("tests.benchmark.no_module:Nobody",), episodes=1, seeds=1)


def test_rules_of_one_feature() -> None:
    rng = np.random.default_rng(0)
    seen = {
        "candidates": rng.random((50, 6, len(CANDIDATE_FEATURES)), dtype=np.float32),
        "action_mask": (rng.random((50, 6)) < 0.7).astype(np.int8),
    }
    seen["action_mask"][:, 2] = 1
    for feature in ("log_duration", "video_wtr"):
        column = seen["candidates"][..., CANDIDATE_FEATURES.index(feature)]
        largest, smallest = FeaturePolicy(feature).act(seen), FeaturePolicy(feature, sign=-1).act(seen)
        for row in range(50):
            legal = np.flatnonzero(seen["action_mask"][row])
            assert largest[row] == max(legal, key=lambda slot: column[row, slot])
            assert smallest[row] == min(legal, key=lambda slot: column[row, slot])
    with pytest.raises(OptionError, match=r"feature: expected one of log_duration, .* found 'charm'"):
        FeaturePolicy("charm")
