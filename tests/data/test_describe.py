"""What `describe` says of stores whose truth is known."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from svsim.data import FeedStore, PrepareOptions, prepare
from svsim.data.describe import DURATION_EDGES_S, Description, describe
from svsim.data.describe_tables import render
from svsim.errors import OptionError
from tests.kuairand import log_row, write_kuairand

MINUTE = 60_000

# Share of plays called relevant by duration, as published for the real log (see signals in the documentation).
REAL = {
    "paper": (0.019, 0.015, 0.028, 0.109, 0.261, 0.299, 0.187, 0.209, 0.155, 0.133, 0.112, 0.100, 0.074),
    "dvr": (0.188, 0.288, 0.309, 0.313, 0.265, 0.263, 0.226, 0.199, 0.158, 0.135, 0.119, 0.101, 0.067),
    "rank": (0.160, 0.158, 0.158, 0.159, 0.159, 0.159, 0.159, 0.159, 0.159, 0.159, 0.158, 0.158, 0.160),
}


@pytest.fixture(scope="module")
def hand_store(tmp_path_factory: pytest.TempPathFactory) -> FeedStore:
    """Eight rows of an influencer and another user over three dates, one of them a picture post."""
    rows = [
        log_row(user=1, video=1, time_ms=0, date=20220501, play=5_000, duration=10_000, is_click=1),
        log_row(
            user=1, video=2, time_ms=10 * MINUTE, date=20220501, play=30_000, duration=20_000, is_click=1, is_like=1
        ),
        log_row(user=1, video=1, time_ms=50 * MINUTE, date=20220501, play=0, duration=10_000, tab=0),
        log_row(user=2, video=1, time_ms=0, date=20220501, play=1_000, duration=10_000),
        log_row(user=2, video=2, time_ms=1_500 * MINUTE, date=20220502, play=2_000, duration=20_000, is_follow=1),
        log_row(user=2, video=1, time_ms=2_900 * MINUTE, date=20220503, play=7_000, duration=7_000, long_view=1),
        log_row(user=2, video=2, time_ms=2_901 * MINUTE, date=20220503, play=421_000, duration=421_000, is_click=1),
        log_row(user=2, video=2, time_ms=2_902 * MINUTE, date=20220503, play=9_000, duration=0),
    ]
    folder = tmp_path_factory.mktemp("describe")
    return prepare(write_kuairand(folder / "f", rows, users={1: 1_000, 2: 999}, videos=[1, 2]), folder / "s")


def test_counts_and_drops(hand_store: FeedStore) -> None:
    found = describe(hand_store)
    assert found.counts == {
        "events": 7,
        "days": 3,
        "users": 2,
        "influencer": 1,
        "normal": 1,
        "videos": 2,
        "authors": 2,
    }
    assert found.rows == {"read": 8, "kept": 7, "dropped": {"zero duration": 1}}
    assert found.splits["train"] == {"from": 20220501, "until": 20220501, "events": 4, "users": 2, "videos": 2}
    assert [found.splits[name]["events"] for name in ("train", "valid", "test")] == [4, 1, 2]
    assert "video_features_statistic" in found.store["missing"]


def test_rates_by_hand(hand_store: FeedStore) -> None:
    rates = describe(hand_store).rates
    assert rates["all"]["events"] == 7
    assert rates["all"]["click"] == pytest.approx(3 / 7)
    assert rates["all"]["play_s"] == pytest.approx((5 + 30 + 0 + 1 + 2 + 7 + 421) / 7)
    assert rates["all"]["wtr"] == pytest.approx((0.5 + 1 + 0 + 0.1 + 0.1 + 1 + 1) / 7)
    assert list(rates["tabs"]) == ["1", "0"], "the busiest tab first"
    assert rates["tabs"]["0"]["events"] == 1
    assert rates["groups"]["influencer"]["events"] == 3
    assert rates["groups"]["influencer"]["like"] == pytest.approx(1 / 3)
    assert rates["groups"]["normal"]["follow"] == pytest.approx(1 / 4)
    assert rates["splits"]["test"]["long_view"] == pytest.approx(1 / 2)


def test_buckets_include_their_upper_edge(hand_store: FeedStore) -> None:
    buckets = describe(hand_store, wtg_fit="all").wtg["buckets"]
    plays = {bucket["up_to_s"]: bucket["plays"] for bucket in buckets}
    assert list(plays) == [*DURATION_EDGES_S, None]
    assert plays == dict.fromkeys(plays, 0) | {7: 1, 10: 3, 30: 2, None: 1}
    assert all(bucket["rank"] is None for bucket in buckets if not bucket["plays"])


def test_sessions_by_hand(hand_store: FeedStore) -> None:
    sessions = describe(hand_store).sessions
    assert sessions["train"]["30"]["sessions"] == 3, "user 1 pauses for forty minutes"
    assert sessions["train"]["none"]["sessions"] == 2
    assert sessions["train"]["none"]["mean_length"] == pytest.approx(2)
    assert sessions["train"]["30"]["p50"] == 1, "lengths 2, 1, 1"
    assert sessions["train"]["none"]["p90"] == pytest.approx(2.8), "lengths 3, 1: 1 + 0.9 · 2"
    assert sessions["test"]["30"] == {
        "sessions": 1,
        "mean_length": 2.0,
        **dict.fromkeys(("p10", "p25", "p50", "p75", "p90", "p99"), 2.0),
        "at_least_5": 0,
        "at_least_10": 0,
        "at_least_20": 0,
    }


def test_quantiles_are_numpy_s(store: FeedStore) -> None:
    found = describe(store).quantiles
    play = store.events["play_time_ms"] / 1_000
    assert found["play_s"]["p50"] == pytest.approx(np.median(play), rel=1e-5)
    assert found["wtr"]["p99"] > 1, "the ratio is not clipped here"


def test_quantiles_by_hand(hand_store: FeedStore) -> None:
    found = describe(hand_store).quantiles_by
    assert {kind: list(rows) for kind, rows in found.items()} == {
        "splits": ["train", "valid", "test"],
        "tabs": ["0", "1"],
        "groups": ["influencer", "normal"],
    }
    assert found["groups"]["influencer"]["play_s"]["p50"] == pytest.approx(5), "0, 5, 30"
    assert found["groups"]["influencer"]["wtr"]["p75"] == pytest.approx(1), "0, 0.5, 1.5"
    assert found["groups"]["normal"]["play_s"]["p50"] == pytest.approx(4.5), "1, 2, 7, 421"
    assert found["tabs"]["0"]["duration_s"]["p10"] == pytest.approx(10)
    assert found["splits"]["valid"]["play_s"]["p99"] == pytest.approx(2)


def test_rows_without_a_duration_have_no_ratio(tmp_path: Path) -> None:
    rows = [
        log_row(user=1, video=1, time_ms=day, date=date, play=2_000, duration=duration)
        for day, (date, duration) in enumerate([(20220501, 4_000), (20220502, 0), (20220503, 0)])
    ]
    folder = write_kuairand(tmp_path / "f", rows, users={1: 1}, videos=[1])
    kept = describe(prepare(folder, tmp_path / "s", PrepareOptions(keep_zero_duration=True)))
    assert kept.rates["all"]["events"] == 3
    assert kept.rates["all"]["wtr"] == pytest.approx(0.5)
    assert kept.quantiles["wtr"]["p50"] == pytest.approx(0.5)
    assert "wtr" not in kept.quantiles_by["splits"]["test"]
    assert sum(bucket["plays"] for bucket in kept.wtg["buckets"]) == 1
    json.dumps(kept.as_dict(), allow_nan=False)
    assert shown(kept, 80), "it renders"


def test_it_is_json(store: FeedStore) -> None:
    document = describe(store).as_dict()
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_ranks_are_neutral_by_construction(store: FeedStore) -> None:
    for bucket in describe(store, wtg_fit="all").wtg["buckets"]:
        if bucket["plays"] > 400:
            assert bucket["rank"] == pytest.approx(0.1587, abs=0.01)


def test_wrong_fit_is_refused(store: FeedStore) -> None:
    with pytest.raises(OptionError, match="train or all"):
        describe(store, wtg_fit="test")


@pytest.mark.parametrize("width", [80, 120])
def test_tables_fit_their_screen(store: FeedStore, width: int) -> None:
    description = describe(store)
    # As many events as the largest release, and a tab that is always clicked.
    large = {"events": 322_278_385, "click": 1.0, "long_view": 1.0, "play_s": 21.5}
    rates = {**description.rates, "all": description.rates["all"] | large}
    for text in (shown(description, width), shown(replace(description, rates=rates), width)):
        assert "WTR" in text
        assert max(map(len, text.splitlines())) <= width
        assert "…" not in text, "nothing is cut"
    assert "322,278,385" in text


def shown(description: Description, width: int) -> str:
    buffer = io.StringIO()
    Console(width=width, file=buffer).print(render(description))
    return buffer.getvalue()


def test_the_real_log_has_the_published_relevance(kuairand_dir: Path, tmp_path: Path) -> None:
    store = prepare(kuairand_dir, tmp_path / "store", PrepareOptions(wtg_fit="all"))
    description = describe(store, wtg_fit="all")
    text = shown(description, 80)
    assert "…" not in text
    assert "165,606" in text
    buckets = description.wtg["buckets"]
    assert sum(bucket["plays"] for bucket in buckets) == 165_606
    for preset, published in REAL.items():
        np.testing.assert_allclose([bucket[preset] for bucket in buckets], published, atol=0.005)
