"""Figures of a benchmark: who leads, step by step, by group, over authors, in the course of the run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from svsim.names import INFLUENCER, NORMAL
from svsim.report.benchmark import agent_label
from svsim.report.figures.theme import COLOURS, INK, LINES, MARKERS, QUIET, integer_axis

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["MOST", "chosen", "group_boxes", "intervals", "lines", "step_lines"]

Record = dict[str, Any]

MOST = 6
"""Agents that have a line of their own beside the rails; more are not told apart by eye."""

_RAILS = {
    "random": (QUIET, ":"),
    "popularity": (QUIET, "--"),
    "logged": (QUIET, "-."),
    "oracle": (INK, (0, (1, 1))),
}


def chosen(records: Sequence[Record]) -> list[Record]:
    """Agents that are drawn as lines: the rails, and the `MOST` best others.

    Args:
        records: Of agents that did not fail, the best first.
    """
    others = [record for record in records if record["agent"] not in _RAILS][:MOST]
    return [record for record in records if record["agent"] in _RAILS or record in others]


def _styles(records: Sequence[Record], *, marked: bool) -> dict[str, dict[str, Any]]:
    """How each agent's line is drawn: the rails in grey, the others by colour, line and mark."""
    styles: dict[str, dict[str, Any]] = {}
    number = 0
    for record in records:
        if record["agent"] in _RAILS:
            colour, line = _RAILS[record["agent"]]
            styles[record["agent"]] = {"color": colour, "linestyle": line, "linewidth": 1.4}
        else:
            styles[record["agent"]] = {
                "color": COLOURS[number],
                "linestyle": LINES[number],
                "marker": MARKERS[number] if marked else None,
            }
            number += 1
    return styles


def intervals(rows: Sequence[tuple[Record, Record]], xlabel: str, zero: str = "") -> Figure:
    """A value and its 95 % interval, an agent a row, the first above.

    Args:
        rows: An agent's record, and `mean`, `low`, `high` of what is shown.
        xlabel: What it is.
        zero: What a line at zero stands for; none without.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 0.9 + 0.27 * len(rows)), layout="constrained")
    axis = figure.subplots()
    for place, (record, own) in enumerate(rows):
        privileged = record["privileged"]
        colour = QUIET if privileged or record["agent"] in _RAILS else COLOURS[0]
        axis.plot([own["low"], own["high"]], [place, place], color=colour, linewidth=2)
        axis.plot(own["mean"], place, "o", color=colour, markerfacecolor="none" if privileged else colour)
    if zero:
        axis.axvline(0, color=QUIET, linewidth=1)
        axis.annotate(
            zero, (0, 1), xycoords=("data", "axes fraction"), xytext=(0, 2), textcoords="offset points", ha="center",
            fontsize=8.5, color=QUIET,
        )  # fmt: skip
    axis.set_yticks(range(len(rows)), [agent_label(record) for record, _ in rows])
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.grid(axis="y", visible=False)
    axis.set_xlabel(xlabel)
    return figure


def step_lines(table: pd.DataFrame, records: Sequence[Record]) -> Figure:
    """Mean reward of each step; beside it, where users leave, the share of the episodes that came so far.

    Args:
        table: `svsim.benchmark.curves.by_step`.
        records: Of the agents that are drawn.
    """
    from matplotlib.figure import Figure

    leaving = bool((table["reached"] < 1).any())
    # The means of the few episodes that last longest jump about.
    table = table[table["reached"] >= 0.02]
    marked = table["step"].max() <= 30
    figure = Figure(figsize=(6.4, 6.2 if leaving else 3.9), layout="constrained")
    axes = figure.subplots(2 if leaving else 1, 1, squeeze=False, sharex=True)[:, 0]
    styles = _styles(records, marked=marked)
    for record in records:
        own, style = table[table["agent"] == record["agent"]], styles[record["agent"]]
        for axis, column in zip(axes, ("reward", "reached"), strict=False):
            axis.plot(own["step"], own[column], label=agent_label(record), **style)
    axes[0].set_ylabel("mean reward of the step")
    if leaving:
        axes[1].set(ylabel="episodes that came so far", ylim=(0, 1.02))
    axes[-1].set_xlabel("step")
    integer_axis(axes[-1])
    _legend(figure, axes[0])
    return figure


def group_boxes(table: pd.DataFrame, records: Sequence[Record]) -> Figure:
    """Rewards of episodes: median, quarters and tenths, influencers beside normal users.

    Args:
        table: `svsim.benchmark.curves.reward_quantiles`.
        records: Of the agents that are drawn, the best first.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    figure = Figure(figsize=(6.4, 1.2 + 0.48 * len(records)), layout="constrained")
    axis = figure.subplots()
    for offset, group, colour, mark in ((-0.17, INFLUENCER, COLOURS[1], "D"), (0.17, NORMAL, COLOURS[0], "o")):
        for place, record in enumerate(records):
            own = table[(table["agent"] == record["agent"]) & (table["group"] == group)]
            for row in own.itertuples():
                y = place + offset
                axis.plot([row.p10, row.p90], [y, y], color=colour, linewidth=1)
                axis.plot([row.p25, row.p75], [y, y], color=colour, linewidth=5, alpha=0.55, solid_capstyle="butt")
                axis.plot(row.p50, y, mark, color=colour)
    axis.set_yticks(range(len(records)), [agent_label(record) for record in records])
    axis.set_ylim(len(records) - 0.45, -0.55)
    axis.grid(axis="y", visible=False)
    axis.set_xlabel("reward of an episode")
    handles = [
        Line2D([], [], color=COLOURS[1], marker="D", label="influencers"),
        Line2D([], [], color=COLOURS[0], marker="o", label="normal users"),
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=2)
    return figure


def lines(
    table: pd.DataFrame,
    records: Sequence[Record],
    x: str,
    y: str,
    *,
    xlabel: str,
    ylabel: str,
    reference: Sequence[Sequence[float]] | None = None,
    marked: bool = True,
    logarithmic: bool = False,
) -> Figure:
    """One line an agent.

    Args:
        table: With columns `agent`, `x`, `y`.
        records: Of the agents that are drawn.
        x: Column along.
        y: Column upwards.
        xlabel: Of x.
        ylabel: Of y.
        reference: A line to compare with: its xs and its ys.
        marked: Whether points are marked.
        logarithmic: Whether x is.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.1), layout="constrained")
    axis = figure.subplots()
    if reference is not None:
        axis.plot(*reference, color=QUIET, linewidth=1)
    styles = _styles(records, marked=marked)
    for record in records:
        own, style = table[table["agent"] == record["agent"]], styles[record["agent"]]
        if len(own):
            axis.plot(own[x], own[y], label=agent_label(record), **style)
    axis.set(xlabel=xlabel, ylabel=ylabel)
    if logarithmic:
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    _legend(figure, axis)
    return figure


def _legend(figure: Figure, axis: Any) -> None:
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=3, handlelength=2.6)
