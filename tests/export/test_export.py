"""Logged sessions for other libraries: what they read back is what was logged."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from svsim.cli import main
from svsim.data import FeedStore
from svsim.envs.sb3 import Flattening
from svsim.errors import OptionError, OutputError
from svsim.export import export_d3rlpy, export_minari, logged_episodes

minari = pytest.importorskip("minari")
h5py = pytest.importorskip("h5py")

ARGUMENTS = {"split": "train", "candidates": 5, "horizon": 6, "history": 8, "min_videos": 3}


@pytest.fixture(scope="module")
def dataset(store: FeedStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_minari(store, tmp_path_factory.mktemp("export") / "minari", ARGUMENTS)


def test_every_session_once_and_as_it_was_logged(store: FeedStore) -> None:
    """Straight from the store's events: users, videos in order, rewards."""
    sessions = store.sessions("train", 30.0)
    logged = []
    for begin, end in zip(sessions.start, sessions.start + sessions.length, strict=True):
        rows = sessions.rows[begin:end]
        if len(rows) >= 3:
            video, user = store.events["video"][rows[:6]], store.events["user"][rows[0]]
            wtr = np.minimum(store.events["play_time_ms"][rows[:6]] / store.events["duration_ms"][rows[:6]], 1)
            logged.append((int(store.users["user_id"][user]), store.videos["video_id"][video].tolist(), wtr))
    episodes = list(logged_episodes(store, ARGUMENTS))
    assert len(episodes) == len(logged)
    for episode, (user, videos, wtr) in zip(episodes, logged, strict=True):
        assert episode.user_id == user
        assert episode.steps["video_id"].tolist() == videos
        np.testing.assert_allclose(episode.steps["reward_vector"][:, 0], wtr, rtol=1e-6)
        np.testing.assert_allclose(episode.rewards, episode.steps["reward_vector"].sum(axis=1), rtol=1e-6)
        assert (episode.terminated | episode.truncated).tolist() == [False] * (len(videos) - 1) + [True]


def test_minari_reads_back_what_was_played(store: FeedStore, dataset: Path) -> None:
    read = minari.MinariDataset(dataset)
    episodes = list(logged_episodes(store, ARGUMENTS))
    assert read.total_episodes == len(episodes)
    assert read.total_steps == sum(len(episode.actions) for episode in episodes)
    for episode, back in zip(episodes, read.iterate_episodes(), strict=True):
        for name, values in episode.observations.items():
            np.testing.assert_array_equal(back.observations[name], values)
        np.testing.assert_array_equal(back.actions, episode.actions)
        np.testing.assert_array_equal(back.rewards, episode.rewards)
        np.testing.assert_array_equal(back.truncations, episode.truncated)
        np.testing.assert_array_equal(back.terminations, episode.terminated)
        for name, values in episode.steps.items():
            np.testing.assert_array_equal(back.infos[name][1:], values)
        legal = back.observations["action_mask"][np.arange(len(back.actions)), back.actions]
        assert (legal == 1).all()


def test_the_environment_comes_back_and_replays_an_episode(dataset: Path) -> None:
    read = minari.MinariDataset(dataset)
    env = read.recover_environment()
    assert env.observation_space == read.observation_space
    assert env.action_space == read.action_space
    env.reset(seed=0, options={"episodes": 3})
    episode = read[3]
    for action, reward in zip(episode.actions, episode.rewards, strict=True):
        assert env.step(action)[1] == pytest.approx(reward)


def test_the_random_logs_propensities_are_told(dataset: Path) -> None:
    """NaN for the platform's own exposures."""
    told = np.concatenate(
        [episode.infos["propensity"][1:] for episode in minari.MinariDataset(dataset).iterate_episodes()]
    )
    known = told[~np.isnan(told)]
    assert ((known > 0) & (known <= 1)).all()


def test_d3rlpys_file(store: FeedStore, tmp_path: Path) -> None:
    """The layout that d3rlpy.dataset.io 2.1 reads: named columns, one dataset an episode and column."""
    out = export_d3rlpy(store, tmp_path / "d3", ARGUMENTS, most=20)
    layout = json.loads((out / "layout.json").read_text())
    space = gym.make("svsim/Replay-v0", store=store, **ARGUMENTS).observation_space
    flatten = Flattening(space, False)
    size = sum(part["size"] for part in layout["observation"])
    places = {part["key"]: part["size"] for part in layout["observation"]}
    with h5py.File(out / "dataset.h5") as file:
        assert [name.decode() for name in file["columns"][()]] == ["observations", "actions", "rewards", "terminated"]
        assert file["version"][()] == b"2.1"
        assert file["num_episodes"][()] == 20
        for number, episode in enumerate(logged_episodes(store, ARGUMENTS, 20)):
            steps = len(episode.actions)
            observations = file[f"observations_{number}"][()]
            assert observations.shape == (steps + 1, size)
            assert observations.dtype == np.float32
            flat = flatten(episode.observations, (steps + 1,))
            begin = 0
            for name, width in places.items():
                expected = episode.observations[name] if name == "action_mask" else flat[name]
                np.testing.assert_array_equal(observations[:, begin : begin + width], expected)
                begin += width
            np.testing.assert_array_equal(file[f"actions_{number}"][:-1, 0], episode.actions)
            np.testing.assert_allclose(file[f"rewards_{number}"][:-1, 0], episode.rewards, rtol=1e-6)
            assert file[f"rewards_{number}"][-1, 0] == 0
            assert not file[f"terminated_{number}"][()]
            np.testing.assert_array_equal(file[f"action_mask_{number}"], episode.observations["action_mask"])
            np.testing.assert_array_equal(file[f"propensity_{number}"], episode.steps["propensity"])


@pytest.mark.parametrize("export", [export_minari, export_d3rlpy])
def test_an_export_that_fails_leaves_nothing(store: FeedStore, tmp_path: Path, export: object) -> None:
    def full(done: int, whole: int) -> None:
        if done == 5:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OutputError, match="free some space"):
        export(store, tmp_path / "out", ARGUMENTS, progress=full)
    assert list(tmp_path.iterdir()) == []
    export(store, tmp_path / "out", ARGUMENTS, most=5)
    with pytest.raises(OutputError, match="expected no such folder or an empty one"):
        export(store, tmp_path / "out", ARGUMENTS, most=5)


def test_without_sessions_or_libraries(store: FeedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError, match="expected at least 1, found 0"):
        export_minari(store, tmp_path / "a", ARGUMENTS, most=0)
    with pytest.raises(OptionError, match="min_videos"):
        export_d3rlpy(store, tmp_path / "a", {**ARGUMENTS, "min_videos": 10_000})
    for module, export in (("minari.data_collector", export_minari), ("h5py", export_d3rlpy)):
        monkeypatch.setitem(__import__("sys").modules, module, None)
        with pytest.raises(OptionError, match="pip install"):
            export(store, tmp_path / "a", ARGUMENTS)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("name", ["minari", "d3rlpy"])
def test_command(capsys: pytest.CaptureFixture[str], store: FeedStore, tmp_path: Path, name: str) -> None:
    arguments = ["data", "export", str(store.path), "--format", name, "--out", str(tmp_path / "out")]
    arguments += ["--candidates", "5", "--episodes", "7"]
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sessions"] == 7
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert "expected no such folder or an empty one" in err
    assert err.count("\n") == 1
