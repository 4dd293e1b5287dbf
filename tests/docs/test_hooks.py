"""What the site makes of the command line and of other libraries' names."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import pydoc
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HOOKS = Path(__file__).parents[2] / "docs" / "hooks"
FLAG = re.compile(r"--[a-z0-9][a-z0-9-]*")


def _hook(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"svsim_docs_{name}", HOOKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # dataclasses look there for the types of their fields
    spec.loader.exec_module(module)
    return module


COMMANDS = _hook("commands")
ELSEWHERE = _hook("elsewhere")


def _sections() -> dict[str, str]:
    _, *sections = re.split(r"^### svsim ", COMMANDS.reference(), flags=re.MULTILINE)
    return {section.split(" {")[0]: section for section in sections}


def _help(words: list[str]) -> str:
    from svsim.cli.main import _parse

    said = io.StringIO()
    with contextlib.redirect_stdout(said), pytest.raises(SystemExit):
        _parse([*words, "--help"])
    return said.getvalue()


def test_every_command_has_a_section() -> None:
    names = [name for name, _ in COMMANDS.commands()]
    assert list(_sections()) == names
    assert {"demo", "data prepare", "world card", "train sb3", "benchmark", "benchmark compare", "report"} <= set(names)
    for word in re.search(r"\{(.*?)\}", _help([])).group(1).split(","):  # type: ignore[union-attr]
        assert any(name.replace("benchmark compare", "benchmark-compare").split()[0] == word for name in names)


@pytest.mark.parametrize(
    ("name", "command"), list(COMMANDS.commands()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_options_are_those_of_the_help(name: str, command: type[Any]) -> None:
    section = _sections()[name]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    told = {flag for row in rows for flag in FLAG.findall(row.split(" | ")[0])}
    helped = set(FLAG.findall(_first_column(_help(name.split()))))
    assert told == {flag for flag in helped if not flag.startswith("--no-") or flag in told} - {"--help"}
    assert all(row.rstrip(" |").split(" | ", 2)[2:] for row in rows), "an option without a text"
    assert command.__doc__


def _first_column(text: str) -> str:
    """Of the lines that name options: what stands before the text."""
    lines = [line.strip("│ ") for line in text.splitlines()]
    return "\n".join(re.split(r"\s{2,}", line)[0] for line in lines if line.startswith(("-", "[")))


def test_texts_mean_themselves() -> None:
    assert COMMANDS._text("a|b and `c|d`,\n  <e> *f*") == r"a\|b and `c|d`, \<e> \*f\*"


def test_tables_go_where_the_mark_is() -> None:
    assert COMMANDS.on_page_markdown("# A page") == "# A page"
    assert "### svsim demo" in COMMANDS.on_page_markdown(f"# A page\n\n{COMMANDS.MARK}\n")


def test_names_of_other_libraries_have_addresses() -> None:
    found = dict(ELSEWHERE.objects())
    assert found["gymnasium.Env"] == "https://gymnasium.farama.org/api/env/#gymnasium.Env"
    assert found["stable_baselines3.PPO"] == found["stable_baselines3.ppo.PPO"]
    assert all(url.startswith("https://") for url in found.values())


@pytest.mark.slow  # it imports all of them
def test_names_of_other_libraries_are_theirs() -> None:
    assert not [name for name, _ in ELSEWHERE.objects() if pydoc.locate(name) is None]
