"""Training: learns, stops, resumes bit for bit, weighs by propensity, and refuses what it cannot do."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file

from svsim.data import FeedStore
from svsim.data.atomic import locked
from svsim.data.conversion import PrepareOptions, prepare
from svsim.errors import BusyError, OptionError, OutputError, RunError, TrainingError
from svsim.models.response.config import ResponseConfig, ResponseTraining
from svsim.models.response.material import Material
from svsim.models.response.propensity import chance_odds
from svsim.models.response.runs import load_response
from svsim.models.response.training import train_response
from svsim.world import preset_store
from tests.kuairand import log_row, video_row, write_kuairand
from tests.models.response.stores import CONFIG, TRAINING, trained

FILES = ("model.safetensors", "parts.safetensors", "history.csv", "metrics.json")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def finished(store: FeedStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(store, tmp_path_factory)


def assert_same(one: Path, other: Path) -> None:
    for name in FILES:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


class Killed(KeyboardInterrupt):
    pass


def stop_at(epoch: int, step: int):
    def tell(task: str, done: int, whole: int | None) -> None:
        if task == f"epoch {epoch}" and done == step:
            raise Killed

    return tell


def test_it_learns_and_leaves_what_a_run_is(store: FeedStore, finished: Path) -> None:
    history = pd.read_csv(finished / "history.csv")
    assert (np.diff(history.valid_loss) < 0).all()
    parts = history[["valid_watch", "valid_no_play", "valid_flags", "valid_limits"]].sum(axis=1)
    np.testing.assert_allclose(history.valid_loss, parts)
    best = json.loads((finished / "metrics.json").read_text())
    assert best["valid_loss"] == pytest.approx(history.valid_loss.min())
    told = json.loads((finished / "config.json").read_text())
    assert told["store"] == store.fingerprint
    assert (told["model"]["members"], told["training"]["epochs"]) == (2, 3)
    assert list((finished / "tensorboard").glob("events*"))
    files = {file.name for file in finished.iterdir() if file.is_file()}
    assert files == {"config.json", *FILES}


def test_what_it_learnt_ranks_later_days(store: FeedStore, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Of the tiny world's test days, better than tossing a coin by four standard errors (Hanley, McNeil 1982)."""
    from svsim.metrics import auc

    world = preset_store("tiny")
    run = load_response(trained(world, tmp_path_factory))
    rows = world.split_rows("test")
    found = Material(world, run.parts.usual).predictions(rows, "running", run.forward, run.parts)
    for name, column in (("click", "is_click"), ("long_view", "long_view")):
        label = world.events[column][rows]
        n1, n0 = label.sum(), (1 - label).sum()
        assert auc(label, found[name]) > 0.5 + 4 * np.sqrt((n1 + n0 + 1) / (12 * n1 * n0)), name


def test_a_finished_run_is_left_alone(store: FeedStore, finished: Path) -> None:
    written = {file: file.stat().st_mtime_ns for file in finished.iterdir()}
    told: list[str] = []
    run = train_response(store, finished, CONFIG, TRAINING, progress=lambda task, *_: told.append(task))
    assert run.path == finished
    assert told == []
    assert {file: file.stat().st_mtime_ns for file in finished.iterdir()} == written


@pytest.mark.parametrize(("epoch", "step"), [(1, 3), (2, 1)])
def test_interrupted_and_resumed_it_ends_with_the_same_weights(
    store: FeedStore, finished: Path, tmp_path: Path, epoch: int, step: int
) -> None:
    with pytest.raises(Killed):
        train_response(store, tmp_path / "run", CONFIG, TRAINING, progress=stop_at(epoch, step))
    assert not (tmp_path / "run" / "metrics.json").exists()
    assert (tmp_path / "run" / "state.pt").exists() == (epoch > 1)
    with pytest.raises(RunError, match=r"finished training.*goes on where it was"):
        load_response(tmp_path / "run")
    train_response(store, tmp_path / "run", CONFIG, TRAINING)
    assert_same(finished, tmp_path / "run")
    assert not (tmp_path / "run" / "state.pt").exists()


def test_interrupted_past_the_last_epoch_it_only_finishes(store: FeedStore, finished: Path, tmp_path: Path) -> None:
    def tell(task: str, done: int, whole: int | None) -> None:
        if task == "leaving":
            raise Killed

    with pytest.raises(Killed):
        train_response(store, tmp_path / "run", CONFIG, TRAINING, progress=tell)
    told: list[str] = []
    train_response(store, tmp_path / "run", CONFIG, TRAINING, progress=lambda task, *_: told.append(task))
    assert not [task for task in told if task.startswith("epoch")]
    assert_same(finished, tmp_path / "run")


def test_another_seed_is_another_model(store: FeedStore, finished: Path, tmp_path: Path) -> None:
    other = dataclasses.replace(TRAINING, seed=1, epochs=1)
    run = train_response(store, tmp_path / "run", CONFIG, other)
    one, two = (load_file(path / "model.safetensors") for path in (finished, run.path))
    assert one.keys() == two.keys()
    assert all((one[name] != two[name]).any() for name in ("first", "second", "third"))


def test_members_see_their_own_resamples(store: FeedStore, finished: Path) -> None:
    weights = load_file(finished / "model.safetensors")
    assert weights["second"].shape == (2, 8, 8)
    assert (weights["second"][0] != weights["second"][1]).all()


def test_early_stop_keeps_the_best(store: FeedStore, tmp_path: Path) -> None:
    wild = dataclasses.replace(TRAINING, epochs=40, patience=1, learning_rate=0.3, average=0.0)
    run = train_response(store, tmp_path / "run", CONFIG, wild)
    history = pd.read_csv(run.path / "history.csv")
    best = int(history.valid_loss.argmin())
    assert len(history) < 40
    assert len(history) == best + 2
    assert json.loads((run.path / "metrics.json").read_text())["epoch"] == best + 1


def test_a_loss_that_is_no_number_names_step_and_rate(store: FeedStore, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"loss is (nan|inf) at step \d+.*lower --learning-rate"):
        train_response(store, tmp_path / "run", CONFIG, dataclasses.replace(TRAINING, learning_rate=1e20))


# --- which rows, and what they count ----------------------------------------------------------------------------------


def test_rows_are_those_of_whole_users(store: FeedStore, tmp_path: Path) -> None:
    """Two thirds of the training rows: no row of another user is learnt from, and of those chosen all are."""
    seen: list[np.ndarray] = []
    learn = Material.inputs

    def inputs(self: Material, past, part, scales):
        seen.append(past.rows[part])
        return learn(self, past, part, scales)

    train = store.split_rows("train")
    most = 2 * len(train) // 3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Material, "inputs", inputs)
        train_response(store, tmp_path / "run", CONFIG, ResponseTraining(epochs=1, rows=most, batch=most // 20))
    rows = np.unique(np.concatenate(seen))
    assert 0.5 * len(train) < len(rows) <= most
    assert np.isin(rows, train).all()
    user = store.events["user"]
    whole = np.bincount(user[train], minlength=store.n_users + 1)
    counted = np.bincount(user[rows], minlength=store.n_users + 1)
    # What is left of a batch at the end of an epoch waits for the next: a twentieth at most.
    assert counted[counted == 0].size > 10
    assert (counted[counted > 0] > 0.6 * whole[counted > 0]).all()


def test_as_many_rows_as_there_are_change_nothing(store: FeedStore, finished: Path, tmp_path: Path) -> None:
    exact = dataclasses.replace(TRAINING, rows=len(store.split_rows("train")))
    run = train_response(store, tmp_path / "run", CONFIG, exact)
    for name in FILES[:2]:
        assert (run.path / name).read_bytes() == (finished / name).read_bytes()


@pytest.fixture(scope="module")
def world() -> FeedStore:
    return preset_store("tiny")


def test_propensity_trains_another_model(
    world: FeedStore, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    plain = trained(world, tmp_path_factory)
    run = train_response(world, tmp_path / "run", CONFIG, dataclasses.replace(TRAINING, weights="propensity"))
    one, two = (load_file(path / "model.safetensors") for path in (plain, run.path))
    assert (one["first"] != two["first"]).any()
    # The baseline of the play times counts every row once, whatever its odds.
    one, two = (load_file(path / "parts.safetensors") for path in (plain, run.path))
    np.testing.assert_array_equal(one["baseline.rate"], two["baseline.rate"])


def test_odds_are_the_ratio_of_what_both_logs_show(tmp_path: Path) -> None:
    """Of what the policy shows nine in ten are video 1, of what chance shows one half: weights of .5/.9 and .5/.1.

    On the day before the random log opened the policy showed other users video 1 alone, which must not count: the ratio
    would be 22, not 9. Four standard errors of ln(ratio) from the counts are .4; there are other numbers to be misled by.
    """
    rng = np.random.default_rng(0)
    start, day, standard, random = 1_649_500_000_000, 86_400_000, [], []
    for user in range(1, 161):
        for n in range(50):
            early = user > 80
            chance = not early and rng.random() < 0.3
            video = 1 if early or rng.random() < (0.5 if chance else 0.9) else 2
            time_ms, date = start + n * 600_000 + (not early) * day, 20220409 + (not early)
            row = log_row(user=user, video=video, time_ms=time_ms, date=date, is_rand=int(chance), play=5_000)
            (random if chance else standard).append(row)
    standard += [log_row(user=1, video=1, time_ms=start + d * day, date=20220409 + d) for d in (12, 13)]
    users = dict.fromkeys(range(1, 161), 0)
    # Without a date of upload, whose age would tell the days apart.
    videos = [video_row(video, upload_dt="") for video in (1, 2)]
    write_kuairand(tmp_path / "files", standard, users=users, videos=videos, random_logs=random)
    store = prepare(tmp_path / "files", tmp_path / "store")
    rows = store.split_rows("train")
    material = Material(store)
    odds = chance_odds(material, material.log.past_of(rows, "running"), seed=0)
    policy = store.events["is_rand"][rows] == 0
    video = store.videos["video_id"][store.events["video"][rows]]
    since = store.events["date"][rows] > 20220409
    assert odds[policy].mean() == pytest.approx(1, rel=1e-4)
    rare, common = (odds[policy & since & (video == v)].mean() for v in (2, 1))
    assert np.log(rare / common) == pytest.approx(np.log(9), abs=0.45)


def test_propensity_needs_a_random_log(store: FeedStore, tmp_path: Path) -> None:
    with pytest.raises(
        OptionError, match=r"200 training rows of the random log or more, found 0; train with --weights none"
    ):
        train_response(store, tmp_path / "run", CONFIG, dataclasses.replace(TRAINING, weights="propensity"))


# --- what is refused --------------------------------------------------------------------------------------------------


def test_folders_that_hold_something_else_are_refused(store: FeedStore, finished: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for folder in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(OutputError, match="new or empty folder"):
            train_response(store, folder, CONFIG, TRAINING)
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(OutputError, match="another training"):
        train_response(store, finished, CONFIG, dataclasses.replace(TRAINING, seed=1))
    with pytest.raises(OutputError, match="another model"):
        train_response(store, finished, dataclasses.replace(CONFIG, hidden=9), TRAINING)
    with pytest.raises(OutputError, match="another store"):
        train_response(preset_store("tiny"), finished, CONFIG, TRAINING)


def test_one_process_at_a_time(store: FeedStore, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with locked(tmp_path / "run"), pytest.raises(BusyError):
        train_response(store, tmp_path / "run", CONFIG, TRAINING)


def test_a_damaged_state_is_said(store: FeedStore, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train_response(store, tmp_path / "run", CONFIG, TRAINING, progress=stop_at(2, 1))
    (tmp_path / "run" / "state.pt").write_bytes(b"PK\x03\x04 not a state")
    with pytest.raises(RunError, match=r"state of an interrupted run.*remove the run's folder"):
        train_response(store, tmp_path / "run", CONFIG, TRAINING)


def test_a_store_without_validation_rows_is_refused(standin_files: Path, tmp_path: Path) -> None:
    options = PrepareOptions(train_until="20220420", valid_until="20220420", test_until="20220430")
    bare = prepare(standin_files, tmp_path / "store", options)
    with pytest.raises(OptionError, match=r"rows in the split 'valid', found none; prepare with --split"):
        train_response(bare, tmp_path / "run", CONFIG, TRAINING)
    assert not (tmp_path / "run").exists()


def test_so_few_rows_that_nothing_is_left_to_validate_on_are_refused(store: FeedStore, tmp_path: Path) -> None:
    """The first user has none on the validation day."""
    users = {split: store.events["user"][store.split_rows(split)] for split in ("train", "valid")}
    assert users["valid"].min() > 1
    few = dataclasses.replace(TRAINING, rows=int((users["train"] == 1).sum()))
    with pytest.raises(OptionError, match=r"--rows: .*'valid'.*ask for more"):
        train_response(store, tmp_path / "run", CONFIG, few)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("bad", [{"members": 0}, {"hidden": 0}, {"dropout": 1.0}, {"dropout": -0.1}])
def test_impossible_models_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(OptionError, match="expected"):
        ResponseConfig(**bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [
    {"epochs": 0}, {"rows": 0}, {"batch": 0}, {"learning_rate": 0.0}, {"learning_rate": float("nan")}, {"random_weight": 0},
    {"patience": 0}, {"average": 1.0}, {"weights": "all"},
])  # fmt: skip
def test_impossible_trainings_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(OptionError, match="expected"):
        ResponseTraining(**bad)  # type: ignore[arg-type]


def test_a_run_can_be_moved(store: FeedStore, finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "moved")
    run = load_response(tmp_path / "moved")
    run.check(store)
    assert train_response(store, tmp_path / "moved", CONFIG, TRAINING).path == tmp_path / "moved"
