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
from svsim.benchmark.analysis import Analysis
from svsim.benchmark.shard import EPISODE_METRICS, STEP_METRICS, Shard
from svsim.benchmark.spec import FORMAT, VERSION, BenchmarkSpec
from svsim.benchmark.statistics.slices import THRESHOLDS
from svsim.data.atomic import write_file
from svsim.data.result_folder import SPEC
from svsim.data.store import FeedStore
from svsim.errors import StoreError
from svsim.metrics import RESAMPLES
from svsim.names import GROUPS

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FILES", "Results", "load_results", "make_results"]

FILES = (
    "episodes.parquet",
    "steps.parquet",
    "authors.parquet",
    "profiles.parquet",
    "results.csv",
    "results.json",
)
"""What a finished benchmark consists of, beside `spec.json`."""
TABLES = ("episodes", "steps", "authors", "profiles")


@dataclass(frozen=True)
class Results:
    """A finished benchmark.

    Attributes:
        records: One an agent: `agent`, `env`, `seeds`, `episodes`, `privileged`, `metrics`, of influencers and normal users
            `groups`, `gap`, `worst`, of other `groupings` the same, `gap_within_activity`, `comparison` with the best
            unprivileged rail, `slices`, how far it is `behind` the best agent, whether it is the `winner`; or `error`.
        episodes: A row an episode.
        steps: Mean signals by agent, seed and step.
        authors: Exposures by agent and author.
        profiles: Performance profiles: by agent and threshold the share of slices whose score is above it.
    """

    records: list[dict[str, Any]]
    episodes: pd.DataFrame
    steps: pd.DataFrame
    authors: pd.DataFrame
    profiles: pd.DataFrame

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
        for name in TABLES:
            write_file(folder / f"{name}.parquet", _parquet(getattr(self, name)))
        write_file(folder / "results.csv", self.table.to_csv(index=False, lineterminator="\n").encode())
        text = json.dumps(self.records, indent=1, ensure_ascii=False, allow_nan=False)
        write_file(folder / "results.json", f"{text}\n".encode())


def load_results(folder: str | Path) -> Results:
    """Read a finished benchmark.

    Raises:
        StoreError: A file is missing or damaged, or was written by another version.
    """
    import pandas as pd

    folder = Path(folder)
    _check_version(folder)
    try:
        records = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        return Results(records, **{name: pd.read_parquet(folder / f"{name}.parquet") for name in TABLES})
    except (OSError, ValueError) as error:
        raise StoreError(
            f"expected the results of a benchmark, found {error}",
            where=str(folder),
            remedy="run the benchmark again with the same --out: it goes on where it stopped",
        ) from error


def _check_version(folder: Path) -> None:
    where = str(folder)
    if not folder.is_dir():
        raise StoreError("expected the folder of a benchmark, found none", where=where)
    try:
        told = json.loads((folder / SPEC).read_text(encoding="utf-8"))
        form, version = told.get("format"), told.get("version")
    except (OSError, ValueError, AttributeError) as error:
        raise StoreError(f"expected the folder of a benchmark, found {error}", where=where) from error
    if (form, version) != (FORMAT, VERSION):
        found = f"version {version}" if form == FORMAT else f"the form {form or 'of an earlier svsim'}"
        raise StoreError(
            f"expected benchmark results of version {VERSION}, found {found}",
            where=where,
            remedy="run the benchmark again with this version of svsim and another --out",
        )


def _parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _flat(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record as columns: names with underscores between them, the groups' own figures beside the overall ones."""
    row = {name: record.get(name) for name in ("agent", "env", "seeds", "episodes", "privileged")}
    if "metrics" in record:
        row |= _columns("", record["metrics"])
        for group in GROUPS:
            row |= _columns(f"{group}_", record["groups"][group])
        row |= _columns("gap_", record["gap"])
        row |= _columns("gap_within_activity_", {"reward": record["gap_within_activity"]["reward"]})
        for name, grouping in record["groupings"].items():
            for level, own in grouping["groups"].items():
                start = f"{name}_{level.replace(' ', '_')}_"
                row |= _columns(start, {"users": own["users"], "reward": own["reward"]})
            row |= _columns(f"{name}_gap_", {"reward": grouping["gap"]["reward"]})
        for name in ("slices", "comparison", "behind"):
            row |= _columns(f"{name}_", record.get(name) or {})
        row["winner"] = record.get("winner")
    row["error"] = record.get("error")
    return row


def _columns(start: str, told: Mapping[str, Any]) -> dict[str, Any]:
    row = {}
    for name, value in told.items():
        if isinstance(value, dict):
            row.update({f"{start}{name}_{key}": number for key, number in value.items()})
        else:
            row[f"{start}{name}"] = value
    return row


def make_results(
    spec: BenchmarkSpec,
    store: FeedStore,
    shards: Mapping[str, list[Shard]],
    errors: Mapping[str, str],
    *,
    validation: Mapping[str, Shard] | None = None,
    resamples: int = RESAMPLES,
) -> Results:
    """Gather shards into results; the order is the specification's.

    Args:
        spec: The benchmark.
        store: What it ran on.
        shards: By agent, those of all seeds in order.
        errors: By agent that failed, what it did.
        validation: Shards of unprivileged rails on the validation split, which choose what all are compared with.
        resamples: Of the users.
    """
    privileged = {name: agent_class(parse_agent(name).target).privileged for name in shards}
    cheats = frozenset(name for name, own in privileged.items() if own)
    analysis = Analysis(spec, store, shards, cheats, validation or {}, resamples) if shards else None
    records = []
    for name in spec.all_agents:
        record: dict[str, Any] = {"agent": name, "env": spec.env, "seeds": spec.seeds}
        if analysis is None or name in errors:
            records.append({**record, "error": errors[name]})
            continue
        shard = shards[name][0]
        record |= {"episodes": len(shard.key), "sessions": shard.sessions, "skipped_sessions": shard.skipped}
        records.append({**record, "privileged": privileged[name], **analysis.record(name)})
    return Results(records, _episodes(shards), _steps(shards), _authors(analysis), _profiles(analysis))


def _authors(analysis: Analysis | None) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({"agent": []}) if analysis is None else analysis.exposure.table(analysis.shards)


def _profiles(analysis: Analysis | None) -> pd.DataFrame:
    import pandas as pd

    rows = [
        {"agent": name, "threshold": float(threshold), "share": own["mean"], "low": own["low"], "high": own["high"]}
        for name, shares in (analysis.profiles() if analysis else {}).items()
        for threshold, share in zip(THRESHOLDS, shares, strict=True)
        for own in [share.record()]
    ]
    return pd.DataFrame(rows, columns=["agent", "threshold", "share", "low", "high"])


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
