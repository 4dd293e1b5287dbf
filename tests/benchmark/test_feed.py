"""Benchmarks in Feed-v0, answered by the truth of a world."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from svsim.agents import make_agent
from svsim.agents.registry import ready_agents
from svsim.benchmark import BenchmarkSpec, ProcessExecutor, Results, run
from svsim.benchmark.spec import REFUSED
from svsim.data import FeedStore
from svsim.envs import FeedVectorEnv
from svsim.errors import OptionError, RunError
from svsim.report.benchmark import sheets
from svsim.testing import check_agent
from svsim.world.presets import preset_store

PLAYERS = [name for name in ready_agents() if name not in REFUSED["feed"]]

LOOPING = """
from svsim.agents import ScoringAgent


class First(ScoringAgent):
    def score(self, observation):
        return -observation["candidate_video"]
"""


def spec(**settings: object) -> BenchmarkSpec:
    return BenchmarkSpec(**({"store": "tiny", "env": "feed", "horizon": 20, "seeds": 2, "episodes": 66} | settings))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def world() -> FeedStore:
    return preset_store("tiny")


@pytest.fixture(scope="module")
def finished(world: FeedStore, tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, Path]:
    folder = tmp_path_factory.mktemp("benchmark") / "out"
    return run(spec(agents=("linucb",)), folder), folder


def test_processes_give_the_same_bytes(finished: tuple[Results, Path], tmp_path: Path) -> None:
    run(spec(agents=("linucb",)), tmp_path / "out", executor=ProcessExecutor(2))
    assert contents(tmp_path / "out") == contents(finished[1])


def test_the_rails_are_in_order(finished: tuple[Results, Path]) -> None:
    records = finished[0].records
    assert [record["agent"] for record in records] == ["linucb", "random", "popularity", "oracle"]
    reward = {record["agent"]: record["metrics"]["reward"]["mean"] for record in records}
    assert reward["oracle"] > reward["popularity"] > reward["random"] > 0
    assert {record["agent"] for record in records if record["privileged"]} == {"oracle"}
    assert all(record["env"] == "feed" for record in records)


def test_agents_meet_the_same_episodes(finished: tuple[Results, Path]) -> None:
    episodes = finished[0].episodes
    keys = {agent: part["episode_key"].tolist() for agent, part in episodes.groupby("agent")}
    assert all(other == keys["random"] for other in keys.values())
    sessions = FeedVectorEnv(1, "tiny").sessions
    for _, part in episodes.groupby(["agent", "seed"]):
        assert (part["episode_key"] % sessions).value_counts().tolist() == [2] * sessions


def test_what_only_one_environment_knows_is_refused_by_the_other() -> None:
    for settings, option in (
        ({"session_gap_minutes": None}, "--session-gap"),
        ({"session_gap_minutes": 10.0}, "--session-gap"),
        ({"min_videos": 3}, "--min-videos"),
    ):
        with pytest.raises(OptionError, match=f"^{option}: expected it with --env replay alone, found"):
            spec(**settings)
    for settings, option in (
        ({"response": "truth"}, "--response"),
        ({"horizon_minutes": 3.0}, "--horizon-minutes"),
        ({"pool": "train"}, "--pool"),
        ({"retrieval": "popularity"}, "--retrieval"),
        ({"request_size": 2}, "--request-size"),
        ({"sessions": 2}, "--sessions"),
        ({"repeats": True}, "--repeats"),
    ):
        with pytest.raises(OptionError, match=f"^{option}: expected it with --env feed alone, found"):
            spec(env="replay", **settings)
    with pytest.raises(OptionError, match="no log served what a feed serves"):
        spec(agents=("random", "logged"))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"horizon_minutes": 3.0}, "expected horizon or horizon_minutes, found both"),
        ({"candidates": 10_000}, "expected at most the .* videos of the pool, found 10000"),
        ({"reward_weights": {"return": 1}}, "expected sessions above 1 where 'return' is weighed, found 1"),
        ({"response": "/no/such/run"}, "expected a response model, found nothing"),
    ],
)
def test_impossible_feeds_leave_nothing(tmp_path: Path, settings: dict, words: str) -> None:
    with pytest.raises((OptionError, RunError), match=words):
        run(spec(**settings), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(OptionError, match="'return'"):
        spec(env="replay", reward_weights={"return": 1})


def test_coming_back_is_worth_what_it_adds() -> None:
    """The same draws in the same episodes: the reward is what users watched and, once at most, that they came back."""
    settings = {"agents": ("random",), "rails": False, "sessions": 2, "horizon": 60, "seeds": 1}
    silent = {"wtr": 0, "wtg": 0, "aux": 0, "return": 0}
    watched, back, both = (
        run(spec(reward_weights=weights, **settings)).episodes["reward"].to_numpy()
        for weights in ({"wtr": 1}, silent | {"return": 1}, {"wtr": 1, "return": 2})
    )
    np.testing.assert_allclose(both, watched + 2 * back, rtol=1e-9)
    # 1 / (1 + days), and nothing for those who were cut in their first session.
    assert ((back >= 0) & (back <= 1)).all()
    assert 0 < (back > 0).mean() < 1


# --- who answers ------------------------------------------------------------------------------------------------------


def test_the_truth_is_named_by_its_name(finished: tuple[Results, Path]) -> None:
    assert json.loads((finished[1] / "spec.json").read_text())["response"] == "truth"
    assert spec(response="truth").json() == spec(response=None).json()


def test_a_response_model_is_named_by_its_weights_and_not_by_its_place(tmp_path: Path) -> None:
    texts = []
    for name, weights in (("here", b"1"), ("there", b"1"), ("other", b"2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(weights)
        texts.append(spec(response=str(tmp_path / name)).json())
    here, there, other = texts
    assert here == there
    assert here != other
    assert str(tmp_path) not in here.decode()
    with pytest.raises(RunError, match="expected a response model, found none"):
        spec(response=str(tmp_path)).json()


def test_a_replay_knows_of_no_response() -> None:
    told = json.loads(BenchmarkSpec(store="tiny").json())
    assert "response" not in told
    assert "min_videos" in told


# --- variety ----------------------------------------------------------------------------------------------------------


def shown_variety(results: Results) -> list[int]:
    """The first agent's videos, authors and tags in the tables."""
    engagement, *_, providers = sheets(results)
    assert engagement.columns[-1] == "videos"
    assert providers.columns[1:3] == ("authors", "tags")
    return [int(engagement.rows[0][-1]), *map(int, providers.rows[0][1:3])]


def test_a_policy_that_loops_serves_one_video(world: FeedStore, tmp_path: Path) -> None:
    """Everything is on offer, the first of all is served; it comes back, or the next one does."""
    (tmp_path / "mine.py").write_text(LOOPING)
    pool = FeedVectorEnv(1, world).pool
    settings = {
        "agents": (f"{tmp_path}/mine.py:First",),
        "rails": False,
        "candidates": len(pool),
        "seeds": 1,
        "episodes": 33,
    }
    results = run(spec(repeats=True, **settings))
    tags = len(world.video_tags[world.videos["tag_set"][pool[0]]])
    metrics = {name: value["mean"] for name, value in results.records[0]["metrics"].items()}
    assert metrics["distinct_videos"] == metrics["distinct_authors"] == 1
    assert metrics["distinct_tags"] == tags
    assert metrics["coverage"] == pytest.approx(1 / len(pool))
    assert shown_variety(results) == [1, 1, tags]

    results = run(spec(**settings))
    longest = int(results.episodes["length"].max())
    served = pool[:longest]
    authors, sets = np.unique(world.videos["author"][served]), np.unique(world.videos["tag_set"][served])
    tags = len({tag for number in sets.tolist() for tag in world.video_tags[number]})
    assert longest > 5
    assert shown_variety(results) == [longest, len(authors), tags]
    metrics = results.records[0]["metrics"]
    told = [metrics[f"distinct_{kind}"]["mean"] for kind in ("videos", "authors", "tags")]
    assert told == [longest, len(authors), tags]


# --- length -----------------------------------------------------------------------------------------------------------


def test_long_episodes_are_followed_to_their_end() -> None:
    results = run(spec(agents=("random",), rails=False, horizon=150, seeds=1))
    lengths, steps = results.episodes["length"].to_numpy(), results.steps
    assert lengths.max() == 150
    assert steps["step"].tolist() == list(range(150))
    assert steps["episodes"].tolist() == [(lengths > step).sum() for step in range(150)]
    assert (steps["wtr"] * steps["episodes"]).sum() == pytest.approx(results.episodes["wtr"].sum())


def test_a_hundred_steps_unless_minutes_are_given() -> None:
    settings = {"agents": ("random",), "rails": False, "seeds": 1, "horizon": None}
    assert run(spec(**settings)).episodes["length"].max() == 100
    episodes = run(spec(**settings, horizon_minutes=2.0)).episodes
    assert episodes["length"].min() > 0
    assert episodes["length"].max() < 100


# --- who plays --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PLAYERS)
def test_agents_play(name: str) -> None:
    (record,) = run(spec(agents=(name,), rails=False, episodes=8, seeds=1, horizon=5)).records
    assert "error" not in record
    assert record["metrics"]["reward"]["mean"] > 0
    assert 1 <= record["metrics"]["length"]["mean"] <= 5


@pytest.mark.parametrize("name", ["random", "popularity", "linucb", "mmr"])
@pytest.mark.parametrize("arguments", [{}, {"request_size": 4, "sessions": 2, "repeats": True}])
def test_agents_keep_their_contract(world: FeedStore, name: str, arguments: dict) -> None:
    agent = make_agent(name)
    if hasattr(agent, "fit"):
        agent.fit(world, seed=0)
    check_agent(agent, FeedVectorEnv(4, world, candidates=6, horizon=15, **arguments))
