"""Speed and memory of `svsim data prepare`, beside pandas reading the same files; cost of importing svsim.

    python scripts/bench_data.py > bench_data.json

Writes a synthetic log in the layout and size of KuaiRand-1K, then prints one JSON document. The machine's noise is in every
figure: compare ratios of medians, taken in turns.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from svsim.world import StandIn, write_standin

TARGETS = {"ratio": 3.0, "peak_gib": 4.0, "growth": 0.25, "import_s": 0.3, "help_s": 0.5}

# Each runs in a process of its own; VmHWM is that process's peak of resident memory.
PREPARE = """
import json, sys, time
from svsim.data import prepare
began, steps = time.perf_counter(), {}
prepare(sys.argv[1], sys.argv[2], progress=lambda name, done, whole: steps.__setitem__(name, time.perf_counter() - began))
seconds = time.perf_counter() - began
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({"seconds": seconds, "peak_gib": peak / 2**20, "until_s": steps}))
"""
YARDSTICK = """
import json, pathlib, sys, time
import pandas
files = sorted(pathlib.Path(sys.argv[1]).rglob("*.csv"))
began = time.perf_counter()
for file in files:
    pandas.read_csv(file, engine="pyarrow")
print(json.dumps({"seconds": time.perf_counter() - began}))
"""
IMPORT = """
import sys
import svsim
assert not {"torch", "stable_baselines3", "pandas"} & set(sys.modules)
"""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Speed and memory of `svsim data prepare`, beside pandas reading the same files."""

    rows: int = 11_713_045
    """Log rows."""
    videos: int = 4_369_953
    """Videos."""
    users: int = 1_000
    """Users."""
    repeats: int = 3
    """Runs of each, in turns."""
    growth: bool = True
    """Run once more at three times the rows."""
    work: Path | None = None
    """Folder for the files, several GB; by default a temporary one that is removed."""


def run(code: str, *arguments: object) -> dict[str, Any]:
    """Run code in a fresh process and read the JSON that it prints."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    document: dict[str, Any] = json.loads(shown)
    return document


def written(folder: Path, options: Options, times: int) -> Path:
    """The log at a multiple of its rows, written if it is not there."""
    path = folder / f"log-{times}x"
    if not path.exists():
        print(f"writing {times * options.rows:,} rows to {path}", file=sys.stderr)
        size = StandIn(users=options.users, videos=options.videos, rows=times * options.rows, days=31)
        write_standin(path, size)
    return path


def prepared(files: Path, folder: Path) -> dict[str, Any]:
    """One conversion; its store is removed again."""
    store = folder / "store"
    shutil.rmtree(store, ignore_errors=True)
    figures = run(PREPARE, files, store)
    shutil.rmtree(store)
    print(f"prepared in {figures['seconds']:.1f} s, peak {figures['peak_gib']:.2f} GiB", file=sys.stderr)
    return figures


def conversion(folder: Path, options: Options) -> dict[str, Any]:
    """Conversion and yardstick in turns, then the larger log."""
    files = written(folder, options, 1)
    run(YARDSTICK, files)  # reads the files into the page cache, for both
    runs, yardsticks = [], []
    for _ in range(options.repeats):
        runs.append(prepared(files, folder))
        yardsticks.append(run(YARDSTICK, files)["seconds"])
    seconds, peak = median(runs, "seconds"), median(runs, "peak_gib")
    figures: dict[str, Any] = {
        "rows": options.rows,
        "videos": options.videos,
        "csv_gib": sum(path.stat().st_size for path in files.rglob("*.csv")) / 2**30,
        "prepare_s": seconds,
        "until_s": runs[-1]["until_s"],
        "pandas_read_csv_s": statistics.median(yardsticks),
        "ratio": seconds / statistics.median(yardsticks),
        "ratios": [run["seconds"] / yardstick for run, yardstick in zip(runs, yardsticks, strict=True)],
        "peak_gib": peak,
    }
    if options.growth:
        larger = prepared(written(folder, options, 3), folder)
        figures["at_three_times_the_rows"] = {**larger, "peak_growth": larger["peak_gib"] / peak - 1}
    return figures


def median(runs: list[dict[str, Any]], name: str) -> float:
    """Median of one figure."""
    return statistics.median(figures[name] for figures in runs)


def start_up() -> dict[str, float]:
    """Median seconds of fresh processes, the bare interpreter and numpy among them."""
    commands = {
        "python": ["-c", "pass"],
        "import_numpy": ["-c", "import numpy"],
        "import_gymnasium": ["-c", "import gymnasium"],
        "import_svsim": ["-c", IMPORT],
        "help": ["-m", "svsim", "--help"],
    }
    figures = {}
    for name, arguments in commands.items():
        times = []
        for _ in range(9):
            began = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
            times.append(time.perf_counter() - began)
        figures[f"{name}_s"] = statistics.median(times)
    figures["import_svsim_alone_s"] = figures["import_svsim_s"] - figures["python_s"]
    return figures


def main(options: Options) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="svsim-bench-") as temporary:
        folder = options.work or Path(temporary)
        document = {
            "cores": len(os.sched_getaffinity(0)),
            "targets": TARGETS,
            "start_up": start_up(),
            "prepare": conversion(folder, options),
        }
    print(json.dumps(document, indent=1))


if __name__ == "__main__":
    main(tyro.cli(Options))
