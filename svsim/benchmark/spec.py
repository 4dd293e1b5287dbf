"""What a benchmark runs: everything that its results depend on, and nothing else."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from svsim._version import __version__
from svsim.agents.registry import make_agent, parse_agent
from svsim.data.store import FeedStore
from svsim.errors import AgentError, OptionError
from svsim.signals import reward_weights
from svsim.world.presets import find_store

__all__ = ["ENVIRONMENTS", "RAILS", "BenchmarkSpec"]

ENVIRONMENTS = {"replay": "svsim/Replay-v0"}
"""Environments by their short name."""

RAILS = ("random", "popularity", "logged", "oracle")
"""Agents that stand in every table."""


@dataclass(frozen=True, kw_only=True)
class BenchmarkSpec:
    """A benchmark: agents, an environment, episodes and seeds."""

    store: str | Path | FeedStore = "small"
    """A store's path, a `FeedStore`, or the name of a synthetic preset."""
    agents: tuple[str, ...] = ()
    """Agents as typed: name, module:Class or file.py:Class, each with ?key=value&key=value."""
    env: Literal["replay"] = "replay"
    """The environment."""
    episodes: int | None = None
    """Episodes of each agent and seed; None plays every session once."""
    seeds: int = 5
    """Evaluation seeds; every agent meets the same users, sessions and candidates in each."""
    rails: bool = True
    """Whether the rails that are not named are run too."""
    split: str = "test"
    """Split that the sessions come from."""
    candidates: int = 20
    """Videos on offer."""
    horizon: int = 10
    """Steps of an episode, at most."""
    history: int = 50
    """Past events that an observation shows."""
    session_gap_minutes: float | None = 30.0
    """A longer pause ends a session; None takes all of a user's rows in the split."""
    min_videos: int | None = None
    """Shorter sessions are not served; None means `candidates`."""
    reward_weights: Mapping[str, float] = field(default_factory=lambda: reward_weights(None))
    """Weight of each signal in the reward."""
    num_envs: int = 64
    """Episodes that are played side by side; an online learner's results depend on it."""

    def __post_init__(self) -> None:
        for name in ("seeds", "num_envs", "episodes"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise OptionError(f"expected at least 1, found {value}", where=f"--{name.replace('_', '-')}")
        if self.env not in ENVIRONMENTS:
            raise OptionError(f"expected one of {', '.join(ENVIRONMENTS)}, found {self.env!r}", where="--env")
        object.__setattr__(self, "reward_weights", reward_weights(self.reward_weights))
        object.__setattr__(self, "agents", tuple(self.agents))
        if not self.all_agents:
            raise OptionError("expected at least one agent, found none", where="--agents")

    @property
    def all_agents(self) -> tuple[str, ...]:
        """The agents as typed, then the rails that are not among them."""
        return self.agents + tuple(name for name in RAILS if self.rails and name not in self.agents)

    @property
    def environment_arguments(self) -> dict[str, Any]:
        """Arguments of the environment, but for the store."""
        return {
            "split": self.split,
            "candidates": self.candidates,
            "horizon": self.horizon,
            "history": self.history,
            "session_gap_minutes": self.session_gap_minutes,
            "min_videos": self.min_videos,
            "reward_weights": dict(self.reward_weights),
        }

    def check_agents(self) -> None:
        """Make every agent once, so that a wrong name or option shows before anything runs.

        One whose own code fails is left to its turn: the others are played.

        Raises:
            SvsimError: A name, an option or a run is wrong.
        """
        for name in self.all_agents:
            with contextlib.suppress(AgentError):
                make_agent(name, reward_weights=dict(self.reward_weights))

    def content(self) -> dict[str, Any]:
        """What `spec.json` says: the settings, the store's fingerprint, files of agents, versions; no times, no places."""
        settings = {item.name: getattr(self, item.name) for item in dataclasses.fields(self) if item.name != "store"}
        settings["agents"] = list(self.all_agents)
        settings["reward_weights"] = dict(self.reward_weights)
        del settings["rails"]
        files = {name: files for name in self.all_agents if (files := [*filter(Path.is_file, parse_agent(name).files)])}
        return {
            **settings,
            "store": find_store(self.store).fingerprint,
            "agent_files": {
                name: {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in own}
                for name, own in files.items()
            },
            "versions": {"svsim": __version__, "numpy": metadata.version("numpy")},
        }

    def json(self) -> bytes:
        """`content` as text."""
        return (json.dumps(self.content(), indent=1, ensure_ascii=False) + "\n").encode()
