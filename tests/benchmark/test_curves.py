"""Curves of a benchmark, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from svsim.benchmark import Results
from svsim.benchmark.curves import as_they_act, by_step, concentration, reward_quantiles


def results(**tables: pd.DataFrame) -> Results:
    empty = pd.DataFrame({"agent": []})
    records = tables.pop("records", [])
    return Results(records, **{name: tables.get(name, empty) for name in ("episodes", "steps", "authors", "profiles")})


def test_steps_are_weighed_by_the_episodes_that_reached_them() -> None:
    """Two seeds: (4·1 + 2·4)/6 at the first step; at the second only one of them, 2 of the first step's 6 episodes."""
    signals = {name: [1.0, 4.0, 5.0] for name in ("reward", "wtr", "wtg", "aux")}
    steps = pd.DataFrame({"agent": "a", "seed": [0, 1, 1], "step": [0, 0, 1], "episodes": [4, 2, 2], **signals})
    told = by_step(results(steps=steps))
    assert told["step"].tolist() == [1, 2]
    assert told["reward"].tolist() == pytest.approx([2.0, 5.0])
    assert told["reached"].tolist() == pytest.approx([1.0, 1 / 3])


def episodes(agent: str, rewards: list[float], group: str = "normal") -> pd.DataFrame:
    number = range(len(rewards))
    return pd.DataFrame({"agent": agent, "seed": 0, "episode": number, "group": group, "reward": rewards})


def test_a_learner_s_lead_grows_by_tenths() -> None:
    """What the episodes are worth falls out: the learner leads by the number of its tenth."""
    worth = np.random.default_rng(0).normal(size=100)
    learner = worth + np.repeat(np.arange(1, 11), 10)
    told = as_they_act(results(episodes=pd.concat([episodes("random", list(worth)), episodes("a", list(learner))])))
    assert told["agent"].unique().tolist() == ["a"]
    assert told["part"].tolist() == list(range(1, 11))
    assert told["lead"].tolist() == pytest.approx(range(1, 11))


def test_without_random_there_is_no_lead() -> None:
    assert as_they_act(results(episodes=episodes("a", [1.0, 2.0]))).empty
    assert as_they_act(results()).empty


def test_quantiles_are_those_of_each_group() -> None:
    both = pd.concat([episodes("a", list(range(101))), episodes("a", [7.0] * 3, group="influencer")])
    told = reward_quantiles(results(episodes=both)).set_index("group")
    assert told.loc["normal", ["p10", "p25", "p50", "p75", "p90"]].tolist() == [10, 25, 50, 75, 90]
    assert told.loc["influencer", "p10"] == told.loc["influencer", "p90"] == 7
    assert told["episodes"].tolist() == [101, 3]
    assert reward_quantiles(results()).empty


def test_concentration_counts_authors_that_were_never_shown() -> None:
    """Two of four authors have 3 and 1 exposures: the first quarter has ¾ of all, half of the authors have everything."""
    record = {"agent": "a", "metrics": {"distinct_authors": {"mean": 2.0}, "author_coverage": {"mean": 0.5}}}
    authors = pd.DataFrame({"agent": "a", "author_id": [5, 6], "exposures": [1, 3]})
    told = concentration(results(records=[record], authors=authors), [0.0, 0.125, 0.25, 0.5, 1.0])
    assert told["exposures"].tolist() == pytest.approx([0, 0.375, 0.75, 1, 1])
    failed = [{"agent": "b", "error": "x"}]
    assert concentration(results(records=failed, authors=authors), [0.5]).empty
