"""The estimators: one formula a class, by name."""

from svsim.ope.estimators.base import Estimator
from svsim.ope.estimators.direct import DirectMethod
from svsim.ope.estimators.doubly_robust import (
    MRDR,
    SNDR,
    ClippedDR,
    DoublyRobust,
    DoublyRobustShrinkage,
    SwitchDR,
)
from svsim.ope.estimators.inverse import IPS, MIPS, SNIPS, ClippedIPS
from svsim.ope.estimators.replay import Replay

__all__ = ["ESTIMATORS", "Estimator"]

ESTIMATORS: dict[str, Estimator] = {
    kind.name: kind()
    for kind in (
        Replay,
        DirectMethod,
        IPS,
        ClippedIPS,
        SNIPS,
        MIPS,
        DoublyRobust,
        ClippedDR,
        SNDR,
        SwitchDR,
        DoublyRobustShrinkage,
        MRDR,
    )
}
"""All estimators by name."""
