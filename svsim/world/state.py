"""What decides a reaction besides the video: who, when, in which mood, after which videos."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.world.constants import constants

__all__ = ["MEMORY", "State", "fatigue"]

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]

MEMORY = 16
"""Videos of the session that tire: the last ones."""


@dataclass(kw_only=True)
class State:
    """The state of B users, each before a video of a request; arrays by row."""

    user: Ints
    """(B,) user ids."""
    session: Ints
    """(B,) number of the session."""
    request: Ints
    """(B,) number of the request among all of the user's."""
    slot: Ints
    """(B,) place within the request."""
    time_ms: Ints
    """(B,) time of the request, ms since 1970."""
    tab: Ints
    """(B,) tab."""
    recent: Ints
    """(B, MEMORY) the session's last videos as indices, newest last, −1 none."""
    recent_author: Ints
    """(B, MEMORY) their authors."""
    recent_tag: Ints
    """(B, MEMORY) their first tags, 0 none."""
    shown: Ints
    """(B,) videos shown in the session."""
    clicked: Ints
    """(B,) videos clicked in the session."""

    def __len__(self) -> int:
        return len(self.user)

    def take(self, rows: Array) -> State:
        """The state of some rows."""
        return State(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


def fatigue(
    video: Ints, author: Ints, tag: Ints, recent: Ints, recent_author: Ints, recent_tag: Ints
) -> npt.NDArray[np.float64]:
    """What repetition takes from interest.

    So much for each of the session's last videos that was the same video, was by the same author or had the same first
    tag. KuaiRand shows no figure of it that could be told from taste; the constants are small by choice.

    Args:
        video: (…,) video indices.
        author: (…,) their authors.
        tag: (…,) their first tags, 0 none.
        recent: (…, MEMORY) indices of the session's last videos.
        recent_author: (…, MEMORY) their authors.
        recent_tag: (…, MEMORY) their first tags.
    """
    c = constants("platform")
    same_video = (recent == video[..., None]).sum(axis=-1)
    same_author = (recent_author == author[..., None]).sum(axis=-1)
    same_tag = ((recent_tag == tag[..., None]) & (tag[..., None] > 0)).sum(axis=-1)
    return np.asarray(
        -(c["fatigue_video"] * same_video + c["fatigue_author"] * same_author + c["fatigue_tag"] * same_tag)
    )
