"""Feed-v0: a feed that users scroll through, answered by a model of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt

from svsim.data.features import candidate_feature_names
from svsim.data.store import FeedStore
from svsim.envs.batch import BatchEnv
from svsim.envs.faces import RenderMode
from svsim.envs.feed_options import Actions, FeedArguments, FeedOptions, Retrieval, feed_options
from svsim.envs.feed_rules import FeedRules
from svsim.envs.openings import Openings, openings
from svsim.envs.pools import Pool, PoolName, feed_pool
from svsim.envs.rules import OnIllegal, Setup
from svsim.envs.single import SingleEnv
from svsim.envs.slates import SlateRules
from svsim.envs.spaces import observation_space
from svsim.errors import OptionError
from svsim.response import ResponseModel
from svsim.response.opening import open_response
from svsim.signals import WatchTimeGain
from svsim.world.presets import find_store

__all__ = ["FeedArguments", "FeedEnv", "FeedVectorEnv"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class _FeedSetup(Setup):
    videos: Pool
    openings: Openings
    response: ResponseModel
    gain: WatchTimeGain
    options: FeedOptions

    @property
    def skipped_sessions(self) -> int:
        return 0

    @property
    def sessions(self) -> int:
        return len(self.openings)

    @property
    def pool(self) -> npt.NDArray[np.int32]:
        return np.asarray(self.videos.video[:-1])

    @cached_property
    def catalogue(self) -> dict[str, Array]:
        """The pool as candidates at the split's first moment."""
        return {
            "candidates": self.videos.features_at(int(self.openings.time_ms.min())),
            "candidate_video": self.videos.video[:-1].copy(),
            "candidate_author": self.videos.author[:-1].copy(),
        }

    def rules(self, rows: int) -> FeedRules:
        made = SlateRules if self.options.slate > 1 else FeedRules
        return made(self.videos, self.openings, self.response, self.gain, self.options, rows)


def _set_up(
    store: str | Path | FeedStore,
    *,
    response: str | Path | ResponseModel | None = None,
    split: str = "test",
    candidates: int = 20,
    history: int = 50,
    reward_weights: Mapping[str, float] | None = None,
    on_illegal: OnIllegal = "penalise",
    privileged: bool = False,
    horizon: int | None = None,
    horizon_minutes: float | None = None,
    pool: PoolName | None = None,
    retrieval: Retrieval = "uniform",
    request_size: int = 1,
    actions: Actions = "slot",
    slate_size: int = 1,
    sessions: int = 1,
    repeats: bool = False,
) -> _FeedSetup:
    options = feed_options(
        candidates=candidates,
        history=history,
        reward_weights=reward_weights,
        horizon=horizon,
        horizon_minutes=horizon_minutes,
        retrieval=retrieval,
        request_size=request_size,
        actions=actions,
        slate_size=slate_size,
        sessions=sessions,
        repeats=repeats,
    )
    if on_illegal not in ("penalise", "raise"):
        raise OptionError(f"expected penalise or raise, found {on_illegal!r}", where="on_illegal")
    opened = find_store(store)
    videos = feed_pool(opened, pool)
    if not options.catalogue and len(videos) < candidates:
        raise OptionError(
            f"expected at most the {len(videos)} videos of the pool, found {candidates}",
            where="candidates",
            remedy="ask for fewer candidates or for another pool",
        )
    begun = openings(opened, split, history)
    names = candidate_feature_names(opened)
    space = observation_space(
        candidates=None if options.catalogue else candidates,
        history=history,
        candidate_features=names,
        n_users=opened.n_users,
        n_videos=opened.n_videos,
        n_authors=opened.n_authors,
        mask=len(videos) if options.catalogue else candidates * slate_size,
    )
    model = open_response(response, opened, videos.video[:-1].astype(np.int64))
    return _FeedSetup(opened, space, names, on_illegal, privileged, videos, begun, model, opened.wtg, options)


class FeedEnv(SingleEnv):
    """A user scrolls through a feed: the agent chooses each next video, a model of the user answers.

    ## Description

    An episode opens as a logged session of the split did: its user, their earlier events, its time. From there on nothing
    is replayed. At every step K candidates are retrieved from a pool of videos, the agent serves one, the response model
    says what the user does with it, and whether they leave. So what was served decides what comes: taste is met or not,
    repetition tires, bad luck ends a session.

    ## Action space

    `Discrete(K)`: the slot to serve. `action_masks()` and the observation's `action_mask` tell which slots hold a video.
    An illegal slot serves nothing: reward 0, the step counts, nobody leaves, the clock stands still,
    `info["illegal_action"]` is true (with `on_illegal="raise"` it is an error).

    With `actions="catalogue"` it is `Discrete(P)`: any video of the pool, action i being the i-th of `pool`. Then there are
    no candidate keys in the observation; `catalogue` holds them for the whole pool, once.

    With `slate_size=S` it is `MultiDiscrete([K] * S)`: slots from the top of the slate down, the mask repeated for each
    place. The user watches the first; after each video they may leave, and if they stay they reach the next place with
    the model's `continue_probability`, else the step is over. An entry that names an empty slot or repeats one above it
    serves nothing and the user goes on to the next; `illegal_action` tells that an entry was wasted so.

    ## Observation space

    | key | shape | dtype | range | what |
    |---|---|---|---|---|
    | `user` | (U,) | float32 | ±5 | `names.USER_FEATURES`: standardised counts (logarithms) and codes, the rest 0 or 1 |
    | `user_id` | (1,) | int32 | dense id | 0 unknown |
    | `history` | (L, H) | float32 | by feature | `names.HISTORY_FEATURES`, newest last; zeros where there is none |
    | `history_video`, `history_author` | (L,) | int32 | dense id | 0 padding |
    | `candidates` | (K, C) | float32 | by feature | `names.CANDIDATE_FEATURES`; zeros in an empty slot |
    | `candidate_video`, `candidate_author` | (K,) | int32 | dense id | 0 an empty slot |
    | `action_mask` | (K,), (P,), (S K,) | int8 | 0 or 1 | 1 a legal action; all zero only at the end |

    Durations and play times are ln(1 + seconds). What was served reads in the history as a logged event of the main feed
    (tab 1) does: `minutes_before` is 0, `hour` goes by the clock in China, `request_start` is 1 for the first video served
    of a request. `age_days` of candidates goes by the clock too. Rates of candidates are means over the whole training
    split, shrunk by ten plays, and the same for every user, also in episodes of the training split itself.

    ## Start

    The episode's key decides the session (key modulo their number; any length, cut at pauses above 30 minutes), and every
    draw of the episode. The user's last L logged events before it fill `history`; a user without any has an empty one.

    ## Candidates

    Drawn from the pool every `request_size` steps, when all slots of a request were served, and when a session opens;
    `retrieval` says how. Within a request a served slot empties. What was served never comes back in the episode, over all
    its sessions, unless `repeats=True`. Where the pool runs out, slots stay empty.

    ## Reward

    Σ weight · signal over `reward_weights` of the served video: `wtr` in [0, 1], `wtg` (relevance) 0 or 1, `aux` in 0…4;
    for a slate sums over the watched videos. With several sessions `return` may be weighed: 1 / (1 + gap in days) at the
    step after which the user came back. `info["reward_vector"]` holds the first three.

    ## End

    `terminated` when the user leaves for good: after any video with the model's `leave_probability`; with `sessions=N` they
    come back N − 1 times first, after a gap that the model draws. Else `truncated` after `horizon` steps of the episode, or
    once `horizon_minutes` of its clock are over, gaps between sessions not counted, or when nothing is left to serve.

    ## Info

    Every step: `reward_vector` (3,) float32, `wtg_gain` (0 where a video has none), `feedback` (`names.FEEDBACK`),
    `video_id`, `user_id` (the source's ids; −1 nothing), `group`, `episode_key`, `illegal_action`, what else the response
    model tells of its answer (as `disagreement`), and `return_gap_h` with several sessions: hours that the user was away
    before the next observation, absent where they were not. For a slate `feedback`, `wtg_gain` and what the model tells are
    sums over the watched videos, `video_id` is (S,) with −1 for what was not watched, and `watched` is their number. At
    the end `episode_metrics`: sums of reward, wtr, wtg, aux and watch seconds, the length in steps, and how many distinct
    videos, authors and first tags were watched. `reset` gives `user_id`, `group`, `episode_key`. With `privileged=True`,
    `privileged` holds `reward` (K,) or (P,), the expected reward of each action in this state (coming back not
    counted), and `logged_rank`, all −1.

    ## Reset options

    `{"episodes": key}` plays one episode, `{"episodes": [[key], …]}` several in turn, before the environment's own
    stream goes on; a reset with a seed forgets what is left of them. `{"user": id, "session": n}` opens as the n-th
    session (from 0) of a user by the source's id.

    ## Common random numbers

    The response noise is keyed by (episode, video, n-th showing), leaving, coming back and the way down a slate by
    (episode, step, place), candidates by (episode, step at which the request opened). So two policies that serve the same
    video to the same user in the same state see the same reaction, and meet the same candidates but for what each has
    been served.

    ## Assumptions

    The response model is right about videos that its log seldom or never showed to such users; with the truth of a
    synthetic world it is, and that world is what its documentation says. Users answer the video and not the slot that it
    lay in. A session's hour, tab and user are the log's, whoever serves it. Candidates come from one pool for everybody,
    with no personal retrieval before the agent.

    ## Version history

    v0: first.

    Args:
        store: A store's path, a `FeedStore`, or the name of a synthetic preset; by default `"small"`.
        render_mode: None, `ansi` or `rgb_array`.
        response: `"truth"` of the store's world, the path of a run of `svsim train response`, or a `ResponseModel`. None,
            the default: the truth where the store has one.
        split: `train`, `valid` or `test`; by default `"test"`.
        candidates: K, slots on offer; 20. Not used with `actions="catalogue"`.
        history: L, events in `history`; 50.
        reward_weights: Weight of each signal and of `return`; what is not named weighs nothing. None, the default: 1 for
            each signal.
        on_illegal: `"penalise"`, the default, or `"raise"`.
        privileged: Whether infos tell the expected rewards, for agents that cheat on purpose; False.
        horizon: Steps after which an episode is truncated; 100 where no minutes are given.
        horizon_minutes: Minutes of the clock after which it is truncated instead.
        pool: `"random"`, the videos of the random log, or `"train"`, those of five training exposures. None, the default:
            random where the store has a random log.
        retrieval: `"uniform"`, the default, or `"popularity"`: in proportion to training exposures, one added.
        request_size: Steps between two draws of candidates; 1.
        actions: `"slot"`, the default, or `"catalogue"`.
        slate_size: S, videos of an action; 1.
        sessions: Sessions of an episode, at most; 1.
        repeats: Whether a served video may come back; False.

    Attributes:
        sessions: Sessions of the split that episodes open with.
        skipped_sessions: 0: a feed needs no length.
        pool: Dense ids of all videos that may be served, ascending.
        catalogue: `candidates` (P, C) float32, `candidate_video` and `candidate_author` (P,) int32: the pool as candidates
            at the split's first moment.

    Raises:
        OptionError: An impossible argument, or two that do not go together.
        StoreError: There is no such store.
        RunError: There is no such run, or it is one of another store.
    """

    def __init__(
        self,
        store: str | Path | FeedStore = "small",
        *,
        render_mode: RenderMode | None = None,
        **arguments: Unpack[FeedArguments],
    ) -> None:
        setup = _set_up(store, **arguments)
        super().__init__(setup, render_mode)
        self.catalogue = setup.catalogue


class FeedVectorEnv(BatchEnv):
    """Feed-v0 in batches: `num_envs` environments of `FeedEnv` as one, in numpy.

    Spaces, rewards and infos are those of `FeedEnv` with a leading axis B. A row that ends is reset in the same step
    (`AutoresetMode.SAME_STEP`): the returned observation opens its next episode, `infos["final_obs"]` holds the last one
    of the ended, `infos["final_info"]` its info. The other infos belong to the step just taken, for every row;
    `privileged` belongs to the returned observation. `propensity` is NaN, since no log served, and so is
    `return_gap_h` where nobody was away.

    Row i of a batch seeded s plays what `FeedEnv` seeded s + i plays, byte for byte: with the truth of a world everywhere,
    with a learned model where BLAS gives a row the same bytes whatever the rows beside it (as it did wherever tried).
    `reset(options={"episodes": keys})` takes keys of shape (B,), or (M, B) for M episodes of every row; `user` and
    `session` may be arrays of shape (B,). What every row has been served is kept in tables of the whole pool: some two
    to three bytes for each row and video, four more with `repeats=True`.

    Args:
        num_envs: B.
        copy: False returns views that the next step overwrites.
        store: As in `FeedEnv`; so are the further arguments.
        render_mode: None, `ansi` or `rgb_array`; `render` gives a frame a row.
    """

    def __init__(
        self,
        num_envs: int = 1,
        store: str | Path | FeedStore = "small",
        *,
        copy: bool = True,
        render_mode: RenderMode | None = None,
        **arguments: Unpack[FeedArguments],
    ) -> None:
        setup = _set_up(store, **arguments)
        super().__init__(setup, num_envs, copy, render_mode)
        self.catalogue = setup.catalogue
