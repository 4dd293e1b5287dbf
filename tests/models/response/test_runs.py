"""Runs on disk: what is written is read again; whatever is broken is one error that says what to do."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from svsim.data import FeedStore
from svsim.errors import RunError
from svsim.models.response.runs import load_response, read_config, save_parts
from svsim.world import preset_store
from tests.models.response.stores import trained


@pytest.fixture(scope="module")
def finished(store: FeedStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(store, tmp_path_factory)


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "copy", ignore=shutil.ignore_patterns("tensorboard"))
    return tmp_path / "copy"


def test_what_is_written_is_read_again(finished: Path, tmp_path: Path) -> None:
    run = load_response(finished)
    assert run.card is None
    save_parts(tmp_path, load_file(finished / "model.safetensors"), run.parts)
    for name in ("model.safetensors", "parts.safetensors"):
        assert (tmp_path / name).read_bytes() == (finished / name).read_bytes()
    for part in dataclasses.fields(run.parts):
        for name, value in vars(getattr(run.parts, part.name)).items():
            assert np.all(np.isfinite(np.asarray(value, dtype=float))), (part.name, name)


def without(name: str) -> Callable[[Path], None]:
    return lambda run: (run / name).unlink()


def holding(name: str, content: str | bytes) -> Callable[[Path], None]:
    data = content.encode() if isinstance(content, str) else content
    return lambda run: (run / name).write_bytes(data) and None


def config(**entries: object) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        told = {**json.loads((run / "config.json").read_text()), **entries}
        (run / "config.json").write_text(json.dumps({name: value for name, value in told.items() if value is not None}))

    return change


def arrays(file: str, change: Callable[[dict[str, np.ndarray]], None]) -> Callable[[Path], None]:
    def edit(run: Path) -> None:
        held = load_file(run / file)
        change(held)
        save_file(held, run / file)

    return edit


def folder(name: str) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        (run / name).unlink()
        (run / name).mkdir()

    return change


AGAIN = "remove the folder and train it again"
FILES = "a response model's files, found: .*; " + AGAIN
BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "no folder": (shutil.rmtree, r"found nothing; make one with `svsim train response`"),
    "no config": (without("config.json"), r"config.json: expected a response model.*make one"),
    "garbage config": (holding("config.json", "not json"), r"config.json: expected a response model.*make one"),
    "binary config": (holding("config.json", b"\xff\xfe\x00"), r"config.json: expected a response model.*make one"),
    "config of a list": (holding("config.json", "[]"), r"found list; make one"),
    "config is a folder": (folder("config.json"), r"config.json: expected a response model.*make one"),
    "another format": (config(format="svsim-run"), r"found svsim-run; make one"),
    "another version": (config(version=99), r"run format \d+, found 99; train again"),
    "no version": (config(version=None), r"run format \d+, found None; train again"),
    "no store": (config(store=None), r"fingerprint of its store, found none; make one"),
    "no weights": (without("model.safetensors"), r"found no model.safetensors; run the training again"),
    "no parts": (without("parts.safetensors"), r"found no parts.safetensors; run the training again"),
    "garbage weights": (holding("model.safetensors", "garbage"), FILES),
    "cut weights": (holding("parts.safetensors", b""), FILES),
    "weights are a folder": (folder("model.safetensors"), FILES),
    "a weight is missing": (arrays("model.safetensors", lambda a: a.pop("second")), r"found: .*second.*" + AGAIN),
    "a part is missing": (arrays("parts.safetensors", lambda a: a.pop("usual.weight")), r"found: .*usual.*" + AGAIN),
    "a scale is missing": (arrays("parts.safetensors", lambda a: a.pop("scales.user_mean")), FILES),
    "a scale too many": (arrays("parts.safetensors", lambda a: a.update({"scales.x": np.zeros(2)})), FILES),
    "an empty part": (arrays("parts.safetensors", lambda a: a.update({"leaving.gap_sd": np.zeros(0)})), FILES),
    "weights of other inputs": (arrays("model.safetensors", lambda a: a.update(first=a["first"][:-3])), FILES),
    "scales of other inputs": (
        arrays("parts.safetensors", lambda a: a.update({"scales.video_mean": a["scales.video_mean"][3:]})),
        r"weights of \d+ inputs, scales of \d+; remove the folder",
    ),
    "garbage card": (
        holding("card.json", "not json"),
        r"card.json: expected a calibration card, .*; remove it and run",
    ),
    "card of a list": (holding("card.json", "[]"), r"card.json: expected a calibration card, .*; remove it and run"),
    "card without a verdict": (
        holding("card.json", "{}"),
        r"card.json: expected a calibration card, .*; remove it and run",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_is_one_error_with_a_remedy(copy: Path, what: str) -> None:
    break_it, words = BROKEN[what]
    break_it(copy)
    with pytest.raises(RunError, match=words) as caught:
        load_response(copy)
    assert caught.value.remedy
    assert str(copy) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")
    with pytest.raises(RunError, match="found nothing"):
        read_config(tmp_path / "run")


def test_a_run_of_another_store_is_refused(finished: Path, store: FeedStore) -> None:
    run = load_response(finished)
    run.check(store)
    with pytest.raises(
        RunError, match=rf"model of the store \w{{16}}, found one of {store.fingerprint[:16]}"
    ) as caught:
        run.check(preset_store("tiny"))
    assert "svsim train response --store" in str(caught.value)


def card(passed: bool, **more: object) -> str:
    gates = [{"name": f"gate {n}", "verdict": "passed" if passed else "failed"} for n in range(5)]
    return json.dumps({"passed": passed, "gates": gates, **more})


@pytest.mark.parametrize(("content", "words"), [
    (None, r"with a calibration card, found none; run `svsim train response` with the same arguments again"),
    (card(False), r"found 5 failed gates \(gate 0, gate 1, gate 2\); train it with --accept-bad-card"),
    (card(False, accepted=False), r"found 5 failed gates"),
    (card(False, accepted=True), None),
    (card(True), None),
])  # fmt: skip
def test_a_card_must_have_passed_or_been_accepted(copy: Path, content: str | None, words: str | None) -> None:
    if content is not None:
        (copy / "card.json").write_text(content)
    run = load_response(copy)
    if words is None:
        run.check_card()
    else:
        with pytest.raises(RunError, match=words):
            run.check_card()
