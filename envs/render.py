"""The feed as text, and that text as an image."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.names import FLAGS

__all__ = ["FRAME_SHAPE", "feed_text", "text_frame"]

FRAME_SHAPE = (480, 640, 3)
_LINES = 27


def feed_text(
    observation: dict[str, npt.NDArray[Any]], candidate_features: tuple[str, ...], last: dict[str, Any] | None
) -> str:
    """What one user sees: who they are, what they did with the last video, what may be served next.

    Args:
        observation: One environment's observation.
        candidate_features: Names of the candidates' columns.
        last: Info of the last step, None after a reset.
    """
    lines = [f"user {int(observation['user_id'][0])}", _outcome(last), "slot    video    seconds  mean wtr"]
    duration, rate = candidate_features.index("log_duration"), candidate_features.index("video_wtr")
    for slot in np.flatnonzero(observation["action_mask"]).tolist():
        features = observation["candidates"][slot]
        video = int(observation["candidate_video"][slot])
        lines.append(f"{slot:4d} {video:8d} {math.expm1(features[duration]):10.1f} {features[rate]:9.2f}")
    if not observation["action_mask"].any():
        lines.append("     the pool is used up")
    return "\n".join(lines)


def _outcome(last: dict[str, Any] | None) -> str:
    if last is None:
        return "a new session"
    if last["illegal_action"]:
        return "an empty slot: nothing was served"
    feedback = last["feedback"]
    seen = f"{feedback['play_time_ms'] / 1_000:.1f} of {feedback['duration_ms'] / 1_000:.1f} s"
    flags = [name for name in FLAGS if feedback[name]]
    return f"watched video {last['video_id']} for {seen}" + (f": {', '.join(flags)}" if flags else "")


def text_frame(text: str) -> npt.NDArray[np.uint8]:
    """A text as an image of `FRAME_SHAPE`; what does not fit is cut off."""
    from PIL import Image, ImageDraw

    height, width, _ = FRAME_SHAPE
    image = Image.new("RGB", (width, height), (17, 17, 22))
    lines = text.splitlines()
    if len(lines) > _LINES:
        lines = [*lines[: _LINES - 1], f"… and {len(lines) - _LINES + 1} more"]
    draw = ImageDraw.Draw(image)
    for number, line in enumerate(lines):
        # Set cell by cell: Pillow's own font is not monospaced, and columns should stand.
        for column, character in enumerate(line):
            draw.text((12 + 9 * column, 12 + 17 * number), character, fill=(236, 236, 240), anchor="la")
    return np.asarray(image, dtype=np.uint8).copy()
