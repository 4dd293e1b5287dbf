"""Suites: benchmarks as data, with the trained runs that they need, read from a TOML file and checked whole."""

from __future__ import annotations

import dataclasses
import difflib
import re
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from svsim.agents.registry import agent_class, parse_agent, ready_agents
from svsim.benchmark.spec import REFUSED, SEED, BenchmarkSpec
from svsim.data.store import FeedStore
from svsim.errors import AgentError, OptionError, OutputError, StoreError, SvsimError, UnknownNameError
from svsim.response.opening import TRUTH
from svsim.world.presets import PRESETS, find_store

__all__ = ["RUNS", "RUN_OF_AGENT", "Suite", "SuiteBenchmark", "SuiteRun", "SuiteStore", "read_suite", "suite_names"]

RUNS = "runs"
"""Folder of a suite's runs within that of its results; agents are named by it, as `ppo?run=runs/my-ppo`."""

ALL = "all"
NONE = "none"
"""TOML has no null."""

RUN_OF_AGENT = re.compile(r"[?&]run=([^&]*)")
"""Finds the run in an agent's name."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_TOP = ("name", "description", "version", "stores", "runs", "benchmarks")
_OF_STORE = {"about": str, "prepare": str, "variant": str, "last_days": Mapping[str, int]}
_NOT_OF_BENCHMARK = ("store", "agents", "runs_in")
_NOT_OF_RUN = ("store", "out", "json")
_SPLITS = ("train", "valid", "test")


@dataclass(frozen=True, kw_only=True)
class SuiteStore:
    """A store that who runs the suite has to bring.

    Attributes:
        name: By which the suite asks for it.
        about: What it holds.
        prepare: Command that makes it.
        variant: Of KuaiRand, as the store's manifest says; empty for any.
        last_days: Last days (yyyymmdd) of its splits, by split.
    """

    name: str
    about: str = ""
    prepare: str = "svsim data prepare LOGS --out STORE"
    variant: str = ""
    last_days: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def check(self, store: FeedStore) -> None:
        """Refuse a store that is another one.

        Raises:
            StoreError: It is of another variant, or its splits end on other days.
        """
        told = store.manifest
        found = {
            "variant": told.get("variant"),
            **{name: told["splits"].get(name, {}).get("until") for name in _SPLITS},
        }
        wanted = {**({"variant": self.variant} if self.variant else {}), **self.last_days}
        for name, value in wanted.items():
            if found[name] != value:
                what = f"variant {value}" if name == "variant" else f"{name} split until {value}"
                raise StoreError(
                    f"expected a store of {what}, found {found[name]}",
                    where=f"--stores {self.name}={store.path}",
                    remedy=f"make it by `{self.prepare}`",
                )


@dataclass(frozen=True, kw_only=True)
class SuiteRun:
    """Something to be trained.

    Attributes:
        name: Of its folder.
        kind: What trains it, as in `svsim train KIND`.
        store: Name of its store.
        options: Of that command, without store and place.
    """

    name: str
    kind: str
    store: str
    options: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class SuiteBenchmark:
    """A benchmark.

    Attributes:
        name: Of its folder.
        store: Name of its store.
        settings: Of its `BenchmarkSpec`, without store and place.
    """

    name: str
    store: str
    settings: Mapping[str, Any]

    def spec(self, store: str | Path | FeedStore, folder: Path) -> BenchmarkSpec:
        """What is run.

        Args:
            store: The store that `store` means.
            folder: Of the suite's results, with its runs.
        """
        return BenchmarkSpec(store=store, runs_in=folder, **self.settings)


@dataclass(frozen=True, kw_only=True)
class Suite:
    """Benchmarks, what they need trained, on which stores.

    Attributes:
        name: It goes by.
        description: What it is for.
        version: Raised whenever its results would change.
        stores: That have to be brought, by name.
        runs: In the order in which they are trained.
        benchmarks: In the order in which they are run.
        content: The file, as data.
    """

    name: str
    description: str
    version: int
    stores: Mapping[str, SuiteStore]
    runs: Sequence[SuiteRun]
    benchmarks: Sequence[SuiteBenchmark]
    content: Mapping[str, Any]

    def found_stores(self, bound: Mapping[str, str]) -> dict[str, FeedStore]:
        """Open every store that the suite asks for; worlds of presets are built on first use.

        Args:
            bound: Place of each store that has to be brought, by name.

        Raises:
            OptionError: One is missing, or is none of the suite's.
            StoreError: A place holds no store, or another one than the suite asks for.
        """
        for name in bound:
            if name not in self.stores:
                raise OptionError(
                    f"expected names among {', '.join(self.stores) or 'none'}, found {name!r}",
                    where="--stores",
                    remedy=f"suite {self.name} asks for no other",
                )
        for name, asked in self.stores.items():
            if name not in bound:
                raise OptionError(
                    f"expected a place for the store {name!r} of suite {self.name}, found none",
                    where="--stores",
                    remedy=f"make it by `{asked.prepare}` and name --stores {name}=STORE",
                )
        found = {name: find_store(place) for name, place in bound.items()}
        for name, store in found.items():
            self.stores[name].check(store)
        for name in self.asked():
            if name not in found:
                found[name] = find_store(name)
        return found

    def asked(self) -> list[str]:
        """Names of all stores, presets among them."""
        return list(dict.fromkeys([*(run.store for run in self.runs), *(each.store for each in self.benchmarks)]))


def suite_names() -> list[str]:
    """Suites that come with svsim."""
    folder = resources.files("svsim.benchmark") / "suites"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def read_suite(source: str | Path, kinds: Mapping[str, type[Any]]) -> Suite:
    """Read a suite and check all of it.

    Args:
        source: Name of a suite that comes with svsim, or a TOML file.
        kinds: What trains runs: by kind, the dataclass of its options, `store` and `out` among them.

    Raises:
        OptionError: The file says something that cannot be.
        OutputError: The file cannot be read.
        UnknownNameError: No such suite.
    """
    text, where = _text(source)
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise OptionError(f"expected TOML, found a fault: {error}", where=where) from error
    return _Reader(where, kinds).suite(content)


def _text(source: str | Path) -> tuple[str, str]:
    """Text of a suite and where it stands."""
    if str(source) in suite_names():
        file = resources.files("svsim.benchmark") / "suites" / f"{source}.toml"
        return file.read_text(encoding="utf-8"), f"suite {source}"
    path = Path(source)
    if path.suffix != ".toml":
        close = difflib.get_close_matches(str(source), suite_names(), n=1)
        raise UnknownNameError(
            f"expected one of {', '.join(suite_names())}, or a .toml file, found {str(source)!r}",
            where="--suite",
            remedy=f"did you mean {close[0]}?" if close else None,
        )
    try:
        return path.read_text(encoding="utf-8"), str(path)
    except (OSError, UnicodeDecodeError) as error:
        problem = getattr(error, "strerror", None) or "something else than UTF-8"
        raise OutputError(f"expected a suite's TOML file, found: {problem}", where=str(path)) from error


class _Reader:
    """Makes a suite of what TOML gave."""

    def __init__(self, where: str, kinds: Mapping[str, type[Any]]) -> None:
        self.where, self.kinds = where, kinds
        self.stores: dict[str, SuiteStore] = {}
        self.runs: dict[str, SuiteRun] = {}

    def suite(self, content: dict[str, Any]) -> Suite:
        self._keys(content, _TOP, "")
        told = {key: self._value(content.get(key), hint, key) for key, hint in (("name", str), ("description", str))}
        version = self._value(content.get("version", 1), int, "version")
        tables = {key: self._tables(content, key) for key in ("stores", "runs", "benchmarks")}
        if not tables["benchmarks"]:
            raise self._fault("benchmarks", "expected at least one [benchmarks.NAME], found none")
        for name, table in tables["stores"].items():
            self.stores[name] = self._store(name, table)
        for name, table in tables["runs"].items():
            self.runs[name] = self._run(name, table)
        benchmarks = [self._benchmark(name, table) for name, table in tables["benchmarks"].items()]
        suite = Suite(
            **told,
            version=version,
            stores=self.stores,
            runs=tuple(self.runs.values()),
            benchmarks=tuple(benchmarks),
            content=content,
        )
        for name in set(self.stores) - set(suite.asked()):
            raise self._fault(f"stores.{name}", "expected a store that a run or a benchmark uses, found one unused")
        return suite

    # --- parts --------------------------------------------------------------------------------------------------------

    def _store(self, name: str, table: dict[str, Any]) -> SuiteStore:
        key = f"stores.{name}"
        if name in PRESETS:
            raise self._fault(key, f"expected another name than a preset's, found {name!r}")
        self._keys(table, _OF_STORE, key)
        store = SuiteStore(
            name=name, **{each: self._value(value, _OF_STORE[each], f"{key}.{each}") for each, value in table.items()}
        )
        self._keys(store.last_days, _SPLITS, f"{key}.last_days")
        return store

    def _run(self, name: str, table: dict[str, Any]) -> SuiteRun:
        key = f"{RUNS}.{name}"
        kind = self._value(table.get("kind"), str, f"{key}.kind")
        if kind not in self.kinds:
            raise self._fault(f"{key}.kind", f"expected one of {', '.join(self.kinds)}, found {kind!r}")
        options = self._settings(table, self.kinds[kind], _NOT_OF_RUN, ("kind", "store"), key)
        for option, needed in (("trunk", "sasrec4sv"), ("response", "response")):
            # SASRec4SV has an option `trunk` that means something else.
            if kind == "sb3" and options.get(option) not in (None, TRUTH):
                options[option] = self._trained(str(options[option]), needed, f"{key}.{option}")
        return SuiteRun(name=name, kind=kind, store=self._store_name(table, key), options=options)

    def _benchmark(self, name: str, table: dict[str, Any]) -> SuiteBenchmark:
        key = f"benchmarks.{name}"
        if name == RUNS:
            raise self._fault(key, f"expected another name than {RUNS}, the folder of the runs")
        settings = self._settings(table, BenchmarkSpec, _NOT_OF_BENCHMARK, ("store", "agents", RUNS), key)
        if settings.get("response") not in (None, TRUTH):
            settings["response"] = self._trained(settings["response"], "response", f"{key}.response")
        settings["agents"] = self._agents(table, settings, key)
        made = SuiteBenchmark(name=name, store=self._store_name(table, key), settings=settings)
        try:
            made.spec(made.store, Path())
        except SvsimError as error:
            raise self._fault(key, str(error)) from error
        return made

    def _agents(self, table: dict[str, Any], settings: dict[str, Any], key: str) -> tuple[str, ...]:
        """Agents as a specification names them: `all` spelt out, those of the runs at the end."""
        told = table.get("agents", [])
        named = [ALL] if told == ALL else list(self._value(told, tuple[str, ...], f"{key}.agents"))
        refused = REFUSED[settings["env"]] if settings.get("env") in REFUSED else ()
        if ALL in named:
            place = named.index(ALL)
            named[place : place + 1] = [name for name in ready_agents() if name not in (*named, *refused)]
        for number, run in enumerate(self._value(table.get(RUNS, []), tuple[str, ...], f"{key}.{RUNS}")):
            named.append(self._agent_of(run, f"{key}.{RUNS}[{number}]"))
        for name in named:
            self._check_agent(name, settings.get("seeds", BenchmarkSpec.seeds), f"{key}.agents")
            if named.count(name) > 1:
                raise self._fault(f"{key}.agents", f"expected each agent once, found {name!r} twice")
        return tuple(named)

    def _agent_of(self, run: str, key: str) -> str:
        """The agent that acts by a run."""
        if run not in self.runs:
            raise self._unknown(key, "run", run, self.runs)
        kind, options = self.runs[run].kind, self.runs[run].options
        if kind == "response":
            raise self._fault(key, f"expected a run that acts, found {run!r}, a model of the users")
        return f"{options.get('algo', 'ppo') if kind == 'sb3' else kind}?run={RUNS}/{run}"

    def _check_agent(self, name: str, seeds: int, key: str) -> None:
        try:
            agent_class(parse_agent(name).target)
        except AgentError:
            # An agent's own fault is told in its turn: the others are played.
            pass
        except SvsimError as error:
            raise self._fault(key, str(error)) from error
        for run in RUN_OF_AGENT.findall(name):
            for seed in range(seeds if SEED in run else 1):
                found = run.replace(SEED, str(seed))
                if not Path(found).is_absolute() and found.removeprefix(f"{RUNS}/") not in self.runs:
                    known = ", ".join(f"{RUNS}/{each}" for each in self.runs) or "none"
                    raise self._fault(key, f"expected a run of {known}, or a whole path, found {found!r} in {name!r}")

    def _trained(self, name: str, kind: str, key: str) -> str:
        """A run that another part reads, by its place within the suite's folder."""
        above = [run.name for run in self.runs.values() if run.kind == kind]
        if name not in above:
            raise self._unknown(key, f"run of kind {kind} that stands above", name, above)
        return f"{RUNS}/{name}"

    def _store_name(self, table: dict[str, Any], key: str) -> str:
        name: str = self._value(table.get("store"), str, f"{key}.store")
        if name not in (*PRESETS, *self.stores):
            raise self._unknown(
                f"{key}.store", "preset, or a store with a table [stores.NAME]", name, (*PRESETS, *self.stores)
            )
        return name

    # --- tables and values --------------------------------------------------------------------------------------------

    def _tables(self, content: dict[str, Any], key: str) -> dict[str, dict[str, Any]]:
        """Named tables, as of [runs.NAME]."""
        found = content.get(key, {})
        if not isinstance(found, dict) or not all(isinstance(table, dict) for table in found.values()):
            raise self._fault(key, f"expected tables [{key}.NAME], found {_shown(found)}")
        for name in found:
            if not _NAME.fullmatch(name):
                raise self._fault(
                    key, f"expected names of letters, digits and ._- (they become folders), found {name!r}"
                )
        return found

    def _keys(self, table: Mapping[str, Any], known: Any, key: str) -> None:
        for name in table:
            if name not in known:
                raise self._unknown(f"{key}.{name}" if key else name, "key", name, known)

    def _settings(
        self, table: dict[str, Any], kind: type[Any], left_out: Sequence[str], own: Sequence[str], key: str
    ) -> dict[str, Any]:
        """Values of a dataclass's fields, but for those left out; keys of one's own are left alone."""
        hints = {name: hint for name, hint in typing.get_type_hints(kind).items() if name not in left_out}
        hints = {item.name: hints[item.name] for item in dataclasses.fields(kind) if item.name in hints}
        self._keys(table, (*own, *hints), key)
        return {
            name: self._value(value, hints[name], f"{key}.{name}") for name, value in table.items() if name not in own
        }

    def _value(self, value: Any, hint: Any, key: str) -> Any:
        """A value as the type of its field wants it."""
        found, good = _fitted(value, hint)
        if not good:
            what = "nothing" if value is None else _shown(value)
            raise self._fault(key, f"expected {_told(hint)}, found {what}")
        return found

    def _unknown(self, key: str, what: str, name: str, known: Any) -> SvsimError:
        close = difflib.get_close_matches(name, list(known), n=1)
        return self._fault(
            key,
            f"expected a {what} among {', '.join(known) or 'none'}, found {name!r}",
            f"did you mean {close[0]}?" if close else None,
        )

    def _fault(self, key: str, problem: str, remedy: str | None = None) -> SvsimError:
        return OptionError(problem, where=f"{self.where}, {key}", remedy=remedy)


def _fitted(value: Any, hint: Any) -> tuple[Any, bool]:
    """A value of TOML as a field's type has it, and whether it fits."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if type(None) in parts and value == NONE:
            return None, True
        fits = (_fitted(value, part) for part in parts if part is not type(None))
        return next((found for found in fits if found[1]), (value, False))
    if origin is typing.Literal:
        return value, value in parts
    if origin is tuple:
        return tuple(value) if isinstance(value, list) else value, _all_fit(value, list, parts[0])
    if origin is not None and issubclass(origin, Mapping):
        return value, isinstance(value, dict) and _all_fit(list(value.values()), list, parts[1])
    if hint is float:
        return value, isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return value, isinstance(value, int) and not isinstance(value, bool)
    if hint is Path:
        return (Path(value), True) if isinstance(value, str) else (value, False)
    return value, isinstance(value, hint)


def _all_fit(values: Any, kind: type[Any], hint: Any) -> bool:
    return isinstance(values, kind) and all(_fitted(value, hint)[1] for value in values)


def _told(hint: Any) -> str:
    """What a field takes, in words."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(f'"{NONE}"' if part is type(None) else _told(part) for part in parts))
    if origin is typing.Literal:
        return f"one of {', '.join(map(str, parts))}"
    if origin is tuple:
        return "an array of texts"
    if origin is not None and issubclass(origin, Mapping):
        return f"a table whose values are {_told(parts[1]).split(' ', 1)[-1]}s"
    return {bool: "true or false", int: "a whole number", float: "a number"}.get(hint, "a text")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
