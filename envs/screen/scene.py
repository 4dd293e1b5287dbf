"""What stands on the screen at one moment, before anybody draws it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Clip", "Scene", "View"]


@dataclass(frozen=True)
class Clip:
    """A video.

    Attributes:
        video_id, author_id: The source's ids, −1 where they are not known.
        tags: Its tags, the first one first; empty where it has none.
        duration_s: Seconds; 0 for a picture post, and where it is not known.
    """

    video_id: int
    author_id: int
    tags: tuple[int, ...]
    duration_s: float


@dataclass(frozen=True)
class View:
    """A video that was watched.

    Attributes:
        clip: Which.
        play_s: Seconds that it was watched for.
        wtr: Watched share, in [0, 1]: watching again does not count.
        flags: Feedback that was given, in the order of `names.FLAGS`.
        served: Whether it was served in this episode; else the log had it before.
    """

    clip: Clip
    play_s: float
    wtr: float
    flags: tuple[str, ...]
    served: bool

    @property
    def times(self) -> float:
        """How often it was watched through: 1.4 is once and a part; 0 where its duration is not known."""
        return self.play_s / self.clip.duration_s if self.clip.duration_s > 0 else 0.0


@dataclass(frozen=True)
class Scene:
    """One user's screen after a step, or after a reset.

    Attributes:
        user_id, group: Whose it is.
        episode_key: Of the episode.
        step: Steps taken.
        horizon: Steps of an episode at most; None where steps do not end it.
        offered: What the last step chose from, after a reset what is on offer; None an empty slot. Nothing where the
            whole pool is on offer.
        choices: How many videos could be chosen.
        chosen: Slots that the last step named, from the top of a slate; nothing after a reset.
        watched: Videos that the last step made the user watch, in order.
        history: The last videos that the user saw, newest last.
        signals: `wtr`, `wtg`, `aux` of the last step, and their watch-time gain.
        rewards: Of every step so far.
        away_h: Hours that the user was away after the last step; None where they were not.
        end: Why the episode is over; None while it goes on.
    """

    user_id: int
    group: str
    episode_key: int
    step: int
    horizon: int | None
    offered: tuple[Clip | None, ...]
    choices: int
    chosen: tuple[int, ...]
    watched: tuple[View, ...]
    history: tuple[View, ...]
    signals: tuple[float, float, float, float]
    rewards: tuple[float, ...]
    away_h: float | None
    end: str | None

    @property
    def reward(self) -> float:
        """Reward of the last step; 0 after a reset."""
        return self.rewards[-1] if self.rewards else 0.0

    @property
    def total(self) -> float:
        """Reward so far."""
        return sum(self.rewards)
