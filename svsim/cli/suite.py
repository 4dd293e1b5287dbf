"""`svsim benchmark --suite`: trains what is missing, then runs the benchmarks of a suite."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svsim._version import __version__
from svsim.cli.output import console, print_json, task_progress
from svsim.cli.train import Sasrec4sv
from svsim.cli.train_response import Response
from svsim.cli.train_sb3 import Sb3
from svsim.errors import OptionError

if TYPE_CHECKING:
    from svsim.benchmark.executors import Executor
    from svsim.benchmark.runner import Progress
    from svsim.benchmark.suite import Suite, SuiteRun
    from svsim.data.store import FeedStore

__all__ = ["BESIDE", "KINDS", "bound_stores", "refuse_beside", "run_suite"]

KINDS: dict[str, type[Any]] = {"sasrec4sv": Sasrec4sv, "sb3": Sb3, "response": Response}
"""What trains the runs of a suite, as `svsim train KIND`."""

BESIDE = (
    "suite", "stores", "out", "executor", "workers", "address", "ship-store", "step-limit", "details", "json", "help",
)  # fmt: skip
"""Options that a suite leaves open: where and how, not what."""


def refuse_beside(words: list[str]) -> None:
    """Refuse options that a suite fixes, whatever their value.

    Args:
        words: Of the command line.

    Raises:
        OptionError: There is one.
    """
    for word in words:
        name = word.partition("=")[0].removeprefix("--").removeprefix("no-").replace("_", "-")
        if word.startswith("--") and name not in BESIDE:
            raise OptionError(
                "expected no option that a suite fixes, found it beside --suite",
                where=word.partition("=")[0],
                remedy="leave it out, or write a suite of your own",
            )


def bound_stores(text: str | None) -> dict[str, str]:
    """Places by name, of `pure=/data/pure,other=/data/other`.

    Raises:
        OptionError: It is not of that form.
    """
    found: dict[str, str] = {}
    for pair in filter(None, (text or "").split(",")):
        name, equals, place = pair.partition("=")
        if not (name and equals and place) or name in found:
            raise OptionError(f"expected NAME=STORE,NAME=STORE, each name once, found {text!r}", where="--stores")
        found[name] = place
    return found


def run_suite(
    source: str,
    out: Path,
    *,
    stores: Mapping[str, str],
    executor: Executor,
    step_limit: float,
    details: bool = False,
    as_json: bool = False,
) -> None:
    """Train what is missing, run the benchmarks, print their tables; interrupted, the same call goes on.

    Args:
        source: Name of a suite, or a TOML file.
        out: Folder of `runs` and of a folder for each benchmark.
        stores: Places of the stores that the suite asks for, by name.
        executor: Who runs the shards.
        step_limit: Seconds that an agent may take a step of all rows, on average.
        details: Whether the tables of other groups and of providers are printed too.
        as_json: Print records by benchmark as one JSON document.

    Raises:
        SvsimError: The suite says something that cannot be, or a part of it failed.
    """
    from svsim.benchmark import run
    from svsim.benchmark.suite import RUNS, read_suite
    from svsim.data.result_folder import claimed

    suite = read_suite(source, KINDS)
    out = out.absolute()
    if set("&?") & set(str(out)):
        raise OptionError(f"expected a folder without & and ? in its path, found {out}", where="--out")
    commands = {each.name: _command(each, Path("store"), out / RUNS / each.name) for each in suite.runs}
    for name, command in commands.items():
        _check(name, command)
    found = suite.found_stores(stores)
    tables, failed = {}, []
    with claimed(out, _content(suite, found), "a suite", beside=(RUNS,)):
        for number, each in enumerate(suite.runs):
            _say(f"{RUNS}/{each.name} ({number + 1} of {len(suite.runs)})")
            _train(each, _command(each, found[each.store].path, out / RUNS / each.name))
        for number, benchmark in enumerate(suite.benchmarks):
            _say(f"{benchmark.name} ({number + 1} of {len(suite.benchmarks)})")
            spec, folder = benchmark.spec(found[benchmark.store], out), out / benchmark.name
            with task_progress() as tell:
                results = run(spec, folder, executor=executor, progress=_shards(tell), step_limit=step_limit)
            tables[benchmark.name] = results.records
            failed += [f"{benchmark.name}: {problem}" for problem in results.failed]
            if not as_json:
                _show(benchmark.name, results, folder, details)
    if as_json:
        print_json(tables)
    if failed:
        raise OptionError("; ".join(failed), where=f"suite {suite.name}", remedy="the other agents' results were kept")


def _content(suite: Suite, stores: Mapping[str, FeedStore]) -> bytes:
    """What `spec.json` says: the suite and what its stores hold; no places."""
    from svsim.benchmark.spec import SUITE_FORMAT

    told = {
        "format": SUITE_FORMAT,
        "suite": suite.content,
        "stores": {name: store.fingerprint for name, store in sorted(stores.items())},
        "svsim": __version__,
    }
    return (json.dumps(told, indent=1, ensure_ascii=False) + "\n").encode()


def _command(each: SuiteRun, store: Path, out: Path) -> Any:
    return KINDS[each.kind](store=str(store), out=out, **each.options)


def _check(name: str, command: Any) -> None:
    """What a command refuses should show before anything is trained."""
    if hasattr(command, "check"):
        with _blamed(name):
            command.check()


@contextlib.contextmanager
def _blamed(name: str) -> Iterator[None]:
    try:
        yield
    except OptionError as error:
        raise OptionError(str(error), where=f"runs.{name}") from error


def _train(each: SuiteRun, command: Any) -> None:
    """Train to the end; what the command prints is no result of the suite's."""
    import torch

    from svsim.data.run_folder import FINISHED

    threads = torch.get_num_threads()
    if each.kind == "sb3" and not (command.out / FINISHED).exists():
        # Its state holds no draws and no memory of a replay buffer: gone on with, it would end with other weights.
        (command.out / "state.pt").unlink(missing_ok=True)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            command.run()
    finally:
        torch.set_num_threads(threads)


def _show(name: str, results: Any, folder: Path, details: bool) -> None:
    from svsim.benchmark.results import FILES
    from svsim.report.benchmark import render

    screen = console()
    screen.print(f"{name}:", soft_wrap=True)
    screen.print(render(results, details=details))
    screen.print(f"{folder}: spec.json, {', '.join(FILES)}; svsim report {folder} shows them\n", soft_wrap=True)


def _shards(tell: Callable[[str, int, int | None], None]) -> Progress:
    return lambda done, whole, _: tell("agents × seeds", done, whole)


def _say(text: str) -> None:
    print(f"svsim: {text}", file=sys.stderr, flush=True)
