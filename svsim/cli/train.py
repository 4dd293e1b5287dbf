"""`svsim train sasrec4sv` and `svsim train show`."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from svsim.cli.output import console, task_progress

__all__ = ["Sasrec4sv", "ShowRun"]


@dataclass(frozen=True, kw_only=True)
class Sasrec4sv:
    """Train SASRec4SV on a store; interrupted, the same command goes on where it was."""

    store: str
    """A store's folder, or the name of a preset."""
    out: Path
    """Folder of the run."""
    preset: Literal["default", "small", "paper"] = "default"
    """`default`; `small`, about a minute; `paper`, the seed's sizes and optimiser."""
    head: Literal["multi", "wtr", "binary", "wtg", "feedback", "watch"] = "multi"
    """What is predicted: `multi` is every head of the preset on one trunk."""
    trunk: Literal["attention", "average"] = "attention"
    """`average` replaces attention by the mean over the history: the control."""
    seed: int = 0
    """Of weights, order and dropout."""
    epochs: int | None = None
    """At most; by default the preset's."""
    learning_rate: float | None = None
    """By default the preset's."""
    objective: Literal["mean", "reweight", "group-dro", "cvar"] = "mean"
    """What losses are added up to: `mean` over queries; `reweight`, groups of users weighed alike; `group-dro`, the worst
    group; `cvar`, the worst share of the users."""
    groups: Literal["influencer", "activity", "history", "register", "author"] | None = None
    """How `reweight` and `group-dro` tell users apart; by default influencers and normal users."""
    group_step: float | None = None
    """Step by which `group-dro` moves weight between groups, per unit of loss."""
    worst_share: float | None = None
    """Share of the users that `cvar` cares for."""
    threads: int | None = None
    """Of torch; by default torch's own choice. The last bits of the weights depend on it."""
    device: str = "cpu"
    """Of torch: `cpu`, `cuda`."""

    def run(self) -> None:
        """Train and say how it ended."""
        import torch

        from svsim.models.config import preset
        from svsim.models.parallel import join_processes
        from svsim.models.training import train
        from svsim.world import find_store

        if self.threads:
            torch.set_num_threads(self.threads)
        join_processes()
        model, training = preset(self.preset, head=self.head)
        model = dataclasses.replace(model, trunk=self.trunk)
        names = ("epochs", "learning_rate", "groups", "group_step", "worst_share")
        named = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        training = dataclasses.replace(training, seed=self.seed, objective=self.objective, **named)
        with task_progress() as progress:
            run = train(find_store(self.store), self.out, model, training, progress=progress, device=self.device)
        told = json.loads((run.path / "metrics.json").read_text())
        made = (self.preset, *model.heads, *(() if self.objective == "mean" else (f"objective {self.objective}",)))
        console().print(
            f"{self.out}: SASRec4SV ({', '.join(made)}), {run.manifest['parameters']:,} parameters;"
            f" best epoch {told['epoch']:.0f}, validation loss {told['valid_loss']:.4f}",
            soft_wrap=True,
        )


@dataclass(frozen=True, kw_only=True)
class ShowRun:
    """Say what a run is of."""

    folder: Positional[Path]
    """Folder of the run."""

    def run(self) -> None:
        """Print its configuration as JSON."""
        from svsim.cli.output import print_json
        from svsim.models.checkpoints import read_config

        print_json(read_config(self.folder))
