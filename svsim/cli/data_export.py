"""`svsim data export`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from svsim.cli.benchmark import SessionGap
from svsim.cli.output import console, print_json, task_progress

__all__ = ["Export"]


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write logged sessions as data for offline reinforcement learning: svsim/Replay-v0 in the order of the log."""

    store: Positional[Path]
    """A store's folder, or the name of a preset."""
    out: Path
    """Where it goes; must not exist or be empty."""
    format: Literal["minari", "d3rlpy"] = "minari"
    """Whose data: a Minari dataset, or d3rlpy's file."""
    split: Literal["train", "valid", "test"] = "train"
    """Split that the sessions come from."""
    episodes: int | None = None
    """Sessions, at most; by default all."""
    candidates: int = 20
    """Videos on offer."""
    horizon: int = 10
    """Steps of an episode, at most."""
    history: int = 50
    """Past events that an observation shows."""
    session_gap: SessionGap = 30.0
    """A longer pause ends a session; none takes all of a user's rows in the split."""
    min_videos: int | None = None
    """Shorter sessions are left out; by default the number of candidates."""
    reward_weights: str = "wtr=1,wtg=1,aux=1"
    """Weight of each signal in the reward."""
    json: bool = False
    """Print one JSON document."""

    def run(self) -> None:
        """Write and say how much."""
        from svsim.export import export_d3rlpy, export_minari
        from svsim.export.episodes import session_count
        from svsim.signals import reward_weights
        from svsim.world import find_store

        arguments = {
            "split": self.split,
            "candidates": self.candidates,
            "horizon": self.horizon,
            "history": self.history,
            "session_gap_minutes": self.session_gap,
            "min_videos": self.min_videos,
            "reward_weights": reward_weights(self.reward_weights),
        }
        store = find_store(str(self.store))
        export = export_minari if self.format == "minari" else export_d3rlpy
        with task_progress() as progress:
            export(
                store,
                self.out,
                arguments,
                most=self.episodes,
                progress=lambda done, whole: progress("sessions", done, whole),
            )
        sessions = session_count(store, arguments, self.episodes)
        size = sum(file.stat().st_size for file in self.out.iterdir())
        if self.json:
            print_json({"format": self.format, "sessions": sessions, "bytes": size})
            return
        console().print(
            f"{self.out}: {sessions:,} sessions of the {self.split} split for {self.format}, {size / 1e6:,.1f} MB",
            soft_wrap=True,
        )
