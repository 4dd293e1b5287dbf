"""The face for stable-baselines3, which takes no Gymnasium vector environment and no two-dimensional features.

`FeedVecEnv` is the batched form, `SB3Observation` wraps the single one; both give the same observations:

- features are one-dimensional, rows one after another;
- columns counted in minutes, hours, days or tabs are divided by their upper bound, the rest stay as they are;
- ids and the mask are left out unless `ids=True`: as plain numbers, ids say nothing and drown the rest. Masks come
  through `action_masks()`, where MaskablePPO looks for them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv

import svsim  # noqa: F401 - registers the environments that FeedVecEnv makes by name
from svsim.data.features import bounds
from svsim.envs.batch import BatchEnv
from svsim.envs.faces import rows_of
from svsim.errors import OptionError
from svsim.names import CANDIDATE_FEATURES, HISTORY_FEATURES, LEAKY_CANDIDATE_FEATURES

__all__ = ["FeedVecEnv", "Flattening", "SB3Observation", "unflattened"]

Array = npt.NDArray[Any]

_LARGEST = 25.0


class Flattening:
    """From the environments' observations to those of this face.

    Args:
        space: Of a single environment.
        ids: Whether to keep ids and the mask.

    Attributes:
        space: Of a single environment of this face.
    """

    def __init__(self, space: spaces.Dict, ids: bool) -> None:
        self._divisors: dict[str, Array | None] = {}
        boxes: dict[str, spaces.Space[Any]] = {}
        for name, box in space.spaces.items():
            assert isinstance(box, spaces.Box)
            if box.dtype == np.float32:
                divisor = _divisor(box.high)
                boxes[name] = spaces.Box((box.low / divisor).ravel(), (box.high / divisor).ravel(), dtype=np.float32)
                self._divisors[name] = divisor if (divisor != 1.0).any() else None
            elif ids:
                boxes[name] = box
                self._divisors[name] = None
        self.space = spaces.Dict(boxes)

    def __call__(self, observation: dict[str, Array], rows: tuple[int, ...]) -> dict[str, Array]:
        """An observation of this face; `rows` is (B,), or () for a single one."""
        flat = {}
        for name, divisor in self._divisors.items():
            values = observation[name] if divisor is None else observation[name] / divisor
            flat[name] = values.reshape(*rows, -1)
        return flat


def _divisor(high: Array) -> Array:
    return np.where(high > _LARGEST, high, 1.0).astype(np.float32)


def unflattened(flat: dict[str, Array], slots: int, history: int) -> dict[str, Array]:
    """An environment's observation from this face's, as far as that keeps it: what `Flattening` did, undone.

    Args:
        flat: (B, …) by key, ids as any numbers.
        slots: K; not read where the actions are the whole catalogue, which shows no candidates.
        history: L.
    """
    rows = len(flat["user"])
    whole = {
        "user": flat["user"],
        "history": flat["history"].reshape(rows, history, -1) * _divisor(bounds(HISTORY_FEATURES)[1]),
    }
    if "candidates" in flat:
        candidates = flat["candidates"].reshape(rows, slots, -1)
        names = (CANDIDATE_FEATURES + LEAKY_CANDIDATE_FEATURES)[: candidates.shape[-1]]
        whole["candidates"] = candidates * _divisor(bounds(names)[1])
    return {**whole, **{name: values.astype(np.int32) for name, values in flat.items() if name not in whole}}


class SB3Observation(gym.ObservationWrapper[Any, Any, Any]):
    """A single environment with observations that stable-baselines3 takes.

    Args:
        env: One of svsim's environments.
        ids: Whether to keep ids and the mask in the observation.
    """

    def __init__(self, env: gym.Env[Any, Any], *, ids: bool = False) -> None:
        super().__init__(env)
        if not isinstance(env.observation_space, spaces.Dict):
            raise OptionError(f"expected one of svsim's environments, found {env}", where="SB3Observation")
        self._flatten = Flattening(env.observation_space, ids)
        self.observation_space = self._flatten.space

    def observation(self, observation: dict[str, Array]) -> dict[str, Array]:
        """The observation with flat features."""
        return self._flatten(observation, ())

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """(K,) legal slots; (S K,) for slates, as MaskablePPO takes them for `MultiDiscrete`."""
        masks: npt.NDArray[np.bool_] = self.env.get_wrapper_attr("action_masks")()
        return masks


class FeedVecEnv(VecEnv):  # type: ignore[misc] # stable-baselines3 is not typed strictly
    """A batch of environments as stable-baselines3's `VecEnv`.

    Rows that end are reset in the same step; their last observation is `infos[i]["terminal_observation"]`, and
    `infos[i]["episode"]` has what stable-baselines3 logs: return `r`, length `l`, seconds `t`.

    Args:
        env: An environment's id, or a vector environment made with `copy=True`.
        num_envs: B, for an id.
        ids: Whether to keep ids and the mask in the observation.
        **arguments: The environment's arguments, for an id.
    """

    def __init__(
        self, env: str | BatchEnv = "svsim/Replay-v0", num_envs: int = 1, *, ids: bool = False, **arguments: Any
    ) -> None:
        if isinstance(env, str):
            made = gym.make_vec(env, num_envs=num_envs, vectorization_mode="vector_entry_point", **arguments)
            env = made.unwrapped  # type: ignore[assignment]
        elif arguments:
            raise OptionError(
                f"expected no arguments beside an environment, found {sorted(arguments)[0]!r}", where="env"
            )
        if not isinstance(env, BatchEnv):
            raise OptionError(f"expected one of svsim's vector environments or an id, found {env!r}", where="env")
        if not env.copies:
            raise OptionError("expected an environment made with copy=True, found copy=False", where="env")
        self.vector = env
        space = env.single_observation_space
        assert isinstance(space, spaces.Dict)
        self._flatten = Flattening(space, ids)
        self._actions: Array = np.zeros(env.num_envs, dtype=np.int64)
        self._began = time.perf_counter()
        self.render_mode = env.render_mode
        super().__init__(env.num_envs, self._flatten.space, env.single_action_space)

    def reset(self) -> dict[str, Array]:
        """Open a new episode in every row, with the seeds and options that were set."""
        observation, infos = self.vector.reset(seed=self._seeds, options=_row_options(self._options))
        self.reset_infos = rows_of(infos)
        self._reset_seeds()
        self._reset_options()
        return self._flatten(observation, (self.num_envs,))

    def flat(self, observation: dict[str, Array]) -> dict[str, Array]:
        """A batch of the environment's observations as this face gives them."""
        return self._flatten(observation, (len(observation["user"]),))

    def step_async(self, actions: Array) -> None:
        """Take the actions of the coming `step_wait`."""
        self._actions = np.asarray(actions)

    def step_wait(self) -> tuple[dict[str, Array], Array, Array, list[dict[str, Any]]]:
        """Observations, rewards float32, ends and infos of the step."""
        observation, reward, terminated, truncated, infos = self.vector.step(self._actions)
        done = terminated | truncated
        final, final_info = infos.pop("final_obs", None), infos.pop("final_info", None)
        rows = rows_of(infos)
        if final_info is not None:
            ended = rows_of(final_info)
            for row in np.flatnonzero(done):
                info = rows[row] = ended[row]
                info["terminal_observation"] = self._flatten(final[row], ())
                info["TimeLimit.truncated"] = bool(truncated[row] and not terminated[row])
                info["episode"] = self._episode(info["episode_metrics"])
        return self._flatten(observation, (self.num_envs,)), reward.astype(np.float32), done, rows

    def _episode(self, metrics: dict[str, Any]) -> dict[str, Any]:
        seconds = round(time.perf_counter() - self._began, 6)
        return {"r": float(metrics["reward"]), "l": int(metrics["length"]), "t": seconds}

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """(B, K) legal slots; (B, S K) for slates."""
        return self.vector.action_masks()

    def close(self) -> None:
        """Close the vector environment."""
        self.vector.close()

    def has_attr(self, attr_name: str) -> bool:
        """Whether the environments have an attribute."""
        return hasattr(self.vector, attr_name)

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """An attribute that all rows share, once for each of the named rows."""
        return [getattr(self.vector, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:  # noqa: ARG002
        """Refused: rows share their attributes."""
        raise OptionError(f"rows share their attributes, found one to set: {attr_name!r}", where="set_attr")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Call a method of the vector environment; results with an axis B are given row by row."""
        result = getattr(self.vector, method_name)(*args, **kwargs)
        rows = list(self._get_indices(indices))
        by_row = isinstance(result, np.ndarray | tuple) and len(result) == self.num_envs
        return [result[row] if by_row else result for row in rows]

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:  # noqa: ARG002
        """Rows are wrapped by nothing."""
        return [False] * len(list(self._get_indices(indices)))

    def get_images(self) -> Sequence[Array | None]:
        """Frames of all rows."""
        return list(self.vector.render() or [None] * self.num_envs)


def _row_options(options: list[dict[str, Any]]) -> dict[str, Any] | None:
    """One dictionary for the batch from one for each row."""
    if not any(options):
        return None
    names = {tuple(sorted(option)) for option in options}
    if len(names) > 1:
        raise OptionError("expected the same options for every row, found different ones", where="set_options")
    return {name: np.stack([np.asarray(option[name]) for option in options], axis=-1) for name in names.pop()}
