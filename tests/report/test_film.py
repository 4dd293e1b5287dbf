"""Films: two agents on one user, as a browser and as Gymnasium's recorder take them."""

from __future__ import annotations

import io
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from PIL import Image

from svsim.benchmark import BenchmarkSpec
from svsim.benchmark.episode import EpisodePlayer
from svsim.data import FeedStore
from svsim.envs.screen.phone import CAPTION_HEIGHT, FRAME_SHAPE
from svsim.errors import AgentError
from svsim.report.film import film, side_by_side, still

HEIGHT, WIDTH, _ = FRAME_SHAPE


@pytest.fixture(scope="module")
def spec(store: FeedStore) -> BenchmarkSpec:
    return BenchmarkSpec(store=store, agents=("random",), rails=False, candidates=4, horizon=4, split="train")


def test_players_of_a_seed_meet_the_same(spec: BenchmarkSpec) -> None:
    first, second = (list(EpisodePlayer(spec, name).play()) for name in ("random", "oracle"))
    for name in ("user_id", "episode_key", "offered", "history"):
        assert getattr(first[0], name) == getattr(second[0], name)
    assert list(EpisodePlayer(spec, "random").play()) == first
    assert next(EpisodePlayer(spec, "random", seed=1).play()).episode_key != first[0].episode_key


def test_an_episode_comes_to_what_its_steps_did(spec: BenchmarkSpec) -> None:
    player = EpisodePlayer(spec, "popularity")
    scenes = list(player.play())
    assert player.metrics["reward"] == pytest.approx(scenes[-1].total)
    assert player.metrics["length"] == len(scenes) - 1
    user = scenes[0].user_id
    assert next(player.play(user)).user_id == user
    assert player.metrics == {}, "of an episode that is not over nothing is summed up"


def test_an_agent_that_serves_an_empty_slot_is_told(spec: BenchmarkSpec) -> None:
    with pytest.raises(AgentError, match=r"tests\.examples\.failing:Nothing"):
        list(EpisodePlayer(spec, "tests.examples.failing:Nothing").play())


def test_a_film_has_a_frame_a_step_and_two_phones_a_frame(spec: BenchmarkSpec) -> None:
    episodes = [list(EpisodePlayer(spec, name).play()) for name in ("random", "oracle")]
    frames = side_by_side([("random", episodes[0][:2]), ("oracle", episodes[1])])
    assert len(frames) == len(episodes[1])
    assert {frame.shape for frame in frames} == {(HEIGHT + CAPTION_HEIGHT, 2 * WIDTH, 3)}
    left = [frame[CAPTION_HEIGHT:, :WIDTH] for frame in frames]
    assert not np.array_equal(left[0], left[1])
    np.testing.assert_array_equal(left[1], left[-1], "who is done stands still")
    for form, size in (("WEBP", 432), ("GIF", None), ("PNG", None)):
        picture = Image.open(io.BytesIO(film(frames, form=form, width=size)))
        assert picture.n_frames == len(frames)
        assert picture.width == (size or 2 * WIDTH)
        assert film(frames, form=form, width=size) == film(frames, form=form, width=size)
    assert Image.open(io.BytesIO(still(frames[0]))).size == (2 * WIDTH, HEIGHT + CAPTION_HEIGHT)


def test_gymnasium_records_a_film(store: FeedStore, tmp_path: Path) -> None:
    from moviepy.video.io.VideoFileClip import VideoFileClip

    env = gym.make("svsim/Replay-v0", store=store, candidates=4, horizon=4, render_mode="rgb_array")
    recorded = gym.wrappers.RecordVideo(env, str(tmp_path / "films"), episode_trigger=lambda _: True)
    recorded.reset(seed=0)
    over, steps = False, 0
    while not over:
        slot = int(np.flatnonzero(recorded.get_wrapper_attr("action_masks")())[0])
        *_, terminated, truncated, _ = recorded.step(slot)
        over, steps = terminated or truncated, steps + 1
    recorded.close()
    (path,) = (tmp_path / "films").glob("*.mp4")
    with VideoFileClip(str(path)) as clip:
        assert clip.size == [WIDTH, HEIGHT]
        assert clip.duration == pytest.approx((steps + 1) / env.metadata["render_fps"], abs=0.5)
