"""`svsim ope` as its users meet it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from svsim.data import FeedStore
from svsim.ope.truth import values
from tests.cli.test_commands import run

QUICK = ("--candidates", 10, "--others", 20, "--history", 5, "--fit-rows", 300)


def test_estimates_with_intervals_beside_the_truth(
    capsys: pytest.CaptureFixture[str], chance_store: FeedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(values, "FRESH", 600)
    out = tmp_path / "ope"
    command = ("ope", "--store", chance_store.path, "--agents", "popularity", "--truth", "--out", out, *QUICK)
    status, printed, err = run(capsys, *command)
    assert (status, err) == (0, "")
    for words in (
        "Audit of the random log",
        "popularity: true value",
        "Utility of user groups",
        "Paired differences to random",
        "Estimators judged by the truth",
        "one-step value of the best of 10 videos",
        "own expectation",
    ):
        assert words in " ".join(printed.split())
    lines = printed.splitlines()
    told = json.loads((out / "ope.json").read_text())
    for record in told["policies"]:
        for name, own in record["estimates"].items():
            # Every line says what its value is.
            assert any(f" {name} " in line and own["label"] in line for line in lines), name
    for name in ("estimates.png", "policies.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
    written = (out / "ope.json").read_bytes()
    status, printed, _ = run(capsys, *command, "--json")
    assert status == 0
    assert json.loads(printed) == told
    assert (out / "ope.json").read_bytes() == written
    true = told["truth"]["values"]
    assert true["popularity"]["value"] > true["random"]["value"]
    # The uniform policy is worth what the log is.
    logged = told["log"]["mean_reward"]
    assert abs(true["random"]["value"] - logged["value"]) < 4 * logged["standard_error"]
    status, _, err = run(capsys, *command[:-2], "--fit-rows", 200)
    assert status == 2
    assert "fit_rows: now 200, there 300" in err


def test_the_platforms_own_log_is_asked_of_a_world_alone(
    capsys: pytest.CaptureFixture[str], store: FeedStore, chance_store: FeedStore, tmp_path: Path
) -> None:
    command = ("ope", "--log", "standard", "--agents", "popularity", "--rows", 250, *QUICK)
    status, printed, err = run(capsys, *command, "--store", chance_store.path, "--truth", "--out", tmp_path / "a")
    assert (status, err) == (0, "")
    assert "re-ranking what was retrieved" in " ".join(printed.split())
    told = json.loads((tmp_path / "a" / "ope.json").read_text())
    assert told["audit"] is None
    assert 0 < told["log"]["choosable"] < 1
    assert f"{100 * told['log']['choosable']:.0f} % of what was retrieved" in " ".join(printed.split())
    assert told["truth"]["contexts"] == "logged"
    assert "mips-tag" not in told["policies"][0]["estimates"]
    for record in told["policies"]:
        own, true = record["estimates"]["dr"], told["truth"]["values"][record["agent"]]["value"]
        assert abs(own["value"] - true) < 4 * own["standard_error"] + 0.02
    status, _, err = run(capsys, *command, "--store", store.path, "--out", tmp_path / "b")
    assert status == 2
    assert "nobody knows the propensities" in err
    assert err.count("\n") == 1


def test_without_a_random_log_it_says_so_in_a_line_and_offers_the_world(
    capsys: pytest.CaptureFixture[str], real_store: FeedStore, tmp_path: Path
) -> None:
    if real_store.events["is_rand"].any():
        pytest.skip("these files have a random log")
    command = ("ope", "--store", real_store.path, "--agents", "popularity", "--out", tmp_path / "out")
    status, printed, err = run(capsys, *command)
    assert (status, printed) == (2, "")
    assert "found none" in err
    assert "--store small" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_audit_that_fails_is_status_three_and_prints_no_estimates(
    capsys: pytest.CaptureFixture[str], chance_store: FeedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from svsim.ope.audit import Audit

    monkeypatch.setattr(Audit, "failures", property(lambda _: ("unevenness",)))
    out = tmp_path / "out"
    command = ("ope", "--store", chance_store.path, "--agents", "random", "--no-rails", "--out", out, *QUICK)
    status, printed, err = run(capsys, *command)
    assert status == 3
    assert "the propensity audit failed: unevenness" in err
    assert "Audit of the random log" in printed
    assert "one-step" not in printed
    assert not (out / "ope.json").exists()
    status, printed, err = run(capsys, *command, "--despite-audit")
    assert (status, err) == (0, "")
    assert "one-step" in printed


def test_bad_agents_are_told_and_nothing_is_written(
    capsys: pytest.CaptureFixture[str], chance_store: FeedStore, tmp_path: Path
) -> None:
    for agents, words in (("oracle", "a privileged one"), ("joy", "expected one of"), ("ucb2", "did you mean ucb1?")):
        status, _, err = run(
            capsys, "ope", "--store", chance_store.path, "--agents", agents, "--out", tmp_path / "out", *QUICK
        )
        assert status == 2
        assert words in err
        assert not (tmp_path / "out").exists()
    command = (
        "ope",
        "--store",
        chance_store.path,
        "--agents",
        "random",
        "--candidates",
        9_000,
        "--out",
        tmp_path / "out",
    )
    status, _, err = run(capsys, *command)
    assert status == 2
    assert "candidates (the logged video and" in err
    assert not (tmp_path / "out").exists()
