"""`svsim train sb3`."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from svsim.cli.benchmark import SessionGap
from svsim.cli.output import console, task_progress

__all__ = ["Sb3"]


@dataclass(frozen=True, kw_only=True)
class Sb3:
    """Train a stable-baselines3 policy in an environment; interrupted, the same command goes on.

    Sessions of the training split are played, sessions of the validation split choose what is kept.
    """

    store: str
    """A store's folder, or the name of a preset."""
    out: Path
    """Folder of the run."""
    algo: Literal["ppo", "maskable-ppo", "a2c", "dqn"] = "ppo"
    """The algorithm."""
    policy: Literal["slots", "flat", "trunk"] = "slots"
    """`slots` scores candidates with shared weights; `flat` is MultiInputPolicy; `trunk` is `slots` with the features of a
    trained, frozen SASRec4SV."""
    trunk: Path | None = None
    """Folder of the SASRec4SV run, with --policy trunk."""
    env: Literal["replay"] = "replay"
    """The environment."""
    timesteps: int | None = None
    """Steps of all environments together; by default the preset's."""
    num_envs: int | None = None
    """Environments side by side; by default the preset's."""
    seed: int = 0
    """Of everything that is drawn."""
    candidates: int = 20
    """Videos on offer."""
    horizon: int = 10
    """Steps of an episode, at most."""
    history: int = 50
    """Past events that an observation shows."""
    session_gap: SessionGap = 30.0
    """A longer pause ends a session; none takes all of a user's rows in the split."""
    min_videos: int | None = None
    """Shorter sessions are not served; by default the number of candidates."""
    reward_weights: str = "wtr=1,wtg=1,aux=1"
    """Weight of each signal in the reward."""
    threads: int | None = None
    """Of torch; by default torch's own choice."""

    def run(self) -> None:
        """Train and say how it ended."""
        import torch

        from svsim.agents.sb3.config import preset
        from svsim.agents.sb3.training import train_sb3
        from svsim.benchmark.spec import ENVIRONMENTS
        from svsim.signals import reward_weights
        from svsim.world import find_store

        if self.threads:
            torch.set_num_threads(self.threads)
        changes: dict[str, Any] = {
            "policy": self.policy,
            "seed": self.seed,
            "trunk": None if self.trunk is None else str(self.trunk),
            **{name: getattr(self, name) for name in ("timesteps", "num_envs") if getattr(self, name) is not None},
        }
        training = dataclasses.replace(preset(self.env, self.algo), **changes)
        arguments = {
            "candidates": self.candidates,
            "horizon": self.horizon,
            "history": self.history,
            "session_gap_minutes": self.session_gap,
            "min_videos": self.min_videos,
            "reward_weights": reward_weights(self.reward_weights),
        }
        store = find_store(self.store)
        with task_progress() as progress:
            train_sb3(store, self.out, training, arguments, env=ENVIRONMENTS[self.env], progress=progress)
        told = json.loads((self.out / "metrics.json").read_text())
        console().print(
            f"{self.out}: {self.algo} ({self.policy}), {training.timesteps:,} steps; best after {told['timesteps']:,.0f},"
            f" mean reward of a validation episode {told['valid_reward']:.4f}",
            soft_wrap=True,
        )
