"""`svsim train response` as its users meet it: train, judge, go on, and what Feed-v0 takes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from svsim.data import FeedStore
from svsim.envs import FeedEnv
from svsim.errors import RunError
from tests.cli.test_commands import run

ARGUMENTS = ("--epochs", 1, "--members", 2, "--threads", 1, "--no-policy-test")


def command(store: FeedStore, out: Path, *more: object) -> tuple[object, ...]:
    return ("train", "response", "--store", store.path, "--out", out, *ARGUMENTS, *more)


def told(out: Path) -> dict[str, Any]:
    return json.loads((out / "card.json").read_text())


def test_a_bad_card_is_status_three_until_it_is_accepted(
    capsys: pytest.CaptureFixture[str], store: FeedStore, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    status, printed, err = run(capsys, *command(store, out))
    card = told(out)
    assert not card["passed"], "one epoch is too little"
    assert status == 3
    assert err.startswith(f"svsim: {out}: expected a calibration card whose judged gates pass, found ")
    assert "--accept-bad-card" in err
    assert err.count("\n") == 1
    for gate in card["gates"]:
        if gate["verdict"] == "failed":
            assert gate["name"] in err
    for words in (
        "Calibration card",
        "Signals on the days after training",
        "Leaving",
        "judged gates passed",
        "card.png",
    ):
        assert words in printed
    assert (out / "card.png").read_bytes().startswith(b"\x89PNG")
    assert "policies" not in card

    with pytest.raises(RunError, match="--accept-bad-card"):
        FeedEnv(store, response=out)
    written = {file: file.stat().st_mtime_ns for file in out.iterdir() if file.name != "card.json"}
    status, printed, err = run(capsys, *command(store, out, "--accept-bad-card"))
    assert (status, err) == (0, "")
    assert "accepted all the same (--accept-bad-card)" in printed
    assert told(out) == {**card, "accepted": True}
    assert {file: file.stat().st_mtime_ns for file in written} == written, "nothing is trained or judged twice"
    FeedEnv(store, response=out).reset(seed=0)
    # What was accepted stays so.
    assert run(capsys, *command(store, out))[0] == 0

    status, printed, err = run(capsys, *command(store, out, "--json"))
    assert (status, err) == (0, "")
    assert json.loads(printed) == told(out)

    status, printed, err = run(capsys, *command(store, out, "--seed", 1))
    assert (status, printed) == (2, "")
    assert "another training" in err

    (out / "card.json").unlink()
    with pytest.raises(RunError, match="found none"):
        FeedEnv(store, response=out)
    status, printed, err = run(capsys, *command(store, out, "--json"))
    assert status == 3
    assert json.loads(printed) == told(out) == card, "the same run has the same card, which nobody accepted"


def test_interrupted_it_goes_on(
    capsys: pytest.CaptureFixture[str], store: FeedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted while the card is made: the second time nothing is trained."""
    from svsim.response import card as card_room

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(card_room, "make_card", interrupted)
        assert run(capsys, *command(store, out)) == (
            130,
            "",
            "svsim: interrupted; run the same command again to go on\n",
        )
    weights = (out / "model.safetensors").stat().st_mtime_ns
    assert run(capsys, *command(store, out, "--accept-bad-card"))[0] == 0
    assert (out / "model.safetensors").stat().st_mtime_ns == weights
    assert told(out)["accepted"]


def test_a_policy_test_stands_on_the_card(
    capsys: pytest.CaptureFixture[str], store: FeedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Policies play in the model before anybody has accepted it; whatever becomes of them, that accepts no card."""
    from svsim.benchmark import policy_test as room

    seen: list[bool] = []
    play = room.policy_test

    def few(store: FeedStore, response: Path, **_: object) -> dict[str, Any]:
        card = told(response)
        seen.append(bool(card["passed"] or card["accepted"]))
        return play(store, response, policies=("random", "popularity"), episodes=8, seeds=2, horizon=5)

    def interrupted(*_: object, **__: object) -> dict[str, Any]:
        raise KeyboardInterrupt

    out = tmp_path / "run"
    arguments = [argument for argument in command(store, out) if argument != "--no-policy-test"]
    monkeypatch.setattr(room, "policy_test", interrupted)
    assert run(capsys, *arguments)[0] == 130
    assert not (out / "card.json").exists()
    monkeypatch.setattr(room, "policy_test", few)
    status, printed, _ = run(capsys, *arguments)
    card = told(out)
    assert status == 3
    assert seen == [True]
    assert "accepted" not in card
    assert set(card["policies"]["values"]) == {"random", "popularity"}
    assert "Kendall" in printed
    # It is there: nobody plays again, with the test or without.
    monkeypatch.setattr(room, "policy_test", interrupted)
    assert run(capsys, *arguments)[0] == run(capsys, *command(store, out))[0] == 3
    assert told(out) == card


@pytest.mark.parametrize(("arguments", "words"), [
    (["--store", "STORE"], ["--out"]),
    (["--out", "OUT"], ["--store"]),
    (["--store", "/no/such", "--out", "OUT"], ["/no/such", "expected a store"]),
    (["--store", "STORE", "--out", "OUT", "--epochs", "0"], ["--epochs", "at least 1"]),
    (["--store", "STORE", "--out", "OUT", "--members", "0"], ["--members", "at least 1"]),
    (["--store", "STORE", "--out", "OUT", "--rows", "0"], ["--rows", "at least 1"]),
    (["--store", "STORE", "--out", "OUT", "--rows", "3"], ["--rows", "ask for more"]),
    (["--store", "STORE", "--out", "OUT", "--learning-rate", "-1"], ["--learning-rate", "above 0"]),
    (["--store", "STORE", "--out", "OUT", "--threads", "0"], ["--threads", "at least 1"]),
    (["--store", "STORE", "--out", "OUT", "--threads", "-2"], ["--threads", "at least 1"]),
    (["--store", "STORE", "--out", "OUT", "--weights", "all"], ["--weights", "all"]),
    (["--store", "STORE", "--out", "OUT", "--weights", "propensity"], ["random log", "--weights none"]),
    (["--store", "STORE", "--out", "FILE"], ["notes.txt", "new or empty folder"]),
])  # fmt: skip
def test_faults_are_one_line_and_status_two(
    capsys: pytest.CaptureFixture[str], store: FeedStore, tmp_path: Path, arguments: list[str], words: list[str]
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    known = {"OUT": str(tmp_path / "out"), "STORE": str(store.path), "FILE": str(tmp_path / "notes.txt")}
    status, out, err = run(capsys, "train", "response", *(known.get(argument, argument) for argument in arguments))
    assert (status, out) == (2, "")
    assert err.startswith("svsim: ")
    assert err.count("\n") == 1
    for word in words:
        assert word in err
    assert (tmp_path / "notes.txt").read_text() == "mine"
