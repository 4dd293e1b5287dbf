"""The calibration card: a perfect model passes, a pushed one fails, small numbers are not judged; figures by hand."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from svsim.data import FeedStore
from svsim.data.conversion import PrepareOptions, prepare
from svsim.errors import RunError
from svsim.metrics import auc, calibration_error
from svsim.models.response.material import Material
from svsim.models.response.runs import ResponseRun, load_response
from svsim.response import card as card_room
from svsim.response import sessions as sessions_room
from svsim.response.card import LEAST_ROWS, make_card
from svsim.world import preset_store
from tests.models.response.stores import trained

Told = dict[str, Any]
SIGNALS = ("click", "long_view", "half", "like", "comment", "forward", "follow", "hate")


@pytest.fixture(scope="module")
def long_store(standin_files: Path, tmp_path_factory: pytest.TempPathFactory) -> FeedStore:
    """Nine days to train, one to validate, six to judge on."""
    options = PrepareOptions(train_until="20220416", valid_until="20220417", test_until="20220423")
    return prepare(standin_files, tmp_path_factory.mktemp("long") / "store", options)


@pytest.fixture(scope="module")
def run(long_store: FeedStore, tmp_path_factory: pytest.TempPathFactory) -> ResponseRun:
    return load_response(trained(long_store, tmp_path_factory))


@pytest.fixture(scope="module")
def plain(run: ResponseRun, long_store: FeedStore) -> Told:
    """The card on the log as it is."""
    return make_card(run, long_store)


@pytest.fixture
def perfect(run: ResponseRun, long_store: FeedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the log says, what came of its rows is drawn from the run's own predictions."""
    rows = long_store.split_rows("test")
    found = Material(long_store, run.parts.usual).predictions(rows, "running", run.forward, run.parts)
    rng = np.random.default_rng(3)
    labels = {name: (rng.random(len(rows)) < found[name]).astype(np.float64) for name in SIGNALS}
    labels["wtr"] = found["wtr"].astype(np.float64)
    monkeypatch.setattr(card_room, "_labels", lambda store, rows: labels)


def gates_of(card: Told, *, sessions: bool = False) -> list[Told]:
    """What the signals are judged by; where sessions end is another matter."""
    own = ("leaving, mean hazard", "session length")
    return [gate for gate in card["gates"] if sessions or gate["name"] not in own]


# --- verdicts ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("perfect")
def test_a_perfect_model_passes(run: ResponseRun, long_store: FeedStore) -> None:
    """What goes by a fixed limit, on thousands of rows; of what goes by a 95 % interval one in twenty may fail."""
    card = make_card(run, long_store)
    verdicts = {
        gate["name"]: gate["verdict"] for gate in gates_of(card) if not gate["verdict"].startswith("not judged")
    }
    by_interval = {name for name in verdicts if name.startswith("rate of") or name.endswith("random log")}
    assert {name for name in verdicts if verdicts[name] != "passed"} <= by_interval
    for name in ("ECE above chance, click", "ECE above chance, long view", "base rate, click", "base rate, long view",
                 "base rate, WTR > 0.5", "AUC, click, running", "AUC, long view, frozen"):  # fmt: skip
        assert verdicts[name] == "passed"
    assert sum(verdicts[name] == "failed" for name in by_interval) < 0.4 * len(by_interval)
    assert "rate of like" in by_interval


def test_a_rare_signal_of_a_perfect_model_fails_one_time_in_twenty() -> None:
    """600 redraws of labels from the predictions themselves; the gate is a 95 % interval."""
    rng, repetitions = np.random.default_rng(4), 600
    user = np.repeat(np.arange(200), 40)
    failed = 0
    for _ in range(repetitions):
        score = rng.beta(2, 20, 200)[user]
        told = card_room._signal((rng.random(len(user)) < score).astype(np.float64), score, user, False)
        assert told["positives"] >= 400
        failed += card_room._rare_gate("rate", told)["verdict"] == "failed"
    # The predictions vary with the users as the labels do, so that the interval is wide for them.
    assert failed / repetitions < 0.05 + 4 * np.sqrt(0.05 * 0.95 / repetitions)


@pytest.mark.usefixtures("perfect")
@pytest.mark.parametrize("push", [0.5, -0.5])
def test_a_pushed_model_fails(run: ResponseRun, long_store: FeedStore, push: float) -> None:
    """Log-hazards of the first 18 s half a unit off: clicks become too rare or too frequent."""
    shift = run.parts.calibration.shift.copy()
    shift[:, :3] += push
    calibration = dataclasses.replace(run.parts.calibration, shift=shift)
    pushed = dataclasses.replace(run, parts=dataclasses.replace(run.parts, calibration=calibration))
    card = make_card(pushed, long_store)
    verdicts = {gate["name"]: gate for gate in card["gates"]}
    for name in ("base rate, click", "base rate, long view", "ECE above chance, click"):
        assert verdicts[name]["verdict"] == "failed", name
    assert np.sign(verdicts["base rate, click"]["value"]) == -np.sign(push)
    assert card["passed"] is False


def test_a_gate_fails_beyond_its_limit_alone() -> None:
    """By hand: 5 % off passes, more does not; of a part of the rows what its own 99 % interval leaves open is no fault."""
    signal = {"n": 9_000, "positives": 900, "logged": 0.1, "logged_low": 0.08, "logged_high": 0.12}
    for predicted, whole, part in (
        (0.1049, "passed", "passed"),
        (0.1051, "failed", "passed"),
        (0.1262, "failed", "passed"),
        (0.1264, "failed", "failed"),
    ):
        told = {**signal, "predicted": predicted}
        assert card_room._base_gate("rate", told, True)["verdict"] == whole
        assert card_room._base_gate("rate", told, False)["verdict"] == part
    for positives in (0, 99):
        told = {**signal, "positives": positives, "predicted": 0.2}
        assert card_room._base_gate("rate", told, True)["verdict"] == f"not judged: {positives} positives"
    for off, longer, ended, verdicts in (
        (0.099, -0.199, 400, ["passed", "passed"]),
        (-0.101, 0.201, 400, ["failed", "failed"]),
        (0.0, 0.0, 399, ["not judged: 399 sessions ended"] * 2),
        (None, 0.0, 0, ["not judged: 0 sessions ended"] * 2),
    ):
        gates = sessions_room._gates(off, longer, ended, 9_000, 500)
        assert [gate["verdict"] for gate in gates] == verdicts
    for positives, predicted, verdict in (
        (400, 0.119, "passed"), (400, 0.121, "failed"), (400, 0.079, "failed"), (399, 0.5, "not judged: 399 positives"),
        (0, 0.5, "not judged: 0 positives"),
    ):  # fmt: skip
        told = {**signal, "positives": positives, "predicted": predicted}
        assert card_room._rare_gate("rate", told)["verdict"] == verdict
    for excess, n, verdict in ((0.0099, 5_000, "passed"), (0.0101, 5_000, "failed"), (0.0101, 4_999, "not judged")):
        told = {"n": n, "ece": 0.02 + excess, "ece_by_chance": 0.02}
        assert card_room._ece_gate("ece", told)["verdict"].split(":")[0] == verdict
    for value, n, verdict in ((0.7, 5_000, "passed"), (0.69, 5_000, "failed"), (0.69, 4_999, "not judged")):
        told = {"n": n, "auc": value, "auc_rates": 0.7}
        assert card_room._auc_gate("auc", told)["verdict"].split(":")[0] == verdict


def test_what_is_too_small_is_not_judged(store: FeedStore, tmp_path_factory: pytest.TempPathFactory) -> None:
    card = make_card(load_response(trained(store, tmp_path_factory)), store)
    assert card["rows"] < LEAST_ROWS
    for gate in card["gates"]:
        if gate["name"].startswith(("ECE", "AUC")):
            assert gate["verdict"] == "not judged: fewer than 5,000 rows"
        if gate["name"].startswith("rate of"):
            assert gate["verdict"].startswith("not judged")
        if gate["name"] == "base rate, click":
            assert gate["verdict"] in ("passed", "failed")


# --- figures ----------------------------------------------------------------------------------------------------------


def test_the_interval_of_clustered_rows_by_hand() -> None:
    """Users of (1, 1), (0, 0) and (1, 0): sums about the mean are 1, −1, 0; √(2 · 3/2) / 6 is the standard error."""
    low, high = card_room._clustered(np.array([1.0, 1, 0, 0, 1, 0]), np.array([7, 7, 3, 3, 9, 9]))
    assert (low, high) == pytest.approx((0.5 - 1.96 * np.sqrt(3) / 6, 0.5 + 1.96 * np.sqrt(3) / 6))


def test_the_clustered_interval_covers() -> None:
    """600 logs of 150 users of their own rates: 95 % of intervals hold the truth, those of independent rows fewer."""
    rng = np.random.default_rng(0)
    covered, naive, repetitions = 0, 0, 600
    for _ in range(repetitions):
        user = np.repeat(np.arange(150), rng.integers(10, 30, 150))
        label = (rng.random(len(user)) < rng.beta(2, 6, 150)[user]).astype(np.float64)
        low, high = card_room._clustered(label, user)
        covered += low <= 0.25 <= high
        naive += abs(label.mean() - 0.25) <= 1.96 * np.sqrt(label.var() / len(label))
    error = np.sqrt(0.05 * 0.95 / repetitions)
    assert abs(covered / repetitions - 0.95) < 4 * error + 0.005
    assert naive / repetitions < 0.8


@pytest.mark.parametrize("n", [1_000, 17_000])
def test_what_a_perfect_model_scores(n: int) -> None:
    """Σ over 15 bins of E|gap|: √(2/π) · √(p (1 − p) · 15 / n), the normal approximation."""
    expected = np.sqrt(2 / np.pi) * np.sqrt(0.37 * 0.63 * 15 / n)
    assert card_room._ece_by_chance(np.full(n, 0.37)) == pytest.approx(expected, rel=0.06)


def test_signals_are_those_of_the_log_and_of_the_predictions(
    plain: Told, run: ResponseRun, long_store: FeedStore
) -> None:
    rows = long_store.split_rows("test")
    events = long_store.events
    chance = events["is_rand"][rows] > 0
    found = {
        protocol: Material(long_store, run.parts.usual).predictions(rows, protocol, run.forward, run.parts)
        for protocol in ("running", "frozen")
    }
    labels = {"click": events["is_click"][rows], "like": events["is_like"][rows],
              "half": events["play_time_ms"][rows] > events["duration_ms"][rows] / 2}  # fmt: skip
    assert plain["rows"] == len(rows)
    assert set(plain["protocols"]) == {"running", "frozen"}
    for protocol, logs in plain["protocols"].items():
        assert set(logs) == {"all", "random"}
        for log, chosen in (("all", chance | True), ("random", chance)):
            assert logs[log]["rows"] == chosen.sum()
            assert logs[log]["users"] == len(np.unique(events["user"][rows][chosen]))
            for name, label in labels.items():
                told, y, p = logs[log]["signals"][name], label[chosen].astype(float), found[protocol][name][chosen]
                assert told["n"] == chosen.sum()
                assert told["positives"] == y.sum()
                assert told["logged"] == pytest.approx(y.mean())
                assert told["predicted"] == pytest.approx(p.mean(), rel=1e-5)
                loss = -np.where(y > 0, np.log(np.maximum(p, 1e-7)), np.log1p(-p)).mean()
                assert told["log_loss"] == pytest.approx(loss, rel=1e-4)
                if 0 < y.sum() < len(y):
                    assert told["auc"] == pytest.approx(auc(y, p), rel=1e-4)
                if name == "click":
                    assert told["ece"] == pytest.approx(calibration_error(y, p, bins=15), rel=1e-4)
                    assert sum(b["n"] for b in told["bins"]) == chosen.sum()
                    assert [b["predicted"] for b in told["bins"]] == sorted(b["predicted"] for b in told["bins"])
    # Later feedback helps, or at least is told apart.
    assert plain["protocols"]["running"]["all"]["signals"] != plain["protocols"]["frozen"]["all"]["signals"]


def test_days_and_watch_times_are_those_of_the_log(plain: Told, run: ResponseRun, long_store: FeedStore) -> None:
    rows = long_store.split_rows("test")
    date, play = long_store.events["date"][rows], long_store.events["play_time_ms"][rows]
    assert plain["dates"] == sorted(set(date.tolist())) == [day["date"] for day in plain["days"]]
    for day in plain["days"]:
        own = date == day["date"]
        assert day["rows"] == own.sum()
        assert day["click"]["logged"] == pytest.approx(long_store.events["is_click"][rows][own].mean())
    assert plain["watch_s"]
    duration = long_store.events["duration_ms"][rows]
    names = {"7–12 s": (7, 12), "12–18 s": (12, 18), "18–30 s": (18, 30), "30–60 s": (30, 60), "60–120 s": (60, 120)}
    judged = 0
    for told in plain["watch_s"]:
        if told["duration"] in names:
            low, high = names[told["duration"]]
            own = (duration >= low * 1_000) & (duration < high * 1_000)
            assert told["n"] == own.sum() >= 1_000
            assert told["logged"] == pytest.approx(np.percentile(play[own] / 1_000, [10, 25, 50, 75, 90, 95]).tolist())
            # As many of the model's draws lie below the log's median as should, by a wide margin.
            assert told["model"][0] < told["logged"][2] < told["model"][-1]
            judged += 1
    assert judged


def test_a_card_is_numbers_for_a_json_file(plain: Told) -> None:
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["passed"] == (not [gate for gate in plain["gates"] if gate["verdict"] == "failed"])
    for gate in plain["gates"]:
        assert set(gate) == {"name", "value", "limit", "n", "verdict"}
        assert gate["verdict"] in ("passed", "failed") or gate["verdict"].startswith("not judged: ")


def test_leaving_is_held_against_the_log(plain: Told, run: ResponseRun, long_store: FeedStore) -> None:
    told = plain["sessions"]
    leaving = run.parts.leaving
    assert told["coefficients"]["log_minutes"] == {
        "leave": pytest.approx(leaving.leave[4]),
        "gap": pytest.approx(leaving.gap[4]),
    }
    lengths = long_store.sessions("test").length
    assert told["length"]["logged"]["mean"] == pytest.approx(lengths.mean())
    groups = told["hazard"]["groups"]
    assert sum(group["n"] for group in groups) == told["rows"]
    assert np.average([g["logged"] for g in groups], weights=[g["n"] for g in groups]) == pytest.approx(
        told["hazard"]["logged"]
    )
    assert leaving.whole == (lengths.mean() >= 5)
    gates = {gate["name"]: gate for gate in plain["gates"]}
    off = told["hazard"]["predicted"] / told["hazard"]["logged"] - 1
    assert gates["leaving, mean hazard"]["value"] == pytest.approx(off)
    ended = round(told["hazard"]["logged"] * told["rows"])
    assert ended < 400
    assert gates["leaving, mean hazard"]["verdict"] == f"not judged: {ended} sessions ended"
    assert told["length"]["model"]["n"] <= len(lengths)
    longer = told["length"]["model"]["mean"] / lengths.mean() - 1
    assert gates["session length"]["value"] == pytest.approx(longer)


def test_a_log_in_which_no_session_ended_judges_nobodys_leaving(
    run: ResponseRun, long_store: FeedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = sessions_room.leaving_rows

    def nobody_leaves(*arguments: Any) -> Any:
        found = find(*arguments)
        return dataclasses.replace(found, left=np.zeros_like(found.left))

    monkeypatch.setattr(sessions_room, "leaving_rows", nobody_leaves)
    card = make_card(run, long_store)
    gates = {gate["name"]: gate for gate in card["gates"]}
    assert gates["leaving, mean hazard"]["value"] is None
    assert gates["leaving, mean hazard"]["verdict"] == "not judged: 0 sessions ended"
    json.dumps(card, allow_nan=False)


def test_correlations_by_hand() -> None:
    """(1, 2, 3) and (1, 3, 2): covariances 1/3, variances 2/3 each; what does not vary has none."""
    assert card_room._correlation(np.array([1.0, 2, 3]), np.array([1.0, 3, 2])) == pytest.approx(0.5)
    assert card_room._correlation(np.array([1.0, 2, 3]), np.full(3, 0.2)) is None
    assert card_room._correlation(np.array([1.0]), np.array([0.5])) is None


def test_the_truth_of_a_world_stands_beside_the_model(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No model's log loss is less than the truth's but by luck; a short training's is far off."""
    world = preset_store("tiny")
    card = make_card(load_response(trained(world, tmp_path_factory)), world)
    for name in ("click", "long_view"):
        true, own = card["truth"]["all"][name], card["protocols"]["running"]["all"]["signals"][name]
        assert true["log_loss"] < own["log_loss"]
        assert true["auc"] > own["auc"] - 0.02
        assert true["expected"] == pytest.approx(own["logged"], abs=4 * np.sqrt(0.25 / own["n"]))
        assert 0 < true["correlation"] < 1


def test_a_log_without_truth_has_none(plain: Told) -> None:
    assert "truth" not in plain


# --- what is refused --------------------------------------------------------------------------------------------------


def test_another_store_is_refused(run: ResponseRun, store: FeedStore) -> None:
    with pytest.raises(RunError, match="response model of the store"):
        make_card(run, store)
