"""Agents by name: those that come with svsim, those that others register, and any by module or file."""

from __future__ import annotations

import ast
import contextlib
import difflib
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import json
import sys
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from svsim.agents.base import Agent
from svsim.errors import AgentError, OptionError, RunError, SvsimError, UnknownNameError

__all__ = [
    "AgentName",
    "agent_class",
    "agent_names",
    "blamed",
    "described",
    "file_hashes",
    "located",
    "make_agent",
    "parse_agent",
    "ready_agents",
    "register",
    "required_options",
    "split_names",
    "trained_agents",
]

ENTRY_POINTS = "svsim.agents"
INNER = "of"
"""Option of an agent that wraps another, which it names."""
RUN = "run"
"""Option of an agent that acts by a trained run: its folder."""

_BUILT_IN = {
    "random": "svsim.agents.rails:RandomAgent",
    "popularity": "svsim.agents.rails:PopularityAgent",
    "logged": "svsim.agents.rails:LoggedAgent",
    "oracle": "svsim.agents.rails:OracleAgent",
    "epsilon-greedy": "svsim.agents.bandits.epsilon_greedy:EpsilonGreedyAgent",
    "ucb1": "svsim.agents.bandits.ucb:UCB1Agent",
    "kl-ucb": "svsim.agents.bandits.ucb:KLUCBAgent",
    "thompson-beta": "svsim.agents.bandits.thompson:BetaThompsonAgent",
    "thompson-gaussian": "svsim.agents.bandits.thompson:GaussianThompsonAgent",
    "explore-then-commit": "svsim.agents.bandits.commit:ExploreThenCommitAgent",
    "linucb": "svsim.agents.bandits.linucb:LinUCBAgent",
    "lints": "svsim.agents.bandits.linucb:LinTSAgent",
    "logistic-thompson": "svsim.agents.bandits.logistic:LogisticThompsonAgent",
    "neural-linear": "svsim.agents.bandits.neural_linear:NeuralLinearAgent",
    "mmr": "svsim.agents.rerank.mmr:MMRAgent",
    "user-group": "svsim.agents.rerank.groups:UserGroupAgent",
    "provider-exposure": "svsim.agents.rerank.providers:ProviderExposureAgent",
    "explore": "svsim.agents.rerank.explore:ExploreAgent",
    "sasrec4sv": "svsim.agents.sasrec4sv:SASRec4SVAgent",
    "ppo": "svsim.agents.sb3.agent:PPOAgent",
    "maskable-ppo": "svsim.agents.sb3.agent:MaskablePPOAgent",
    "a2c": "svsim.agents.sb3.agent:A2CAgent",
    "dqn": "svsim.agents.sb3.agent:DQNAgent",
}
_registered: dict[str, str] = {}


def register(name: str, target: str) -> None:
    """Give an agent a name, for this process.

    A package does better to declare an entry point of the group `svsim.agents`, which worker processes see too.

    Args:
        name: The name.
        target: `package.module:Class` or `path/to/file.py:Class`.

    Raises:
        OptionError: The name is taken or would not parse.
    """
    if not name or set(name) & set(":?&=,/ "):
        raise OptionError(f"expected a name without any of ':?&=,/ ', found {name!r}", where="register")
    if name in _BUILT_IN or _registered.get(name, target) != target:
        raise OptionError(f"the name {name!r} is taken", where="register", remedy="choose another")
    if ":" not in target:
        raise OptionError(f"expected module:Class or file.py:Class, found {target!r}", where="register")
    _registered[name] = target


def agent_names() -> dict[str, str]:
    """All names that can be given, with what each stands for (`module:Class`)."""
    entries = {entry.name: entry.value for entry in importlib.metadata.entry_points(group=ENTRY_POINTS)}
    return {**entries, **_registered, **_BUILT_IN}


def required_options(cls: type[Agent]) -> list[str]:
    """Options that an agent cannot be made without."""
    return [
        name
        for name, parameter in inspect.signature(cls).parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]


def ready_agents() -> list[str]:
    """Names of the agents that can be made without any option: those that need no trained run.

    A plug-in that cannot be imported is among them: who runs it is told.
    """
    return [name for name, target in agent_names().items() if not _needs_options(target)]


def _needs_options(target: str) -> bool:
    try:
        return bool(required_options(agent_class(target)))
    except AgentError:
        return False


def trained_agents(folder: str | Path) -> list[str]:
    """Agents of the runs in a folder, as `ppo?run=FOLDER/my-run`, in the order of the runs' names.

    Raises:
        RunError: There is no run.
    """
    folder = Path(folder)
    names = []
    for file in sorted(folder.glob("*/config.json")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            told = json.loads(file.read_text(encoding="utf-8"))
            name = told["training"]["algo"] if told["format"] == "svsim-sb3" else told["format"].removeprefix("svsim-")
            if name in _BUILT_IN:
                names.append(f"{name}?run={file.parent}")
    if not names:
        raise RunError(
            "expected a folder of runs, found none in it", where=str(folder), remedy="make one with `svsim train`"
        )
    return names


@dataclass(frozen=True)
class AgentName:
    """An agent as typed, taken apart.

    Attributes:
        typed: The whole.
        target: `module:Class` or `file.py:Class`.
        options: What follows the question mark.
    """

    typed: str
    target: str
    options: dict[str, Any]

    @property
    def files(self) -> list[Path]:
        """What the agent is made of beside its options: the file of its class, its run's weights, its inner agent's."""
        place = self.target.rpartition(":")[0]
        run = Path(str(self.options.get(RUN, "")))
        weights = sorted(run.glob("*.safetensors")) if RUN in self.options and run.is_dir() else []
        inner = parse_agent(str(self.options[INNER])).files if INNER in self.options else []
        return [*([Path(place)] if place.endswith(".py") else []), *weights, *inner]


def file_hashes(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """SHA-256 of the files that agents are made of, by agent as typed, then by file name; agents without are left out."""
    files = {name: [*filter(Path.is_file, parse_agent(name).files)] for name in names}
    return {
        name: {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in own}
        for name, own in files.items()
        if own
    }


def split_names(text: str) -> list[str]:
    """Agents of a comma-separated list; a comma inside an option's value, as in `reward_weights=wtr=1,wtg=1`, stays.

    Raises:
        OptionError: Nothing is named, or something is named twice.
    """
    names: list[str] = []
    for piece in text.split(","):
        head = piece.partition("?")[0]
        if names and "?" in names[-1] and "=" in head:
            names[-1] += f",{piece}"
        elif piece.strip():
            names.append(piece.strip())
    if not names:
        raise OptionError("expected agents such as random,popularity, found none", where="--agents")
    for name in names:
        if names.count(name) > 1:
            raise OptionError(f"expected each agent once, found {name!r} twice", where="--agents")
    return names


def parse_agent(typed: str) -> AgentName:
    """Take apart `name`, `package.module:Class` or `path/to/file.py:Class`, each with `?key=value&key=value`.

    The option `of` names another agent and takes the rest: `mmr?diversity=0.5&of=sasrec4sv?run=RUN&head=wtr`.

    Raises:
        UnknownNameError: No agent has that name.
        OptionError: The options are not of that form.
    """
    name, _, query = typed.partition("?")
    known = agent_names()
    target = known.get(name, name)
    if ":" not in target:
        close = difflib.get_close_matches(name, known, n=1)
        raise UnknownNameError(
            f"expected one of {', '.join(sorted(known))}, module:Class or file.py:Class, found {name!r}",
            where="agent",
            remedy=f"did you mean {close[0]}?" if close else "see `svsim agents`",
        )
    options: dict[str, Any] = {}
    rest = query
    while rest:
        pair, _, rest = rest.partition("&")
        key, equals, value = pair.partition("=")
        if not equals or not key.isidentifier():
            raise OptionError(f"expected key=value, found {pair!r}", where=f"agent {typed}")
        if key == INNER:
            options[key], rest = "&".join(filter(None, [value, rest])), ""
        else:
            options[key] = _value(value)
    return AgentName(typed, target, options)


def located(typed: str, folder: Path) -> str:
    """An agent whose runs, and those of the agents inside it, are named relatively to a folder, with their whole paths.

    Args:
        typed: As `parse_agent` takes it.
        folder: That relative runs lie in.
    """
    name, mark, rest = typed.partition("?")
    pairs: list[str] = []
    while rest:
        pair, _, rest = rest.partition("&")
        key, equals, value = pair.partition("=")
        if key == INNER:
            value, rest = located("&".join(filter(None, [value, rest])), folder), ""
        elif key == RUN:
            value = str(folder / value)
        pairs.append(f"{key}{equals}{value}")
    return f"{name}{mark}{'&'.join(pairs)}"


def _value(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if text.lower() == "none":
        return None
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return value if isinstance(value, int | float | str) else text


def agent_class(target: str) -> type[Agent]:
    """The class behind `module:Class` or `file.py:Class`.

    Raises:
        AgentError: It cannot be imported, or is no `Agent`.
    """
    place, _, name = target.rpartition(":")
    module = _module_of_file(Path(place)) if place.endswith(".py") else _module(place)
    found = getattr(module, name, None)
    if found is None:
        raise AgentError(f"expected a class {name!r}, found none of that name", where=place)
    if not (isinstance(found, type) and issubclass(found, Agent)):
        raise AgentError(f"expected a subclass of svsim.agents.Agent, found {found!r}", where=target)
    return found


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise AgentError(f"could not import: {described(error)}", where=name) from error


def _module_of_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise AgentError("expected a Python file, found nothing", where=str(path))
    name = f"svsim_agent_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None, "the name ends in .py"
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Before it runs: dataclasses and pickles look their module up.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise AgentError(f"could not import: {described(error)}", where=str(path)) from error
    return module


def make_agent(typed: str, **defaults: Any) -> Agent:
    """Make an agent from its name with options.

    Args:
        typed: As `parse_agent` takes it.
        **defaults: Options for an agent that has them and was not given them, such as the benchmark's `reward_weights`.

    Raises:
        AgentError: The class cannot be had or made.
        OptionError: It does not take the options, or needs one that is missing.
        UnknownNameError: No agent has that name.
    """
    name = parse_agent(typed)
    cls = agent_class(name.target)
    parameters = inspect.signature(cls).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    unknown = [] if takes_any else [option for option in name.options if option not in parameters]
    if unknown:
        raise OptionError(
            f"expected options among {', '.join(parameters) or 'none'}, found {unknown[0]!r}", where=f"agent {typed}"
        )
    missing = [option for option in required_options(cls) if option not in name.options and option not in defaults]
    if missing:
        raise OptionError(
            f"expected the option {missing[0]}, found none",
            where=f"agent {typed}",
            remedy=f"name it: {typed}{'&' if '?' in typed else '?'}{missing[0]}=…; `svsim agents` says what it means",
        )
    known = {option: value for option, value in defaults.items() if option in parameters}
    try:
        return cls(**{**known, **name.options})
    except SvsimError:
        raise
    except (Exception, SystemExit) as error:
        raise AgentError(f"could not be made: {described(error)}", where=f"agent {typed}") from error


@contextlib.contextmanager
def blamed(name: str, place: str = "") -> Iterator[None]:
    """Whatever goes wrong in an agent's code is the agent's fault, with the place where it happened.

    Args:
        name: The agent as typed.
        place: Where it was at work, as ` in svsim/Replay-v0`.

    Raises:
        AgentError: Anything was raised; interrupts pass.
    """
    where = f"agent {name}{place}"
    try:
        yield
    except AgentError as error:
        there = error.where if error.where and name not in error.where else None
        problem = f"{there}: {error.problem}" if there else error.problem
        raise AgentError(problem, where=where, remedy=error.remedy) from error
    except SvsimError as error:
        raise AgentError(str(error), where=where) from error
    except (Exception, SystemExit) as error:
        raise AgentError(described(error), where=where) from error


def described(error: BaseException) -> str:
    """What went wrong in somebody's code and where, in one line."""
    message = " ".join(f"{type(error).__name__}: {error}".split())
    # Frames of the import system say nothing of where.
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<frozen")]
    return f"{message} ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else message
