"""An off-policy evaluation as tables and as figures."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svsim.data.atomic import write_file
from svsim.ope.estimates import LITTLE
from svsim.report.tables import number, plain_table, short_agent, value_and_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from rich.table import Table

__all__ = ["FIGURES", "draw_estimators", "draw_policies", "ope_figures", "ope_tables", "span_of"]

Told = dict[str, Any]
FIGURES = ("estimates.png", "policies.png")


def ope_tables(told: Told) -> list[Table | str]:
    """Estimates by policy and estimator, groups, differences, the truth where it is known, and how to read them.

    Args:
        told: `ope.json`.
    """
    log = told["log"]
    good = [record for record in told["policies"] if "error" not in record]
    parts: list[Table | str] = []
    if good:
        parts += [*(_estimates(told, record) for record in good), *_notes(good), _groups(told, good)]
        if any("difference" in record for record in good):
            parts.append(_differences(told, good))
        if "truth" in told:
            parts.append(_judgement("Estimators judged by the truth", told["truth"]["judgement"]))
        elif told["held_out"] is not None:
            halves = told["held_out"]
            title = f"Estimators from one half of the users, judged by {halves['judged_by']} of the other half"
            parts.append(_judgement(title, halves["judgement"]))
            parts.append(f"The judge's own standard error is {number(halves['noise'])}: errors below it are not told.")
    parts += [f"failed: {record['agent']}: {record['error']}" for record in told["policies"] if "error" in record]
    parts.append(
        f"{told['question']}; {log['rows']:,} rows of the {log['log']} log, {log['users']:,} users;"
        f" mean logged {log['reward']} {value_and_interval(log['mean_reward'])}"
    )
    if log["choosable"] is not None:
        parts.append(
            f"Policies choose among what the training split has shown: {100 * log['choosable']:.0f} % of what was retrieved."
        )
    if good:
        parts.append(
            "Intervals of dm, of clipped, switched and shrunk weights (…_slope) and of mips are about these estimators' own"
            " expectation: what they are biased by is not in them."
        )
    if any(own["ess"] < LITTLE for record in good for own in record["estimates"].values()):
        parts.append(f"! fewer than {LITTLE:.0f} effective rows (ESS): not to be relied on")
    return parts


def _level(told: Told) -> str:
    return f"[{100 * told['spec']['level']:g} %]"


def _estimates(told: Told, record: Told) -> Table:
    """One policy's estimates, narrow enough for eighty columns."""
    title = short_agent(record["agent"])
    if "truth" in told:
        title += f": true value {number(told['truth']['values'][record['agent']]['value'])}"
    columns = ("estimator", f"estimate {_level(told)}", "ESS", "matches", "max w", "λ", "value is")
    table = plain_table(title, *columns, left=(0, 6))
    for name, own in record["estimates"].items():
        little = own["value"] is not None and own["ess"] < LITTLE
        constant = own["constant"]
        table.add_row(
            name,
            value_and_interval(own),
            f"{own['ess']:,.0f}{' !' if little else ''}",
            f"{own['matches']:,}",
            f"{own['largest_weight']:.1f}",
            constant if constant is None or isinstance(constant, str) else f"{constant:g}",
            own["label"],
        )
    return table


def _notes(records: list[Told]) -> list[str]:
    """What estimates warn of, but for few effective rows, which have a mark of their own."""
    found: dict[str, list[str]] = {}
    for record in records:
        for name, own in record["estimates"].items():
            for text in own["warnings"]:
                if not text.endswith("effective rows"):
                    found.setdefault(text, []).append(f"{short_agent(record['agent'])} {name}")
    return [f"{text}: {', '.join(names)}" for text, names in found.items()]


def _groups(told: Told, records: list[Told]) -> Table:
    first = records[0]["groups"]
    table = plain_table(
        "Utility of user groups (DR, one-step): mean over users of their mean",
        "policy",
        f"influencers ({first['influencer']['users']:,}) {_level(told)}",
        f"normal ({first['normal']['users']:,}) {_level(told)}",
        f"gap, normal − influencer {_level(told)}",
    )
    for record in records:
        groups = record["groups"]
        table.add_row(
            short_agent(record["agent"]),
            *(value_and_interval(groups[name]) for name in ("influencer", "normal", "gap")),
        )
    return table


def _differences(told: Told, records: list[Told]) -> Table:
    against = next(record["difference"]["against"] for record in records if "difference" in record)
    table = plain_table(
        f"Paired differences to {short_agent(against)} (DR, one-step)",
        "policy", f"difference {_level(told)}", "p", "p by Holm", "verdict",
    )  # fmt: skip
    for record in records:
        own = record.get("difference")
        if own is None or record["agent"] == against:
            continue
        verdict = {True: "better", False: "worse", None: "not told apart"}[own["better"]]
        table.add_row(
            short_agent(record["agent"]), value_and_interval(own), _p(own["p_value"]), _p(own["adjusted_p"]), verdict
        )
    return table


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return "< .001" if value < 0.001 else f"{value:.3f}"


def _judgement(title: str, judgement: dict[str, Told]) -> Table:
    names = {
        "relative_error": "rel. error",
        "spearman": "Spearman",
        "regret@1": "regret@1",
        "type_i": "type I",
        "type_ii": "type II",
        "sharpe@3": "Sharpe@3",
        "coverage": "covered",
    }
    table = plain_table(title, "estimator", *names.values())
    for estimator, own in judgement.items():
        table.add_row(estimator, *(number(own.get(name)) for name in names))
    return table


# --- figures ----------------------------------------------------------------------------------------------------------


def ope_figures(told: Told, folder: Path) -> None:
    """Draw estimates by estimator, a panel a policy, and policies side by side; two PNG files.

    Args:
        told: `ope.json`.
        folder: Where `FIGURES` go.
    """
    good = [record for record in told["policies"] if "error" not in record]
    if not good:
        return
    from matplotlib.figure import Figure

    _save(_by_estimator(told, good), folder / FIGURES[0])
    figure = Figure(figsize=(7, 1.4 + 0.45 * len(good)), layout="constrained")
    draw_policies(figure.subplots(), told)
    _save(figure, folder / FIGURES[1])


def _save(figure: Any, path: Path) -> None:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    write_file(path, content.getvalue())


def _by_estimator(told: Told, records: list[Told]) -> Any:
    from matplotlib.figure import Figure

    columns = min(3, len(records))
    rows = -(-len(records) // columns)
    figure = Figure(figsize=(4.2 * columns, 0.6 + 3.4 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
    for place, (axis, record) in enumerate(zip(axes, records, strict=False)):
        draw_estimators(axis, told, record)
        axis.tick_params(labelbottom=place + columns >= len(records))
    for axis in axes[len(records) :]:
        axis.axis("off")
    axes[0].set_xlim(*span_of(records))
    figure.supxlabel(f"{told['log']['reward']}, one-step (orange: the model's word)", fontsize=9)
    return figure


def span_of(records: list[Told]) -> tuple[float, float]:
    """What the intervals of estimates with enough effective rows span; the others may be cut."""
    every = [own for record in records for own in record["estimates"].values() if own["low"] is not None]
    shown = [own for own in every if own["ess"] >= LITTLE] or every
    if not shown:
        return 0.0, 1.0
    low, high = min(own["low"] for own in shown), max(own["high"] for own in shown)
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin


def draw_policies(axis: Axes, told: Told) -> None:
    """Doubly robust estimates of all policies, the best above; the truth beside them where it is known.

    Args:
        axis: Where.
        told: `ope.json`, with at least one policy that did not fail.
    """
    good = [record for record in told["policies"] if "error" not in record]
    ordered = sorted(good, key=lambda record: record["estimates"]["dr"]["value"] or 0.0)
    _points(axis, [short_agent(r["agent"]) for r in ordered], [r["estimates"]["dr"] for r in ordered])
    if "truth" in told:
        true = [told["truth"]["values"][record["agent"]]["value"] for record in ordered]
        axis.plot(true, range(len(true)), "x", color="C3", label="truth")
        axis.legend(frameon=False, fontsize=8)
    mean = told["log"]["mean_reward"]["value"]
    axis.axvline(mean, color="0.6", linewidth=1, linestyle=":")
    axis.set(xlabel=f"{told['log']['reward']}, one-step; dotted: the log's own mean", title="Doubly robust estimates")


def draw_estimators(axis: Axes, told: Told, record: Told) -> None:
    """One policy's estimates, an estimator a row; the truth where it is known.

    Args:
        axis: Where.
        told: `ope.json`.
        record: The policy's, one that did not fail.
    """
    names = list(record["estimates"])
    _points(axis, names, [record["estimates"][name] for name in names])
    axis.invert_yaxis()
    if "truth" in told:
        axis.axvline(told["truth"]["values"][record["agent"]]["value"], color="C3", linewidth=1, label="truth")
        axis.legend(frameon=False, fontsize=7, loc="lower right")
    axis.set_title(f"{short_agent(record['agent'])}\n{record['ess']:,.0f} effective rows", fontsize=9)


def _points(axis: Axes, names: list[str], records: list[Told]) -> None:
    """Values with their intervals, one below the other."""
    for place, own in enumerate(records):
        if own["value"] is None:
            continue
        colour = "C0" if own.get("label", "one-step") == "one-step" else "C1"
        if own["low"] is not None:
            axis.plot([own["low"], own["high"]], [place, place], color=colour, linewidth=1.5)
        axis.plot(own["value"], place, "o", color=colour, markersize=4)
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.set_ylim(-0.6, len(names) - 0.4)
    axis.grid(axis="x", color="0.92")
