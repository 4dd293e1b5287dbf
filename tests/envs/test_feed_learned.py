"""Feed-v0 with learned users: every checker, exactly as with the truth."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.env_checker import check_env as sb3_check_env

from svsim.data import FeedStore
from svsim.envs.sb3 import SB3Observation
from svsim.response import Past
from svsim.response.learned import open_learned
from svsim.testing import check_env, check_vector_env
from tests.models.response.stores import trained

ID = "svsim/Feed-v0"
VARIANTS: list[dict[str, Any]] = [
    {"privileged": True},
    {"actions": "catalogue"},
    {"slate_size": 3},
    {"sessions": 3, "horizon": 25},
    {"request_size": 3, "repeats": True, "retrieval": "popularity"},
]


@pytest.fixture(scope="module")
def run(store: FeedStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose card, of which nothing is known here, was accepted."""
    folder = tmp_path_factory.mktemp("accepted") / "run"
    shutil.copytree(trained(store, tmp_path_factory), folder)
    (folder / "card.json").write_text(json.dumps({"passed": False, "accepted": True, "gates": []}))
    return folder


def arguments(store: FeedStore, run: Path, variant: dict[str, Any]) -> dict[str, Any]:
    return {"store": store, "response": run, "candidates": 5, "history": 4, "horizon": 12, **variant}


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: next(iter(variant)))
def test_single(store: FeedStore, run: Path, variant: dict[str, Any]) -> None:
    check_env(gym.make(ID, **arguments(store, run, variant)))


@pytest.mark.parametrize("rows", [1, 9])
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: next(iter(variant)))
def test_vector_equals_singles(store: FeedStore, run: Path, variant: dict[str, Any], rows: int) -> None:
    vector = gym.make_vec(ID, num_envs=rows, vectorization_mode="vector_entry_point", **arguments(store, run, variant))
    check_vector_env(vector, steps=30)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: next(iter(variant)))
def test_stable_baselines3(store: FeedStore, run: Path, variant: dict[str, Any]) -> None:
    sb3_check_env(SB3Observation(gym.make(ID, **arguments(store, run, variant)).unwrapped))


def test_a_row_expects_the_same_bytes_whatever_the_batch(store: FeedStore, run: Path) -> None:
    model = open_learned(run, store)
    sessions = store.sessions("test")
    event = sessions.rows[sessions.start[:30]]
    user, time_ms = sessions.user[:30].astype(np.int64), store.events["time_ms"][event]
    past = Past(event, time_ms, np.arange(30, dtype=np.uint64))
    videos = np.random.default_rng(0).integers(1, store.n_videos + 1, (30, 7))
    whole = model.expect(model.begin(user, past), videos)
    for row in range(0, 30, 7):
        one = slice(row, row + 1)
        alone = model.begin(user[one], Past(event[one], time_ms[one], past.key[one]))
        for name, values in model.expect(alone, videos[one]).items():
            assert values.tobytes() == whole[name][one].tobytes(), name
