"""The feed on a screen: what stands there is what happened, and what is drawn is what stands there."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import svsim  # noqa: F401 - registers
from svsim.data import FeedStore
from svsim.envs.screen import Clip, Scene, View
from svsim.envs.screen.palette import BACKGROUND, FLAG_COLOURS, INK, tag_colour
from svsim.envs.screen.phone import CAPTION_HEIGHT, FRAME_SHAPE, caption, draw
from svsim.envs.single import SingleEnv
from svsim.errors import SvsimError
from svsim.names import LIKE
from tests.envs.test_feed_conformance import arguments as feed_arguments


def replay(store: FeedStore, **options: Any) -> SingleEnv:
    env = gym.make("svsim/Replay-v0", store=store, candidates=4, horizon=5, render_mode="rgb_array", **options)
    assert isinstance(env.unwrapped, SingleEnv)
    return env.unwrapped


def scene(view: View | None = None, **changes: Any) -> Scene:
    """A scene of one step that served one video."""
    watched = () if view is None else (view,)
    offered = (CLIP, None)
    plain = Scene(7, "normal", 1, 1, 10, offered, 2, (0,), watched, watched, (0.5, 0.0, 0.0, 0.0), (0.5,), None, None)
    return dataclasses.replace(plain, **changes)


CLIP = Clip(video_id=5, author_id=6, tags=(2, 9), duration_s=20.0)


def ids(scene: Scene) -> list[int | None]:
    """Of the videos on offer, by slot."""
    return [clip and clip.video_id for clip in scene.offered]


def on_offer(store: FeedStore, observation: dict[str, Any]) -> list[int | None]:
    return [int(store.videos["video_id"][video]) if video else None for video in observation["candidate_video"]]


def view(play_s: float = 10.0, flags: tuple[str, ...] = (), clip: Clip = CLIP) -> View:
    return View(clip, play_s, min(play_s / 20.0, 1.0), flags, served=True)


def pixels(frame: np.ndarray[Any, Any], colour: tuple[int, int, int], rows: slice = slice(None)) -> int:
    return int((frame[rows] == colour).all(axis=2).sum())


# --- what stands on a screen -------------------------------------------------------------------------------------------


def test_it_tells_what_the_steps_told(store: FeedStore) -> None:
    env = replay(store)
    observation, _ = env.reset(seed=0)
    first = env.scene()
    assert (first.step, first.total, first.watched, first.end) == (0, 0.0, (), None)
    assert ids(first) == on_offer(store, observation)
    rewards, over = [], False
    while not over:
        slot = int(np.flatnonzero(env.action_masks())[-1])
        before = on_offer(store, observation)
        observation, reward, terminated, truncated, info = env.step(slot)
        over = terminated or truncated
        rewards.append(reward)
        now = env.scene()
        (watched,) = now.watched
        assert watched.clip.video_id == info["video_id"]
        assert watched.play_s == pytest.approx(info["feedback"]["play_time_ms"] / 1e3, abs=1e-3)
        assert watched.clip.duration_s == pytest.approx(info["feedback"]["duration_ms"] / 1e3, abs=1e-3)
        assert (LIKE in watched.flags) == bool(info["feedback"]["like"])
        assert now.rewards == pytest.approx(rewards)
        assert now.chosen == (slot,)
        assert ids(now) == before, "what the step chose from is kept"
        assert now.history[-1].served
    assert now.total == pytest.approx(info["episode_metrics"]["reward"])
    assert now.end == "the horizon of 5 steps"


def test_a_pool_used_up_is_told(store: FeedStore) -> None:
    env = replay(store, min_videos=4)
    seen = set()
    for seed in range(20):
        env.reset(seed=seed)
        over, steps = False, 0
        while not over:
            *_, terminated, truncated, _ = env.step(int(np.flatnonzero(env.action_masks())[0]))
            over, steps = terminated or truncated, steps + 1
        seen.add((env.scene().end, steps == 5))
    assert seen == {("the horizon of 5 steps", True), ("the pool is used up", False)}


def test_an_empty_slot_serves_nothing(store: FeedStore) -> None:
    env = replay(store, min_videos=4)
    for seed in range(20):
        env.reset(seed=seed)
        for _ in range(5):
            *_, terminated, truncated, info = env.step(0)
            if info["illegal_action"]:
                assert env.scene().watched == ()
                assert env.scene().reward == 0
                return
            if terminated or truncated:
                break
    pytest.fail("no slot was ever empty")


@pytest.mark.parametrize("name", ["slots", "catalogue", "slates", "sessions"])
def test_every_form_of_the_feed_has_a_screen(store: FeedStore, name: str) -> None:
    env = gym.make("svsim/Feed-v0", render_mode="rgb_array", **feed_arguments(store, name)).unwrapped
    assert isinstance(env, SingleEnv)
    env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(4):
        *_, terminated, truncated, _ = env.step(env.action_space.sample())
        assert env.render().shape == FRAME_SHAPE
        if terminated or truncated:
            assert env.scene().end is not None
            break


def test_a_screen_needs_a_render_mode_and_a_reset(store: FeedStore) -> None:
    bare = gym.make("svsim/Replay-v0", store=store, candidates=4).unwrapped
    assert isinstance(bare, SingleEnv)
    with pytest.raises(SvsimError, match="render_mode"):
        bare.scene()
    with pytest.raises(SvsimError, match="reset"):
        replay(store).scene()


# --- what is drawn -----------------------------------------------------------------------------------------------------


def test_the_bar_is_filled_as_far_as_it_was_watched() -> None:
    """White pixels in the bar's middle row, in proportion to the share."""
    rows = slice(411, 413)
    counts = [pixels(draw(scene(view(20.0 * share))), INK, rows) for share in (0.25, 0.5, 1.0, 2.0)]
    assert counts[1] / counts[0] == pytest.approx(2, rel=0.05)
    assert counts[2] / counts[0] == pytest.approx(4, rel=0.05)
    assert counts[3] == counts[2], "twice through is a full bar"


def test_what_was_given_is_lit() -> None:
    for flag, colour in FLAG_COLOURS.items():
        lit, unlit = draw(scene(view(flags=(flag,)))), draw(scene(view()))
        card = slice(104, 472)
        assert pixels(lit, colour, card) > 50
        assert pixels(unlit, colour, card) == 0


def test_the_card_has_its_tags_colour() -> None:
    for tags in ((0,), (1,), (8, 2), ()):
        frame = draw(scene(view(clip=dataclasses.replace(CLIP, tags=tags))))
        assert pixels(frame, tag_colour(tags), slice(104, 122)) > 300 * 10


@pytest.mark.parametrize(
    "shown",
    [
        scene(None, step=0, rewards=(), chosen=()),
        scene(None),
        scene(view(), end="the user left"),
        scene(view(), away_h=12.5),
        scene(view(), horizon=None, offered=(), choices=123_456),
        scene(view(clip=Clip(-1, -1, (), 0.0))),
        scene(view(clip=Clip(2**62, 2**62, tuple(range(40)), 1e7)), user_id=2**62, rewards=(1e6, -3.0) * 50),
        scene(None, watched=(view(), view(40.0, tuple(FLAG_COLOURS))), offered=(CLIP,) * 300, chosen=(0, 299)),
        scene(None, watched=(view(),) * 30),
    ],
)
def test_whatever_happens_it_can_be_drawn(shown: Scene) -> None:
    frame = draw(shown)
    assert frame.shape == FRAME_SHAPE
    assert frame.dtype == np.uint8
    assert tuple(frame[0, 0]) == BACKGROUND
    np.testing.assert_array_equal(frame, draw(shown))


def test_captions_fit() -> None:
    assert caption("linucb").shape == (CAPTION_HEIGHT, FRAME_SHAPE[1], 3)
    long = caption("x" * 500)
    assert pixels(long[:, :8], BACKGROUND) == 8 * CAPTION_HEIGHT, "a margin is left"


def test_times_are_plays_over_durations() -> None:
    assert view(28.0).times == pytest.approx(1.4)
    assert view(5.0, clip=Clip(1, 1, (), 0.0)).times == 0.0
    assert not math.isnan(view(0.0).times)
