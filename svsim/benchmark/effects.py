"""What an intervention does: to the worse-off group, to the others, to the gap between them, paired with doing nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from svsim.benchmark.statistics import Estimate, Panel
from svsim.errors import OptionError
from svsim.metrics import RESAMPLES, Resamples
from svsim.names import GROUPS, INFLUENCER, NORMAL

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Effect", "effects"]


@dataclass(frozen=True)
class Effect:
    """What an agent brings, and how that differs from another agent's; in reward.

    Attributes:
        everybody: Mean over episodes.
        groups: Utility of influencers and of normal users.
        gap: Utility of normal users less that of influencers.
        worst: The lower one of the groups' utilities.
        of_everybody: Difference to the other agent, paired; so are the following.
        of_groups: By group.
        of_gap: Negative where it favours influencers.
        of_worst: Of the lower utilities, whichever group has them.
    """

    everybody: Estimate
    groups: dict[str, Estimate]
    gap: Estimate
    worst: Estimate
    of_everybody: Estimate
    of_groups: dict[str, Estimate]
    of_gap: Estimate
    of_worst: Estimate


def effects(episodes: pd.DataFrame, base: str, *, resamples: int = RESAMPLES) -> dict[str, Effect]:
    """Effects of every agent of a benchmark against one of them.

    Args:
        episodes: `Results.episodes`.
        base: The agent without intervention.
        resamples: Of the users.

    Returns:
        By agent, the base among them.

    Raises:
        OptionError: The base is none of the agents.
    """
    names = list(dict.fromkeys(episodes["agent"]))
    if base not in names:
        raise OptionError(f"expected one of {', '.join(names)}, found {base!r}", where="base")
    own = episodes[episodes["agent"] == base]
    known, first, user = np.unique(own["user_id"], return_index=True, return_inverse=True)
    group = own["group"].to_numpy()[first]
    # All agents play the same episodes in the same order.
    seeds = [np.flatnonzero(own["seed"] == seed) for seed in sorted(own["seed"].unique())]
    rewards = [episodes.loc[episodes["agent"] == name, "reward"].to_numpy(dtype=np.float64) for name in names]
    panel = Panel(
        [user[rows] for rows in seeds],
        [[reward[rows][:, None] for rows in seeds] for reward in rewards],
        {name: group == name for name in GROUPS},
        Resamples(len(known), count=resamples, keep=True),
    )
    parts = {name: _parts(panel, number) for number, name in enumerate(names)}
    (everybody, groups, gap, worst) = parts[base]
    return {
        name: Effect(
            *told,
            told[0] - everybody,
            {level: told[1][level] - groups[level] for level in GROUPS},
            told[2] - gap,
            told[3] - worst,
        )
        for name, told in parts.items()
    }


def _parts(panel: Panel, agent: int) -> tuple[Estimate, dict[str, Estimate], Estimate, Estimate]:
    groups = {level: panel.utility(agent, level, 0) for level in GROUPS}
    one, other = groups[INFLUENCER], groups[NORMAL]
    worst = Estimate(
        min(one.value, other.value),
        np.minimum(one.by_seed, other.by_seed),
        np.minimum(one.resampled, other.resampled),
        min(one.degrees, other.degrees),
    )
    return panel.overall(agent, 0), groups, other - one, worst
