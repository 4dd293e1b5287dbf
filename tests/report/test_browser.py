"""The report in headless Chromium: sorted, lit and read as a person would, with nothing outside asked for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from svsim.benchmark import BenchmarkSpec, run
from svsim.data import FeedStore
from svsim.report.page import write_report

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PHONE, DESKTOP = (390, 844), (1280, 900)
CHROMIUM = shutil.which("chromium")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: the report is not looked at")


@dataclass
class Opened:
    """A page, and what it complained of or asked for."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def report(store: FeedStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("browser") / "mine"
    agents = ("epsilon-greedy", "linucb", "tests.examples.failing:Nothing")
    run(BenchmarkSpec(store=store, agents=agents, split="train", candidates=5, horizon=4, seeds=2), out)
    return write_report(out, store)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


def opened(browser: Browser, report: Path, size: tuple[int, int], *, dark: bool = False, script: bool = True) -> Opened:
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if dark else "light",
        java_script_enabled=script,
        offline=True,
    )
    found = Opened(context.new_page())
    found.page.on("console", lambda message: found.complaints.append(message.text))
    found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
    found.page.on("request", lambda request: found.requests.append(request.url))
    found.page.goto(report.as_uri())
    return found


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_it_is_readable_quiet_and_whole(
    browser: Browser, report: Path, tmp_path: Path, size: tuple[int, int], dark: bool
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    found = opened(browser, report, size, dark=dark)
    page = found.page
    assert found.complaints == []
    assert [url for url in found.requests if not url.startswith("data:")] == [report.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") == size[0], "the page itself does not scroll sideways"
    assert page.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth)")
    picture = page.screenshot(full_page=True, path=tmp_path / "page.png")
    assert len(picture) > 50_000
    faults = Axe().run(page).response["violations"]
    assert [fault["id"] for fault in faults if fault["impact"] in ("serious", "critical")] == []


def rewards(page: Page) -> list[float]:
    cells = page.locator(".leaderboard tbody tr:not(.failed) td:nth-child(3)").all_inner_texts()
    return [float(cell.split(" ")[0].replace("−", "-")) for cell in cells]


def test_tables_are_sorted_by_a_click_and_what_failed_stays_below(browser: Browser, report: Path) -> None:
    page = opened(browser, report, DESKTOP).page
    heading = page.locator(".leaderboard th", has_text="reward")
    before = rewards(page)
    assert before == sorted(before, reverse=True)
    heading.get_by_role("button").click()
    heading.get_by_role("button").click()
    assert rewards(page) == sorted(before)
    assert heading.get_attribute("aria-sort") == "ascending"
    assert "failed" in (page.locator(".leaderboard tbody tr").last.get_attribute("class") or "")
    agents = page.locator(".leaderboard th", has_text="agent")
    agents.focus()
    agents.get_by_role("button").press("Enter")
    names = page.locator(".leaderboard tbody tr:not(.failed) td:nth-child(2)").all_inner_texts()
    assert names == sorted(names, reverse=True)


def test_light_and_dark_are_a_choice(browser: Browser, report: Path) -> None:
    page = opened(browser, report, DESKTOP, dark=True).page
    colour = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(colour)
    page.get_by_role("button", name="Light").click()
    light = page.evaluate(colour)
    assert dark != light
    assert page.get_by_role("button", name="Dark").is_visible()


def test_it_is_read_without_javascript(browser: Browser, report: Path) -> None:
    page = opened(browser, report, DESKTOP, script=False).page
    assert page.locator(".leaderboard").is_visible()
    assert not page.locator("#theme").is_visible()
    data = page.locator("details:has(summary:has-text('Data'))").first
    table = data.locator("table")
    assert not table.is_visible()
    data.locator("summary").click()
    assert table.is_visible()


def test_it_goes_on_paper(browser: Browser, report: Path) -> None:
    page = opened(browser, report, DESKTOP, dark=True).page
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator("nav").is_visible()
    assert page.pdf(format="A4").startswith(b"%PDF")
