"""What `svsim evaluate` found, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from svsim.report.tables import plain_table

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["evaluation_tables"]

SHOWN = {
    "frozen": ("auc", "gauc", "wtg@", "dcwtg@", "f1", "accuracy", "precision", "recall", "ece", "rmse", "xauc"),
    "running": ("auc", "f1", "accuracy", "precision", "recall", "ece", "rmse", "xauc"),
}
LABELS = ("click", "long_view", "wtr>0.5", "wtr_clipped", "wtr", "wtg")


def evaluation_tables(result: dict[str, Any]) -> list[Table | str]:
    """By protocol: metrics beside the baselines', a sentence on how to read them, and the groups.

    Args:
        result: Of `svsim.models.evaluation.evaluate`, or what `svsim evaluate --out` wrote.
    """
    parts: list[Table | str] = []
    for protocol, told in result.items():
        names = list(told["baselines"])
        table = plain_table(_title(protocol, told), "label", "metric", "SASRec4SV [95 %]", *names, left=(0, 1))
        for label in LABELS:
            metrics = told["labels"].get(label, {})
            shown = [
                name for start in SHOWN[protocol] for name in metrics if name.partition("@")[0] == start.rstrip("@")
            ]
            for metric in shown:
                if metrics[metric]["mean"] is not None:
                    beside = [_beside(told, name, label, metric) for name in names]
                    table.add_row(label, metric, _interval(metrics[metric]), *beside)
        parts += [
            table,
            "of baselines: their value, and what SASRec4SV has more [95 %], both on the same resampled users",
        ]
        parts.append(_groups(protocol, told))
    return parts


def _groups(protocol: str, told: dict[str, Any]) -> Table:
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


def _title(protocol: str, told: dict[str, Any]) -> str:
    what = {
        "frozen": "frozen: history ends where the split begins",
        "running": "running: earlier requests of the same day are history",
    }[protocol]
    return f"{what}; {told['rows']:,} rows, {told['users']:,} users"


def _interval(values: dict[str, float | None]) -> str:
    if values["mean"] is None:
        return ""
    if values["low"] is None or values["high"] is None:
        return f"{values['mean']:.4f}"
    return f"{values['mean']:.4f} [{values['low']:.4f}, {values['high']:.4f}]"


def _beside(told: dict[str, Any], name: str, label: str, metric: str) -> str:
    values = told["baselines"][name]["labels"].get(label, {}).get(metric)
    if values is None or values["mean"] is None:
        return ""
    more = told["differences"][name][label][metric]
    if more["low"] is None or more["high"] is None:
        return f"{values['mean']:.4f}"
    return f"{values['mean']:.4f} {more['mean']:+.4f} [{more['low']:+.4f}, {more['high']:+.4f}]"
