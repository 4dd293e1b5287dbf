"""The world's constants, as data.

One JSON file for each part, beside it; every entry is `{"value": …, "source": …}`. `scripts/fit_world.py` refits those whose
source says so.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

import numpy as np

__all__ = ["PARTS", "constants", "constants_fingerprint"]

PARTS = ("users", "videos", "platform", "visits", "response", "leaving")


@cache
def constants(part: str) -> MappingProxyType[str, Any]:
    """The constants of a part by name; lists as float64 or text arrays.

    Args:
        part: One of `PARTS`.
    """
    entries = json.loads(_text(part))
    return MappingProxyType({name: _value(entry["value"]) for name, entry in entries.items()})


@cache
def constants_fingerprint() -> str:
    """SHA-256 over all parts: worlds of other constants are other worlds."""
    return hashlib.sha256("".join(_text(part) for part in PARTS).encode()).hexdigest()


def _text(part: str) -> str:
    return files(__name__).joinpath(f"{part}.json").read_text(encoding="utf-8")


def _value(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    array = np.array(value)
    array = array.astype(np.float64) if array.dtype.kind in "if" else array
    array.flags.writeable = False
    return array
