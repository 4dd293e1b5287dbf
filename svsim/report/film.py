"""Films of episodes: frames side by side, and as an animated WebP that every browser shows."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.envs.screen import Scene
from svsim.envs.screen.phone import caption, draw

__all__ = ["FORMATS", "FPS", "film", "side_by_side", "still"]

Frame = npt.NDArray[np.uint8]

FPS = 2
"""Frames, and so videos served, a second."""
FORMATS = {".webp": "WEBP", ".gif": "GIF", ".png": "PNG"}
"""By the ending of a file; PNG is animated too."""
_HELD = 4
"""Frames that the end is looked at for."""


def side_by_side(episodes: Sequence[tuple[str, Iterable[Scene]]]) -> list[Frame]:
    """Frames of several agents' episodes beside one another; one that is over stands still.

    Args:
        episodes: What stands above, and the scenes.

    Returns:
        (768 + caption, 432 × episodes, 3) uint8 each.
    """
    heads = [caption(name) for name, _ in episodes]
    frames: list[Frame] = []
    last: list[Frame] = []
    for scenes in itertools.zip_longest(*(scenes for _, scenes in episodes)):
        drawn = [draw(scene) if scene is not None else before for scene, before in _with(scenes, last)]
        frames.append(np.hstack([np.vstack(pair) for pair in zip(heads, drawn, strict=True)]))
        last = drawn
    return frames


def _with(scenes: tuple[Scene | None, ...], last: Sequence[Frame]) -> list[tuple[Scene | None, Frame]]:
    return list(zip(scenes, last or [np.zeros(0, dtype=np.uint8)] * len(scenes), strict=True))


def film(frames: Sequence[Frame], *, form: str = "WEBP", width: int | None = None, fps: float = FPS) -> bytes:
    """An animated picture that goes round for ever, and holds the last frame a while.

    Args:
        frames: (H, W, 3) uint8, all of one shape.
        form: One of `FORMATS`.
        width: Pixels, where it is to be made smaller.
        fps: Frames a second.
    """
    pictures = [_picture(frame, width) for frame in frames]
    shown = round(1000 / fps)
    content = io.BytesIO()
    options = {"quality": 60, "method": 4, "minimize_size": True} if form == "WEBP" else {}
    pictures[0].save(
        content,
        format=form,
        save_all=True,
        append_images=pictures[1:],
        duration=[shown] * (len(pictures) - 1) + [shown * _HELD],
        loop=0,
        **options,
    )
    return content.getvalue()


def still(frame: Frame, *, width: int | None = None) -> bytes:
    """One frame as a WebP, for paper and for readers who want nothing to move."""
    content = io.BytesIO()
    _picture(frame, width).save(content, format="WEBP", quality=80)
    return content.getvalue()


def _picture(frame: Frame, width: int | None) -> Any:
    from PIL import Image

    picture = Image.fromarray(frame)
    if width is None or width == picture.width:
        return picture
    return picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS)
