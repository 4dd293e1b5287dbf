"""What a benchmark's records say, checked against its own episodes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from svsim.benchmark import BenchmarkSpec, Results, run
from svsim.benchmark.results import make_results
from svsim.benchmark.shard import Shard, play_shard
from svsim.benchmark.statistics.slices import THRESHOLDS
from svsim.data import FeedStore
from svsim.errors import EnvironmentUsageError
from svsim.names import INFLUENCER, NORMAL

AGENTS = ("random", "popularity", "oracle", "epsilon-greedy", "linucb")


@pytest.fixture(scope="module")
def spec(store: FeedStore) -> BenchmarkSpec:
    return BenchmarkSpec(
        store=store, agents=AGENTS, rails=False, split="train", candidates=5, horizon=4, seeds=3, min_videos=5
    )


@pytest.fixture(scope="module")
def results(spec: BenchmarkSpec) -> Results:
    return run(spec)


@pytest.fixture(scope="module")
def rewards(results: Results) -> pd.DataFrame:
    """Rewards by episode, a column an agent."""
    frame = results.episodes.set_index(["seed", "episode_key", "user_id"])
    return pd.DataFrame({name: frame.loc[frame["agent"] == name, "reward"] for name in AGENTS})


def record(results: Results, name: str) -> dict:
    return next(own for own in results.records if own["agent"] == name)


def test_differences_are_means_of_paired_differences(results: Results, rewards: pd.DataFrame) -> None:
    against = record(results, "linucb")["comparison"]["against"]
    assert against in ("random", "popularity")
    for name in ("linucb", "oracle"):
        told = record(results, name)["comparison"]
        by_seed = (rewards[name] - rewards[against]).groupby("seed").mean()
        assert told["mean"] == pytest.approx(by_seed.mean())
    assert "comparison" not in record(results, against)


def test_improvement_counts_episodes_that_are_better(results: Results, rewards: pd.DataFrame) -> None:
    told = record(results, "oracle")["comparison"]
    base = rewards[told["against"]]
    share = ((rewards["oracle"] > base) + 0.5 * (rewards["oracle"] == base)).groupby("seed").mean().mean()
    assert told["improvement"]["mean"] == pytest.approx(share)
    assert 0.5 < share <= 1


def test_the_privileged_are_no_hypotheses_and_win_nothing(results: Results) -> None:
    oracle = record(results, "oracle")
    assert oracle["comparison"]["adjusted_p"] is None
    assert "winner" not in oracle
    assert "behind" not in oracle


def test_one_agent_is_best_and_others_are_behind_it(results: Results, rewards: pd.DataFrame) -> None:
    rivals = [own for own in results.records if not own["privileged"]]
    best = [own["agent"] for own in rivals if own["behind"] is None]
    means = rewards.drop(columns="oracle").groupby("seed").mean().mean()
    assert best == [means.idxmax()]
    for own in rivals:
        if own["behind"] is not None:
            assert own["behind"]["against"] == best[0]
            assert own["behind"]["mean"] == pytest.approx(means[own["agent"]] - means[best[0]])
            assert own["behind"]["mean"] <= 0


def test_the_rail_is_chosen_on_the_validation_split(spec: BenchmarkSpec, store: FeedStore) -> None:
    """Whichever rail did better there is what the others are compared with, though on the test split it were worse."""
    shards = {name: [play(spec, name, seed) for seed in range(3)] for name in AGENTS}
    for better in ("random", "popularity"):
        validation = {
            name: dataclasses.replace(shards[name][0], metrics=shards[name][0].metrics * 0 + (name == better))
            for name in ("random", "popularity")
        }
        found = make_results(spec, store, shards, {}, validation=validation, resamples=20)
        assert record(found, "linucb")["comparison"]["against"] == better


def play(spec: BenchmarkSpec, name: str, seed: int) -> Shard:
    shard = play_shard(spec, name, seed)
    assert isinstance(shard, Shard)
    return shard


def test_without_validation_it_is_popularity(spec: BenchmarkSpec) -> None:
    """What is tested on the validation split cannot be chosen there."""
    found = run(dataclasses.replace(spec, split="valid", agents=("linucb", "random", "popularity"), seeds=1))
    assert record(found, "linucb")["comparison"]["against"] == "popularity"


def test_without_a_rail_there_is_nothing_to_compare_with(spec: BenchmarkSpec) -> None:
    told = run(dataclasses.replace(spec, agents=("linucb",), seeds=1)).records[0]
    assert "comparison" not in told
    assert "score" not in told["metrics"]
    assert "slices" not in told
    assert told["winner"] is False


def test_users_of_all_groups_are_the_users_met(results: Results) -> None:
    users = results.episodes["user_id"].nunique()
    told = record(results, "linucb")
    for groups in (told["groups"], *(own["groups"] for own in told["groupings"].values())):
        assert sum(own["users"] for own in groups.values()) == users
    strata = told["gap_within_activity"]["strata"].values()
    assert sum(own["users"][INFLUENCER] + own["users"][NORMAL] for own in strata) == users


def test_the_gap_among_the_equally_active_is_a_mean_of_strata(results: Results) -> None:
    """Weighted by their influencers; strata with fewer than two users of a group are left out."""
    told = record(results, "linucb")["gap_within_activity"]
    used = [own for own in told["strata"].values() if min(own["users"].values()) >= 2]
    weights = [own["users"][INFLUENCER] for own in used]
    assert told["reward"]["mean"] == pytest.approx(
        np.average([own["reward"]["mean"] for own in used], weights=weights), rel=1e-8
    )


def test_worst_is_the_group_with_the_lowest_utility(results: Results) -> None:
    told = record(results, "linucb")
    groups = told["groupings"]["history"]
    known = {name: own["reward"]["mean"] for name, own in groups["groups"].items() if own["users"]}
    assert groups["worst"] == min(known, key=lambda name: known[name])
    assert told["worst"] in (INFLUENCER, NORMAL)


def test_profiles_fall_from_all_slices_to_few(results: Results) -> None:
    oracle = results.profiles[results.profiles["agent"] == "oracle"]
    np.testing.assert_allclose(oracle["threshold"], THRESHOLDS)
    assert (oracle.loc[oracle["threshold"] < 1, "share"] == 1).all(), "its score is 1 in every slice"
    own = results.profiles[results.profiles["agent"] == "linucb"]
    assert (np.diff(own["share"]) <= 0).all()
    assert record(results, "random")["slices"]["score"]["mean"] == 0


def test_exposures_of_authors_are_all_plays(results: Results) -> None:
    for name in AGENTS:
        served = results.authors.loc[results.authors["agent"] == name, "exposures"].sum()
        assert served == results.episodes.loc[results.episodes["agent"] == name, "length"].sum()


def test_shards_of_other_sessions_are_refused(spec: BenchmarkSpec, store: FeedStore) -> None:
    shards = {name: [play(spec, name, 0)] for name in ("random", "oracle")}
    other = dataclasses.replace(spec, min_videos=6, agents=("random", "oracle"))
    with pytest.raises(EnvironmentUsageError, match="expected shards of"):
        make_results(other, store, shards, {})


def test_tables_are_files_too(results: Results, tmp_path: Path) -> None:
    results.save(tmp_path)
    authors = pd.read_parquet(tmp_path / "authors.parquet")
    pd.testing.assert_frame_equal(authors, results.authors)
    table = pd.read_csv(tmp_path / "results.csv")
    assert {"comparison_mean", "slices_score_low", "history_gap_reward_mean", "activity_new_users", "winner"} <= set(
        table
    )
