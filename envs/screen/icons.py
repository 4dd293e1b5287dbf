"""Signs of feedback, drawn as shapes: no font has them all."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from svsim.envs.screen.palette import INK, RGB, mixed
from svsim.names import COMMENT, FOLLOW, FORWARD, HATE, LIKE

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

__all__ = ["draw"]

Point = tuple[float, float]

_UNLIT: RGB = mixed(INK, (12, 14, 18), 0.55)


def draw(name: str, on: ImageDraw, centre: Point, radius: float, colour: RGB | None, rim: RGB | None = None) -> None:
    """Draw the sign of a feedback signal.

    Args:
        name: Of the signal, as in `names`.
        on: What is drawn on.
        centre: In its pixels.
        radius: In its pixels.
        colour: None for a sign that is not lit.
        rim: Of a disc behind the sign; none without.
    """
    if rim is not None:
        x, y = centre
        on.ellipse((x - 1.2 * radius, y - 1.2 * radius, x + 1.2 * radius, y + 1.2 * radius), fill=rim)
    _SIGNS[name](on, centre, radius, colour or _UNLIT)


def _polygon(on: ImageDraw, centre: Point, radius: float, points: tuple[Point, ...], fill: RGB) -> None:
    on.polygon([(centre[0] + radius * x, centre[1] + radius * y) for x, y in points], fill=fill)


def _circle(on: ImageDraw, centre: Point, radius: float, x: float, y: float, r: float, fill: RGB) -> None:
    middle = (centre[0] + radius * x, centre[1] + radius * y)
    on.ellipse(
        (middle[0] - radius * r, middle[1] - radius * r, middle[0] + radius * r, middle[1] + radius * r), fill=fill
    )


def _heart(on: ImageDraw, centre: Point, radius: float, fill: RGB) -> None:
    for side in (-1, 1):
        _circle(on, centre, radius, 0.45 * side, -0.3, 0.52, fill)
    _polygon(on, centre, radius, ((-0.92, -0.08), (0.92, -0.08), (0.0, 0.95)), fill)


def _bubble(on: ImageDraw, centre: Point, radius: float, fill: RGB) -> None:
    x, y = centre
    box = (x - 0.95 * radius, y - 0.75 * radius, x + 0.95 * radius, y + 0.5 * radius)
    on.rounded_rectangle(box, 0.4 * radius, fill=fill)
    _polygon(on, centre, radius, ((-0.55, 0.4), (0.05, 0.4), (-0.6, 0.95)), fill)


def _arrow(on: ImageDraw, centre: Point, radius: float, fill: RGB) -> None:
    shaft = ((-0.95, 0.75), (-0.75, -0.1), (0.05, -0.35), (0.05, 0.15), (-0.6, 0.3))
    _polygon(on, centre, radius, shaft, fill)
    _polygon(on, centre, radius, ((0.0, -0.85), (1.0, -0.1), (0.0, 0.65)), fill)


def _plus(on: ImageDraw, centre: Point, radius: float, fill: RGB) -> None:
    _polygon(on, centre, radius, ((-0.22, -0.9), (0.22, -0.9), (0.22, 0.9), (-0.22, 0.9)), fill)
    _polygon(on, centre, radius, ((-0.9, -0.22), (0.9, -0.22), (0.9, 0.22), (-0.9, 0.22)), fill)


def _cross(on: ImageDraw, centre: Point, radius: float, fill: RGB) -> None:
    for side in (-1, 1):
        points = ((-0.85, -0.6 * side), (-0.6, -0.85 * side), (0.85, 0.6 * side), (0.6, 0.85 * side))
        _polygon(on, centre, radius, points, fill)


_SIGNS: dict[str, Callable[[ImageDraw, Point, float, RGB], None]] = {
    LIKE: _heart,
    COMMENT: _bubble,
    FORWARD: _arrow,
    FOLLOW: _plus,
    HATE: _cross,
}
