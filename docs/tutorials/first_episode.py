"""A first episode: what an environment shows, what it takes, what it gives.

python docs/tutorials/first_episode.py [--fast]
"""

# --8<-- [start:make]
import argparse

import gymnasium as gym
import numpy as np
from gymnasium.utils.env_checker import check_env as gymnasium_check_env

from svsim.names import CANDIDATE_FEATURES
from svsim.testing import check_env

parser = argparse.ArgumentParser()
parser.add_argument("--fast", action="store_true", help="a tiny world")
FAST = parser.parse_args().fast
STORE, EPISODES = ("tiny", 64) if FAST else ("small", 1_280)

env = gym.make("svsim:svsim/Replay-v0", store=STORE, candidates=6, horizon=20, render_mode="ansi")
# --8<-- [end:make]

# --8<-- [start:observe]
observation, info = env.reset(seed=9)
print(f"user {info['user_id']}, {info['group']}")
for name, values in observation.items():
    print(f"{name:16} {values.dtype!s:8} {values.shape}")

MEAN_WTR = CANDIDATE_FEATURES.index("video_wtr")
print("legal slots", observation["action_mask"])
print("mean WTR   ", observation["candidates"][:, MEAN_WTR].round(2))
# --8<-- [end:observe]

# --8<-- [start:step]
observation, reward, terminated, truncated, info = env.step(2)
print("reward", round(reward, 3), "of", info["reward_vector"].round(3))
print({name: value for name, value in info["feedback"].items() if value})
print(env.render())
# --8<-- [end:step]


# --8<-- [start:masks]
def play(masked):
    """Play an episode at random."""
    env.action_space.seed(0)
    observation, info = env.reset(seed=9)
    total, empty, over = 0.0, 0, False
    while not over:
        slot = env.action_space.sample(mask=observation["action_mask"] if masked else None)
        observation, reward, terminated, truncated, info = env.step(slot)
        over = terminated or truncated
        total += reward
        empty += info["illegal_action"]
    print(f"reward {total:.3f}, {info['episode_metrics']['length']} steps, {empty} of them empty")


play(masked=False)
play(masked=True)
# --8<-- [end:masks]

# --8<-- [start:feed]
feed = gym.make("svsim:svsim/Feed-v0", store=STORE, reward_weights={"wtr": 1, "aux": 2})
observation, info = feed.reset(seed=4)
over = False
while not over:
    slot = observation["candidates"][:, MEAN_WTR].argmax()
    observation, reward, terminated, truncated, info = feed.step(slot)
    over = terminated or truncated
metrics = info["episode_metrics"]
print("left" if terminated else "cut", "after", metrics["length"], "videos")
print("reward", round(metrics["reward"], 2))
# --8<-- [end:feed]

# --8<-- [start:batch]
batch = gym.make_vec(
    "svsim:svsim/Replay-v0",
    num_envs=64,
    vectorization_mode="vector_entry_point",
    store=STORE,
    candidates=6,
)
observation, infos = batch.reset(seed=0)
print(observation["candidates"].shape)
# --8<-- [end:batch]


# --8<-- [start:compare]
def rewards_of(policy):
    """Rewards of the first so many episodes that end."""
    observation, infos = batch.reset(seed=0)
    rewards = []
    while len(rewards) < EPISODES:
        observation, _, terminated, truncated, infos = batch.step(policy(observation))
        over = terminated | truncated
        if over.any():  # these rows show their next episode already
            rewards.extend(infos["final_info"]["episode_metrics"]["reward"][over])
    return np.array(rewards)


def at_random(observation):
    """Any legal slot."""
    return batch.action_space.sample(mask=tuple(observation["action_mask"]))


def highest_mean(observation):
    """The legal slot whose video was watched most in training."""
    rates = observation["candidates"][..., MEAN_WTR]
    return np.where(observation["action_mask"], rates, -1).argmax(axis=1)


batch.action_space.seed(0)
for policy in (at_random, highest_mean):
    rewards = rewards_of(policy)
    half = 1.96 * rewards.std() / len(rewards) ** 0.5
    print(f"{policy.__name__:14} {rewards.mean():.3f} ± {half:.3f}")
# --8<-- [end:compare]

# --8<-- [start:check]
gymnasium_check_env(env.unwrapped)
check_env(env)
print("check_env: passed twice")
# --8<-- [end:check]
