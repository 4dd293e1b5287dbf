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
from svsim.agents.registry import file_hashes, located, make_agent
from svsim.data.sessions import Sessions
from svsim.data.store import FeedStore
from svsim.envs.openings import GAP_MINUTES
from svsim.errors import AgentError, OptionError, RunError
from svsim.names import RETURN, SIGNALS
from svsim.response.opening import TRUTH
from svsim.signals import reward_weights
from svsim.world.presets import find_store

__all__ = ["ENVIRONMENTS", "FORMAT", "RAILS", "REFUSED", "SUITE_FORMAT", "VERSION", "BenchmarkSpec"]

FORMAT, VERSION = "svsim-benchmark", 2
SUITE_FORMAT = "svsim-suite"

ENVIRONMENTS = {"replay": "svsim/Replay-v0", "feed": "svsim/Feed-v0"}
"""Environments by their short name."""

RAILS = {"replay": ("random", "popularity", "logged", "oracle"), "feed": ("random", "popularity", "oracle")}
"""Agents that stand in every table, by environment."""

REFUSED = {"replay": (), "feed": ("logged",)}
"""Agents that an environment does not take; no log served what a feed serves."""

SEED = "{seed}"
"""In an agent's name: the number of the evaluation seed, so that each seed has a trained run of its own."""

OF_ENVIRONMENT = {
    "replay": ("session_gap_minutes", "min_videos"),
    "feed": ("response", "horizon_minutes", "pool", "retrieval", "request_size", "sessions", "repeats"),
}
"""Arguments that one environment alone takes."""


@dataclass(frozen=True, kw_only=True)
class BenchmarkSpec:
    """A benchmark: agents, an environment, episodes and seeds."""

    store: str | Path | FeedStore = "small"
    """A store's path, a `FeedStore`, or the name of a synthetic preset."""
    agents: tuple[str, ...] = ()
    """Agents as typed: name, module:Class or file.py:Class, each with ?key=value&key=value; `{seed}` stands for the
    number of the evaluation seed."""
    env: Literal["replay", "feed"] = "replay"
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
    horizon: int | None = None
    """Steps of an episode, at most; None: 10 in a replay, 100 in a feed."""
    history: int = 50
    """Past events that an observation shows."""
    session_gap_minutes: float | None = 30.0
    """A longer pause ends a session; None takes all of a user's rows in the split."""
    min_videos: int | None = None
    """Shorter sessions are not served; None means `candidates`."""
    response: str | None = None
    """Who answers in a feed: `truth`, or a run of `svsim train response`; None: the truth where the store has one."""
    horizon_minutes: float | None = None
    """Minutes of an episode in a feed, in place of steps."""
    pool: Literal["random", "train"] | None = None
    """Videos of a feed; None: those of the random log where there is one."""
    retrieval: Literal["uniform", "popularity"] = "uniform"
    """How a feed draws candidates."""
    request_size: int = 1
    """Steps between two draws of candidates in a feed."""
    sessions: int = 1
    """Sessions of an episode in a feed, at most."""
    repeats: bool = False
    """Whether a feed may show a video again."""
    reward_weights: Mapping[str, float] = field(default_factory=lambda: reward_weights(None))
    """Weight of each signal in the reward."""
    num_envs: int = 64
    """Episodes that are played side by side; an online learner's results depend on it."""
    runs_in: Path | None = None
    """Folder that runs named relatively lie in, the agents' and `response`; None: the working directory. A place: no part
    of what is run."""

    def __post_init__(self) -> None:
        for name in ("seeds", "num_envs", "episodes"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise OptionError(f"expected at least 1, found {value}", where=f"--{name.replace('_', '-')}")
        if self.env not in ENVIRONMENTS:
            raise OptionError(f"expected one of {', '.join(ENVIRONMENTS)}, found {self.env!r}", where="--env")
        for other in set(ENVIRONMENTS) - {self.env}:
            for name in OF_ENVIRONMENT[other]:
                if getattr(self, name) != self.__dataclass_fields__[name].default:
                    raise OptionError(
                        f"expected it with --env {other} alone, found {getattr(self, name)!r}",
                        where=f"--{name.removesuffix('_minutes' if name.startswith('session') else '').replace('_', '-')}",
                    )
        names = (*SIGNALS, RETURN) if self.env == "feed" else SIGNALS
        object.__setattr__(self, "reward_weights", reward_weights(self.reward_weights, names=names))
        object.__setattr__(self, "agents", tuple(self.agents))
        for name in self.agents:
            if name.partition("?")[0] in REFUSED[self.env]:
                raise OptionError(
                    f"expected agents that can play in a {self.env}, found {name!r}: no log served what a feed serves",
                    where="--agents",
                )
        if not self.all_agents:
            raise OptionError("expected at least one agent, found none", where="--agents")

    @property
    def all_agents(self) -> tuple[str, ...]:
        """The agents as typed, then the rails that are not among them."""
        return self.agents + tuple(name for name in RAILS[self.env] if self.rails and name not in self.agents)

    @property
    def signal_weights(self) -> dict[str, float]:
        """Weights of the signals that agents are told of."""
        return {name: self.reward_weights[name] for name in SIGNALS}

    @property
    def environment_arguments(self) -> dict[str, Any]:
        """Arguments of the environment, but for the store."""
        names = ("split", "candidates", "history", *OF_ENVIRONMENT[self.env])
        arguments = {name: getattr(self, name) for name in names}
        if self.horizon is not None or self.env == "feed":
            arguments["horizon"] = self.horizon
        if "response" in arguments:
            arguments["response"] = self._responder
        return {**arguments, "reward_weights": dict(self.reward_weights)}

    @property
    def _responder(self) -> str | None:
        """`response`, a relative run with its place."""
        if self.response in (None, TRUTH) or self.runs_in is None:
            return self.response
        return str(self.runs_in / str(self.response))

    def agent_of_seed(self, name: str, seed: int) -> str:
        """An agent as `make_agent` takes it.

        Args:
            name: As typed; `{seed}` becomes the seed's number, and runs named relatively are looked for in `runs_in`.
            seed: Number of the evaluation seed.
        """
        numbered = name.replace(SEED, str(seed))
        return numbered if self.runs_in is None else located(numbered, self.runs_in)

    def without_place(self, text: str) -> str:
        """A message without the folder `runs_in`: results hold no places."""
        return text if self.runs_in is None else text.replace(f"{self.runs_in}/", "")

    def _seeds_of(self, name: str) -> range:
        """Seeds that an agent is another one in; one, where it is the same in all."""
        return range(self.seeds if SEED in name else 1)

    def _file_hashes(self) -> dict[str, dict[str, str]]:
        """`file_hashes` of the agents as typed; files of an agent that is another one in each seed as `3/file`."""
        hashes: dict[str, dict[str, str]] = {}
        for name in self.all_agents:
            for seed in self._seeds_of(name):
                for own in file_hashes([self.agent_of_seed(name, seed)]).values():
                    numbered = {f"{seed}/{file}" if SEED in name else file: found for file, found in own.items()}
                    hashes.setdefault(name, {}).update(numbered)
        return hashes

    def served_sessions(self, store: FeedStore) -> Sessions:
        """The sessions that the environment serves, in the order in which episodes' keys count them."""
        if self.env == "feed":
            return store.sessions(self.split, GAP_MINUTES)
        least = self.candidates if self.min_videos is None else self.min_videos
        return store.sessions(self.split, self.session_gap_minutes).longer_than(least)

    def check_agents(self) -> None:
        """Make every agent once, so that a wrong name or option shows before anything runs.

        One whose own code fails is left to its turn: the others are played.

        Raises:
            SvsimError: A name, an option or a run is wrong.
        """
        for name in self.all_agents:
            for seed in self._seeds_of(name):
                with contextlib.suppress(AgentError):
                    make_agent(self.agent_of_seed(name, seed), reward_weights=self.signal_weights)

    def content(self) -> dict[str, Any]:
        """What `spec.json` says: the settings, the store's fingerprint, files of agents, versions; no times, no places."""
        settings = {item.name: getattr(self, item.name) for item in dataclasses.fields(self) if item.name != "store"}
        settings["agents"] = list(self.all_agents)
        settings["reward_weights"] = dict(self.reward_weights)
        del settings["rails"], settings["runs_in"]
        for other in set(ENVIRONMENTS) - {self.env}:
            for name in OF_ENVIRONMENT[other]:
                del settings[name]
        if self.env == "feed":
            settings["response"] = self._response_fingerprint()
        return {
            "format": FORMAT,
            "version": VERSION,
            **settings,
            "store": find_store(self.store).fingerprint,
            "agent_files": self._file_hashes(),
            "versions": {"svsim": __version__, "numpy": metadata.version("numpy")},
        }

    def _response_fingerprint(self) -> str:
        """Who answers, without its place: `truth`, or the hash of the run's weights.

        Raises:
            RunError: There is no such run.
        """
        if self._responder in (None, TRUTH):
            return TRUTH
        weights = sorted(Path(str(self._responder)).glob("*.safetensors"))
        if not weights:
            raise RunError(
                "expected a response model, found none",
                where=str(self._responder),
                remedy="make one with `svsim train response`",
            )
        return hashlib.sha256(b"".join(file.read_bytes() for file in weights)).hexdigest()

    def json(self) -> bytes:
        """`content` as text."""
        return (json.dumps(self.content(), indent=1, ensure_ascii=False) + "\n").encode()
