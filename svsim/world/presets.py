"""Stores by name: the worlds of the presets, built on first use, kept in `$SVSIM_HOME`."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from pathlib import Path

from svsim._version import __version__
from svsim.data.conversion import prepare
from svsim.data.store import VERSION, FeedStore, is_store, open_store
from svsim.errors import BusyError, UnknownNameError
from svsim.world.config import PRESETS
from svsim.world.constants import constants_fingerprint
from svsim.world.files import write_world

__all__ = ["PRESETS", "built_preset_stores", "find_store", "home", "preset_store"]

PATIENCE_S, PAUSE_S = 120.0, 0.2


def home() -> Path:
    """Where things built on first use are kept: `$SVSIM_HOME`, else the platform's user data folder."""
    import platformdirs

    return Path(os.environ.get("SVSIM_HOME") or platformdirs.user_data_dir("svsim"))


def preset_store(name: str) -> FeedStore:
    """Open the store of a preset; the first call builds it.

    Raises:
        UnknownNameError: No such preset.
        OutputError: `$SVSIM_HOME` cannot be written.
    """
    if name not in PRESETS:
        raise UnknownNameError(f"expected a preset of {', '.join(PRESETS)}, found {name!r}", where="store")
    path = _place(name)
    waited = 0.0
    while not is_store(path):
        try:
            with tempfile.TemporaryDirectory(prefix="svsim-") as folder:
                return prepare(write_world(Path(folder) / "world", PRESETS[name]), path)
        except BusyError:
            # Another process builds it: workers of a pool ask for it at the same moment.
            if waited > PATIENCE_S:
                raise
            time.sleep(PAUSE_S)
            waited += PAUSE_S
    return open_store(path)


def _place(name: str) -> Path:
    """Where a preset's store is kept; what another version, size or set of constants would make lies elsewhere."""
    made_by = hashlib.sha256(f"{__version__} {VERSION} {PRESETS[name]} {constants_fingerprint()}".encode()).hexdigest()
    return home() / "stores" / f"{name}-{made_by[:8]}"


def built_preset_stores() -> list[FeedStore]:
    """The stores of the presets that were built already."""
    return [open_store(path) for path in map(_place, PRESETS) if is_store(path)]


def find_store(store: str | Path | FeedStore) -> FeedStore:
    """The store that an argument means: itself, the name of a preset, or a path.

    Raises:
        StoreError: The path holds no store.
    """
    if isinstance(store, FeedStore):
        return store
    if isinstance(store, str) and store in PRESETS:
        return preset_store(store)
    return open_store(store)
