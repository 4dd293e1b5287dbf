"""Fixtures that several rooms share."""

from __future__ import annotations

import os

# Before numpy and torch: workers of the suite that spin several threads each wait for one another.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from svsim.data.conversion import prepare
from svsim.data.store import FeedStore
from svsim.world import PRESETS, write_world
from svsim.world.standin import StandIn, write_standin

KUAIRAND_DIR = os.environ.get("SVSIM_KUAIRAND_DIR", str(Path(__file__).parents[2] / "shared/data/kuairand-pure"))

TINY = StandIn(users=80, videos=300, rows=16_000, days=16)


@pytest.fixture(scope="session", autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Presets are built in a folder of this run's, shared by its workers, never in the developer's own."""
    base = tmp_path_factory.getbasetemp()
    run = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SVSIM_HOME", str(run / "home"))
        yield


@pytest.fixture(scope="session")
def standin_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small stand-in in KuaiRand's CSV layout; do not change it, copy it."""
    return write_standin(tmp_path_factory.mktemp("standin") / "files", TINY)


@pytest.fixture(scope="session")
def store(standin_files: Path, tmp_path_factory: pytest.TempPathFactory) -> FeedStore:
    """The store of the small stand-in."""
    return prepare(standin_files, tmp_path_factory.mktemp("store") / "tiny")


@pytest.fixture(scope="session")
def chance_store(tmp_path_factory: pytest.TempPathFactory) -> FeedStore:
    """A world of 150 users, a tenth of whose feed is the random log's."""
    config = dataclasses.replace(PRESETS["tiny"], users=150, random_share=0.1, seed=5)
    folder = tmp_path_factory.mktemp("chance")
    return prepare(write_world(folder / "world", config), folder / "store")


@pytest.fixture(scope="session")
def kuairand_dir() -> Path:
    """The real KuaiRand-Pure files; skips where they are not."""
    folder = Path(KUAIRAND_DIR)
    if not folder.is_dir():
        pytest.skip(f"no KuaiRand-Pure in {folder}: set SVSIM_KUAIRAND_DIR to its folder")
    return folder


@pytest.fixture(scope="session")
def real_store(kuairand_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> FeedStore:
    """The store of the real KuaiRand-Pure files."""
    return prepare(kuairand_dir, tmp_path_factory.mktemp("real") / "store")


@pytest.fixture(scope="session")
def sasrec4sv_run(store: FeedStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained SASRec4SV of the small stand-in: every head, little width."""
    from svsim.models.config import ModelConfig, TrainingConfig
    from svsim.models.training import train

    model = ModelConfig(width=16, blocks=2, length=40, buckets=64)
    training = TrainingConfig(epochs=1, batch_events=4_096, learning_rate=3e-3)
    return train(store, tmp_path_factory.mktemp("run") / "run", model, training).path
