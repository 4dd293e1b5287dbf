"""Where there is no truth: estimates from one half of the users held to plain ones from the other half.

The other half's estimate is unbiased and no truth: it varies as the estimates do. Its own standard error says how much of
the error that is found is its own.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from svsim.errors import OptionError
from svsim.ope.estimates import Estimate
from svsim.ope.truth.judgement import Judgement, judge
from svsim.randomness import keyed_hash

__all__ = ["held_out", "split_users"]


def split_users(user: npt.NDArray[np.int64], seed: int = 0) -> npt.NDArray[np.bool_]:
    """(n,) whether a row's user is of the first half, by hash.

    Args:
        user: (n,) ids.
        seed: Of the hash.
    """
    return np.asarray(keyed_hash(seed, 0x4A1F, user) % np.uint64(2) == 0)


def held_out(
    estimates: Mapping[str, Mapping[str, Estimate]], reference: Mapping[str, Estimate], level: float = 0.95
) -> tuple[dict[str, Judgement], float]:
    """Judge one half's estimates by the other half's.

    Args:
        estimates: By policy, then estimator, of one half.
        reference: By policy, of the other half: an unbiased estimator's, as `dr`; a policy without one is left out.
        level: Of the intervals, which know of both halves' errors.

    Returns:
        Judgements by estimator, and the mean standard error of the reference, below which no error can be told.

    Raises:
        OptionError: Other policies in the one than in the other, or none with a reference.
    """
    if set(estimates) != set(reference):
        raise OptionError("expected the same policies in both halves, found others", where="held_out")
    known = {name: own for name, own in reference.items() if np.isfinite(own.value)}
    if not known:
        raise OptionError("expected a reference with estimates, found none", where="held_out")
    truth = {name: own.value for name, own in known.items()}
    kinds = list(next(iter(estimates.values()), {}))
    judged = {
        kind: judge(
            {name: estimates[name][kind].value for name in known},
            truth,
            intervals={name: _apart(estimates[name][kind], own, level) for name, own in known.items()},
        )
        for kind in kinds
    }
    return judged, float(np.mean([own.standard_error for own in known.values()]))


def _apart(own: Estimate, reference: Estimate, level: float) -> tuple[float, float]:
    """Where the reference should lie, which varies by itself."""
    from scipy import stats

    half = float(stats.norm.ppf(0.5 + level / 2) * np.hypot(own.standard_error, reference.standard_error))
    return own.value - half, own.value + half
