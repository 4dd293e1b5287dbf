"""A benchmark's part of the page."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Sequence
from typing import Any

import numpy as np

from svsim.benchmark import curves
from svsim.benchmark.spec import BenchmarkSpec
from svsim.report.benchmark import agent_label, conclusion, leaderboard, notes, sheets
from svsim.report.figures import benchmark as figures
from svsim.report.figures.theme import themed, to_svg
from svsim.report.page.contents import Block, Figure, Panels, Section, Table, Words, data_sheet
from svsim.report.page.found import Benchmark
from svsim.report.tables import Sheet, number, short_agent

__all__ = ["benchmark_section", "command_of"]

Record = dict[str, Any]
HORIZONS = {"replay": 10, "feed": 100}
"""Of the environments, where none is named."""


def benchmark_section(benchmark: Benchmark, name: str, *, command: str | None, concluding: bool) -> Section:
    """Everything about one benchmark.

    Args:
        benchmark: A finished one.
        name: Of the section, once on the page.
        command: That made it; None for what its specification tells.
        concluding: Whether what came out is told here.
    """
    results = benchmark.results
    good = [record for record in results.records if "error" not in record]
    good.sort(key=lambda record: -record["metrics"]["reward"]["mean"])
    failed = [(short_agent(record["agent"]), record["error"]) for record in results.records if "error" in record]
    board: list[Block] = [Table(leaderboard(results), failed)]
    parts = [Section(f"{name}-leaderboard", "Leaderboard", board)]
    if good:
        board += [Panels(_intervals(name, good)), *(Words(text) for text in [notes(results)] if text)]
        board += [Table(sheet, folded=True) for sheet in sheets(results) if sheet.name in ("engagement", "comparison")]
        parts += _parts(benchmark, name, good)
    parts.append(Section(f"{name}-made", "How it was made", _made(benchmark, command)))
    told = [Words(text, "result") for text in [conclusion(results)] if text and concluding]
    return Section(name, f"Benchmark: {benchmark.name}", [Words(_about(benchmark)), *told], parts)


def _about(benchmark: Benchmark) -> str:
    spec = benchmark.spec
    if spec.get("horizon_minutes") is not None:
        length = f"{spec['horizon_minutes']:g} minutes an episode"
    else:
        length = f"at most {spec['horizon'] or HORIZONS[spec['env']]} served in an episode"
    where = {
        "replay": "Replay-v0: logged sessions, answered by what the log says",
        "feed": f"Feed-v0: any video of the pool, answered by {_responder(spec)}",
    }[spec["env"]]
    return f"{where}; {spec['candidates']} videos on offer, {length}; {spec['seeds']} seeds."


def _responder(spec: Record) -> str:
    return "the world's truth" if spec.get("response") == "truth" else "a learned model of the users"


# --- parts -----------------------------------------------------------------------------------------------------------


def _intervals(name: str, records: Sequence[Record]) -> list[Figure]:
    rewards = [(record, record["metrics"]["reward"]) for record in records]
    made = [
        _forest(
            rewards, f"{name}-rewards", "Reward", "reward of an episode, 95 % interval", "",
            "Intervals of two agents overlap more often than the two are alike: the same users are lucky for both.",
        )
    ]  # fmt: skip
    told = [record for record in records if record.get("comparison")]
    leads = [(record, record["comparison"]) for record in told if not record["privileged"]]
    if leads:
        against = leads[0][1]["against"]
        made.append(
            _forest(
                leads, f"{name}-leads", f"Lead over {against}", "paired difference in reward, 95 % interval", against,
                "Over the same episodes: what the episodes themselves are worth falls out. Grey: rails.",
            )
        )  # fmt: skip
    return made


def _forest(
    rows: Sequence[tuple[Record, Record]], name: str, title: str, xlabel: str, zero: str, caption: str
) -> Figure:
    with themed():
        drawn = figures.intervals(rows, xlabel, zero)
    cells = [(agent_label(record), *(number(own[key], 4) for key in ("mean", "low", "high"))) for record, own in rows]
    return _figure(drawn, f"{name}-figure", title, Sheet(name, "", ("agent", "mean", "low", "high"), cells), caption)


def _parts(benchmark: Benchmark, name: str, good: Sequence[Record]) -> list[Section]:
    results = benchmark.results
    shown = figures.chosen(good)
    tables = {sheet.name: sheet for sheet in sheets(results)}
    made = [
        Section(f"{name}-steps", "Engagement per step", [_steps(benchmark, name, shown)]),
        Section(f"{name}-acting", "Learning as they act", [*_acting(benchmark, name, shown)]),
        Section(
            f"{name}-groups", "Influencers and normal users",
            [Table(tables["influencers"]), _boxes(benchmark, name, shown), Table(tables["groups"], folded=True)],
        ),
        Section(
            f"{name}-exposure", "Who is shown",
            [_exposure(benchmark, name, shown), Table(tables["providers"], folded=True)],
        ),
    ]  # fmt: skip
    if len(results.profiles):
        made.append(Section(f"{name}-profiles", "Performance profiles", [_profiles(benchmark, name, shown)]))
    return [section for section in made if section.blocks]


def _steps(benchmark: Benchmark, name: str, shown: Sequence[Record]) -> Figure:
    table = curves.by_step(benchmark.results)
    with themed():
        drawn = figures.step_lines(table, _below_oracle(shown))
    wide = table.pivot(index="step", columns="agent", values="reward")
    return _figure(
        drawn, f"{name}-steps-figure", "Mean reward of each step", _wide(f"{name}-steps", wide, shown),
        "Averaged over the episodes that came so far. The oracle stands in the data alone." + _others(benchmark, shown),
    )  # fmt: skip


def _acting(benchmark: Benchmark, name: str, shown: Sequence[Record]) -> list[Block]:
    table = curves.as_they_act(benchmark.results)
    if table.empty:
        return []
    with themed():
        drawn = figures.lines(
            table, _below_oracle(shown), "part", "lead",
            xlabel="tenth of the run", ylabel="lead over random, reward of an episode",
        )  # fmt: skip
    wide = table.pivot(index="part", columns="agent", values="lead")
    caption = "Both played the same episodes. Who learns while serving rises; all others stay level but for chance."
    return [
        _figure(
            drawn,
            f"{name}-acting-figure",
            "Lead over random, from the first tenth of the episodes to the last",
            _wide(f"{name}-acting", wide, shown),
            caption + _others(benchmark, shown),
        )
    ]


def _boxes(benchmark: Benchmark, name: str, shown: Sequence[Record]) -> Figure:
    table = curves.reward_quantiles(benchmark.results)
    with themed():
        drawn = figures.group_boxes(table, shown)
    labelled = table.assign(agent=table["agent"].map(short_agent))
    return _figure(
        drawn, f"{name}-groups-figure", "Distribution of episodes' rewards by group", data_sheet(f"{name}-boxes", labelled),
        "Median (mark), half of the episodes (bar), four fifths (line); all episodes of a group, over all seeds. The table"
        " above compares means over users.",
    )  # fmt: skip


def _exposure(benchmark: Benchmark, name: str, shown: Sequence[Record]) -> Figure:
    shares = np.logspace(-3, 0, 61)
    table = curves.concentration(benchmark.results, shares)
    with themed():
        drawn = figures.lines(
            table, shown, "authors", "exposures", marked=False, logarithmic=True,
            reference=(shares.tolist(), shares.tolist()),
            xlabel="share of the pool's authors, the most shown first", ylabel="their share of all exposures",
        )  # fmt: skip
    told = table[table["authors"].isin(shares[::4])]
    wide = told.pivot(index="authors", columns="agent", values="exposures")
    return _figure(
        drawn, f"{name}-exposure-figure", "Concentration of exposure on authors", _wide(f"{name}-exposure", wide, shown),
        "The lowest line is what each author would have if all were shown as often; the higher a curve, the fewer authors"
        " have most of the exposures.",
    )  # fmt: skip


def _profiles(benchmark: Benchmark, name: str, shown: Sequence[Record]) -> Figure:
    # Those of random and the oracle say what a score is, and no more.
    shown = [record for record in _below_oracle(shown) if record["agent"] != "random"]
    table = benchmark.results.profiles
    own = table[table["agent"].isin([record["agent"] for record in shown])]
    told = own[(own["share"] > 0) & (own["share"] < 1)]["threshold"]
    if len(told):
        own = own[own["threshold"].between(told.min() - 0.11, told.max() + 0.11)]
    with themed():
        drawn = figures.lines(
            own, shown, "threshold", "share", marked=False,
            xlabel="score: 0 as random, 1 as the oracle", ylabel="share of the slices with a higher one",
        )  # fmt: skip
    wide = own.pivot(index="threshold", columns="agent", values="share")
    caption = "Slices are day × tab × activity × group. The higher the curve, the more of them an agent serves well."
    return _figure(
        drawn, f"{name}-profiles-figure", "Scores over slices", _wide(f"{name}-profile", wide, shown), caption
    )


def _below_oracle(shown: Sequence[Record]) -> list[Record]:
    """Without the oracle, beside which all others would lie flat."""
    return [record for record in shown if record["agent"] != "oracle"]


def _figure(drawn: Any, name: str, title: str, data: Sheet, caption: str) -> Figure:
    return Figure(title, to_svg(drawn, name, f"{title}. The data stand below."), data, caption)


def _wide(name: str, table: Any, shown: Sequence[Record]) -> Sheet:
    """A column an agent, in the order of the table of agents; those that are drawn alone where there are many."""
    kept = [record["agent"] for record in shown if record["agent"] in table]
    return data_sheet(name, table[kept].rename(columns=short_agent).reset_index())


def _others(benchmark: Benchmark, shown: Sequence[Record]) -> str:
    left = sum("error" not in record for record in benchmark.results.records) - len(shown)
    return f" Drawn: the rails and the {figures.MOST} best others; {left} more are in the files." if left else ""


# --- how it was made -------------------------------------------------------------------------------------------------


def _made(benchmark: Benchmark, command: str | None) -> list[Block]:
    spec = benchmark.spec
    settings = {name: value for name, value in spec.items() if name not in ("agent_files", "versions", "format")}
    rows = [(name.replace("_", " "), _value(value)) for name, value in settings.items()]
    versions = ", ".join(f"{name} {version}" for name, version in spec["versions"].items())
    sums = [
        (file, hashlib.sha256((benchmark.place / file).read_bytes()).hexdigest())
        for file in ("spec.json", "results.json", "episodes.parquet")
    ]
    made: list[Block] = [
        Words(command or command_of(benchmark), "code"),
        Words(f"Versions: {versions}. The same specification gives the same bytes:"),
        Table(Sheet("fingerprints", "Fingerprints", ("file", "SHA-256"), sums, (0, 1))),
        Table(Sheet("settings", "Configuration", ("setting", "value"), rows, (0, 1)), folded=True),
    ]
    files = [
        (short_agent(agent), file, digest) for agent, own in spec["agent_files"].items() for file, digest in own.items()
    ]
    if files:
        sheet = Sheet("agent-files", "Files of the agents", ("agent", "file", "SHA-256"), files, (0, 1, 2))
        made.append(Table(sheet, folded=True))
    return made


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return json.dumps(value) if isinstance(value, dict) else str(value)


_OPTIONS = {"session_gap_minutes": "session-gap"}
_NOT_TYPED = ("format", "version", "agents", "store", "env", "agent_files", "versions")


def command_of(benchmark: Benchmark) -> str:
    """The command that makes these results again; where the store lies is not known to them.

    Args:
        benchmark: Its `spec.json` tells every setting; those that differ from the defaults are named.
    """
    spec = benchmark.spec
    defaults = BenchmarkSpec(env=spec["env"])
    words = ["svsim", "benchmark", "--store", "STORE", "--env", spec["env"], "--agents", ",".join(spec["agents"])]
    for name, value in spec.items():
        if name in _NOT_TYPED or value == getattr(defaults, name):
            continue
        option = f"--{_OPTIONS.get(name, name.replace('_', '-'))}"
        if isinstance(value, bool):
            words.append(option)
        elif name == "reward_weights":
            words += [option, ",".join(f"{signal}={weight:g}" for signal, weight in value.items())]
        elif name == "response":
            words += [option, value if value == "truth" else "RUN"]
        else:
            words += [option, "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)]
    return " ".join(map(shlex.quote, [*words, "--out", benchmark.name]))
