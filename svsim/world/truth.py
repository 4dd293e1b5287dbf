"""True values of policies: what nobody can read off a log.

One-step value over logged contexts: at each of some exposures the policy chooses one of m candidates, and the world says
what would have come of it on average,

    V = mean over contexts of Σ_k π(k | context) E[signal | state, video k]

Candidates are drawn uniformly without replacement from the pool of the random log, or they are the set that the platform
retrieved for the context's request. The standard error says what is meant: `contexts` takes these contexts as given, so that
only the draws of candidates vary; `users` takes their users as a sample of all users, clustered by user. Agents become
policies by `svsim.agents.agent_policy`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from svsim.errors import AgentError, OptionError
from svsim.names import CLICK
from svsim.randomness import keyed_uniform
from svsim.world.draws import Draw
from svsim.world.simulation import Path
from svsim.world.state import State

__all__ = ["PolicyValue", "oracle_policy", "policy_value", "uniform_policy"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Policy = Callable[[State, Ints], npt.NDArray[Any]]
"""(state of B rows, (B, K) video indices, −1 an empty slot) → (B, K) probabilities."""

BLOCK = 2_048


@dataclass(frozen=True)
class PolicyValue:
    """A true value and how well it is known."""

    value: float
    """Mean over contexts."""
    standard_error: float
    """Of the value, over what `over` says."""
    over: str
    """`contexts` or `users`."""
    contexts: int
    """Rows that the mean is over."""
    users: int
    """Their users."""


def policy_value(
    policy: Policy,
    path: Path,
    rows: Ints,
    *,
    signal: str = CLICK,
    candidates: int | Literal["retrieved"] = 20,
    draws: int = 4,
    over: Literal["contexts", "users"] = "users",
    seed: int = 0,
) -> PolicyValue:
    """The true one-step value of a policy over logged contexts.

    Args:
        policy: Gives each candidate's probability, see `Policy`.
        path: What users lived through (`simulate`).
        rows: (B,) rows of the path that are the contexts.
        signal: One of the signals that `World.expect` knows.
        candidates: m, drawn from the pool for every context; or `retrieved`, what the platform chose from there.
        draws: Candidate sets for every context; two at least, since the error among contexts comes from them. Retrieved
            sets are what they are: one, and no error among contexts.
        over: What the standard error is over.
        seed: Of the candidate draws; the same for every policy, so that values can be compared in pairs.

    Raises:
        OptionError: No contexts, fewer than two draws, more candidates than the pool has, an unknown signal.
        AgentError: The policy gave no probabilities.
    """
    world = path.world
    retrieved = candidates == "retrieved"
    size = 1 if isinstance(candidates, str) else candidates
    if (
        not len(rows)
        or draws < 2
        or not 1 <= size <= world.config.pool
        or over not in ("contexts", "users")
        or (isinstance(candidates, str) and not retrieved)
    ):
        raise OptionError(
            f"expected contexts, two draws or more and up to {world.config.pool} candidates or retrieved, over contexts or"
            f" users, found {len(rows)} contexts, {draws} draws, {candidates} candidates, over {over!r}",
            where="policy_value",
        )
    values = np.zeros((1 if retrieved else draws, len(rows)))
    for draw in range(len(values)):
        for start in range(0, len(rows), BLOCK):
            block = rows[start : start + BLOCK]
            state = path.state(block)
            if retrieved:
                videos = world.retrieved(state.user, state.request, state.time_ms)
            else:
                key = keyed_uniform(
                    world.key, Draw.EVALUATION, seed, draw, block[:, None], np.arange(world.config.pool)
                )
                videos = np.argpartition(key, size - 1, axis=1)[:, :size]
            expected = world.expect(state, videos, [signal])[signal]
            chosen = _probabilities(policy(state, videos), videos >= 0)
            values[draw, start : start + BLOCK] = (chosen * expected).sum(axis=1)
    user = path.columns["user"][rows]
    mean = values.mean(axis=0)
    if over == "contexts":
        error = 0.0 if retrieved else float(np.sqrt((values.var(axis=0, ddof=1) / draws).sum()) / len(rows))
    else:
        sums = np.bincount(user, weights=mean - mean.mean())
        n = len(np.unique(user))
        error = float(np.sqrt((sums**2).sum() * n / max(n - 1, 1)) / len(rows))
    return PolicyValue(float(mean.mean()), error, over, len(rows), len(np.unique(user)))


def uniform_policy(state: State, videos: Ints) -> Floats:  # noqa: ARG001 - a policy takes both
    """Every candidate alike: the random rail."""
    full = videos >= 0
    return np.asarray(full / full.sum(axis=1, keepdims=True))


def oracle_policy(path: Path, signal: str = CLICK) -> Policy:
    """The candidate of the greatest true expectation: the oracle rail, which no agent can be."""

    def choose(state: State, videos: Ints) -> Floats:
        expected = np.where(videos >= 0, path.world.expect(state, videos, [signal])[signal], -np.inf)
        return np.asarray((np.arange(videos.shape[1])[None, :] == expected.argmax(axis=1)[:, None]).astype(np.float64))

    return choose


def _probabilities(given: npt.NDArray[Any], full: npt.NDArray[np.bool_]) -> Floats:
    chosen = np.asarray(given, dtype=np.float64)
    if chosen.shape != full.shape:
        raise AgentError(f"expected probabilities of shape {full.shape}, found {chosen.shape}", where="policy_value")
    if not (chosen >= 0).all() or not np.allclose((chosen * full).sum(axis=1), 1, atol=1e-6):
        raise AgentError("expected probabilities that sum to one over the candidates", where="policy_value")
    return chosen
