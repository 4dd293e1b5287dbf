"""What figures look like, and how they become SVG that stands inside a page."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "INK", "LINES", "MARKERS", "QUIET", "TRUTH", "integer_axis", "themed", "to_svg"]

COLOURS = ("#0b62b0", "#b8520a", "#0a7a56", "#b3267a", "#6d4fc2", "#7a6400", "#4a6472")
"""In a picture as they are; within a page they become its variables `--c1` to `--c7`, which are lighter in the dark."""
INK, QUIET, GRID = "#1b1d21", "#5d636d", "#e4e5e8"
TRUTH = COLOURS[3]
"""What is true, a limit, a threshold."""
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P")
"""So that no series is told by its colour alone."""

_VARIABLES = {colour: f"var(--c{number})" for number, colour in enumerate(COLOURS, start=1)}
_VARIABLES |= {INK: "var(--ink)", QUIET: "var(--quiet)", GRID: "var(--grid)"}
# Greys by which figures that are also written as PNG files name the same things.
_VARIABLES |= {"#999999": "var(--quiet)", "#ebebeb": "var(--grid)", "#000000": "var(--ink)"}
_HEX = re.compile("|".join(_VARIABLES))
_ID = re.compile(r'\b(id="|href="#|url\(#)')


@contextlib.contextmanager
def themed() -> Iterator[None]:
    """Draw in the page's colours, sizes and fonts within this block."""
    import matplotlib as mpl
    from cycler import cycler

    with mpl.rc_context(
        {
            "axes.prop_cycle": cycler(color=COLOURS),
            "axes.edgecolor": QUIET,
            "axes.labelcolor": INK,
            "axes.spines.right": False,
            "axes.spines.top": False,
            "axes.titlecolor": INK,
            "axes.titlelocation": "left",
            "axes.titlesize": 10.5,
            "axes.grid": True,
            "axes.axisbelow": True,
            "axes.unicode_minus": True,
            "figure.facecolor": "none",
            "axes.facecolor": "none",
            "font.family": ["sans-serif"],
            "font.size": 10,
            "grid.color": GRID,
            "grid.linewidth": 0.7,
            "legend.frameon": False,
            "legend.fontsize": 9,
            "lines.linewidth": 1.8,
            "lines.markersize": 4.5,
            "savefig.facecolor": "none",
            "svg.fonttype": "none",
            "svg.hashsalt": "svsim",
            "text.color": INK,
            "xtick.color": QUIET,
            "xtick.labelcolor": INK,
            "ytick.color": QUIET,
            "ytick.labelcolor": INK,
        }
    ):
        yield


def to_svg(figure: Figure, name: str, label: str) -> str:
    """A figure as an SVG element; the same figure gives the same bytes.

    Args:
        figure: Drawn within `themed`.
        name: Of the figure, once on a page: what it defines is called by it.
        label: What a reader who does not see it is told.
    """
    content = io.StringIO()
    with themed():
        figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = content.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = _HEX.sub(lambda found: _VARIABLES[found[0]], text)
    text = _ID.sub(rf"\g<1>{name}-", text)
    head, rest = text.split(">", 1)
    size = re.search(r'viewBox="0 0 ([\d.]+)', head)
    assert size is not None, "matplotlib writes a viewBox"
    head = re.sub(r' (width|height|version|xmlns:xlink|xmlns)="[^"]*"', "", head)
    width = round(float(size[1]) * 4 / 3)
    return f'{head} role="img" aria-label="{escape(label)}" style="width:{width}px">{rest}'.replace(
        "xlink:href", "href"
    )


def integer_axis(axis: Axes) -> None:
    """Whole numbers along x."""
    from matplotlib.ticker import MaxNLocator

    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
