"""Which algorithm, on which policy, for how long: presets as data."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import yaml

from svsim.errors import OptionError, UnknownNameError

__all__ = ["ALGORITHMS", "POLICIES", "SB3Training", "preset"]

ALGORITHMS = ("ppo", "maskable-ppo", "a2c", "dqn")
POLICIES = ("slots", "flat", "trunk")
"""`slots` scores them with shared weights, `flat` is stable-baselines3's MultiInputPolicy, `trunk` is `slots` with a trained
SASRec4SV's features."""


@dataclass(frozen=True, kw_only=True)
class SB3Training:
    """What is trained, and how."""

    algo: str = "ppo"
    """Of `ALGORITHMS`."""
    policy: str = "slots"
    """Of `POLICIES`."""
    timesteps: int = 300_000
    """Steps of all environments together."""
    num_envs: int = 64
    """Environments side by side."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The algorithm's own arguments."""
    width: int = 64
    """Of the slots' vectors."""
    trunk: str | None = None
    """Folder of the SASRec4SV run whose trunk the policy `trunk` reads."""
    evaluations: int = 10
    """Times that the policy is played on the validation split; the best is kept."""
    seed: int = 0
    """Of everything that is drawn."""

    def __post_init__(self) -> None:
        if self.algo not in ALGORITHMS:
            raise UnknownNameError(f"expected one of {', '.join(ALGORITHMS)}, found {self.algo!r}", where="--algo")
        if self.policy not in POLICIES:
            raise UnknownNameError(f"expected one of {', '.join(POLICIES)}, found {self.policy!r}", where="--policy")
        for name in ("timesteps", "num_envs", "width", "evaluations"):
            if getattr(self, name) < 1:
                raise OptionError(
                    f"expected at least 1, found {getattr(self, name)}", where=f"--{name.replace('_', '-')}"
                )
        if (self.policy == "trunk") != (self.trunk is not None):
            raise OptionError(
                "expected a SASRec4SV run with --policy trunk and none without", where="--trunk", remedy="name both"
            )

    def as_dict(self) -> dict[str, Any]:
        """For a JSON file."""
        return {**dataclasses.asdict(self), "options": dict(self.options)}


def preset(env: str, algo: str) -> SB3Training:
    """The preset of an algorithm for an environment.

    Args:
        env: `replay` or `feed`.
        algo: Of `ALGORITHMS`.

    Raises:
        UnknownNameError: There is none.
    """
    known = _presets(env)
    if algo not in known:
        raise UnknownNameError(f"expected one of {', '.join(known)}, found {algo!r}", where="--algo")
    return SB3Training(algo=algo, **known[algo])


@functools.cache
def _presets(env: str) -> dict[str, Any]:
    file = resources.files("svsim.agents.sb3") / "presets" / f"{env}.yaml"
    if not file.is_file():
        raise UnknownNameError(f"expected an environment with presets, found {env!r}", where="--env")
    told: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return told
