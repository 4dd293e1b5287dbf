"""Refit the synthetic world's constants to KuaiRand-Pure's files and the tables of KuaiRand-27K.

    python scripts/fit_world.py --pure DIR --tables DIR [--rounds 3] [--users even]

Margins are read off; the hazard of watching, the logistic parts and the tabs' levels are fitted against the world itself:
simulate, compare in tab 1, correct, again. `--users even` fits on users of even id only, so that a classifier may be tried
on the others. Writes `svsim/world/constants/*.json` of this checkout.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import tyro
from sklearn.linear_model import LogisticRegression

import svsim.world.constants as store
from svsim.names import COMMENT, FOLLOW, FORWARD, HATE, LIKE, ONEHOT_COLUMNS, PROFILE_ENTER
from svsim.world.config import WorldConfig
from svsim.world.hazard import KINK_MS, knot_times
from svsim.world.response import COMMENT_PAGE, play_features
from svsim.world.simulation import Path as WorldPath
from svsim.world.simulation import simulate
from svsim.world.world import World

CONSTANTS = Path(store.__file__).parent
PROBE = WorldConfig(visits=0.06, random_share=0.0037)
"""The world that is fitted: the mix of users, tabs and videos of `1k`, fewer visits."""
EARLIER = {
    COMMENT_PAGE: [],
    LIKE: [COMMENT_PAGE],
    COMMENT: [LIKE],
    PROFILE_ENTER: [COMMENT_PAGE, LIKE],
    FOLLOW: [LIKE, PROFILE_ENTER],
    FORWARD: [LIKE],
    HATE: [],
}
NAME_OF = {
    (LIKE, COMMENT_PAGE): "like_given_page",
    (COMMENT, LIKE): "comment_given_like",
    (PROFILE_ENTER, COMMENT_PAGE): "profile_given_page",
    (PROFILE_ENTER, LIKE): "profile_given_like",
    (FOLLOW, LIKE): "follow_given_like",
    (FOLLOW, PROFILE_ENTER): "follow_given_profile",
    (FORWARD, LIKE): "forward_given_like",
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Where the real figures are."""

    pure: Path
    """KuaiRand-Pure's folder of CSV files."""
    tables: Path
    """The folder of tables over KuaiRand-27K."""
    rounds: int = 3
    """Rounds of simulating and correcting."""
    users: Literal["all", "even"] = "all"
    """Users of the log that are fitted on."""


def main(options: Options) -> None:
    log = pd.concat([pd.read_csv(file) for file in sorted(options.pure.glob("log_standard*.csv"))]).drop_duplicates()
    if options.users == "even":
        log = log[log.user_id % 2 == 0]
    update("users", user_margins(pd.read_csv(options.pure / "user_features_pure.csv"), options.tables))
    update("videos", video_margins(pd.read_csv(options.pure / "video_features_basic_pure.csv")))
    update("platform", daily(options.tables))
    update("visits", hourly(options.tables))
    tabs = read(options.tables / "log_standard_tab_stats.csv")
    for number in range(options.rounds):
        world = World(PROBE)
        path = simulate(world)
        report(number, path)
        update("response", hazards(log, path))
        update("response", social(log, path, first=number == 0))
        update("response", tab_levels(tabs, path))
        update("users", tab_weights(tabs, path))
    report(options.rounds, simulate(World(PROBE)))


# --- margins ----------------------------------------------------------------------------------------------------------


def user_margins(users: pd.DataFrame, tables: Path) -> dict[str, Any]:
    grid = np.unique(np.concatenate([np.linspace(0, 1, 41), [0.001, 0.005, 0.01, 0.98, 0.99, 0.995, 0.999, 0.9995]]))
    exposures = read(tables / "log_standard_user_stats_distribution.csv").exposures
    values: dict[str, Any] = {"exposures_quantiles": quantiles(exposures, grid)}
    for name in ("fans_user_num", "friend_user_num", "follow_user_num", "register_days"):
        values[f"{name}_quantiles"] = quantiles(users[name], grid)
    fans = np.log1p(users[["fans_user_num"]].to_numpy(dtype=float))
    for name, flag in (("streamer_logit", users.is_live_streamer == 1), ("author_logit", users.is_video_author == 1)):
        fit = LogisticRegression(C=1e6).fit(fans, flag)
        values[name] = [round(float(fit.intercept_[0]), 4), round(float(fit.coef_[0, 0]), 4)]
    for name in ONEHOT_COLUMNS:
        counts = np.bincount(users[name].dropna().astype(int))
        values[f"{name}_shares"] = [float(f"{share:.4g}") for share in counts / counts.sum()]
    return values


def video_margins(videos: pd.DataFrame) -> dict[str, Any]:
    grid = np.linspace(0, 1, 51)
    return {"pool_duration_quantiles": quantiles(videos.video_duration.dropna(), grid)}


def daily(tables: Path) -> dict[str, Any]:
    standard, random = read(tables / "log_standard_daily.csv"), read(tables / "log_random_daily.csv")
    chosen = standard.date.map(random.set_index("date").exposures).fillna(0)
    share = read(tables / "log_standard_tab_stats.csv").set_index("tab").exposures
    return {
        "standard_by_day": standard.exposures.tolist(),
        "random_by_day": chosen.astype(int).tolist(),
        "random_tab_share": round(float(share[1] / share.sum()), 4),
    }


def hourly(tables: Path) -> dict[str, Any]:
    hours, days = read(tables / "log_standard_hourly.csv").exposures, read(tables / "log_standard_daily.csv").exposures
    # Rows are logged ten minutes late, and come some while after their session opened: visits are half an hour earlier.
    share = hours.to_numpy(dtype=float)
    rate = 0.5 * share + 0.5 * np.roll(share, -1)
    return {
        "hour_rate": (rate / rate.mean()).round(4).tolist(),
        "day_share": (days / days.mean()).round(4).tolist(),
    }


# --- the hazard of watching ---------------------------------------------------------------------------------------------


def hazards(log: pd.DataFrame, path: WorldPath) -> dict[str, Any]:
    """Invert E[S(t | d, x)] = real survival at every knot, x as the world has it in tab 1."""
    c = store.constants("response")
    x = path.columns["interest"][(path.columns["tab"] == 1) & ~path.columns["random"]].astype(np.float64)
    x = np.quantile(x, (np.arange(400) + 0.5) / 400)
    feed = log[(log.tab == 1) & (log.play_time_ms > 0)]
    nodes = c["hazard_durations_ms"]
    middle = np.exp((np.log(nodes[1:]) + np.log(nodes[:-1])) / 2)
    timed = feed[feed.duration_ms > 0]
    bucket = np.digitize(timed.duration_ms, middle)
    table = []
    for number, node in enumerate(nodes):
        rows = timed[bucket == number]
        table.append(invert(rows.play_time_ms.to_numpy(), rows.duration_ms.to_numpy(), float(node), x))
    still = feed[feed.duration_ms == 0]
    nominal = float(c["picture_duration_ms"])
    picture = invert(still.play_time_ms.to_numpy(), np.full(len(still), nominal), nominal, x)
    return {"hazard": table, "picture_hazard": picture}


def invert(play: np.ndarray, duration: np.ndarray, node: float, x: np.ndarray) -> list[float]:
    c = store.constants("response")
    knots = knot_times(duration.astype(float))
    # Half a row at either end: no survival of exactly 1 or 0, whose hazard would be 0 or infinite.
    alive = ((play[:, None] >= knots).sum(axis=0) + 0.5) / (len(play) + 1)
    alive[0] = 1.0
    alive = np.minimum.accumulate(alive)
    b = c["hazard_interest"] * (c["hazard_short"] if node < 15_000 else 1.0)
    early, late = np.exp(-b * x), np.exp(-c["hazard_late"] * b * x)
    times = knot_times(node)

    def survival(h: np.ndarray, kink: float) -> np.ndarray:
        theta = early * np.minimum(h, kink)[:, None] + late * np.maximum(h - kink, 0)[:, None]
        return np.exp(-theta).mean(axis=1)

    def solve(kink: float) -> np.ndarray:
        low, high = np.zeros(len(times)), np.full(len(times), 60.0)
        for _ in range(60):
            middle = (low + high) / 2
            above = survival(middle, kink) > alive
            low, high = np.where(above, middle, low), np.where(above, high, middle)
        return (low + high) / 2

    before = solve(np.inf)
    kink = float(np.interp(KINK_MS, times, before))
    h = np.where(times <= KINK_MS, before, solve(kink))
    h[0] = 0.0
    return [round(float(v), 5) for v in np.maximum.accumulate(h)]


# --- everything else ----------------------------------------------------------------------------------------------------


def social(log: pd.DataFrame, path: WorldPath, *, first: bool) -> dict[str, Any]:
    """Move the logistic parts by the difference between a regression on the log and the same on the world."""
    real = log[(log.tab == 1) & (log.duration_ms > 0)]
    chosen = (path.columns["tab"] == 1) & (path.columns["duration_ms"] > 0) & ~path.columns["random"]
    world = pd.DataFrame({name: values[chosen] for name, values in path.columns.items()})
    c = store.constants("response")
    values: dict[str, Any] = {}
    for name, earlier in EARLIER.items():
        target, _ = regress(real, name, earlier)
        names = [NAME_OF[name, other] for other in earlier]
        now = np.concatenate([c[f"{name}_logit"], [c[n] for n in names]])
        if first:
            fitted = target
            fitted[0] -= c[f"{name}_interest"] * world.interest.mean()
        else:
            seen, rate = regress(world, name, earlier)
            step = np.clip(target - seen, -0.7, 0.7)
            fitted = now + 0.7 * step
            del rate
        values[f"{name}_logit"] = [round(float(v), 4) for v in fitted[: len(fitted) - len(earlier)]]
        values.update({n: round(float(v), 4) for n, v in zip(names, fitted[len(fitted) - len(earlier) :], strict=True)})
    return values


COLUMN = {LIKE: "is_like", COMMENT: "is_comment", PROFILE_ENTER: "is_profile_enter", FOLLOW: "is_follow",
          FORWARD: "is_forward", HATE: "is_hate"}  # fmt: skip


def regress(rows: pd.DataFrame, name: str, earlier: list[str]) -> tuple[np.ndarray, float]:
    def column(signal: str) -> np.ndarray:
        if signal == COMMENT_PAGE:
            return (rows.comment_stay_time > 0).to_numpy()
        return rows[COLUMN[signal]].to_numpy() > 0

    features = play_features(rows.play_time_ms.to_numpy(dtype=float), rows.duration_ms.to_numpy())
    design = np.concatenate([features, *(column(other)[:, None].astype(float) for other in earlier)], axis=1)
    answer = column(name)
    if name == COMMENT:
        page = column(COMMENT_PAGE)
        design, answer = design[page], answer[page]
    # The ridge keeps the hinges of rare signals in check.
    fit = LogisticRegression(C=5.0, max_iter=2_000).fit(design, answer)
    return np.concatenate([fit.intercept_, fit.coef_[0]]), float(answer.mean())


def tab_levels(tabs: pd.DataFrame, path: WorldPath) -> dict[str, Any]:
    """Shift each tab so that its click rate moves towards the log's."""
    c = store.constants("response")
    shift, level = c["tab_shift"].copy(), c["tab_open"].copy()
    for tab, target in zip(tabs.tab, tabs.ctr, strict=True):
        rows = (path.columns["tab"] == tab) & ~path.columns["random"]
        if rows.sum() < 300 or c["tab_click"][tab] >= 0 or tab == 1:
            continue
        # Picture posts and long videos pull in the same direction; one step on the log-hazard scale.
        rate = np.clip(path.columns["is_click"][rows].mean(), 0.002, 0.998)
        if c["tab_page"][tab] > 0:
            level[tab] += 0.8 * (np.log(-np.log1p(-target)) - np.log(-np.log1p(-rate)))
        else:
            step = (np.log(-np.log(target)) - np.log(-np.log(rate))) / -c["hazard_interest"]
            shift[tab] += 0.8 * np.clip(step, -1, 1)
    return {"tab_shift": shift.round(4).tolist(), "tab_open": level.round(4).tolist()}


def tab_weights(tabs: pd.DataFrame, path: WorldPath) -> dict[str, Any]:
    """Weights of the tabs such that their shares of exposures move towards the log's."""
    weight = store.constants("users")["tab_weight"].copy()
    target = (tabs.exposures / tabs.exposures.sum()).to_numpy()
    share = np.bincount(path.columns["tab"], minlength=len(weight)) / len(path)
    factor = np.clip(target / np.maximum(share, 1e-6), 0.4, 2.5)
    enough = share * len(path) > 50
    weight[enough] *= (factor / factor[1])[enough] ** 0.8
    return {"tab_weight": [float(f"{w:.4g}") for w in weight]}


# --- helpers --------------------------------------------------------------------------------------------------------------


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, encoding="utf-8-sig")


def quantiles(values: pd.Series, grid: np.ndarray) -> list[list[float]]:
    return [[round(float(p), 5), float(f"{v:.6g}")] for p, v in zip(grid, np.quantile(values, grid), strict=True)]


def update(part: str, values: dict[str, Any]) -> None:
    """Put new values into a part's file, and into the constants of this process."""
    file = CONSTANTS / f"{part}.json"
    entries = json.loads(file.read_text(encoding="utf-8"))
    for name, value in values.items():
        entries[name]["value"] = value
    lines = [
        f' {json.dumps(name)}: {{"value": {json.dumps(e["value"])},\n  "source": {json.dumps(e["source"])}}}'
        for name, e in entries.items()
    ]
    file.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    store.constants.cache_clear()


def report(number: int, path: WorldPath) -> None:
    c = path.columns
    standard = ~c["random"]
    one = standard & (c["tab"] == 1)
    duration = c["duration_ms"]
    figures = {
        "rows": len(path),
        "click": c["is_click"][standard].mean(),
        "click tab 1": c["is_click"][one].mean(),
        "click random": c["is_click"][c["random"]].mean(),
        "long random": c["long_view"][c["random"]].mean(),
        "x tab 1": (c["interest"][one].mean(), c["interest"][one].std()),
        "x random": c["interest"][c["random"]].mean(),
        "tab 0": (c["tab"] == 0).mean(),
        "like": c["is_like"][one].mean(),
        "like random": c["is_like"][c["random"]].mean(),
        "zero duration": (duration == 0)[standard].mean(),
    }
    print(number, {k: np.round(v, 4).tolist() for k, v in figures.items()}, flush=True)


if __name__ == "__main__":
    main(tyro.cli(Options))
