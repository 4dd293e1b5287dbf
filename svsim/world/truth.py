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

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from svsim.errors import AgentError, OptionError
from svsim.names import CLICK
from svsim.randomness import keyed_uniform
from svsim.world.draws import Draw
from svsim.world.simulation import Path
from svsim.world.state import State

__all__ = ["Policy", "PolicyValue", "Signal", "oracle_policy", "policy_value", "policy_values", "uniform_policy"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Policy = Callable[[State, Ints], npt.NDArray[Any]]
"""(state of B rows, (B, K) video indices, −1 an empty slot) → (B, K) probabilities."""

Signal = str | Callable[[State, Ints], Floats]

BLOCK = 2_048
FEW = 8
"""Contexts whose candidates are drawn together: their hashes stay in the processor's cache."""


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
    parts: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Values and standard errors of the contexts that were asked to be told apart."""


def policy_value(
    policy: Policy,
    path: Path,
    rows: Ints,
    *,
    signal: Signal = CLICK,
    candidates: int | Literal["retrieved"] = 20,
    draws: int = 4,
    over: Literal["contexts", "users"] = "users",
    seed: int = 0,
) -> PolicyValue:
    """The true one-step value of a policy over logged contexts; arguments and errors as of `policy_values`."""
    return policy_values(
        {"policy": policy}, path, rows, signal=signal, candidates=candidates, draws=draws, over=over, seed=seed
    )["policy"]


def policy_values(
    policies: Mapping[str, Policy],
    path: Path,
    rows: Ints,
    *,
    signal: Signal = CLICK,
    candidates: int | Literal["retrieved"] = 20,
    draws: int = 4,
    over: Literal["contexts", "users"] = "users",
    pool: Ints | None = None,
    parts: Mapping[str, npt.NDArray[np.bool_]] | None = None,
    seed: int = 0,
) -> dict[str, PolicyValue]:
    """True one-step values of policies over logged contexts; candidates and expectations are the same for all.

    Args:
        policies: By name; each gives each candidate's probability, see `Policy`.
        path: What users lived through (`simulate`).
        rows: (B,) rows of the path that are the contexts.
        signal: One of the signals that `World.expect` knows, or a function of a state and (B, K) video indices that gives
            (B, K) expectations.
        candidates: m, drawn from the pool for every context; or `retrieved`, what the platform chose from there.
        draws: Candidate sets for every context; two at least, since the error among contexts comes from them. Retrieved
            sets are what they are: one, and no error among contexts.
        over: What the standard error is over.
        pool: (K,) video indices that candidates are drawn from; by default all of the random log's.
        parts: (B,) some of the contexts, by name, whose values are told apart.
        seed: Of the candidate draws.

    Raises:
        OptionError: No contexts, fewer than two draws, more candidates than the pool has, an unknown signal.
        AgentError: A policy gave no probabilities.
    """
    world = path.world
    retrieved = candidates == "retrieved"
    size = 1 if isinstance(candidates, str) else candidates
    drawn = world.pool if pool is None else pool
    if (
        not len(rows)
        or draws < 2
        or not 1 <= size <= len(drawn)
        or over not in ("contexts", "users")
        or (isinstance(candidates, str) and not retrieved)
    ):
        raise OptionError(
            f"expected contexts, two draws or more and up to {len(drawn)} candidates or retrieved, over contexts or users,"
            f" found {len(rows)} contexts, {draws} draws, {candidates} candidates, over {over!r}",
            where="policy_value",
        )
    values = {name: np.zeros((1 if retrieved else draws, len(rows))) for name in policies}
    for draw in range(1 if retrieved else draws):
        for start in range(0, len(rows), BLOCK):
            block = rows[start : start + BLOCK]
            state = path.state(block)
            if retrieved:
                videos = world.retrieved(state.user, state.request, state.time_ms)
            else:
                videos = _candidates(block, drawn, size, world.key, Draw.EVALUATION, seed, draw)
            expected = signal(state, videos) if callable(signal) else world.expect(state, videos, [signal])[signal]
            for name, policy in policies.items():
                chosen = _probabilities(policy(state, videos), videos >= 0)
                values[name][draw, start : start + BLOCK] = (chosen * expected).sum(axis=1)
    user = path.columns["user"][rows]
    return {name: _value(own, user, over, parts or {}) for name, own in values.items()}


def _candidates(rows: Ints, pool: Ints, size: int, *keys: npt.ArrayLike) -> Ints:
    """(B, size) videos of the pool for each row, uniformly without replacement: those of the least hashes."""
    chosen = np.empty((len(rows), size), dtype=np.int64)
    for start in range(0, len(rows), FEW):
        part = slice(start, start + FEW)
        uniform = keyed_uniform(*keys, rows[part, None], pool)
        chosen[part] = pool[np.argpartition(uniform, size - 1, axis=1)[:, :size]]
    return chosen


def _value(values: Floats, user: Ints, over: str, parts: Mapping[str, npt.NDArray[np.bool_]]) -> PolicyValue:
    """The value of (draws, B) expectations."""
    told = {name: _mean(values[:, own], user[own], over) for name, own in parts.items()}
    return PolicyValue(*_mean(values, user, over), over, len(user), len(np.unique(user)), told)


def _mean(values: Floats, user: Ints, over: str) -> tuple[float, float]:
    """Mean and standard error; NaN of no contexts."""
    draws, rows = values.shape
    if not rows:
        return float("nan"), float("nan")
    mean = values.mean(axis=0)
    if over == "contexts":
        error = 0.0 if draws == 1 else float(np.sqrt((values.var(axis=0, ddof=1) / draws).sum()) / rows)
    else:
        sums = np.bincount(user, weights=mean - mean.mean())
        n = len(np.unique(user))
        error = float(np.sqrt((sums**2).sum() * n / max(n - 1, 1)) / rows)
    return float(mean.mean()), error


def uniform_policy(state: State, videos: Ints) -> Floats:  # noqa: ARG001 - a policy takes both
    """Every candidate alike: the random rail."""
    full = videos >= 0
    return np.asarray(full / full.sum(axis=1, keepdims=True))


def oracle_policy(path: Path, signal: Signal = CLICK) -> Policy:
    """The candidate of the greatest true expectation: the oracle rail, which no agent can be."""

    def choose(state: State, videos: Ints) -> Floats:
        told = signal(state, videos) if callable(signal) else path.world.expect(state, videos, [signal])[signal]
        expected = np.where(videos >= 0, told, -np.inf)
        return np.asarray((np.arange(videos.shape[1])[None, :] == expected.argmax(axis=1)[:, None]).astype(np.float64))

    return choose


def _probabilities(given: npt.NDArray[Any], full: npt.NDArray[np.bool_]) -> Floats:
    chosen = np.asarray(given, dtype=np.float64)
    if chosen.shape != full.shape:
        raise AgentError(f"expected probabilities of shape {full.shape}, found {chosen.shape}", where="policy_value")
    if not (chosen >= 0).all() or not np.allclose((chosen * full).sum(axis=1), 1, atol=1e-6):
        raise AgentError("expected probabilities that sum to one over the candidates", where="policy_value")
    # What a policy gives an empty slot is nothing: there is no video that it could be the expectation of.
    return np.asarray(chosen * full)
