"""svsim: short-video logs as Gymnasium environments, agents to act in them, benchmarks to compare them.

`import svsim` registers `svsim/Replay-v0` and `svsim/Feed-v0`; it loads neither torch nor pandas.
"""

from gymnasium.envs.registration import register, registry

from svsim._version import __version__
from svsim.data.store import FeedStore, open_store
from svsim.errors import SvsimError

__all__ = ["FeedStore", "SvsimError", "__version__", "open_store"]

if "svsim/Replay-v0" not in registry:
    register(
        id="svsim/Replay-v0",
        entry_point="svsim.envs.replay:ReplayEnv",
        vector_entry_point="svsim.envs.replay:ReplayVectorEnv",
    )
    register(
        id="svsim/Feed-v0",
        entry_point="svsim.envs.feed:FeedEnv",
        vector_entry_point="svsim.envs.feed:FeedVectorEnv",
    )
