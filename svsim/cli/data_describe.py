"""`svsim data describe`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from svsim.cli.output import console, print_json
from svsim.world.presets import find_store

__all__ = ["Describe"]


@dataclass(frozen=True, kw_only=True)
class Describe:
    """Say what a store holds: counts, rates, watch-time gain by duration, sessions, what was dropped."""

    store: Positional[Path]
    """A store, or the name of a synthetic preset."""
    wtg_fit: Literal["train", "all"] = "train"
    """Rows that the watch-time gains of the table are fitted on."""
    json: bool = False
    """Print one JSON document."""

    def run(self) -> None:
        """Describe the store."""
        from svsim.data.describe import describe
        from svsim.data.describe_tables import render

        description = describe(find_store(str(self.store)), wtg_fit=self.wtg_fit)
        if self.json:
            print_json(description.as_dict())
        else:
            console().print(render(description))
