"""What a world says of the policies that a log was asked about, and what that says of the estimators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.agents.base import Agent
from svsim.agents.truth import agent_policy
from svsim.names import INFLUENCER, NORMAL
from svsim.ope.logs.logged import LoggedBandit, may_be_chosen
from svsim.ope.records import finite
from svsim.ope.truth.fresh import fresh_contexts
from svsim.ope.truth.judgement import judge
from svsim.response.true_reward import true_reward, true_signal
from svsim.world.files import open_world
from svsim.world.matching import path_rows
from svsim.world.simulation import Path, simulate
from svsim.world.truth import PolicyValue, policy_values

__all__ = ["FRESH", "true_values"]

FRESH = 5_000
"""Fresh contexts that true values are over."""

Ints = npt.NDArray[np.int64]


def true_values(
    logged: LoggedBandit,
    agents: Mapping[str, Agent],
    estimates: Mapping[str, Mapping[str, Any]],
    *,
    candidates: int = 20,
    history: int = 50,
    seed: int = 0,
    path: Path | None = None,
) -> dict[str, Any]:
    """True one-step values of agents, over fresh contexts and over the logged ones, and the estimators judged by them.

    Fresh contexts are exposures that the random log might have replaced and did not. Of the standard log all of its
    requests are logged, and the logged contexts are the only ones.

    Args:
        logged: What was asked, of a world's store.
        agents: Fitted, by name.
        estimates: By agent: records of estimates, by estimator.
        candidates: m.
        history: L of the observations.
        seed: Of the draws.
        path: What the world's users lived through; by default simulated.

    Returns:
        `contexts` (`fresh` or `logged`), `values` by agent over these, `logged` by agent over the logged ones, `judgement`
        by estimator.

    Raises:
        DataError: The store holds no world's truth.
    """
    store = logged.store
    path = simulate(open_world(store.path)) if path is None else path
    own = path_rows(store, path)[logged.rows]
    kind = logged.kind
    signal = (
        true_reward(store, path.world, kind.weights)
        if kind.name == "reward"
        else true_signal(store, path.world, kind.name)
    )
    allowed = may_be_chosen(store) if logged.log == "standard" else None
    policies = {
        name: agent_policy(agent, store, path.world, history=history, seed=seed, allowed=allowed)
        for name, agent in agents.items()
    }
    rows = {"logged": own}
    if logged.log == "random":
        days = np.unique(store.events["date"][logged.rows])
        rows = {"fresh": fresh_contexts(path, days, seed=seed, count=FRESH), **rows}
    public = store.users["user_id"][np.flatnonzero(store.influencer)]
    found = {
        name: policy_values(
            policies,
            path,
            contexts,
            signal=signal,
            candidates=candidates if logged.log == "random" else "retrieved",
            pool=path.world.catalogue.index_of(store.videos["video_id"][logged.pool]) if len(logged.pool) else None,
            parts=_parts(np.isin(path.columns["user"][contexts], public)),
            seed=seed,
        )
        for name, contexts in rows.items()
    }
    main = next(iter(found))
    truth = {name: value.value for name, value in found[main].items()}
    kinds = list(next(iter(estimates.values()))) if estimates else []
    return {
        "contexts": main,
        "rows": len(rows[main]),
        "values": _records(found[main]),
        "logged": _records(found["logged"]),
        "judgement": {
            kind: judge(
                {name: _number(own[kind]["value"]) for name, own in estimates.items()},
                truth,
                intervals={
                    name: (_number(own[kind]["low"]), _number(own[kind]["high"])) for name, own in estimates.items()
                },
            ).record()
            for kind in kinds
        },
    }


def _parts(influencer: npt.NDArray[np.bool_]) -> dict[str, npt.NDArray[np.bool_]]:
    return {INFLUENCER: influencer, NORMAL: ~influencer}


def _records(values: Mapping[str, PolicyValue]) -> dict[str, Any]:
    return {
        name: {
            "value": own.value,
            "standard_error": own.standard_error,
            "parts": {part: finite(value) for part, (value, _) in own.parts.items()},
        }
        for name, own in values.items()
    }


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
