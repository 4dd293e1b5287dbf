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
    suite: str | None = None
    """A benchmark suite: quick, full, paper, or a .toml file. It fixes stores, agents, seeds and the environments' options,
    and trains what it needs into the folder of the results."""
    stores: str | None = None
    """Of a suite: stores that it asks for, as NAME=STORE with commas between them."""
    store: str = "small"
    """A store, or the name of a synthetic preset."""
    env: Literal["replay", "feed"] = "replay"
    """The environment: logged sessions, or a feed whose users a model answers for."""
    agents: str = "all"
    """Agents with commas between them (see `svsim agents`): name, module:Class or file.py:Class, each with
    ?key=value&key=value; all stands for every agent that needs no trained run, and for those of --runs."""
    runs: Path | None = None
    """Folder of trained runs: each of them joins all."""
    rails: bool = True
    """Add the rails that are not named: random, popularity, logged (in a replay), oracle."""
    episodes: int | None = None
    """Episodes of each agent and seed; by default every session once."""
    seeds: int = 5
    """Evaluation seeds."""
    executor: Literal["serial", "processes", "ray"] = "serial"
    """Who runs the agents: this process, a pool of them, or Ray on one machine or many; the results are the same."""
    workers: int | None = None
    """Shards (one agent, one seed) played at a time by a pool or by Ray; by default one a core."""
    address: str | None = None
    """Of Ray: a running cluster that this machine belongs to, HOST:PORT or auto; by default RAY_ADDRESS, else a local Ray
    is started for this run."""
    ship_store: bool = False
    """Of Ray: send the store, trained runs and agents' files to machines that do not share a disk with this one."""
    split: Literal["train", "valid", "test"] = "test"
    """Split that the sessions come from."""
    candidates: int = 20
    """Videos on offer."""
    horizon: int | None = None
    """Steps of an episode, at most; by default 10 in a replay, 100 in a feed."""
    history: int = 50
    """Past events that an observation shows."""
    session_gap: SessionGap = 30.0
    """Of a replay: a longer pause ends a session; none takes all of a user's rows in the split."""
    min_videos: int | None = None
    """Of a replay: shorter sessions are not served; by default the number of candidates."""
    response: str | None = None
    """Of a feed: truth, or the folder of `svsim train response`; by default the truth where the store has one."""
    horizon_minutes: float | None = None
    """Of a feed: minutes of an episode, in place of steps."""
    pool: Literal["random", "train"] | None = None
    """Of a feed: its videos, those of the random log or those of five training exposures; by default the former where
    there are any."""
    retrieval: Literal["uniform", "popularity"] = "uniform"
    """Of a feed: how candidates are drawn."""
    request_size: int = 1
    """Of a feed: steps between two draws of candidates."""
    sessions: int = 1
    """Of a feed: sessions of an episode, at most."""
    repeats: bool = False
    """Of a feed: whether a video may be shown again."""
    reward_weights: str = "wtr=1,wtg=1,aux=1"
    """Weight of each signal in the reward; in a feed of several sessions of return too."""
    num_envs: int = 64
    """Episodes played side by side; an online learner's results depend on it."""
    step_limit: float = 1.0
    """Seconds that an agent may take a step of all environments, on average; a slower one has failed."""
    details: bool = False
    """Show the tables of other user groups and of the providers too."""
    json: bool = False
    """Print the records of results.json as one JSON document."""

    def run(self) -> None:
        """Run the benchmark and print its table."""
        from svsim.benchmark import run
        from svsim.benchmark.executors import make_executor
        from svsim.benchmark.results import FILES
        from svsim.report.benchmark import render

        executor = make_executor(self.executor, self.workers, address=self.address, ship_store=self.ship_store)
        if self.suite is not None:
            from svsim.cli.suite import bound_stores, run_suite

            run_suite(
                self.suite,
                self.out,
                stores=bound_stores(self.stores),
                executor=executor,
                step_limit=self.step_limit,
                details=self.details,
                as_json=self.json,
            )
            return
        if self.stores is not None:
            raise OptionError("expected it with --suite alone", where="--stores", remedy="name --store")
        spec = self._spec()
        with task_progress() as progress:
            results = run(
                spec,
                self.out,
                executor=executor,
                progress=lambda done, whole, _: progress("agents × seeds", done, whole),
                step_limit=self.step_limit,
            )
        if self.json:
            print_json(results.records)
        else:
            screen = console()
            screen.print(render(results, details=self.details))
            screen.print(
                f"{self.out}: spec.json, {', '.join(FILES)}; svsim report {self.out} shows them", soft_wrap=True
            )
        if results.failed:
            raise OptionError("; ".join(results.failed), where="--agents", remedy="the other agents' results were kept")

    def _spec(self) -> BenchmarkSpec:
        from svsim.agents.registry import ready_agents, split_names, trained_agents
        from svsim.benchmark.spec import REFUSED, BenchmarkSpec
        from svsim.names import RETURN, SIGNALS
        from svsim.signals import reward_weights

        agents = split_names(self.agents)
        if "all" in agents:
            trained = [] if self.runs is None else trained_agents(self.runs)
            every = [name for name in (*ready_agents(), *trained) if name not in (*agents, *REFUSED[self.env])]
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
            response=self.response,
            horizon_minutes=self.horizon_minutes,
            pool=self.pool,
            retrieval=self.retrieval,
            request_size=self.request_size,
            sessions=self.sessions,
            repeats=self.repeats,
            reward_weights=reward_weights(
                self.reward_weights, names=(*SIGNALS, RETURN) if self.env == "feed" else SIGNALS
            ),
            num_envs=self.num_envs,
        )
