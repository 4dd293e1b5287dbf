"""Comparisons: what Holm corrects, and how seldom a winner is named where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from svsim.benchmark.statistics import Estimate, Panel, compare_agents, p_value
from svsim.metrics import Resamples


def seeds(*values: float) -> Estimate:
    return Estimate(float(np.mean(values)), np.array(values), np.empty(0))


def test_differences_are_paired_and_corrected_by_holm() -> None:
    """Against `base`, `far` has the smaller p and is multiplied by 2, `near` by 1; `cheat` is no hypothesis."""
    rewards = {
        "base": seeds(1.0, 2.0, 3.0, 4.0),
        "near": seeds(1.2, 2.1, 3.4, 4.1),
        "far": seeds(2.0, 3.1, 4.0, 5.1),
        "cheat": seeds(9.0, 9.1, 9.0, 9.2),
    }
    found = compare_agents(rewards, "base", ["base", "near", "far"])
    assert list(found) == ["near", "far", "cheat"]
    p = {name: p_value(rewards[name] - rewards["base"]) for name in ("near", "far")}
    assert p["far"] < p["near"]
    assert found["far"].adjusted_p == pytest.approx(2 * p["far"])
    assert found["near"].adjusted_p == pytest.approx(max(p["near"], 2 * p["far"]))
    assert found["far"].better is True
    assert np.isnan(found["cheat"].adjusted_p)
    assert found["cheat"].better is None
    assert found["cheat"].record()["adjusted_p"] is None
    assert found["far"].difference.value == pytest.approx(1.05)


def worlds(rng: np.random.Generator, count: int, lead: float) -> list[bool]:
    """For each world of six agents, the first ahead by `lead`: whether the best one is told apart from all others."""
    named = []
    for _ in range(count):
        user = rng.normal(size=80)
        metrics = [
            [(user + lead * (agent == 0) + rng.normal(size=80) * 0.4)[:, None] for _ in range(3)] for agent in range(6)
        ]
        panel = Panel([np.arange(80)] * 3, metrics, {}, Resamples(80, count=200, keep=True))
        rewards = {str(agent): panel.overall(agent, 0) for agent in range(6)}
        best = max(rewards, key=lambda name: rewards[name].value)
        named.append(all(other.better is False for other in compare_agents(rewards, best).values()))
    return named


def test_a_winner_is_seldom_named_where_all_are_equal() -> None:
    assert np.mean(worlds(np.random.default_rng(0), 150, 0.0)) <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / 150)


def test_a_clear_winner_is_named() -> None:
    assert np.mean(worlds(np.random.default_rng(1), 30, 0.5)) > 0.9
