"""Logged sessions as a Minari dataset."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping
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

__all__ = ["export_minari"]

Array = npt.NDArray[Any]


def export_minari(
    store: FeedStore,
    out: str | Path,
    arguments: Mapping[str, Any],
    *,
    most: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write logged sessions as a dataset that `minari.MinariDataset(out)` reads.

    Observations, actions and rewards are the environment's; masks are in `observations["action_mask"]`. `infos` have, as
    Minari's own, an entry more than there are actions: entry t + 1 belongs to action t, entry 0 to the reset. The
    environment is recorded, so that `recover_environment()` gives it back where the store still is.

    Args:
        store: The log.
        out: A new or empty folder.
        arguments: The environment's, without store.
        most: Sessions, at most.
        progress: Told of sessions written and of their number.

    Raises:
        OptionError: Minari is not installed, or no session is long enough.
        OutputError: The folder holds something, or the disk refuses.
    """
    try:
        from minari.data_collector import EpisodeBuffer
        from minari.dataset.minari_storage import MinariStorage
    except ImportError as error:
        raise OptionError(
            f"expected Minari to be installed, found none ({error})",
            where="--format minari",
            remedy='pip install -c constraints.txt "svsim[minari]"',
        ) from error
    whole = session_count(store, arguments, most)
    env = gym.make(ENV, store=str(store.path), **arguments)
    assert env.spec is not None

    def buffers() -> Iterator[EpisodeBuffer]:
        for number, episode in enumerate(logged_episodes(store, arguments, most)):
            yield EpisodeBuffer(
                observations=episode.observations,
                actions=episode.actions,
                rewards=episode.rewards,
                terminations=episode.terminated,
                truncations=episode.truncated,
                infos=_infos(episode),
            )
            if progress is not None:
                progress(number + 1, whole)

    out = Path(out)
    with atomic_folder(out) as folder:
        storage = MinariStorage.new(
            folder, observation_space=env.observation_space, action_space=env.action_space, env_spec=env.spec
        )
        storage.update_metadata(
            {
                "dataset_id": f"svsim/{re.sub(r'[^A-Za-z0-9_]+', '-', store.path.name).strip('-') or 'store'}-v0",
                "minari_version": _minari_version(),
                "algorithm_name": "the platform's log",
                "description": f"{whole} sessions of a svsim store ({store.fingerprint}), in the order of the log",
                "svsim_version": __version__,
            }
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            storage.update_episodes(buffers())
    return out


def _minari_version() -> str:
    from importlib.metadata import version

    return version("minari")


def _infos(episode: LoggedEpisode) -> dict[str, Array]:
    blank = {"propensity": np.nan, "video_id": -1}
    infos = {
        name: np.concatenate([np.full((1, *values.shape[1:]), blank.get(name, 0), dtype=values.dtype), values])
        for name, values in episode.steps.items()
    }
    return {**infos, "user_id": np.full(len(episode.actions) + 1, episode.user_id)}
