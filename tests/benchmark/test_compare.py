"""Two benchmarks side by side."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from svsim.benchmark import BenchmarkSpec, load_results, run
from svsim.benchmark.compare import compare_benchmarks, finished_benchmarks
from svsim.cli import main
from svsim.data import FeedStore
from svsim.errors import OptionError, StoreError

MINE = """
from svsim.agents import Agent
import numpy as np


class Mine(Agent):
    def act(self, observation):
        return np.argmax(observation["action_mask"] * np.arange(1, 6)[::{step}], axis=1)


class Failing(Agent):
    def act(self, observation):
        raise ZeroDivisionError("not today")
"""


def benchmark(store: FeedStore, out: Path, agents: tuple[str, ...], **settings: object) -> Path:
    fixed = {"split": "train", "candidates": 5, "horizon": 4, "seeds": 2}
    run(BenchmarkSpec(**({"store": store, "agents": agents, "rails": False} | fixed | settings)), out)
    return out


@pytest.fixture(scope="module")
def pair(store: FeedStore, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same file name with other code in it, three seeds against two."""
    folder = tmp_path_factory.mktemp("compare")
    mine = folder / "mine.py"
    found = []
    for number, step in enumerate((1, -1)):
        mine.write_text(MINE.format(step=step))
        # Workers of the suite hold the module of a file; another name is another module.
        copy = folder / str(number) / "mine.py"
        copy.parent.mkdir()
        shutil.copy(mine, copy)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(copy.parent)
            agents = ("random", "mine.py:Mine", "mine.py:Failing", *(["popularity"] if number else []))
            found.append(benchmark(store, folder / f"out-{number}", agents, seeds=3 - number))
    return found[0], found[1]


def test_the_difference_is_the_mean_over_the_same_episodes(pair: tuple[Path, Path]) -> None:
    found = compare_benchmarks(*pair)
    mine = found.records[1]
    one, other = (load_results(folder).episodes for folder in pair)
    matched = one[one["agent"] == "mine.py:Mine"].merge(
        other[other["agent"] == "mine.py:Mine"], on=["seed", "episode_key", "user_id"]
    )
    expected = float((matched["reward_y"] - matched["reward_x"]).mean())
    assert mine["paired"] is True
    assert mine["seeds"] == 2
    assert mine["episodes"] == len(matched) > 100
    assert mine["difference"]["mean"] == pytest.approx(expected)
    assert abs(expected) > 0
    assert mine["difference"]["low"] < expected < mine["difference"]["high"]


def test_an_agent_that_did_not_change_has_no_difference(pair: tuple[Path, Path]) -> None:
    random = compare_benchmarks(*pair).records[0]
    assert {name: random["difference"][name] for name in ("mean", "low", "high", "adjusted_p", "better")} == {
        "mean": 0.0, "low": 0.0, "high": 0.0, "adjusted_p": 1.0, "better": None,
    }  # fmt: skip


def test_what_is_not_compared_is_said(pair: tuple[Path, Path]) -> None:
    found = compare_benchmarks(*pair)
    assert "not today" in found.records[2]["error"]
    assert (found.only_first, found.only_second) == ([], ["popularity"])
    assert found.settings == {"seeds": (3, 2)}


def test_other_sessions_are_independent(pair: tuple[Path, Path], store: FeedStore, tmp_path: Path) -> None:
    """No session in common: the interval of the difference is as wide as two independent ones together."""
    other = benchmark(store, tmp_path / "test", ("random",), split="test", seeds=3)
    record = compare_benchmarks(pair[0], other).records[0]
    assert record["paired"] is False
    half = [(record[which]["high"] - record[which]["low"]) / 2 for which in ("first", "second", "difference")]
    assert half[2] == pytest.approx(np.hypot(half[0], half[1]), rel=0.35)
    assert record["difference"]["mean"] == pytest.approx(record["second"]["mean"] - record["first"]["mean"])


def test_no_agent_in_common(pair: tuple[Path, Path], store: FeedStore, tmp_path: Path) -> None:
    other = benchmark(store, tmp_path / "other", ("popularity",))
    with pytest.raises(OptionError, match="expected agents in common, found none"):
        compare_benchmarks(pair[0], other)


def test_suites_are_compared_benchmark_by_benchmark(
    pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, folder in enumerate(pair):
        for name in ("replay", f"own-{number}"):
            shutil.copytree(folder, tmp_path / str(number) / name)
    (tmp_path / "0" / "spec.json").write_text('{"format": "svsim-suite"}')
    assert set(finished_benchmarks(tmp_path / "0")) == {"replay", "own-0"}
    assert main(["benchmark", "compare", str(tmp_path / "0"), str(tmp_path / "1")]) == 0
    told = capsys.readouterr().out
    assert "replay: reward in" in told
    assert "own-0" not in told
    assert "Only in the second: popularity." in told


def test_folders_without_results(pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StoreError, match="expected the folder of a benchmark or of a suite, found none"):
        finished_benchmarks(tmp_path)
    assert main(["benchmark", "compare", str(pair[0]), str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    half = tmp_path / "half"
    shutil.copytree(pair[0], half)
    (half / "results.json").unlink()
    assert main(["benchmark", "compare", str(pair[0]), str(half)]) == 2
    assert "goes on where it stopped" in capsys.readouterr().err
