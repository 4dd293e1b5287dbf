"""`svsim evaluate`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tyro.conf import Positional

from svsim.cli.output import console, print_json

__all__ = ["Evaluate"]

SHOWN = {
    "frozen": ("auc", "gauc", "wtg@", "dcwtg@", "f1", "accuracy", "precision", "recall", "ece", "rmse", "xauc"),
    "running": ("auc", "f1", "accuracy", "precision", "recall", "ece", "rmse", "xauc"),
}
LABELS = ("click", "long_view", "wtr>0.5", "wtr_clipped", "wtr", "wtg")


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Score a run on held-out rows, under both protocols, beside baselines refitted on the same training rows."""

    run_folder: Positional[Path]
    """Folder of the run."""
    store: str
    """The store that it was trained on."""
    split: Literal["valid", "test"] = "test"
    """What is scored."""
    k: int = 3
    """Places of WTG@k and DCWTG@k; users with more rows than that count."""
    resamples: int = 200
    """Of the bootstrap over users."""
    seed: int = 0
    """Of the resamples and of boosting."""
    groups: Literal["influencer", "activity", "history", "register", "author"] = "influencer"
    """How users are told apart in the table of groups: by fans, activity, training rows, days since registration, or whether
    they upload videos."""
    out: Path | None = None
    """A file for the JSON document."""
    json: bool = False
    """Print the result as one JSON document."""

    def run(self) -> None:
        """Evaluate and print."""
        from svsim.data.atomic import as_output_error, write_file
        from svsim.errors import OptionError
        from svsim.models.checkpoints import load_run
        from svsim.models.evaluation import evaluate
        from svsim.world import find_store

        if self.k < 1:
            raise OptionError(f"expected at least 1, found {self.k}", where="--k")
        if self.resamples < 20:
            raise OptionError(f"expected at least 20 resamples, found {self.resamples}", where="--resamples")
        result = evaluate(
            load_run(self.run_folder),
            find_store(self.store),
            split=self.split,
            resamples=self.resamples,
            seed=self.seed,
            k=self.k,
            groups=self.groups,
        )
        if self.out is not None:
            with as_output_error(self.out):
                self.out.parent.mkdir(parents=True, exist_ok=True)
                write_file(self.out, (json.dumps(result, indent=1) + "\n").encode())
        if self.json:
            print_json(result)
        else:
            _print(result)


def _print(result: dict[str, Any]) -> None:
    from rich.table import Table

    screen = console()
    for protocol, told in result.items():
        names = list(told["baselines"])
        table = Table("label", "metric", "SASRec4SV [95 %]", *names, title=_title(protocol, told), box=None)
        for label in LABELS:
            metrics = told["labels"].get(label, {})
            shown = [
                name for start in SHOWN[protocol] for name in metrics if name.partition("@")[0] == start.rstrip("@")
            ]
            for metric in shown:
                if metrics[metric]["mean"] is not None:
                    beside = [_beside(told, name, label, metric) for name in names]
                    table.add_row(label, metric, _interval(metrics[metric]), *beside)
        screen.print(table)
        screen.print(
            "of baselines: their value, and what SASRec4SV has more [95 %], both on the same resampled users\n"
        )
        groups = Table("group", "rows", "label", "accuracy", "all say no", "above it", "f1", "auc", box=None)
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
        screen.print(groups)


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
