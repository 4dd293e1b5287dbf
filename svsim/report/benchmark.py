"""A benchmark's results as tables to read: on a screen, or as Markdown."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from svsim.benchmark.compare import BenchmarkComparison
from svsim.benchmark.results import Results
from svsim.names import INFLUENCER, NORMAL
from svsim.report.tables import Sheet, as_table, number, plain_table, short_agent, value_and_interval

if TYPE_CHECKING:
    from rich.console import Group

__all__ = ["agent_label", "comparison_table", "conclusion", "in_words", "leaderboard", "notes", "render", "sheets"]

Record = dict[str, Any]
_SIGNALS = {"wtr": 3, "wtg": 3, "aux": 3, "watch_s": 1}
DETAILS = ("groups", "providers")
"""Sheets that are shown on demand."""


def sheets(results: Results) -> list[Sheet]:
    """Engagement, comparison, influencer utility, other groups, providers: a row an agent that did not fail, by reward."""
    good = [record for record in results.records if "error" not in record]
    if not good:
        return []
    good.sort(key=lambda record: -record["metrics"]["reward"]["mean"])
    made = [_engagement(good), _comparison(good), _influencers(good), _other_groups(good), _providers(good)]
    return [sheet for sheet in made if sheet.rows]


def leaderboard(results: Results, *, short: bool = False) -> Sheet:
    """Place, agent, reward, what is told of it, lead over the rail that all are compared with, score, signals.

    Args:
        results: Of a benchmark.
        short: Whether it ends with the lead, so that eighty columns hold it.
    """
    good = sorted(
        (record for record in results.records if "error" not in record),
        key=lambda record: -record["metrics"]["reward"]["mean"],
    )
    against = next((record["comparison"]["against"] for record in good if "comparison" in record), "the rail")
    places, digits = itertools.count(1), 2 if short else 3
    rows = []
    for record in good:
        compared = record.get("comparison")
        row = (
            "–" if record["privileged"] else str(next(places)),
            agent_label(record),
            _with_interval(record["metrics"]["reward"], digits),
            _verdict(record),
            _with_interval(compared, digits) if compared else "–",
        )
        rows.append(row if short else (*row, *_rest(record, compared)))
    columns = ("#", "agent", "reward [95 %]", "verdict", f"to {against} [95 %]")
    title = "Agents by reward; the same users, sessions and candidates for all"
    if short:
        where = {"replay": "Replay-v0", "feed": "Feed-v0"}[results.records[0]["env"]]
        return Sheet("leaderboard", f"{where}: agents by reward, on the same sessions", columns, rows, (1, 3))
    more = ("p", "P(better)", "score [95 %]", "WTR", "WTG", "aux", "watch s")
    return Sheet("leaderboard", title, (*columns, *more), rows, (1, 3))


def _rest(record: Record, compared: Record | None) -> tuple[str, ...]:
    """What a long leaderboard tells beyond a short one."""
    return (
        _p(compared["adjusted_p"]) if compared else "–",
        number(compared["improvement"]["mean"]) if compared else "–",
        _with_interval(record["metrics"].get("score")),
        *(number(record["metrics"][name]["mean"], digits) for name, digits in _SIGNALS.items()),
    )


def in_words(results: Results) -> str:
    """Who did best, by how much, and how sure that is, for a reader who knows none of the terms.

    Args:
        results: Of a benchmark.
    """
    rivals = [record for record in results.records if "error" not in record and not record["privileged"]]
    best = next((record for record in rivals if record["behind"] is None), None)
    if best is None:
        return "no agent was played to the end."
    text = f"{agent_label(best)} did best: {number(best['metrics']['reward']['mean'], 2)} of reward an episode"
    told = best.get("comparison")
    if told is not None:
        text += (
            f", {number(told['mean'], 2)} more than {told['against']} (between {number(told['low'], 2)} and"
            f" {number(told['high'], 2)} with 95 % confidence), and better in {told['improvement']['mean']:.0%} of the same"
            " episodes"
        )
    if best["metrics"].get("score"):
        text += f"; that is {best['metrics']['score']['mean']:.0%} of the way from random choice to the best possible"
    ties = [agent_label(record) for record in rivals if record is not best and record["behind"]["better"] is not False]
    if best["winner"]:
        return f"{text}. It wins: the differences to all other agents are more than chance."
    if not ties:
        return f"{text}."
    return f"{text}. It is no winner: {_listed(ties)} cannot be told apart from it; more episodes or seeds might."


def render(results: Results, *, details: bool = False) -> Group:
    """Tables with 95 % intervals; then what came out, and what is to be known when reading them.

    Args:
        results: Of a benchmark.
        details: Whether other user groups and the providers are shown too.
    """
    from rich.console import Group

    parts: list[Any] = []
    for sheet in sheets(results):
        if sheet.name in DETAILS and not details:
            continue
        parts.append(as_table(sheet))
    parts += [f"failed: {record['agent']}: {record['error']}" for record in results.records if "error" in record]
    parts += [text for text in (conclusion(results), notes(results)) if text]
    return Group(*parts)


def comparison_table(found: BenchmarkComparison, name: str, first: str, second: str) -> Group:
    """Two benchmarks side by side; then what differs between them.

    Args:
        found: The comparison.
        name: Of the benchmark in its suite, or nothing.
        first: What the first one goes by.
        second: The second one.
    """
    from rich.console import Group

    title = f"{f'{name}: ' if name else ''}reward in {first} and {second} [95 %], p by Holm"
    table = plain_table(title, "agent", "first", "second", "second − first", "p", "")
    for record in found.records:
        if "error" in record:
            table.add_row(short_agent(record["agent"]), "–", "–", "–", "–", "failed")
            continue
        difference = record["difference"]
        word = {True: "better", False: "worse", None: "no difference told"}[difference["better"]]
        table.add_row(
            short_agent(record["agent"]),
            *(_with_interval(record[which]) for which in ("first", "second")),
            _with_interval(difference),
            _p(difference["adjusted_p"]),
            word if record["paired"] else f"{word}, unpaired",
        )
    parts: list[Any] = [table]
    parts += [f"failed: {record['agent']}: {record['error']}" for record in found.records if "error" in record]
    if any(not record.get("paired", True) for record in found.records):
        parts.append("Unpaired: no seed and session in common, so both count as independent.")
    for which, names in (("first", found.only_first), ("second", found.only_second)):
        if names:
            parts.append(f"Only in the {which}: {', '.join(map(short_agent, names))}.")
    parts += [
        f"{setting}: {one} in the first, {other} in the second." for setting, (one, other) in found.settings.items()
    ]
    return Group(*parts)


# --- sheets ----------------------------------------------------------------------------------------------------------


def _engagement(records: list[Record]) -> Sheet:
    digits = {**_SIGNALS, "length": 1, "distinct_videos": 0}
    rows = [
        (
            agent_label(record),
            _with_interval(record["metrics"]["reward"]),
            _with_interval(record["metrics"].get("score")),
            *(number(record["metrics"][name]["mean"], places) for name, places in digits.items()),
        )
        for record in records
    ]
    columns = ("agent", "reward [95 %]", "score [95 %]", "WTR", "WTG", "aux", "watch s", "steps", "videos")
    return Sheet("engagement", "Engagement: sums over an episode, mean over episodes", columns, rows)


def _comparison(records: list[Record]) -> Sheet:
    against = next((record["comparison"]["against"] for record in records if "comparison" in record), None)
    count = next((record["slices"]["count"] for record in records if "slices" in record), 0)
    rows = [
        (
            agent_label(record),
            _with_interval(record["slices"]["score"]) if "slices" in record else "–",
            *_compared(record.get("comparison")),
            "–" if record.get("behind") is None else _with_interval(record["behind"]),
            _verdict(record),
        )
        for record in records
        if against is not None
    ]
    title = "Comparison [95 %]: interquartile mean of scores by slice; paired differences in reward, p by Holm"
    columns = ("agent", f"{count} slices", f"to {against}", "p", "P(better)", "to the best", "")
    return Sheet("comparison", title, columns, rows)


def _compared(told: Record | None) -> tuple[str, str, str]:
    if told is None:
        return "–", "–", "–"
    return _with_interval(told), _p(told["adjusted_p"]), _with_interval(told["improvement"])


def _verdict(record: Record) -> str:
    if record["privileged"]:
        return ""
    if record["winner"]:
        return "winner"
    if record["behind"] is None:
        return "best"
    return "" if record["behind"]["better"] is False else "tied"


def _influencers(records: list[Record]) -> Sheet:
    counts = records[0]["groups"]
    rows = [
        (
            agent_label(record),
            *(_with_interval(record["groups"][group]["reward"]) for group in (INFLUENCER, NORMAL)),
            _with_interval(record["gap"]["reward"]),
            _with_interval(record["gap_within_activity"]["reward"]),
        )
        for record in records
    ]
    columns = (
        "agent",
        f"influencers ({counts[INFLUENCER]['users']:,})",
        f"normal ({counts[NORMAL]['users']:,})",
        "gap, normal − influencer",
        "gap, equally active",
    )
    return Sheet("influencers", "Utility: mean over a group's users of their mean reward [95 %]", columns, rows)


def _other_groups(records: list[Record]) -> Sheet:
    groupings = records[0]["groupings"]
    columns = []
    for told in groupings.values():
        levels = list(told["groups"])
        columns.append(f"{levels[-1]} − {levels[0]}")
    rows = [
        (agent_label(record), *(_with_interval(record["groupings"][name]["gap"]["reward"]) for name in groupings))
        for record in records
    ]
    return Sheet("groups", "Gaps between other groups of users [95 %]", ("agent", *columns), rows)


def _providers(records: list[Record]) -> Sheet:
    measures = {
        "coverage": "videos served",
        "author_coverage": "authors served",
        "author_gini": "Gini of authors",
        "author_tail_share": "share of the tail",
    }
    rows = [
        (
            agent_label(record),
            *(number(record["metrics"][name]["mean"], 0) for name in ("distinct_authors", "distinct_tags")),
            *(_with_interval(record["metrics"][name]) for name in measures),
        )
        for record in records
    ]
    columns = ("agent", "authors", "tags", *measures.values())
    return Sheet("providers", "Providers: shares of the pool, exposure of authors [95 %]", columns, rows)


# --- words -----------------------------------------------------------------------------------------------------------


def conclusion(results: Results) -> str | None:
    """Who is best, and from whom it is not told apart; None without agents that play by the rules."""
    rivals = [record for record in results.records if "error" not in record and not record["privileged"]]
    best = next((record for record in rivals if record["behind"] is None), None)
    if best is None:
        return None
    if best["winner"]:
        return f"{agent_label(best)} wins: it is above every other agent, by paired differences with Holm's correction."
    ties = [agent_label(record) for record in rivals if record is not best and record["behind"]["better"] is not False]
    if not ties:
        return f"{agent_label(best)} has no other agent to be compared with."
    return f"No winner: {agent_label(best)} is best, and not told apart from {_listed(ties)}."


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def notes(results: Results) -> str | None:
    """What is to be known when reading the tables; None where every agent failed."""
    records = [record for record in results.records if "error" not in record]
    if not records:
        return None
    first = records[0]
    served = f"{first['sessions']:,} sessions"
    if first["skipped_sessions"]:
        served += f" ({first['skipped_sessions']:,} too short to be served)"
    told = f"{first['env']}: {first['episodes']:,} episodes × {first['seeds']} seeds of {served}."
    told += " Videos, authors, tags: how many different ones a seed's episodes served."
    told += " P(better): of an episode against the same one of the rail. Tied: not told apart from the best."
    if any(record["privileged"] for record in records):
        told += " * privileged: knows what no observation tells."
    return told


def agent_label(record: Record) -> str:
    """What an agent goes by, with a mark if it is privileged."""
    name = short_agent(str(record["agent"]))
    return f"{name} *" if record["privileged"] else name


def _with_interval(told: dict[str, Any] | None, digits: int = 3) -> str:
    if told is None:
        return number(None)
    known = told if told["low"] != told["high"] else {**told, "low": None}
    return value_and_interval({**known, "value": told["mean"]}, digits)


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return "< .001" if value < 0.001 else f"{value:.3f}".lstrip("0")
