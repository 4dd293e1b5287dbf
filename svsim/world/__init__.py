"""The synthetic KuaiRand-shaped world whose truth is known.

`WorldConfig` says which world; `World` is its truth; `simulate` lets its users live; `write_world` writes their log in
KuaiRand's layout. The stand-in (`StandIn`) is something else: files of KuaiRand's layout with no claim to its figures, for
benchmarks of speed and for tests of the data room.
"""

from svsim.world.card import CardRow, world_card
from svsim.world.config import PRESETS, WorldConfig, preset
from svsim.world.files import open_world, write_world
from svsim.world.presets import find_store, preset_store
from svsim.world.simulation import Path, simulate
from svsim.world.standin import StandIn, write_standin
from svsim.world.state import State
from svsim.world.truth import PolicyValue, oracle_policy, policy_value, policy_values, uniform_policy
from svsim.world.world import World

__all__ = [
    "PRESETS",
    "CardRow",
    "Path",
    "PolicyValue",
    "StandIn",
    "State",
    "World",
    "WorldConfig",
    "find_store",
    "open_world",
    "oracle_policy",
    "policy_value",
    "policy_values",
    "preset",
    "preset_store",
    "simulate",
    "uniform_policy",
    "world_card",
    "write_standin",
    "write_world",
]
