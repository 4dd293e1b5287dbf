"""SASRec4SV as an agent: scores what is on offer by a trained run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from svsim.agents.base import Agent, Observation, greedy
from svsim.agents.observed import ObservedTokens
from svsim.data.store import FeedStore
from svsim.errors import AgentError, OptionError
from svsim.names import AUX, FLAGS, SIGNALS, WTG, WTR
from svsim.randomness import RowStreams
from svsim.signals import aux, reward_weights

if TYPE_CHECKING:
    from svsim.models.checkpoints import Run
    from svsim.models.scoring import Cache, Scorer

__all__ = ["SASRec4SVAgent"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CHOICES = ("greedy", "epsilon", "softmax")
READINGS = {"wtr": "wtr_clipped", "binary": "binary", "wtg": "wtg", "click": "click", "long_view": "long_view"}
"""What a head's name stands for among the model's readings."""

_ROOM = 150
"""Places of the cache beside the observed history: past them the oldest event makes room."""


class SASRec4SVAgent(Agent):
    """Serves what a model that `svsim train sasrec4sv` made expects most of.

    The observed history is read once an episode, every served video is one step, candidates are scored through the cache.

    Args:
        run: Folder of `svsim train sasrec4sv`.
        head: What counts: `reward` (the environment's weights over expected WTR, relevance and feedback), one of `wtr`,
            `binary`, `wtg`, `click`, `long_view`, or a mix such as `wtr:1+wtg:0.5`.
        choose: `greedy`; `epsilon`, with probability `epsilon` any; `softmax` of the scores over `temperature`.
        epsilon: In [0, 1].
        temperature: Above 0.
        reward_weights: Weight of each signal under `head=reward`, as the environment's.

    Raises:
        OptionError: An impossible option.
        RunError: The folder holds no run.
    """

    def __init__(
        self,
        run: str | Path,
        head: str = "reward",
        choose: str = "greedy",
        epsilon: float = 0.1,
        temperature: float = 0.1,
        reward_weights: Mapping[str, float] | str | None = None,
    ) -> None:
        if choose not in CHOICES:
            raise OptionError(f"expected one of {', '.join(CHOICES)}, found {choose!r}", where="choose")
        if not 0 <= epsilon <= 1:
            raise OptionError(f"expected a number from 0 to 1, found {epsilon}", where="epsilon")
        if not temperature > 0:
            raise OptionError(f"expected a number above 0, found {temperature}", where="temperature")
        from svsim.models.checkpoints import read_config

        self.run = Path(str(run))
        # What is no run should show before anything is played.
        read_config(self.run)
        self.choose = choose
        self.epsilon = epsilon
        self.temperature = temperature
        self._weights = reward_weights
        self._mix = None if head == "reward" else _mix(head)
        self._run: Run | None = None

    def fit(self, store: FeedStore, *, seed: int) -> None:  # noqa: ARG002 - the run has been trained
        """Open the run and take what is fixed by a video or a user from the store.

        Raises:
            RunError: The run is damaged, or of another store.
        """
        from svsim.models.checkpoints import load_run

        self._run = load_run(self.run)
        self._tokens = ObservedTokens(self._run, store)
        missing = set(self._needed()) - set(self._told())
        if missing:
            raise OptionError(
                f"expected a head that the run has, found {sorted(missing)[0]!r}; it tells {', '.join(self._told())}",
                where=f"agent sasrec4sv?run={self.run}",
            )

    def _told(self) -> list[str]:
        """Readings of the run's heads."""
        assert self._run is not None
        of_head = {
            "wtr": ["wtr_clipped"],
            "binary": ["binary"],
            "wtg": ["wtg", "wtg_relevant"],
            "feedback": list(FLAGS),
            "watch": ["wtr_clipped"],
        }
        return sorted({name for head in self._run.config.heads for name in of_head[head]})

    def _needed(self) -> list[str]:
        if self._mix is not None:
            return list(self._mix)
        weights = reward_weights(self._weights)
        needed = {WTR: ["wtr_clipped"], WTG: ["wtg_relevant"], AUX: list(FLAGS)}
        return [name for signal in SIGNALS if weights[signal] for name in needed[signal]]

    # --- acting -------------------------------------------------------------------------------------------------------

    def reset(self, observation: Observation, info: dict[str, Any], *, seed: int) -> None:  # noqa: ARG002
        """Read the histories."""
        from svsim.models.scoring import Scorer

        if self._run is None:
            raise AgentError("expected fit(store, seed=…) before the first call", where="sasrec4sv")
        self._draws = RowStreams(len(observation["action_mask"]), seed)
        self._scorer: Scorer = Scorer(self._run.network, observation["history_video"].shape[1] + _ROOM)
        self._cache: Cache = self._read(observation)

    def _read(self, observation: Observation) -> Cache:
        return self._scorer.prefill(*self._tokens.history(observation, self._scorer.capacity))

    def score(self, observation: Observation) -> Floats:
        """(B, K) expected worth of each slot, after the history that `reset` and `observe` have read.

        To five decimals: the last bits of a matrix product depend on the size of the batch, and must not decide between
        two showings of one video.
        """
        from svsim.models.prediction import readings

        told = readings(self._scorer.score(self._cache, self._tokens.candidates(observation)))
        found = {name: told[name].numpy().astype(np.float64) for name in self._needed()}
        total = np.zeros(observation["action_mask"].shape)
        if self._mix is not None:
            for name, weight in self._mix.items():
                total += weight * found[name]
            return np.round(total, 5)
        weights = reward_weights(self._weights)
        if weights[WTR]:
            total += weights[WTR] * found["wtr_clipped"]
        if weights[WTG]:
            total += weights[WTG] * found["wtg_relevant"]
        if weights[AUX]:
            total += weights[AUX] * aux(found)
        return np.round(total, 5)

    def act(self, observation: Observation) -> Ints:
        """(B,) legal slots, chosen as `choose` says."""
        mask = observation["action_mask"]
        draws = self._draws.uniform(mask.shape[1] + 1)
        score = self.score(observation)
        if self.choose == "softmax":
            # Gumbel's trick: the maximum of score / temperature + Gumbel noise is a softmax draw.
            noise = -np.log(-np.log(np.maximum(draws[:, 1:], 1e-300)))
            return greedy(score / self.temperature + noise, mask)
        best = greedy(score, mask)
        if self.choose == "greedy":
            return best
        return np.where(draws[:, 0] < self.epsilon, greedy(draws[:, 1:], mask), best)

    def probabilities(self, observation: Observation) -> Floats:
        """(B, K) with which `act` serves each slot."""
        mask, score = observation["action_mask"] > 0, self.score(observation)
        if self.choose == "softmax":
            scaled = np.where(mask, score / self.temperature, -np.inf)
            weight = np.exp(scaled - scaled.max(axis=1, keepdims=True))
            return np.asarray(weight / weight.sum(axis=1, keepdims=True))
        explored = self.epsilon if self.choose == "epsilon" else 0.0
        probabilities = explored * mask / mask.sum(axis=1, keepdims=True)
        best = greedy(score, observation["action_mask"])
        probabilities[np.arange(len(best)), best] += 1 - explored
        return np.asarray(probabilities)

    def observe(
        self,
        observation: Observation,  # noqa: ARG002
        action: Ints,  # noqa: ARG002
        reward: Floats,  # noqa: ARG002
        next_observation: Observation,
        terminated: npt.NDArray[np.bool_],  # noqa: ARG002
        truncated: npt.NDArray[np.bool_],  # noqa: ARG002
        info: dict[str, Any],
        began: npt.NDArray[np.bool_],
    ) -> None:
        """Append what was served; read the histories of rows that begin anew."""
        import torch

        illegal = np.asarray(info.get("illegal_action", np.zeros(len(began), dtype=bool)), dtype=bool)
        served = ~began & ~illegal
        if served.any():
            every = None if served.all() else torch.from_numpy(served)
            self._scorer.step(self._cache, self._tokens.newest(next_observation), every)
        if began.any():
            rows = np.flatnonzero(began)
            fresh = {name: values[rows] for name, values in next_observation.items()}
            self._cache.replace(torch.from_numpy(rows), self._read(fresh))


def _mix(head: str) -> dict[str, float]:
    """Weights of readings: `wtr`, or `wtr:1+wtg:0.5`."""
    mix: dict[str, float] = {}
    for part in head.split("+"):
        name, _, weight = part.partition(":")
        try:
            if name not in READINGS:
                raise ValueError
            mix[READINGS[name]] = float(weight or 1)
        except ValueError as error:
            raise OptionError(
                f"expected reward, one of {', '.join(READINGS)}, or a mix such as wtr:1+wtg:0.5, found {head!r}",
                where="head",
            ) from error
    return mix
