"""Offline evaluation: what its numbers must be where the truth is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from svsim.data import FeedStore
from svsim.errors import OptionError, RunError
from svsim.models.baselines import BASELINES, fit_baselines
from svsim.models.checkpoints import load_run
from svsim.models.evaluation import evaluate, evaluate_predictions, targets_of
from svsim.models.windows import Material


@pytest.fixture(scope="module")
def result(store: FeedStore, sasrec4sv_run: Path) -> dict:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("svsim.models.baselines.TREES", 40)
        return evaluate(load_run(sasrec4sv_run), store, resamples=40)


def test_an_evaluation(result: dict, store: FeedStore) -> None:
    """One test, since every worker that asks would refit the baselines."""
    says_what_the_contract_says(result, store)
    differences_are_differences(result)
    all_negative_is_right_as_often_as_nothing_happens(result, store)


def says_what_the_contract_says(result: dict, store: FeedStore) -> None:
    assert set(result) == {"frozen", "running"}
    for protocol, told in result.items():
        assert set(told) == {"rows", "users", "labels", "groups", "baselines", "differences"}
        assert told["rows"] == len(store.split_rows("test"))
        assert {"click", "long_view", "wtr>0.5", "wtr", "wtr_clipped", "wtg", "wtg_relevant"} <= set(told["labels"])
        assert {"accuracy", "precision", "recall", "f1", "auc", "ece"} <= set(told["labels"]["click"])
        assert {"rmse", "xauc"} <= set(told["labels"]["wtr"])
        # Ranking within a user is judged by what was known before the days that are scored, never with the day's own.
        assert ("gauc" in told["labels"]["click"]) == (protocol == "frozen")
        assert ("wtg@3" in told["labels"]["wtg"]) == (protocol == "frozen")
        expected = set(BASELINES) ^ {"boosting + running" if protocol == "frozen" else "the same, frozen"}
        assert set(told["baselines"]) == set(told["differences"]) == expected
        for metrics in told["labels"].values():
            for value in metrics.values():
                assert value["mean"] is None or value["low"] is None or value["low"] <= value["high"]


def differences_are_differences(result: dict) -> None:
    for told in result.values():
        for name, labels in told["differences"].items():
            for label, metrics in labels.items():
                for metric, value in metrics.items():
                    own = told["labels"][label][metric]["mean"]
                    other = told["baselines"][name]["labels"][label][metric]["mean"]
                    if own is not None and other is not None:
                        assert value["mean"] == pytest.approx(own - other, abs=1e-9)


def all_negative_is_right_as_often_as_nothing_happens(result: dict, store: FeedStore) -> None:
    click = store.events["is_click"][store.split_rows("test")].mean()
    said = result["frozen"]["baselines"]["all-negative"]["labels"]["click"]
    assert said["accuracy"]["mean"] == pytest.approx(1 - click)
    assert said["f1"]["mean"] == 0
    assert said["auc"]["mean"] == 0.5
    spread = result["frozen"]["baselines"]["all-negative"]["labels"]["wtr_clipped"]["rmse"]["mean"]
    rows = store.split_rows("test")
    wtr = np.minimum(store.events["play_time_ms"][rows] / store.events["duration_ms"][rows], 1)
    train = store.split_rows("train")
    mean = np.minimum(store.events["play_time_ms"][train] / store.events["duration_ms"][train], 1).mean()
    assert spread == pytest.approx(np.sqrt(((wtr - mean) ** 2).mean()), rel=1e-4)


def test_knowing_the_answer_is_perfect_and_intervals_shrink_to_it() -> None:
    rng = np.random.default_rng(0)
    user = rng.integers(0, 50, 2_000)
    click = (rng.random(2_000) < 0.4).astype(float)
    targets = {"click": click, "wtg": rng.normal(size=2_000)}
    group = np.where(user < 5, "influencer", "normal")
    predictions = {"model": {"click": click}, "coin": {"click": np.full(2_000, 0.4)}}
    told = evaluate_predictions(targets, predictions, user, group, "frozen", resamples=50, seed=0)
    for metric in ("auc", "gauc", "f1", "accuracy"):
        assert told["labels"]["click"][metric] == {"mean": 1.0, "low": 1.0, "high": 1.0}
    assert told["labels"]["click"]["ece"]["mean"] == 0
    assert told["differences"]["coin"]["click"]["auc"]["mean"] == pytest.approx(0.5)
    assert told["groups"]["influencer"]["rows"] + told["groups"]["normal"]["rows"] == 2_000


def test_a_group_s_accuracy_stands_beside_that_of_saying_no() -> None:
    """A group of whom 30 of 100 click: saying no is right in 70; the model, wrong in ten rows, in 90."""
    click = np.r_[np.ones(30), np.zeros(70), np.ones(50), np.zeros(50)]
    model = np.abs(click - np.r_[np.ones(10), np.zeros(190)])
    user = np.repeat(np.arange(20), 10)
    group = np.repeat(["short history", "long history"], 100)
    predictions = {"model": {"click": model}, "all-negative": {"click": np.zeros(200)}}
    targets = {"click": click, "wtg": np.zeros(200)}
    told = evaluate_predictions(targets, predictions, user, group, "running", resamples=20, seed=0)["groups"]
    short = told["short history"]
    assert short["labels"]["click"]["accuracy"]["mean"] == pytest.approx(0.9)
    assert short["all-negative"]["click"]["accuracy"]["mean"] == pytest.approx(0.7)
    assert short["difference"]["click"]["accuracy"]["mean"] == pytest.approx(0.2)
    assert told["long history"]["difference"]["click"]["accuracy"]["mean"] == pytest.approx(0.5)


def test_groups_are_told_apart_as_asked(store: FeedStore, sasrec4sv_run: Path) -> None:
    told = evaluate(load_run(sasrec4sv_run), store, resamples=20, baselines=("all-negative",), groups="history")
    assert list(told["frozen"]["groups"]) == ["short history", "middle history", "long history"]
    assert sum(own["rows"] for own in told["frozen"]["groups"].values()) == told["frozen"]["rows"]


def test_intervals_cover_as_clusters_do() -> None:
    """Users whose rows are all alike: the interval of a rate is that of a mean over users, not over rows."""
    rng = np.random.default_rng(1)
    users, rows = 300, 20
    rate = rng.random(users) < 0.5
    click = np.repeat(rate.astype(float), rows)
    user = np.repeat(np.arange(users), rows)
    targets = {"click": click, "wtg": np.zeros(len(click))}
    told = evaluate_predictions(
        targets, {"model": {"click": np.full(len(click), 0.5)}}, user, np.full(len(click), "normal"), "running",
        resamples=400, seed=0,
    )  # fmt: skip
    interval = told["labels"]["click"]["base_rate"]
    half = (interval["high"] - interval["low"]) / 2
    assert half == pytest.approx(1.96 * 0.5 / np.sqrt(users), rel=0.15)


@pytest.mark.slow
def test_boosting_knows_nothing_of_the_days_it_is_asked_about(store: FeedStore, sasrec4sv_run: Path) -> None:
    """Under `frozen` a baseline's predictions do not change when what happened in the test days does."""
    material = Material(store, load_run(sasrec4sv_run).inputs)
    targets = {"click": targets_of(material)["click"]}
    rows = store.split_rows("test")
    before = fit_baselines(store, targets, "test")["frozen"]
    changed = {"click": targets["click"].copy()}
    changed["click"][rows] = 1 - changed["click"][rows]
    after = fit_baselines(store, changed, "test")["frozen"]
    for name, values in before.items():
        np.testing.assert_array_equal(values["click"], after[name]["click"], err_msg=name)


def test_impossible_questions_are_refused(store: FeedStore, sasrec4sv_run: Path, tmp_path: Path) -> None:
    run = load_run(sasrec4sv_run)
    with pytest.raises(OptionError, match="expected a split"):
        evaluate(run, store, split="future")
    run.manifest = {**run.manifest, "store": "0" * 64}
    with pytest.raises(RunError, match="expected a run of the store"):
        evaluate(run, store)
