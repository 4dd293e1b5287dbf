"""Figures of a log: watch time grouped by duration, fans of users."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svsim.data.distributions import BOX, LAST_MINUTE
from svsim.names import INFLUENCER_FANS
from svsim.report.figures.theme import COLOURS, QUIET, TRUTH

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["fans", "grouping"]

_BOX = {"med": "p50", "q1": "p25", "q3": "p75", "whislo": "p5", "whishi": "p95"}
assert set(_BOX.values()) == set(BOX)


def grouping(table: pd.DataFrame, threshold: float) -> Figure:
    """Watch time by minutes of duration, and the gain within the group: the SASRec4SV paper's figure 4.

    Args:
        table: `svsim.data.distributions.watch_by_minute`.
        threshold: Gains above it are relevant.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 6.0), layout="constrained")
    watch, gain = figure.subplots(2, 1, sharex=True)
    _boxes(watch, table, "watch")
    watch.set(ylabel="watch time in s", title="as logged")
    _boxes(gain, table, "gain")
    # Both axes share their ticks: they are named once.
    names = [f"{minute}{'+' if minute == LAST_MINUTE else ''}" for minute in table["minute"]]
    gain.set_xticks(range(1, len(names) + 1), names)
    gain.set_xlim(0.5, len(names) + 0.5)
    gain.axhline(threshold, color=TRUTH, linewidth=1.2)
    gain.set(xlabel="duration in minutes", ylabel="z-score", title="within the group: relevant above the line")
    return figure


def _boxes(axis: Axes, table: pd.DataFrame, what: str) -> None:
    stats = [{name: row[f"{what}_{column}"] for name, column in _BOX.items()} for row in table.to_dict("records")]
    line = {"color": COLOURS[0]}
    axis.bxp(
        stats, showfliers=False, boxprops=line, whiskerprops=line, capprops=line, medianprops={"color": COLOURS[1]},
        manage_ticks=False,
    )  # fmt: skip
    axis.grid(axis="x", visible=False)


def fans(table: pd.DataFrame, share: float) -> Figure:
    """Users by fans, on a logarithmic axis: the SASRec4SV paper's figure 5.

    Args:
        table: `svsim.data.distributions.fans_histogram`.
        share: Of the users that are influencers.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    axis = figure.subplots()
    # On a logarithmic axis no fans have no place: they stand a bin to the left of one fan.
    low = table["low"].where(table["low"] > 0, 0.5)
    colours = [COLOURS[1] if value >= INFLUENCER_FANS else COLOURS[0] for value in table["low"]]
    axis.bar(
        low, table["users"], width=table["high"] - low, align="edge", color=colours, edgecolor=QUIET, linewidth=0.3
    )
    axis.set_xscale("log")
    axis.axvline(INFLUENCER_FANS, color=TRUTH, linewidth=1.2)
    axis.set(xlabel="fans (left: none)", ylabel="users", title=f"{share:.1%} have {INFLUENCER_FANS:,} fans and more")
    return figure
