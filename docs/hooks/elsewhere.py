"""Cross-references to other libraries: their own inventories cannot be fetched when the site is built, so a table serves."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority

__all__ = ["objects", "on_env"]

TABLE = Path(__file__).with_name("inventory.toml")


@event_priority(50)  # before mkdocs-autorefs looks the names up
def on_env(_: Any, *, config: MkDocsConfig, **__: Any) -> None:
    """Tell where other libraries' objects are documented (called by mkdocs when all pages are rendered)."""
    autorefs: Any = config.plugins["autorefs"]
    for name, url in objects():
        autorefs.register_url(name, url)


def objects() -> Iterator[tuple[str, str]]:
    """Every object of the table with the address of its documentation."""
    sites = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    aliases = sites.pop("aliases")
    found = {
        name: f"{root}{page}#{name}" for root, pages in sites.items() for page, names in pages.items() for name in names
    }
    yield from found.items()
    yield from ((alias, found[name]) for alias, name in aliases.items())
