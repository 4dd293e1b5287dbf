"""Logged sessions in d3rlpy's own file format, which needs no d3rlpy to be written."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from svsim._version import __version__
from svsim.data.atomic import atomic_folder
from svsim.data.store import FeedStore
from svsim.errors import OptionError
from svsim.export.episodes import ENV, LoggedEpisode, logged_episodes, session_count

__all__ = ["COLUMNS", "DATASET", "FORMAT_VERSION", "LAYOUT", "export_d3rlpy"]

Floats = npt.NDArray[np.float32]

DATASET, LAYOUT = "dataset.h5", "layout.json"
FORMAT_VERSION = "2.1"
"""Of d3rlpy.dataset.io."""
COLUMNS = ("observations", "actions", "rewards", "terminated")


def export_d3rlpy(
    store: FeedStore,
    out: str | Path,
    arguments: Mapping[str, Any],
    *,
    most: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write logged sessions as `dataset.h5`, which `d3rlpy.dataset.ReplayBuffer.load` reads, and `layout.json`.

    An observation is one vector: the SB3 face's features, key after key in alphabetical order, then the mask;
    `layout.json` says what is where. An episode of T actions has T + 1 rows, the last of them the final observation with
    action and reward 0: d3rlpy drops the last row of an episode that did not terminate, and so loses nothing. Beside
    d3rlpy's columns, which its loader names, stand `action_mask_i` (T + 1, K) and `propensity_i` (T,) of episode i.

    Args:
        store: The log.
        out: A new or empty folder.
        arguments: The environment's, without store.
        most: Sessions, at most.
        progress: Told of sessions written and of their number.

    Raises:
        OptionError: h5py is not installed, or no session is long enough.
        OutputError: The folder holds something, or the disk refuses.
    """
    try:
        import h5py
    except ImportError as error:
        raise OptionError(
            f"expected h5py to be installed, found none ({error})",
            where="--format d3rlpy",
            remedy='pip install -c constraints.txt "svsim[minari]"',
        ) from error
    from svsim.envs.sb3 import Flattening

    whole = session_count(store, arguments, most)
    space = gym.make(ENV, store=store, **arguments).observation_space
    assert isinstance(space, gym.spaces.Dict)
    flatten = Flattening(space, False)
    out = Path(out)
    with atomic_folder(out) as folder:
        with h5py.File(folder / DATASET, "w") as file:
            file.create_dataset("columns", data=list(COLUMNS))
            file.create_dataset("num_episodes", data=whole)
            file.create_dataset("version", data=FORMAT_VERSION)
            for number, episode in enumerate(logged_episodes(store, arguments, most)):
                for name, values in _columns(episode, flatten).items():
                    file.create_dataset(f"{name}_{number}", data=values)
                if progress is not None:
                    progress(number + 1, whole)
        layout = {
            "svsim": __version__,
            "store": store.fingerprint,
            "arguments": dict(arguments),
            "observation": [
                {"key": name, "shape": list(space[name].shape or ()), "size": int(np.prod(space[name].shape or ()))}
                for name in [*_features(flatten), "action_mask"]
            ],
            "actions": int(space["action_mask"].shape[0]),  # type: ignore[index]
        }
        (folder / LAYOUT).write_text(json.dumps(layout, indent=1) + "\n")
    return out


def _features(flatten: Any) -> list[str]:
    return sorted(flatten.space.spaces)


def _columns(episode: LoggedEpisode, flatten: Any) -> dict[str, Any]:
    flat = flatten(episode.observations, (len(episode.rewards) + 1,))
    mask = episode.observations["action_mask"]
    return {
        "observations": np.concatenate([*(flat[name] for name in _features(flatten)), mask], axis=1, dtype=np.float32),
        "actions": np.append(episode.actions, 0)[:, None],
        "rewards": np.append(episode.rewards, 0.0).astype(np.float32)[:, None],
        "terminated": bool(episode.terminated[-1]),
        "action_mask": mask,
        "propensity": episode.steps["propensity"],
    }
