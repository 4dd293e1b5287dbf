"""The feed as text."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.envs.rules import Rules
from svsim.names import FLAGS

__all__ = ["feed_text"]


def feed_text(rules: Rules, row: int, candidate_features: tuple[str, ...], last: dict[str, Any] | None) -> str:
    """What one user is offered: who they are, what they did with the last video, what may be served next.

    Args:
        rules: The kernel.
        row: Which of its rows.
        candidate_features: Names of the candidates' columns.
        last: Info of the row's last step, None after a reset.
    """
    whereabouts, observation = rules.whereabouts(), rules.observation()
    lines = [f"user {whereabouts['user_id'][row]} ({whereabouts['group'][row]})", _outcome(last), ""]
    if "candidates" in observation:
        lines += _slots(rules, row, observation["candidates"][row], candidate_features)
    else:
        lines.append(f"{int(observation['action_mask'][row].sum()):,} videos may be served")
    if not observation["action_mask"][row].any():
        lines.append("     the pool is used up")
    return "\n".join(lines)


def _slots(rules: Rules, row: int, features: npt.NDArray[Any], candidate_features: tuple[str, ...]) -> list[str]:
    duration, rate = (features[:, candidate_features.index(name)] for name in ("log_duration", "video_wtr"))
    lines = ["slot      video   seconds  mean WTR"]
    for slot, video in enumerate(rules.video_ids()[row].tolist()):
        if video >= 0:
            lines.append(f"{slot:4d} {video:10d} {math.expm1(duration[slot]):9.1f} {rate[slot]:9.2f}")
    return lines


def _outcome(last: dict[str, Any] | None) -> str:
    if last is None:
        return "a new session"
    watched = [video for video in np.atleast_1d(last["video_id"]).tolist() if video >= 0]
    if not watched:
        return "an empty slot: nothing was served"
    feedback = last["feedback"]
    videos = f"video{'s' if len(watched) > 1 else ''} {', '.join(map(str, watched))}"
    seen = f"{feedback['play_time_ms'] / 1_000:.1f} of {feedback['duration_ms'] / 1_000:.1f} s"
    flags = [name.replace("_", " ") for name in FLAGS if feedback[name]]
    away = last.get("return_gap_h", math.nan)
    back = "" if math.isnan(away) else f"; back after {away:.1f} h"
    return f"watched {videos} for {seen}" + (f": {', '.join(flags)}" if flags else "") + back
