"""`svsim train sasrec4sv` and `svsim evaluate` as their users meet them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from svsim.data import FeedStore
from tests.cli.test_commands import run


def test_train_then_evaluate_then_benchmark(
    capsys: pytest.CaptureFixture[str], store: FeedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("svsim.models.baselines.TREES", 20)
    arguments = ("train", "sasrec4sv", "--store", store.path, "--out", tmp_path / "run", "--preset", "small")
    arguments = (*arguments, "--learning-rate", 0.01, "--epochs", 3)
    status, out, err = run(capsys, *arguments)
    assert (status, err) == (0, "")
    assert "SASRec4SV (small, wtr, binary, wtg, feedback, watch)" in out
    assert run(capsys, *arguments)[:2] == (0, out), "a finished run is shown again"
    assert json.loads(run(capsys, "train", "show", tmp_path / "run")[1])["store"] == store.fingerprint
    status, _, err = run(capsys, *arguments, "--epochs", 2)
    assert status == 2
    assert "another training" in err

    evaluation = ("evaluate", tmp_path / "run", "--store", store.path, "--resamples", 20, "--out", tmp_path / "e.json")
    status, out, err = run(capsys, *evaluation)
    assert (status, err) == (0, "")
    for word in (
        "frozen: history ends where the split begins",
        "running",
        "boosting",
        "gauc",
        "normal",
        "all say no",
    ):
        assert word in out
    told = json.loads((tmp_path / "e.json").read_text())
    assert told["frozen"]["labels"]["click"]["auc"]["mean"] > 0.5

    agent = f"sasrec4sv?run={tmp_path / 'run'}"
    status, out, err = run(
        capsys, "benchmark", "--store", store.path, "--agents", agent, "--candidates", 5, "--seeds", 2,
        "--out", tmp_path / "b", "--json",
    )  # fmt: skip
    assert (status, err) == (0, "")
    records = {record["agent"]: record for record in json.loads(out)}
    assert records["random"]["metrics"]["reward"]["mean"] != records[agent]["metrics"]["reward"]["mean"]
    assert records[agent]["metrics"]["reward"]["mean"] < records["oracle"]["metrics"]["reward"]["mean"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "sasrec4sv", "--out", "OUT"], ["--store"]),
        (["train", "sasrec4sv", "--store", "/no/such", "--out", "OUT"], ["/no/such", "expected a store"]),
        (["train", "sasrec4sv", "--store", "STORE", "--out", "OUT", "--preset", "huge"], ["huge", "--preset"]),
        (["train", "sasrec4sv", "--store", "STORE", "--out", "OUT", "--head", "joy"], ["joy", "--head"]),
        (["train", "sasrec4sv", "--store", "STORE", "--out", "OUT", "--epochs", "0"], ["epochs", "at least 1"]),
        (["train", "sasrec4sv", "--store", "STORE", "--out", "OUT", "--learning-rate", "-1"], ["learning_rate"]),
        (["evaluate", "/no/run", "--store", "STORE"], ["/no/run", "expected a run", "svsim train sasrec4sv"]),
        (["evaluate", "RUN", "--store", "STORE", "--resamples", "3"], ["--resamples", "at least 20"]),
        (["benchmark", "--store", "STORE", "--agents", "sasrec4sv?run=/no/run", "--out", "OUT"], ["/no/run"]),
        (["benchmark", "--store", "STORE", "--agents", "sasrec4sv?run=RUN&head=joy", "--out", "OUT"], ["head", "joy"]),
    ],
)
def test_faults_are_one_line_and_status_two(
    capsys: pytest.CaptureFixture[str],
    store: FeedStore,
    sasrec4sv_run: Path,
    tmp_path: Path,
    arguments: list[str],
    words: list[str],
) -> None:
    known = {"OUT": str(tmp_path / "out"), "STORE": str(store.path), "RUN": str(sasrec4sv_run)}
    for word, path in known.items():
        arguments = [argument.replace(word, path) for argument in arguments]
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("svsim: ")
    assert err.count("\n") == 1
    for word in words:
        assert word in err
    assert not (tmp_path / "out").exists()
