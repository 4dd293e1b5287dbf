"""A response model's calibration card as tables and as a figure."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svsim.data.atomic import write_file
from svsim.report.tables import plain_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from rich.table import Table

__all__ = ["card_figure", "card_panels", "card_tables"]

Told = dict[str, Any]
TITLES = {"click": "click", "long_view": "long view", "half": "WTR > 0.5"}
QUANTILES = ("p10", "p25", "p50", "p75", "p90", "p95")
SHOWN = {"svsim.benchmark.policy_test:FeaturePolicy?feature=": "by ", "&sign=-1": ", least first"}


def card_tables(card: Told) -> list[Table | str]:
    """The gates, the signals by protocol and log, watch times, leaving, policies."""
    parts: list[Table | str] = [_gates(card), _signals(card)]
    if "truth" in card:
        parts.append(_truth(card))
    if card["watch_s"]:
        parts.append(_watch(card))
    parts += _sessions(card["sessions"])
    if "policies" in card:
        parts += _policies(card["policies"])
    judged = [gate for gate in card["gates"] if not gate["verdict"].startswith("not judged")]
    passed = sum(gate["verdict"] == "passed" for gate in judged)
    marked = "; accepted all the same (--accept-bad-card)" if card.get("accepted") else ""
    parts.append(
        f"{passed} of {len(judged)} judged gates passed, {len(card['gates']) - len(judged)} not judged{marked}"
    )
    return parts


def _gates(card: Told) -> Table:
    dates = card["dates"]
    table = plain_table(
        f"Calibration card, {dates[0]} to {dates[-1]}", "gate", "value", "limit", "n", "verdict", left=(0, 4)
    )
    for gate in card["gates"]:
        table.add_row(gate["name"], _number(gate["value"]), _number(gate["limit"]), f"{gate['n']:,}", gate["verdict"])
    return table


def _signals(card: Told) -> Table:
    columns = (
        "protocol, log",
        "signal",
        "logged",
        "predicted",
        "AUC",
        "GAUC",
        "rates' AUC",
        "log loss",
        "ECE",
        "by chance",
    )
    table = plain_table("Signals on the days after training", *columns)
    for protocol, logs in card["protocols"].items():
        for log, own in logs.items():
            for name, signal in own["signals"].items():
                values = [signal.get(key) for key in ("auc", "gauc", "auc_rates", "log_loss", "ece", "ece_by_chance")]
                rates = (f"{signal[key]:.4f}" for key in ("logged", "predicted"))
                where = f"{protocol}, {'both logs' if log == 'all' and len(logs) > 1 else log}"
                table.add_row(where, TITLES.get(name, name), *rates, *map(_number, values))
    return table


def _truth(card: Told) -> Table:
    columns = ("log", "signal", "model's AUC", "truth's AUC", "model's log loss", "truth's", "correlation", "RMSE")
    table = plain_table("Beside the truth of the world, same rows, running", *columns)
    for log, signals in card["truth"].items():
        for name, true in signals.items():
            own = card["protocols"]["running"][log]["signals"][name]
            values = (own["auc"], true["auc"], own["log_loss"], true["log_loss"], true["correlation"], true["rmse"])
            table.add_row("both logs" if log == "all" else log, TITLES.get(name, name), *map(_number, values))
    return table


def _watch(card: Told) -> Table:
    table = plain_table("Watch time in seconds by duration: logged / model", "duration", "n", *QUANTILES)
    for row in card["watch_s"]:
        cells = [f"{a:.1f} / {b:.1f}" for a, b in zip(row["logged"], row["model"], strict=True)]
        table.add_row(row["duration"], f"{row['n']:,}", *cells)
    return table


def _sessions(told: Told) -> list[Table | str]:
    coefficients = plain_table(f"Leaving: {told['formula']}", "f", "β (leaving)", "γ (gap)")
    for name, own in told["coefficients"].items():
        coefficients.add_row(name.replace("_", " "), f"{own['leave']:+.3f}", f"{own['gap']:+.3f}")
    coefficients.add_row("σ", "", f"{told['gap_sd']:.3f}")
    lengths = plain_table("Sessions", "", "n", "mean", "p10", "p25", "p50", "p75", "p90")
    for name, key, own in (
        ("length in videos", "length", told["length"]),
        ("gap in hours, training days", "gap_h", told.get("gap_h")),
    ):
        for source in ("logged", "model"):
            if own is None or source not in own:
                continue
            values = own[source].get("quantiles", own[source]) if key == "length" else own[source]
            mean = own[source].get("mean") if key == "length" else None
            n = own[source].get("n", own["n"]) if key == "length" else None
            shown = (f"{v:.1f}" for v in values.values())
            lengths.add_row(f"{name}, {source}", "" if n is None else f"{n:,}", _number(mean, 1), *shown)
    hazard = told["hazard"]
    groups = plain_table("P(leave) by tenths of the predicted", "", *(str(i + 1) for i in range(len(hazard["groups"]))))
    for name in ("predicted", "logged"):
        groups.add_row(name, *(f"{group[name]:.4f}" for group in hazard["groups"]))
    return [coefficients, lengths, groups]


def _policies(told: Told) -> list[Table | str]:
    environments = list(next(iter(told["values"].values())))
    table = plain_table("Policies: reward of an episode [95 %]; of a step", "policy", *environments)
    for policy, own in told["values"].items():
        table.add_row(short_name(policy), *(_value(own[where]) for where in environments))
    lines: list[Table | str] = [table]
    for where, ranking in told["rankings"].items():
        lines.append(
            f"{where} against {ranking['against']}, {ranking['policies']} policies: Kendall's τ"
            f" {ranking['episode']['kendall_tau']:.2f} by episode, {ranking['step']['kendall_tau']:.2f} by step; regret of"
            f" its winner {ranking['episode']['regret']:.3f} and {ranking['step']['regret']:.3f}"
        )
    return lines


def short_name(policy: str) -> str:
    """A policy's name without its module."""
    for long, short in SHOWN.items():
        policy = policy.replace(long, short)
    return policy


def _value(own: Told) -> str:
    if own["low"] is None:
        return f"{own['mean']:.2f}; {own['by_step']:.3f}"
    return f"{own['mean']:.2f} [{own['low']:.2f}, {own['high']:.2f}]; {own['by_step']:.3f}"


def _number(value: float | None, digits: int = 4) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def card_figure(card: Told, path: Path) -> None:
    """Draw the card: reliability of click and long view, rates by day, watch times, leaving, policies.

    Args:
        card: `card.json`.
        path: A PNG file.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7.5), layout="constrained")
    axes = figure.subplots(2, 3).ravel()
    panels = card_panels(card)
    for axis, draw in zip(axes, panels.values(), strict=False):
        draw(axis)
    for axis in axes[len(panels) :]:
        axis.axis("off")
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    write_file(path, content.getvalue())


def card_panels(card: Told) -> dict[str, Callable[[Axes], None]]:
    """What each panel of the card shows, and the function that draws it.

    Args:
        card: `card.json`.
    """
    panels: dict[str, Callable[[Axes], None]] = {
        "Reliability: click": partial(_reliability, card=card, name="click"),
        "Reliability: long view": partial(_reliability, card=card, name="long_view"),
        "Rates by day": partial(_days, card=card),
        "Watch time by quantiles": partial(_watch_figure, card=card),
        "Leaving": partial(_hazard, card=card),
    }
    if "policies" in card:
        panels["Policies in the simulation and judged"] = partial(_scatter, told=card["policies"])
    return panels


def _reliability(axis: Axes, card: Told, name: str) -> None:
    axis.plot([0, 1], [0, 1], color="0.6", linewidth=1)
    for log, marker in (("all", "o"), ("random", "s")):
        own = card["protocols"]["running"].get(log)
        if own is not None:
            bins = own["signals"][name]["bins"]
            label = "both logs" if log == "all" and "random" in card["protocols"]["running"] else f"{log} log"
            label = "the log" if label == "all log" else label
            axis.plot([b["predicted"] for b in bins], [b["logged"] for b in bins], marker, markersize=4, label=label)
    axis.set(title=f"{TITLES[name]}: 15 bins", xlabel="predicted", ylabel="logged")
    axis.legend(frameon=False)


def _days(axis: Axes, card: Told) -> None:
    days = [str(day["date"])[4:] for day in card["days"]]
    for name, colour in (("click", "C0"), ("long_view", "C1"), ("half", "C2")):
        axis.plot(days, [day[name]["logged"] for day in card["days"]], "o-", color=colour, label=TITLES[name])
        axis.plot(days, [day[name]["predicted"] for day in card["days"]], "x--", color=colour)
    axis.set(title="rates by day: logged ●, predicted ×", ylim=(0, None))
    axis.legend(frameon=False)


def _watch_figure(axis: Axes, card: Told) -> None:
    for number, row in enumerate(card["watch_s"]):
        logged, model = ([max(v, 0.1) for v in row[name]] for name in ("logged", "model"))
        axis.plot(logged, model, "o", markersize=4, color=f"C{number}", label=row["duration"])
    axis.plot([0.1, 300], [0.1, 300], color="0.6", linewidth=1)
    axis.set(title="watch time, p10 to p95, s", xlabel="logged", ylabel="model", xscale="log", yscale="log")
    if card["watch_s"]:
        axis.legend(frameon=False, fontsize=7)


def _hazard(axis: Axes, card: Told) -> None:
    groups = card["sessions"]["hazard"]["groups"]
    axis.plot([g["predicted"] for g in groups], [g["logged"] for g in groups], "o", markersize=4)
    high = max(max(g["predicted"], g["logged"]) for g in groups)
    axis.plot([0, high], [0, high], color="0.6", linewidth=1)
    axis.set(title="P(leave) by tenths", xlabel="predicted", ylabel="logged")


def _scatter(axis: Axes, told: Told) -> None:
    judge = next(iter(told["rankings"].values()))["against"]
    points = sorted(
        (own[judge]["by_step"], own["learned"]["by_step"], short_name(name)) for name, own in told["values"].items()
    )
    middle = (points[0][0] + points[-1][0]) / 2
    for number, (x, y, name) in enumerate(points):
        axis.plot(x, y, "o", markersize=4, color="C0")
        # Names stand inside, and those of neighbours on different sides.
        right, up = x > middle, number % 2
        axis.annotate(name, (x, y), fontsize=6, xytext=(-5 if right else 5, 3 if up else -7), textcoords="offset points",
                      ha="right" if right else "left")  # fmt: skip
    tau = told["rankings"]["learned"]["step"]["kendall_tau"]
    axis.set(title=f"policies, reward a step: τ = {tau:.2f}", xlabel=judge, ylabel="learned simulation")
