"""Trainings' parts of the page: losses by epoch, rewards by steps, calibration cards."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from svsim.report.card import card_panels, card_tables
from svsim.report.figures import curves
from svsim.report.figures.theme import themed, to_svg
from svsim.report.page.contents import Block, Figure, Panels, Section, Table, Words, blocks_of, data_sheet, folded
from svsim.report.page.found import Run
from svsim.report.tables import Sheet

__all__ = ["card_section", "trainings"]

HEADS = {
    "binary": "watched past half, binary loss (figure 6)",
    "wtr": "watch-time ratio (figure 7)",
    "wtg": "watch-time gain",
    "feedback": "feedback flags",
    "watch": "watch time",
    "no_play": "not played",
    "flags": "feedback flags",
    "limits": "thresholds of click and long view",
    "loss": "all together",
}
"""Losses by the name they have in history.csv; the figures are the SASRec4SV paper's."""

SIGNALS, WHICH = ("click", "long_view", "half"), ("logged", "predicted")


def trainings(runs: Sequence[Run], stores: Mapping[str, str]) -> Iterator[tuple[Path, Callable[[], Section]]]:
    """A section a model trained by epochs, one for all runs of stable-baselines3 in one environment and store.

    Args:
        runs: The trainings.
        stores: Names of the stores that are known, by fingerprint.

    Yields:
        Where the training lies, and what makes its section.
    """
    together: dict[tuple[str, str], list[Run]] = {}
    for number, run in enumerate(runs):
        if run.kind == "sb3":
            together.setdefault((str(run.config.get("env")), str(run.config.get("store"))), []).append(run)
        else:
            yield run.place, partial(_losses, run, f"training-{number}")
    for number, ((env, store), own) in enumerate(together.items()):
        title = f"Learning curves: {env} on {stores.get(store, store[:12])}"
        yield own[0].place, partial(_rewards, own, title, f"learning-{number}")


def _losses(run: Run, name: str) -> Section:
    heads = [head for head in HEADS if f"train_{head}" in run.history and f"valid_{head}" in run.history]
    figures = []
    for head in heads:
        with themed():
            drawn = curves.losses(run.history, head)
        data = data_sheet(f"{name}-{head}", run.history[["epoch", f"train_{head}", f"valid_{head}"]])
        title = f"Loss: {HEADS[head]}"
        figures.append(Figure(title, to_svg(drawn, f"{name}-{head}", f"{title}. The data stand below."), data))
    what = {"sasrec4sv": "SASRec4SV", "response": "learned users"}[run.kind]
    return Section(
        name, f"Loss curves: {what}, {run.name}", [Panels(figures), *_configuration(run, f"{name}-settings")]
    )


def _rewards(runs: Sequence[Run], heading: str, name: str) -> Section:
    import pandas as pd

    with themed():
        drawn = curves.rewards({run.name: run.history for run in runs})
    data = data_sheet(name, pd.concat([run.history.assign(run=run.name) for run in runs]))
    title = "Reward of a validation episode while training"
    figure = Figure(title, to_svg(drawn, f"{name}-figure", f"{title}. The data stand below."), data)
    settings: list[Block] = []
    for number, run in enumerate(runs):
        settings += _configuration(run, f"{name}-settings-{number}")
    return Section(name, heading, [figure, *settings])


def _configuration(run: Run, name: str) -> list[Block]:
    rows = [
        (
            part if isinstance(value, dict) else "",
            key,
            json.dumps(inner) if isinstance(inner, dict | list) else str(inner),
        )
        for part, value in run.config.items()
        for key, inner in (value.items() if isinstance(value, dict) else [(part, value)])
    ]
    sheet = Sheet(name, f"Configuration of {run.name}", ("part", "setting", "value"), rows, (0, 1, 2))
    return [Table(sheet, folded=True)]


def card_section(run: Run, name: str) -> Section:
    """A response model's calibration card: panels, gates, and everything else on demand.

    Args:
        run: With a card.
        name: Of the section.
    """
    from matplotlib.figure import Figure as Drawing

    assert run.card is not None, "a run with a card"
    gates, *others = blocks_of(card_tables(run.card), f"{name}-table")
    data = _panel_data(run.card, name)
    panels = []
    for number, (title, draw) in enumerate(card_panels(run.card).items()):
        with themed():
            figure = Drawing(figsize=(4.6, 3.8), layout="constrained")
            draw(figure.subplots())
        svg = to_svg(figure, f"{name}-panel-{number}", f"{title}. The data stand in the tables of this card.")
        panels.append(Figure(title, svg, data.get(title)))
    verdict = "passed" if run.card["passed"] else "did not pass"
    intro = f"How far the learned users can be believed, on the days after their training; the card {verdict}."
    return Section(name, f"Calibration card: {run.name}", [Words(intro), gates, Panels(panels), *folded(others)])


def _panel_data(card: dict[str, Any], name: str) -> dict[str, Sheet]:
    """Of the panels that no table of the card tells, by their titles."""
    import pandas as pd

    bins = card["protocols"]["running"]["all"]["signals"]
    days = [
        {"date": day["date"]} | {f"{signal} {which}": day[signal][which] for signal in SIGNALS for which in WHICH}
        for day in card["days"]
    ]
    return {
        "Reliability: click": data_sheet(f"{name}-click", pd.DataFrame(bins["click"]["bins"])),
        "Reliability: long view": data_sheet(f"{name}-long-view", pd.DataFrame(bins["long_view"]["bins"])),
        "Rates by day": data_sheet(f"{name}-days", pd.DataFrame(days).astype({"date": str})),
    }
