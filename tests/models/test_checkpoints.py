"""Runs on disk: round trips, and files at fault in one line each."""

from __future__ import annotations

import io
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from svsim.data import FeedStore
from svsim.data.conversion import PrepareOptions, prepare
from svsim.errors import RunError
from svsim.models.checkpoints import load_run
from svsim.models.prediction import predict
from svsim.models.windows import Material


@pytest.fixture
def run(sasrec4sv_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(sasrec4sv_run, tmp_path / "run")


def refused(run: Path, *words: str) -> None:
    with pytest.raises(RunError) as caught:
        load_run(run)
    message = str(caught.value)
    assert "\n" not in message
    for word in (str(run), *words):
        assert word in message, message


def test_a_copy_predicts_the_same(sasrec4sv_run: Path, run: Path, store: FeedStore) -> None:
    found = [
        predict(one, Material(store, one.inputs), "test", "running") for one in (load_run(sasrec4sv_run), load_run(run))
    ]
    for name, values in found[0].items():
        np.testing.assert_array_equal(values, found[1][name])
        assert np.isfinite(values).all()


def test_inputs_come_back(run: Path, store: FeedStore) -> None:
    opened = load_run(run)
    assert opened.inputs.tag_sets == store.video_tags
    assert opened.manifest["store"] == store.fingerprint
    opened.check(store)


def test_another_store_is_refused(run: Path, standin_files: Path, tmp_path: Path) -> None:
    other = prepare(standin_files, tmp_path / "other", PrepareOptions(keep_zero_duration=True))
    with pytest.raises(RunError, match=r"expected a run of the store \w{16}, found one of \w{16}; train on"):
        load_run(run).check(other)


class Bomb:
    """A pickle that says so when it is loaded."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return Path.touch, (Path("exploded"),)  # type: ignore[return-value]


@pytest.mark.parametrize("file", ["model.safetensors", "inputs.safetensors"])
def test_a_pickle_is_never_loaded(run: Path, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (run / file).write_bytes(pickle.dumps(Bomb()))
    refused(run, "expected weights that fit config.json")
    content = io.BytesIO()
    torch.save({"weight": torch.zeros(3)}, content)
    (run / file).write_bytes(content.getvalue())
    refused(run, "expected weights that fit config.json")
    assert not Path("exploded").exists()


def test_a_pickled_state_is_never_loaded(store: FeedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from svsim.models.config import ModelConfig, TrainingConfig
    from svsim.models.training import train

    monkeypatch.chdir(tmp_path)
    model, training = ModelConfig(width=8, blocks=1, length=5, attention_heads=1), TrainingConfig(epochs=3)

    def killed(task: str, done: int, whole: int | None) -> None:
        if task == "epoch 2":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(store, tmp_path / "run", model, training, progress=killed)
    (tmp_path / "run" / "state.pt").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(RunError, match="state of an interrupted run"):
        train(store, tmp_path / "run", model, training)
    assert not Path("exploded").exists()


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def reword(file: Path, **changes: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda run: shutil.rmtree(run), ["expected a run, found nothing", "svsim train sasrec4sv"]),
        (lambda run: truncate(run / "config.json"), ["config.json", "train it again"]),
        (lambda run: reword(run / "config.json", format="svsim-store"), ["another format"]),
        (lambda run: reword(run / "config.json", version=99), ["expected run format 1, found 99"]),
        (lambda run: reword(run / "config.json", model={"width": 32, "heads": ["wtr"]}), ["expected weights that fit"]),
        (lambda run: reword(run / "config.json", model={"heads": ["joy"]}), ["joy"]),
        (lambda run: truncate(run / "model.safetensors"), ["expected weights that fit"]),
        (lambda run: truncate(run / "inputs.safetensors"), ["expected weights that fit"]),
        (lambda run: (run / "model.safetensors").unlink(), ["expected a finished epoch", "goes on where it was"]),
        (lambda run: (run / "model.safetensors").write_bytes(b""), ["expected weights that fit"]),
        (
            lambda run: shutil.copy(run / "inputs.safetensors", run / "model.safetensors"),
            ["expected weights that fit"],
        ),
    ],
)
def test_damage_is_one_line(run: Path, damage: Callable[[Path], object], words: list[str]) -> None:
    damage(run)
    refused(run, *words)
