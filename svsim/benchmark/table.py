"""A benchmark's results as tables to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from svsim.benchmark.results import Results
from svsim.names import INFLUENCER, NORMAL

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

__all__ = ["render"]


def render(results: Results) -> Group:
    """Engagement and group utilities of every agent, with 95 % intervals; then what is to be known when reading them."""
    from rich.console import Group

    good = [record for record in results.records if "error" not in record]
    parts: list[Any] = [_engagement(good), _groups(good)] if good else []
    parts += [f"failed: {record['agent']}: {record['error']}" for record in results.records if "error" in record]
    if good:
        parts.append(_notes(good))
    return Group(*parts)


def _table(title: str, *columns: str) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    return table


def _engagement(records: list[dict[str, Any]]) -> Table:
    digits = {"wtr": 3, "wtg": 3, "aux": 3, "watch_s": 1, "length": 1}
    digits |= {"distinct_videos": 0, "distinct_authors": 0, "distinct_tags": 0}
    table = _table(
        "Engagement: sums over an episode, mean over episodes",
        "agent", "reward [95 %]", "score [95 %]", "WTR", "WTG", "aux", "watch s", "steps", "videos",
        "authors", "tags",
    )  # fmt: skip
    for record in records:
        metrics = record["metrics"]
        table.add_row(
            _name(record),
            _with_interval(metrics["reward"]),
            _with_interval(metrics["score"]) if "score" in metrics else "–",
            *(_number(metrics[name]["mean"], places) for name, places in digits.items()),
        )
    return table


def _groups(records: list[dict[str, Any]]) -> Table:
    counts = records[0]["groups"]
    table = _table(
        "Utility of user groups: mean over users of their mean reward",
        "agent",
        f"influencers ({counts[INFLUENCER]['users']:,}) [95 %]",
        f"normal ({counts[NORMAL]['users']:,}) [95 %]",
        "gap, normal − influencer [95 %]",
    )
    for record in records:
        utilities = [record["groups"][group]["reward"] for group in (INFLUENCER, NORMAL)]
        table.add_row(_name(record), *map(_with_interval, (*utilities, record["gap"]["reward"])))
    return table


def _name(record: dict[str, Any]) -> str:
    """The agent as typed, without the folders of its file."""
    place, query, options = str(record["agent"]).partition("?")
    name = f"{place.rpartition('/')[2]}{query}{options}"
    return f"{name} *" if record["privileged"] else name


def _with_interval(value: dict[str, float | None], digits: int = 3) -> str:
    if value["mean"] is None:
        return "–"
    if value["low"] is None:
        return _number(value["mean"], digits)
    return f"{value['mean']:.{digits}f} [{value['low']:.{digits}f}, {value['high']:.{digits}f}]".replace("-", "−")


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")


def _notes(records: list[dict[str, Any]]) -> str:
    first = records[0]
    served = f"{first['sessions']:,} sessions"
    if first["skipped_sessions"]:
        served += f" ({first['skipped_sessions']:,} too short to be served)"
    notes = f"{first['env']}: {first['episodes']:,} episodes × {first['seeds']} seeds of {served}."
    notes += " Videos, authors, tags: how many different ones a seed's episodes served."
    if any(record["privileged"] for record in records):
        notes += " * privileged: knows what no observation tells."
    return notes
