"""What an off-policy evaluation asks: everything that its results depend on, and nothing else."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from svsim._version import __version__
from svsim.agents.registry import agent_class, file_hashes, make_agent, parse_agent
from svsim.data.splits import SPLIT_CODES
from svsim.data.store import FeedStore
from svsim.errors import AgentError, OptionError
from svsim.ope.logs.reward_model import FIT_ROWS
from svsim.ope.logs.rewards import Reward
from svsim.world.presets import find_store

__all__ = ["RAILS", "OPESpec"]

RAILS = ("random", "popularity")
"""Agents that stand in every table."""


@dataclass(frozen=True, kw_only=True)
class OPESpec:
    """Agents, a log, a question."""

    store: str | Path | FeedStore = "small"
    """A store's path, a `FeedStore`, or the name of a synthetic preset."""
    agents: tuple[str, ...] = ()
    """Agents as typed; each with `probabilities`."""
    log: Literal["random", "standard"] = "random"
    """Which log; of the standard one a world alone knows the propensities."""
    split: str = "test"
    """Split of the rows; agents are fitted on the training split."""
    candidates: int = 20
    """Videos that an agent chooses among, drawn from the pool; in the standard log it chooses among what was retrieved."""
    others: int = 99
    """Videos drawn beside each logged one to tell how it ranks."""
    draws: int = 4
    """Sets shown to an agent whose scores depend on what stands beside."""
    history: int = 50
    """Past events that an observation shows."""
    fit_rows: int = FIT_ROWS
    """Rows of the training split that the reward model learns from, at most, of either log."""
    reward: str = "reward"
    """`reward`, the weighed sum of the signals, or one signal."""
    reward_weights: Mapping[str, float] | str | None = None
    """Weight of each signal in `reward`."""
    propensities: Literal["estimated", "uniform"] = "estimated"
    """Those of the audit, or one over the pool."""
    rails: bool = True
    """Whether the rails that are not named are asked too."""
    rows: int | None = None
    """Rows at most, of whole users; None takes all."""
    level: float = 0.95
    """Of the intervals."""
    truth: bool = False
    """Of a world: whether its true values stand beside the estimates."""
    seed: int = 0
    """Of everything that is drawn."""

    def __post_init__(self) -> None:
        for name, low in (("candidates", 1), ("others", 1), ("draws", 1), ("history", 1), ("fit_rows", 0), ("seed", 0)):
            if getattr(self, name) < low:
                raise OptionError(
                    f"expected at least {low}, found {getattr(self, name)}", where=f"--{name.replace('_', '-')}"
                )
        if self.rows is not None and self.rows < 1:
            raise OptionError(f"expected at least 1, found {self.rows}", where="--rows")
        for name, known in (
            ("log", ("random", "standard")),
            ("propensities", ("estimated", "uniform")),
            ("split", tuple(SPLIT_CODES)),
        ):
            if getattr(self, name) not in known:
                raise OptionError(
                    f"expected one of {', '.join(known)}, found {getattr(self, name)!r}", where=f"--{name}"
                )
        if not 0 < self.level < 1:
            raise OptionError(f"expected a level between 0 and 1, found {self.level}", where="--level")
        object.__setattr__(self, "reward_weights", dict(self.kind.weights))
        object.__setattr__(self, "agents", tuple(self.agents))
        if not self.all_agents:
            raise OptionError("expected at least one agent, found none", where="--agents")

    @property
    def kind(self) -> Reward:
        """The reward that is asked about."""
        return Reward.named(self.reward, self.reward_weights)

    @property
    def all_agents(self) -> tuple[str, ...]:
        """The agents as typed, then the rails that are not among them."""
        return self.agents + tuple(name for name in RAILS if self.rails and name not in self.agents)

    def check_agents(self) -> None:
        """Make every agent once, so that a wrong name or option shows before anything runs.

        Raises:
            SvsimError: A name, an option or a run is wrong; an agent that needs to know what no log tells.
        """
        for name in self.all_agents:
            cls = agent_class(parse_agent(name).target)
            if cls.privileged:
                raise AgentError(
                    "expected an agent that goes by observations, found a privileged one",
                    where=f"agent {name}",
                    remedy="leave it out: what it reads no logged context tells",
                )
            if not callable(getattr(cls, "probabilities", None)):
                raise AgentError(
                    "expected an agent with probabilities(observation), found none of that name",
                    where=f"agent {name}",
                    remedy="write it: (B, K) with which `act` serves each slot",
                )
            make_agent(name, reward_weights=dict(self.kind.weights))

    def content(self) -> dict[str, Any]:
        """What `spec.json` says: the settings, the store's fingerprint, files of agents, versions; no times, no places."""
        settings = {item.name: getattr(self, item.name) for item in dataclasses.fields(self) if item.name != "store"}
        settings["agents"] = list(self.all_agents)
        del settings["rails"]
        return {
            **settings,
            "store": find_store(self.store).fingerprint,
            "agent_files": file_hashes(self.all_agents),
            "versions": {name: metadata.version(name) for name in ("numpy", "scikit-learn")} | {"svsim": __version__},
        }

    def json(self) -> bytes:
        """`content` as text."""
        return (json.dumps(self.content(), indent=1, ensure_ascii=False) + "\n").encode()
