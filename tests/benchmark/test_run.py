"""Benchmarks from specification to files."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from svsim.benchmark import BenchmarkSpec, ProcessExecutor, load_results, run
from svsim.benchmark.executors import make_executor
from svsim.benchmark.results import FILES
from svsim.benchmark.shard import Shard, episode_plan, play_shard
from svsim.data import FeedStore
from svsim.envs import ReplayVectorEnv
from svsim.errors import OptionError, OutputError, StoreError, UnknownNameError

AGENTS = ("random", "popularity", "logged", "oracle", "epsilon-greedy", "linucb")

FAILING = """
from svsim.agents import Agent, ScoringAgent
import numpy as np


class Failing(ScoringAgent):
    def score(self, observation):
        raise ZeroDivisionError("no score today")


class OutOfRange(Agent):
    def act(self, observation):
        return np.full(len(observation["action_mask"]), 99)
"""


def spec(store: FeedStore, **settings: object) -> BenchmarkSpec:
    return BenchmarkSpec(
        **({"store": store, "agents": AGENTS, "split": "train", "candidates": 5, "horizon": 4, "seeds": 2} | settings)
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def finished(store: FeedStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("benchmark") / "out"
    run(spec(store), folder)
    return folder


def test_the_files_of_the_contract(finished: Path, store: FeedStore) -> None:
    assert set(contents(finished)) == {"spec.json", *FILES}
    records = json.loads((finished / "results.json").read_text())
    assert [record["agent"] for record in records] == list(AGENTS)
    for record in records:
        assert record["env"] == "replay"
        assert record["seeds"] == 2
        assert {"reward", "wtr", "wtg", "aux", "watch_s", "length", "score"} <= set(record["metrics"])
        for value in record["metrics"].values():
            assert value["low"] <= value["mean"] <= value["high"]
        assert set(record["groups"]) == {"influencer", "normal"}
        assert set(record["gap"]) >= {"reward", "wtr"}
    assert json.loads((finished / "spec.json").read_text())["store"] == store.fingerprint


def test_nothing_tells_of_times_or_places(finished: Path) -> None:
    for name in ("spec.json", "results.json", "results.csv"):
        assert str(finished.parent) not in (finished / name).read_text()


def test_the_rails_are_in_order(finished: Path) -> None:
    means = {r["agent"]: r["metrics"]["reward"]["mean"] for r in load_results(finished).records}
    assert means["oracle"] > means["popularity"] > means["random"]
    assert means["oracle"] == max(means.values())


def test_means_are_those_of_the_episodes(finished: Path) -> None:
    results = load_results(finished)
    for record in results.records:
        mine = results.episodes[results.episodes["agent"] == record["agent"]]
        for metric in ("reward", "wtr", "watch_s", "length"):
            expected = mine.groupby("seed")[metric].mean().mean()
            assert record["metrics"][metric]["mean"] == pytest.approx(expected, rel=1e-9)
        by_user = mine.groupby(["group", "user_id"])["reward"].mean().groupby("group").mean()
        for group in ("influencer", "normal"):
            assert record["groups"][group]["reward"]["mean"] == pytest.approx(by_user[group], rel=1e-9)
        assert record["gap"]["reward"]["mean"] == pytest.approx(by_user["normal"] - by_user["influencer"], rel=1e-6)


def test_steps_add_up_to_episodes(finished: Path) -> None:
    results = load_results(finished)
    steps = results.steps.assign(total=results.steps["reward"] * results.steps["episodes"])
    from_steps = steps.groupby(["agent", "seed"])["total"].sum()
    from_episodes = results.episodes.groupby(["agent", "seed"])["reward"].sum()
    pd.testing.assert_series_equal(from_steps, from_episodes, check_names=False)


def test_agents_meet_the_same_episodes(finished: Path) -> None:
    episodes = load_results(finished).episodes
    keys = {agent: part["episode_key"].tolist() for agent, part in episodes.groupby("agent")}
    assert all(other == keys["random"] for other in keys.values())
    one, other = (part["episode_key"].tolist() for _, part in episodes[episodes["agent"] == "random"].groupby("seed"))
    assert set(one).isdisjoint(other), "another seed shuffles anew"


def test_every_session_is_played_once_a_seed(finished: Path, store: FeedStore) -> None:
    env = ReplayVectorEnv(1, store, split="train", candidates=5, horizon=4)
    episodes = load_results(finished).episodes
    for _, part in episodes.groupby(["agent", "seed"]):
        assert sorted(part["episode_key"] % env.sessions) == list(range(env.sessions))


def test_privileged_agents_are_marked(finished: Path) -> None:
    marked = {record["agent"] for record in load_results(finished).records if record["privileged"]}
    assert marked == {"logged", "oracle"}


def test_processes_give_the_same_bytes(finished: Path, store: FeedStore, tmp_path: Path) -> None:
    run(spec(store), tmp_path / "out", executor=ProcessExecutor(2))
    assert contents(tmp_path / "out") == contents(finished)


def test_a_finished_benchmark_is_read_again(finished: Path, store: FeedStore) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.iterdir()}
    results = run(spec(store), finished)
    assert [record["agent"] for record in results.records] == list(AGENTS)
    assert {path: path.stat().st_mtime_ns for path in finished.iterdir()} == before


@pytest.mark.parametrize("change", [{"seeds": 3}, {"horizon": 5}, {"reward_weights": {"wtr": 1}}, {"num_envs": 3}])
def test_other_arguments_are_refused(finished: Path, store: FeedStore, change: dict) -> None:
    before = contents(finished)
    with pytest.raises(OutputError, match=f"another .{next(iter(change))}"):
        run(spec(store, **change), finished)
    assert contents(finished) == before


def test_a_folder_of_something_else_is_refused(store: FeedStore, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(OutputError, match=r"thesis\.tex"):
        run(spec(store), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_number_of_environments_does_not_matter_to_who_does_not_learn(store: FeedStore) -> None:
    """A policy that neither learns nor draws plays each episode alike, however many run side by side."""
    settings = {"agents": ("popularity", "oracle"), "rails": False}
    one, many = (run(spec(store, num_envs=rows, **settings)).records for rows in (1, 7))
    for left, right in zip(one, many, strict=True):
        assert left["metrics"]["reward"] == right["metrics"]["reward"]


def test_more_episodes_than_sessions(store: FeedStore) -> None:
    plan = episode_plan(7, 17, seed=3)
    assert len(plan) == 17
    assert sorted((plan % np.uint64(7))[:7]) == list(range(7))
    assert len(np.unique(plan)) == 17
    assert len(run(spec(store, agents=("random",), rails=False, episodes=300, seeds=1)).episodes) == 300


def test_one_seed_of_one_user_has_no_interval(tmp_path: Path, store: FeedStore) -> None:
    record = run(spec(store, agents=("random",), rails=False, episodes=1, seeds=1)).records[0]
    assert record["metrics"]["reward"]["mean"] is not None
    assert record["metrics"]["reward"]["low"] is None


def test_a_failing_agent_does_not_stop_the_others(store: FeedStore, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(FAILING)
    agents = (f"{tmp_path}/mine.py:Failing", f"{tmp_path}/mine.py:OutOfRange", "random")
    results = run(spec(store, agents=agents, rails=False), tmp_path / "out")
    failing, out_of_range, random = results.records
    assert "ZeroDivisionError: no score today (mine.py, line 8)" in failing["error"]
    assert "expected slots from 0 to 4" in out_of_range["error"]
    assert random["metrics"]["reward"]["mean"] > 0
    assert "metrics" not in failing
    assert (tmp_path / "out" / "shards").is_dir(), "kept, so that a later run need only try the failed ones"
    assert pd.read_csv(tmp_path / "out" / "results.csv")["error"].notna().sum() == 2


def test_a_changed_agent_file_is_another_benchmark(store: FeedStore, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(FAILING)
    settings = {"agents": (f"{path}:Failing",), "rails": False}
    run(spec(store, **settings), tmp_path / "out")
    path.write_text(FAILING + "# mended\n")
    with pytest.raises(OutputError, match="agent_files"):
        run(spec(store, **settings), tmp_path / "out")


KILLED = """
import os, signal, sys
from svsim.benchmark import BenchmarkSpec, run
settings = dict(split="train", candidates=5, horizon=4, seeds=2, rails=False)
spec = BenchmarkSpec(store=sys.argv[1], agents=("random", "popularity"), **settings)
def progress(done, whole, name):
    if done == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
run(spec, sys.argv[2], progress=progress)
"""


@pytest.mark.parametrize("after", [1, 3])
def test_a_killed_benchmark_goes_on(store: FeedStore, tmp_path: Path, after: int) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(store.path), str(tmp_path / "out"), str(after)])
    assert killed.returncode == -signal.SIGKILL
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "shards").iterdir()}
    assert len(kept) == after
    played = []
    settings = {"agents": ("random", "popularity"), "rails": False}
    again = spec(store, **settings)
    run(again, tmp_path / "out", progress=lambda done, whole, name: played.append(done))
    assert played == list(range(after + 1, 7)), "two rails of two seeds each, and both on the validation split"
    run(again, tmp_path / "whole")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_two_processes_do_not_write_one_folder(store: FeedStore, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def second(*_: object) -> None:
        with pytest.raises(OutputError, match="another process"):
            run(spec(store, agents=("random",), rails=False), out)

    run(spec(store, agents=("random",), rails=False), out, progress=second)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"seeds": 0}, OptionError),
        ({"episodes": 0}, OptionError),
        ({"num_envs": 0}, OptionError),
        ({"env": "fed"}, OptionError),
        ({"agents": (), "rails": False}, OptionError),
        ({"reward_weights": {"x": 1}}, OptionError),
        ({"agents": ("nobody",)}, UnknownNameError),
        ({"agents": ("random?x=1",)}, OptionError),
        ({"candidates": 10_000}, OptionError),
    ],
)
def test_impossible_specifications_leave_nothing(
    store: FeedStore, tmp_path: Path, settings: dict, error: type[Exception]
) -> None:
    with pytest.raises(error, match="expected"):
        run(spec(store, **settings), tmp_path / "out")
    assert not (tmp_path / "out" / "results.json").exists()


def test_shards_survive_their_file(store: FeedStore, tmp_path: Path) -> None:
    shard = play_shard(spec(store), "random", 0)
    assert isinstance(shard, Shard)
    (tmp_path / "s.npz").write_bytes(shard.to_bytes())
    again = Shard.load(tmp_path / "s.npz")
    for name, values in vars(shard).items():
        np.testing.assert_array_equal(getattr(again, name), values)


def test_damaged_results_are_refused(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="expected the folder of a benchmark, found none"):
        load_results(tmp_path / "nowhere")
    with pytest.raises(StoreError, match=r"expected the folder of a benchmark, found .*spec\.json"):
        load_results(tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    (copy / "results.json").write_text("[")
    with pytest.raises(StoreError, match="run the benchmark again"):
        load_results(copy)
    shutil.copy(finished / "results.json", copy / "results.json")
    episodes = (finished / "episodes.parquet").read_bytes()
    (copy / "episodes.parquet").write_bytes(episodes[: len(episodes) // 2])
    with pytest.raises(StoreError, match="run the benchmark again"):
        load_results(copy)


@pytest.mark.parametrize("name", ["results.json", "episodes.parquet"])
def test_damaged_results_are_made_anew_by_the_same_command(
    finished: Path, store: FeedStore, tmp_path: Path, name: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    whole = (copy / name).read_bytes()
    (copy / name).write_bytes(whole[: len(whole) // 2])
    run(spec(store), copy)
    assert contents(copy) == contents(finished)


def test_results_of_another_version_are_refused(finished: Path, tmp_path: Path, store: FeedStore) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    told = json.loads((copy / "spec.json").read_text())
    (copy / "spec.json").write_text(json.dumps({**told, "version": 99}))
    with pytest.raises(StoreError, match="expected benchmark results of version 2, found version 99"):
        load_results(copy)
    before = contents(copy)
    with pytest.raises(OutputError, match="version: now 2, there 99"):
        run(spec(store), copy)
    assert contents(copy) == before


def test_executors_by_name() -> None:
    assert make_executor("processes", 3).workers == 3
    with pytest.raises(OptionError, match="serial, processes"):
        make_executor("rey")
    with pytest.raises(OptionError, match="at least 1"):
        make_executor("processes", 0)


def _die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_worker_is_explained() -> None:
    with pytest.raises(Exception, match="a worker process was killed"):
        list(ProcessExecutor(1).map(_die, [(1,)]))


def test_the_real_log_ranks_the_rails(real_store: FeedStore) -> None:
    """Oracle above popularity above random, and the platform's order near random's; about 520 sessions on 4 May."""
    settings = {"split": "test", "horizon": 3, "session_gap_minutes": None, "seeds": 5}
    results = run(spec(real_store, agents=("random", "popularity", "logged", "oracle"), **settings))
    reward = {record["agent"]: record["metrics"]["reward"] for record in results.records}
    assert results.records[0]["sessions"] == 518
    assert reward["oracle"]["low"] > reward["popularity"]["high"]
    assert reward["popularity"]["low"] > reward["random"]["high"]
    assert reward["random"]["low"] < reward["logged"]["mean"] < reward["random"]["high"]


INTERRUPTED = """
import signal, sys
from svsim.benchmark import BenchmarkSpec, ProcessExecutor, run

if __name__ == "__main__":
    # A shell that starts the suite in the background has it ignore interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    spec = BenchmarkSpec(store=sys.argv[1], split="train", agents=("random",), candidates=5, seeds=60, rails=False)
    run(spec, sys.argv[2], executor=ProcessExecutor(2), progress=lambda *_: print("shard", flush=True))
"""


def test_ctrl_c_ends_workers_and_keeps_what_was_done(store: FeedStore, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(INTERRUPTED)
    command = [sys.executable, script, store.path, tmp_path / "out"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, text=True
    ) as running:
        assert running.stdout.readline() == "shard\n"
        # As a terminal does it: to the whole group.
        os.killpg(running.pid, signal.SIGINT)
        _, err = running.communicate(timeout=60)
    assert "KeyboardInterrupt" in err
    assert "was killed" not in err
    assert 1 <= len(list((tmp_path / "out" / "shards").iterdir())) < 60
