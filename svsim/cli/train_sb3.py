"""`svsim train sb3`."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from svsim.cli.benchmark import SessionGap
from svsim.cli.output import console, task_progress

if TYPE_CHECKING:
    from svsim.agents.sb3.config import SB3Training

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
    env: Literal["replay", "feed"] = "replay"
    """The environment: logged sessions, or a feed whose users a model answers for."""
    timesteps: int | None = None
    """Steps of all environments together; by default the preset's."""
    num_envs: int | None = None
    """Environments side by side; by default the preset's."""
    seed: int = 0
    """Of everything that is drawn."""
    candidates: int = 20
    """Videos on offer."""
    horizon: int | None = None
    """Steps of an episode, at most; by default 10 in a replay, 100 in a feed."""
    history: int = 50
    """Past events that an observation shows."""
    session_gap: SessionGap = 30.0
    """Of a replay: a longer pause ends a session; none takes all of a user's rows in the split."""
    min_videos: int | None = None
    """Of a replay: shorter sessions are not served; by default the number of candidates."""
    response: str | None = None
    """Of a feed: truth, or the folder of `svsim train response`; by default the truth where the store has one."""
    horizon_minutes: float | None = None
    """Of a feed: minutes of an episode, in place of steps."""
    pool: Literal["random", "train"] | None = None
    """Of a feed: its videos, those of the random log or those of five training exposures; by default the former where
    there are any."""
    retrieval: Literal["uniform", "popularity"] = "uniform"
    """Of a feed: how candidates are drawn."""
    request_size: int = 1
    """Of a feed: steps between two draws of candidates."""
    sessions: int = 1
    """Of a feed: sessions of an episode, at most."""
    repeats: bool = False
    """Of a feed: whether a video may be shown again."""
    reward_weights: str = "wtr=1,wtg=1,aux=1"
    """Weight of each signal in the reward; in a feed of several sessions of return too."""
    threads: int | None = None
    """Of torch; by default torch's own choice."""

    def run(self) -> None:
        """Train and say how it ended."""
        import torch

        from svsim.agents.sb3.training import train_sb3
        from svsim.benchmark.spec import ENVIRONMENTS
        from svsim.world import find_store

        if self.threads:
            torch.set_num_threads(self.threads)
        training, arguments = self._training(), self._environment()
        store = find_store(self.store)
        with task_progress() as progress:
            train_sb3(store, self.out, training, arguments, env=ENVIRONMENTS[self.env], progress=progress)
        told = json.loads((self.out / "metrics.json").read_text())
        console().print(
            f"{self.out}: {self.algo} ({self.policy}), {training.timesteps:,} steps; best after {told['timesteps']:,.0f},"
            f" mean reward of a validation episode {told['valid_reward']:.4f}",
            soft_wrap=True,
        )

    def check(self) -> None:
        """Refuse options that cannot be, before anything is trained.

        Raises:
            SvsimError: There is one.
        """
        self._training()
        self._environment()

    def _training(self) -> SB3Training:
        from svsim.agents.sb3.config import preset

        changes: dict[str, Any] = {
            "policy": self.policy,
            "seed": self.seed,
            "trunk": None if self.trunk is None else str(self.trunk),
            **{name: getattr(self, name) for name in ("timesteps", "num_envs") if getattr(self, name) is not None},
        }
        return dataclasses.replace(preset(self.env, self.algo), **changes)

    def _environment(self) -> dict[str, Any]:
        """The environment's arguments, but for store and split; checked as those of a benchmark."""
        from svsim.benchmark.spec import BenchmarkSpec
        from svsim.names import RETURN, SIGNALS
        from svsim.signals import reward_weights

        spec = BenchmarkSpec(
            env=self.env,
            candidates=self.candidates,
            horizon=self.horizon,
            history=self.history,
            session_gap_minutes=self.session_gap,
            min_videos=self.min_videos,
            response=self.response,
            horizon_minutes=self.horizon_minutes,
            pool=self.pool,
            retrieval=self.retrieval,
            request_size=self.request_size,
            sessions=self.sessions,
            repeats=self.repeats,
            reward_weights=reward_weights(
                self.reward_weights, names=(*SIGNALS, RETURN) if self.env == "feed" else SIGNALS
            ),
        )
        return {name: value for name, value in spec.environment_arguments.items() if name != "split"}
