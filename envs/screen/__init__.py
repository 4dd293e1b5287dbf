"""The feed on a screen: what stands on it (`Scene`), who keeps it (`Screen`), and a phone that shows it."""

from svsim.envs.screen.scene import Clip, Scene, View
from svsim.envs.screen.screen import Screen

__all__ = ["Clip", "Scene", "Screen", "View"]
