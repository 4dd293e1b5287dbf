"""From an argument of Feed-v0 to a model of the users: the truth, a folder, a model itself, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from svsim.data import FeedStore
from svsim.envs import FeedEnv
from svsim.errors import OptionError, RunError, SvsimError
from svsim.response.learned import LearnedResponse
from svsim.response.opening import open_response
from svsim.response.truth import TruthResponse
from svsim.world import preset_store
from tests.models.response.stores import trained

GATES = [{"name": "base rate, click", "verdict": "failed"}, {"name": "base rate, long view", "verdict": "passed"}]


@pytest.fixture
def run(store: FeedStore, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run without a card."""
    shutil.copytree(trained(store, tmp_path_factory), tmp_path / "run", ignore=shutil.ignore_patterns("tensorboard"))
    return tmp_path / "run"


def give_card(run: Path, **card: object) -> None:
    (run / "card.json").write_text(json.dumps({"gates": GATES, **card}))


@pytest.mark.parametrize("response", [None, "truth"])
def test_the_truth_answers_where_it_is_known(response: str | None) -> None:
    assert isinstance(open_response(response, preset_store("tiny")), TruthResponse)


@pytest.mark.parametrize("response", [None, "truth"])
def test_a_log_without_truth_needs_a_model(store: FeedStore, response: str | None) -> None:
    for ask in (lambda: open_response(response, store), lambda: FeedEnv(store, response=response)):
        with pytest.raises(OptionError, match=r"expected a response model.*svsim train response"):
            ask()


def test_a_model_is_taken_as_it_is(store: FeedStore) -> None:
    model = TruthResponse(preset_store("tiny"))
    assert open_response(model, store) is model


def test_a_run_needs_a_card_that_passed_or_was_accepted(store: FeedStore, run: Path) -> None:
    for ask in (lambda: open_response(run, store), lambda: FeedEnv(store, response=run)):
        with pytest.raises(RunError, match=r"with a calibration card, found none; run `svsim train response`"):
            ask()
    give_card(run, passed=False)
    for ask in (lambda: open_response(str(run), store), lambda: FeedEnv(store, response=run)):
        with pytest.raises(
            RunError, match=r"found 1 failed gates \(base rate, click\); train it with --accept-bad-card"
        ):
            ask()
    give_card(run, passed=False, accepted=True)
    assert isinstance(open_response(str(run), store), LearnedResponse)
    observation, _ = FeedEnv(store, response=run).reset(seed=0)
    assert observation["candidate_video"].all()
    give_card(run, passed=True)
    assert isinstance(open_response(run, store), LearnedResponse)
    # A card that was made anew counts, though the model is in memory.
    give_card(run, passed=False)
    with pytest.raises(RunError, match="failed gates"):
        open_response(run, store)


@pytest.mark.parametrize("words", ["nothing/there", "notes.txt"])
def test_what_is_no_run_is_refused(store: FeedStore, tmp_path: Path, words: str) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(
        SvsimError, match=r"expected a response model, found nothing; make one with `svsim train response`"
    ):
        open_response(tmp_path / words, store)


def test_an_unfinished_run_is_refused(store: FeedStore, run: Path) -> None:
    (run / "parts.safetensors").unlink()
    with pytest.raises(RunError, match=r"finished training, found no parts.safetensors"):
        open_response(run, store)


def test_a_run_of_another_store_is_refused(run: Path) -> None:
    give_card(run, passed=True)
    with pytest.raises(RunError, match="response model of the store"):
        open_response(run, preset_store("tiny"))


def test_environments_share_a_model(store: FeedStore, run: Path) -> None:
    give_card(run, passed=True)
    pool = np.array([3, 5, 8])
    first = open_response(run, store, pool)
    assert open_response(str(run), store, [3, 5, 8]) is first
    assert open_response(run, store, np.array([3, 5, 9])) is not first
    assert open_response(run, store) is not first
    # Trained again in the same place it is another one.
    os.utime(run / "model.safetensors", ns=(1, 1))
    assert open_response(run, store, pool) is not first


def test_a_pool_is_passed_on(store: FeedStore, run: Path) -> None:
    give_card(run, passed=True)
    model = open_response(run, store, np.array([3, 5, 8]))
    event = np.array([10])
    from svsim.response import Past

    state = model.begin(
        np.asarray(store.events["user"][event], dtype=np.int64), Past(event, store.events["time_ms"][event], event)
    )
    assert model.expect(state, np.array([[3, 8]]))["click"].all()
    with pytest.raises(OptionError, match="videos of the pool, found 4"):
        model.expect(state, np.array([[3, 4]]))
