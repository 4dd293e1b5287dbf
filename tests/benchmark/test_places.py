"""Agents of a seed, and runs that are named relatively to a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from svsim.agents.registry import located
from svsim.benchmark import BenchmarkSpec, run
from svsim.data import FeedStore
from svsim.data.run_folder import beside
from svsim.errors import RunError

SLOT = """
from pathlib import Path

from svsim.agents import ScoringAgent
import numpy as np


class Slot(ScoringAgent):
    def __init__(self, run, number=0):
        self.number = int(Path(run, "number").read_text()) + number

    def score(self, observation):
        mask = observation["action_mask"]
        return np.broadcast_to(-np.abs(np.arange(mask.shape[1]) - self.number), mask.shape).astype(float)
"""


@pytest.fixture
def slots(tmp_path: Path) -> str:
    """An agent whose runs `one`, 0, 1 and 2 lie in `runs`."""
    (tmp_path / "mine.py").write_text(SLOT)
    for name, number in (("one", 1), ("0", 0), ("1", 1), ("2", 2)):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "number").write_text(str(number))
        (tmp_path / "runs" / name / "model.safetensors").write_text(name)
    return f"{tmp_path}/mine.py:Slot"


def spec(store: FeedStore, **settings: object) -> BenchmarkSpec:
    shared = {"split": "train", "candidates": 5, "horizon": 4, "seeds": 2, "rails": False}
    return BenchmarkSpec(**({"store": store} | shared | settings))


@pytest.mark.parametrize(
    ("typed", "whole"),
    [
        ("random", "random"),
        ("ppo?run=runs/a", "ppo?run=/d/runs/a"),
        ("ppo?run=/elsewhere/a&choose=sample", "ppo?run=/elsewhere/a&choose=sample"),
        ("mmr?diversity=0.5&of=sasrec4sv?run=a&head=wtr", "mmr?diversity=0.5&of=sasrec4sv?run=/d/a&head=wtr"),
        ("explore?of=mmr?of=ppo?run=a", "explore?of=mmr?of=ppo?run=/d/a"),
        ("mmr?diversity", "mmr?diversity"),
    ],
)
def test_runs_get_their_place(typed: str, whole: str) -> None:
    assert located(typed, Path("/d")) == whole


def test_a_seed_has_its_own_run(store: FeedStore, slots: str, tmp_path: Path) -> None:
    each = spec(store, agents=(f"{slots}?run=runs/{{seed}}",), runs_in=tmp_path)
    results = run(each)
    one = run(spec(store, agents=(f"{slots}?run=runs/0", f"{slots}?run=runs/1"), runs_in=tmp_path)).episodes
    assert [record["agent"] for record in results.records] == [f"{slots}?run=runs/{{seed}}"]
    for seed in (0, 1):
        mine = results.episodes.query(f"seed == {seed}")["reward"].to_numpy()
        its = one[one["agent"].str.endswith(str(seed))].query(f"seed == {seed}")["reward"].to_numpy()
        np.testing.assert_array_equal(mine, its)


def test_every_seeds_run_is_checked_and_named(store: FeedStore, slots: str, tmp_path: Path) -> None:
    name = f"{slots}?run=runs/{{seed}}"
    files = spec(store, agents=(name,), runs_in=tmp_path).content()["agent_files"][name]
    assert set(files) == {"0/mine.py", "1/mine.py", "0/model.safetensors", "1/model.safetensors"}
    assert files["0/model.safetensors"] != files["1/model.safetensors"]
    (tmp_path / "runs" / "0" / "config.json").write_text('{"format": "svsim-sasrec4sv", "version": 1}')
    with pytest.raises(RunError, match="runs/1"):
        run(spec(store, agents=("sasrec4sv?run=runs/{seed}",), runs_in=tmp_path), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_place_is_no_part_of_a_specification(store: FeedStore, slots: str, tmp_path: Path) -> None:
    settings = {"agents": (f"{slots}?run=runs/one",)}
    here = spec(store, runs_in=tmp_path, **settings).json()
    there = tmp_path / "there"
    (tmp_path / "runs").rename(tmp_path / "there-runs")
    there.mkdir()
    (tmp_path / "there-runs").rename(there / "runs")
    assert spec(store, runs_in=there, **settings).json() == here


def test_a_response_run_gets_its_place(tmp_path: Path) -> None:
    feed = BenchmarkSpec(env="feed", response="runs/users", runs_in=tmp_path)
    assert feed.environment_arguments["response"] == str(tmp_path / "runs/users")
    assert BenchmarkSpec(env="feed", response="truth", runs_in=tmp_path).environment_arguments["response"] == "truth"
    with pytest.raises(RunError, match="runs/users"):
        feed.content()


def test_a_failure_tells_of_no_place(store: FeedStore, slots: str, tmp_path: Path) -> None:
    (tmp_path / "runs" / "1" / "number").write_text("no number")
    (record,) = run(spec(store, agents=(f"{slots}?run=runs/1",), runs_in=tmp_path)).records
    assert "no number" in record["error"]
    (tmp_path / "runs" / "1" / "number").unlink()
    (record,) = run(spec(store, agents=(f"{slots}?run=runs/1",), runs_in=tmp_path)).records
    assert "runs/1/number" in record["error"]
    assert str(tmp_path / "runs") not in record["error"]


def test_runs_are_found_beside_one_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("runs/trunk", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "config.json").touch()
    out = tmp_path / "runs" / "mine"
    assert beside(out, "trunk") == str(tmp_path / "runs/trunk")
    assert beside(out, "runs/trunk") == str(tmp_path / "runs/trunk")
    assert beside(out, "elsewhere") == str(tmp_path / "elsewhere")
    assert beside(out, str(tmp_path / "elsewhere")) == str(tmp_path / "elsewhere")
    assert beside(out, "truth") == "truth"
    monkeypatch.chdir(tmp_path)
    assert beside(Path("runs/mine"), "runs/trunk") == "runs/trunk"
