"""`svsim demo`."""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from svsim.cli.benchmark import Benchmark
from svsim.cli.data_prepare import Prepare
from svsim.cli.data_synth import Synth
from svsim.cli.ope import Ope
from svsim.cli.output import console
from svsim.cli.play import Play
from svsim.cli.report import Report
from svsim.cli.train import Sasrec4sv

__all__ = ["Demo"]

FORMAT = "svsim-demo"
FEED_EPISODES = {"tiny": 10, "small": 200}
FILM_SEED = 29
"""Of a short episode in which the user likes some videos."""
LOG = "demo.log"


@dataclass(frozen=True)
class _Step:
    """One command of the demo: what it is for, as a user would type it, what runs it, and what is there once it ran."""

    what: str
    typed: str
    run: Callable[[], None]
    made: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Demo:
    """Run the whole way once: a world's logs → store → SASRec4SV → agents in both environments → estimates → report.

    Interrupted, it goes on when started again.
    """

    out: Path = Path("demo")
    """Folder of everything that is made."""
    preset: Literal["tiny", "small"] = "small"
    """Of the world; `tiny` takes seconds, and shows less."""

    def run(self) -> None:
        """Run the commands that a user would, and say which; then what came out."""
        from svsim._version import __version__
        from svsim.data.result_folder import claimed

        told = {"format": FORMAT, "preset": self.preset, "svsim": __version__}
        with claimed(self.out, f"{json.dumps(told)}\n".encode(), "a demo"):
            self._play()
        self._tell()

    def _play(self) -> None:
        screen, steps = console(), self._steps()
        screen.print(
            f"svsim on a synthetic world in KuaiRand's layout; all of it goes into {self.out}.", soft_wrap=True
        )
        for number, step in enumerate(steps, start=1):
            screen.print(f"\n{number}/{len(steps)} {step.what}\n$ svsim {step.typed}", soft_wrap=True)
            if step.made is not None and step.made.exists():
                screen.print("  there already")
                continue
            start = time.monotonic()
            with _logged(self.out / LOG, step.typed):
                step.run()
            screen.print(f"  {time.monotonic() - start:.0f} s")

    def _steps(self) -> list[_Step]:
        out = self.out
        logs, store, model = (out / name for name in ("logs", "store", "sasrec4sv"))
        trained = f"sasrec4sv?run={model}"
        agents = f"epsilon-greedy,linucb,{trained}"
        episodes = FEED_EPISODES[self.preset]
        steps = [
            _Step("A world's logs: users, videos, what they watched", f"data synth --preset {self.preset} --out {logs}",
                  Synth(out=logs, preset=self.preset).run, logs),
            _Step("A store: memory-mapped columns, split by days", f"data prepare {logs} --out {store}",
                  Prepare(folder=logs, out=store).run),
            _Step("SASRec4SV, a causal self-attention model, learns from the training days",
                  f"train sasrec4sv --store {store} --preset small --out {model}",
                  Sasrec4sv(store=str(store), out=model, preset="small").run),
            _Step("Agents replay logged sessions of the test days",
                  f"benchmark --store {store} --agents {shlex.quote(agents)} --out {out / 'replay'}",
                  Benchmark(store=str(store), agents=agents, out=out / "replay").run),
            _Step("The same agents in a feed whose users the world's truth answers for",
                  f"benchmark --store {store} --env feed --episodes {episodes} --agents {shlex.quote(agents)}"
                  f" --out {out / 'feed'}",
                  Benchmark(store=str(store), env="feed", episodes=episodes, agents=agents, out=out / "feed").run),
        ]  # fmt: skip
        if self.preset == "small":
            asked = f"linucb,{trained}"
            steps.append(
                _Step("What the agents are worth from the logs alone, beside the truth",
                      f"ope --store {store} --truth --agents {shlex.quote(asked)} --out {out / 'ope'}",
                      Ope(store=str(store), truth=True, agents=asked, out=out / "ope").run)
            )  # fmt: skip
        film = out / "film.webp"
        return [
            *steps,
            _Step("A film: two agents serve one user",
                  f"play --store {store} --agent {shlex.quote(trained)} --agent random --seed {FILM_SEED} --film {film}",
                  Play(store=str(store), agent=(trained, "random"), seed=FILM_SEED, film=film).run, film),
            _Step("The report", f"report {out}", Report(folder=out).run),
        ]  # fmt: skip

    def _tell(self) -> None:
        """The two leaderboards, what they say in words, what to try next."""
        from svsim.benchmark.results import load_results
        from svsim.report.benchmark import in_words, leaderboard
        from svsim.report.tables import as_table

        screen = console()
        words = []
        for name, where in (("replay", "Replaying logged sessions"), ("feed", "In the simulated feed")):
            results = load_results(self.out / name)
            screen.print("")
            screen.print(as_table(leaderboard(results, short=True)))
            words.append(f"{where}, {in_words(results)}")
        screen.print("What came out", style="bold")
        for text in words:
            screen.print(f"· {text}")
        for title, text in self._next():
            screen.print(f"\n{title}\n  {text}", soft_wrap=True)

    def _next(self) -> list[tuple[str, str]]:
        store = self.out / "store"
        activate = Path(sys.executable).with_name("activate")
        here = shutil.which("svsim") is None and activate.is_file()
        return [
            ("See it all: open this page in a browser", str((self.out / "report.html").resolve())),
            *([("Put svsim on the path", f"source {activate}")] if here else []),
            ("Watch two agents serve one user", f"svsim play --store {store} --agent linucb --agent random"),
            ("Your own agent on the leaderboard: write ten lines (docs/tutorials/your_own_agent.md), then",
             f"svsim benchmark --store {store} --agents my_agent.py:MyAgent --out mine && svsim report mine"),
            ("Users learned from the logs, with a card that says how far to believe them",
             f"svsim train response --store {store} --out users && svsim report users"),
            ("Real logs", "svsim data download pure --out kuairand && svsim data prepare kuairand --out pure"),
        ]  # fmt: skip


@contextlib.contextmanager
def _logged(file: Path, typed: str) -> Iterator[None]:
    """What a command prints goes into a file, not on the screen; its progress bars stay."""
    with file.open("a", encoding="utf-8") as log:
        log.write(f"$ svsim {typed}\n")
        with contextlib.redirect_stdout(log):
            yield
        log.write("\n")
