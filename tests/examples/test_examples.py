"""The example package does what it says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from svsim.data import FeedStore

ROOT = Path(__file__).parents[2]
PLUG_IN = ROOT / "examples" / "svsim-duration-agent"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a process that has the example package installed."""
    target, copy = tmp_path_factory.mktemp("target"), tmp_path_factory.mktemp("copy") / "package"
    shutil.copytree(PLUG_IN, copy)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*command, "--target", target, copy], check=True, capture_output=True)
    return {**os.environ, "PYTHONPATH": str(target)}


def svsim(environment: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "svsim", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_an_installed_agent_has_a_name_everywhere(store: FeedStore, installed: dict[str, str], tmp_path: Path) -> None:
    listed = json.loads(svsim(installed, "agents", "--json").stdout)
    (mine,) = [agent for agent in listed if agent["name"] == "duration"]
    assert mine["options"]["bins"] == 20
    arguments = ("--store", store.path, "--agents", "duration?bins=4", "--candidates", 5, "--seeds", 2, "--no-rails")
    kept = []
    for executor in ("serial", "processes"):
        ran = svsim(installed, "benchmark", "--out", tmp_path / executor, *arguments, "--executor", executor)
        assert (ran.returncode, ran.stderr) == (0, "")
        kept.append((tmp_path / executor / "results.json").read_bytes())
        reward = json.loads(kept[-1])[0]["metrics"]["reward"]
        assert reward["low"] < reward["mean"] < reward["high"]
        (row, *_) = [line for line in ran.stdout.splitlines() if line.startswith(" duration?bins=4 ")]
        assert f"{reward['mean']:.3f} [{reward['low']:.3f}, {reward['high']:.3f}]" in row
    assert kept[0] == kept[1]


def test_the_example_has_tests_that_pass(installed: dict[str, str]) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    ran = subprocess.run(command, cwd=PLUG_IN, env=installed, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout


def test_a_broken_plug_in_is_named_and_the_others_go_on(
    store: FeedStore, installed: dict[str, str], tmp_path: Path
) -> None:
    target = tmp_path / "target"
    shutil.copytree(installed["PYTHONPATH"], target)
    (target / "svsim_duration_agent" / "__init__.py").write_text("1 / 0\n")
    environment = {**installed, "PYTHONPATH": str(target)}
    assert "could not import: ZeroDivisionError" in svsim(environment, "agents").stdout
    arguments = ("--store", store.path, "--agents", "duration,random", "--candidates", 5, "--seeds", 1, "--no-rails")
    ran = svsim(environment, "benchmark", "--out", tmp_path / "b", *arguments)
    assert ran.returncode == 2
    assert "random" in ran.stdout
    assert "agent duration in svsim/Replay-v0: could not import: ZeroDivisionError" in ran.stderr
    assert ran.stderr.count("\n") == 1
