"""Cards as tables and as a figure: at 80 columns, of large logs and of small ones, with and without policies."""

from __future__ import annotations

import copy
import io
import struct
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from svsim.data import FeedStore
from svsim.models.response.runs import load_response
from svsim.report.card import card_figure, card_tables, short_name
from svsim.response.card import make_card
from svsim.world import preset_store
from tests.models.response.stores import trained

Told = dict[str, Any]
FEATURE = "svsim.benchmark.policy_test:FeaturePolicy?feature="


def policies() -> Told:
    """What a policy test tells, of three policies."""
    values: Told = {}
    for number, name in enumerate(("random", "popularity", FEATURE + "log_duration&sign=-1")):
        own = {
            "mean": 10.0 + number,
            "low": 9.5 + number,
            "high": 10.5 + number,
            "by_step": 0.4 + number / 10,
            "length": 25.0,
        }
        values[name] = {"learned": own, "truth": {**own, "mean": 12.0}, "replay": {**own, "low": None, "high": None}}
    ranking = {"kendall_tau": 0.87, "regret": 0.125}
    entry = {"against": "truth", "policies": 3, "episode": ranking, "step": ranking}
    return {"values": values, "rankings": {"learned": entry, "replay": entry}}


@pytest.fixture(scope="module")
def small(store: FeedStore, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Of 572 rows: too few for watch times."""
    return make_card(load_response(trained(store, tmp_path_factory)), store)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Of a world, whose truth stands beside it."""
    store = preset_store("tiny")
    return make_card(load_response(trained(store, tmp_path_factory)), store)


def printed(card: Told, width: int) -> str:
    out = io.StringIO()
    screen = Console(width=width, file=out, highlight=False)
    for part in card_tables(card):
        screen.print(part)
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("of", ["small", "world"])
def test_tables_fit(of: str, width: int, request: pytest.FixtureRequest) -> None:
    card = {**request.getfixturevalue(of), "policies": policies()}
    text = printed(card, width)
    assert max(len(line) for line in text.splitlines()) <= width
    for words in ("Calibration card, 2022", "not judged", "Kendall", "0.87"):
        assert words in text


def test_tables_tell_what_the_card_does(world: Told) -> None:
    text = printed(world, 200)
    for gate in world["gates"]:
        line = next(line for line in text.splitlines() if line.strip().startswith(gate["name"] + " "))
        assert gate["verdict"] in line
        assert f"{gate['n']:,}" in line
        if gate["value"] is not None:
            assert f"{gate['value']:.4f}" in line
    judged = [gate for gate in world["gates"] if not gate["verdict"].startswith("not judged")]
    passed = sum(gate["verdict"] == "passed" for gate in judged)
    assert f"{passed} of {len(judged)} judged gates passed, {len(world['gates']) - len(judged)} not judged" in text
    click = world["protocols"]["running"]["all"]["signals"]["click"]
    assert f"{click['logged']:.4f}" in text
    assert f"{click['predicted']:.4f}" in text
    assert "truth of the world" in text
    assert "accepted" not in text
    assert "Policies" not in text
    assert "accepted all the same (--accept-bad-card)" in printed({**world, "accepted": True}, 200)


def test_policies_are_told_by_environment(world: Told) -> None:
    text = printed({**world, "policies": policies()}, 200)
    line = next(line for line in text.splitlines() if line.strip().startswith("by log_duration, least first"))
    assert "12.00 [11.50, 12.50]; 0.600" in line
    assert "12.00; 0.600" in line
    assert "learned against truth, 3 policies" in text
    assert "replay against truth, 3 policies" in text
    assert short_name(FEATURE + "video_wtr") == "by video_wtr"
    assert short_name("linucb") == "linucb"


def size_of(png: Path) -> tuple[int, int]:
    data = png.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", data[16:24])


@pytest.mark.parametrize("of", ["small", "world"])
@pytest.mark.parametrize("with_policies", [False, True])
def test_the_figure_is_a_picture(of: str, with_policies: bool, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """11 by 7.5 inches at 120 dots each; the card stays as it was."""
    card = dict(request.getfixturevalue(of))
    if with_policies:
        card["policies"] = policies()
    before = copy.deepcopy(card)
    card_figure(card, tmp_path / "card.png")
    assert size_of(tmp_path / "card.png") == (1_320, 900)
    assert card == before
    assert [file.name for file in tmp_path.iterdir()] == ["card.png"]
