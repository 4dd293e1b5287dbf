"""What a trained SASRec4SV reads of an observation: tokens as `svsim.models.inputs` makes them of logged events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from svsim.agents.base import Observation
from svsim.data.store import FeedStore
from svsim.names import CANDIDATE_FEATURES, HISTORY_FEATURES

if TYPE_CHECKING:
    from torch import Tensor

    from svsim.models.checkpoints import Run
    from svsim.models.network import Tokens

__all__ = ["ObservedTokens"]

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]

_LOG_DURATION = HISTORY_FEATURES.index("log_duration")
_AGE = HISTORY_FEATURES.index("age_days")
_TAB, _HOUR = HISTORY_FEATURES.index("tab"), HISTORY_FEATURES.index("hour")
_MINUTES = HISTORY_FEATURES.index("minutes_before")


class ObservedTokens:
    """Makes tokens of observations.

    What is fixed by a video or a user is taken from the store once; all else is in the observation.

    Args:
        run: The trained model.
        store: The store that it was trained on.

    Raises:
        RunError: It was trained on another.
    """

    def __init__(self, run: Run, store: FeedStore) -> None:
        from svsim.models.inputs import CATEGORIES

        run.check(store)
        self.inputs = run.inputs
        fixed = run.inputs.video_columns(store)
        self._video, self._author, self._tag_set = fixed["video"], fixed["author"], fixed["tag_set"]
        self._kinds = np.column_stack([fixed[name] for name in list(CATEGORIES)[2:5]])
        self._user = run.inputs.user_rows(store)

    def history(self, observation: Observation, longest: int) -> tuple[Tokens, Tensor]:
        """The observed history, oldest first and padding at the end: tokens (B, n), n ≤ `longest`, and events (B,)."""
        import torch

        video = observation["history_video"].astype(np.int64)[:, -longest:]
        history = observation["history"][:, -longest:]
        count, length = (video > 0).sum(axis=1), video.shape[1]
        place = (np.arange(length)[None, :] + (length - count)[:, None]) % length
        video = np.take_along_axis(video, place, axis=1)
        history = np.take_along_axis(history, place[..., None], axis=1)
        return self.past(observation, history, video), torch.from_numpy(count.astype(np.int64))

    def newest(self, observation: Observation) -> Tokens:
        """(B,) tokens of the newest event."""
        video = observation["history_video"][:, -1:].astype(np.int64)
        return self.past(observation, observation["history"][:, -1:], video).take((slice(None), 0))

    def past(self, observation: Observation, history: Array, video: Ints) -> Tokens:
        """Tokens of past events (B, n) from their history features (B, n, H) and dense ids."""
        from svsim.models.inputs import FEEDBACK_COLUMNS, KEPT_IN_HISTORY

        number = np.broadcast_to(self.inputs.number_mean, (*video.shape, len(CANDIDATE_FEATURES))).copy()
        number[..., :KEPT_IN_HISTORY] = history[..., [_LOG_DURATION, _AGE]]
        return self._tokens(number, video, _moment(history), observation, history[..., FEEDBACK_COLUMNS])

    def candidates(self, observation: Observation) -> Tokens:
        """(B, K) tokens of the candidates; their tab is the last event's, their hour unknown."""
        from svsim.models.inputs import FEEDBACK_INPUTS, waiting

        video = observation["candidate_video"].astype(np.int64)
        newest, known = observation["history"][:, -1:], observation["history_video"][:, -1:] > 0
        moment = np.zeros((*video.shape, 2))
        moment[..., 0] = _moment(newest)[..., 0] * known
        wait = np.ascontiguousarray(np.broadcast_to(waiting(newest[..., _MINUTES], known), video.shape))
        feedback = np.zeros((*video.shape, len(FEEDBACK_INPUTS)), dtype=np.float32)
        number = observation["candidates"][..., : len(CANDIDATE_FEATURES)]
        return self._tokens(number, video, moment, observation, feedback, wait)

    def _tokens(
        self, number: Array, video: Ints, moment: Array, user: Observation, feedback: Array, wait: Array | None = None
    ) -> Tokens:
        """Tokens of (B, n) videos.

        Args:
            number: (B, n, N) candidate features.
            video: (B, n) dense ids, 0 padding.
            moment: (B, n, 2) categories of tab and hour.
            user: The observation, for its user.
            feedback: (B, n, F).
            wait: (B, n) of queries.
        """
        from svsim.models.inputs import Events
        from svsim.models.windows import as_tokens

        inputs, shape = self.inputs, video.shape
        category = np.concatenate(
            [moment, self._kinds[video], inputs.duration_category(number[..., 0])[..., None]], axis=-1
        )
        owner = np.broadcast_to(self._user[user["user_id"][:, 0]][:, None], shape)
        events = Events(
            user=np.where(video > 0, owner, 0).astype(np.int32),
            video=self._video[video],
            author=self._author[video],
            tag_set=self._tag_set[video],
            number=((number - inputs.number_mean) / inputs.number_scale).astype(np.float32),
            category=category.astype(np.uint8),
            profile=np.ascontiguousarray(np.broadcast_to(np.arange(len(video))[:, None], shape)),
            feedback=np.ascontiguousarray(feedback, dtype=np.float32),
        )
        return as_tokens(events, user["user"], wait)


def _moment(history: Array) -> Array:
    """Categories of tab and hour of past events."""
    return np.stack([np.minimum(history[..., _TAB] + 1, 15), history[..., _HOUR] + 1], axis=-1)
