"""Logs of your own: from another platform's tables to a store, an episode, a benchmark.

python docs/tutorials/own_data.py [--fast] [--out FOLDER]
"""

# --8<-- [start:begin]
import argparse
from pathlib import Path

import gymnasium as gym
import numpy as np
import pandas as pd

from svsim import SvsimError, open_store
from svsim.cli import main as svsim
from svsim.data import prepare
from svsim.names import LOG_COLUMNS, USER_COLUMNS, VIDEO_COLUMNS
from svsim.ope import propensity_audit

parser = argparse.ArgumentParser()
parser.add_argument("--fast", action="store_true", help="few users")
parser.add_argument("--out", type=Path, default=Path("own_data"))
options = parser.parse_args()
VIEWERS, CLIPS, SEEDS = (60, 150, 2) if options.fast else (600, 1_000, 5)
DAYS, TOPICS = 10, ["cooking", "football", "music", "travel"]
# --8<-- [end:begin]

# --8<-- [start:invent]
rng = np.random.default_rng(7)
FIRST = pd.Timestamp("2026-03-01")
viewers = pd.DataFrame(
    {
        "viewer": [f"v{number:05}" for number in range(VIEWERS)],
        "followers": rng.lognormal(4, 2, VIEWERS).astype(int),
        "joined": FIRST - pd.to_timedelta(rng.integers(5, 900, VIEWERS), unit="D"),
    }
)
clips = pd.DataFrame(
    {
        "clip": [f"clip-{number:x}" for number in 7_000 + np.arange(CLIPS)],
        "creator": [f"@{number}" for number in rng.integers(0, CLIPS // 5, CLIPS)],
        "topic": rng.choice(TOPICS, CLIPS),
        "length_s": rng.lognormal(3, 0.7, CLIPS).round(1) + 3,
        "uploaded": FIRST - pd.to_timedelta(rng.integers(0, 60, CLIPS), unit="D"),
    }
)

taste = pd.DataFrame(rng.normal(0, 1, (VIEWERS, len(TOPICS))), viewers["viewer"], TOPICS)
quality = pd.Series(rng.normal(0, 0.7, CLIPS), clips["clip"])
parts = []
for day in range(DAYS):
    for viewer in viewers["viewer"][rng.random(VIEWERS) < 0.6]:
        seen = clips.sample(rng.integers(6, 20), random_state=rng)
        begins = FIRST + pd.Timedelta(day, "D") + pd.Timedelta(rng.integers(25_000, 80_000), "s")
        appeal = taste.loc[viewer, seen["topic"]].to_numpy() + quality[seen["clip"]].to_numpy()
        watched = seen["length_s"] * np.minimum(rng.exponential(0.5 * np.exp(0.6 * appeal)), 2)
        parts.append(
            pd.DataFrame(
                {
                    "viewer": viewer,
                    "clip": seen["clip"],
                    "started": begins + pd.to_timedelta(np.append(0, watched.cumsum()[:-1] + 1), unit="s"),
                    "watched_s": watched.round(2),
                    "liked": rng.random(len(seen)) < 0.05 * np.exp(appeal),
                }
            )
        )
plays = pd.concat(parts, ignore_index=True)
plays["started"] = plays["started"].dt.round("ms")
print(plays.head(4).to_string(), f"… {len(plays):,} plays", sep="\n")
# --8<-- [end:invent]

# --8<-- [start:ids]
viewer_ids = pd.Index(viewers["viewer"])
clip_ids = pd.Index(clips["clip"])
creator_ids = pd.Index(clips["creator"].unique())
# --8<-- [end:ids]

# --8<-- [start:log]
length_s = clips.set_index("clip")["length_s"][plays["clip"]].to_numpy()
watched_s, started = plays["watched_s"], plays["started"].dt
log = pd.DataFrame(
    {
        "user_id": viewer_ids.get_indexer(plays["viewer"]),
        "video_id": clip_ids.get_indexer(plays["clip"]),
        "date": started.strftime("%Y%m%d"),
        "hourmin": started.hour * 100 + started.minute,
        "time_ms": (plays["started"] - pd.Timestamp(0)) // pd.Timedelta("1ms"),
        "play_time_ms": (watched_s * 1_000).round().astype(int),
        "duration_ms": (length_s * 1_000).round().astype(int),
        "is_click": (watched_s >= np.minimum(7, length_s)).astype(int),
        "long_view": (watched_s >= np.minimum(18, length_s)).astype(int),
        "is_like": plays["liked"].astype(int),
    }
)
# --8<-- [end:log]

# --8<-- [start:tables]
users = pd.DataFrame(
    {
        "user_id": np.arange(VIEWERS),
        "fans_user_num": viewers["followers"],
        "register_days": (FIRST - viewers["joined"]).dt.days,
    }
)
videos = pd.DataFrame(
    {
        "video_id": np.arange(CLIPS),
        "author_id": creator_ids.get_indexer(clips["creator"]),
        "upload_dt": clips["uploaded"].dt.strftime("%Y-%m-%d"),
        "video_duration": (clips["length_s"] * 1_000).round(),
        "music_id": 0,
        "tag": clips["topic"].map(TOPICS.index),
    }
)
# --8<-- [end:tables]

# --8<-- [start:write]
FILES = options.out / "files"
FILES.mkdir(parents=True, exist_ok=True)
log = log.reindex(columns=LOG_COLUMNS, fill_value=0)
users = users.reindex(columns=USER_COLUMNS, fill_value=0)
videos = videos.reindex(columns=VIDEO_COLUMNS)
log.to_csv(FILES / "log_standard.csv", index=False)
users.to_csv(FILES / "user_features.csv", index=False)
videos.to_csv(FILES / "video_features_basic.csv", index=False)
# --8<-- [end:write]

# --8<-- [start:prepare]
STORE = options.out / "store"
svsim(f"data prepare {FILES} --out {STORE}".split())
# --8<-- [end:prepare]

# --8<-- [start:describe]
svsim(f"data describe {STORE}".split())
# --8<-- [end:describe]

# --8<-- [start:episode]
env = gym.make("svsim:svsim/Replay-v0", store=STORE, candidates=5, horizon=5, render_mode="ansi")
observation, info = env.reset(seed=0)
print(f"{viewer_ids[info['user_id']]} ({info['group']})")
over = False
while not over:
    slot = observation["candidates"][:, 0].argmin()  # the shortest
    observation, reward, terminated, truncated, info = env.step(slot)
    over = terminated or truncated
    clip, play_ms = clip_ids[info["video_id"]], info["feedback"]["play_time_ms"]
    print(f"{clip}: {play_ms / 1_000:.1f} s, reward {reward:.2f}")
# --8<-- [end:episode]

# --8<-- [start:benchmark]
size = f"--candidates 5 --horizon 5 --seeds {SEEDS}"
svsim(f"benchmark --store {STORE} --agents linucb {size} --out {options.out}/results".split())
# --8<-- [end:benchmark]

# --8<-- [start:without]
for ask in (propensity_audit, lambda store: gym.make("svsim:svsim/Feed-v0", store=store)):
    try:
        ask(open_store(STORE))
    except SvsimError as error:
        print(error)
# --8<-- [end:without]


# --8<-- [start:errors]
def told(rows):
    """Print what `prepare` says of another log."""
    rows.to_csv(FILES / "log_standard.csv", index=False)
    try:
        prepare(FILES, options.out / "other")
    except SvsimError as error:
        print("-", str(error).replace(f"{FILES}/", ""))


told(log.drop(columns="is_rand"))
told(log.rename(columns={"is_like": "liked"}))
told(log.assign(play_time_ms=plays["watched_s"]))
told(log.assign(user_id=plays["viewer"]))
told(log.assign(is_like=plays["liked"]))
told(log[log["date"] < "20260303"])
log.to_csv(FILES / "log_standard.csv", index=False)
# --8<-- [end:errors]
