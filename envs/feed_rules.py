"""What happens in Feed-v0: one batched kernel in numpy, without Gymnasium."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.data.features import CHINA_MS, log_seconds
from svsim.envs.audience import Answer, Audience
from svsim.envs.draws import Draws
from svsim.envs.episodes import choose_sessions
from svsim.envs.feed_options import FeedOptions
from svsim.envs.offers import Catalogue, Offer, Requests
from svsim.envs.openings import Openings
from svsim.envs.pools import Pool
from svsim.envs.retrieval import Rows
from svsim.envs.rules import Rules, Step
from svsim.envs.tally import Tally
from svsim.envs.window import HistoryWindow
from svsim.names import AUX, DURATION, FLAGS, HISTORY_FEATURES, PLAY_TIME, RETURN, WTG, WTR
from svsim.response import Past, ResponseModel
from svsim.signals import WatchTimeGain, scalar_reward

__all__ = ["MAIN_FEED", "FeedRules"]

Array = npt.NDArray[Any]

MAIN_FEED = 1
"""KuaiRand's tab that the feed plays in."""
HOUR_MS, MINUTE_MS = 3_600_000, 60_000.0

_FLAGS, _PLAY, _MINUTES, _TAB, _HOUR, _START, _AGE = (
    HISTORY_FEATURES.index(name)
    for name in (FLAGS[0], "log_play", "minutes_before", "tab", "hour", "request_start", "age_days")
)


class FeedRules(Rules):
    """B users who are served one video a step.

    Episode k opens as session k mod S of the split did. A `ResponseModel` answers, `Audience` draws.

    Args:
        pool: What may be served.
        openings: The sessions that episodes open with.
        model: Who answers.
        gain: The store's watch-time gain.
        options: How it is played.
        rows: B.
    """

    def __init__(
        self,
        pool: Pool,
        openings: Openings,
        model: ResponseModel,
        gain: WatchTimeGain,
        options: FeedOptions,
        rows: int,
    ) -> None:
        self.rows, self.slate, self.horizon = rows, options.slate, options.horizon
        self.pool, self.openings, self.options = pool, openings, options
        self._draws = Draws(rows, 0 if options.catalogue else options.candidates)
        self.audience = Audience(model, gain, self._draws)
        self.offer = _offer(pool, options, rows)
        self.slots = self.offer.slots
        self._tally = Tally(pool, rows, options.repeats)
        self._window = HistoryWindow(rows, options.history, len(HISTORY_FEATURES))
        self._user = np.zeros((rows, openings.user_features.shape[1]), dtype=np.float32)
        self._user_id = np.zeros((rows, 1), dtype=np.int32)
        self._source_user = np.zeros(rows, dtype=np.int64)
        self._group = np.zeros(rows, dtype=openings.group.dtype)
        self._episode = np.zeros(rows, dtype=np.uint64)
        self._sessions_left = np.zeros(rows, dtype=np.int64)
        self._cut_ms = np.zeros(rows, dtype=np.int64)
        self._days = np.zeros(rows, dtype=np.float32)
        # What histories get of a step, feature by feature: many small writes.
        self._event = np.zeros((len(HISTORY_FEATURES), rows), dtype=np.float32)
        self._event[_TAB] = MAIN_FEED
        self._never = np.zeros(rows, dtype=bool)
        self._unknown = np.full(rows, np.nan)

    # --- what is seen -------------------------------------------------------------------------------------------------

    @property
    def action_masks(self) -> npt.NDArray[np.bool_]:
        """(B, S K) legal slots, for each place of the slate the same."""
        masks: npt.NDArray[np.bool_] = self.offer.mask > 0
        return np.tile(masks, (1, self.slate)) if self.slate > 1 else masks

    def observation(self) -> dict[str, Array]:
        """Views on what each row sees now; valid until the next step."""
        history, videos, authors = self._window.views()
        views = {
            "user": self._user,
            "user_id": self._user_id,
            "history": history,
            "history_video": videos,
            "history_author": authors,
            **self.offer.views(),
        }
        if self.slate > 1:
            views["action_mask"] = np.tile(self.offer.mask, (1, self.slate))
        return views

    def privileged(self) -> dict[str, Array]:
        """`reward` (B, K), the expected reward of each slot; `logged_rank` (B, K), −1 since no log decides."""
        videos = self.pool.video.take(self.offer.items).astype(np.int64)
        expected = self.audience.model.expect(self.audience.state, videos)
        reward = np.zeros(videos.shape)
        for name in (WTR, WTG, AUX):
            reward += self.options.weights[name] * expected[name].astype(np.float64)
        reward[videos == 0] = 0.0
        return {"reward": reward, "logged_rank": np.full(videos.shape, -1, dtype=np.int64)}

    def whereabouts(self) -> dict[str, Array]:
        """Whose episode each row plays: `user_id` (the source's), `group`, `episode_key`."""
        return {"user_id": self._source_user.copy(), "group": self._group.copy(), "episode_key": self._episode.copy()}

    def video_ids(self) -> Array:
        """(B, K) the source's ids of the videos on offer, −1 in an empty slot."""
        return np.asarray(self.pool.video_id.take(self.offer.items))

    def episode_metrics(self) -> dict[str, Array]:
        """Sums over each row's episode so far, its length, and the variety of what was watched."""
        return self._tally.metrics()

    def choose(self, keys: npt.NDArray[np.uint64], users: Array, sessions: Array) -> npt.NDArray[np.uint64]:
        """Keys of given sessions: the `sessions[b]`-th (from 0) of the source's user `users[b]`.

        Raises:
            EnvironmentUsageError: The user has no such session here.
        """
        return choose_sessions(keys, users, sessions, self.openings.user_id[self.openings.user])

    # --- what happens -------------------------------------------------------------------------------------------------

    def begin(self, rows: Array, keys: npt.NDArray[np.uint64]) -> None:
        """Open the episodes `keys` in the rows numbered `rows`."""
        opening = self.openings
        session = (keys % np.uint64(len(opening))).astype(np.int64)
        user, time_ms = opening.user[session], opening.time_ms[session]
        self._draws.begin(rows, keys)
        self.audience.begin(rows, user, Past(event=opening.event[session], time_ms=time_ms, key=keys))
        self._days[rows] = days = self.pool.days(time_ms)
        self.offer.begin(rows, self._draws, days)
        self._tally.forget(rows)
        self._window.fill(rows, *opening.past.recall(session, self._window.length))
        self._user[rows] = opening.user_features[user]
        self._user_id[rows, 0] = user
        self._source_user[rows] = opening.user_id[user]
        self._group[rows] = opening.group[user]
        self._episode[rows] = keys
        self._sessions_left[rows] = self.options.sessions - 1
        if self.options.horizon_minutes is not None:
            self._cut_ms[rows] = time_ms + round(self.options.horizon_minutes * MINUTE_MS)

    def step(self, actions: Array) -> Step:
        """Serve `actions` (B,) within [0, K) in every row."""
        item = self.offer.behind(actions)
        legal = item < len(self.pool)
        answer, leaves = self._serve(actions, item, legal, 0)
        info = {
            "feedback": answer.feedback,
            "video_id": self.pool.video_id.take(item),
            "illegal_action": ~legal,
            **answer.told,
        }
        return self._conclude(answer, leaves & legal, info)

    def _serve(self, action: Array, item: Array, served: Array, place: int) -> tuple[Answer, Array]:
        """Let every row watch the video `item` behind its action; where not `served` it is P, and nothing happens.

        Returns:
            The answer, and whether the user leaves; that means nothing where nothing was served.
        """
        event, video = self._event, self.pool.video.take(item)
        event[_HOUR] = (self.audience.time_ms + CHINA_MS) // HOUR_MS % 24
        event[_START] = self.offer.opened
        event[_AGE] = self.offer.age_days(action, self._days)
        answer, leaves = self.audience.watch(video.astype(np.int64), self._tally.showing(item), place)
        self._describe(answer)
        self._tally.serve(item)
        rows: Rows = slice(None) if served.all() else np.flatnonzero(served)
        nothing = None if isinstance(rows, slice) else np.flatnonzero(~served)
        self._window.push(event.T, video, self.pool.author.take(item), nothing)
        self.offer.serve(action[rows], rows)
        return answer, leaves

    def _describe(self, answer: Answer) -> None:
        """Write reactions into what the histories get."""
        event, feedback = self._event, answer.feedback
        event[:3] = answer.signals.T
        for number, name in enumerate(FLAGS, start=_FLAGS):
            event[number] = feedback[name]
        event[_PLAY:_MINUTES] = log_seconds(np.array([feedback[PLAY_TIME], feedback[DURATION]]))

    def _conclude(self, answer: Answer, leaves: Array, info: dict[str, Any]) -> Step:
        """End the step: reward, coming back, new candidates, ends."""
        reward = scalar_reward(answer.signals, self.options.weights)
        back = self._come_back(leaves, reward, info) if self.options.sessions > 1 else None
        self._tally.add(reward, answer.signals, answer.feedback[PLAY_TIME])
        self._days = self.pool.days(self.audience.time_ms)
        self.offer.renew(self._draws, self._tally.steps, back, self._days)
        self._draws.next_step()
        terminated = leaves if back is None else leaves & ~back
        truncated = self._cut() & ~terminated
        info |= {
            "reward_vector": answer.signals,
            "wtg_gain": answer.gain,
            "propensity": self._unknown,
            **self.whereabouts(),
        }
        return Step(reward, terminated, truncated, info)

    def _come_back(self, leaves: Array, reward: Array, info: dict[str, Any]) -> Array:
        """(B,) who of those who left opened another session; their reward grows by coming back."""
        back = leaves & (self._sessions_left > 0)
        gap_h = info["return_gap_h"] = np.full(self.rows, np.nan)
        if not back.any():
            return self._never
        before = self.audience.time_ms.copy()
        gap_h[:] = self.audience.come_back(back)
        self._sessions_left -= back
        self._cut_ms += self.audience.time_ms - before
        reward += np.where(back, self.options.weights[RETURN] / (1.0 + np.nan_to_num(gap_h) / 24.0), 0.0)
        return back

    def _cut(self) -> Array:
        """(B,) who is at the horizon, or has been served all there is."""
        cut = self.offer.used_up
        if self.options.horizon is not None:
            cut = cut | (self._tally.steps >= self.options.horizon)
        if self.options.horizon_minutes is not None:
            cut = cut | (self.audience.time_ms >= self._cut_ms)
        return cut


def _offer(pool: Pool, options: FeedOptions, rows: int) -> Offer:
    if options.catalogue:
        return Catalogue(pool, rows=rows, repeats=options.repeats)
    return Requests(
        pool,
        rows=rows,
        candidates=options.candidates,
        size=options.request_size,
        slate=options.slate,
        alias=pool.by_popularity if options.by_popularity else None,
        repeats=options.repeats,
    )
