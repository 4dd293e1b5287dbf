"""Training with stable-baselines3: best weights by the validation split, resumable, no pickle kept."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from sb3_contrib import MaskablePPO
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.callbacks import BaseCallback

from svsim.agents.base import greedy
from svsim.agents.sb3.config import SB3Training
from svsim.agents.sb3.networks import MaskedDQN
from svsim.agents.sb3.runs import (
    Layout,
    policy_class,
    policy_options,
    read_config,
    save_policy,
    write_config,
)
from svsim.data.atomic import as_output_error, locked, write_file
from svsim.data.run_folder import CONFIG, FINISHED, beside, history_csv, is_finished
from svsim.data.store import FeedStore
from svsim.envs.batch import BatchEnv
from svsim.envs.sb3 import FeedVecEnv
from svsim.errors import OptionError, RunError, TrainingError

__all__ = ["action_scores", "learn", "train_sb3"]

Progress = Callable[[str, int, int | None], None]
Keys = np.ndarray[Any, np.dtype[np.uint64]]
CLASSES = {"ppo": PPO, "maskable-ppo": MaskablePPO, "a2c": A2C, "dqn": MaskedDQN}
STATE = "state.pt"
REPLAY = "svsim/Replay-v0"
EPISODES = 512
"""Validation episodes; in a replay at most as many as there are sessions."""


def train_sb3(
    store: FeedStore,
    out: str | Path,
    training: SB3Training,
    arguments: Mapping[str, Any],
    *,
    env: str = REPLAY,
    progress: Progress | None = None,
) -> Path:
    """Train a policy on a store's training split; what does best on the validation split is kept.

    Interrupted, the same call goes on from the last evaluation; finished, it returns at once.

    Args:
        store: Its training and validation splits.
        out: Folder of the run.
        training: Algorithm, policy, hyperparameters.
        arguments: The environment's, without store and split; a run that is named as `response` is looked for beside
            `out` first, as a trunk is.
        env: Its id: Replay-v0, or Feed-v0 with slots and no slates.
        progress: Told of steps.

    Returns:
        `out`.

    Raises:
        OptionError: The algorithm does not take its options, the policies do not take the environment's actions, or a
            split has no session.
        OutputError: The folder holds something else.
        TrainingError: The policy's outputs are no numbers any more.
    """
    out = Path(out)
    placed = dict(arguments)
    if isinstance(placed.get("response"), str):
        placed["response"] = beside(out, placed["response"])
    made = {
        split: gym.make_vec(
            env,
            num_envs=rows,
            vectorization_mode="vector_entry_point",
            store=store,
            **{**placed, "split": split},
        ).unwrapped
        for split, rows in (("train", training.num_envs), ("valid", 64))
    }
    told = {name: _named(value) for name, value in arguments.items()}
    manifest = {"env": env, "arguments": told, "store": store.fingerprint}
    train, valid = made["train"], made["valid"]
    assert isinstance(train, BatchEnv)
    assert isinstance(valid, BatchEnv)
    keys = _judged_keys(env, valid.sessions)
    learn(train, valid, out, training, manifest, store=store, keys=keys, progress=progress)
    return out


def _judged_keys(env: str, sessions: int) -> Keys:
    """(N,) keys of the validation episodes; a key decides the session (key modulo their number)."""
    if env == REPLAY:
        # A replayed session is always the same: each is played once.
        return np.arange(min(sessions, EPISODES), dtype=np.uint64)
    # In a feed they answer every episode anew: always as many, over all sessions alike.
    return np.arange(EPISODES, dtype=np.uint64) * np.uint64(max(sessions, EPISODES)) // np.uint64(EPISODES)


def _named(value: Any) -> Any:
    """An argument as `config.json` keeps it: a path as text, a model of the users by its class."""
    if isinstance(value, Path):
        return str(value)
    return value if value is None or isinstance(value, str | int | float | Mapping) else type(value).__qualname__


def learn(
    env: BatchEnv,
    judged: BatchEnv,
    out: Path,
    training: SB3Training,
    manifest: Mapping[str, Any],
    *,
    store: FeedStore | None = None,
    keys: Keys | None = None,
    progress: Progress | None = None,
) -> None:
    """Train a policy in one environment and judge it in another, in the episodes `keys` (N,); see `train_sb3`."""
    space = env.single_observation_space
    assert isinstance(space, gym.spaces.Dict)
    if "candidates" not in space.spaces or not isinstance(env.single_action_space, gym.spaces.Discrete):
        raise OptionError(
            f"expected one of the candidates' slots as action, found {env.single_action_space}",
            where="environment",
            remedy='leave actions="slot" and slate_size=1',
        )
    layout = Layout.of(space.spaces)
    told = json.loads(json.dumps({**manifest, "training": training.as_dict(), "layout": vars(layout)}))
    if is_finished(out, told, read_config):
        return
    face = FeedVecEnv(env, ids=training.policy == "trunk")
    try:
        model = CLASSES[training.algo](
            policy_class(training.algo, training.policy),
            face,
            policy_kwargs=policy_options(training.as_dict(), layout, store, out),
            seed=training.seed,
            device="cpu",
            tensorboard_log=str(out / "tensorboard"),
            **training.options,
        )
    except (TypeError, ValueError, AssertionError) as error:
        problem = " ".join(str(error).split())
        raise OptionError(f"{training.algo} does not take these options: {problem}", where="options") from error
    with as_output_error(out):
        out.mkdir(parents=True, exist_ok=True)
    with locked(out):
        # What cannot be made has left no folder.
        if not (out / CONFIG).exists():
            with as_output_error(out):
                write_config(out, told)
        keys = np.arange(EPISODES, dtype=np.uint64) if keys is None else keys
        watch = _Watch(out, judged, keys, face, training, progress or (lambda *_: None))
        watch.resume(model)
        rest = training.timesteps - model.num_timesteps
        try:
            if rest > 0:
                model.learn(rest, callback=watch, reset_num_timesteps=model.num_timesteps == 0, tb_log_name="run")
        except ValueError as error:
            if "nan" not in str(error).lower():
                raise
            raise TrainingError(
                f"the policy's outputs are no numbers after {model.num_timesteps:,} steps",
                where=str(out),
                remedy="lower learning_rate; the weights of the last good evaluation are kept",
            ) from error
        watch.finish()


def action_scores(policy: Any, observation: Mapping[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """(B, K) a policy's probabilities of flat observations, or its action values where it has no probabilities."""
    tensors = {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in observation.items()}
    with torch.no_grad():
        valued = hasattr(policy, "q_net")
        scores = policy.q_net(tensors) if valued else policy.get_distribution(tensors).distribution.probs
    return np.asarray(scores.numpy(), dtype=np.float64)


class _Watch(BaseCallback):  # type: ignore[misc] # stable-baselines3 is not typed strictly
    """Plays the policy on the validation split now and then; keeps the best weights and what resuming needs."""

    def __init__(
        self, out: Path, judged: BatchEnv, keys: Keys, face: FeedVecEnv, training: SB3Training, tell: Progress
    ) -> None:
        super().__init__()
        self.out, self.judged, self.face, self.training, self.tell = out, judged, face, training, tell
        # (M, B): what fills up the last turn comes from the first ones.
        self.keys = np.resize(keys, (-(-len(keys) // judged.num_envs), judged.num_envs))
        self.every = max(1, training.timesteps // training.evaluations)
        self.history: list[dict[str, float]] = []
        self.next = self.every

    def _on_step(self) -> bool:
        self.tell(self.training.algo, min(self.num_timesteps, self.training.timesteps), self.training.timesteps)
        if self.num_timesteps >= self.next:
            self.next = self.num_timesteps + self.every
            self.judge()
        return True

    def judge(self) -> None:
        """Play the validation split greedily."""
        episodes = [info["r"] for info in self.model.ep_info_buffer or []]
        row = {
            "timesteps": float(self.num_timesteps),
            "train_reward": float(np.mean(episodes)) if episodes else float("nan"),
            "valid_reward": self.play(),
        }
        self.history.append(row)
        self.logger.record("valid/reward", row["valid_reward"])
        with as_output_error(self.out):
            if row["valid_reward"] >= max(one["valid_reward"] for one in self.history):
                save_policy(self.out, self.model.policy)
            write_file(self.out / "history.csv", history_csv(self.history))
            state = {
                "policy": self.model.policy.state_dict(),
                "optimizer": self.model.policy.optimizer.state_dict(),
                "timesteps": self.num_timesteps,
                "history": self.history,
            }
            content = io.BytesIO()
            torch.save(state, content)
            write_file(self.out / STATE, content.getvalue())

    def play(self) -> float:
        """Mean reward of an episode over the validation split's sessions."""
        env, policy = self.judged, self.model.policy
        observation, _ = env.reset(seed=0, options={"episodes": self.keys})
        total, left = 0.0, np.full(env.num_envs, len(self.keys))
        with _evaluating(policy):
            while left.any():
                scores = action_scores(policy, self.face.flat(observation))
                observation, _, terminated, truncated, infos = env.step(greedy(scores, observation["action_mask"]))
                # A row whose episodes were short plays on, uncounted, until the others are through.
                over = (terminated | truncated) & (left > 0)
                if over.any():
                    total += float(infos["final_info"]["episode_metrics"]["reward"][over].sum())
                    left -= over
        return total / self.keys.size

    def resume(self, model: Any) -> None:
        """Go on from the last evaluation, if there was one."""
        file = self.out / STATE
        if not file.exists():
            return
        try:
            state = torch.load(file, weights_only=True)
            model.policy.load_state_dict(state["policy"])
            model.policy.optimizer.load_state_dict(state["optimizer"])
            model.num_timesteps, self.history = int(state["timesteps"]), state["history"]
            self.next = model.num_timesteps + self.every
        except Exception as error:
            raise RunError(
                f"expected the state of an interrupted run, found {type(error).__name__}: {str(error).splitlines()[0]}",
                where=str(file),
                remedy="remove the run's folder and train again",
            ) from error

    def finish(self) -> None:
        """Say how it ended."""
        if not self.history or self.history[-1]["timesteps"] < self.num_timesteps:
            self.judge()
        best = max(self.history, key=lambda row: row["valid_reward"])
        with as_output_error(self.out):
            write_file(self.out / FINISHED, (json.dumps(best, indent=1) + "\n").encode())
            (self.out / STATE).unlink(missing_ok=True)


@contextlib.contextmanager
def _evaluating(policy: Any) -> Iterator[None]:
    policy.set_training_mode(False)
    try:
        yield
    finally:
        policy.set_training_mode(True)
