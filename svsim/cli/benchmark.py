"""`svsim benchmark`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.constructors import PrimitiveConstructorSpec

from svsim.cli.output import console, print_json, task_progress
from svsim.errors import OptionError

if TYPE_CHECKING:
    from svsim.benchmark import BenchmarkSpec

__all__ = ["Benchmark", "SessionGap"]


def _gap(words: list[str]) -> float | None:
    if words[0].lower() == "none":
        return None
    try:
        return float(words[0])
    except ValueError:
        raise ValueError(f"expected minutes or none, found {words[0]!r}") from None


SessionGap = Annotated[
    float | None,
    PrimitiveConstructorSpec(
        nargs=1,
        metavar="MINUTES|none",
        instance_from_str=_gap,
        is_instance=lambda value: value is None or isinstance(value, int | float),
        str_from_instance=lambda value: ["none" if value is None else f"{value:g}"],
    ),
]
"""Minutes, or `none`."""


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """Let agents meet the same users, sessions and candidates; print and keep a table with intervals.

    An interrupted benchmark goes on when started again with the same arguments.
    """

    out: Path
    """Folder of the results."""
    store: str = "small"
    """A store, or the name of a synthetic preset."""
    env: Literal["replay"] = "replay"
    """The environment."""
    agents: str = "all"
    """Agents with commas between them (see `svsim agents`): name, module:Class or file.py:Class, each with
    ?key=value&key=value; all stands for every agent that needs no trained run, and for those of --runs."""
    runs: Path | None = None
    """Folder of trained runs: each of them joins all."""
    rails: bool = True
    """Add the rails that are not named: random, popularity, logged, oracle."""
    episodes: int | None = None
    """Episodes of each agent and seed; by default every session once."""
    seeds: int = 5
    """Evaluation seeds."""
    executor: Literal["serial", "processes"] = "serial"
    """Who runs the agents: this process, or a pool of them; the results are the same."""
    workers: int | None = None
    """Processes of the pool; by default one a core."""
    split: Literal["train", "valid", "test"] = "test"
    """Split that the sessions come from."""
    candidates: int = 20
    """Videos on offer."""
    horizon: int = 10
    """Steps of an episode, at most."""
    history: int = 50
    """Past events that an observation shows."""
    session_gap: SessionGap = 30.0
    """A longer pause ends a session; none takes all of a user's rows in the split."""
    min_videos: int | None = None
    """Shorter sessions are not served; by default the number of candidates."""
    reward_weights: str = "wtr=1,wtg=1,aux=1"
    """Weight of each signal in the reward."""
    num_envs: int = 64
    """Episodes played side by side; an online learner's results depend on it."""
    step_limit: float = 1.0
    """Seconds that an agent may take a step of all environments, on average; a slower one has failed."""
    json: bool = False
    """Print the records of results.json as one JSON document."""

    def run(self) -> None:
        """Run the benchmark and print its table."""
        from svsim.benchmark import run
        from svsim.benchmark.executors import make_executor
        from svsim.benchmark.table import render

        spec = self._spec()
        with task_progress() as progress:
            results = run(
                spec,
                self.out,
                executor=make_executor(self.executor, self.workers),
                progress=lambda done, whole, _: progress("agents × seeds", done, whole),
                step_limit=self.step_limit,
            )
        if self.json:
            print_json(results.records)
        else:
            screen = console()
            screen.print(render(results))
            screen.print(f"{self.out}: results.json, results.csv, episodes.parquet, steps.parquet", soft_wrap=True)
        if results.failed:
            raise OptionError("; ".join(results.failed), where="--agents", remedy="the other agents' results were kept")

    def _spec(self) -> BenchmarkSpec:
        from svsim.agents.registry import ready_agents, split_names, trained_agents
        from svsim.benchmark import BenchmarkSpec
        from svsim.signals import reward_weights

        agents = split_names(self.agents)
        if "all" in agents:
            trained = [] if self.runs is None else trained_agents(self.runs)
            every = [name for name in (*ready_agents(), *trained) if name not in agents]
            agents[agents.index("all") : agents.index("all") + 1] = every
        elif self.runs is not None:
            raise OptionError("expected all among --agents, since it joins them", where="--runs")
        return BenchmarkSpec(
            store=self.store,
            env=self.env,
            agents=tuple(agents),
            episodes=self.episodes,
            seeds=self.seeds,
            rails=self.rails,
            split=self.split,
            candidates=self.candidates,
            horizon=self.horizon,
            history=self.history,
            session_gap_minutes=self.session_gap,
            min_videos=self.min_videos,
            reward_weights=reward_weights(self.reward_weights),
            num_envs=self.num_envs,
        )
