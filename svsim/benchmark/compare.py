"""Two benchmarks side by side: what changed for each agent, paired where they met the same episodes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from svsim.benchmark.results import load_results
from svsim.benchmark.spec import SUITE_FORMAT
from svsim.benchmark.statistics import Comparison, Estimate, Panel, p_value
from svsim.data.result_folder import SPEC
from svsim.errors import OptionError, StoreError
from svsim.metrics import RESAMPLES, Resamples
from svsim.ope.differences import holm

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BenchmarkComparison", "compare_benchmarks", "finished_benchmarks"]

_SHARED = ("store", "env", "split")
"""Settings that decide which sessions there are; a replay's session rule too."""
_NO_SETTINGS = ("agents", "agent_files", "versions", "format")


@dataclass(frozen=True)
class BenchmarkComparison:
    """Two benchmarks compared.

    Attributes:
        records: One an agent that both have: `agent`, `first` and `second` ({mean, low, high} of the reward), `paired`,
            `episodes` and `seeds` that enter, `difference` of the second to the first with `p_value`, `adjusted_p` by Holm
            over the agents and `better`; or `error`.
        only_first: Agents that the second one lacks.
        only_second: Agents that the first one lacks.
        settings: By setting that differs, both values.
    """

    records: list[dict[str, Any]]
    only_first: list[str]
    only_second: list[str]
    settings: dict[str, tuple[Any, Any]]


def finished_benchmarks(folder: str | Path) -> dict[str, Path]:
    """The benchmark in a folder, under an empty name, or those in its subfolders, as a suite leaves them.

    Raises:
        StoreError: There is none.
    """
    folder = Path(folder)
    if _format_of(folder) not in (None, SUITE_FORMAT):
        return {"": folder}
    found = {file.parent.name: file.parent for file in sorted(folder.glob(f"*/{SPEC}"))}
    if not found:
        raise StoreError("expected the folder of a benchmark or of a suite, found none", where=str(folder))
    return found


def _format_of(folder: Path) -> str | None:
    """What the folder's `spec.json` is of; None without one, a text for every other."""
    try:
        told = json.loads((folder / SPEC).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return ""
    return str(told.get("format")) if isinstance(told, dict) else ""


def compare_benchmarks(first: str | Path, second: str | Path, *, resamples: int = RESAMPLES) -> BenchmarkComparison:
    """Compare the agents of two benchmarks by reward.

    Episodes of the same seed and session are paired, if both benchmarks serve the same sessions; without one in common
    the two count as independent, and a record says so.

    Args:
        first: Folder of a benchmark.
        second: Folder of another one.
        resamples: Of the users.

    Raises:
        StoreError: A folder holds no finished benchmark of this version.
        OptionError: They have no agent in common.
    """
    one, other = load_results(first), load_results(second)
    specs = [json.loads((Path(folder) / SPEC).read_text(encoding="utf-8")) for folder in (first, second)]
    names = [[record["agent"] for record in results.records] for results in (one, other)]
    common = [name for name in names[0] if name in names[1]]
    if not common:
        raise OptionError(
            f"expected agents in common, found none: {', '.join(names[0])} and {', '.join(names[1])}",
            where=f"{first} and {second}",
        )
    same = _sessions_of(specs[0]) == _sessions_of(specs[1])
    failed = {record["agent"]: record["error"] for record in (*other.records, *one.records) if "error" in record}
    records, comparisons = [], {}
    for name in common:
        if name in failed:
            records.append({"agent": name, "error": failed[name]})
            continue
        record, comparisons[name] = _compare(name, one.episodes, other.episodes, same, resamples)
        records.append(record)
    adjusted = holm({name: p_value(difference) for name, difference in comparisons.items()})
    for record in records:
        if "error" not in record:
            difference = comparisons[record["agent"]]
            told = Comparison("first", difference, p_value(difference), adjusted[record["agent"]]).record()
            record["difference"] = {name: value for name, value in told.items() if name != "against"}
    return BenchmarkComparison(
        records,
        [name for name in names[0] if name not in common],
        [name for name in names[1] if name not in common],
        {
            name: (specs[0].get(name), specs[1].get(name))
            for name in sorted({*specs[0], *specs[1]} - set(_NO_SETTINGS))
            if specs[0].get(name) != specs[1].get(name)
        },
    )


def _sessions_of(spec: dict[str, Any]) -> list[Any]:
    """What decides which session an episode's key stands for."""
    told = [spec.get(name) for name in _SHARED]
    if spec.get("env") == "replay":
        least = spec.get("min_videos")
        told += [spec.get("session_gap_minutes"), spec.get("candidates") if least is None else least]
    return told


def _compare(
    name: str, one: pd.DataFrame, other: pd.DataFrame, same: bool, resamples: int
) -> tuple[dict[str, Any], Estimate]:
    first, second = (frame[frame["agent"] == name] for frame in (one, other))
    matched = (
        first.merge(second, on=["seed", "episode_key", "user_id"], suffixes=("_first", "_second")) if same else None
    )
    if matched is not None and len(matched):
        estimates = _panel(matched, ("reward_first", "reward_second"), 0, resamples)
        episodes, seeds = len(matched), matched["seed"].nunique()
    else:
        # Drawn apart, so that nothing is shared by chance.
        estimates = [_panel(frame, ("reward",), number, resamples)[0] for number, frame in enumerate((first, second))]
        seeds = min(len(estimate.by_seed) for estimate in estimates)
        episodes = len(first) + len(second)
    # One user alone has no resamples.
    draws = min(len(own.resampled) for own in estimates)
    cut = [Estimate(own.value, own.by_seed[:seeds], own.resampled[:draws], own.degrees) for own in estimates]
    record = {
        "agent": name,
        "paired": matched is not None and len(matched) > 0,
        "episodes": episodes,
        "seeds": int(seeds),
        "first": estimates[0].record(),
        "second": estimates[1].record(),
    }
    return record, cut[1] - cut[0]


def _panel(frame: pd.DataFrame, columns: tuple[str, ...], seed: int, resamples: int) -> list[Estimate]:
    known, user = np.unique(frame["user_id"], return_inverse=True)
    parts = [np.flatnonzero(frame["seed"] == number) for number in sorted(frame["seed"].unique())]
    values = [frame[column].to_numpy(dtype=np.float64)[:, None] for column in columns]
    panel = Panel(
        [user[part] for part in parts],
        [[own[part] for part in parts] for own in values],
        {},
        Resamples(len(known), seed=seed, count=resamples),
    )
    return [panel.overall(number, 0) for number in range(len(columns))]
