"""Parses the command line, runs the command, turns errors into one line and an exit status."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro
from tyro.conf import OmitArgPrefixes, OmitSubcommandPrefixes, subcommand

from svsim._version import __version__
from svsim.cli.agents import Agents
from svsim.cli.benchmark import Benchmark
from svsim.cli.benchmark_compare import CompareBenchmarks
from svsim.cli.data_describe import Describe
from svsim.cli.data_download import Download
from svsim.cli.data_export import Export
from svsim.cli.data_prepare import Prepare
from svsim.cli.data_synth import Synth
from svsim.cli.demo import Demo
from svsim.cli.envs import Envs
from svsim.cli.evaluate import Evaluate
from svsim.cli.ope import Ope
from svsim.cli.play import Play
from svsim.cli.report import Report
from svsim.cli.suite import refuse_beside
from svsim.cli.train import Sasrec4sv, ShowRun
from svsim.cli.train_response import Response
from svsim.cli.train_sb3 import Sb3
from svsim.cli.world_card import Card, Show
from svsim.errors import CheckFailed, SvsimError

__all__ = ["main"]

COMPARE = "benchmark-compare"
"""`svsim benchmark compare` as it is parsed: a command with options of its own cannot have commands below it too."""
DONE, AT_FAULT, CHECK_FAILED, INTERRUPTED, PIPE_CLOSED = 0, 2, 3, 130, 141


@dataclass(frozen=True, kw_only=True)
class Data:
    """Logs and stores: synthesise, download, prepare, describe."""

    command: (
        Annotated[Synth, subcommand("synth")]
        | Annotated[Download, subcommand("download")]
        | Annotated[Prepare, subcommand("prepare")]
        | Annotated[Describe, subcommand("describe")]
        | Annotated[Export, subcommand("export")]
    )

    def run(self) -> None:
        """Run the chosen command."""
        self.command.run()


@dataclass(frozen=True, kw_only=True)
class WorldCommands:
    """The synthetic world: its card, its configuration."""

    command: Annotated[Card, subcommand("card")] | Annotated[Show, subcommand("show")]

    def run(self) -> None:
        """Run the chosen command."""
        self.command.run()


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train models on a store."""

    command: (
        Annotated[Sasrec4sv, subcommand("sasrec4sv")]
        | Annotated[Response, subcommand("response")]
        | Annotated[Sb3, subcommand("sb3")]
        | Annotated[ShowRun, subcommand("show")]
    )

    def run(self) -> None:
        """Run the chosen command."""
        self.command.run()


Command = (
    Annotated[Demo, subcommand("demo")]
    | Annotated[Data, subcommand("data")]
    | Annotated[WorldCommands, subcommand("world")]
    | Annotated[Train, subcommand("train")]
    | Annotated[Evaluate, subcommand("evaluate")]
    | Annotated[Benchmark, subcommand("benchmark")]
    | Annotated[CompareBenchmarks, subcommand(COMPARE)]
    | Annotated[Ope, subcommand("ope")]
    | Annotated[Report, subcommand("report")]
    | Annotated[Play, subcommand("play")]
    | Annotated[Agents, subcommand("agents")]
    | Annotated[Envs, subcommand("envs")]
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: What follows `svsim`; by default the process's own.

    Returns:
        0 done, 2 the input is at fault, 3 a check did not pass, 130 interrupted, 141 nobody reads the output any more.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments == ["--version"]:
        print(f"svsim {__version__}")
        return DONE
    try:
        command = _parse(arguments)
        if isinstance(command, Benchmark) and command.suite is not None:
            refuse_beside(arguments)
        command.run()
        sys.stdout.flush()
    except SvsimError as error:
        print(f"svsim: {_line(str(error))}", file=sys.stderr)
        return CHECK_FAILED if isinstance(error, CheckFailed) else AT_FAULT
    except KeyboardInterrupt:
        print("svsim: interrupted; run the same command again to go on", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Python would complain once more when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    return DONE


def _line(text: str) -> str:
    return " ".join(text.split())


class _UsageError(SvsimError, ValueError):
    """The command line cannot be parsed."""


def _parse(
    arguments: Sequence[str],
) -> (
    Demo | Data | WorldCommands | Train | Evaluate | Benchmark | CompareBenchmarks | Ope | Report | Play | Agents | Envs
):
    """Parse by tyro, whose boxes become one line."""
    if list(arguments[:2]) == ["benchmark", "compare"]:
        arguments = [COMPARE, *arguments[2:]]
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            return tyro.cli(
                Command,
                config=(OmitSubcommandPrefixes, OmitArgPrefixes),
                prog="svsim",
                description="Short-video logs as Gymnasium environments, agents to act in them, benchmarks to compare them.",
                args=list(arguments),
            )
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise _UsageError(_unboxed(errors.getvalue())) from None


def _unboxed(text: str) -> str:
    """The text of tyro's box: its title and what stands above the first rule."""
    title, body = "", []
    for line in text.splitlines():
        inner = line.strip("│╭╮╰╯─ \t")
        if line.startswith("╭"):
            title = inner
        elif line.startswith("│"):
            if not inner and "──" in line:
                break
            body.append(inner)
    words = " ".join(" ".join(body).split())
    if not words:
        return " ".join(text.split()) or "the command line could not be parsed"
    lead = "" if words.lower().startswith(title.lower()) else f"{title}: "
    return f"{lead}{words.rstrip('.')}; see `svsim --help`"
