"""Trained stable-baselines3 policies as agents."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from svsim.agents.base import Agent, Observation, greedy
from svsim.data.store import FeedStore
from svsim.errors import AgentError, OptionError, RunError
from svsim.randomness import RowStreams

if TYPE_CHECKING:
    from svsim.agents.sb3.runs import SB3Run

__all__ = ["A2CAgent", "DQNAgent", "MaskablePPOAgent", "PPOAgent"]

Floats = npt.NDArray[np.float64]

CHOICES = ("greedy", "sample")


class _SB3Agent(Agent):
    """Acts by a trained policy.

    Args:
        run: Folder of `svsim train sb3`.
        choose: `greedy`, or `sample` from the policy's probabilities.
    """

    algo: ClassVar[str]

    def __init__(self, run: str | Path, choose: str = "greedy") -> None:
        if choose not in CHOICES:
            raise OptionError(f"expected one of {', '.join(CHOICES)}, found {choose!r}", where="choose")
        from svsim.agents.sb3.runs import read_config

        self.run, self.choose = Path(str(run)), choose
        trained = read_config(self.run)["training"]["algo"]
        if trained != self.algo:
            raise RunError(
                f"expected a run of {self.algo}, found one of {trained}",
                where=str(self.run),
                remedy=f"name it as {trained}?run={self.run}",
            )
        if choose == "sample" and self.algo == "dqn":
            raise OptionError("dqn has values and no probabilities to sample from", where="choose")
        self._run: SB3Run | None = None

    def fit(self, store: FeedStore, *, seed: int) -> None:  # noqa: ARG002 - the policy has been trained
        """Open the policy.

        Raises:
            RunError: The run is damaged.
        """
        from svsim.agents.sb3.runs import load_policy

        self._run = load_policy(self.run, store)

    def reset(self, observation: Observation, info: dict[str, Any], *, seed: int) -> None:  # noqa: ARG002
        """Check that the observations are such as the policy was trained on."""
        from svsim.agents.sb3.runs import Layout

        if self._run is None:
            raise AgentError("expected fit(store, seed=…) before the first call", where=self.algo)
        found = Layout.of(observation)
        if found != self._run.layout:
            raise AgentError(
                f"expected observations of {self._run.layout}, found {found}",
                where=f"agent {self.algo}?run={self.run}, trained on {self._run.manifest['env']}",
                remedy="train another with the environment's options, or give the environment the run's",
            )
        self._draws = RowStreams(len(observation["action_mask"]), seed)

    def score(self, observation: Observation) -> Floats:
        """(B, K) probabilities or values, to six decimals: the last bits depend on the size of the batch."""
        from svsim.agents.sb3.training import action_scores

        assert self._run is not None
        flat = self._run.flatten(observation, (len(observation["action_mask"]),))
        return np.round(action_scores(self._run.policy, flat), 6)

    def _shares(self, observation: Observation) -> Floats:
        """(B, K) the policy's probabilities among the legal slots; uniform where it gives them none."""
        mask = observation["action_mask"] > 0
        legal = np.where(mask, self.score(observation), 0.0)
        legal = np.where(legal.sum(axis=1, keepdims=True) > 0, legal, mask)
        return np.asarray(legal / legal.sum(axis=1, keepdims=True))

    def act(self, observation: Observation) -> npt.NDArray[np.int64]:
        """(B,) legal slots."""
        if self.choose == "greedy":
            return greedy(self.score(observation), observation["action_mask"])
        shares = self._shares(observation)
        # The first slot at which the cumulated probability passes a uniform draw.
        passed = np.cumsum(shares, axis=1) > self._draws.uniform(1)
        return np.asarray(np.where(passed.any(axis=1), passed.argmax(axis=1), shares.argmax(axis=1)))

    def probabilities(self, observation: Observation) -> Floats:
        """(B, K) with which `act` serves each slot."""
        if self.choose == "sample":
            return self._shares(observation)
        best = greedy(self.score(observation), observation["action_mask"])
        return np.eye(observation["action_mask"].shape[1])[best]


class PPOAgent(_SB3Agent):
    """Acts by a policy that stable-baselines3's PPO trained.

    Args:
        run: Folder of `svsim train sb3 --algo ppo`.
        choose: `greedy`, or `sample` from the policy's probabilities.
    """

    algo = "ppo"


class MaskablePPOAgent(_SB3Agent):
    """Acts by a policy that sb3-contrib's MaskablePPO trained.

    Args:
        run: Folder of `svsim train sb3 --algo maskable-ppo`.
        choose: `greedy`, or `sample` from the policy's probabilities.
    """

    algo = "maskable-ppo"


class A2CAgent(_SB3Agent):
    """Acts by a policy that stable-baselines3's A2C trained.

    Args:
        run: Folder of `svsim train sb3 --algo a2c`.
        choose: `greedy`, or `sample` from the policy's probabilities.
    """

    algo = "a2c"


class DQNAgent(_SB3Agent):
    """Serves the highest action value that stable-baselines3's DQN learnt.

    Args:
        run: Folder of `svsim train sb3 --algo dqn`.
        choose: `greedy`; values have no probabilities.
    """

    algo = "dqn"
