"""Feed-v0 as the users of the `svsim` command meet it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from svsim.agents.registry import ready_agents
from svsim.data import FeedStore
from tests.cli.test_commands import run

BRIEF = ("--store", "tiny", "--env", "feed", "--horizon", 10, "--candidates", 8, "--history", 10)


def test_benchmark(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = ("benchmark", *BRIEF, "--agents", "random", "--episodes", 16, "--seeds", 2, "--out", tmp_path / "b")
    status, out, err = run(capsys, *arguments)
    assert (status, err) == (0, "")
    for word in ("Engagement", "videos", "authors", "tags", "random", "popularity", "oracle *", "feed: 16 episodes"):
        assert word in out
    assert "logged" not in out
    assert run(capsys, *arguments)[1] == out, "started again it prints the same"


def test_all_agents_are_those_that_a_feed_takes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = (
        "benchmark",
        *BRIEF,
        "--agents",
        "all",
        "--episodes",
        2,
        "--seeds",
        1,
        "--out",
        tmp_path / "b",
        "--json",
    )
    status, out, _ = run(capsys, *arguments)
    assert status == 0
    played = [record["agent"] for record in json.loads(out)]
    assert played == [name for name in ready_agents() if name != "logged"]


def test_train_then_benchmark(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    sizes = ("--timesteps", 512, "--num-envs", 16)
    arguments = ("train", "sb3", *BRIEF, "--algo", "a2c", *sizes, "--out", tmp_path / "run")
    status, out, err = run(capsys, *arguments)
    assert (status, err) == (0, "")
    assert "a2c (slots), 512 steps" in out
    told = json.loads((tmp_path / "run" / "config.json").read_text())
    assert told["env"] == "svsim/Feed-v0"
    assert told["arguments"]["horizon"] == 10
    assert not {"min_videos", "session_gap_minutes"} & set(told["arguments"])
    assert run(capsys, *arguments)[1] == out, "a finished run is shown again"
    status, _, err = run(capsys, *arguments, "--repeats")
    assert status == 2
    assert "another arguments" in err

    agent = f"a2c?run={tmp_path / 'run'}"
    benchmark = ("benchmark", *BRIEF, "--episodes", 16, "--seeds", 1, "--no-rails", "--agents", agent, "--json")
    status, out, err = run(capsys, *benchmark, "--out", tmp_path / "b")
    assert (status, err) == (0, "")
    (record,) = json.loads(out)
    assert record["metrics"]["reward"]["mean"] > 0
    status, _, err = run(capsys, *benchmark, "--candidates", 9, "--out", tmp_path / "other")
    assert status == 2
    assert "expected observations of 8 slots" in err
    assert "found 9 slots" in err


@pytest.mark.parametrize("command", [("benchmark", "--agents", "random"), ("train", "sb3")])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--response", "/no/such/run"], ["/no/such/run", "expected a response model", "svsim train response"]),
        (["--horizon", 5, "--horizon-minutes", 3], ["horizon", "found both (5 and 3.0)"]),
        (["--candidates", 1_000_000], ["candidates", "videos of the pool", "found 1000000"]),
        (["--min-videos", 3], ["--min-videos", "--env replay alone", "found 3"]),
        (["--session-gap", "none"], ["--session-gap", "--env replay alone"]),
        (["--reward-weights", "return=1"], ["'return'", "expected sessions above 1"]),
        (["--env", "replay", "--sessions", 2], ["--sessions", "--env feed alone", "found 2"]),
        (["--env", "replay", "--repeats"], ["--repeats", "--env feed alone"]),
        (["--env", "replay", "--reward-weights", "return=1"], ["reward weights", "'return'"]),
        (["--pool", "new"], ["--pool", "new"]),
        (["--sessions", 0], ["sessions", "at least 1"]),
    ],
)
def test_faults_are_one_line_and_status_two(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    command: tuple[str, ...],
    arguments: list[object],
    words: list[str],
) -> None:
    status, out, err = run(capsys, *command, "--store", "tiny", "--env", "feed", *arguments, "--out", tmp_path / "out")
    assert (status, out) == (2, "")
    assert err.startswith("svsim: ")
    assert err.count("\n") == 1
    for word in words:
        assert word in err
    assert not (tmp_path / "out").exists()


def test_a_log_without_a_truth_needs_a_model_of_its_users(
    capsys: pytest.CaptureFixture[str], store: FeedStore, tmp_path: Path
) -> None:
    for response in ((), ("--response", "truth")):
        arguments = ("--store", store.path, "--env", "feed", "--agents", "random", "--out", tmp_path / "out")
        status, _, err = run(capsys, "benchmark", *arguments, *response)
        assert status == 2
        assert "expected a response model" in err
        assert "svsim train response" in err
    assert not (tmp_path / "out").exists()


def test_square_brackets_of_others_are_no_markup(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("raise ValueError('[/b] and [red] are what it says')\n")
    agents = f"random,{tmp_path}/mine.py:Mine"
    status, out, err = run(
        capsys, "benchmark", *BRIEF, "--agents", agents, "--episodes", 4, "--seeds", 1, "--out", tmp_path / "b"
    )
    assert status == 2
    for printed in (out, err):
        assert "[/b] and [red] are what it says" in " ".join(printed.split())
