"""`svsim demo`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from svsim.cli.benchmark import Benchmark
from svsim.cli.data_prepare import Prepare
from svsim.cli.data_synth import Synth
from svsim.cli.output import console

__all__ = ["Demo"]


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Run the whole way once: a synthetic world → store → agents in the replay environment → table."""

    out: Path = Path("demo")
    """Folder of everything that is made."""

    def run(self) -> None:
        """Run the commands that a user would, and say which."""
        logs, store, results = self.out / "logs", self.out / "store", self.out / "benchmark"
        screen = console()
        if not logs.exists():
            screen.print(f"$ svsim data synth --preset small --seed 0 --out {logs}", soft_wrap=True)
            Synth(out=logs).run()
        screen.print(f"\n$ svsim data prepare {logs} --out {store}", soft_wrap=True)
        Prepare(folder=logs, out=store).run()
        screen.print(f"\n$ svsim benchmark --store {store} --out {results}", soft_wrap=True)
        Benchmark(store=str(store), out=results).run()
