"""Replay-v0: logged sessions, replayed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, Unpack

import numpy as np
import numpy.typing as npt

from svsim.data.features import candidate_feature_names
from svsim.data.store import FeedStore
from svsim.envs.batch import BatchEnv
from svsim.envs.faces import RenderMode
from svsim.envs.replay_rules import ReplayRules
from svsim.envs.rules import OnIllegal, Setup
from svsim.envs.single import SingleEnv
from svsim.envs.spaces import observation_space
from svsim.envs.tape import Tape, get_tape
from svsim.errors import OptionError
from svsim.signals import reward_weights as complete_weights
from svsim.world.presets import find_store

__all__ = ["ReplayArguments", "ReplayEnv", "ReplayVectorEnv"]


@dataclass(frozen=True)
class _ReplaySetup(Setup):
    tape: Tape
    candidates: int
    history: int
    horizon: int

    @property
    def skipped_sessions(self) -> int:
        return self.tape.skipped

    @property
    def sessions(self) -> int:
        return len(self.tape)

    @property
    def pool(self) -> npt.NDArray[np.int32]:
        return np.unique(self.tape.video[:-1])

    def rules(self, rows: int) -> ReplayRules:
        return ReplayRules(self.tape, rows=rows, candidates=self.candidates, history=self.history, horizon=self.horizon)


class ReplayArguments(TypedDict, total=False):
    """Arguments of Replay-v0 beside store and rendering; `ReplayEnv` says what they mean and what they are by default."""

    split: str
    candidates: int
    history: int
    reward_weights: Mapping[str, float] | None
    on_illegal: OnIllegal
    privileged: bool
    horizon: int
    session_gap_minutes: float | None
    min_videos: int | None


def _set_up(
    store: str | Path | FeedStore,
    *,
    split: str = "test",
    candidates: int = 20,
    history: int = 50,
    reward_weights: Mapping[str, float] | None = None,
    on_illegal: OnIllegal = "penalise",
    privileged: bool = False,
    horizon: int = 10,
    session_gap_minutes: float | None = 30.0,
    min_videos: int | None = None,
) -> _ReplaySetup:
    for name, value in (("candidates", candidates), ("history", history), ("horizon", horizon)):
        if value < 1:
            raise OptionError(f"expected at least 1, found {value}", where=name)
    if min_videos is not None and min_videos < 1:
        raise OptionError(f"expected at least 1 or None, found {min_videos}", where="min_videos")
    if on_illegal not in ("penalise", "raise"):
        raise OptionError(f"expected penalise or raise, found {on_illegal!r}", where="on_illegal")
    opened = find_store(store)
    tape = get_tape(
        opened,
        split,
        history=history,
        gap_minutes=session_gap_minutes,
        min_videos=candidates if min_videos is None else min_videos,
        weights=complete_weights(reward_weights),
    )
    names = candidate_feature_names(opened)
    space = observation_space(
        candidates=candidates,
        history=history,
        candidate_features=names,
        n_users=opened.n_users,
        n_videos=opened.n_videos,
        n_authors=opened.n_authors,
    )
    return _ReplaySetup(opened, space, names, on_illegal, privileged, tape, candidates, history, horizon)


class ReplayEnv(SingleEnv):
    """Replays a logged session: the agent decides in which order a user sees the session's videos.

    ## Description

    An episode is one logged session of one user: their consecutive rows in a split without a long pause. Its own videos
    are the pool. K of them are on offer at a time, in shuffled places; the agent serves one, the user answers as logged,
    and the session's next video takes its place.

    ## Action space

    `Discrete(K)`: the slot to serve. `action_masks()` and the observation's `action_mask` tell which slots hold a video.
    An illegal slot serves nothing: reward 0, the step counts, `info["illegal_action"]` is true (with
    `on_illegal="raise"` it is an error).

    ## Observation space

    | key | shape | dtype | range | what |
    |---|---|---|---|---|
    | `user` | (U,) | float32 | ±5 | `names.USER_FEATURES`: standardised counts (logarithms) and codes, the rest 0 or 1 |
    | `user_id` | (1,) | int32 | dense id | 0 unknown |
    | `history` | (L, H) | float32 | by feature | `names.HISTORY_FEATURES`, newest last; zeros where there is none |
    | `history_video`, `history_author` | (L,) | int32 | dense id | 0 padding |
    | `candidates` | (K, C) | float32 | by feature | `names.CANDIDATE_FEATURES`; zeros in an empty slot |
    | `candidate_video`, `candidate_author` | (K,) | int32 | dense id | 0 an empty slot |
    | `action_mask` | (K,) | int8 | 0 or 1 | 1 a legal slot; all zero only at the end |

    Durations and play times are ln(1 + seconds); `minutes_before` counts from an event to the session's start and is 0
    for what was served since; `age_days` runs from the video's upload to its exposure. Rates of candidates are means over
    the training split, shrunk by ten plays; in episodes of the training split itself they leave the user's fold out.

    ## Start

    The user's last L logged events before the session fill `history`. The episode's key decides the session (key modulo
    the number of sessions) and the places of its first K videos.

    ## Reward

    Σ weight · signal over `reward_weights` of the served video: `wtr` in [0, 1], `wtg` (relevance) 0 or 1, `aux` in
    0…4. `info["reward_vector"]` holds the three.

    ## End

    `truncated` after `horizon` steps or when the pool is used up; never `terminated`.

    ## Info

    Every step: `reward_vector` (3,) float32, `wtg_gain` (0 where a video has none), `feedback` (`names.FEEDBACK`),
    `video_id`, `user_id` (the source's ids), `group`, `episode_key`, `illegal_action`, and `propensity` where the
    log knows it (rows of the random log: one over its pool). At the end `episode_metrics`: sums of reward, wtr, wtg, aux
    and watch seconds, and the length in steps. `reset` gives `user_id`, `group`, `episode_key`. With `privileged=True`,
    `privileged` holds `reward` (K,) and `logged_rank` (K,), −1 for an empty slot.

    ## Reset options

    `{"episodes": key}` plays one episode, `{"episodes": [[key], …]}` several in turn, before the environment's own
    stream goes on; a reset with a seed forgets what is left of them. `{"user": id, "session": n}` plays the n-th
    session (from 0) of a user by the source's id.

    ## Assumptions

    A video's feedback does not depend on its place in the session; nothing else than the logged feedback is ever seen.
    The logged order is the platform's, so a session is what its policy chose to show.

    ## Version history

    v0: first.

    Args:
        store: A store's path, a `FeedStore`, or the name of a synthetic preset; by default `"small"`.
        render_mode: None, `ansi` or `rgb_array`.
        split: `train`, `valid` or `test`; by default `"test"`.
        candidates: K, slots on offer; 20.
        history: L, events in `history`; 50.
        reward_weights: Weight of each signal; a signal that is not named weighs nothing. None, the default: 1 each.
        on_illegal: `"penalise"`, the default, or `"raise"`.
        privileged: Whether infos tell the true rewards, for agents that cheat on purpose; False.
        horizon: Steps after which an episode is truncated; 10.
        session_gap_minutes: A longer pause ends a session; 30. None takes all of a user's rows in the split.
        min_videos: Shorter sessions are not served. None, the default, means `candidates`.

    Attributes:
        skipped_sessions: Sessions of the split that are too short to be served.
        sessions: Sessions that are served.
        pool: Dense ids of all videos that may be served, ascending.

    Raises:
        OptionError: An impossible argument, or no session is long enough.
        StoreError: There is no such store.
    """

    def __init__(
        self,
        store: str | Path | FeedStore = "small",
        *,
        render_mode: RenderMode | None = None,
        **arguments: Unpack[ReplayArguments],
    ) -> None:
        super().__init__(_set_up(store, **arguments), render_mode)


class ReplayVectorEnv(BatchEnv):
    """Replay-v0 in batches: `num_envs` environments of `ReplayEnv` as one, in numpy.

    Spaces, rewards and infos are those of `ReplayEnv` with a leading axis B. A row that ends is reset in the same step
    (`AutoresetMode.SAME_STEP`): the returned observation opens its next episode, `infos["final_obs"]` holds the last one
    of the ended, `infos["final_info"]` its info. The other infos belong to the step just taken, for every row;
    `privileged` belongs to the returned observation. `propensity` is NaN where the log does not know it.

    Row i of a batch seeded s plays what `ReplayEnv` seeded s + i plays. `reset(options={"episodes": keys})` takes keys of
    shape (B,), or (M, B) for M episodes of every row; `user` and `session` may be arrays of shape (B,).

    Args:
        num_envs: B.
        copy: False returns views that the next step overwrites.
        store: As in `ReplayEnv`; so are the further arguments.
        render_mode: None, `ansi` or `rgb_array`; `render` gives a frame a row.
    """

    def __init__(
        self,
        num_envs: int = 1,
        store: str | Path | FeedStore = "small",
        *,
        copy: bool = True,
        render_mode: RenderMode | None = None,
        **arguments: Unpack[ReplayArguments],
    ) -> None:
        super().__init__(_set_up(store, **arguments), num_envs, copy, render_mode)
