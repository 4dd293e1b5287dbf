"""`svsim play`."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import UseAppendAction

from svsim.cli.benchmark import SessionGap
from svsim.cli.output import console, print_json
from svsim.errors import OptionError

if TYPE_CHECKING:
    from svsim.benchmark.episode import EpisodePlayer
    from svsim.benchmark.spec import BenchmarkSpec
    from svsim.envs.screen import Scene

__all__ = ["Play"]

PANELS = 2
WIDE, NARROW = 60, 24
FILM_WIDTH, STILL = 640, "-still.webp"


@dataclass(frozen=True, kw_only=True)
class Play:
    """Show the feed: an agent, or two side by side, serve one user an episode, step by step.

    Where there is no terminal to draw on, each step is a line.
    """

    agent: Annotated[tuple[str, ...], UseAppendAction] = ()
    """Who serves (see `svsim agents`); named twice, two agents serve the same user side by side. By default popularity."""
    user: int | None = None
    """The user, by the log's own id; by default one that the seed chooses."""
    session: int = 0
    """Which of the user's sessions, from 0."""
    store: str = "small"
    """A store, or the name of a synthetic preset."""
    env: Literal["replay", "feed"] = "feed"
    """The environment: logged sessions, or a feed whose users a model answers for."""
    seed: int = 0
    """Of the agents, and of the user's answers."""
    split: Literal["train", "valid", "test"] = "test"
    """Split that the sessions come from."""
    candidates: int = 20
    """Videos on offer."""
    horizon: int | None = None
    """Steps at most; by default 10 in a replay, 100 in a feed."""
    session_gap: SessionGap = 30.0
    """Of a replay: a longer pause ends a session; none takes all of a user's rows in the split."""
    response: str | None = None
    """Of a feed: truth, or the folder of `svsim train response`; by default the truth where the store has one."""
    delay: float = 0.6
    """Seconds between two steps in a terminal."""
    film: Path | None = None
    """Write a film of it: a file of .webp, .gif or .png; beside a .webp one frame of it."""
    json: bool = False
    """Print the agents' sums as one JSON document."""

    def run(self) -> None:
        """Play, show, and say what it came to."""
        from svsim.benchmark.episode import EpisodePlayer
        from svsim.report.feed_screen import outcome_table

        self._check()
        names = self._names()
        form = self._film_format()
        spec = self._spec(names)
        players = [EpisodePlayer(spec, name, self.seed) for name in names]
        scenes = [list(player.play(self.user, self.session)) for player in players] if form else []
        shown = [iter(own) for own in scenes] or [player.play(self.user, self.session) for player in players]
        if self.json:
            for own in shown:
                for _ in own:
                    pass
            print_json([{"agent": player.name, "metrics": player.metrics} for player in players])
        else:
            _show(players, shown, self.delay)
            screen = console()
            screen.print(outcome_table([(player.name, player.metrics) for player in players]))
            screen.print("One episode tells nothing about an agent: `svsim benchmark` plays thousands, with intervals.")
        if self.film is not None and form is not None:
            frames = _write_film(self.film, form, list(zip(names, scenes, strict=True)))
            if not self.json:
                console().print(f"{self.film}: {frames} frames", soft_wrap=True)

    def _check(self) -> None:
        for name, least in (("seed", 0), ("delay", 0.0)):
            value = getattr(self, name)
            if value < least:
                raise OptionError(f"expected at least {least:g}, found {value:g}", where=f"--{name}")
        if self.session and self.user is None:
            raise OptionError("expected a user beside the session, found none", where="--session", remedy="name --user")

    def _names(self) -> tuple[str, ...]:
        names = self.agent or ("popularity",)
        if len(names) > PANELS:
            raise OptionError(f"expected one agent or two, found {len(names)}", where="--agent")
        return names

    def _film_format(self) -> str | None:
        from svsim.report.film import FORMATS

        if self.film is None:
            return None
        form = FORMATS.get(self.film.suffix.lower())
        if form is None:
            raise OptionError(
                f"expected a file of {', '.join(FORMATS)}, found {str(self.film)!r}",
                where="--film",
                remedy="gymnasium.wrappers.RecordVideo makes mp4 films",
            )
        return form

    def _spec(self, names: tuple[str, ...]) -> BenchmarkSpec:
        from svsim.benchmark.spec import BenchmarkSpec

        of_replay: dict[str, Any] = {"session_gap_minutes": self.session_gap} if self.env == "replay" else {}
        if self.env == "replay" and self.response is not None:
            raise OptionError("expected it with --env feed alone", where="--response")
        return BenchmarkSpec(
            store=self.store,
            agents=names,
            rails=False,
            env=self.env,
            split=self.split,
            candidates=self.candidates,
            horizon=self.horizon,
            response=self.response,
            **of_replay,
        )


def _show(players: list[EpisodePlayer], scenes: list[Iterator[Scene]], delay: float) -> None:
    """All players' steps: as panels side by side in a terminal, else as lines."""
    from svsim.report.feed_screen import screen_line

    screen = console()
    if screen.is_terminal and not screen.is_dumb_terminal and screen.width >= NARROW:
        _animate(players, scenes, delay)
        return
    for step in itertools.zip_longest(*scenes):
        for player, scene in zip(players, step, strict=True):
            if scene is not None:
                screen.print(screen_line(scene, player.name), soft_wrap=True)


def _animate(players: list[EpisodePlayer], scenes: list[Iterator[Scene]], delay: float) -> None:
    from rich.columns import Columns
    from rich.live import Live

    from svsim.report.feed_screen import screen_panel

    screen = console()
    # Side by side where two panels have room, else one below the other.
    apart = len(players) > 1 and screen.width >= WIDE
    width = min((screen.width - 1) // 2 if apart else screen.width, WIDE)
    now: list[Scene | None] = [None] * len(players)
    with Live(console=screen, auto_refresh=False) as live:
        for step in itertools.zip_longest(*scenes):
            now = [new or old for new, old in zip(step, now, strict=True)]
            panels = [
                screen_panel(scene, player.name, width)
                for player, scene in zip(players, now, strict=True)
                if scene is not None
            ]
            live.update(Columns(panels, padding=(0, 1, 0, 0)), refresh=True)
            time.sleep(delay)


def _write_film(path: Path, form: str, episodes: list[tuple[str, list[Scene]]]) -> int:
    """Write it, and say of how many frames it is."""
    from svsim.data.atomic import as_output_error, write_file
    from svsim.report.film import film, side_by_side, still
    from svsim.report.tables import short_agent

    frames = side_by_side([(short_agent(name), scenes) for name, scenes in episodes])
    width = min(FILM_WIDTH, frames[0].shape[1])
    with as_output_error(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if form == "WEBP":
            write_file(path.with_name(path.stem + STILL), still(frames[len(frames) // 2], width=width))
        write_file(path, film(frames, form=form, width=width))
    return len(frames)
