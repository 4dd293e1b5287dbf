"""Agents by name, module and file."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from svsim.agents import ScoringAgent, agent_names, make_agent, register, registry
from svsim.agents.rails import RandomAgent
from svsim.agents.registry import parse_agent, split_names
from svsim.errors import AgentError, OptionError, SvsimError, UnknownNameError

PLUG_IN = """
from svsim.agents import ScoringAgent


class Longest(ScoringAgent):
    \"\"\"Serves the longest video.\"\"\"

    def __init__(self, sign: float = 1.0, note: str = ""):
        self.sign, self.note = sign, note

    def score(self, observation):
        return self.sign * observation["candidates"][..., 0]
"""


@pytest.fixture
def plug_in(tmp_path: Path) -> Path:
    path = tmp_path / "my_agents.py"
    path.write_text(PLUG_IN)
    return path


def test_by_file_with_options(plug_in: Path) -> None:
    agent = make_agent(f"{plug_in}:Longest?sign=-2&note=a=b")
    assert isinstance(agent, ScoringAgent)
    assert (agent.sign, agent.note) == (-2, "a=b")
    assert type(agent) is type(make_agent(f"{plug_in}:Longest")), "one file is one module"


def test_by_module() -> None:
    assert isinstance(make_agent("svsim.agents.rails:RandomAgent"), RandomAgent)


def test_by_registered_name(plug_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", {})
    register("longest", f"{plug_in}:Longest")
    assert make_agent("longest?sign=3").sign == 3
    assert "longest" in agent_names()
    with pytest.raises(OptionError, match="taken"):
        register("longest", "elsewhere:Longest")
    with pytest.raises(OptionError, match="taken"):
        register("random", "elsewhere:Random")


def test_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = importlib.metadata.EntryPoint("plugged", "svsim.agents.rails:RandomAgent", "svsim.agents")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [entry] if group == "svsim.agents" else [])
    assert isinstance(make_agent("plugged"), RandomAgent)


@pytest.mark.parametrize(
    ("typed", "error", "message"),
    [
        ("rando", UnknownNameError, "did you mean random"),
        ("random?seed", OptionError, "expected key=value"),
        ("random?seed=1", OptionError, "expected options among none, found 'seed'"),
        ("epsilon-greedy?eps=1", OptionError, "expected options among epsilon"),
        ("no.such.module:Agent", AgentError, "could not import"),
        ("svsim.agents.rails:Nobody", AgentError, "expected a class 'Nobody'"),
        ("svsim.errors:SvsimError", AgentError, "expected a subclass"),
        ("/no/such/file.py:Agent", AgentError, "expected a Python file"),
    ],
)
def test_what_cannot_be_made_is_explained(typed: str, error: type[SvsimError], message: str) -> None:
    with pytest.raises(error, match=message):
        make_agent(typed)


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("1 / 0\n")
    with pytest.raises(AgentError, match=r"broken\.py: could not import: ZeroDivisionError"):
        make_agent(f"{path}:Agent")


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a?b", "a,b"])
def test_names_that_would_not_parse_are_refused(name: str) -> None:
    with pytest.raises(OptionError, match="expected a name"):
        register(name, "module:Class")


def test_options_keep_their_types() -> None:
    options = parse_agent("linucb?a=1&b=0.5&c=true&d=none&e=text&f=1e-3&g=[1]").options
    assert options == {"a": 1, "b": 0.5, "c": True, "d": None, "e": "text", "f": 1e-3, "g": "[1]"}


def test_lists_of_agents() -> None:
    assert split_names("random, linucb?alpha=0&reward_weights=wtr=1,aux=2,oracle") == [
        "random",
        "linucb?alpha=0&reward_weights=wtr=1,aux=2",
        "oracle",
    ]
    for text, message in (("", "found none"), ("random,random", "twice")):
        with pytest.raises(OptionError, match=message):
            split_names(text)
