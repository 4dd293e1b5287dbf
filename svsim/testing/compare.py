"""Comparing nested observations and infos byte for byte."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from svsim.errors import CheckFailed

__all__ = ["check_equal", "check_finite_bounds", "ensure", "snapshot"]


def ensure(condition: object, problem: str, where: str) -> None:
    """Raise `CheckFailed` unless the condition holds."""
    if not condition:
        raise CheckFailed(problem, where=where)


def check_equal(found: Any, expected: Any, where: str) -> None:
    """Check that two nests of dictionaries, arrays and plain values are equal: types of arrays, shapes and every byte.

    Raises:
        CheckFailed: They differ; the place is named.
    """
    if isinstance(expected, dict):
        ensure(isinstance(found, dict), f"expected a dictionary, found {type(found).__name__}", where)
        ensure(
            found.keys() == expected.keys(),
            f"expected the keys {sorted(map(str, expected))}, found {sorted(map(str, found))}",
            where,
        )
        for name, value in expected.items():
            check_equal(found[name], value, f"{where}[{name!r}]")
        return
    one, other = np.asarray(found), np.asarray(expected)
    ensure(
        one.dtype == other.dtype or one.dtype.kind == other.dtype.kind == "U",
        f"expected dtype {other.dtype}, found {one.dtype}",
        where,
    )
    ensure(one.shape == other.shape, f"expected shape {other.shape}, found {one.shape}", where)
    if one.dtype.kind == "f":
        # Bit patterns: −0.0 is not 0.0 and NaN is NaN.
        same = np.ascontiguousarray(one).tobytes() == np.ascontiguousarray(other).tobytes()
    else:
        same = bool(np.array_equal(one, other))
    ensure(same, f"expected {_shown(other)}, found {_shown(one)}", where)


def _shown(values: Any) -> str:
    return np.array2string(values, threshold=6, precision=9).replace("\n", " ")


def snapshot(nest: Any) -> Any:
    """A deep copy of a nest of dictionaries and arrays."""
    if isinstance(nest, dict):
        return {name: snapshot(value) for name, value in nest.items()}
    return np.array(nest, copy=True) if isinstance(nest, np.ndarray) else nest


def check_finite_bounds(space: spaces.Space[Any], where: str) -> None:
    """Check that every Box in a space has finite bounds.

    Raises:
        CheckFailed: One has not.
    """
    if isinstance(space, spaces.Dict):
        for name, part in space.spaces.items():
            check_finite_bounds(part, f"{where}[{name!r}]")
    elif isinstance(space, spaces.Box):
        ensure(np.isfinite(space.low).all() and np.isfinite(space.high).all(), "expected finite bounds", where)
