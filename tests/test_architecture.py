"""Who may know whom: imports go one way through the rooms."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Each room may import those to its left; the rooms of one tuple may import each other.
ORDER = [
    ("names", "errors", "_version"),
    ("randomness",),
    ("signals", "metrics"),
    ("data",),
    ("world",),
    ("models",),
    ("response",),
    ("envs",),
    ("agents",),
    ("ope",),
    ("testing", "benchmark"),
    ("export",),
    ("report",),
    ("cli",),
]
RANK = {room: number for number, rooms in enumerate(ORDER) for room in rooms}
FORBIDDEN = {
    "envs": {"torch", "svsim.models"},
    "models": {"gymnasium"},
    "data": {"torch", "gymnasium", "stable_baselines3"},
    "signals": {"torch", "pandas", "gymnasium"},
    "agents": {"gymnasium"},
}


def modules() -> Iterator[tuple[str, Path]]:
    """Room and file of every module but the package's own `__init__` and `__main__`."""
    for path in sorted((ROOT / "svsim").rglob("*.py")):
        place = path.relative_to(ROOT / "svsim").parts
        if place[0] not in ("agents", "envs", "__init__.py", "__main__.py"):
            yield place[0].removesuffix(".py"), path
    for room in ("agents", "envs"):
        for path in sorted((ROOT / room).rglob("*.py")):
            yield room, path


def imported(path: Path) -> Iterator[str]:
    """Names of the modules that a file imports, those inside functions among them."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize(
    ("room", "path"), list(modules()), ids=lambda value: value.stem if isinstance(value, Path) else value
)
def test_imports_go_one_way(room: str, path: Path) -> None:
    # stable-baselines3 trains on Gymnasium's spaces.
    forbidden = set() if ROOT / "agents" / "sb3" in path.parents else FORBIDDEN.get(room, set())
    for name in imported(path):
        parts = name.split(".")
        if parts[0] == "svsim" and len(parts) > 1:
            assert RANK[parts[1]] <= RANK[room], f"{room} must not know {parts[1]}"
        for known in (parts[0], ".".join(parts[:2])):
            assert known not in forbidden, f"{room} must not know {known}"


def test_every_room_has_its_place() -> None:
    assert {room for room, _ in modules()} == set(RANK)
