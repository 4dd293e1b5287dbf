"""The scalar reward: a weighted sum of the three signals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from svsim.errors import OptionError
from svsim.names import SIGNALS

__all__ = ["DEFAULT_REWARD_WEIGHTS", "reward_weights", "scalar_reward"]

DEFAULT_REWARD_WEIGHTS: Mapping[str, float] = MappingProxyType(dict.fromkeys(SIGNALS, 1.0))


def reward_weights(
    weights: Mapping[str, float] | str | None = None, *, names: tuple[str, ...] = SIGNALS
) -> dict[str, float]:
    """Check and complete reward weights: a signal that is not named weighs nothing.

    Args:
        weights: A mapping, the command line's `wtr=1,wtg=0.5`, or None for 1 each.
        names: The signals that may be weighed.

    Raises:
        OptionError: Unknown signal, weight that is no finite number, or nothing weighed.
    """
    if weights is None:
        weights = DEFAULT_REWARD_WEIGHTS
    pairs = _parse(weights) if isinstance(weights, str) else dict(weights)
    unknown = [name for name in pairs if name not in names]
    if unknown:
        raise OptionError(f"expected signals among {', '.join(names)}, found {unknown[0]!r}", where="reward weights")
    if not pairs:
        raise OptionError(f"expected at least one of {', '.join(names)}, found none", where="reward weights")
    complete = dict.fromkeys(names, 0.0)
    for name, value in pairs.items():
        try:
            complete[name] = float(value)
        except (TypeError, ValueError):
            complete[name] = math.nan
        if not math.isfinite(complete[name]):
            raise OptionError(f"expected a finite number for {name!r}, found {value!r}", where="reward weights")
    return complete


def _parse(text: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, equals, value = part.partition("=")
        if not equals:
            raise OptionError(f"expected name=number,…, found {part!r}", where="reward weights")
        pairs[name.strip()] = value.strip()
    return pairs


def scalar_reward(
    vector: npt.NDArray[np.float32], weights: Mapping[str, float], *, names: tuple[str, ...] = SIGNALS
) -> npt.NDArray[np.float64]:
    """Weigh the components of a reward vector.

    Summed component by component in a fixed order: a BLAS product of one row and of a thousand differ in the last bits,
    and a batch of environments has to give the bytes that a single one gives.

    Args:
        vector: (..., len(names)) float32.
        weights: Weight by signal; a missing one weighs nothing.
        names: What the last axis holds.

    Returns:
        (...) float64.
    """
    total = np.zeros(vector.shape[:-1])
    for column, name in enumerate(names):
        total += weights.get(name, 0.0) * vector[..., column].astype(np.float64)
    return total
