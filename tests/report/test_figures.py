"""Figures within a page: they follow its colours, share no name, and are the same twice."""

from __future__ import annotations

import re

import pandas as pd
from matplotlib.figure import Figure

from svsim.report.figures.curves import losses
from svsim.report.figures.data import fans, grouping
from svsim.report.figures.theme import COLOURS, INK, themed, to_svg

HISTORY = pd.DataFrame({"epoch": [1.0, 2.0], "train_wtr": [0.5, 0.4], "valid_wtr": [0.45, 0.41]})


def drawn() -> Figure:
    with themed():
        return losses(HISTORY, "wtr")


def test_colours_are_the_page_s() -> None:
    svg = to_svg(drawn(), "one", "a figure")
    for colour in (*COLOURS, INK):
        assert colour not in svg
    assert {"var(--c1)", "var(--c2)", "var(--ink)", "var(--grid)"} <= set(re.findall(r"var\(--\w+\)", svg))


def test_names_are_the_figure_s_own() -> None:
    one, two = (to_svg(drawn(), name, "a figure") for name in ("one", "two"))
    ids = [set(re.findall(r'\bid="([^"]*)"', svg)) for svg in (one, two)]
    assert ids[0]
    assert not ids[0] & ids[1]
    assert set(re.findall(r"url\(#([^)]*)\)", one)) <= ids[0]
    assert to_svg(drawn(), "one", "a figure") == one
    assert 'aria-label="5 &lt; 6"' in to_svg(drawn(), "one", "5 < 6")


def test_what_is_drawn_is_what_was_said() -> None:
    (axis,) = drawn().axes
    assert [list(line.get_ydata()) for line in axis.lines] == [[0.5, 0.4], [0.45, 0.41]]
    histogram = pd.DataFrame({"low": [0, 1, 1_000], "high": [1, 1_000, 2_000], "users": [3, 2, 1]})
    (axis,) = fans(histogram, 1 / 6).axes
    assert [bar.get_height() for bar in axis.patches] == [3, 2, 1]
    assert "16.7%" in axis.get_title()
    row = {f"{what}_{name}": float(place) for what in ("watch", "gain") for place, name in
           enumerate(("p5", "p25", "p50", "p75", "p95"))}  # fmt: skip
    watch, gain = grouping(pd.DataFrame([{"minute": 0, **row}, {"minute": 6, **row}]), 1.0).axes
    assert [label.get_text() for label in gain.get_xticklabels()] == ["0", "6+"]
    assert len(watch.lines) == len(gain.lines) - 1, "the threshold is drawn once"
