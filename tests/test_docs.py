"""The code of the README and of the documentation runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "examples").glob("*/README.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
SHELL = re.compile(r"^```(?:sh|bash)\n(.*?)^```", re.DOTALL | re.MULTILINE)
INCLUDED = re.compile(r'^--8<-- "([^":]*)(?::\w+)?"$', re.MULTILINE)
COMMAND = re.compile(r"^svsim (data \w+|\w+)((?:\\\n|[^\n])*)", re.MULTILINE)

BLOCKS = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in PAGES
    for number, block in enumerate(BLOCK.findall(page.read_text(encoding="utf-8")))
]


@pytest.mark.parametrize("block", BLOCKS)
def test_python_blocks_run(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # A tenth of a training run shows as much.
    exec(compile(block.replace("100_000", "2_000").replace("num_envs=64", "num_envs=8"), "block", "exec"), {})


def test_there_is_something_to_run() -> None:
    assert len(BLOCKS) >= 5


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_parse(page: Path) -> None:
    from svsim.cli.main import _parse

    for command, rest in COMMAND.findall("".join(SHELL.findall(page.read_text(encoding="utf-8")))):
        words = re.sub(r"#.*", "", rest.replace("\\\n", " ")).split()
        assert _parse([*command.split(), *words])


def test_included_files_are_there() -> None:
    """A block of ```python would be formatted as Python, which breaks the mark; ```{.python} is left alone."""
    found = {page.stem: INCLUDED.findall(page.read_text(encoding="utf-8")) for page in PAGES}
    assert "docs/tutorials/your_own_agent.py" in found["your_own_agent"]
    assert all((ROOT / path).is_file() for paths in found.values() for path in paths)
