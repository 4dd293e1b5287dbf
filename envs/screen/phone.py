"""Draws a scene as a phone: the video as a card, what the user did with it, what was on offer, what they saw before."""

from __future__ import annotations

import importlib.util
import math
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from svsim.envs.screen import icons
from svsim.envs.screen.palette import BACKGROUND, FLAG_COLOURS, INK, PANEL, QUIET, RGB, mixed, tag_colour
from svsim.envs.screen.scene import Clip, Scene, View
from svsim.names import HATE

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw as Drawing
    from PIL.ImageFont import FreeTypeFont

__all__ = ["CAPTION_HEIGHT", "FRAME_SHAPE", "caption", "draw"]

FRAME_SHAPE = (768, 432, 3)
"""Height, width, channels; multiples of 16, as film encoders like them."""

CAPTION_HEIGHT = 48

Box = tuple[float, float, float, float]

_SCALE = 2
"""Drawn so much larger, then made smaller: smooth edges."""
_LEFT, _RIGHT = 16, FRAME_SHAPE[1] - 16
_CARD: Box = (_LEFT, 104, _RIGHT, 472)
_ICONS = _RIGHT - 40
_OFFERED_A_ROW = 10
_DARK: RGB = (12, 14, 18)


class _Canvas:
    """A drawing in the frame's own units."""

    def __init__(self, height: int = FRAME_SHAPE[0]) -> None:
        from PIL import Image, ImageDraw

        self.image = Image.new("RGB", (FRAME_SHAPE[1] * _SCALE, height * _SCALE), BACKGROUND)
        self.draw: Drawing = ImageDraw.Draw(self.image)

    def frame(self) -> npt.NDArray[np.uint8]:
        return np.array(self.image.reduce(_SCALE), dtype=np.uint8)

    def box(
        self, box: Box, fill: RGB | None, *, radius: float = 0, outline: RGB | None = None, width: float = 1
    ) -> None:
        scaled = tuple(round(value * _SCALE) for value in box)
        self.draw.rounded_rectangle(
            scaled, radius * _SCALE, fill=fill, outline=outline, width=round(width * _SCALE)
        )  # fmt: skip

    def text(
        self, x: float, y: float, text: str, size: int, *, fill: RGB = INK, bold: bool = False, anchor: str = "la"
    ) -> float:
        """Write a line; how wide it is."""
        font = _font(size * _SCALE, bold)
        self.draw.text((x * _SCALE, y * _SCALE), text, fill=fill, font=font, anchor=anchor)
        return font.getlength(text) / _SCALE


@cache
def _font(size: int, bold: bool) -> FreeTypeFont:
    """The font that matplotlib brings along; found without importing it."""
    from PIL import ImageFont

    spec = importlib.util.find_spec("matplotlib")
    assert spec is not None, "svsim requires matplotlib"
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"
    return ImageFont.truetype(folder / f"DejaVuSans{'-Bold' if bold else ''}.ttf", size)


def draw(scene: Scene) -> npt.NDArray[np.uint8]:
    """A frame of `FRAME_SHAPE`; the same scene gives the same bytes."""
    canvas = _Canvas()
    _header(canvas, scene)
    _card(canvas, scene)
    _signals(canvas, scene)
    _offer(canvas, scene)
    _history(canvas, scene)
    return canvas.frame()


def caption(text: str) -> npt.NDArray[np.uint8]:
    """(`CAPTION_HEIGHT`, width of a frame, 3) a line to stand above a frame; what is too long is cut."""
    canvas = _Canvas(CAPTION_HEIGHT)
    while text and _font(16 * _SCALE, True).getlength(text) > (_RIGHT - _LEFT) * _SCALE:
        text = f"{text.removesuffix('…')[:-1]}…"
    canvas.text((_LEFT + _RIGHT) / 2, CAPTION_HEIGHT / 2 + 2, text, 16, bold=True, anchor="mm")
    return canvas.frame()


def _header(canvas: _Canvas, scene: Scene) -> None:
    """Whose screen it is, how far they are, and what it has brought, step by step."""
    width = canvas.text(_LEFT, 12, f"user {scene.user_id}", 14, bold=True)
    canvas.text(_LEFT + width + 8, 13, scene.group, 12, fill=QUIET)
    steps = f"step {scene.step}" + ("" if scene.horizon is None else f" of {scene.horizon}")
    canvas.text(_RIGHT, 13, steps, 12, fill=QUIET, anchor="ra")
    canvas.text(_LEFT, 38, "reward so far", 11, fill=QUIET)
    canvas.text(_LEFT, 54, _number(scene.total, 2), 28, bold=True)
    _bars(canvas, scene.rewards, (_LEFT + 150, 42, _RIGHT, 88))


def _bars(canvas: _Canvas, rewards: tuple[float, ...], box: Box) -> None:
    left, top, right, bottom = box
    canvas.box((left, bottom, right, bottom + 1), PANEL)
    most = 40
    shown = rewards[-most:]
    pitch = (right - left) / max(len(shown), 10)
    high = max(max((abs(value) for value in shown), default=0.0), 1.0)
    for place, value in enumerate(shown):
        height = max(abs(value) / high * (bottom - top), 1.0 if value else 0.0)
        colour = (86, 180, 233) if value >= 0 else FLAG_COLOURS[HATE]
        if height:
            x = left + place * pitch
            canvas.box((x, bottom - height, x + max(pitch - 2, 1), bottom), colour)


# --- the card ---------------------------------------------------------------------------------------------------------


def _card(canvas: _Canvas, scene: Scene) -> None:
    if not scene.watched:
        canvas.box(_CARD, PANEL, radius=18)
        middle = ((_CARD[0] + _CARD[2]) / 2, (_CARD[1] + _CARD[3]) / 2)
        title = "nothing was served" if scene.step else "a new session"
        canvas.text(*middle, title, 22, bold=True, anchor="mm")
        below = "an empty slot was chosen" if scene.step else f"{scene.choices:,} videos on offer"
        canvas.text(middle[0], middle[1] + 30, below, 13, fill=QUIET, anchor="mm")
    elif len(scene.watched) == 1:
        _video(canvas, scene.watched[0])
    else:
        _slate(canvas, scene.watched)
    _notice(canvas, scene)


def _video(canvas: _Canvas, view: View) -> None:
    left, top, right, bottom = _CARD
    colour = tag_colour(view.clip.tags)
    canvas.box(_CARD, mixed(colour, _DARK, 0.55), radius=18)
    # A band of the pure colour above: the tag is told at a glance.
    canvas.box((left, top, right, top + 30), colour, radius=18)
    canvas.box((left, top + 18, right, top + 34), mixed(colour, _DARK, 0.55))
    canvas.draw.polygon(
        [
            (x * _SCALE, y * _SCALE)
            for x, y in ((left + 160, top + 120), (left + 160, top + 180), (left + 212, top + 150))
        ],
        fill=mixed(colour, INK, 0.75),
    )
    _chips(canvas, view.clip.tags, left + 18, top + 48)
    canvas.text(left + 18, bottom - 126, _author(view.clip), 18, bold=True)
    canvas.text(left + 18, bottom - 100, _title(view.clip), 13, fill=mixed(INK, colour, 0.15))
    _watched_bar(canvas, view, (left + 18, bottom - 66, right - 18, bottom - 54))
    canvas.text(left + 18, bottom - 44, _seconds(view), 13)
    canvas.text(right - 18, bottom - 44, _times(view), 13, bold=True, anchor="ra")
    _feedback(canvas, view, top + 84)


def _chips(canvas: _Canvas, tags: tuple[int, ...], x: float, y: float) -> None:
    for tag in tags[:4]:
        text = f"tag {tag}"
        width = _font(11 * _SCALE, False).getlength(text) / _SCALE + 14
        canvas.box((x, y, x + width, y + 20), tag_colour((tag,)), radius=10)
        canvas.text(x + width / 2, y + 10, text, 11, fill=_DARK, anchor="mm")
        x += width + 6


def _watched_bar(canvas: _Canvas, view: View, box: Box) -> None:
    """The duration as a bar, filled as far as it was watched."""
    left, top, right, bottom = box
    radius = (bottom - top) / 2
    canvas.box(box, _DARK, radius=radius)
    share = min(max(view.times, 0.0), 1.0)
    if share > 0:
        canvas.box(
            (left, top, left + (right - left) * share, bottom), INK, radius=min(radius, (right - left) * share / 2)
        )


def _feedback(canvas: _Canvas, view: View, y: float) -> None:
    """Heart, speech bubble, arrow, plus, and, where it was given, the cross: lit where the user gave them."""
    for name, colour in FLAG_COLOURS.items():
        given = name in view.flags
        if name == HATE and not given:
            continue
        icons.draw(name, canvas.draw, (_ICONS * _SCALE, y * _SCALE), 13 * _SCALE, colour if given else None)
        y += 44


def _slate(canvas: _Canvas, views: tuple[View, ...]) -> None:
    """The videos of a slate that were reached, one below the other."""
    left, top, right, bottom = _CARD
    canvas.box(_CARD, PANEL, radius=18)
    shown = views[:6]
    height = (bottom - top - 24) / max(len(shown), 4)
    for place, view in enumerate(shown):
        y, colour = top + 12 + place * height, tag_colour(view.clip.tags)
        canvas.box((left + 12, y, right - 12, y + height - 8), mixed(colour, _DARK, 0.55), radius=10)
        canvas.box((left + 12, y, left + 20, y + height - 8), colour, radius=4)
        canvas.text(left + 32, y + 8, _author(view.clip), 13, bold=True)
        canvas.text(right - 24, y + 9, _times(view), 12, anchor="ra")
        bar = y + height - 22
        _watched_bar(canvas, view, (left + 32, bar, right - 24, bar + 8))
        x = right - 80.0
        for name, colour in FLAG_COLOURS.items():
            if name in view.flags:
                icons.draw(name, canvas.draw, (x * _SCALE, (y + 17) * _SCALE), 8 * _SCALE, colour)
                x -= 22


def _notice(canvas: _Canvas, scene: Scene) -> None:
    """Why the episode is over, or how long the user was away."""
    if scene.end is not None:
        lines = ("the episode is over", scene.end)
    elif scene.away_h is not None:
        lines = ("the user came back", f"after {scene.away_h:.1f} h")
    else:
        return
    left, top, right = _CARD[0] + 18, _CARD[1] + 112, _ICONS - 32
    canvas.box((left, top, right, top + 78), _DARK, radius=14)
    canvas.text((left + right) / 2, top + 27, lines[0], 14, bold=True, anchor="mm")
    canvas.text((left + right) / 2, top + 51, lines[1], 13, fill=QUIET, anchor="mm")


# --- below the card ---------------------------------------------------------------------------------------------------


def _signals(canvas: _Canvas, scene: Scene) -> None:
    wtr, wtg, aux, _ = scene.signals
    names = (
        ("WTR", _number(wtr, 2)),
        ("WTG", _number(wtg, 0)),
        ("aux", _number(aux, 0)),
        ("reward", _number(scene.reward, 2)),
    )
    width = (_RIGHT - _LEFT + 8) / len(names)
    for place, (name, value) in enumerate(names):
        x = _LEFT + place * width
        canvas.box((x, 482, x + width - 8, 524), PANEL, radius=8)
        canvas.text(x + 10, 487, name, 10, fill=QUIET)
        canvas.text(x + width - 18, 514, value if scene.step else "–", 16, bold=True, anchor="rs")


def _offer(canvas: _Canvas, scene: Scene) -> None:
    """Slots that the agent chose from; the chosen ones framed."""
    canvas.text(_LEFT, 534, "on offer, seconds" if scene.offered else "on offer", 11, fill=QUIET)
    if not scene.offered:
        canvas.text(_LEFT, 554, f"any of {scene.choices:,} videos", 15, bold=True)
        return
    shown = scene.offered[: 2 * _OFFERED_A_ROW]
    if len(scene.offered) > len(shown):
        canvas.text(_RIGHT, 534, f"{len(scene.offered) - len(shown)} more", 11, fill=QUIET, anchor="ra")
    rows = math.ceil(len(shown) / _OFFERED_A_ROW)
    columns = _OFFERED_A_ROW if rows > 1 else max(len(shown), 5)
    pitch = (_RIGHT - _LEFT + 4) / columns
    for slot, clip in enumerate(shown):
        x, y = _LEFT + slot % columns * pitch, 552 + slot // columns * 34
        box = (x, y, x + pitch - 4, y + 30)
        if clip is None:
            canvas.box(box, None, radius=6, outline=PANEL)
            continue
        chosen = slot in scene.chosen
        colour = tag_colour(clip.tags)
        canvas.box(
            box, colour if chosen else mixed(colour, _DARK, 0.5), radius=6, outline=INK if chosen else None, width=2
        )
        text = f"{clip.duration_s:.0f}" if clip.duration_s > 0 else "–"
        canvas.text(x + (pitch - 4) / 2, y + 15, text, 11, fill=_DARK if chosen else INK, bold=chosen, anchor="mm")


def _history(canvas: _Canvas, scene: Scene) -> None:
    """What the user saw before, oldest left: filled as far as it was watched; a line below what was served."""
    canvas.text(_LEFT, 632, "history", 11, fill=QUIET)
    canvas.text(_RIGHT, 632, "underlined: served in this episode", 10, fill=QUIET, anchor="ra")
    shown = scene.history[-16:]
    pitch = (_RIGHT - _LEFT + 4) / 16
    top, bottom = 652, 736
    if not shown:
        canvas.text(_LEFT, top + 10, "none: a user not seen before", 13, fill=QUIET)
    first = _RIGHT + 4 - len(shown) * pitch
    for place, view in enumerate(shown):
        x, colour = first + place * pitch, tag_colour(view.clip.tags)
        canvas.box((x, top, x + pitch - 4, bottom), mixed(colour, _DARK, 0.78), radius=5)
        height = min(max(view.wtr, 0.0), 1.0) * (bottom - top)
        if height >= 1:
            canvas.box((x, bottom - height, x + pitch - 4, bottom), colour, radius=min(5, height / 2))
        if view.served:
            canvas.box((x, bottom + 6, x + pitch - 4, bottom + 9), INK, radius=1.5)
        given = [name for name in FLAG_COLOURS if name in view.flags]
        for number, name in enumerate(given[:3]):
            middle = (x + (pitch - 4) / 2, top + 12 + number * 20)
            icons.draw(
                name, canvas.draw, (middle[0] * _SCALE, middle[1] * _SCALE), 7 * _SCALE, FLAG_COLOURS[name], _DARK
            )


# --- words ------------------------------------------------------------------------------------------------------------


def _author(clip: Clip) -> str:
    return "an author" if clip.author_id < 0 else f"@author {clip.author_id}"


def _title(clip: Clip) -> str:
    return "a video" if clip.video_id < 0 else f"video {clip.video_id}"


def _seconds(view: View) -> str:
    if view.clip.duration_s <= 0:
        return f"{view.play_s:.1f} s of a picture post"
    return f"{view.play_s:.1f} of {view.clip.duration_s:.1f} s"


def _times(view: View) -> str:
    return f"{view.times:.1f} ×" if view.times > 1 else f"{view.times:.0%}"


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".replace("-", "−")
