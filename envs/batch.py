"""The Gymnasium face of a batch of environments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from svsim.envs.actions import action_space, checked_actions, refuse_illegal
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
from svsim.envs.rules import Setup, Step
from svsim.envs.screen import Screen
from svsim.errors import EnvironmentUsageError, OptionError

__all__ = ["BatchEnv"]

Array = npt.NDArray[Any]


class BatchEnv(VectorEnv[Observation, Array, Array]):
    """B environments stepped as one, each reset in the step that ends it.

    Args:
        setup: Checked arguments.
        num_envs: B.
        copy: Whether observations are copies; else they are views that are valid until the next step.
        render_mode: None, `ansi` or `rgb_array`.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - Gymnasium's form
        "render_modes": RENDER_MODES,
        "render_fps": 2,
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(self, setup: Setup, num_envs: int, copy: bool, render_mode: RenderMode | None) -> None:
        if num_envs < 1:
            raise OptionError(f"expected at least 1 environment, found {num_envs}", where="num_envs")
        self._setup = setup
        self.num_envs = num_envs
        self._rules = setup.rules(num_envs)
        self._episodes = Episodes(self._rules)
        self.copies = copy
        self._kept = None if copy else _Kept(self._rules.observation(), num_envs)
        self.single_observation_space = setup.observation_space
        self.single_action_space = action_space(self._rules.slots, self._rules.slate)
        self.observation_space = batch_space(setup.observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.render_mode = checked_render_mode(render_mode)
        self.skipped_sessions = setup.skipped_sessions
        self.sessions = setup.sessions
        self._every = np.ones(num_envs, dtype=bool)
        self._every.flags.writeable = False
        self._screen = Screen(self._rules, setup.store) if render_mode == "rgb_array" else None
        self._last: dict[str, Any] | None = None
        self._fresh = self._every

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Open an episode in every row; a seed s means s + i for row i, a list is taken row by row."""
        seeds = _row_seeds(seed, self.num_envs)
        if seeds[0] is not None:
            self._np_random, self._np_random_seed = gym.utils.seeding.np_random(seeds[0])
        self._episodes.open(seeds, options)
        self._last = None
        if self._screen is not None:
            self._screen.open(np.arange(self.num_envs))
        infos = _masked(self._rules.whereabouts(), self._every)
        self._add_privileged(infos)
        return self._observation(), infos

    def step(self, actions: Array) -> tuple[Observation, Array, Array, Array, dict[str, Any]]:
        """Serve a slot or a slate in every row: observations, rewards, terminated, truncated, infos."""
        if not self._episodes.started:
            raise not_reset()
        slots = checked_actions(actions, self.num_envs, self._rules.slots, self._rules.slate)
        if self._setup.on_illegal == "raise":
            refuse_illegal(self._rules.action_masks, slots)
        if self._screen is not None:
            self._screen.before(slots)
        outcome = self._rules.step(slots)
        if self._screen is not None:
            self._screen.after(outcome)
        infos = _masked(outcome.info, self._every)
        ended = outcome.terminated | outcome.truncated
        rows = np.flatnonzero(ended)
        if len(rows):
            self._end(rows, ended, outcome, infos)
        self._add_privileged(infos)
        self._last, self._fresh = outcome.info, ended
        return self._observation(), outcome.reward, outcome.terminated, outcome.truncated, infos

    def _end(self, rows: Array, ended: Array, outcome: Step, infos: dict[str, Any]) -> None:
        """Keep what the ended rows saw last and open their next episodes."""
        final = np.full(self.num_envs, None, dtype=object)
        last = self._last_seen(rows)
        for row, observation in zip(rows.tolist(), last, strict=True):
            final[row] = observation
        final_info = _masked({**outcome.info, "episode_metrics": self._rules.episode_metrics()}, ended)
        if self._setup.privileged:
            final_info.update(_masked({"privileged": self._rules.privileged()}, ended))
        infos.update(final_obs=final, _final_obs=ended, final_info=final_info, _final_info=ended)
        self._episodes.reopen(rows)
        if self._screen is not None:
            self._screen.open(rows)

    @property
    def pool(self) -> npt.NDArray[np.int32]:
        """Dense ids of all videos that may be served, ascending."""
        return self._setup.pool

    def _last_seen(self, rows: Array) -> list[Observation]:
        """The current observations of some rows, kept apart from the rules' own arrays."""
        views = self._rules.observation()
        if self._kept is not None:
            for name, values in views.items():
                self._kept.batch[name][rows] = values[rows]
            return [self._kept.rows[row] for row in rows.tolist()]
        columns = zip(*(values[rows] for values in views.values()), strict=True)
        return [dict(zip(views, values, strict=True)) for values in columns]

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """(B, K) legal slots of the observations last returned; (B, S K) for slates."""
        return self._rules.action_masks

    def render(self) -> tuple[Any, ...] | None:
        """The feed of every row, as text or as an image."""
        if self.render_mode is None:
            gym.logger.warn("render() was called without a render_mode: make the environment with one")
            return None
        if not self._episodes.started:
            raise not_reset()
        if self._screen is not None:
            from svsim.envs.screen.phone import draw

            return tuple(draw(self._screen.scene(row)) for row in range(self.num_envs))
        names, last = self._setup.candidate_features, self._last
        return tuple(
            feed_text(self._rules, row, names, None if last is None or self._fresh[row] else row_of(last, row))
            for row in range(self.num_envs)
        )

    def _add_privileged(self, infos: dict[str, Any]) -> None:
        if self._setup.privileged:
            infos.update(_masked({"privileged": self._rules.privileged()}, self._every))

    def _observation(self) -> Observation:
        views = self._rules.observation()
        return {name: values.copy() for name, values in views.items()} if self.copies else views


class _Kept:
    """One place for the final observations of a batch that hands out views: nothing is allocated when rows end."""

    def __init__(self, views: Observation, rows: int) -> None:
        self.batch = {name: np.zeros_like(values) for name, values in views.items()}
        self.rows = [{name: values[row] for name, values in self.batch.items()} for row in range(rows)]


def _row_seeds(seed: int | Sequence[int | None] | None, rows: int) -> list[int | None]:
    if seed is None:
        return [None] * rows
    if isinstance(seed, int | np.integer):
        return [int(seed) + row for row in range(rows)]
    if len(seed) != rows:
        raise EnvironmentUsageError(f"expected {rows} seeds, found {len(seed)}", where="reset")
    return list(seed)


def _masked(info: dict[str, Any], mask: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Info arrays with Gymnasium's `_name` masks beside them, in nested dictionaries too."""
    masked: dict[str, Any] = {}
    for name, values in info.items():
        masked[name] = _masked(values, mask) if isinstance(values, dict) else values
        masked[f"_{name}"] = mask
    return masked
