"""The report: what lies in a folder is on its page; what is damaged is told; nothing else is asked for."""

from __future__ import annotations

import json
import re
import shutil
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from svsim.benchmark import BenchmarkSpec, run
from svsim.data import FeedStore
from svsim.errors import OutputError, SvsimError
from svsim.report.page import PAGE, write_report
from svsim.report.page.benchmark import command_of
from svsim.report.page.found import find

FAILING = "tests.examples.failing:Nothing"


@pytest.fixture(scope="module")
def finished(store: FeedStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark with an agent that failed."""
    out = tmp_path_factory.mktemp("results") / "mine"
    spec = BenchmarkSpec(
        store=store, agents=("epsilon-greedy", "linucb", FAILING), split="train", candidates=5, horizon=4, seeds=2
    )
    run(spec, out)
    return out


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(finished, tmp_path / "mine"))


class Reader(HTMLParser):
    """Collects what a page refers to, its ids, and its tables as text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.rows: list[list[str]] = []
        self._cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.addresses += [value or "" for name, value in told.items() if name in ("src", "href", "srcset", "action")]
        self.ids += [told["id"] or ""] if "id" in told else []
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self._cell = True
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._cell = False

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.rows[-1][-1] += data.strip()


def test_a_benchmarks_page_tells_what_its_files_tell(folder: Path, store: FeedStore) -> None:
    text = write_report(folder, store).read_text(encoding="utf-8")
    page = Reader(text)
    records = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    for record in records:
        (row,) = [row for row in page.rows if len(row) > 2 and row[1].removesuffix(" *") == record["agent"]][:1]
        told = f"failed: {record['error']}" if "error" in record else f"{record['metrics']['reward']['mean']:.3f} ["
        assert row[2].startswith(told)
    for words in ("Engagement per step", "Influencers and normal users", "Who is shown", "Lead over", "figure 4",
                  "figure 5", store.fingerprint):  # fmt: skip
        assert words in text


def test_nothing_is_asked_of_a_network_and_every_link_leads_somewhere(folder: Path, store: FeedStore) -> None:
    text = write_report(folder, store).read_text(encoding="utf-8")
    page = Reader(text)
    assert page.addresses
    assert all(address.startswith(("#", "data:")) for address in page.addresses)
    assert {address[1:] for address in page.addresses if address.startswith("#")} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids)), "an id stands once"
    assert set(re.findall(r"url\(#([^)]*)\)", text)) <= set(page.ids)
    assert "://" not in text


def test_the_same_folder_gives_the_same_bytes(folder: Path, store: FeedStore) -> None:
    first = write_report(folder, store).read_bytes()
    assert write_report(folder, store).read_bytes() == first, "with its own page in the folder, too"


def test_its_command_makes_the_same_results(folder: Path, store: FeedStore, tmp_path: Path) -> None:
    from svsim.cli.main import _parse

    (benchmark,) = find(folder).benchmarks
    words = command_of(benchmark).replace("STORE", str(store.path)).split()
    command = _parse(words[1:])
    spec = command._spec()  # type: ignore[union-attr]
    assert spec.json() == (folder / "spec.json").read_bytes()


def test_a_store_that_is_not_there_is_named(folder: Path, store: FeedStore) -> None:
    text = write_report(folder).read_text(encoding="utf-8")
    assert store.fingerprint in text
    assert "--store" in text
    assert "figure 4" not in text


def test_several_results_stand_on_one_page(folder: Path, store: FeedStore, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "all" / "first")
    shutil.copytree(folder, tmp_path / "all" / "second")
    (tmp_path / "all" / "second" / "results.json").write_text("[", encoding="utf-8")
    text = write_report(tmp_path / "all", store).read_text(encoding="utf-8")
    assert "Benchmark: first" in text
    assert "Benchmark: second" not in text
    assert "Left out" in text
    assert "goes on where it stopped" in text


def test_parts_of_another_form_are_left_out_and_told(folder: Path, store: FeedStore, tmp_path: Path) -> None:
    """Each of them is well-formed, and lacks what today's svsim writes there."""
    shutil.copytree(folder, tmp_path / "all" / "first")
    shutil.copytree(folder, tmp_path / "all" / "second")
    (tmp_path / "all" / "second" / "results.json").write_text("[{}]", encoding="utf-8")
    for name, told in {
        "ope": {"spec.json": {"format": "svsim-ope"}, "ope.json": {"format": "svsim-ope", "version": 1}},
        "suite": {"spec.json": {"format": "svsim-suite", "suite": {"name": "mine"}}},
        "run": {"config.json": {"format": "svsim-sb3"}},
    }.items():
        (tmp_path / "all" / name).mkdir()
        for file, content in told.items():
            (tmp_path / "all" / name / file).write_text(json.dumps(content), encoding="utf-8")
    (tmp_path / "all" / "run" / "history.csv").write_text("epoch\n1\n", encoding="utf-8")
    (tmp_path / "all" / "evaluation.json").write_text('{"frozen": {"rows": 1}}', encoding="utf-8")
    text = write_report(tmp_path / "all", store).read_text(encoding="utf-8")
    assert "Benchmark: first" in text
    for name in ("second", "ope", "suite", "run", "evaluation.json"):
        assert f"Left out: {tmp_path / 'all' / name}" in text


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("results.json", None, "goes on where it stopped"),
        ("results.json", "[{", "expected the results of a benchmark"),
        ("results.json", "[{}]", "of this version of svsim"),
        ("results.json", "[1]", "of this version of svsim"),
        ("steps.parquet", "", "expected the results of a benchmark"),
        ("spec.json", "", "expected"),
        ("spec.json", "[]", "expected"),
        ("spec.json", '{"format": "svsim-benchmark", "version": 1}', "version 2, found version 1"),
        ("spec.json", '{"format": "another", "version": 1}', "the form another"),
    ],
)
def test_results_that_are_not_whole_are_refused(folder: Path, file: str, content: str | None, words: str) -> None:
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_text(content, encoding="utf-8")
    with pytest.raises(SvsimError, match=words):
        write_report(folder)
    assert not (folder / PAGE).exists()


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SvsimError, match="expected a folder of results, found none"):
        write_report(tmp_path / "nowhere")
    with pytest.raises(SvsimError, match="expected results of svsim benchmark"):
        write_report(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(SvsimError, match="expected a folder of results"):
        write_report(tmp_path / "file")


def test_a_full_disk_leaves_the_page_of_before(folder: Path, store: FeedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    page = write_report(folder, store)
    before = page.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        write_report(folder, store)
    assert page.read_bytes() == before


def test_one_episode_has_no_interval_and_a_page(store: FeedStore, tmp_path: Path) -> None:
    spec = BenchmarkSpec(store=store, agents=("linucb",), rails=False, split="train", candidates=5, seeds=1, episodes=1)
    run(spec, tmp_path / "one")
    text = write_report(tmp_path / "one", store).read_text(encoding="utf-8")
    assert "linucb did best" in text
    assert "Lead over" not in text, "there is nobody to lead over"


def test_where_all_failed_the_page_says_why(store: FeedStore, tmp_path: Path) -> None:
    run(BenchmarkSpec(store=store, agents=(FAILING,), rails=False, split="train", candidates=5), tmp_path / "none")
    text = write_report(tmp_path / "none", store).read_text(encoding="utf-8")
    assert "no agent was played to the end" in text
    assert f"failed: {json.loads((tmp_path / 'none' / 'results.json').read_text())[0]['error']}" in unescape(text)


def test_a_folder_that_cannot_be_read_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(SvsimError, match="Permission denied"):
        write_report(folder)
