"""Each tutorial runs in its fast size and prints what its page says it does; pages show every part of their file."""

from __future__ import annotations

import json
import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from svsim import open_store
from svsim.agents import registry

FOLDER = Path(__file__).parents[2] / "docs" / "tutorials"
FILES = sorted(FOLDER.glob("*.py"))
MARK = re.compile(r"^# --8<-- \[(start|end):(\w+)\]$", re.MULTILINE)
SHOWN = re.compile(r'^--8<-- "docs/tutorials/(\w+)\.py:(\w+)"$', re.MULTILINE)
RAILS = ("random", "popularity", "logged", "oracle")

Run = Callable[[str], list[str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a tutorial in an empty working directory; what it printed, line by line."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "_registered", {})

    def run(name: str) -> list[str]:
        monkeypatch.setattr(sys, "argv", [f"{name}.py", "--fast"])
        runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")
        printed = capsys.readouterr()
        assert printed.err == ""
        return printed.out.splitlines()

    return run


def first_words(lines: list[str]) -> list[str]:
    return [line.split()[0] for line in lines if line.strip()]


def test_first_episode(run: Run) -> None:
    lines = run("first_episode")
    assert "candidates       float32  (6, 12)" in lines
    assert "slot      video   seconds  mean WTR" in lines
    any_slot, legal = [line for line in lines if line.endswith("of them empty")]
    assert any_slot.split(", ")[1] == "20 steps"
    assert legal.split(", ")[2] == "0 of them empty"
    assert "(64, 6, 12)" in lines
    assert first_words(lines)[-3:-1] == ["at_random", "highest_mean"]
    assert lines[-1] == "check_env: passed twice"


def test_your_own_agent(run: Run, tmp_path: Path) -> None:
    lines = run("your_own_agent")
    assert lines[:2] == ["check_agent: passed", "check_agent of the learner: passed"]
    names = ["shortest.py:Shortest", "by_duration.py:ByDuration", "linucb", *RAILS]
    assert first_words(lines[2:9]) == names
    records = json.loads((tmp_path / "your_own_agent" / "results" / "results.json").read_text())
    for line, record in zip(lines[2:9], records, strict=True):
        assert f"{record['metrics']['reward']['mean']:.3f}" in line
        (row, *_) = [other for other in lines[9:] if other.startswith(f" {line.split()[0]} ")]
        assert f"{record['metrics']['reward']['mean']:.3f}" in row
    assert lines[-1].startswith("agent wrong.py:Wrong in svsim/Replay-v0: score: expected scores of shape (")
    assert lines[-1].endswith(", 5), found ()")


def test_train_sb3(run: Run, tmp_path: Path) -> None:
    lines = run("train_sb3")
    assert lines[0] == "{'candidates': (60,), 'history': (850,), 'user': (29,)}"
    assert first_words(lines[1:3]) == ["untrained", "trained"]
    history = pd.read_csv(tmp_path / "train_sb3" / "ppo" / "history.csv")
    assert history["timesteps"].tolist() == sorted(history["timesteps"])
    best = history.loc[history["valid_reward"].idxmax()]
    assert (
        f"best after {best['timesteps']:,.0f}, mean reward of a validation episode {best['valid_reward']:.4f}"
        in lines[3]
    )
    records = json.loads((tmp_path / "train_sb3" / "results" / "results.json").read_text())
    assert [record["agent"] for record in records] == ["ppo?run=train_sb3/ppo", "linucb", *RAILS]
    assert "ppo" in first_words(lines[14:])


def test_train_sasrec4sv(run: Run, tmp_path: Path) -> None:
    lines = run("train_sasrec4sv")
    # It was stopped within the second epoch, and the state it went on from is gone.
    assert lines[0].startswith("stopped; kept: config.json history.csv ")
    assert "state.pt" in lines[0].split()
    assert not (tmp_path / "train_sasrec4sv" / "multi" / "state.pt").exists()
    history = pd.read_csv(tmp_path / "train_sasrec4sv" / "multi" / "history.csv")
    assert history["epoch"].tolist() == [1, 2]
    assert f"{history['valid_loss'].iloc[-1]:.3f}" in lines[3]
    assert [line.split()[0] for line in lines if " AUC " in line] == ["frozen"] * 3 + ["running"] * 3
    run_folder = "sasrec4sv?run=train_sasrec4sv"
    expected = [f"{run_folder}/multi", f"{run_folder}/multi&head=wtg", f"{run_folder}/wtg&head=wtg", *RAILS]
    assert first_words(lines)[-7:] == expected
    # Finished runs and kept results are what they were.
    again = run("train_sasrec4sv")
    assert again == lines[1:]


def test_off_policy(run: Run, tmp_path: Path) -> None:
    lines = run("off_policy")
    assert lines[0].startswith("passed: True")
    policies = ["linucb", "epsilon-greedy", "lively.py:Lively", "random", "popularity"]
    found = json.loads((tmp_path / "off_policy" / "ope" / "ope.json").read_text())
    inside = 0
    for name, record in zip(policies, found["policies"], strict=True):
        own, true = record["estimates"]["dr"], found["truth"]["values"][record["agent"]]["value"]
        told = "inside" if own["low"] <= true <= own["high"] else "outside"
        assert f"{name:16} the truth is {told} the interval of dr" in lines
        (row,) = [line for line in lines if line.startswith(name) and line.endswith(f" {true:.2f}")]
        assert f"{own['value']:.2f} [{own['low']:5.2f}, {own['high']:.2f}]" in row
        inside += told == "inside"
    assert inside >= 4
    assert lines[-1].startswith("snips 0.516 ")


def test_own_data(run: Run, tmp_path: Path) -> None:
    lines = run("own_data")
    store = open_store(tmp_path / "own_data" / "store")
    plays = pd.read_csv(tmp_path / "own_data" / "files" / "log_standard.csv")
    # Nothing is lost on the way, and ids lead back.
    assert store.n_events == len(plays)
    events = store.to_pandas("events", ["user", "play_time_ms"])
    events["user_id"] = store.users["user_id"][events["user"]]
    watched = [table.groupby("user_id")["play_time_ms"].sum().to_dict() for table in (events, plays)]
    assert watched[0] == watched[1]
    assert any(f"… {len(plays):,} plays" in line for line in lines)
    assert sum(line.startswith("clip-") for line in lines) == 5
    records = json.loads((tmp_path / "own_data" / "results" / "results.json").read_text())
    assert [record["agent"] for record in records] == ["linucb", *RAILS]
    assert any("expected rows of a random log" in line for line in lines)
    assert any("train one by `svsim train response`" in line for line in lines)
    told = [line for line in lines if line.startswith("- ")]
    for line, part in zip(
        told, ("'is_rand'", "found 'liked'", "fraction", "found 'v0", "found 'False'", "three dates"), strict=True
    ):
        assert part in line


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_page_shows_every_part_in_order(file: Path) -> None:
    """Snippets that are not there are left out of the site silently."""
    text, page = file.read_text(encoding="utf-8"), file.with_suffix(".md").read_text(encoding="utf-8")
    marks = MARK.findall(text)
    names = [name for _, name in marks[::2]]
    assert marks == [(kind, name) for name in names for kind in ("start", "end")]
    assert SHOWN.findall(page) == [(file.stem, name) for name in names]
    # What lies between two parts is the docstring and empty lines.
    rest = re.sub(r"# --8<-- \[start:(\w+)\]\n.*?# --8<-- \[end:\1\]\n", "", text, flags=re.DOTALL)
    assert re.sub(r'""".*?"""', "", rest, flags=re.DOTALL).strip() == ""
    assert f"`python docs/tutorials/{file.name}`" in " ".join(page.split())
