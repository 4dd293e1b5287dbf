"""Look for hyperparameters of stable-baselines3's algorithms; what does best on the validation split becomes the preset.

    python scripts/search_sb3.py --store small --out search
    cp search/replay.yaml agents/sb3/presets/replay.yaml
    python scripts/search_sb3.py --store small --env feed --draws 5 --timesteps 30000 --preset-timesteps 100000 --out feed
    cp feed/feed.yaml agents/sb3/presets/feed.yaml

Every algorithm is trained with `draws` random settings of its grid, one seed each, on the training split in
svsim/Replay-v0, or in svsim/Feed-v0 with the world's truth. All that is tried stands in `trials.csv`. Interrupted, the
same command goes on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
import tyro
import yaml

from svsim.agents.sb3.config import ALGORITHMS, SB3Training
from svsim.agents.sb3.training import train_sb3
from svsim.benchmark.spec import ENVIRONMENTS, BenchmarkSpec
from svsim.cli.benchmark import SessionGap
from svsim.cli.output import task_progress
from svsim.data import FeedStore
from svsim.world import find_store

ON_POLICY = {
    "learning_rate": [0.0003, 0.001, 0.003],
    "gamma": [0.0, 0.5, 0.9],
    "gae_lambda": [0.8, 0.95],
    "ent_coef": [0.0, 0.001, 0.01],
}
PPO = {**ON_POLICY, "n_steps": [16, 32, 64], "batch_size": [256, 512, 1024], "n_epochs": [2, 4, 8]}
GRIDS: dict[str, dict[str, list[Any]]] = {
    "ppo": PPO,
    "maskable-ppo": PPO,
    "a2c": {**ON_POLICY, "n_steps": [4, 8, 16]},
    "dqn": {
        "learning_rate": [0.0003, 0.001, 0.003],
        "gamma": [0.0, 0.5, 0.9],
        "batch_size": [128, 256, 512],
        "gradient_steps": [1, 2, 4],
        "target_update_interval": [500, 2000],
        "exploration_fraction": [0.1, 0.3],
        "buffer_size": [50_000],
        "learning_starts": [2_000],
        "train_freq": [1],
        "exploration_final_eps": [0.05],
    },
}
OF_ENVIRONMENT: dict[str, dict[str, list[Any]]] = {"replay": {}, "feed": {"gamma": [0.5, 0.9, 0.97]}}
"""What is tried otherwise: a feed's session is up to a hundred steps, and what was served decides what comes."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Where, and how much is tried."""

    out: Path
    """Folder of runs and results."""
    store: str = "small"
    """A store, or the name of a preset."""
    env: Literal["replay", "feed"] = "replay"
    """The environment."""
    draws: int = 8
    """Settings of each algorithm."""
    timesteps: int = 60_000
    """Steps of each trial."""
    preset_timesteps: int = 300_000
    """Steps that the preset says."""
    num_envs: int = 64
    """Environments side by side."""
    candidates: int = 20
    """Videos on offer."""
    horizon: int | None = None
    """Steps of an episode, at most; by default 10 in a replay, 100 in a feed."""
    session_gap: SessionGap = 30.0
    """Of a replay: a longer pause ends a session; none takes all of a user's rows in the split."""
    threads: int = 2
    """Of torch."""


def trials(store: FeedStore, algo: str, options: Options) -> list[dict[str, Any]]:
    """Settings of an algorithm with what they reached on the validation split."""
    spec = BenchmarkSpec(
        env=options.env,
        candidates=options.candidates,
        horizon=options.horizon,
        session_gap_minutes=options.session_gap,
    )
    arguments = {name: value for name, value in spec.environment_arguments.items() if name != "split"}
    grid = GRIDS[algo] | OF_ENVIRONMENT[options.env]
    rng = np.random.default_rng(ALGORITHMS.index(algo))
    rows = []
    for number in range(options.draws):
        drawn = {name: values[rng.integers(len(values))] for name, values in grid.items()}
        training = SB3Training(
            algo=algo, timesteps=options.timesteps, num_envs=options.num_envs, options=drawn, evaluations=4
        )
        folder = options.out / f"{algo}-{number}"
        with task_progress() as progress:
            train_sb3(store, folder, training, arguments, env=ENVIRONMENTS[options.env], progress=progress)
        told = json.loads((folder / "metrics.json").read_text())
        rows.append({"algo": algo, "valid_reward": told["valid_reward"], "options": drawn})
        print(f"{algo} {told['valid_reward']:.4f} {json.dumps(drawn)}", flush=True)
    return rows


def main(options: Options) -> None:
    """Search and write the preset."""
    torch.set_num_threads(options.threads)
    store = find_store(options.store)
    every = [row for algo in ALGORITHMS for row in trials(store, algo, options)]
    table = pd.DataFrame(every).sort_values("valid_reward", ascending=False)
    table.to_csv(options.out / "trials.csv", index=False)
    best = {algo: table[table["algo"] == algo].iloc[0]["options"] for algo in ALGORITHMS}
    presets = {
        algo: {"timesteps": options.preset_timesteps, "num_envs": options.num_envs, "options": best[algo]}
        for algo in ALGORITHMS
    }
    head = f"# Hyperparameters for {ENVIRONMENTS[options.env]} by algorithm; found by scripts/search_sb3.py.\n"
    (options.out / f"{options.env}.yaml").write_text(head + yaml.safe_dump(presets, sort_keys=False))


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
