"""The world: users, videos, platform, response and leaving in one, its truth by name.

Interest of user u in video v, in session s, after what the session has shown:

    x = e_u + q_v + taste(u, cluster(v)) + N(0, σ_s²)_(u, s) − fatigue

What is random given the state and the video is the response noise alone; `expect` integrates over it.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.randomness import keyed_hash, keyed_uniform, seed_key
from svsim.world.config import DAY_MS, START_MS, WorldConfig
from svsim.world.constants import constants
from svsim.world.draws import Draw, keyed_normal
from svsim.world.leaving import Leaving
from svsim.world.platform import Platform, slate_logprob
from svsim.world.response import NOISE, Reaction, Situation, expectations, outcomes, react
from svsim.world.state import State, fatigue
from svsim.world.users import Users, believed_taste, draw_users, taste
from svsim.world.videos import Catalogue
from svsim.world.visits import Clock, Visits

__all__ = ["World"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class World:
    """A KuaiRand-shaped world whose truth is known; a function of its configuration.

    Attributes:
        config: Sizes and seed.
        key: What every draw is keyed by.
        users: `Users`, what each is like.
        catalogue: `Catalogue`, what each video is like; videos go by index, see `Catalogue.index_of`.
        platform: `Platform`, the behaviour policy.
        visits: `Visits`, sizes, tabs and times of requests.
        leaving: `Leaving`, when users leave and come back.
    """

    def __init__(self, config: WorldConfig) -> None:
        self.config = config
        self.key = seed_key(config.seed)
        self.users: Users = draw_users(config, self.key)
        self.catalogue = Catalogue(config, self.key)
        self.platform = Platform(config, self.catalogue, self.key)
        self.visits = Visits(self.users, self.key)
        self.clock = Clock(config)
        self.leaving = Leaving(config, self.users, self.clock, self.key)

    def __reduce__(self) -> tuple[Any, ...]:
        return World, (self.config,)

    def __repr__(self) -> str:
        return f"World({self.config})"

    @cached_property
    def pool(self) -> Ints:
        """Indices of the random log's videos."""
        return np.arange(self.config.pool)

    # --- interest -----------------------------------------------------------------------------------------------------

    def session_effect(self, user: Ints, session: Ints) -> Floats:
        """Mood of sessions, N(0, σ_s²)."""
        effect = constants("users")["session_sd"] * keyed_normal(self.key, Draw.SESSION, user, session)
        return np.asarray(effect, dtype=np.float64)

    def interest(self, state: State, videos: Ints) -> Floats:
        """(B, K) interest x in each of K videos.

        Args:
            state: B rows.
            videos: (B, K) video indices; a negative one counts as video 0 and means nothing.
        """
        index = np.maximum(videos, 0)
        tired = fatigue(
            index,
            self.catalogue.author(index),
            self.catalogue.tag(index),
            state.recent[:, None, :],
            state.recent_author[:, None, :],
            state.recent_tag[:, None, :],
        )
        return self.fresh_interest(state.user[:, None], state.session[:, None], index) + tired

    def fresh_interest(self, user: Ints, session: Ints, video: Ints) -> Floats:
        """Interest before fatigue; arrays that broadcast."""
        quality, _, cluster = self.catalogue.appeal(video)
        own = self.users.effect[user] + self.session_effect(user, session)
        return np.asarray(own + quality + taste(self.key, user, cluster), dtype=np.float64)

    def situation(self, user: Ints, tab: Ints, interest: Floats, duration_ms: Ints) -> Situation:
        """What `svsim.world.response` needs of served videos; arrays of one shape."""
        return Situation(interest, duration_ms, tab, self.users.like_effect[user])

    # --- truth --------------------------------------------------------------------------------------------------------

    def expect(self, state: State, videos: Ints, signals: Collection[str] | None = None) -> dict[str, Floats]:
        """Expectation of signals if a video were served now.

        Args:
            state: B rows.
            videos: (B, K) video indices.
            signals: Which; by default all of them.

        Returns:
            (B, K) by signal: `play_time_ms`, `duration_ms` and the probabilities of click, long view, like, comment,
            forward, follow, hate, profile entry and of opening the comment page.
        """
        return expectations(self._situations(state, videos), signals)

    def play_distribution(self, state: State, videos: Ints) -> tuple[Floats, Floats]:
        """The play time's distribution as a table, for expectations of what is a function of it.

        Returns:
            (B, K, S) play times in ms and their probabilities; between its knots the play time is replaced by its mean.
        """
        return outcomes(self._situations(state, videos))

    def respond(self, state: State, video: Ints, noise: Floats) -> Reaction:
        """One reaction to one video a row, from given uniforms: same state, video and noise, same reaction.

        Args:
            state: B rows.
            video: (B,) video indices.
            noise: (B, 8) uniforms in [0, 1).
        """
        video = video[:, None]
        situation = self._situations(state, video)
        flat = Situation(*(np.asarray(getattr(situation, name))[:, 0] for name in Situation.__dataclass_fields__))
        return react(flat, noise)

    def leave_probability(self, state: State, click: Array) -> Floats:
        """(B,) P(leave) after the video that was just answered."""
        return self.leaving.probability(state.user, click)

    def retrieved(self, user: Ints, request: Ints, time_ms: Ints) -> Ints:
        """(B, R) indices of the videos that the platform retrieved for requests, −1 an empty slot.

        Args:
            user: (B,) user ids.
            request: (B,) number of the request among all of the user's.
            time_ms: (B,) its time.
        """
        return self.platform.candidates(user, request, self.day(time_ms))

    def utilities(self, user: Ints, retrieved: Ints) -> Floats:
        """(B, R) utilities that the behaviour policy ranks a retrieved set by; −inf for an empty slot."""
        _, estimate, cluster = self.catalogue.appeal(np.maximum(retrieved, 0))
        believed = believed_taste(self.key, user[:, None], cluster)
        return self.rank_utility(user, estimate + believed, retrieved)

    def rank_utility(self, user: Ints, estimate: npt.NDArray[np.float32], retrieved: Ints) -> Floats:
        """Utilities from the platform's estimates of interest."""
        utility = self.users.sharpness[user][:, None] * estimate.astype(np.float64)
        return np.where(retrieved < 0, -np.inf, utility)

    def slate_logprob(self, user: Ints, retrieved: Ints, slate: Ints) -> Floats:
        """(B, L) log-probability of each video of a slate under the behaviour policy, given the set and those above it.

        A random replacement takes a ranked video's place with a known probability (`Platform.replacement`) that is not
        part of this.

        Args:
            user: (B,) user ids.
            retrieved: (B, R) retrieved sets.
            slate: (B, L) slots of the set, from the top.
        """
        return slate_logprob(self.utilities(user, retrieved), slate)

    def day(self, time_ms: Ints) -> Ints:
        """Day of times, 0 for 8 April."""
        return (np.asarray(time_ms) - START_MS) // DAY_MS

    def noise(self, user: Ints, request: Ints, slot: Ints) -> Floats:
        """(N, 8) the uniforms of logged reactions."""
        row = keyed_hash(self.key, Draw.RESPONSE, user, request, slot)[:, None]
        return keyed_uniform(row, np.arange(NOISE)[None, :])

    def _situations(self, state: State, videos: Ints) -> Situation:
        shape = videos.shape
        index = np.maximum(videos, 0)
        return self.situation(
            np.broadcast_to(state.user[:, None], shape),
            np.broadcast_to(state.tab[:, None], shape),
            self.interest(state, videos),
            self.catalogue.duration_ms(index),
        )
