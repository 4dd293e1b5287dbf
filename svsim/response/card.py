"""The calibration card: does a learned model's user behave like the logged ones?

On the days after training, under both protocols and on each log, beside the log itself: rates, AUC, log loss, reliability,
watch times by duration; where sessions end. What is judged is a gate with its n; what cannot be is said to be not judged.

    ECE above chance   expected calibration error over 15 bins of equal mass, less the mean of 100 redraws of the labels
                       from the predictions themselves (what a perfect model would score on these rows): at most .01
    base rate          predicted over logged, of click, long view and watch ratio > 0.5: within 5 %; of the random log alone
                       within 5 % or its 99 % interval, whichever is wider
    rare signals       predicted rate within the logged rate's 95 % interval, clustered by user; from 400 positives on
    AUC                not below that of the user's rate plus the video's rate on the same rows
    leaving            mean hazard and mean session length near the log's, where sessions are whole
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from svsim.data.store import FeedStore
from svsim.metrics import auc, calibration_error, root_mean_square_error, user_auc
from svsim.models.baselines import RATES, fit_baselines
from svsim.models.response.inputs import Protocol
from svsim.models.response.kinds import DURATION_EDGES_S, duration_class
from svsim.models.response.material import Material
from svsim.models.response.runs import ResponseRun
from svsim.names import CLICK, COMMENT, FOLLOW, FORWARD, HATE, LIKE, LOG_COLUMN_OF, LONG_VIEW
from svsim.response.sessions import session_fit
from svsim.response.truth_card import true_probabilities
from svsim.signals import binary_label, wtr

__all__ = ["LEAST_ROWS", "make_card"]

Array = npt.NDArray[Any]
Told = dict[str, Any]
Progress = Callable[[str, int, int | None], None]

HALF = "half"
MAIN = (CLICK, LONG_VIEW, HALF)
RARE = (LIKE, COMMENT, FORWARD, FOLLOW, HATE)
TITLES = {CLICK: "click", LONG_VIEW: "long view", HALF: "WTR > 0.5"}
PROTOCOLS: tuple[Literal["running", "frozen"], ...] = ("running", "frozen")
BINS = 15
REDRAWS = 100
LEAST_ROWS, LEAST_POSITIVES, LEAST_SHOWN = 5_000, 400, 1_000
LARGEST_EXCESS, LARGEST_OFF = 0.01, 0.05
LEAST_OF_PART, WIDER = 100, 2.576 / 1.96
"""Positives from which a base rate is judged, and from a 95 % interval to one of 99 %."""
QUANTILES = (10, 25, 50, 75, 90, 95)
SEED = 0


def make_card(run: ResponseRun, store: FeedStore, *, progress: Progress | None = None) -> Told:
    """Judge a response model on a store's test split.

    Args:
        run: Trained on this store.
        store: Its test split are the days after training.
        progress: Told of the parts.

    Returns:
        `gates`, `passed`, and by protocol and log what they rest on; numbers alone, for a JSON file.

    Raises:
        RunError: The run is of another store.
    """
    run.check(store)
    tell = progress or (lambda *_: None)
    tell("card", 0, None)
    material = Material(store, run.parts.usual)
    rows = store.split_rows("test")
    chance = np.asarray(store.events["is_rand"])[rows] > 0
    labels = _labels(store, rows)
    rates = fit_baselines(
        store, {name: _everywhere(store, name) for name in (CLICK, LONG_VIEW)}, "test", names=(RATES,)
    )
    told: Told = {"store": store.fingerprint, "rows": len(rows), "protocols": {}}
    told["dates"] = sorted(np.unique(store.events["date"][rows]).tolist())
    running: dict[str, Array] = {}
    for protocol in PROTOCOLS:
        tell(f"card, {protocol}", 0, None)
        found = material.predictions(rows, protocol, run.forward, run.parts)
        running = found if protocol == "running" else running
        logs = {"all": np.ones(len(rows), dtype=bool), "random": chance} if chance.any() else {"all": ~chance}
        told["protocols"][protocol] = {
            log: _judged_log(store, rows, labels, found, rates[protocol].get(RATES, {}), chosen, protocol)
            for log, chosen in logs.items()
        }
    truth = true_probabilities(store, rows, (CLICK, LONG_VIEW, *RARE))
    if truth is not None:
        told["truth"] = {
            log: _beside_truth(labels, running, truth, chosen)
            for log, chosen in {"all": np.ones(len(rows), dtype=bool), "random": chance}.items()
            if chosen.any()
        }
    told["days"] = _days(store, rows, labels, running)
    told["watch_s"] = _watch_times(store, rows, material, run)
    tell("card, sessions", 0, None)
    told["sessions"] = session_fit(run, store, material, rows, running["wtr"])
    told["gates"] = _gates(told)
    if not chance.any():
        told["gates"].append(_gate("random log", None, None, 0, "not judged: this store has no random log"))
    told["passed"] = all(gate["verdict"] != "failed" for gate in told["gates"])
    return told


def _labels(store: FeedStore, rows: Array) -> dict[str, Array]:
    labels = {
        name: np.asarray(store.events[LOG_COLUMN_OF[name]])[rows].astype(np.float64)
        for name in (CLICK, LONG_VIEW, *RARE)
    }
    play, duration = store.events["play_time_ms"][rows], store.events["duration_ms"][rows]
    labels[HALF] = binary_label(play, duration).astype(np.float64)
    labels["wtr"] = np.nan_to_num(wtr(play, duration)).astype(np.float64)
    return labels


def _everywhere(store: FeedStore, name: str) -> Array:
    return np.asarray(store.events[LOG_COLUMN_OF[name]], dtype=np.float32)


# --- one log under one protocol ---------------------------------------------------------------------------------------


def _judged_log(
    store: FeedStore,
    rows: Array,
    labels: dict[str, Array],
    found: dict[str, Array],
    rates: dict[str, Array],
    chosen: Array,
    protocol: Protocol,
) -> Told:
    user = store.events["user"][rows[chosen]]
    told: Told = {"rows": int(chosen.sum()), "users": len(np.unique(user)), "signals": {}}
    for name in (*MAIN, *RARE):
        label, score = labels[name][chosen], np.clip(found[name][chosen].astype(np.float64), 1e-7, 1 - 1e-7)
        signal = _signal(label, score, user, name in MAIN)
        if protocol == "frozen":
            _, each, weight = user_auc(user, label, score)
            signal["gauc"] = _number(np.average(each, weights=weight)) if len(each) else None
        if name in rates:
            signal["auc_rates"] = _number(auc(label, rates[name][chosen]))
        told["signals"][name] = signal
    told["rmse_wtr"] = _number(root_mean_square_error(labels["wtr"][chosen], found["wtr"][chosen]))
    return told


def _beside_truth(labels: dict[str, Array], found: dict[str, Array], truth: dict[str, Array], chosen: Array) -> Told:
    """The truth's own scores, and how near the model comes to it."""
    told: Told = {}
    for name, values in truth.items():
        label, true = labels[name][chosen], np.clip(values[chosen], 1e-7, 1 - 1e-7)
        model = found[name][chosen].astype(np.float64)
        told[name] = {
            "expected": _number(true.mean()),
            "auc": _number(auc(label, true)),
            "log_loss": _number(-(label * np.log(true) + (1 - label) * np.log1p(-true)).mean()),
            "correlation": _correlation(model, true),
            "rmse": _number(root_mean_square_error(true, model)),
        }
    return told


def _correlation(one: Array, other: Array) -> float | None:
    """Pearson's; None where one of them does not vary."""
    varies = len(one) > 0 and np.ptp(one) > 0 and np.ptp(other) > 0
    return _number(np.corrcoef(one, other)[0, 1]) if varies else None


def _signal(label: Array, score: Array, user: Array, with_bins: bool) -> Told:
    low, high = _clustered(label, user)
    told: Told = {
        "n": len(label),
        "positives": int(label.sum()),
        "logged": _number(label.mean()),
        "logged_low": _number(low),
        "logged_high": _number(high),
        "predicted": _number(score.mean()),
        "auc": _number(auc(label, score)),
        "log_loss": _number(-(label * np.log(score) + (1 - label) * np.log1p(-score)).mean()),
    }
    if with_bins:
        told["ece"] = _number(calibration_error(label, score, bins=BINS))
        told["ece_by_chance"] = _number(_ece_by_chance(score))
        told["bins"] = _bins(label, score)
    return told


def _ece_by_chance(score: Array) -> float:
    """Mean ECE of labels drawn from the predictions: what a perfect model scores on so many rows."""
    rng = np.random.default_rng(SEED)
    return float(np.mean([calibration_error(rng.random(len(score)) < score, score, bins=BINS) for _ in range(REDRAWS)]))


def _bins(label: Array, score: Array) -> list[dict[str, float]]:
    order = np.argsort(score, kind="stable")
    return [
        {"n": len(part), "predicted": float(score[part].mean()), "logged": float(label[part].mean())}
        for part in np.array_split(order, BINS)
        if len(part)
    ]


def _clustered(label: Array, user: Array) -> tuple[float, float]:
    """95 % interval of a mean by the delta method, rows clustered by user."""
    mean = float(label.mean()) if len(label) else float("nan")
    owners, owner = np.unique(user, return_inverse=True)
    sums = np.bincount(owner, weights=label - mean)
    n = len(owners)
    error = float(np.sqrt((sums**2).sum() * n / max(n - 1, 1)) / max(len(label), 1))
    return mean - 1.96 * error, mean + 1.96 * error


def _days(store: FeedStore, rows: Array, labels: dict[str, Array], found: dict[str, Array]) -> list[Told]:
    """Rates of each day: the real click rate moves by up to 6.5 % from one day to the next."""
    date = store.events["date"][rows]
    told = []
    for day in np.unique(date).tolist():
        own = date == day
        told.append(
            {
                "date": int(day),
                "rows": int(own.sum()),
                **{
                    name: {"logged": _number(labels[name][own].mean()), "predicted": _number(found[name][own].mean())}
                    for name in MAIN
                },
            }
        )
    return told


def _watch_times(store: FeedStore, rows: Array, material: Material, run: ResponseRun) -> list[Told]:
    """Quantiles of the watch time in seconds by duration: logged, and drawn from the model for the same rows."""
    drawn = material.draw_plays(rows, run.forward, run.parts, np.random.default_rng(SEED))
    play = store.events["play_time_ms"][rows]
    kind = duration_class(store.events["duration_ms"][rows])
    edges = [0.0, *DURATION_EDGES_S, float("inf")]
    told = []
    for number in range(len(edges) - 1):
        own = kind == number
        if own.sum() < LEAST_SHOWN:
            continue
        name = f"{edges[number]:g}–{edges[number + 1]:g} s" if number + 2 < len(edges) else f"over {edges[number]:g} s"
        told.append(
            {
                "duration": name,
                "n": int(own.sum()),
                "logged": [float(q) for q in np.percentile(play[own] / 1_000, QUANTILES)],
                "model": [float(q) for q in np.percentile(drawn[own] / 1_000, QUANTILES)],
            }
        )
    return told


# --- gates ------------------------------------------------------------------------------------------------------------


def _gates(told: Told) -> list[Told]:
    gates: list[Told] = []
    for log, own in told["protocols"]["running"].items():
        where = "" if log == "all" else f", {log} log"
        for name in MAIN:
            signal = own["signals"][name]
            if name != HALF:
                gates.append(_ece_gate(f"ECE above chance, {TITLES[name]}{where}", signal))
            gates.append(_base_gate(f"base rate, {TITLES[name]}{where}", signal, log == "all"))
        gates.extend(_rare_gate(f"rate of {name}{where}", own["signals"][name]) for name in RARE)
    for protocol in PROTOCOLS:
        for log, own in told["protocols"][protocol].items():
            where = protocol if log == "all" else f"{protocol}, {log} log"
            gates.extend(
                _auc_gate(f"AUC, {TITLES[name]}, {where}", own["signals"][name]) for name in (CLICK, LONG_VIEW)
            )
    return [*gates, *told["sessions"].pop("gates")]


def _gate(name: str, value: float | None, limit: float | None, n: int, verdict: str) -> Told:
    return {"name": name, "value": _number(value), "limit": limit, "n": n, "verdict": verdict}


def _ece_gate(name: str, signal: Told) -> Told:
    excess = signal["ece"] - signal["ece_by_chance"]
    if signal["n"] < LEAST_ROWS:
        return _gate(name, excess, LARGEST_EXCESS, signal["n"], f"not judged: fewer than {LEAST_ROWS:,} rows")
    return _gate(name, excess, LARGEST_EXCESS, signal["n"], _verdict(excess <= LARGEST_EXCESS))


def _base_gate(name: str, signal: Told, whole: bool) -> Told:
    """Predicted over logged, less one; of a part of the rows, what its own 99 % interval leaves open is no fault."""
    if signal["positives"] < LEAST_OF_PART:
        off = signal["predicted"] / signal["logged"] - 1 if signal["positives"] else None
        return _gate(name, off, LARGEST_OFF, signal["n"], f"not judged: {signal['positives']} positives")
    off = signal["predicted"] / signal["logged"] - 1
    wide = (signal["logged_high"] / signal["logged"] - 1) * WIDER
    limit = LARGEST_OFF if whole else max(LARGEST_OFF, wide)
    return _gate(name, off, limit, signal["n"], _verdict(abs(off) <= limit))


def _rare_gate(name: str, signal: Told) -> Told:
    off = signal["predicted"] / signal["logged"] - 1 if signal["positives"] else None
    if signal["positives"] < LEAST_POSITIVES:
        return _gate(name, off, None, signal["n"], f"not judged: {signal['positives']} positives")
    limit = signal["logged_high"] / signal["logged"] - 1
    within = signal["logged_low"] <= signal["predicted"] <= signal["logged_high"]
    return _gate(name, off, _number(limit), signal["n"], _verdict(within))


def _auc_gate(name: str, signal: Told) -> Told:
    if signal["n"] < LEAST_ROWS:
        return _gate(
            name, signal["auc"], signal["auc_rates"], signal["n"], f"not judged: fewer than {LEAST_ROWS:,} rows"
        )
    return _gate(name, signal["auc"], signal["auc_rates"], signal["n"], _verdict(signal["auc"] >= signal["auc_rates"]))


def _verdict(good: bool) -> str:
    return "passed" if good else "failed"


def _number(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)
