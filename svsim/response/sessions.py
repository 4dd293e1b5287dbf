"""How well a learned model's users leave: hazards against logged session ends, session lengths simulated against logged."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from svsim.data.store import FeedStore
from svsim.models.response.leaving import FEATURES, GAP_PERCENTILES
from svsim.models.response.leaving_rows import leaving_rows
from svsim.models.response.material import Material
from svsim.models.response.runs import ResponseRun
from svsim.response.learned import LearnedResponse
from svsim.response.protocol import Past

__all__ = ["session_fit", "simulated_lengths"]

Array = npt.NDArray[Any]
Told = dict[str, Any]

SESSIONS, LONGEST = 2_000, 1_000
VIDEOS = 5_000
QUANTILES = (10, 25, 50, 75, 90)
LARGEST_OFF, LARGEST_LENGTH_OFF = 0.1, 0.2
LEAST_ENDED = 400
"""Ended sessions below which nothing is judged: the mean of fewer is as uncertain as the limits are wide."""
GROUPS = 10
SEED = 0


def session_fit(
    run: ResponseRun, store: FeedStore, material: Material, rows: npt.NDArray[np.int64], expected_wtr: Array
) -> Told:
    """Formula, coefficients and fit of leaving and coming back, and the gates on them.

    Args:
        run: The model.
        store: Its store.
        material: Of the store.
        rows: Rows of the test split.
        expected_wtr: (n,) the model's expectation of each row's watch ratio.
    """
    leaving = run.parts.leaving
    found = leaving_rows(material, rows, expected_wtr)
    hazard = leaving.probability(found.features)
    lengths = store.sessions("test").length
    order = np.argsort(hazard, kind="stable")
    told: Told = {
        "formula": "logit P(leave after a video) = β·f; ln(gap in hours) = γ·f + σ ε",
        "coefficients": {
            name: {"leave": float(b), "gap": float(g)}
            for name, b, g in zip(FEATURES, leaving.leave, leaving.gap, strict=True)
        },
        "gap_sd": leaving.gap_sd,
        "request_goes_on": {"after no click": float(leaving.follows[0]), "after a click": float(leaving.follows[1])},
        "rows": len(found.rows),
        "hazard": {
            "logged": float(found.left.mean()),
            "predicted": float(hazard.mean()),
            "groups": [
                {"n": len(part), "predicted": float(hazard[part].mean()), "logged": float(found.left[part].mean())}
                for part in np.array_split(order, GROUPS)
                if len(part)
            ],
        },
    }
    # Of the training days: a few days of test end most gaps too early.
    if np.isfinite(leaving.gap_quantiles).all():
        names = [f"p{p}" for p in GAP_PERCENTILES]
        told["gap_h"] = {
            source: dict(zip(names, values.tolist(), strict=True))
            for source, values in zip(("logged", "model"), leaving.gap_quantiles, strict=True)
        }
    told["length"] = {"n": len(lengths), "logged": {"mean": float(lengths.mean()), "quantiles": _quantiles(lengths)}}
    reason = f"not judged: sessions of {lengths.mean():.1f} videos are cut-outs"
    if not leaving.whole:
        told["gates"] = [
            _gate(name, None, None, len(lengths), reason) for name in ("leaving, mean hazard", "session length")
        ]
        return told
    simulated = simulated_lengths(run, store)
    told["length"]["model"] = {"mean": float(simulated.mean()), "quantiles": _quantiles(simulated), "n": len(simulated)}
    ended = int(found.left.sum())
    off = float(hazard.mean() / found.left.mean() - 1) if ended else None
    longer = float(simulated.mean() / lengths.mean() - 1)
    told["gates"] = _gates(off, longer, ended, len(found.rows), len(simulated))
    return told


def _gates(off: float | None, longer: float, ended: int, rows: int, simulated: int) -> list[Told]:
    """Gates on the mean hazard's and on the mean length's distance from the log's, where enough sessions ended."""
    few = f"not judged: {ended} sessions ended" if ended < LEAST_ENDED else None
    return [
        _gate(name, value, limit, n, few or _verdict(value is not None and abs(value) <= limit))
        for name, value, limit, n in (
            ("leaving, mean hazard", off, LARGEST_OFF, rows),
            ("session length", longer, LARGEST_LENGTH_OFF, simulated),
        )
    ]


def simulated_lengths(run: ResponseRun, store: FeedStore) -> npt.NDArray[np.int64]:
    """(S,) lengths of sessions that open where the test split's do and are shown what the platform showed, shuffled.

    Each next video is one of the exposures of the test split, drawn anew; nobody stays longer than 1,000 videos.
    """
    rng = np.random.default_rng(SEED)
    sessions = store.sessions("test")
    chosen = rng.choice(len(sessions), min(SESSIONS, len(sessions)), replace=False)
    standard = sessions.rows[np.asarray(store.events["is_rand"])[sessions.rows] == 0]
    standard = standard if len(standard) else sessions.rows
    shown = store.events["video"][rng.choice(standard, VIDEOS)].astype(np.int64)
    model = LearnedResponse(run, store, np.unique(shown), chance=False)
    event = sessions.rows[sessions.start[chosen]]
    key = chosen.astype(np.uint64)
    state = model.begin(sessions.user[chosen].astype(np.int64), Past(event, store.events["time_ms"][event], key))
    length = np.full(len(chosen), LONGEST, dtype=np.int64)
    alive = np.arange(len(chosen))
    for step in range(1, LONGEST + 1):
        video = rng.choice(shown, len(alive))
        feedback = model.respond(state, video, rng.random((len(alive), 8)))
        state = model.advance(state, video, feedback)
        leaves = rng.random(len(alive)) < model.leave_probability(state)
        length[alive[leaves]] = step
        state = {name: values[~leaves] for name, values in state.items()}
        alive = alive[~leaves]
        if not len(alive):
            break
    return length


def _quantiles(values: Array) -> dict[str, float]:
    return {f"p{p}": float(np.percentile(values, p)) for p in QUANTILES}


def _gate(name: str, value: float | None, limit: float | None, n: int, verdict: str) -> Told:
    return {"name": name, "value": value, "limit": limit, "n": n, "verdict": verdict}


def _verdict(good: bool) -> str:
    return "passed" if good else "failed"
