"""The site is built without a warning, every link in it leads somewhere, and it asks the network for nothing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).parents[2]
FETCHED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src"}
"""What a browser fetches by itself; links of kinds that it does not fetch are left to the reader."""


@dataclass
class _Page(HTMLParser):
    anchors: set[str] = field(default_factory=lambda: {""})
    links: list[str] = field(default_factory=list)
    assets: list[str] = field(default_factory=list)
    classes: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        self.classes |= set(found.get("class", "").split())
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        elif tag == "link":
            self.assets.append(found["href"])
        elif tag in FETCHED and FETCHED[tag] in found:
            self.assets.append(found[FETCHED[tag]])


def test_site(tmp_path: Path) -> None:
    """One build, since it is what takes the time."""
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr[-3000:]
    pages = {path: _read(path) for path in sorted(tmp_path.rglob("*.html"))}
    assert len(pages) > 30

    broken, fetched = [], []
    for path, page in pages.items():
        for link in [*page.links, *page.assets]:
            parts = urlsplit(link)
            if (
                not parts.scheme
                and not parts.netloc
                and not _resolves(path, parts.path, parts.fragment, pages, tmp_path)
            ):
                broken.append(f"{path.relative_to(tmp_path)}: {link}")
        fetched += [f"{path.relative_to(tmp_path)}: {asset}" for asset in page.assets if _abroad(asset)]
    assert not broken
    assert not fetched
    outside = {link for page in pages.values() for link in page.links if urlsplit(link).scheme}
    assert not [link for link in outside if urlsplit(link).scheme != "https" or "." not in urlsplit(link).netloc]
    # The theme would fetch a script for diagrams and for mathematics.
    assert not {"mermaid", "arithmatex"} & {name for page in pages.values() for name in page.classes}
    for sheet in tmp_path.rglob("*.css"):
        assert not re.search(r"@import|url\(['\"]?(https?:)?//", sheet.read_text(encoding="utf-8")), sheet

    envs = pages[tmp_path / "api" / "envs" / "index.html"].links
    assert any(link.startswith("https://gymnasium.farama.org/api/env/#gymnasium.Env") for link in envs)
    assert any(link.startswith("https://stable-baselines3.readthedocs.io/") for link in envs)
    assert not (tmp_path / "hooks").exists()


def _read(path: Path) -> _Page:
    page = _Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def _abroad(link: str) -> bool:
    parts = urlsplit(link)
    return bool(parts.netloc) or parts.scheme not in ("", "data")


def _resolves(page: Path, target: str, anchor: str, pages: dict[Path, _Page], site: Path) -> bool:
    if not target:
        found = page
    else:
        # The page for what is not found is served anywhere, so its links begin at the site's root.
        found = site / unquote(target).lstrip("/") if target.startswith("/") else page.parent / unquote(target)
    found = Path(os.path.normpath(found))
    if found.is_dir():
        found /= "index.html"
    return found.is_file() and (found not in pages or unquote(anchor) in pages[found].anchors)
