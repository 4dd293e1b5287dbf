"""Training: learns, stops, resumes bit for bit, goes on in several processes, and refuses what it cannot do."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from svsim.data import FeedStore
from svsim.data.atomic import locked
from svsim.data.conversion import PrepareOptions, prepare
from svsim.errors import BusyError, OptionError, OutputError, RunError, TrainingError
from svsim.models.checkpoints import load_run
from svsim.models.config import ModelConfig, TrainingConfig, preset
from svsim.models.training import train

MODEL = ModelConfig(width=16, blocks=1, length=40, buckets=16, rare=2)
TRAINING = TrainingConfig(epochs=2, batch_events=4_096, learning_rate=3e-3, dense_rows=100)


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_run(run).network.state_dict()


def assert_same(one: Path, other: Path) -> None:
    a, b = weights(one), weights(other)
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name
    assert (one / "history.csv").read_bytes() == (other / "history.csv").read_bytes()
    assert (one / "metrics.json").read_bytes() == (other / "metrics.json").read_bytes()


@pytest.fixture(scope="module")
def finished(store: FeedStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(store, tmp_path_factory.mktemp("training") / "run", MODEL, TRAINING).path


def test_it_learns_and_leaves_what_the_contract_names(finished: Path) -> None:
    history = pd.read_csv(finished / "history.csv")
    assert history.valid_loss.iloc[-1] < history.train_loss.iloc[0]
    assert json.loads((finished / "metrics.json").read_text())["valid_loss"] == pytest.approx(history.valid_loss.min())
    told = json.loads((finished / "config.json").read_text())
    assert told["model"]["width"] == 16
    assert told["training"]["seed"] == 0
    assert list((finished / "tensorboard").glob("events*"))
    assert {file.suffix for file in finished.iterdir() if file.is_file()} == {".json", ".csv", ".safetensors"}


def test_same_seed_same_weights_and_a_finished_run_is_left_alone(
    store: FeedStore, finished: Path, tmp_path: Path
) -> None:
    train(store, tmp_path / "again", MODEL, TRAINING)
    assert_same(finished, tmp_path / "again")
    written = (finished / "model.safetensors").stat().st_mtime_ns
    train(store, finished, MODEL, TRAINING)
    assert (finished / "model.safetensors").stat().st_mtime_ns == written


@pytest.mark.parametrize("stop", [1, 3, 4, 6])
def test_interrupted_and_resumed_it_ends_with_the_same_weights(
    store: FeedStore, finished: Path, tmp_path: Path, stop: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 0

    def killed(task: str, done: int, whole: int | None) -> None:
        nonlocal steps
        steps += task.startswith("epoch")
        if steps == stop:
            raise KeyboardInterrupt

    # Whether a state is saved in between is no part of what a run is: save after every step here.
    monkeypatch.setattr("svsim.models.training.SAVE_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        train(store, tmp_path / "run", MODEL, TRAINING, progress=killed)
    assert not (tmp_path / "run" / "metrics.json").exists()
    train(store, tmp_path / "run", MODEL, TRAINING)
    assert_same(finished, tmp_path / "run")


@pytest.mark.slow
def test_two_processes_have_the_loss_curve_of_one(store: FeedStore, tmp_path: Path) -> None:
    """Dropout aside, whose draws are each process's own."""
    script = tmp_path / "work.py"
    script.write_text(
        "import sys\n"
        "from svsim.data.store import open_store\n"
        "from svsim.models.config import ModelConfig, TrainingConfig\n"
        "from svsim.models.parallel import join_processes\n"
        "from svsim.models.training import train\n"
        "join_processes()\n"
        "model = ModelConfig(width=16, blocks=1, length=40, buckets=16, rare=2, dropout=0, id_dropout=0, moment_dropout=0)\n"
        "for name in ('mean', 'group-dro', 'cvar'):\n"
        "    training = TrainingConfig(\n"
        "        epochs=2, batch_events=1_500, learning_rate=3e-3, dense_rows=100, objective=name\n"
        "    )\n"
        "    train(open_store(sys.argv[1]), sys.argv[2] + '-' + name, model, training)\n"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    alone = [sys.executable, str(script), str(store.path), str(tmp_path / "one")]
    both = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    subprocess.run(alone, check=True, env=environment, capture_output=True)
    found = subprocess.run(
        [*both, *alone[1:3], str(tmp_path / "two")], check=False, env=environment, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr
    for name in ("mean", "group-dro", "cvar"):
        one, two = (pd.read_csv(tmp_path / f"{runs}-{name}" / "history.csv") for runs in ("one", "two"))
        np.testing.assert_allclose(two, one, rtol=2e-4, err_msg=name)


def test_early_stop_keeps_the_best(store: FeedStore, tmp_path: Path) -> None:
    wild = dataclasses.replace(TRAINING, epochs=40, patience=1, learning_rate=0.03, warm_up=1, average=0.0)
    run = train(store, tmp_path / "run", MODEL, wild)
    history = pd.read_csv(run.path / "history.csv")
    best = int(history.valid_loss.argmin())
    assert len(history) < 40
    assert len(history) == best + 2
    assert json.loads((run.path / "metrics.json").read_text())["epoch"] == best + 1


def test_a_loss_that_is_no_number_names_step_and_rate_and_keeps_the_last_good_weights(
    store: FeedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from svsim.models.training import Trainer

    learn, calls = Trainer._losses, 0

    def losses(self: Trainer, batch: object) -> dict[str, torch.Tensor]:
        nonlocal calls
        found = learn(self, batch)  # type: ignore[arg-type]
        if self.network.training:
            calls += 1
            if self.epoch == 1:
                found["loss"] = found["loss"] * float("nan")
        return found

    monkeypatch.setattr(Trainer, "_losses", losses)
    with pytest.raises(TrainingError, match=r"loss is nan at step \d+, learning rate [\d.e-]+") as caught:
        train(store, tmp_path / "run", MODEL, TRAINING)
    assert "lower the learning rate" in str(caught.value)
    assert calls > 1
    for value in weights(tmp_path / "run").values():
        assert torch.isfinite(value).all()


def test_folders_that_hold_something_else_are_refused(store: FeedStore, finished: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="new or empty folder"):
        train(store, tmp_path, MODEL, TRAINING)
    with pytest.raises(OutputError, match="another training"):
        train(store, finished, MODEL, dataclasses.replace(TRAINING, seed=1))
    with pytest.raises(OutputError, match="another model"):
        train(store, finished, dataclasses.replace(MODEL, width=32), TRAINING)


def test_one_process_at_a_time(store: FeedStore, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with locked(tmp_path / "run"), pytest.raises(BusyError):
        train(store, tmp_path / "run", MODEL, TRAINING)


def test_a_damaged_state_is_said(store: FeedStore, tmp_path: Path) -> None:
    def killed(task: str, done: int, whole: int | None) -> None:
        if task == "epoch 2":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(store, tmp_path / "run", MODEL, TRAINING, progress=killed)
    (tmp_path / "run" / "state.pt").write_bytes(b"PK\x03\x04 not a state")
    with pytest.raises(RunError, match=r"state of an interrupted run.*remove the run's folder"):
        train(store, tmp_path / "run", MODEL, TRAINING)


def test_a_store_without_validation_rows_is_refused(standin_files: Path, tmp_path: Path) -> None:
    options = PrepareOptions(train_until=20220420, valid_until=20220420, test_until=20220430)
    bare = prepare(standin_files, tmp_path / "store", options)
    with pytest.raises(OptionError, match="expected validation rows"):
        train(bare, tmp_path / "run", MODEL, TRAINING)


@pytest.mark.parametrize(
    "bad", [{"width": 10}, {"width": 4}, {"blocks": 0}, {"heads": ()}, {"heads": ("joy",)}, {"length": 0}]
)
def test_impossible_models_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises((OptionError, KeyError)):
        dataclasses.replace(ModelConfig(), **bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [{"epochs": 0}, {"batch_events": 0}, {"learning_rate": 0.0}, {"average": 1.0}])
def test_impossible_trainings_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        dataclasses.replace(TrainingConfig(), **bad)  # type: ignore[arg-type]


def test_presets() -> None:
    model, training = preset("paper")
    assert (model.width, model.blocks, model.attention_heads, model.length) == (128, 4, 4, 500)
    assert (training.epochs, training.learning_rate, training.weight_decay) == (75, 1e-3, 1e-3)
    assert preset("default", head="wtg")[0].heads == ("wtg",)
    for arguments in ({"name": "huge"}, {"name": "default", "head": "joy"}):
        with pytest.raises(KeyError):
            preset(**arguments)
