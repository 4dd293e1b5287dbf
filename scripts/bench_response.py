"""How fast the response model is trained, and in how much memory.

    python scripts/bench_response.py --store store-1k --rows 5000000 > bench_response.json

Trains in a folder that is removed afterwards and prints one JSON document. The yardstick, taken before and after, is what
the same torch threads make of plain products of the network's first layer: quote rows per second beside it.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro

from svsim.models.response.config import ResponseConfig, ResponseTraining
from svsim.models.response.training import train_response
from svsim.world import find_store

TARGETS = {"minutes": 20, "peak_gib": 6}
KNOWN_ROWS_PER_S = 117
"""What a known KuaiRand simulator trains at (the issue's figure)."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How fast the response model is trained, and in how much memory."""

    store: str = "small"
    """A store's folder, or the name of a preset."""
    rows: int = 5_000_000
    """Training rows, at most."""
    epochs: int | None = None
    """At most; by default as `svsim train response`."""
    threads: int = 2
    """Of torch."""


def gigaflops(columns: int, width: int) -> float:
    """Median speed of a product of 2,048 rows, forward and backward as in training."""
    x, w = torch.randn(2_048, columns), torch.randn(columns, width, requires_grad=True)
    speeds = []
    for _ in range(15):
        began = time.perf_counter()
        (x @ w).sum().backward()
        speeds.append(4 * 2_048 * columns * width / (time.perf_counter() - began) / 1e9)
    return statistics.median(speeds)


def main(options: Options) -> None:
    """Train and print."""
    torch.set_num_threads(options.threads)
    store = find_store(options.store)
    config, training = ResponseConfig(), ResponseTraining(rows=options.rows, epochs=options.epochs)
    yardstick = [gigaflops(256, config.members * config.hidden)]
    marks: list[tuple[str, float]] = []

    def tell(name: str, done: int, whole: int | None) -> None:  # noqa: ARG001
        if not marks or marks[-1][0] != name:
            marks.append((name, time.perf_counter()))
            print(name, file=sys.stderr)

    with tempfile.TemporaryDirectory(prefix="svsim-bench-") as folder:
        began = time.perf_counter()
        run = train_response(store, Path(folder) / "run", config, training, progress=tell)
        seconds = time.perf_counter() - began
        history = (run.path / "history.csv").read_text().splitlines()
    yardstick.append(gigaflops(256, config.members * config.hidden))
    ends = [*(mark for _, mark in marks[1:]), began + seconds]
    parts: dict[str, float] = {}
    for (name, start), end in zip(marks, ends, strict=True):
        parts[name] = round(end - start, 2)
    rows = min(options.rows, len(store.split_rows("train")))
    epochs = len(history) - 1
    print(
        json.dumps(
            {
                "threads": options.threads,
                "store": store.fingerprint,
                "events": store.n_events,
                "rows": rows,
                "epochs": epochs,
                "minutes": seconds / 60,
                "rows_per_s": rows * epochs / seconds,
                "times_known": rows * epochs / seconds / KNOWN_ROWS_PER_S,
                "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
                "seconds_by_part": parts,
                "yardstick_gflops": yardstick,
                "targets": TARGETS,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main(tyro.cli(Options))
