"""Auxiliary feedback: likes, comments, shares and follows gathered into one number."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.errors import OptionError
from svsim.names import CLICK, COMMENT, FLAGS, FOLLOW, FORWARD, LIKE, PROFILE_ENTER

__all__ = ["AUX_WEIGHTS", "aux", "aux_weights"]

_SOCIAL = {LIKE: 1.0, COMMENT: 1.0, FORWARD: 1.0, FOLLOW: 1.0}

AUX_WEIGHTS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "default": MappingProxyType(_SOCIAL),
        # What the notebook of the SASRec4SV paper sums. Its click is a threshold on the watch time to be predicted.
        "notebook": MappingProxyType({**_SOCIAL, CLICK: 1.0, PROFILE_ENTER: 1.0}),
    }
)
"""Weights by preset."""


def aux_weights(weights: str | Mapping[str, float] = "default") -> Mapping[str, float]:
    """Resolve a preset's name or check a mapping of weights by signal.

    Raises:
        OptionError: Unknown preset, or a weight for something that is no feedback signal.
    """
    if isinstance(weights, str):
        if weights not in AUX_WEIGHTS:
            raise OptionError(f"expected a preset of {', '.join(AUX_WEIGHTS)}, found {weights!r}", where="aux weights")
        return AUX_WEIGHTS[weights]
    known = (*FLAGS, PROFILE_ENTER)
    unknown = [name for name in weights if name not in known]
    if unknown:
        raise OptionError(
            f"expected weights for signals among {', '.join(known)}, found {unknown[0]!r}", where="aux weights"
        )
    return weights


def aux(
    feedback: Mapping[str, npt.ArrayLike | Any], weights: str | Mapping[str, float] = "default"
) -> npt.NDArray[np.float32]:
    """Auxiliary feedback: the weighted sum of a play's social signals.

    By default `like + comment + forward + follow`, in 0…4. `hate` is left out and may be given a negative weight.

    Args:
        feedback: 0/1 arrays of one shape by signal name (`svsim.names.FLAGS`, `PROFILE_ENTER`).
        weights: A preset of `AUX_WEIGHTS` or a mapping from signal to weight.

    Returns:
        float32 of the signals' shape.
    """
    chosen = aux_weights(weights)
    missing = [name for name in chosen if name not in feedback]
    if missing:
        raise OptionError(f"expected the signal {missing[0]!r}, found {', '.join(feedback)}", where="feedback")
    total: Any = np.float32(0.0)
    for name, weight in chosen.items():
        part = np.asarray(feedback[name], dtype=np.float32)
        # As an environment asks at every step: a weight of one is no operation.
        total = total + (part if weight == 1.0 else (weight * part).astype(np.float32))
    return np.asarray(total, dtype=np.float32)
