"""Synthetic KuaiRand-shaped data.

For now a stand-in: files in KuaiRand's layout with simple, seeded behaviour behind them, for the demo, the tests and the
benchmarks of speed. Its figures are not KuaiRand's.
"""

from svsim.world.presets import PRESETS, find_store, preset_store
from svsim.world.standin import StandIn, write_standin

__all__ = ["PRESETS", "StandIn", "find_store", "preset_store", "write_standin"]
