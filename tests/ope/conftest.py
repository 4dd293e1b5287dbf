"""A small world whose random log is worth asking."""

from __future__ import annotations

import dataclasses

import pytest

from svsim.data.conversion import prepare
from svsim.data.store import FeedStore
from svsim.world import PRESETS, write_world


@pytest.fixture(scope="session")
def chance_store(tmp_path_factory: pytest.TempPathFactory) -> FeedStore:
    """A world of 150 users, a tenth of whose feed is the random log's."""
    config = dataclasses.replace(PRESETS["tiny"], users=150, random_share=0.1, seed=5)
    folder = tmp_path_factory.mktemp("chance")
    return prepare(write_world(folder / "world", config), folder / "store")
