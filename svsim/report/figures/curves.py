"""Figures of trainings: losses by epoch, rewards by steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from svsim.report.figures.theme import COLOURS, LINES, MARKERS, integer_axis

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["losses", "rewards"]


def losses(history: pd.DataFrame, head: str) -> Figure:
    """A head's loss on the training and the validation split, by epoch.

    Args:
        history: With `epoch`, `train_HEAD`, `valid_HEAD`.
        head: Which.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 3.3), layout="constrained")
    axis = figure.subplots()
    for place, (part, name) in enumerate((("train", "training"), ("valid", "validation"))):
        axis.plot(
            history["epoch"], history[f"{part}_{head}"],
            color=COLOURS[place], linestyle=LINES[place], marker=MARKERS[place], label=name,
        )  # fmt: skip
    axis.set(xlabel="epoch", ylabel="loss")
    integer_axis(axis)
    axis.legend()
    return figure


def rewards(histories: Mapping[str, pd.DataFrame]) -> Figure:
    """Mean reward of validation episodes by environment steps, a line a run.

    Args:
        histories: By the run's name, with `timesteps` and `valid_reward`.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axis = figure.subplots()
    for place, (name, history) in enumerate(histories.items()):
        number = place % len(COLOURS)
        axis.plot(
            history["timesteps"], history["valid_reward"], color=COLOURS[number],
            linestyle=LINES[(number + place // len(COLOURS)) % len(LINES)], marker=MARKERS[number], label=name,
        )  # fmt: skip
    axis.set(xlabel="environment steps", ylabel="reward of a validation episode")
    axis.xaxis.set_major_formatter("{x:,.0f}")
    figure.legend(loc="outside lower left", ncols=2)
    return figure
