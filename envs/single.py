"""The Gymnasium face of one environment."""

from __future__ import annotations

from typing import Any, cast

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from svsim.envs.actions import action_space, checked_action, refuse_illegal
from svsim.envs.faces import (
    RENDER_MODES,
    Episodes,
    Observation,
    RenderMode,
    checked_render_mode,
    not_reset,
    row_of,
)
from svsim.envs.render import feed_text
from svsim.envs.rules import Setup
from svsim.envs.screen import Scene, Screen
from svsim.errors import EnvironmentUsageError

__all__ = ["SingleEnv"]

Array = npt.NDArray[Any]


class SingleEnv(gym.Env[Observation, Any]):
    """One environment: row 0 of rules with B = 1.

    Args:
        setup: Checked arguments.
        render_mode: None, `ansi` or `rgb_array`.
    """

    metadata: dict[str, Any] = {"render_modes": RENDER_MODES, "render_fps": 2}  # noqa: RUF012 - Gymnasium's form

    def __init__(self, setup: Setup, render_mode: RenderMode | None) -> None:
        self._setup = setup
        self._rules = setup.rules(1)
        self._episodes = Episodes(self._rules)
        self.observation_space = cast(spaces.Space[Observation], setup.observation_space)
        self.action_space = action_space(self._rules.slots, self._rules.slate)
        self.render_mode = checked_render_mode(render_mode)
        self.skipped_sessions = setup.skipped_sessions
        self.sessions = setup.sessions
        self._screen = None if render_mode is None else Screen(self._rules, setup.store)
        self._over = True
        self._last: dict[str, Any] | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Open an episode: the next of the environment's stream, or the one that `options` name."""
        super().reset(seed=seed)
        self._episodes.open([seed], options)
        self._over, self._last = False, None
        if self._screen is not None:
            self._screen.open(np.zeros(1, dtype=np.int64))
        info = row_of(self._rules.whereabouts(), 0)
        if self._setup.privileged:
            info["privileged"] = row_of(self._rules.privileged(), 0)
        return self._observation(), info

    def step(self, action: Any) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Serve a slot or a slate: observation, reward, terminated, truncated, info."""
        if not self._episodes.started:
            raise not_reset()
        if self._over:
            raise EnvironmentUsageError(
                "expected reset() after the end of an episode, found step()", where="environment"
            )
        slot = checked_action(action, self._rules.slots, self._rules.slate)
        if self._setup.on_illegal == "raise":
            refuse_illegal(self._rules.action_masks, slot)
        if self._screen is not None:
            self._screen.before(slot)
        outcome = self._rules.step(slot)
        if self._screen is not None:
            self._screen.after(outcome)
        terminated, truncated = bool(outcome.terminated[0]), bool(outcome.truncated[0])
        self._over = terminated or truncated
        info = row_of(outcome.info, 0)
        if self._over:
            info["episode_metrics"] = row_of(self._rules.episode_metrics(), 0)
        if self._setup.privileged:
            info["privileged"] = row_of(self._rules.privileged(), 0)
        self._last = info
        return self._observation(), float(outcome.reward[0]), terminated, truncated, info

    @property
    def pool(self) -> npt.NDArray[np.int32]:
        """Dense ids of all videos that may be served, ascending."""
        return self._setup.pool

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """(K,) legal slots by MaskablePPO's convention; (S K,) for slates."""
        masks: npt.NDArray[np.bool_] = self._rules.action_masks[0]
        return masks

    def render(self) -> Any:
        """The feed as text (`ansi`), or as a phone that shows it (`rgb_array`): (768, 432, 3) uint8."""
        if self.render_mode is None:
            gym.logger.warn("render() was called without a render_mode: make the environment with one")
            return None
        if self.render_mode == "ansi":
            if not self._episodes.started:
                raise not_reset()
            return feed_text(self._rules, 0, self._setup.candidate_features, self._last)
        from svsim.envs.screen.phone import draw

        return draw(self.scene())

    def scene(self) -> Scene:
        """What stands on the user's screen now.

        Raises:
            EnvironmentUsageError: The environment was made without a render_mode, or not reset yet.
        """
        if self._screen is None:
            raise EnvironmentUsageError("expected an environment with a render_mode, found None", where="scene")
        if not self._episodes.started:
            raise not_reset()
        return self._screen.scene(0)

    def _observation(self) -> Observation:
        return {name: values[0].copy() for name, values in self._rules.observation().items()}
