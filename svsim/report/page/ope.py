"""An off-policy evaluation's part of the page."""

from __future__ import annotations

from typing import Any

from svsim.report.audit import audit_table
from svsim.report.figures.theme import themed, to_svg
from svsim.report.ope import draw_estimators, draw_policies, ope_tables, span_of
from svsim.report.page.contents import Block, Figure, Panels, Section, blocks_of, folded
from svsim.report.tables import short_agent

__all__ = ["ope_section"]


def ope_section(told: dict[str, Any], title: str, name: str) -> Section:
    """Estimates of every policy, the audit that comes before them, and what they are worth.

    Args:
        told: `ope.json`.
        title: Of the evaluation.
        name: Of the section.
    """
    good = [record for record in told["policies"] if "error" not in record]
    parts: list[Section] = []
    if told["audit"] is not None:
        gates, *others, verdict = blocks_of(audit_table(told["audit"]), f"{name}-audit")
        parts.append(Section(f"{name}-audit", "Audit of the log", [gates, verdict, *folded(others)]))
    blocks: list[Block] = []
    if good:
        blocks += [_policies(told, name, len(good)), _estimators(told, good, name)]
    parts.append(Section(f"{name}-estimates", "Estimates", [*blocks, *blocks_of(ope_tables(told), f"{name}-table")]))
    return Section(name, f"Off-policy evaluation: {title}", (), parts)


def _policies(told: dict[str, Any], name: str, policies: int) -> Figure:
    from matplotlib.figure import Figure as Drawing

    with themed():
        figure = Drawing(figsize=(6.4, 1.4 + 0.4 * policies), layout="constrained")
        draw_policies(figure.subplots(), told)
    title = "Doubly robust value of each policy"
    return Figure(title, to_svg(figure, f"{name}-policies", f"{title}. The data stand in the tables below."))


def _estimators(told: dict[str, Any], records: list[dict[str, Any]], name: str) -> Panels:
    from matplotlib.figure import Figure as Drawing

    panels = []
    for number, record in enumerate(records):
        with themed():
            figure = Drawing(figsize=(4.6, 3.8), layout="constrained")
            axis = figure.subplots()
            draw_estimators(axis, told, record)
            axis.set_xlim(*span_of(records))
        title = f"Estimators: {short_agent(record['agent'])}"
        panels.append(
            Figure(title, to_svg(figure, f"{name}-panel-{number}", f"{title}. The data stand in the tables below."))
        )
    return Panels(panels)
