"""A feed that is served slate by slate: the cascade down a slate."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.envs.actions import entries
from svsim.envs.audience import Answer
from svsim.envs.feed_rules import FeedRules
from svsim.envs.rules import Step

__all__ = ["SlateRules"]

Array = npt.NDArray[Any]


class SlateRules(FeedRules):
    """B users who are served a slate a step.

    A slate is watched from the top. After each video the user may leave; one who stays reaches the next place with the
    model's probability, else the step is over. An entry that repeats one above or names an empty slot is passed over.
    """

    def step(self, actions: Array) -> Step:
        """Serve the slates `actions` (B, S) within [0, K)."""
        good, wasted = entries(self.offer.mask > 0, actions)
        video_id = np.full(actions.shape, -1, dtype=self.pool.video_id.dtype)
        reached = np.ones(self.rows, dtype=bool)
        leaves = np.zeros(self.rows, dtype=bool)
        watched = np.zeros(self.rows, dtype=np.int64)
        total: Answer | None = None
        for place in range(self.slate):
            served = reached & good[:, place]
            if total is not None and not served.any():
                continue
            action = actions[:, place]
            item = np.where(served, self.offer.behind(action), len(self.pool))
            answer, leaving = self._serve(action, item, served, place)
            total = answer if total is None else _sum(total, answer)
            video_id[:, place] = self.pool.video_id.take(item)
            watched += served
            leaves |= leaving & served
            if place + 1 < self.slate:
                stays = ~leaving & self.audience.goes_on(answer, place)
                reached &= stays | ~served
        assert total is not None
        info = {
            "feedback": total.feedback,
            "video_id": video_id,
            "watched": watched,
            "illegal_action": wasted,
            **total.told,
        }
        return self._conclude(total, leaves, info)


def _sum(one: Answer, other: Answer) -> Answer:
    """Answers added up, row by row; where nothing was served one is zero."""
    return Answer(
        feedback={name: values + other.feedback[name] for name, values in one.feedback.items()},
        told={name: values + other.told[name] for name, values in one.told.items()},
        signals=one.signals + other.signals,
        gain=one.gain + other.gain,
    )
