"""Logged sessions as offline-RL data for other libraries."""

from svsim.export.d3rlpy_file import export_d3rlpy
from svsim.export.episodes import LoggedEpisode, logged_episodes
from svsim.export.minari_dataset import export_minari

__all__ = ["LoggedEpisode", "export_d3rlpy", "export_minari", "logged_episodes"]
