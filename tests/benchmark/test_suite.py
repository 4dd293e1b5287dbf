"""Suites: benchmarks as data, with the runs that they need."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from svsim.agents.registry import agent_names, parse_agent
from svsim.benchmark import BenchmarkSpec
from svsim.benchmark.suite import Suite, read_suite, suite_names
from svsim.cli import main
from svsim.cli.suite import KINDS, _check, _command, bound_stores
from svsim.data import FeedStore
from svsim.errors import OptionError, OutputError, StoreError, UnknownNameError
from tests.benchmark.test_places import SLOT

# --- suites that come with svsim --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["full", "paper", "quick"])
def test_shipped_suites_are_sound(name: str) -> None:
    assert name in suite_names()
    suite = read_suite(name, KINDS)
    assert suite.name == name
    assert suite.description
    for each in suite.runs:
        _check(each.name, _command(each, Path("store"), Path("out")))
    for benchmark in suite.benchmarks:
        spec = benchmark.spec(benchmark.store, Path("out"))
        assert {agent.partition("?")[0] for agent in spec.all_agents} <= set(agent_names())
        runs = {run for agent in spec.agents for run in [parse_agent(agent).options.get("run")] if run}
        assert runs <= {f"runs/{each.name}" for each in suite.runs}


def test_full_plays_every_agent_and_uses_every_run() -> None:
    suite = read_suite("full", KINDS)
    assert {each.store for each in suite.benchmarks} == {"small", "pure"}
    for benchmark in suite.benchmarks:
        names = {agent.partition("?")[0] for agent in benchmark.settings["agents"]}
        missing = {"logged"} if benchmark.settings["env"] == "feed" else set()
        assert set(agent_names()) - missing == names
        assert benchmark.settings["seeds"] == 5
    played = {agent.partition("runs/")[2] for each in suite.benchmarks for agent in each.settings["agents"]}
    responders = {each.settings.get("response", "").removeprefix("runs/") for each in suite.benchmarks}
    assert {each.name for each in suite.runs} == (played | responders) - {"", "truth"}


def test_policies_of_full_meet_the_environment_that_they_were_trained_in() -> None:
    suite = read_suite("full", KINDS)
    for each in suite.runs:
        if each.kind == "sb3":
            (benchmark,) = (one for one in suite.benchmarks if each.name.startswith(f"{one.name}-"))
            trained = _command(each, Path("store"), Path("out"))._environment()
            played = benchmark.spec("small", Path()).environment_arguments
            played["response"] = benchmark.settings.get("response")
            assert {name: played[name] for name in trained} == trained


# --- the file ---------------------------------------------------------------------------------------------------------

MINI = """
name = "mini"
description = "for this test"

[stores.mine]
about = "a stand-in"

[runs.model]
kind = "sasrec4sv"
store = "mine"
preset = "small"
epochs = 1
threads = 1

[runs.policy]
kind = "sb3"
store = "mine"
timesteps = 512
num_envs = 16
candidates = 5
min_videos = 3
horizon = 4
history = 12
threads = 1

[runs.on-trunk]
kind = "sb3"
store = "mine"
policy = "trunk"
trunk = "model"
timesteps = 256
num_envs = 16
candidates = 5
min_videos = 3
horizon = 4
history = 12
threads = 1

[benchmarks.replay]
store = "mine"
agents = ["linucb", "sasrec4sv?run=runs/model&head=wtr"]
runs = ["policy", "on-trunk"]
split = "train"
candidates = 5
min_videos = 3
horizon = 4
history = 12
episodes = 20
seeds = 2
"""

FEED = """
[runs.users]
kind = "response"
store = "tiny"

[benchmarks.feed]
store = "tiny"
env = "feed"
agents = "all"
response = "users"
"""


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "mini.toml"
    path.write_text(MINI)
    return path


def read(path: Path, text: str) -> Suite:
    path.write_text(text)
    return read_suite(path, KINDS)


def test_a_suite_is_its_file(written: Path) -> None:
    suite = read_suite(written, KINDS)
    assert [each.name for each in suite.runs] == ["model", "policy", "on-trunk"]
    assert suite.runs[2].options["trunk"] == "runs/model"
    (benchmark,) = suite.benchmarks
    assert benchmark.settings["agents"] == (
        "linucb",
        "sasrec4sv?run=runs/model&head=wtr",
        "ppo?run=runs/policy",
        "ppo?run=runs/on-trunk",
    )
    assert benchmark.spec("tiny", Path("/d")).runs_in == Path("/d")


def test_all_stands_for_what_an_environment_takes(written: Path) -> None:
    (feed,) = (each for each in read(written, MINI + FEED).benchmarks if each.name == "feed")
    assert feed.settings["response"] == "runs/users"
    assert "logged" not in feed.settings["agents"]
    assert {"random", "oracle", "linucb", "mmr"} <= set(feed.settings["agents"])


def test_settings_are_the_fields_of_a_specification(written: Path) -> None:
    """Each of them can be given its own default, `none` for None; what is left out is a suite's own affair."""
    fields = {item.name: item.default for item in dataclasses.fields(BenchmarkSpec)}
    given = {
        name: value for name, value in fields.items() if name not in ("store", "agents", "runs_in", "reward_weights")
    }
    lines = [f"{name} = {json.dumps('none' if value is None else value)}" for name, value in given.items()]
    text = "\n".join(["[benchmarks.one]", 'store = "tiny"', "reward_weights = {wtr = 1, wtg = 0.5}", *lines])
    (benchmark,) = read(written, f'name = "x"\ndescription = ""\n{text}\n').benchmarks
    assert {name: benchmark.settings[name] for name in given} == given
    assert benchmark.spec("tiny", Path()).reward_weights == {"wtr": 1, "wtg": 0.5, "aux": 0}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('name = "mini"', "nam = 'mini'", ["nam", "did you mean name?"]),
        ('name = "mini"', 'name = "mini', ["TOML", "line 2"]),
        ('name = "mini"', "name = 3", ["name", "expected a text, found 3"]),
        ('name = "mini"\n', "", ["name", "found nothing"]),
        (
            "[benchmarks.replay]",
            "[benchmarks.replay]\ncandidate = 3",
            ["benchmarks.replay.candidate", "mean candidates?"],
        ),
        ("[benchmarks.replay]", "[benchmarks.replay]\nruns_in = 'x'", ["benchmarks.replay.runs_in", "num_envs"]),
        ("seeds = 2", "seeds = '2'", ["benchmarks.replay.seeds", "expected a whole number, found '2'"]),
        ("seeds = 2", "seeds = true", ["benchmarks.replay.seeds", "found True"]),
        ("seeds = 2", "seeds = 0", ["benchmarks.replay", "--seeds", "at least 1"]),
        ("episodes = 20", "episodes = 2.5", ["benchmarks.replay.episodes", 'a whole number or "none"', "2.5"]),
        ("seeds = 2", "env = 'feeds'", ["benchmarks.replay.env", "one of replay, feed", "feeds"]),
        ("seeds = 2", "reward_weights = 3", ["benchmarks.replay.reward_weights", "a table whose values are numbers"]),
        ("seeds = 2", "reward_weights = {wtr = 'x'}", ["benchmarks.replay.reward_weights", "numbers"]),
        ("seeds = 2", "reward_weights = {x = 1}", ["benchmarks.replay", "wtr"]),
        ("seeds = 2", "session_gap_minutes = 'soon'", ["session_gap_minutes", 'a number or "none"', "soon"]),
        ("seeds = 2", "request_size = 2", ["benchmarks.replay", "feed"]),
        ("seeds = 2", "response = 'model'", ["benchmarks.replay.response", "kind response", "model"]),
        ('["linucb", ', '["linuc", ', ["benchmarks.replay.agents", "did you mean linucb?"]),
        ('["linucb", ', '["linucb", "linucb", ', ["benchmarks.replay.agents", "'linucb' twice"]),
        ('["linucb", ', '["linucb", 3, ', ["benchmarks.replay.agents", "an array of texts"]),
        ('["linucb", ', '["ppo?run=runs/mine", ', ["benchmarks.replay.agents", "runs/policy", "runs/mine"]),
        ('["linucb", ', '["ppo?run=runs/{seed}", ', ["benchmarks.replay.agents", "runs/0"]),
        ('runs = ["policy",', 'runs = ["polcy",', ["benchmarks.replay.runs[0]", "did you mean policy?"]),
        ("[benchmarks.replay]", "[benchmarks.runs]", ["benchmarks.runs", "another name than runs"]),
        ("[benchmarks.replay]", '[benchmarks."a/b"]', ["benchmarks", "they become folders", "a/b"]),
        ("[benchmarks.replay]", "[benchmark.replay]", ["benchmark:", "did you mean benchmarks?"]),
        ("[benchmarks.replay]", "[runs.policy]", ["TOML", "policy"]),
        ('store = "mine"\nagents', "agents", ["benchmarks.replay.store", "expected a text, found nothing"]),
        ('store = "mine"\nagents', 'store = "min"\nagents', ["benchmarks.replay.store", "small", "mine", "min"]),
        ('kind = "sasrec4sv"', 'kind = "sasrec"', ["runs.model.kind", "sasrec4sv, sb3, response", "'sasrec'"]),
        ('kind = "sasrec4sv"\n', "", ["runs.model.kind", "found nothing"]),
        ('preset = "small"', 'preset = "big"', ["runs.model.preset", "default, small, paper"]),
        ('preset = "small"', 'out = "x"', ["runs.model.out", "preset"]),
        ('trunk = "model"', 'trunk = "modl"', ["runs.on-trunk.trunk", "did you mean model?"]),
        ('trunk = "model"', 'trunk = "policy"', ["runs.on-trunk.trunk", "kind sasrec4sv", "policy"]),
        ('trunk = "model"\n', "", ["runs.on-trunk", "--trunk"]),
        ("timesteps = 512", "timesteps = 0", ["runs.policy", "--timesteps", "at least 1"]),
        ("[stores.mine]", "[stores.small]", ["stores.small", "another name than a preset's"]),
        ("[stores.mine]", "[stores.mine]\nplace = 'x'", ["stores.mine.place", "about, prepare"]),
        (
            "[stores.mine]",
            "[stores.mine]\nlast_days = {tests = 1}",
            ["stores.mine.last_days.tests", "did you mean test?"],
        ),
        ("[stores.mine]", "[stores.mine]\n[stores.idle]", ["stores.idle", "unused"]),
        ('[stores.mine]\nabout = "a stand-in"', "stores = 3", ["stores", "expected tables [stores.NAME]"]),
    ],
)
def test_faults_are_told_before_anything_runs(
    capsys: pytest.CaptureFixture[str], store: FeedStore, written: Path, tmp_path: Path, old: str, new: str, words: list
) -> None:
    assert MINI.count(old) >= 1
    written.write_text(MINI.replace(old, new, 1))
    status = main(["benchmark", "--suite", str(written), "--stores", f"mine={store.path}", "--out", f"{tmp_path}/out"])
    out, err = capsys.readouterr()
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    for word in words:
        assert word in err
    assert not (tmp_path / "out").exists()


def test_no_benchmark_is_no_suite(written: Path) -> None:
    with pytest.raises(OptionError, match=r"benchmarks: expected at least one \[benchmarks\.NAME\]"):
        read(written, 'name = "x"\ndescription = ""\n')


def test_suites_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        UnknownNameError, match=r"full, paper, quick, or a \.toml file, found 'quik'; did you mean quick"
    ):
        read_suite("quik", KINDS)
    with pytest.raises(OutputError, match=r"none\.toml: expected a suite's TOML file"):
        read_suite(tmp_path / "none.toml", KINDS)
    (tmp_path / "bytes.toml").write_bytes(b"\xff")
    with pytest.raises(OutputError, match="UTF-8"):
        read_suite(tmp_path / "bytes.toml", KINDS)


# --- stores and options -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["mine", "mine=", "=x", "mine=a,mine=b"])
def test_places_of_stores_are_pairs(text: str) -> None:
    with pytest.raises(OptionError, match="NAME=STORE"):
        bound_stores(text)


def test_stores_that_are_missing_unknown_or_others(store: FeedStore, written: Path, tmp_path: Path) -> None:
    suite = read_suite(written, KINDS)
    assert suite.found_stores({"mine": str(store.path)})["mine"].fingerprint == store.fingerprint
    with pytest.raises(OptionError, match=r"place for the store 'mine' .* `svsim data prepare .* --stores mine=STORE"):
        suite.found_stores({})
    with pytest.raises(OptionError, match="among mine, found 'small'"):
        suite.found_stores({"mine": str(store.path), "small": "/x"})
    with pytest.raises(StoreError, match="expected a store"):
        suite.found_stores({"mine": str(tmp_path)})
    other = read(written, MINI.replace("[stores.mine]", '[stores.mine]\nvariant = "27k"'))
    with pytest.raises(StoreError, match=r"a store of variant 27k, found .* make it by `svsim data prepare"):
        other.found_stores({"mine": str(store.path)})
    last = store.manifest["splits"]["test"]["until"]
    days = read(
        written, MINI.replace("[stores.mine]", f"[stores.mine]\nlast_days = {{test = {last}, valid = 20200101}}")
    )
    with pytest.raises(StoreError, match="valid split until 20200101"):
        days.found_stores({"mine": str(store.path)})


@pytest.mark.parametrize("option", ["--seeds=5", "--store=small", "--no-rails", "--agents=all", "--session_gap=none"])
def test_what_a_suite_fixes_is_refused_beside_it(
    capsys: pytest.CaptureFixture[str], written: Path, tmp_path: Path, option: str
) -> None:
    """Its default too: it would be ignored."""
    status = main(["benchmark", "--suite", str(written), "--out", f"{tmp_path}/out", option])
    assert status == 2
    assert f"{option.partition('=')[0]}: expected no option that a suite fixes" in capsys.readouterr().err
    assert main(["benchmark", "--stores", "mine=x", "--out", f"{tmp_path}/out"]) == 2
    assert "with --suite alone" in capsys.readouterr().err


# --- from nothing to results ------------------------------------------------------------------------------------------


def results(folder: Path) -> dict[str, bytes]:
    """Contents of all files but those of the runs."""
    files = (path for path in folder.rglob("*") if path.is_file())
    told = {str(path.relative_to(folder)): path.read_bytes() for path in files}
    return {name: content for name, content in told.items() if not name.startswith("runs/")}


def weights(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.safetensors")}


@pytest.fixture(scope="module")
def finished(store: FeedStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("suite")
    (folder / "mini.toml").write_text(MINI)
    command = ["--suite", f"{folder}/mini.toml", "--stores", f"mine={store.path}", "--out", f"{folder}/out"]
    assert main(["benchmark", *command]) == 0
    return folder / "out"


def test_everything_is_made_from_nothing(finished: Path) -> None:
    assert {path.name for path in finished.iterdir()} == {"spec.json", "runs", "replay"}
    assert {path.name for path in (finished / "runs").iterdir()} == {"model", "policy", "on-trunk"}
    records = json.loads((finished / "replay" / "results.json").read_text())
    assert [record["agent"] for record in records][:4] == [
        "linucb",
        "sasrec4sv?run=runs/model&head=wtr",
        "ppo?run=runs/policy",
        "ppo?run=runs/on-trunk",
    ]
    assert not [record for record in records if "error" in record]
    for content in results(finished).values():
        assert str(finished.parent).encode() not in content


@contextlib.contextmanager
def interrupting(after: str) -> Iterator[object]:
    """In place of bars: Ctrl-C once a file is there."""

    def tell(*_: object) -> None:
        if list(Path.cwd().glob(after)):
            raise KeyboardInterrupt

    yield tell


def test_elsewhere_and_interrupted_it_ends_with_the_same_bytes(
    finished: Path,
    store: FeedStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Once within each training, once among the shards; the places are given relatively."""
    shutil.copy(finished.parent / "mini.toml", tmp_path)
    monkeypatch.chdir(tmp_path)
    command = ["benchmark", "--suite", "mini.toml", "--stores", f"mine={store.path}", "--out", "out", "--json"]
    for module, after in (
        ("train", "out/runs/model/config.json"),
        ("train_sb3", "out/runs/policy/state.pt"),
        ("train_sb3", "out/runs/on-trunk/state.pt"),
        ("suite", "out/replay/shards/002-*.npz"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(f"svsim.cli.{module}.task_progress", lambda after=after: interrupting(after))
            assert main(command) == 130, after
        assert list(tmp_path.glob(after)), after
        assert not (tmp_path / "out/replay/results.json").exists()
    capsys.readouterr()
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert list(json.loads(out)) == ["replay"]
    assert "svsim: runs/policy (2 of 3)" in err
    assert results(tmp_path / "out") == results(finished)
    assert weights(tmp_path / "out") == weights(finished)
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith(".partial")]


def test_a_finished_suite_is_read_again_from_anywhere(
    finished: Path,
    store: FeedStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Moved with its runs, it is still the same suite."""
    moved = tmp_path / "moved"
    shutil.copytree(finished, moved)
    monkeypatch.chdir(moved)
    before = {path: path.stat().st_mtime_ns for path in moved.rglob("*") if path.is_file()}
    command = ["benchmark", "--suite", f"{finished.parent}/mini.toml", "--stores", f"mine={store.path}"]
    assert main([*command, "--out", "."]) == 0
    assert {path: path.stat().st_mtime_ns for path in moved.rglob("*") if path.is_file()} == before
    assert "on-trunk" in capsys.readouterr().out


def test_another_suite_is_refused_and_runs_may_lie_there(
    finished: Path, store: FeedStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mini.toml").write_text(MINI.replace("episodes = 20", "episodes = 21"))
    command = ["benchmark", "--suite", f"{tmp_path}/mini.toml", "--stores", f"mine={store.path}", "--out"]
    assert main([*command, str(finished)]) == 2
    assert "expected a suite with the same arguments, found another" in capsys.readouterr().err
    shutil.copytree(finished / "runs", tmp_path / "out" / "runs")
    assert main([*command, f"{tmp_path}/out"]) == 0
    assert weights(tmp_path / "out") == weights(finished)


def test_a_failed_agent_stops_no_suite(store: FeedStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.py").write_text(SLOT)
    table = "agents = ['{agent}']\nstore = 'mine'\nsplit = 'train'\ncandidates = 5\nseeds = 1\nrails = false\n"
    bad = table.format(agent=f"{tmp_path}/mine.py:Slot?run=/nowhere")
    good = table.format(agent="random")
    text = f"name = 'x'\ndescription = ''\n[stores.mine]\n[benchmarks.bad]\n{bad}[benchmarks.good]\n{good}"
    (tmp_path / "x.toml").write_text(text)
    command = [
        "benchmark",
        "--suite",
        f"{tmp_path}/x.toml",
        "--stores",
        f"mine={store.path}",
        "--out",
        f"{tmp_path}/out",
    ]
    assert main(command) == 2
    out, err = capsys.readouterr()
    assert "good:" in out
    assert "bad: " in err
    assert err.count("\n") == 3, "two lines of progress, one of the fault"


def test_places_that_agents_names_cannot_hold_are_refused(
    store: FeedStore, written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["benchmark", "--suite", str(written), "--stores", f"mine={store.path}", "--out", f"{tmp_path}/a&b"]
    assert main(command) == 2
    assert "without & and ?" in capsys.readouterr().err


def test_the_suite_of_the_documentation_is_sound(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "suites.md").read_text(encoding="utf-8")
    text = page.partition("```toml\n")[2].partition("```")[0]
    suite = read(tmp_path / "mine.toml", text.replace("mine.py:Mine", "random"))
    assert [each.name for each in suite.benchmarks] == ["short"]
    for each in suite.runs:
        _check(each.name, _command(each, Path("store"), Path("out")))
