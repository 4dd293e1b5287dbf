"""A benchmark's tables: what a reader is told."""

from __future__ import annotations

import copy
import io

import pytest
from rich.console import Console

from svsim.benchmark import BenchmarkSpec, Results, run
from svsim.data import FeedStore
from svsim.report.benchmark import conclusion, in_words, leaderboard, render, sheets
from svsim.report.tables import as_sheet, as_table, markdown

FAILING = "tests.examples.failing:Nothing"


@pytest.fixture(scope="module")
def results(store: FeedStore) -> Results:
    agents = ("epsilon-greedy", "user-group", FAILING)
    return run(BenchmarkSpec(store=store, agents=agents, split="train", candidates=5, horizon=4, seeds=2))


def printed(results: Results, width: int = 140, **options: bool) -> str:
    text = io.StringIO()
    Console(width=width, file=text, color_system=None).print(render(results, **options))
    return text.getvalue()


def with_behind(results: Results, **better: bool | None) -> Results:
    """The same with other verdicts on who is behind the best, by the agent's name with _ for -."""
    records = copy.deepcopy(results.records)
    for record in records:
        name = record["agent"].replace("-", "_")
        if name in better:
            record["behind"] = None if better[name] is True else {**DIFFERENCE, "better": better[name]}
            record["winner"] = False
    return Results(records, results.episodes, results.steps, results.authors, results.profiles)


DIFFERENCE = {"against": "x", "mean": -1.0, "low": -2.0, "high": 0.0, "p_value": 0.05, "adjusted_p": 0.05}


def test_a_winner_is_named_only_where_the_intervals_say_so(results: Results) -> None:
    ties = with_behind(results, epsilon_greedy=True, user_group=None, random=False, popularity=None)
    assert conclusion(ties) == ("No winner: epsilon-greedy is best, and not told apart from user-group and popularity.")
    clear = with_behind(results, epsilon_greedy=True, user_group=False, random=False, popularity=False)
    clear.records[0]["winner"] = True
    assert conclusion(clear) == (
        "epsilon-greedy wins: it is above every other agent, by paired differences with Holm's correction."
    )


def test_tables_of_a_terminal(results: Results) -> None:
    text = printed(results)
    for words in ("Engagement", "Comparison", "Utility", f"failed: {FAILING}", "oracle *", "2 seeds"):
        assert words in text
    assert "Providers" not in text
    assert "Providers" in printed(results, details=True)


def test_nothing_is_cut_off_at_eighty_columns(results: Results) -> None:
    assert max(map(len, printed(results, width=80).splitlines())) <= 80
    assert "…" not in printed(results, width=80)


def test_markdown_has_a_row_an_agent(results: Results) -> None:
    for sheet in sheets(results):
        lines = markdown(sheet).splitlines()
        assert len(lines) == 2 + len(sheet.rows)
        assert {line.count("|") for line in lines} == {len(sheet.columns) + 1}
    assert [sheet.name for sheet in sheets(results)] == [
        "engagement",
        "comparison",
        "influencers",
        "groups",
        "providers",
    ]


def test_agents_that_all_failed_leave_their_errors(store: FeedStore) -> None:
    failed = run(BenchmarkSpec(store=store, agents=(FAILING,), rails=False, split="train", seeds=1, candidates=5))
    assert sheets(failed) == []
    assert conclusion(failed) is None
    assert f"failed: {FAILING}" in printed(failed)


@pytest.mark.parametrize(
    ("agent", "told"),
    [
        ("mine/agents.py:Mine", "agents.py:Mine"),
        ("ppo?run=runs/replay-ppo", "replay-ppo"),
        ("sasrec4sv?run=a/b/plain-{seed}&head=wtr", "plain-{seed}?head=wtr"),
        ("mmr?diversity=0.5&of=sasrec4sv?run=a/b/plain", "mmr?diversity=0.5&of=sasrec4sv?run=plain"),
    ],
)
def test_agents_go_by_short_names(results: Results, agent: str, told: str) -> None:
    record = {**results.records[0], "agent": agent}
    found = sheets(Results([record], results.episodes, results.steps, results.authors, results.profiles))
    assert found[0].rows[0][0] == told


def test_words_for_a_newcomer_say_who_by_how_much_and_how_sure(results: Results) -> None:
    ties = with_behind(results, epsilon_greedy=True, user_group=None, random=False, popularity=False)
    told = next(record["comparison"] for record in ties.records if record["agent"] == "epsilon-greedy")
    text = in_words(ties)
    assert text.startswith("epsilon-greedy did best: ")
    assert f"{told['mean']:.2f} more than {told['against']}".replace("-", "−") in text
    assert f"{told['improvement']['mean']:.0%} of the same episodes" in text
    assert "no winner: user-group cannot be told apart" in text
    clear = with_behind(results, epsilon_greedy=True, user_group=False, random=False, popularity=False)
    clear.records[0]["winner"] = True
    assert in_words(clear).endswith("It wins: the differences to all other agents are more than chance.")


def test_a_leaderboard_counts_those_who_play_by_the_rules(results: Results) -> None:
    for short in (False, True):
        sheet = leaderboard(results, short=short)
        places = {row[1]: row[0] for row in sheet.rows}
        assert places["oracle *"] == "–"
        assert sorted(place for place in places.values() if place != "–") == ["1", "2", "3", "4"]
    text = io.StringIO()
    Console(width=80, file=text, color_system=None).print(as_table(sheet))
    assert max(map(len, text.getvalue().splitlines())) <= 80
    assert "[" in text.getvalue()


def test_a_table_of_the_screen_is_the_same_on_a_page(results: Results) -> None:
    for sheet in sheets(results):
        again = as_sheet(as_table(sheet), sheet.name)
        assert (again.title, again.columns, list(again.rows)) == (sheet.title, sheet.columns, list(sheet.rows))
