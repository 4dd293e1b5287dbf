"""What the single and the batched face share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from svsim.envs.episodes import EpisodeStream, episode_keys
from svsim.envs.rules import Rules
from svsim.errors import EnvironmentUsageError, OptionError

__all__ = [
    "RENDER_MODES",
    "Episodes",
    "Observation",
    "RenderMode",
    "checked_render_mode",
    "not_reset",
    "row_of",
    "rows_of",
]

Array = npt.NDArray[Any]
Observation = dict[str, Array]
RenderMode = Literal["ansi", "rgb_array"]

RENDER_MODES = ["ansi", "rgb_array"]

_NAN_IF_NONE = ("propensity", "return_gap_h")


class Episodes:
    """Whose turn it is: the part of `reset` that both faces share."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._stream = EpisodeStream(rules.rows)
        self._all = np.arange(rules.rows)
        self.started = False

    def open(self, seeds: Sequence[int | None], options: dict[str, Any] | None) -> None:
        """Begin an episode in every row."""
        options = dict(options or {})
        unknown = [name for name in options if name not in ("episodes", "user", "session")]
        if unknown:
            raise EnvironmentUsageError(
                f"expected options among episodes, user, session, found {unknown[0]!r}", where="reset"
            )
        if "session" in options and "user" not in options:
            raise EnvironmentUsageError("expected a user beside the session, found none", where="reset")
        self._stream.seed(seeds)
        if "episodes" in options:
            self._stream.queue(episode_keys(options["episodes"], self._rules.rows))
        keys = self._stream.next(self._all)
        if "user" in options:
            users, sessions = (
                np.broadcast_to(np.asarray(options.get(name, 0)), (self._rules.rows,)) for name in ("user", "session")
            )
            keys = self._rules.choose(keys, users, sessions)
        self._rules.begin(self._all, keys)
        self.started = True

    def reopen(self, rows: Array) -> None:
        """Begin the next episode in some rows."""
        self._rules.begin(rows, self._stream.next(rows))


def not_reset() -> EnvironmentUsageError:
    """What is raised by calls before the first reset."""
    return EnvironmentUsageError("expected reset() before the first call", where="environment")


def checked_render_mode(mode: RenderMode | None) -> RenderMode | None:
    """The mode, if it is one."""
    if mode is not None and mode not in RENDER_MODES:
        raise OptionError(f"expected None, {' or '.join(RENDER_MODES)}, found {mode!r}", where="render_mode")
    return mode


def rows_of(info: dict[str, Any]) -> list[dict[str, Any]]:
    """Info arrays as a single environment's info for each row: numbers, texts and flags as Python's, vectors as arrays.

    Masks are left out, and so are a propensity that is not known and the gap of a user who was not away.
    """
    names = [name for name in info if not name.startswith("_")]
    columns = [_column(info[name]) for name in names]
    rows = [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
    for row in rows:
        _drop_unknown(row)
    return rows


def _column(values: Any) -> list[Any]:
    """The rows' values of one name; by column, since one by one they would take as long as the kernel."""
    if isinstance(values, dict):
        return rows_of(values)
    column: list[Any] = values.tolist() if values.ndim == 1 else list(values)
    return column


def row_of(info: dict[str, Any], row: int) -> dict[str, Any]:
    """One row of info arrays, as `rows_of` gives it."""
    found: dict[str, Any] = {}
    for name, values in info.items():
        if name.startswith("_"):
            continue
        if isinstance(values, dict):
            found[name] = row_of(values, row)
        else:
            found[name] = values.item(row) if values.ndim == 1 else values[row]
    _drop_unknown(found)
    return found


def _drop_unknown(row: dict[str, Any]) -> None:
    """Leave out what is NaN for want of an answer: Gymnasium's checker takes NaN for a difference."""
    for name in _NAN_IF_NONE:
        if name in row and math.isnan(row[name]):
            del row[name]
