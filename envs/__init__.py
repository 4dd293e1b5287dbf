"""Environments: batched rules in numpy, and the shells that Gymnasium and stable-baselines3 see.

`svsim.envs.sb3`, the face for stable-baselines3, is imported by who needs it.
"""

if __name__ != "svsim.envs":
    raise ImportError("import this package as svsim.envs: `envs/` is the folder of svsim.envs")

from svsim.envs.feed import FeedEnv, FeedVectorEnv
from svsim.envs.replay import ReplayEnv, ReplayVectorEnv

__all__ = ["FeedEnv", "FeedVectorEnv", "ReplayEnv", "ReplayVectorEnv"]
