"""What a benchmark's results look like in time and by group: tables that figures are drawn from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from svsim.benchmark.results import Results
from svsim.metrics import lorenz_curve

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PARTS", "QUANTILES", "as_they_act", "by_step", "concentration", "reward_quantiles"]

PARTS = 10
"""Into which the episodes of a seed are cut, in the order in which they were opened."""

QUANTILES = {"p10": 0.1, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p90": 0.9}
"""Of a distribution that is shown as a box."""

RANDOM = "random"


def by_step(results: Results) -> pd.DataFrame:
    """Mean signals of a step over all seeds, weighed by the episodes that reached it.

    Returns:
        A row an agent and step: `agent`, `step` (from 1), `reward`, `wtr`, `wtg`, `aux`, and `reached`, the share of the
        episodes that came so far.
    """
    import pandas as pd

    columns = ["reward", "wtr", "wtg", "aux"]
    rows = []
    for agent, own in results.steps.groupby("agent", sort=False):
        weights = own["episodes"].to_numpy(dtype=float)
        sums = own[columns].mul(weights, axis=0).assign(step=own["step"], episodes=weights).groupby("step").sum()
        means = sums[columns].div(sums["episodes"], axis=0)
        means.insert(0, "reached", sums["episodes"] / sums["episodes"].iloc[0])
        rows.append(means.reset_index().assign(agent=agent, step=lambda frame: frame["step"] + 1))
    empty = pd.DataFrame(columns=["agent", "step", "reached", *columns])
    return pd.concat(rows, ignore_index=True)[list(empty)] if rows else empty


def as_they_act(results: Results, *, against: str = RANDOM) -> pd.DataFrame:
    """How an agent's lead changes from its first episodes to its last: learners rise, others stay level.

    Both played the same episodes, so what the episodes themselves are worth falls out of the difference.

    Args:
        results: Of a benchmark.
        against: An agent that does not learn.

    Returns:
        A row an agent and part: `agent`, `part` (from 1), `lead` (mean difference in reward of an episode); empty where
        `against` did not play.
    """
    import pandas as pd

    columns = ["agent", "part", "lead"]
    episodes = results.episodes
    if against not in set(episodes["agent"]):
        return pd.DataFrame(columns=columns)
    key = ["seed", "episode"]
    base = episodes[episodes["agent"] == against].set_index(key)["reward"]
    rows: list[tuple[Any, ...]] = []
    for agent, own in episodes.groupby("agent", sort=False):
        if agent == against:
            continue
        lead = own.set_index(key)["reward"] - base
        number = lead.index.get_level_values("episode").to_numpy()
        part = number * PARTS // (number.max() + 1)
        rows += [(agent, int(str(place)) + 1, values.mean()) for place, values in lead.groupby(part)]
    return pd.DataFrame(rows, columns=columns)


def reward_quantiles(results: Results) -> pd.DataFrame:
    """Distribution of episodes' rewards by agent and group.

    Returns:
        A row an agent and group: `agent`, `group`, `episodes`, and `QUANTILES`.
    """
    import pandas as pd

    columns = ["agent", "group", "episodes", *QUANTILES]
    if results.episodes.empty:
        return pd.DataFrame(columns=columns)
    rows = [
        (agent, group, len(own), *np.quantile(own["reward"], list(QUANTILES.values())))
        for (agent, group), own in results.episodes.groupby(["agent", "group"], sort=False)
    ]
    return pd.DataFrame(rows, columns=columns)


def concentration(results: Results, shares: npt.ArrayLike) -> pd.DataFrame:
    """How an agent's exposures are spread over the pool's authors: Lorenz curves, read from their upper end.

    Args:
        results: Of a benchmark.
        shares: (S,) shares of the authors, the most exposed first, in [0, 1].

    Returns:
        A row an agent and share: `agent`, `authors`, `exposures` (the share that these authors have).
    """
    import pandas as pd

    at = np.asarray(shares, dtype=np.float64)
    frames = []
    for record in results.records:
        own = results.authors[results.authors["agent"] == record["agent"]]
        if "error" in record or own.empty:
            continue
        metrics = record["metrics"]
        # Shares and counts are of the same pool: their ratio is its number of authors.
        of_pool = round(metrics["distinct_authors"]["mean"] / metrics["author_coverage"]["mean"])
        exposures = np.zeros(max(of_pool, len(own)))
        exposures[: len(own)] = own["exposures"]
        curve = 1 - lorenz_curve(exposures, 1 - at)
        frames.append(pd.DataFrame({"agent": record["agent"], "authors": at, "exposures": curve}))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["agent", "authors", "exposures"])
