"""`svsim demo`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from svsim.cli.benchmark import Benchmark
from svsim.cli.data_prepare import Prepare
from svsim.cli.data_synth import Synth
from svsim.cli.output import console
from svsim.cli.train import Sasrec4sv

__all__ = ["Demo"]


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Run the whole way once: a synthetic world → store → SASRec4SV → agents in the replay environment → table."""

    out: Path = Path("demo")
    """Folder of everything that is made."""
    preset: Literal["tiny", "small"] = "small"
    """Of the world; `tiny` takes seconds, and shows less."""

    def run(self) -> None:
        """Run the commands that a user would, and say which."""
        logs, store, model, results = (self.out / name for name in ("logs", "store", "sasrec4sv", "benchmark"))
        if not logs.exists():
            _say(f"svsim data synth --preset {self.preset} --seed 0 --out {logs}")
            Synth(out=logs, preset=self.preset).run()
        _say(f"svsim data prepare {logs} --out {store}")
        Prepare(folder=logs, out=store).run()
        _say(f"svsim train sasrec4sv --store {store} --preset small --out {model}")
        Sasrec4sv(store=str(store), out=model, preset="small").run()
        agents = f"epsilon-greedy,linucb,sasrec4sv?run={model}"
        _say(f"svsim benchmark --store {store} --agents '{agents}' --out {results}")
        Benchmark(store=str(store), agents=agents, out=results).run()


def _say(command: str) -> None:
    console().print(f"\n$ {command}", soft_wrap=True)
