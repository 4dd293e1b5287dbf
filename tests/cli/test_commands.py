"""The `svsim` command as its users meet it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from svsim._version import __version__
from svsim.cli import main
from svsim.cli.main import _unboxed
from svsim.data import FeedStore
from tests.kuairand import log_row, write_kuairand


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return status, out, err


def test_prepare_then_describe_then_benchmark(
    capsys: pytest.CaptureFixture[str], standin_files: Path, tmp_path: Path
) -> None:
    status, out, err = run(capsys, "data", "prepare", standin_files, "--out", tmp_path / "store")
    assert (status, err) == (0, "")
    assert "exact duplicate" in out
    status, out, _ = run(capsys, "data", "describe", tmp_path / "store", "--wtg-fit", "all")
    assert status == 0
    assert "rank" in out
    arguments = ("benchmark", "--store", tmp_path / "store", "--out", tmp_path / "b", "--candidates", 5, "--seeds", 2)
    status, out, err = run(capsys, *arguments)
    assert (status, err) == (0, "")
    for name in ("random", "popularity", "logged *", "oracle *", "epsilon-greedy", "linucb"):
        assert name in out
    assert run(capsys, *arguments)[1] == out, "started again it prints the same"


def test_json_is_one_document(capsys: pytest.CaptureFixture[str], standin_files: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    manifest = json.loads(run(capsys, "data", "prepare", standin_files, "--out", store, "--json")[1])
    assert manifest["rows"]["dropped"]["exact duplicate"] > 0
    description = json.loads(run(capsys, "data", "describe", store, "--json")[1])
    assert description
    arguments = ("--store", store, "--agents", "random", "--candidates", 5, "--seeds", 1, "--json")
    printed = json.loads(run(capsys, "benchmark", "--out", tmp_path / "b", *arguments)[1])
    assert printed == json.loads((tmp_path / "b" / "results.json").read_text())
    assert {agent["name"] for agent in json.loads(run(capsys, "agents", "--json")[1])} >= {"random", "linucb"}
    listed = json.loads(run(capsys, "envs", "--json")[1])
    assert [env["id"] for env in listed] == ["svsim/Feed-v0", "svsim/Replay-v0"]


def test_lists(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "agents")
    assert [line.split()[0] for line in out.splitlines()] == [
        "random", "popularity", "logged", "oracle", "epsilon-greedy", "ucb1", "kl-ucb", "thompson-beta",
        "thompson-gaussian", "explore-then-commit", "linucb", "lints", "logistic-thompson", "neural-linear", "mmr",
        "user-group", "provider-exposure", "explore", "sasrec4sv?run=…", "ppo?run=…", "maskable-ppo?run=…", "a2c?run=…",
        "dqn?run=…",
    ]  # fmt: skip
    assert [line.split()[0] for line in run(capsys, "envs")[1].splitlines()] == ["svsim/Feed-v0", "svsim/Replay-v0"]
    assert run(capsys, "--version") == (0, f"svsim {__version__}\n", "")


@pytest.mark.parametrize("preset", ["tiny", pytest.param("small", marks=pytest.mark.slow)])
def test_demo(capsys: pytest.CaptureFixture[str], tmp_path: Path, preset: str) -> None:
    status, out, err = run(capsys, "demo", "--preset", preset, "--out", tmp_path / "demo")
    assert (status, err) == (0, "")
    for words in (
        "What came out",
        "Replaying logged sessions",
        "In the simulated feed",
        "95 % confidence",
        "svsim play",
    ):
        assert words in out
    page = tmp_path / "demo" / "report.html"
    text = page.read_text(encoding="utf-8")
    assert str(page) in out
    assert "data:image/webp" in text
    assert "Left out" not in text
    status, again, _ = run(capsys, "demo", "--preset", preset, "--out", tmp_path / "demo")
    assert status == 0
    assert again.count("there already") == 2, "logs and film are not made again"
    assert page.read_text(encoding="utf-8") == text
    other = {"tiny": "small", "small": "tiny"}[preset]
    status, _, err = run(capsys, "demo", "--preset", other, "--out", tmp_path / "demo")
    assert status == 2
    assert "preset" in err


def test_options_of_prepare_reach_the_store(
    capsys: pytest.CaptureFixture[str], standin_files: Path, tmp_path: Path
) -> None:
    options = ("--train-until", "2022-04-12", "--wtg-fit", "all", "--wtg-preset", "dvr", "--keep-zero-duration")
    _, out, _ = run(capsys, "data", "prepare", standin_files, "--out", tmp_path / "s", *options, "--json")
    manifest = json.loads(out)
    assert manifest["splits"]["rule"] == "dates"
    assert manifest["splits"]["train"]["until"] == 20220412
    assert manifest["wtg"]["fitted_on"] == "all"
    assert manifest["wtg"]["preset"] == "dvr"
    assert "zero duration" not in manifest["rows"]["dropped"]


def test_session_gap_takes_minutes_or_none(
    capsys: pytest.CaptureFixture[str], store: FeedStore, tmp_path: Path
) -> None:
    counts = []
    for number, gap in enumerate(("none", "30", "0.5")):
        arguments = ("--store", store.path, "--agents", "random", "--candidates", 2, "--seeds", 1, "--session-gap", gap)
        _, out, _ = run(capsys, "benchmark", "--out", tmp_path / str(number), *arguments, "--no-rails", "--json")
        (record,) = json.loads(out)
        counts.append(record["sessions"] + record["skipped_sessions"])
    assert counts[0] < counts[1] < counts[2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["benchmark"], ["--out"]),
        (["benchmrk"], ["benchmrk"]),
        ([], ["demo", "benchmark"]),
        (["data", "prepare", "/no/such/folder", "--out", "OUT"], ["/no/such/folder", "expected a folder"]),
        (["data", "describe", "/no/such/store"], ["/no/such/store", "svsim data prepare"]),
        (["benchmark", "--out", "OUT", "--store", "/no/such"], ["/no/such", "expected a store"]),
        (["benchmark", "--out", "OUT", "--agents", "rando"], ["rando", "did you mean random"]),
        (["benchmark", "--out", "OUT", "--agents", "sasrec4sv"], ["option run", "sasrec4sv?run="]),
        (["benchmark", "--out", "OUT", "--session-gap", "soon"], ["--session-gap", "soon", "minutes or none"]),
        (["benchmark", "--out", "OUT", "--seeds", "x"], ["--seeds", "x"]),
        (["benchmark", "--out", "OUT", "--reward-weights", "wtr"], ["reward weights", "wtr"]),
        (["data", "prepare", ".", "--out", "OUT", "--split", "half"], ["half", "--split"]),
        (["data", "download", "2k", "--out", "OUT"], ["2k"]),
    ],
)
def test_faults_are_one_line_and_status_two(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    out_path = str(tmp_path / "out")
    status, out, err = run(capsys, *(out_path if argument == "OUT" else argument for argument in arguments))
    assert (status, out) == (2, "")
    assert err.startswith("svsim: ")
    assert err.count("\n") == 1
    assert "│" not in err
    for word in words:
        assert word in err
    assert not Path(out_path).exists()


def test_a_bad_log_is_named_by_file_line_and_column(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rows = [log_row(user=1, video=1, time_ms=n, date=20220410 + n) for n in range(5)]
    rows[3]["video_id"] = "1.5"
    files = write_kuairand(tmp_path / "files", rows, users={1: 5}, videos=[1])
    status, _, err = run(capsys, "data", "prepare", files, "--out", tmp_path / "store")
    assert status == 2
    assert (
        "log_standard_4_08_to_4_21.csv, line 5, column video_id: expected an integer, found the fraction '1.5'" in err
    )
    assert not (tmp_path / "store").exists()


def test_a_failed_agent_is_status_two_and_the_table_stands(
    capsys: pytest.CaptureFixture[str], store: FeedStore, tmp_path: Path
) -> None:
    lines = ("from svsim.agents import ScoringAgent", "", "", "class Mine(ScoringAgent):", "    def score(self, seen):")
    (tmp_path / "mine.py").write_text("\n".join((*lines, "        return seen['x']\n")))
    agents = f"{tmp_path}/mine.py:Mine,random"
    arguments = ("--store", store.path, "--agents", agents, "--no-rails", "--candidates", 5, "--seeds", 1)
    status, out, err = run(capsys, "benchmark", "--out", tmp_path / "b", *arguments)
    assert status == 2
    assert "random" in out
    assert "KeyError: 'x' (mine.py, line 6)" in err
    assert err.count("\n") == 1


def test_a_ten_line_plug_in_runs(capsys: pytest.CaptureFixture[str], store: FeedStore, tmp_path: Path) -> None:
    plug_in = tmp_path / "shortest.py"
    plug_in.write_text(
        '"""My first agent."""\n\nfrom svsim.agents import ScoringAgent\n\n\nclass Shortest(ScoringAgent):\n'
        '    """Serves the shortest video."""\n\n    def score(self, observation):\n'
        '        return -observation["candidates"][..., 0]\n'
    )
    assert len(plug_in.read_text().splitlines()) == 10
    arguments = ("--store", store.path, "--agents", f"{plug_in}:Shortest", "--candidates", 5, "--seeds", 1)
    status, out, _ = run(capsys, "benchmark", "--out", tmp_path / "b", *arguments)
    assert status == 0
    assert "Shortest" in out


def test_interrupts_end_with_130(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("svsim.cli.agents.Agents.run", interrupt)
    status, _, err = run(capsys, "agents")
    assert status == 130
    assert "run the same command again" in err


def test_help_exits_well_and_a_closed_pipe_is_no_bug() -> None:
    command = [sys.executable, "-m", "svsim"]
    shown = subprocess.run([*command, "data", "prepare", "--help"], capture_output=True, text=True, check=True).stdout
    for option in ("--split", "--train-until", "--wtg-fit", "--keep-zero-duration", "--allow-leaky-statistics"):
        assert option in shown
    piped = subprocess.run(
        f"{sys.executable} -m svsim agents --json | true", shell=True, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in piped.stderr


def test_unboxing_keeps_what_matters() -> None:
    lines = ("╭─ Value error ─╮", "│ Error parsing │", "│ --seeds: bad. │", "│ ───────────── │", "│ more          │")
    box = "\n".join(lines)
    assert _unboxed(box) == "Value error: Error parsing --seeds: bad; see `svsim --help`"


def test_bars_are_drawn_on_a_terminal_and_nowhere_else(standin_files: Path, tmp_path: Path) -> None:
    """`script` gives the command a terminal; what it prints to stdout stays free of bars either way."""
    if shutil.which("script") is None:
        pytest.skip("no `script` to make a terminal with")
    command = f"{sys.executable} -m svsim data prepare {standin_files} --out {tmp_path}"
    drawn = subprocess.run(
        ["script", "-qec", f"{command}/a > {tmp_path}/out", "/dev/null"], capture_output=True, text=True, check=True
    ).stdout
    assert "reading" in drawn
    assert "reading" not in (tmp_path / "out").read_text()
    piped = subprocess.run(f"{command}/b".split(), capture_output=True, text=True, check=True)
    assert piped.stderr == ""
