"""From shards to the files of a benchmark."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from svsim.agents.registry import agent_class, parse_agent
from svsim.benchmark.shard import EPISODE_METRICS, STEP_METRICS, Shard
from svsim.benchmark.spec import BenchmarkSpec
from svsim.benchmark.statistics import Estimate, Panel, ratio_score
from svsim.data.atomic import write_file
from svsim.data.store import FeedStore
from svsim.errors import StoreError
from svsim.metrics import Resamples, coverage, gini
from svsim.names import GROUPS, INFLUENCER

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FILES", "Results", "load_results", "make_results"]

FILES = ("episodes.parquet", "steps.parquet", "results.csv", "results.json")
"""What a finished benchmark consists of, beside `spec.json`."""

GROUP_METRICS = EPISODE_METRICS
SCORE = "score"


@dataclass(frozen=True)
class Results:
    """A finished benchmark.

    Attributes:
        records: One an agent: `agent`, `env`, `seeds`, `episodes`, `privileged`, `metrics`, `groups`, `gap`, or `error`.
        episodes: A row an episode.
        steps: Mean signals by agent, seed and step.
    """

    records: list[dict[str, Any]]
    episodes: pd.DataFrame
    steps: pd.DataFrame

    @property
    def table(self) -> pd.DataFrame:
        """A row an agent; `METRIC_mean`, `METRIC_low`, `METRIC_high`, and the same with the group's name before it."""
        import pandas as pd

        return pd.DataFrame([_flat(record) for record in self.records])

    @property
    def failed(self) -> list[str]:
        """What went wrong, an agent each."""
        return [record["error"] for record in self.records if "error" in record]

    def save(self, folder: Path) -> None:
        """Write the files, the one that says that all is there last."""
        write_file(folder / "episodes.parquet", _parquet(self.episodes))
        write_file(folder / "steps.parquet", _parquet(self.steps))
        write_file(folder / "results.csv", self.table.to_csv(index=False, lineterminator="\n").encode())
        text = json.dumps(self.records, indent=1, ensure_ascii=False, allow_nan=False)
        write_file(folder / "results.json", f"{text}\n".encode())


def load_results(folder: Path) -> Results:
    """Read a finished benchmark.

    Raises:
        StoreError: A file is missing or damaged.
    """
    import pandas as pd

    try:
        records = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        return Results(records, pd.read_parquet(folder / "episodes.parquet"), pd.read_parquet(folder / "steps.parquet"))
    except (OSError, ValueError) as error:
        raise StoreError(
            f"expected the results of a benchmark, found {error}", where=str(folder), remedy="run it again"
        ) from error


def _parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _flat(record: Mapping[str, Any]) -> dict[str, Any]:
    row = {name: record.get(name) for name in ("agent", "env", "seeds", "episodes", "privileged")}
    for prefix, part in (
        ("", record.get("metrics", {})),
        *((f"{group}_", record.get("groups", {}).get(group, {})) for group in GROUPS),
        ("gap_", record.get("gap", {})),
    ):
        for name, value in part.items():
            if isinstance(value, dict):
                row.update({f"{prefix}{name}_{key}": number for key, number in value.items()})
            else:
                row[f"{prefix}{name}"] = value
    row["error"] = record.get("error")
    return row


def make_results(
    spec: BenchmarkSpec, store: FeedStore, shards: Mapping[str, list[Shard]], errors: Mapping[str, str]
) -> Results:
    """Gather shards into results; the order is the specification's.

    Args:
        spec: The benchmark.
        store: What it ran on.
        shards: By agent, those of all seeds in order.
        errors: By agent that failed, what it did.
    """
    estimates = _estimates(store, shards)
    records = []
    for name in spec.all_agents:
        record: dict[str, Any] = {"agent": name, "env": spec.env, "seeds": spec.seeds}
        if name in errors:
            records.append({**record, "error": errors[name]})
            continue
        shard = shards[name][0]
        record |= {"episodes": len(shard.key), "sessions": shard.sessions, "skipped_sessions": shard.skipped}
        record["privileged"] = agent_class(parse_agent(name).target).privileged
        metrics, groups, gap = estimates[name]
        if "random" in estimates and "oracle" in estimates:
            reward = (estimates[rail][0]["reward"] for rail in ("random", "oracle"))
            metrics = {**metrics, SCORE: ratio_score(metrics["reward"], *reward)}
        record["metrics"] = _records(metrics)
        record["groups"] = {
            group: {"users": users, **_records(utilities)} for group, (users, utilities) in groups.items()
        }
        record["gap"] = _records(gap)
        records.append(record)
    return Results(records, _episodes(shards), _steps(shards))


def _records(estimates: Mapping[str, Estimate]) -> dict[str, dict[str, float | None]]:
    return {name: estimate.record() for name, estimate in estimates.items()}


Estimates = tuple[dict[str, Estimate], dict[str, tuple[int, dict[str, Estimate]]], dict[str, Estimate]]


def _estimates(store: FeedStore, shards: Mapping[str, list[Shard]]) -> dict[str, Estimates]:
    """By agent: metrics, users and utilities by group, gaps."""
    if not shards:
        return {}
    ids = [shard.user_id for runs in shards.values() for shard in runs]
    groups = [shard.group for runs in shards.values() for shard in runs]
    users, first = np.unique(np.concatenate(ids), return_index=True)
    influencer = np.concatenate(groups)[first] == INFLUENCER
    resamples = Resamples(len(users))
    estimates = {}
    for name, runs in shards.items():
        panel = Panel(
            [np.searchsorted(users, run.user_id) for run in runs], [run.metrics for run in runs], influencer, resamples
        )
        metrics = {metric: panel.overall(column) for column, metric in enumerate(EPISODE_METRICS)}
        by_group = {
            group: (panel.users(group), {m: panel.utility(group, c) for c, m in enumerate(GROUP_METRICS)})
            for group in GROUPS
        }
        gap = {metric: panel.gap(column) for column, metric in enumerate(GROUP_METRICS)}
        estimates[name] = ({**metrics, **_exposure(store, runs)}, by_group, gap)
    return estimates


def _exposure(store: FeedStore, runs: list[Shard]) -> dict[str, Estimate]:
    """Over all episodes of a seed: distinct videos, authors and tags, coverage of the pool, Gini of author exposure."""
    by_seed = np.array([_exposure_of(store, run) for run in runs]).T
    names = ("distinct_videos", "distinct_authors", "distinct_tags", "coverage", "author_gini")
    return {
        name: Estimate(float(values.mean()), values, np.empty(0)) for name, values in zip(names, by_seed, strict=True)
    }


def _exposure_of(store: FeedStore, run: Shard) -> list[float]:
    author = store.videos["author"]
    tag_sets = np.unique(store.videos["tag_set"][run.video]).tolist()
    tags = {tag for number in tag_sets for tag in store.video_tags[number]}
    plays = np.zeros(len(author))
    plays[run.video] = run.plays
    pool_authors = np.unique(author[run.pool])
    by_author = np.bincount(author[run.video], weights=run.plays, minlength=store.n_authors + 1)[pool_authors]
    return [
        len(run.video),
        int((by_author > 0).sum()),
        len(tags),
        coverage(plays[run.pool]),
        gini(by_author),
    ]


def _episodes(shards: Mapping[str, list[Shard]]) -> pd.DataFrame:
    import pandas as pd

    frames = [
        pd.DataFrame(
            {
                "agent": name,
                "seed": np.int64(seed),
                "episode": np.arange(len(run.key)),
                "episode_key": run.key,
                "user_id": run.user_id,
                "group": run.group,
                **{metric: run.metrics[:, column] for column, metric in enumerate(EPISODE_METRICS)},
            }
        )
        for name, runs in shards.items()
        for seed, run in enumerate(runs)
    ]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame({"agent": []})


def _steps(shards: Mapping[str, list[Shard]]) -> pd.DataFrame:
    import pandas as pd

    frames = [
        pd.DataFrame(
            {"agent": name, "seed": np.int64(seed), "step": np.arange(len(means)), "episodes": count, **means_of}
        )
        for name, runs in shards.items()
        for seed, run in enumerate(runs)
        for count, means in [_step_means(run)]
        for means_of in [{metric: means[:, column] for column, metric in enumerate(STEP_METRICS)}]
    ]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame({"agent": []})


def _step_means(run: Shard) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    reached = run.step_episodes > 0
    return run.step_episodes[reached], run.step_sums[reached] / run.step_episodes[reached, None]
