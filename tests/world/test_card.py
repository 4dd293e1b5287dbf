"""The card: at `small` nine tenths of what is judged fit, and a log that is not like KuaiRand does not."""

from __future__ import annotations

import json

import pytest

from svsim.cli import main
from svsim.data import FeedStore
from svsim.world import CardRow, preset_store, world_card


@pytest.fixture(scope="module")
def card() -> dict[str, CardRow]:
    return {row.name: row for row in world_card(preset_store("small"))}


def test_nine_tenths_of_the_judged_rows_are_within_tolerance(card: dict[str, CardRow]) -> None:
    judged = [row for row in card.values() if row.judged]
    off = [f"{row.name}: {row.figure:.4g}, expected {row.target:.4g} ± {row.tolerance:.4g}" for row in judged
           if row.verdict == "off"]  # fmt: skip
    assert len(judged) > 90
    assert len(off) <= 0.1 * len(judged), off


def test_the_rates_that_others_build_on_are_within(card: dict[str, CardRow]) -> None:
    for name in ("click, standard", "click, random", "long view, random", "click formula agrees, tab 1",
                 "long view formula agrees, tab 1", "share of tab 1", "request size, mean"):  # fmt: skip
        assert card[name].verdict == "within", card[name]


def test_what_a_small_world_cannot_have_is_not_judged(card: dict[str, CardRow]) -> None:
    assert card["exposures per user p50"].verdict == "not judged: needs a whole month's visits"
    assert card["sessions per user, mean"].verdict == "not judged: needs a whole month's visits"


def test_a_log_unlike_kuairand_fails_with_status_3(store: FeedStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["world", "card", str(store.path), "--json"]) == 3
    printed = capsys.readouterr()
    rows = {row["name"]: row for row in json.loads(printed.out)}
    assert rows["share of tab 0"]["figure"] == 0
    assert "90%" in printed.err


def test_show_tells_which_world_a_store_is_of(capsys: pytest.CaptureFixture[str], store: FeedStore) -> None:
    assert main(["world", "show", str(preset_store("tiny").path)]) == 0
    assert json.loads(capsys.readouterr().out)["users"] == 80
    assert main(["world", "show", str(store.path)]) == 2
    assert "found none" in capsys.readouterr().err
