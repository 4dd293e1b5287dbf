"""What is installed is what is here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "stable_baselines3", "pandas", "pyarrow", "scipy", "matplotlib")


def configuration() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def packages_on_disk() -> set[str]:
    """Every folder with an `__init__.py`, by the name that it is imported under."""
    found = {"svsim"}
    for place, name in ((ROOT / "svsim", "svsim"), (ROOT / "agents", "svsim.agents"), (ROOT / "envs", "svsim.envs")):
        for init in place.rglob("__init__.py"):
            folder = init.parent.relative_to(place)
            if folder.parts[:1] not in (("agents",), ("envs",)) or name != "svsim":
                found.add(".".join([name, *folder.parts]))
    return found


def test_the_package_list_is_complete() -> None:
    assert set(configuration()["tool"]["setuptools"]["packages"]) == packages_on_disk()


@pytest.mark.parametrize("name", ["agents", "envs"])
def test_links_are_links(name: str) -> None:
    link = ROOT / "svsim" / name
    assert link.is_symlink()
    assert link.readlink() == Path("..", name)


@pytest.mark.parametrize("name", ["agents", "envs"])
def test_wrong_imports_say_the_right_one(name: str) -> None:
    failed = subprocess.run([sys.executable, "-c", f"import {name}"], cwd=ROOT, capture_output=True, text=True)
    assert failed.returncode == 1
    assert f"import this package as svsim.{name}" in failed.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of the checkout: a build folder that stays behind would find its way into later wheels."""
    out, copy = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("copy") / "svsim"
    beside = shutil.ignore_patterns(".*", "build", "demo", "site", "*.egg-info", "__pycache__", "tests", "docs")
    shutil.copytree(ROOT, copy, symlinks=True, ignore=beside)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", out, copy]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = out.glob("svsim-*.whl")
    return built


def test_the_wheel_holds_every_module_and_nothing_beside(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {
        f"svsim/{path.relative_to(ROOT / 'svsim')}"
        for path in (ROOT / "svsim").rglob("*.py")
        if path.relative_to(ROOT / "svsim").parts[0] not in ("agents", "envs")
    }
    modules |= {
        f"svsim/{path.relative_to(ROOT)}" for place in ("agents", "envs") for path in (ROOT / place).rglob("*.py")
    }
    assert modules == {name for name in names if name.endswith(".py")}
    assert "svsim/py.typed" in names
    assert {f"svsim/benchmark/suites/{name}.toml" for name in ("quick", "full", "paper")} <= names
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"svsim"}


def test_an_installed_wheel_works_elsewhere(wheel: Path, tmp_path: Path) -> None:
    place = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", place, wheel],
        check=True,
        capture_output=True,
    )
    code = (
        "import svsim, svsim.agents, svsim.envs, pathlib, gymnasium\n"
        f"assert pathlib.Path(svsim.__file__).is_relative_to({str(place)!r})\n"
        f"assert pathlib.Path(svsim.envs.__file__).is_relative_to({str(place)!r})\n"
        "env = gymnasium.make('svsim/Replay-v0', store='tiny', candidates=4)\n"
        "env.reset(seed=0)\n"
        "env.step(0)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(place), "SVSIM_HOME": str(tmp_path / "home")}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=environment)


@pytest.mark.parametrize("code", ["import svsim", "import svsim.envs", "import svsim.agents"])
def test_importing_is_cheap(code: str) -> None:
    shown = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint([name for name in {HEAVY} if name in sys.modules])"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert shown.strip() == "[]"


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom svsim.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "benchmark" in ran.stdout
    assert ran.stderr.strip() == "[]"


def test_constraints_pin_what_is_required() -> None:
    pinned = {
        line.partition("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
    }
    project = configuration()["project"]
    wanted = [
        *project["dependencies"],
        *project["optional-dependencies"]["dev"],
        *project["optional-dependencies"]["docs"],
    ]
    names = {text.partition(">")[0].partition("[")[0].lower().replace("_", "-") for text in wanted}
    assert names <= pinned
