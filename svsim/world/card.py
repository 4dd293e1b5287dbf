"""The card: a store's figures beside KuaiRand's, row by row, with target, tolerance and verdict.

Targets are data (`constants/card.json`) with their source. A figure that a store cannot have is not judged, and the card
says why: counts per user need a whole month's visits, and some rates too few events. A store that dropped rows without
duration is judged against what the target is without them, where that is known (`timed`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.data.store import FeedStore
from svsim.data.truth import TRUTH_FILE
from svsim.names import INFLUENCER_FANS
from svsim.world.constants import constants

__all__ = ["CardRow", "world_card"]

Array = npt.NDArray[Any]
Figures = dict[str, tuple[float, int]]

FEWEST = 400
"""Rows (or users) below which a figure is not judged."""
FULL_VISITS = 0.9
DURATIONS_S = {
    "0-15 s": (0, 15),
    "15-30 s": (15, 30),
    "30-60 s": (30, 60),
    "60-120 s": (60, 120),
    "over 120 s": (120, 1e9),
}
PLAY_BUCKETS_S = (0, 7, 10, 18, 30, 45, 60, 90, 120, 180, 240, 300, 420, 600)
RATIOS = {"0": (-1.0, 0.0), "0-.02": (0.0, 0.02), "0.05-0.1": (0.05, 0.1), "0.2-0.4": (0.2, 0.4), "0.6-0.8": (0.6, 0.8),
          "0.95-1.05": (0.95, 1.05), "1.05-1.5": (1.05, 1.5), "1.5-2": (1.5, 2.0), "2-5": (2.0, 5.0)}  # fmt: skip
FLAGS = {"click": "is_click", "long view": "long_view", "like": "is_like", "follow": "is_follow", "comment": "is_comment",
         "forward": "is_forward", "hate": "is_hate", "profile entry": "is_profile_enter"}  # fmt: skip

PAIRS = (
    ("click", "like"),
    ("long view", "like"),
    ("like", "follow"),
    ("click", "comment"),
    ("like", "comment"),
    ("long view", "click"),
    ("profile entry", "follow"),
    ("click", "hate"),
)
"""Signals given others."""


@dataclass(frozen=True)
class CardRow:
    """One figure of the card."""

    name: str
    """What it is."""
    figure: float
    """The store's; NaN where it has none."""
    target: float
    """KuaiRand's."""
    tolerance: float
    """How far off it may be."""
    n: int
    """Rows, users or videos that the figure rests on."""
    source: str
    """Where the target comes from."""
    verdict: str
    """`within`, `off`, or `not judged: ` and the reason."""

    @property
    def judged(self) -> bool:
        """Whether it was judged."""
        return not self.verdict.startswith("not judged")


def world_card(store: FeedStore) -> list[CardRow]:
    """Hold a store's figures against KuaiRand's.

    Args:
        store: A store; of a synthetic world, or of any other KuaiRand-shaped log.
    """
    targets = json.loads(files("svsim.world.constants").joinpath("card.json").read_text(encoding="utf-8"))
    figures = _figures(store)
    timed = not store.manifest["options"]["keep_zero_duration"]
    truth = store.path / TRUTH_FILE
    visits = json.loads(truth.read_text(encoding="utf-8"))["config"]["visits"] if truth.is_file() else 1.0
    full = visits >= FULL_VISITS
    return [_judge(target, figures, timed=timed, full=full) for target in targets]


def _judge(row: dict[str, Any], figures: Figures, *, timed: bool, full: bool) -> CardRow:
    figure, n = figures.get(row["name"], (float("nan"), 0))
    target = row["timed"] if timed and "timed" in row else row["target"]
    if "not_judged" in row:
        verdict = f"not judged: {row['not_judged']}"
    elif row.get("full_size") and not full:
        verdict = "not judged: needs a whole month's visits"
    elif n < FEWEST or np.isnan(figure):
        verdict = f"not judged: rests on {n:,} only"
    else:
        verdict = "within" if abs(figure - target) <= row["tolerance"] else "off"
    return CardRow(row["name"], figure, target, row["tolerance"], n, row["source"], verdict)


def _figures(store: FeedStore) -> Figures:
    events = store.events
    chance = np.asarray(events["is_rand"]) > 0
    tab, duration = np.asarray(events["tab"]), np.asarray(events["duration_ms"])
    play = np.asarray(events["play_time_ms"])
    flag = {name: np.asarray(events[column]) > 0 for name, column in FLAGS.items()}
    complete = (duration > 0) & (play >= duration)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(duration > 0, play / duration, np.nan)
    one = (tab == 1) & ~chance
    seconds = duration / 1_000
    out: Figures = {}

    def rate(name: str, values: Array, rows: Array) -> None:
        n = int(rows.sum())
        out[name] = (float(values[rows].mean()) if n else float("nan"), n)

    rate("click, standard", flag["click"], ~chance)
    any_social = flag["like"] | flag["follow"] | flag["comment"] | flag["forward"]
    for name, values in (*((name, flag[name]) for name in ("click", "long view", "profile entry", "hate")),
                         ("complete", complete), ("like, follow, comment or forward", any_social)):  # fmt: skip
        rate(f"{name}, random", values, chance)
    for name in ("like", "follow", "comment", "forward", "hate", "profile entry"):
        rate(f"{name}, tab 1", flag[name], one)
    rate("comment page, tab 1", np.asarray(events["comment_stay_time"]) > 0, one)
    _formulas(out, play, duration, flag, one)
    for number in (0, 1, 2, 4, 6):
        rate(f"share of tab {number}", tab == number, ~chance)
        rate(f"click, tab {number}", flag["click"], (tab == number) & ~chance)
    for label, (low, high) in DURATIONS_S.items():
        rows = chance & (seconds > low) & (seconds <= high)
        for name, values in (("click", flag["click"]), ("long view", flag["long view"]), ("complete", complete)):
            rate(f"{name}, random, {label}", values, rows)
    for label, (above, upto) in RATIOS.items():
        rate(f"P(like | watch ratio {label})", flag["like"], one & (ratio > above) & (ratio <= upto))
    for name, given in PAIRS:
        rate(f"P({name} | {given}), tab 1", flag[name], one & flag[given])
    rate("rows without duration", duration == 0, ~chance)
    _play_times(out, play, seconds, ratio, one)
    _users(out, store, chance, flag["click"])
    _visits(out, store, chance)
    _videos(out, store, chance, flag["click"])
    return out


def _formulas(out: Figures, play: Array, duration: Array, flag: dict[str, Array], one: Array) -> None:
    rows = one & (play > 0) & (duration > 0)
    click = np.where(duration <= 7_000, play >= duration, play > 7_000)
    long_view = np.where(duration <= 18_000, play >= duration, play >= 18_000)
    for name, formula in (("click", click), ("long view", long_view)):
        out[f"{name} formula agrees, tab 1"] = (float((formula == flag[name])[rows].mean()), int(rows.sum()))


def _play_times(out: Figures, play: Array, seconds: Array, ratio: Array, one: Array) -> None:
    timed = one & (seconds > 0)
    bucket = np.searchsorted(PLAY_BUCKETS_S, seconds[timed], side="left") - 1
    plays = play[timed] / 1_000
    counts = np.bincount(bucket, minlength=len(PLAY_BUCKETS_S))
    for number, low in enumerate(PLAY_BUCKETS_S):
        high = [*PLAY_BUCKETS_S, 0][number + 1]
        label = f"{low:g}-{high:g} s" if high else "over 600 s"
        own = plays[bucket == number]
        for p in (25, 50, 75, 90):
            value = float(np.percentile(own, p)) if len(own) else float("nan")
            out[f"play time p{p} in s, tab 1, {label}"] = (value, len(own))
    # Pure shows longer videos than a feed does: its shares of the buckets weigh the rows.
    share = constants("response")["bucket_shares"]
    weight = (share / np.maximum(counts, 1))[bucket]
    order = np.argsort(ratio[timed], kind="stable")
    gone = np.cumsum(weight[order]) / weight.sum()
    for p in (10, 25, 50, 75, 90, 95, 99):
        place = min(int(np.searchsorted(gone, p / 100)), len(gone) - 1)
        value = float(ratio[timed][order][place]) if len(gone) else float("nan")
        out[f"watch ratio p{p}, tab 1, at Pure's durations"] = (value, len(gone))


def _users(out: Figures, store: FeedStore, chance: Array, click: Array) -> None:
    user = np.asarray(store.events["user"])
    size = store.n_users + 1
    shown = np.bincount(user[~chance], minlength=size)
    rates = np.bincount(user[~chance], weights=click[~chance], minlength=size) / np.maximum(shown, 1)
    drawn = np.bincount(user[chance], minlength=size)
    hits = np.bincount(user[chance], weights=click[chance], minlength=size) / np.maximum(drawn, 1)
    seen = shown >= 10
    n = int(seen.sum())
    if not n:
        return
    for p in (10, 25, 50, 75, 90):
        out[f"exposures per user p{p}"] = (float(np.percentile(shown[seen], p)), n)
    for p in (10, 50, 90):
        out[f"click rate of users p{p}"] = (float(np.percentile(rates[seen], p)), n)
    out["exposures per user, mean"] = (float(shown[seen].mean()), n)
    out["click rate of users, mean"] = (float(rates[seen].mean()), n)
    if n > 2:
        out["correlation of ln exposures and click, standard"] = (_correlation(np.log(shown[seen]), rates[seen]), n)
    often = drawn >= 5
    if often.sum() > 2:
        out["correlation of ln exposures and click, random"] = (
            _correlation(np.log(drawn[often]), hits[often]),
            int(often.sum()),
        )
        out["between-user sd of click, random"] = (_spread(hits[often], drawn[often]), int(often.sum()))
    table, texts = store.users, store.texts["user_active_degree"]
    degree = np.asarray(table["user_active_degree"])
    for name in ("full_active", "high_active", "middle_active"):
        own = (degree == texts.index(name))[user] if name in texts else np.zeros(len(user), dtype=bool)
        for log, rows in (("standard", own & ~chance), ("random", own & chance)):
            value = float(click[rows].mean()) if rows.any() else float("nan")
            out[f"click, {log}, {name}"] = (value, int(rows.sum()))
    fans = np.asarray(table["fans_user_num"])[1:]
    out["influencers"] = (float((fans >= INFLUENCER_FANS).mean()), len(fans))


def _visits(out: Figures, store: FeedStore, chance: Array) -> None:
    events = store.events
    user, time = np.asarray(events["user"]), np.asarray(events["time_ms"])
    same = user[1:] == user[:-1]
    gap = (time[1:] - time[:-1])[same] / 1_000
    edges: dict[str, float] = {"<1 s": 1, "1-10 s": 10, "10-60 s": 60, "1-5 min": 300, "5-30 min": 1_800}
    edges["30-120 min"] = 7_200
    low = -1.0
    for name, high in (*edges.items(), (">=120 min", np.inf)):
        out[f"gap to the next row {name}"] = (float(((gap >= low) & (gap < high)).mean()), len(gap))
        low = high
    rows = len(user)
    requests = rows - int(((time[1:] == time[:-1]) & same).sum())
    out["request size, mean"] = (rows / max(requests, 1), requests)
    opens = np.append(True, ~same | (np.diff(time) >= 1_800_000))
    sessions = np.bincount(user[opens], minlength=store.n_users + 1)
    sessions = sessions[sessions > 0]
    out["session length in videos, mean"] = (rows / max(int(opens.sum()), 1), int(opens.sum()))
    out["sessions per user, mean"] = (float(sessions.mean()), len(sessions))
    for p in (50, 90):
        out[f"sessions per user, p{p}"] = (float(np.percentile(sessions, p)), len(sessions))
    hours = np.bincount(np.asarray(events["hour"])[~chance].astype(np.int64), minlength=24)
    real = constants("visits")["logged_hour_share"]
    out["hour of the day, largest difference of shares"] = (
        float(np.abs(hours / hours.sum() - real).max()),
        int(hours.sum()),
    )
    day = time // 86_400_000
    step = (day[1:] - day[:-1])[same]
    step = step[step > 0]
    out["days to the next active day: 1"] = (float((step == 1).mean()) if len(step) else float("nan"), len(step))


def _videos(out: Figures, store: FeedStore, chance: Array, click: Array) -> None:
    video = np.asarray(store.events["video"])[~chance]
    counts = np.bincount(video)
    hits = np.bincount(video, weights=click[~chance])
    seen = np.sort(counts[counts > 0])[::-1]
    out["distinct videos"] = (float(len(seen)), len(seen))
    out["videos seen once"] = (float((seen == 1).mean()), len(seen))
    out["top 1 % of videos' share"] = (float(seen[: max(len(seen) // 100, 1)].sum() / seen.sum()), len(seen))
    often = counts >= 10
    if often.sum() > 1:
        rates = hits[often] / counts[often]
        out["between-video sd of click, standard"] = (_spread(rates, counts[often]), int(often.sum()))


def _spread(rates: Array, counts: Array) -> float:
    """Standard deviation of the true rates behind observed ones, by moments: the binomial part is taken off."""
    noise = (rates * (1 - rates) / np.maximum(counts - 1, 1)).mean()
    return float(np.sqrt(max(rates.var() - noise, 0.0)))


def _correlation(a: Array, b: Array) -> float:
    return float(np.corrcoef(a, b)[0, 1])
