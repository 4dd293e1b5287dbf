"""A store's description as tables to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from svsim.data.describe import Description
from svsim.names import CLICK, COMMENT, FOLLOW, FORWARD, HATE, LIKE, LONG_VIEW

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

__all__ = ["render"]

_SHOWN = {
    CLICK: "click",
    LONG_VIEW: "long",
    LIKE: "like",
    COMMENT: "cmt",
    FORWARD: "fwd",
    FOLLOW: "fol",
    HATE: "hate",
}
"""Feedback signals with heads that fit a terminal of 80 columns."""


def render(description: Description) -> Group:
    """Counts, rates, watch-time gain by duration, sessions, drops: one table each."""
    from rich.console import Group

    return Group(
        _counts(description),
        "",
        _rates(description.rates),
        "",
        _quantiles(description.quantiles),
        "",
        _gain(description.wtg),
        "",
        _sessions(description.sessions),
        "",
        _origin(description),
    )


def _table(title: str, *columns: str) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    # Without edges the rates of a log of 300 million rows still fit 80 columns.
    table = Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0)
    )
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    return table


def _counts(description: Description) -> str:
    counts = description.counts
    lines = [
        f"{counts['events']:,} events on {counts['days']:,} days",
        f"{counts['users']:,} users ({counts['influencer']:,} influencers), {counts['videos']:,} videos of"
        f" {counts['authors']:,} authors",
    ]
    for name, split in description.splits.items():
        lines.append(
            f"{name:6}{split['from']} to {split['until']}: {split['events']:,} events, {split['users']:,} users,"
            f" {split['videos']:,} videos"
        )
    return "\n".join(lines)


def _rates(rates: dict[str, Any]) -> Table:
    title = "Feedback in %, mean play time in seconds, mean watch-time ratio"
    table = _table(title, "", "events", *_SHOWN.values(), "play", "WTR")
    _add_rates(table, "all", rates["all"])
    for kind in ("splits", "groups", "tabs"):
        for number, (name, row) in enumerate(rates[kind].items()):
            label = f"tab {name}" if kind == "tabs" else name
            _add_rates(table, label, row, first=number == 0)
    return table


def _add_rates(table: Table, label: str, row: dict[str, Any], first: bool = False) -> None:
    if first:
        table.add_section()
    decimals = {CLICK: 1, LONG_VIEW: 1}
    shares = (f"{100 * row[name]:.{decimals.get(name, 2)}f}" if row["events"] else "–" for name in _SHOWN)
    means = (f"{row['play_s']:.1f}", f"{row['wtr']:.3f}") if row["events"] else ("–", "–")
    table.add_row(label, f"{row['events']:,}", *shares, *means)


def _quantiles(quantiles: dict[str, dict[str, float]]) -> Table:
    names = {"play_s": "play time, s", "duration_s": "duration, s", "wtr": "watch-time ratio"}
    table = _table("Quantiles", "", *(next(iter(quantiles.values())) if quantiles else ()))
    for key, row in quantiles.items():
        table.add_row(names[key], *(f"{value:.3f}" if key == "wtr" else f"{value:.1f}" for value in row.values()))
    return table


def _gain(wtg: dict[str, Any]) -> Table:
    fitted = "the training split" if wtg["fitted_on"] == "train" else "all rows"
    table = _table(
        f"Plays called relevant by watch-time gain, fitted on {fitted}", "duration s", "plays", "paper", "dvr", "rank"
    )
    for bucket in wtg["buckets"]:
        label = f"≤ {bucket['up_to_s']}" if bucket["up_to_s"] else "more"
        shares = ("–" if bucket[name] is None else f"{bucket[name]:.3f}" for name in ("paper", "dvr", "rank"))
        table.add_row(label, f"{bucket['plays']:,}", *shares)
    return table


def _sessions(sessions: dict[str, dict[str, dict[str, float]]]) -> Table:
    table = _table("Sessions", "split", "gap, minutes", "sessions", "mean length", "p50", "p90", "≥ 5", "≥ 10", "≥ 20")
    for split, by_gap in sessions.items():
        for gap, row in by_gap.items():
            counts = (f"{row[f'at_least_{size}']:,}" for size in (5, 10, 20))
            lengths = (f"{row['mean_length']:.1f}", f"{row['p50']:g}", f"{row['p90']:g}")
            table.add_row(split, gap, f"{row['sessions']:,}", *lengths, *counts)
    return table


def _origin(description: Description) -> str:
    rows = description.rows
    lines = [f"read {rows['read']:,} log rows, kept {rows['kept']:,}"]
    lines += [f"  dropped {count:,}: {reason}" for reason, count in rows["dropped"].items()]
    if description.store["missing"]:
        lines.append(f"not among the sources: {', '.join(description.store['missing'])}")
    lines.append(f"fingerprint {description.store['fingerprint']}")
    return "\n".join(lines)
