"""`svsim data synth`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from svsim.cli.output import console, task_progress

__all__ = ["Synth"]


@dataclass(frozen=True, kw_only=True)
class Synth:
    """Write a synthetic world in KuaiRand's layout, with its truth."""

    out: Path
    """Where it goes; must not exist or be empty."""
    preset: Literal["tiny", "small", "1k"] = "small"
    """Size: `tiny` for tests, `small` about half a million exposures, `1k` the size of KuaiRand-1K."""
    seed: int = 0
    """Of everything that is drawn."""
    users: int | None = None
    """Users; by default the preset's."""
    days: int | None = None
    """Days from 8 April 2022; by default the preset's."""
    random_share: float | None = None
    """Share of exposures that a random video replaces; by default the preset's."""
    visits: float | None = None
    """Share of KuaiRand's visits that are paid; by default the preset's."""
    processes: int = 1
    """Processes that simulate users side by side; the files do not depend on it."""

    def run(self) -> None:
        """Write it and say what is there."""
        from svsim.world import preset, write_world

        given = {name: getattr(self, name) for name in ("seed", "users", "days", "random_share", "visits")}
        config = dataclasses.replace(preset(self.preset), **{k: v for k, v in given.items() if v is not None})
        with task_progress() as progress:
            write_world(self.out, config, processes=self.processes, progress=progress)
        screen = console()
        screen.print(f"{self.out}: a world of {config.users:,} users over {config.days} days, seed {config.seed}")
        for file in sorted((self.out / "data").iterdir()):
            screen.print(f"  data/{file.name}: {file.stat().st_size / 1e6:,.1f} MB", soft_wrap=True)
        screen.print("  truth/: what would have happened; see svsim.world.open_world")
