"""A log asked a shard at a time: what was asked is kept, so that a run that was stopped goes on."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.agents.base import Agent
from svsim.data.atomic import write_file
from svsim.envs.contexts import Contexts
from svsim.errors import AgentError
from svsim.ope.logs.choices import Asked, PolicyRows, Progress, ask
from svsim.ope.logs.logged import LoggedBandit
from svsim.ope.logs.reward_model import RewardModel

__all__ = ["SHARD_ROWS", "ask_in_shards"]

SHARD_ROWS = 20_480
"""Rows of a shard, a multiple of the block that agents are shown."""
_ARRAYS = ("weight", "match", "q_expected", "form_expected")


def ask_in_shards(
    logged: LoggedBandit,
    agents: Mapping[str, Agent],
    contexts: Contexts,
    model: Callable[[], RewardModel],
    folder: Path | None,
    *,
    progress: Progress | None = None,
    **options: Any,
) -> Asked:
    """`svsim.ope.logs.choices.ask`, a shard of rows at a time.

    Args:
        logged: n rows.
        agents: By name.
        contexts: Builds the observations.
        model: Makes the reward model, when it is needed.
        folder: Where shards are kept and found; None keeps none.
        progress: Told of the rows.
        **options: As of `ask`.
    """
    parts: list[Asked] = []
    fitted: RewardModel | None = None
    for start in range(0, len(logged), SHARD_ROWS):
        file = None if folder is None else folder / f"{start // SHARD_ROWS:05d}.npz"
        kept = None if file is None else _load(file, list(agents))
        if kept is not None:
            parts.append(kept)
            continue
        fitted = fitted or model()
        part = logged.take(np.arange(start, min(start + SHARD_ROWS, len(logged))))
        asked = ask(part, agents, contexts, fitted, progress=_from(progress, start, len(logged)), **options)
        if file is not None and not any(isinstance(own, AgentError) for own in asked.policies.values()):
            write_file(file, _bytes(asked, list(agents)))
        parts.append(asked)
    return _joined(parts, list(agents))


def _from(progress: Progress | None, start: int, whole: int) -> Progress | None:
    if progress is None:
        return None
    return lambda name, done, _: progress(name, start + done, whole)


def _joined(parts: list[Asked], names: list[str]) -> Asked:
    policies: dict[str, PolicyRows | AgentError] = {}
    for name in names:
        own = [part.policies[name] for part in parts]
        error = next((found for found in own if isinstance(found, AgentError)), None)
        policies[name] = error or _together([found for found in own if isinstance(found, PolicyRows)])
    return Asked(
        np.concatenate([part.q_logged for part in parts]),
        np.concatenate([part.form_logged for part in parts]),
        policies,
    )


def _together(parts: list[PolicyRows]) -> PolicyRows:
    whole = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS}
    groups = {name: np.concatenate([part.group_weight[name] for part in parts]) for name in parts[0].group_weight}
    return PolicyRows(**whole, group_weight=groups, closed_form=all(part.closed_form for part in parts))


def _bytes(asked: Asked, names: list[str]) -> bytes:
    arrays: dict[str, npt.NDArray[Any]] = {
        # An agent may fail at one run and not at the next: the others then have other numbers.
        "names": np.array(names, dtype=np.str_),
        "q_logged": asked.q_logged,
        "form_logged": asked.form_logged,
    }
    for number, name in enumerate(names):
        own = asked.policies[name]
        assert isinstance(own, PolicyRows)
        arrays |= {f"{number}.{field}": getattr(own, field) for field in _ARRAYS}
        arrays |= {f"{number}.group.{grouping}": values for grouping, values in own.group_weight.items()}
        arrays[f"{number}.closed_form"] = np.array(own.closed_form)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _load(file: Path, names: list[str]) -> Asked | None:
    """What was kept of these policies; None where there is no such file, one of other policies, or a damaged one."""
    try:
        # Opened here: numpy leaves a damaged file open.
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
            arrays = dict(stored)
        if arrays["names"].tolist() != names:
            return None
        policies: dict[str, PolicyRows | AgentError] = {}
        for number, name in enumerate(names):
            before = f"{number}.group."
            groups = {key.removeprefix(before): own for key, own in arrays.items() if key.startswith(before)}
            policies[name] = PolicyRows(
                **{field: arrays[f"{number}.{field}"] for field in _ARRAYS},
                group_weight=groups,
                closed_form=bool(arrays[f"{number}.closed_form"]),
            )
        return Asked(arrays["q_logged"], arrays["form_logged"], policies)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
