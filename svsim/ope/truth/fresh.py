"""Contexts of the kind that the random log samples, and that it did not sample.

Chance replaces an exposure of one tab with a probability c that depends on the day alone. It leaves 1 − c of them, so that
those left, drawn in proportion to c / (1 − c), are a sample of the same contexts: what a policy is truly worth there is what
its estimate from the random log is held to.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from svsim.errors import OptionError
from svsim.world.platform import RANDOM_TAB
from svsim.world.simulation import Path
from svsim.world.visits import logged_date_hour

__all__ = ["fresh_contexts"]

Ints = npt.NDArray[np.int64]


def fresh_contexts(path: Path, dates: npt.ArrayLike, *, seed: int = 0, count: int = 5_000) -> Ints:
    """(B,) rows of a path, ascending, about `count` of them.

    Args:
        path: What all users lived through.
        dates: Days, as 20220505.
        seed: Of the draw.
        count: Contexts on average; fewer where there are not so many.

    Raises:
        OptionError: There are none: no such days, or chance does nothing on them.
    """
    c, world = path.columns, path.world
    open_to_chance = (c["tab"] == RANDOM_TAB) & ~c["random"].astype(bool)
    # As the log dates them, a little after the fact.
    logged = np.isin(logged_date_hour(world.key, c["user"], c["time_ms"])[0], dates)
    day = world.day(c["time_ms"])
    chance = np.where(open_to_chance & logged, 1.0, 0.0)
    replaced = world.platform.replacement[np.clip(day, 0, len(world.platform.replacement) - 1)]
    chance *= replaced / (1 - replaced)
    known = np.flatnonzero(chance)
    if not len(known):
        raise OptionError("expected exposures that chance might have replaced, found none on these days", where="dates")
    # Each by itself, so that days keep their proportions however many are asked for.
    kept = chance[known] * min(count / chance[known].sum(), 1 / chance[known].max())
    rng = np.random.default_rng([seed, 0xF2E54])
    return np.asarray(known[rng.random(len(known)) < kept])
