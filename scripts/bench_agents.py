"""Speed of agents, beside yardsticks of the same run; prints one JSON document.

    python scripts/bench_agents.py

Bandits run on one thread; PPO and its yardstick, stable-baselines3's own on CartPole, on `--threads`.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
import tyro
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from threadpoolctl import threadpool_limits

from svsim.agents import make_agent
from svsim.agents.bandits.forms import FORMS
from svsim.agents.sb3.config import preset
from svsim.agents.sb3.runs import Layout, policy_class, policy_options
from svsim.data import FeedStore
from svsim.envs.sb3 import FeedVecEnv
from svsim.world import find_store

ARMS, DIMENSIONS = 1_000, 32
ROWS, SLOTS = 1_024, 20
PPO_ENVS = 64


@dataclass(frozen=True, kw_only=True)
class Options:
    """How much is measured."""

    store: str = "small"
    """A store, or the name of a preset."""
    repeats: int = 30
    """Of what takes milliseconds."""
    timesteps: int = 40_960
    """Of PPO."""
    threads: int = 2
    """Of torch."""


def milliseconds(call: Callable[[], Any], repeats: int) -> float:
    """Median of a call's durations."""
    call()
    durations = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        durations.append((time.perf_counter() - began) * 1e3)
    return round(statistics.median(durations), 4)


def one_user(repeats: int) -> dict[str, Any]:
    """Choosing among 1,000 arms and learning one reward; yardstick: the quadratic forms by one bare einsum."""
    rng = np.random.default_rng(0)
    slot, user = rng.normal(size=(1, ARMS, DIMENSIONS)), rng.normal(size=(1, DIMENSIONS))
    arm, draws = np.arange(ARMS)[None], rng.normal(size=(1, DIMENSIONS + ARMS))
    inverse = np.eye(DIMENSIONS)
    told: dict[str, Any] = {
        "yardstick einsum ms": milliseconds(
            lambda: np.einsum("kd,de,ke->k", slot[0], inverse, slot[0], optimize=True), repeats
        )
    }
    for name, form in FORMS.items():
        model = form(ARMS, DIMENSIONS, DIMENSIONS, 1.0)
        for number in range(200):
            model.learn(slot[:, number], user, arm[:, number], np.array([1.0]))
        reward = np.array([0.5])
        told[name] = {
            "LinUCB choose ms": milliseconds(lambda model=model: model.bound(slot, user, arm)[0].argmax(), repeats),
            "LinTS choose ms": milliseconds(
                lambda model=model: model.sample(slot, user, arm, 0.5, draws).argmax(), repeats
            ),
            "learn ms": milliseconds(
                lambda model=model, reward=reward: model.learn(slot[:, 7], user, arm[:, 7], reward), 20 * repeats
            ),
        }  # fmt: skip
    return told


def batch(store: FeedStore, repeats: int) -> dict[str, Any]:
    """Whole agents on observations of 1,024 environments with 20 on offer."""
    env = gym.make_vec("svsim/Replay-v0", num_envs=ROWS, vectorization_mode="vector_entry_point", store=store)
    observation, info = env.reset(seed=0)
    nothing, reward = np.zeros(ROWS, dtype=bool), np.ones(ROWS)
    told = {}
    for name in ("linucb", "lints", "linucb?form=disjoint", "linucb?form=hybrid"):
        agent: Any = make_agent(name)
        agent.fit(store, seed=0)
        agent.reset(observation, info, seed=0)
        action = agent.act(observation)
        step = (observation, action, reward, observation, nothing, nothing, {}, nothing)
        act = milliseconds(lambda agent=agent: agent.act(observation), repeats)
        learn = milliseconds(lambda agent=agent, step=step: agent.observe(*step), repeats)
        told[name] = {
            "decisions/s": round(ROWS / act * 1e3),
            "decisions/s, learning from each": round(ROWS / (act + learn) * 1e3),
        }
    return told


def training(store: FeedStore, options: Options) -> dict[str, Any]:
    """PPO's steps a second, and the share of its time that the environment takes; yardstick: CartPole."""
    torch.set_num_threads(options.threads)
    told: dict[str, Any] = {}
    for kind in ("slots", "flat"):
        env: Any = gym.make_vec(
            "svsim/Replay-v0", num_envs=PPO_ENVS, vectorization_mode="vector_entry_point", store=store, split="train"
        ).unwrapped
        face, settings = FeedVecEnv(env), preset("replay", "ppo")
        policy = policy_options(
            {**settings.as_dict(), "policy": kind}, Layout.of(env.single_observation_space.spaces), store
        )
        model = PPO(policy_class("ppo", kind), face, policy_kwargs=policy, seed=0, device="cpu", **settings.options)
        told[f"PPO ({kind}), {PPO_ENVS} environments"] = _timed(model, face, options.timesteps)
    cartpole = make_vec_env("CartPole-v1", n_envs=8)
    told["yardstick PPO CartPole, 8 environments"] = _timed(
        PPO("MlpPolicy", cartpole, seed=0, device="cpu"), cartpole, options.timesteps
    )
    return told


def _timed(model: Any, env: Any, timesteps: int) -> dict[str, Any]:
    spent, wait = [0.0], env.step_wait

    def step_wait() -> Any:
        began = time.perf_counter()
        outcome = wait()
        spent[0] += time.perf_counter() - began
        return outcome

    env.step_wait = step_wait
    began = time.perf_counter()
    model.learn(timesteps)
    whole = time.perf_counter() - began
    return {"steps/s": round(model.num_timesteps / whole), "environment's share": round(spent[0] / whole, 4)}


def main(options: Options) -> None:
    """Measure and print."""
    store = find_store(options.store)
    with threadpool_limits(1):
        told = {
            "one user, 1,000 arms, 32 dimensions": one_user(options.repeats),
            "1,024 environments x 20 candidates": batch(store, options.repeats),
        }
    told["training"] = training(store, options)
    print(json.dumps({"threads": options.threads, **told}, indent=1))


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
