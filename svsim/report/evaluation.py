"""What `svsim evaluate` found, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from svsim.report.tables import plain_table

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["evaluation_tables"]

Told = dict[str, Any]
TRIVIAL = "all-negative"
NONE: dict[str, float | None] = {"mean": None, "low": None, "high": None}

SHOWN = {
    "frozen": ("auc", "gauc", "wtg@", "dcwtg@", "f1", "accuracy", "precision", "recall", "ece", "rmse", "xauc"),
    "running": ("auc", "f1", "accuracy", "precision", "recall", "ece", "rmse", "xauc"),
}
LABELS = ("click", "long_view", "wtr>0.5", "wtr_clipped", "wtr", "wtg")


def evaluation_tables(result: Told) -> list[Table]:
    """By protocol: metrics beside the baselines', what SASRec4SV has more than they, and the groups.

    Args:
        result: Of `svsim.models.evaluation.evaluate`, or what `svsim evaluate --out` wrote.
    """
    parts: list[Table] = []
    for protocol, told in result.items():
        parts += [_values(protocol, told), _differences(protocol, told), _groups(protocol, told)]
    return parts


def _rows(protocol: str, told: Told) -> list[tuple[str, str]]:
    """Labels and metrics that are shown, those that have a value."""
    return [
        (label, metric)
        for label in LABELS
        for start in SHOWN[protocol]
        for metric, own in told["labels"].get(label, {}).items()
        if metric.partition("@")[0] == start.rstrip("@") and own["mean"] is not None
    ]


def _values(protocol: str, told: Told) -> Table:
    names = list(told["baselines"])
    table = plain_table(_title(protocol, told), "label", "metric", "SASRec4SV [95 %]", *names, left=(0, 1))
    for label, metric in _rows(protocol, told):
        beside = [told["baselines"][name]["labels"].get(label, {}).get(metric, NONE)["mean"] for name in names]
        table.add_row(label, metric, _interval(told["labels"][label][metric]), *(_four(value) for value in beside))
    return table


def _differences(protocol: str, told: Told) -> Table:
    """What SASRec4SV has more than each baseline, on the same resampled users."""
    names = [name for name in told["baselines"] if name != TRIVIAL]
    title = f"{protocol}: what SASRec4SV has more [95 %], both on the same resampled users"
    table = plain_table(title, "label", "metric", *names, left=(0, 1))
    for label, metric in _rows(protocol, told):
        more = [told["differences"][name].get(label, {}).get(metric, NONE) for name in names]
        table.add_row(label, metric, *(_interval(own, sign="+") for own in more))
    return table


def _groups(protocol: str, told: Told) -> Table:
    columns = ("group", "rows", "label", "accuracy", "all say no", "above it", "f1", "auc")
    groups = plain_table(f"{protocol}, by group of users [95 %]", *columns, left=(0, 2))
    for group, own in told["groups"].items():
        for label in ("wtr>0.5", "click"):
            if label in own["labels"]:
                found, none = own["labels"][label], own.get("all-negative", {}).get(label)
                groups.add_row(
                    group,
                    f"{own['rows']:,}",
                    label,
                    _interval(found["accuracy"]),
                    "" if none is None else f"{none['accuracy']['mean']:.4f}",
                    "" if none is None else _interval(own["difference"][label]["accuracy"]),
                    _interval(found["f1"]),
                    _interval(found["auc"]),
                )
    return groups


def _title(protocol: str, told: Told) -> str:
    what = {
        "frozen": "frozen: history ends where the split begins",
        "running": "running: earlier requests of the same day are history",
    }[protocol]
    return f"{what}; {told['rows']:,} rows, {told['users']:,} users"


def _interval(values: dict[str, float | None], sign: str = "") -> str:
    if values["mean"] is None:
        return ""
    if values["low"] is None or values["high"] is None:
        return f"{values['mean']:{sign}.4f}"
    return f"{values['mean']:{sign}.4f} [{values['low']:{sign}.4f}, {values['high']:{sign}.4f}]"


def _four(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
