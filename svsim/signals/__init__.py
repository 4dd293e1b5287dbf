"""The three signals a recommendation is rewarded by: pure functions on arrays.

`wtr` is the watch-time ratio, `WatchTimeGain` the watch-time gain with its relevance, `aux` the auxiliary feedback;
`scalar_reward` weighs them. Each formula stands here once and is used by every other room.
"""

from svsim.signals.auxiliary import AUX_WEIGHTS, aux, aux_weights
from svsim.signals.gain import GainAccumulator, WatchTimeGain, duration_unit
from svsim.signals.reward import DEFAULT_REWARD_WEIGHTS, reward_weights, scalar_reward
from svsim.signals.watch_time import binary_label, wtr

__all__ = [
    "AUX_WEIGHTS",
    "DEFAULT_REWARD_WEIGHTS",
    "GainAccumulator",
    "WatchTimeGain",
    "aux",
    "aux_weights",
    "binary_label",
    "duration_unit",
    "reward_weights",
    "scalar_reward",
    "wtr",
]
