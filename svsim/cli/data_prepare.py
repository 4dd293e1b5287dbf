"""`svsim data prepare`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tyro.conf import Positional

from svsim.cli.output import console, print_json, task_progress
from svsim.data.conversion import PrepareOptions, prepare
from svsim.data.store import FeedStore

__all__ = ["Prepare"]


@dataclass(frozen=True, kw_only=True)
class Prepare:
    """Convert KuaiRand's official files (Pure, 1K, 27K, any part) to a store."""

    folder: Positional[Path]
    """Folder of the files, or the one above its data/."""
    out: Path
    """Where the store goes."""
    options: PrepareOptions = field(default_factory=PrepareOptions)
    json: bool = False
    """Print the store's manifest as one JSON document."""

    def run(self) -> None:
        """Prepare, then say what was kept and what was dropped."""
        with task_progress() as progress:
            store = prepare(self.folder, self.out, self.options, progress=progress)
        if self.json:
            print_json({key: value for key, value in store.manifest.items() if key not in ("texts", "tables")})
        else:
            _report(store)


def _report(store: FeedStore) -> None:
    rows, splits = store.manifest["rows"], store.manifest["splits"]
    screen = console()
    screen.print(f"{store.path}: {store.n_events:,} events, {store.n_users:,} users, {store.n_videos:,} videos")
    dropped = ", ".join(f"{count:,} {reason}" for reason, count in rows["dropped"].items())
    screen.print(f"read {rows['read']:,} rows, kept {rows['kept']:,}; dropped: {dropped or 'none'}")
    for name in ("train", "valid", "test"):
        screen.print(
            f"{name:6}{splits[name]['from']} to {splits[name]['until']}: {len(store.split_rows(name)):,} events"
        )
    if store.manifest["missing"]:
        screen.print(f"not in the folder: {', '.join(store.manifest['missing'])}")
    screen.print(f"fingerprint {store.fingerprint[:16]}")
