"""`svsim data download`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from svsim.cli.output import console, task_progress

__all__ = ["Download"]


@dataclass(frozen=True, kw_only=True)
class Download:
    """Fetch a release of KuaiRand (CC BY-SA 4.0): goes on where it stopped, checks its MD5, unpacks it."""

    release: Positional[Literal["pure", "1k", "27k"]]
    """Which release; 1k takes several GB when unpacked, 27k far more."""
    out: Path
    """Folder that the release is unpacked into."""
    url: str | None = None
    """Folder of a mirror, instead of the publisher's."""
    keep_archive: bool = False
    """Keep the archive beside what was unpacked."""

    def run(self) -> None:
        """Fetch, check and unpack; print where it lies."""
        from svsim.data.download import BASE_URL, download

        with task_progress("bytes") as progress:
            folder = download(
                self.release,
                self.out,
                base_url=self.url or BASE_URL,
                keep_archive=self.keep_archive,
                progress=lambda done, whole: progress(f"KuaiRand {self.release}", done, whole),
            )
        console().print(f"{folder}\nnext: svsim data prepare {folder} --out STORE", soft_wrap=True)
