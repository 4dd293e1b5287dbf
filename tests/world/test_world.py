"""The world: the same whatever the blocks, true to its own expectations, and readable like the real files."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from svsim.cli import main
from svsim.data.conversion import prepare
from svsim.errors import DataError, OptionError, OutputError
from svsim.world import PRESETS, World, WorldConfig, open_world, simulate, write_world
from svsim.world.hazard import WatchHazard
from svsim.world.platform import plackett_luce, slate_logprob
from svsim.world.response import react
from svsim.world.simulation import Path as WorldPath


@pytest.fixture(scope="module")
def path() -> WorldPath:
    """300 users of a world like `small`, with a larger random log."""
    return simulate(World(dataclasses.replace(PRESETS["small"], users=300, random_share=0.1, seed=3)))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_world(tmp_path_factory.mktemp("world") / "w", PRESETS["tiny"])


def digest(folder: Path) -> str:
    content = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            content.update(str(file.relative_to(folder)).encode() + file.read_bytes())
    return content.hexdigest()


def test_same_seed_same_bytes_whatever_the_blocks_and_processes(files: Path, tmp_path: Path) -> None:
    whole = digest(files)
    assert digest(write_world(tmp_path / "seven", PRESETS["tiny"], block_users=7)) == whole
    assert digest(write_world(tmp_path / "two", PRESETS["tiny"], block_users=64, processes=2)) == whole
    assert digest(write_world(tmp_path / "other", dataclasses.replace(PRESETS["tiny"], seed=1))) != whole


def test_what_a_user_lives_through_does_not_depend_on_the_others(path: WorldPath) -> None:
    alone = simulate(path.world, [17])
    rows = path.columns["user"] == 17
    for name, values in alone.columns.items():
        np.testing.assert_array_equal(values, path.columns[name][rows], err_msg=name)


def test_states_of_logged_rows_are_those_they_were_answered_in(path: WorldPath) -> None:
    rows = np.random.default_rng(0).choice(len(path), 3_000, replace=False)
    state = path.state(rows)
    interest = path.world.interest(state, path.columns["video"][rows][:, None])[:, 0]
    np.testing.assert_allclose(interest, path.columns["interest"][rows], atol=1e-5)
    noise = path.world.noise(state.user, state.request, state.slot)
    again = path.world.respond(state, path.columns["video"][rows], noise)
    for name, values in again.items():
        np.testing.assert_array_equal(values, path.columns[name][rows], err_msg=name)


@pytest.mark.parametrize("chance", [False, True])
@pytest.mark.parametrize(
    ("signal", "column"),
    [("click", "is_click"), ("long_view", "long_view"), ("like", "is_like"), ("profile_enter", "is_profile_enter"),
     ("comment_page", "comment_stay_time"), ("play_time_ms", "play_time_ms")],
)  # fmt: skip
def test_logged_rates_agree_with_the_worlds_expectation_given_the_state(
    path: WorldPath, chance: bool, signal: str, column: str
) -> None:
    rows = np.flatnonzero(path.columns["random"] == chance)
    rows = np.random.default_rng(1).permutation(rows)[:30_000]
    expected = path.world.expect(path.state(rows), path.columns["video"][rows][:, None])[signal][:, 0]
    logged = path.columns[column][rows]
    logged = logged > 0 if column == "comment_stay_time" else logged
    difference = logged - expected
    # Given the states the reactions are independent of one another.
    assert abs(difference.mean()) < 3 * difference.std() / np.sqrt(len(rows))


def test_survival_is_the_distribution_of_play_times() -> None:
    duration = np.full(20_000, 45_000)
    hazard = WatchHazard(duration)
    interest = np.full(20_000, 0.4)
    drawn = hazard.play_ms((np.arange(20_000) + 0.5) / 20_000, interest)
    for t in (1_000.0, 7_000.0, 18_000.0, 30_000.0, 45_000.0, 50_000.0):
        assert (drawn > t).mean() == pytest.approx(hazard.survival(t, interest)[0], abs=2e-4)
    mean, probability = hazard.segments(interest)
    assert probability[0].sum() == pytest.approx(1)
    assert (mean[0] * probability[0]).sum() == pytest.approx(drawn.mean(), rel=0.01)


def test_more_interest_is_watched_longer_with_the_same_noise(path: WorldPath) -> None:
    world, n = path.world, 500
    noise = np.random.default_rng(2).random((n, 8))
    tab, duration = np.ones(n, dtype=np.int64), np.full(n, 30_000)
    user = np.arange(n) % 300
    plays = [
        react(world.situation(user, tab, np.full(n, x), duration), noise)["play_time_ms"] for x in (-1.0, 0.0, 1.0)
    ]
    assert (plays[0] <= plays[1]).all()
    assert (plays[1] <= plays[2]).all()
    assert plays[2].mean() > 1.5 * plays[0].mean()


def test_plackett_luce_probabilities_are_those_of_its_draws() -> None:
    utility = np.log(np.array([[0.5, 0.3, 0.15, 0.05]]))
    draws = 40_000
    tickets = -np.log(-np.log(np.random.default_rng(3).random((draws, 4))))
    order = plackett_luce(np.repeat(utility, draws, axis=0), tickets, 2)
    for first, second, expected in ((0, 1, 0.5 * 0.3 / 0.5), (1, 0, 0.3 * 0.5 / 0.7), (3, 2, 0.05 * 0.15 / 0.95)):
        share = ((order[:, 0] == first) & (order[:, 1] == second)).mean()
        logged = slate_logprob(utility, np.array([[first, second]])).sum()
        assert np.exp(logged) == pytest.approx(expected)
        assert share == pytest.approx(expected, abs=4 * np.sqrt(expected / draws))


def test_the_retrieved_set_of_a_logged_request_can_be_drawn_again(path: WorldPath) -> None:
    c, world = path.columns, path.world
    rows = np.flatnonzero(~c["random"])[::500]
    state = path.state(rows)
    retrieved = world.retrieved(state.user, state.request, state.time_ms)
    np.testing.assert_array_equal(np.take_along_axis(retrieved, c["rank"][rows][:, None], 1)[:, 0], c["video"][rows])
    known = retrieved[retrieved >= 0]
    np.testing.assert_array_equal(world.catalogue.index_of(world.catalogue.public_id(known)), known)
    opens = rows[c["slot"][rows] == 0]
    state = path.state(opens)
    again = world.slate_logprob(
        state.user, world.retrieved(state.user, state.request, state.time_ms), c["rank"][opens][:, None]
    )
    np.testing.assert_allclose(again[:, 0], c["logprob"][opens], atol=1e-5)


def test_random_videos_are_uniform_over_the_pool_and_only_in_the_first_feed_tab(path: WorldPath) -> None:
    c = path.columns
    drawn = c["video"][c["random"]]
    pool = path.world.config.pool
    assert set(c["tab"][c["random"]].tolist()) == {1}
    assert drawn.max() < pool
    tenths = np.bincount(drawn * 10 // pool, minlength=10)
    assert ((tenths - len(drawn) / 10) ** 2 / (len(drawn) / 10)).sum() < 27.9  # chi-square, 9 degrees, p = .001


def test_a_loader_that_knows_nothing_of_the_world_reads_it(files: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(files / "data", bare)
    store = prepare(bare, tmp_path / "s")
    assert store.manifest["missing"] == []
    assert store.manifest["rows"]["dropped"].keys() <= {"exact duplicate", "zero duration"}
    assert not (store.path / "world.json").exists()


def test_a_store_keeps_its_world_and_takes_its_dates(files: Path, tmp_path: Path) -> None:
    store = prepare(files, tmp_path / "s")
    assert open_world(store.path).config == open_world(files).config == PRESETS["tiny"]
    assert store.manifest["splits"]["test"] == {"from": 20220505, "until": 20220508}


def test_a_truth_of_other_logs_is_refused(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mixed = tmp_path / "mixed"
    shutil.copytree(files, mixed)
    log = mixed / "data/log_random_4_22_to_5_08_1k.csv"
    log.write_text("\n".join(log.read_text().splitlines()[:-1]) + "\n")
    assert main(["data", "prepare", str(mixed), "--out", str(tmp_path / "s")]) == 2
    assert "another fingerprint for log_random" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"format": "other", "files": {}}'])
def test_a_damaged_truth_is_named(files: Path, tmp_path: Path, content: str) -> None:
    shutil.copytree(files, tmp_path / "w")
    (tmp_path / "w/truth/world.json").write_text(content)
    for use in (open_world, lambda folder: prepare(folder, tmp_path / "s")):
        with pytest.raises(DataError, match="truth of a world"):
            use(tmp_path / "w")


def test_a_world_of_other_constants_is_refused(files: Path, tmp_path: Path) -> None:
    shutil.copytree(files / "truth", tmp_path / "truth")
    told = json.loads((tmp_path / "truth/world.json").read_text())
    (tmp_path / "truth/world.json").write_text(json.dumps(told | {"constants": "0"}))
    with pytest.raises(DataError, match="its constants"):
        open_world(tmp_path)
    with pytest.raises(DataError, match="found none"):
        open_world(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "sizes",
    [{"users": 0}, {"days": 32}, {"days": 10}, {"random_share": 0.5}, {"visits": 0.0}, {"pool": 3}, {"seed": -1},
     {"popularity_offset": 0.0}, {"popularity_ceiling": 10}],
)  # fmt: skip
def test_impossible_sizes_are_refused(sizes: dict[str, float]) -> None:
    with pytest.raises(OptionError):
        WorldConfig(**sizes)


def test_nothing_is_written_over(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OutputError):
        write_world(files, PRESETS["tiny"])
    (tmp_path / "mine").write_text("")
    assert main(["data", "synth", "--preset", "tiny", "--out", str(tmp_path)]) == 2
    assert main(["data", "synth", "--users", "0", "--out", str(tmp_path / "w")]) == 2
    assert main(["data", "synth", "--preset", "huge", "--out", str(tmp_path / "w")]) == 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine"]
    capsys.readouterr()


def test_an_interrupted_write_leaves_nothing_and_can_be_repeated(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import svsim.world.files as writer

    def broken(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(writer, "statistics_table", broken)
        with pytest.raises(OutputError):
            write_world(tmp_path / "w", PRESETS["tiny"])
    assert list(tmp_path.iterdir()) == []
    # What a killed process leaves is a hidden folder, which the next one clears.
    (tmp_path / ".w.partial/data").mkdir(parents=True)
    (tmp_path / ".w.partial/data/left.csv").write_text("half")
    assert digest(write_world(tmp_path / "w", PRESETS["tiny"])) == digest(files)
