"""The page of the command line: tables made, whenever the site is built, of the dataclasses that parse the arguments."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from tyro.conf import Positional
from tyro.constructors import PrimitiveConstructorSpec

from svsim.cli.main import COMPARE, Command

__all__ = ["MARK", "commands", "on_page_markdown", "reference"]

MARK = "<!-- commands -->"
"""Stands in a page where the tables go."""
POSITIONAL = get_args(Positional[int])[1:]
METAVARS = {Path: "PATH", str: "STR", int: "INT", float: "FLOAT"}
NO_DEFAULT = dataclasses.MISSING


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the tables where a page asks for them (called by mkdocs for every page)."""
    return markdown.replace(MARK, reference()) if MARK in markdown else markdown


def reference() -> str:
    """All commands as Markdown: what each does, how it is called, a table of its options."""
    found = list(commands())
    index = [f"| [`svsim {name}`](#{_anchor(name)}) | {_text(_summary(command))} |" for name, command in found]
    return "\n".join(["| command | does |", "|---|---|", *index, "", *(_section(*each) for each in found)])


def commands(union: Any = Command, above: str = "") -> Iterator[tuple[str, type[Any]]]:
    """Every command that can be run: its words after `svsim`, and the dataclass of its options."""
    for member in get_args(union):
        command, settings = get_args(member)
        name = f"{above}{settings.name}".replace(COMPARE, "benchmark compare")
        below = get_type_hints(command, include_extras=True).get("command")
        if below is None:
            yield name, command
        else:
            yield from commands(below, f"{name} ")


@dataclasses.dataclass(frozen=True)
class _Option:
    name: str
    hint: Any
    default: Any
    about: str

    @property
    def positional(self) -> bool:
        return any(mark in POSITIONAL for mark in getattr(self.hint, "__metadata__", ()))

    @property
    def words(self) -> str:
        """As it is written on the command line."""
        flag = self.name.replace("_", "-")
        if self.positional:
            return _metavar(self.hint) if get_origin(get_args(self.hint)[0]) is Literal else flag.upper()
        if self.hint is bool:
            return f"--{flag} | --no-{flag}" if self.default else f"--{flag}"
        return f"--{flag} {_metavar(self.hint)}"

    @property
    def row(self) -> str:
        words = " ".join(f"`{part}`" for part in self.words.split(" | "))
        return f"| {words} | {_default(self.default)} | {_text(self.about)} |"


def _section(name: str, command: type[Any]) -> str:
    options = list(_options(command))
    needed = [option.words for option in options if option.default is NO_DEFAULT]
    usage = " ".join(["svsim", name, *needed, *(["[options]"] if len(needed) < len(options) else [])])
    about = "\n\n".join(_text(part) for part in str(inspect.getdoc(command)).split("\n\n"))
    lines = [f"### svsim {name} {{ #{_anchor(name)} }}", "", about, "", "```text", usage, "```", ""]
    return "\n".join([*lines, "| option | default | what |", "|---|---|---|", *(option.row for option in options), ""])


def _options(command: type[Any]) -> Iterator[_Option]:
    """The fields of a command, those of a dataclass within it in its place."""
    hints, about = get_type_hints(command, include_extras=True), _field_docstrings(command)
    for field in dataclasses.fields(command):
        hint = hints[field.name]
        if dataclasses.is_dataclass(hint):
            yield from _options(hint)  # type: ignore[arg-type]
        else:
            yield _Option(field.name, hint, field.default, about.get(field.name, ""))


def _summary(command: type[Any]) -> str:
    return str(inspect.getdoc(command)).split("\n\n")[0]


def _field_docstrings(command: type[Any]) -> dict[str, str]:
    """The texts below fields, which Python itself does not keep."""
    (definition,) = ast.parse(inspect.getsource(command)).body
    assert isinstance(definition, ast.ClassDef)
    return {
        field.target.id: text.value.value
        for field, text in itertools.pairwise(definition.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def _metavar(hint: Any) -> str:
    if get_origin(hint) is Annotated:
        inner, *marks = get_args(hint)
        spelled = [mark.metavar for mark in marks if isinstance(mark, PrimitiveConstructorSpec)]
        return spelled[0] if spelled else _metavar(inner)
    if get_origin(hint) is Literal:
        return "|".join(map(str, get_args(hint)))
    if get_origin(hint) in (Union, UnionType):
        return "|".join(_metavar(part) for part in get_args(hint) if part is not NoneType)
    return METAVARS.get(hint) or getattr(hint, "__name__", str(hint)).upper()


def _default(value: Any) -> str:
    if value is NO_DEFAULT:
        return "required"
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _text(text: str) -> str:
    """One line of Markdown of a docstring: what is not between backticks means itself."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return "".join(part if part.startswith("`") else re.sub(r"([|*<\[\]])", r"\\\1", part) for part in parts)


def _anchor(name: str) -> str:
    return f"svsim-{name.replace(' ', '-')}"
