"""The feed in a terminal: a panel a user's screen, or a line a step where there is no terminal to draw on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from svsim.envs.screen import Scene, View
from svsim.envs.screen.palette import FLAG_COLOURS, RGB, tag_colour
from svsim.report.tables import number, plain_table, short_agent

if TYPE_CHECKING:
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

__all__ = ["METRICS", "outcome_table", "screen_line", "screen_panel"]

METRICS = {"reward": 2, "wtr": 2, "wtg": 0, "aux": 0, "watch_s": 1, "length": 0}
"""Sums over an episode that are shown, and their digits."""

_BLOCKS = " ▁▂▃▄▅▆▇█"
_WORDS = {"like": "♥ like", "comment": "✉ comment", "forward": "➤ share", "follow": "✚ follow", "hate": "✖ hate"}
assert set(_WORDS) == set(FLAG_COLOURS)
_BORDER = 4


def screen_panel(scene: Scene, agent: str, width: int) -> Panel:
    """A user's screen in a frame.

    Args:
        scene: What stands on it.
        agent: Who serves, as typed.
        width: Columns, the frame's own among them.
    """
    from rich.panel import Panel
    from rich.text import Text

    inner = width - _BORDER
    lines = [
        _ends(f"user {scene.user_id}, {scene.group}", _steps(scene), inner),
        *_card(scene, inner),
        Text(f"over: {scene.end}" if scene.end else "", style="bold"),
        _labelled("rewards ", _rewards(scene, inner - 8)),
        _labelled("history ", _history(scene, inner - 8)),
        Text(f"reward so far {number(scene.total, 2)}"),
    ]
    for line in lines:
        line.truncate(inner, overflow="ellipsis")
    return Panel(Text("\n").join(lines), title=Text(short_agent(agent)), width=width, padding=(0, 1))


def screen_line(scene: Scene, agent: str) -> str:
    """What a step came to, in one line without colours."""
    start = f"{short_agent(agent)}: {_steps(scene)}"
    if scene.step == 0:
        return f"{start}: user {scene.user_id}, {scene.group}; {scene.choices:,} videos on offer"
    what = "; ".join(_told(view) for view in scene.watched) or "nothing was served"
    end = "" if scene.end is None else f"; the episode is over: {scene.end}"
    away = "" if scene.away_h is None else f"; back after {scene.away_h:.1f} h"
    return f"{start}: {what}; reward {number(scene.reward, 2)}, so far {number(scene.total, 2)}{away}{end}"


def outcome_table(metrics: Sequence[tuple[str, dict[str, float]]]) -> Table:
    """What each agent's episode came to.

    Args:
        metrics: Agents as typed, and the sums over their episodes.
    """
    table = plain_table("The episode", "agent", "reward", "WTR", "WTG", "aux", "watch s", "steps")
    for agent, own in metrics:
        table.add_row(short_agent(agent), *(number(own[name], digits) for name, digits in METRICS.items()))
    return table


# --- a panel's lines --------------------------------------------------------------------------------------------------


def _card(scene: Scene, width: int) -> list[Text]:
    """Four lines: the video, its author, how far it was watched, what was given."""
    from rich.text import Text

    if not scene.watched:
        first = "nothing was served: an empty slot" if scene.step else f"a new session, {scene.choices:,} on offer"
        return [Text(first, style="italic"), *(Text("") for _ in range(3))]
    if len(scene.watched) > 1:
        lines = [_bar(view, width, label=f"@{view.clip.author_id} ") for view in scene.watched[:4]]
        return lines + [Text("")] * (4 - len(lines))
    view = scene.watched[0]
    title = Text("▌", style=_style(tag_colour(view.clip.tags)))
    title.append(f" video {view.clip.video_id} ", style="default")
    for tag in view.clip.tags[:3]:
        title.append(f" tag {tag}", style=_style(tag_colour((tag,))))
    given = Text()
    for flag, colour in FLAG_COLOURS.items():
        if flag in view.flags:
            given.append(f"{_WORDS[flag]}  ", style=f"bold {_style(colour)}")
    return [title, Text(f"@author {view.clip.author_id}", style="bold"), _bar(view, width), given]


def _bar(view: View, width: int, label: str = "") -> Text:
    """The duration, filled as far as it was watched."""
    from rich.text import Text

    told = f" {view.play_s:.0f} of {view.clip.duration_s:.0f} s, {view.times:.0%}"
    long = max(width - len(told) - len(label), 4)
    full = round(min(view.times, 1.0) * long)
    bar = Text(label)
    bar.append("━" * full, style=_style(tag_colour(view.clip.tags)))
    bar.append("╌" * (long - full), style="dim")
    bar.append(told)
    return bar


def _rewards(scene: Scene, width: int) -> Text:
    from rich.text import Text

    shown = scene.rewards[-width:]
    high = max(max((abs(value) for value in shown), default=0.0), 1.0)
    return Text("".join(_block(abs(value) / high) for value in shown))


def _history(scene: Scene, width: int) -> Text:
    """A column a video, newest last: its tag's colour, as high as it was watched; what was served here is underlined."""
    from rich.text import Text

    strip = Text()
    for view in scene.history[-width:]:
        style = _style(tag_colour(view.clip.tags)) + (" underline" if view.served else "")
        strip.append(_block(max(view.wtr, 0.01)), style=style)
    return strip


def _block(share: float) -> str:
    return _BLOCKS[min(max(round(share * 8), 1 if share > 0 else 0), 8)]


def _ends(left: str, right: str, width: int) -> Text:
    from rich.text import Text

    return Text(f"{left}{right.rjust(max(width - len(left), len(right) + 1))}")


def _labelled(label: str, line: Text) -> Text:
    from rich.text import Text

    return Text().append(label, style="dim").append_text(line)


def _style(colour: RGB) -> str:
    return "rgb({},{},{})".format(*colour)


def _steps(scene: Scene) -> str:
    return f"step {scene.step}" + ("" if scene.horizon is None else f" of {scene.horizon}")


def _told(view: View) -> str:
    clip = view.clip
    tags = f", tag {' '.join(map(str, clip.tags))}" if clip.tags else ""
    given = "".join(f", {flag}" for flag in FLAG_COLOURS if flag in view.flags)
    seen = f"{view.play_s:.1f} of {clip.duration_s:.1f} s ({view.times:.0%})"
    return f"video {clip.video_id} of author {clip.author_id}{tags}: {seen}{given}"
