"""A file that is being read, and what is read of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from svsim.data.schema import Column

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Block", "Progress", "Source"]

Block = dict[str, "npt.NDArray[Any] | pa.Array"]
"""Columns of one block by name: integers, float64 (NaN where empty), or an Arrow dictionary array of strings."""

Progress = Callable[[int], None]
"""Told how many bytes have been read since it was last told."""


@dataclass
class Source:
    """One file being read: its schema on the way in, its size, rows and SHA-256 once it was read to the end."""

    path: Path
    schema: Sequence[Column]
    rows: int = 0
    bytes: int = 0
    sha256: str = ""
    digest: Any = field(default_factory=hashlib.sha256, repr=False)
