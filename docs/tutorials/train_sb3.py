"""A policy trained with stable-baselines3: by its own API, then by svsim's command, then on the benchmark.

python docs/tutorials/train_sb3.py [--fast] [--out FOLDER]
"""

# --8<-- [start:begin]
import argparse
from pathlib import Path

import pandas as pd
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.evaluation import evaluate_policy

from svsim.cli import main as svsim
from svsim.envs.sb3 import FeedVecEnv

parser = argparse.ArgumentParser()
parser.add_argument("--fast", action="store_true", help="a tiny world, few steps")
parser.add_argument("--out", type=Path, default=Path("train_sb3"))
options = parser.parse_args()
STORE, STEPS, CANDIDATES, SEEDS = ("tiny", 2_048, 5, 2) if options.fast else ("small", 50_000, 20, 5)
# --8<-- [end:begin]

# --8<-- [start:own]
train = FeedVecEnv("svsim/Replay-v0", num_envs=64, store=STORE, split="train", candidates=CANDIDATES)
model = MaskablePPO(
    "MultiInputPolicy",
    train,
    n_steps=16,
    batch_size=256,
    gamma=0.5,
    learning_rate=1e-3,
    seed=0,
    device="cpu",
)
print({name: space.shape for name, space in train.observation_space.items()})
# --8<-- [end:own]

# --8<-- [start:learn]
test = FeedVecEnv("svsim/Replay-v0", num_envs=64, store=STORE, split="test", candidates=CANDIDATES)


def judge(when):
    """Mean reward of 640 episodes of the test split."""
    test.seed(0)
    mean, _ = evaluate_policy(model, test, n_eval_episodes=640, warn=False)
    print(f"{when:9} {mean:.3f}")


judge("untrained")
model.learn(STEPS)
judge("trained")
# --8<-- [end:learn]

# --8<-- [start:command]
RUN = options.out / "ppo"
size = f"--store {STORE} --candidates {CANDIDATES}"
svsim(f"train sb3 --algo ppo {size} --timesteps {STEPS} --out {RUN}".split())
print(pd.read_csv(RUN / "history.csv").round(3).to_string(index=False))
# --8<-- [end:command]

# --8<-- [start:benchmark]
agents = f"ppo?run={RUN},linucb"
svsim(f"benchmark {size} --agents {agents} --seeds {SEEDS} --out {options.out}/results".split())
# --8<-- [end:benchmark]
