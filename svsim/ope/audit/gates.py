"""What an audit of a random log judges: gates, each with its n.

    random rows         100 or more
    days without any    none, between the first and the last
    outside the pool    no video, where the pool is known (`svsim.ope.audit.pool`)
    unevenness          τ² = K Σ p² − 1 of the videos, over all and of the worst day or tab (`svsim.ope.audit.uniformity`).
                        No real log is quite uniform (KuaiRand-27K: .032, 312 standard errors), so that its size is
                        judged, less what is chance at level α. Above .02 the weights 1/K move a value by up to .14 standard
                        deviations between videos: a warning to use estimated propensities, which 1/K alone does not pass.
                        Above .5, a fault: rates so different were chosen by something, and may depend on what the
                        estimate averages over.
    repeats             a user's repeats at most 1.5 times those between users, unless that is chance (z of 5, α). Fewer
                        are no fault: draws without replacement for each user, whose propensities are higher by n_u / K
                        at most.
    insertion           noted and no fault: the value is over the contexts in which chance took over, see
                        `svsim.ope.audit.insertion`

Of fewer than 100 rows nothing else is judged.
"""

from __future__ import annotations

from typing import Any

__all__ = ["LEAST_ROWS", "gates_of"]

Told = dict[str, Any]

LEAST_ROWS = 100
LARGEST_FOR_UNIFORM, LARGEST_UNEVENNESS = 0.02, 0.5
LARGEST_REPEATS, REPEATS_Z = 1.5, 5.0


def gates_of(told: Told) -> list[Told]:
    """Judge what was found; a verdict is `passed`, `failed`, or begins with `warned`, `noted` or `not judged`."""
    n = told["rows"]
    pool, repeats = told["pool"], told["repeats"]
    gates = [
        _gate("random rows", n, LEAST_ROWS, n, n >= LEAST_ROWS),
        _gate("days without any", len(told["days_without"]), 0, n, not told["days_without"]),
    ]
    if pool["source"] == "seen":
        gates.append(_gate("videos outside the pool", None, 0, n, "not judged: the pool is what was drawn"))
    else:
        gates.append(_gate("rows of videos outside the pool", pool["outside"], 0, n, not pool["outside"]))
    gates += _uneven_gates(told)
    seldom = repeats["z"] <= REPEATS_Z or repeats["p"] >= told["alpha"]
    good = repeats["ratio"] is None or seldom or repeats["ratio"] <= LARGEST_REPEATS
    gates.append(_gate("repeats by a user, ratio", repeats["ratio"], LARGEST_REPEATS, n, good))
    if told["insertion"] is not None:
        gates += [_insertion_gate(test, told) for test in told["insertion"]["tests"]]
    if n < LEAST_ROWS:
        for gate in gates[1:]:
            gate["verdict"] = f"not judged: fewer than {LEAST_ROWS} rows"
    return gates


def _uneven_gates(told: Told) -> list[Told]:
    from scipy import stats

    whole, *parts = told["uniformity"]
    gates = []
    for name, judged in (("unevenness", [whole]), ("unevenness, worst day or tab", parts)):
        level = float(stats.norm.isf(told["alpha"] / len(judged)))
        known = [part for part in judged if part["unevenness"] is not None]
        if not known:
            gates.append(_gate(name, None, LARGEST_FOR_UNIFORM, whole["rows"], "not judged: no pairs"))
            continue
        least = {part["where"]: part["unevenness"] - level * part["unevenness_error"] for part in known}
        worst = max(known, key=lambda part: least[part["where"]])
        low = least[worst["where"]]
        verdict = "passed" if low <= LARGEST_FOR_UNIFORM else "warned: use estimated propensities, not 1/K"
        limit = LARGEST_FOR_UNIFORM
        if low > LARGEST_UNEVENNESS:
            verdict, limit = "failed", LARGEST_UNEVENNESS
        named = name if worst is whole else f"{name} ({worst['where']})"
        gates.append(_gate(named, worst["unevenness"], limit, worst["rows"], verdict))
    return gates


def _insertion_gate(test: Told, told: Told) -> Told:
    n = told["insertion"]["rows"]
    ratios = [group["ratio"] for group in test["groups"] if group["ratio"] is not None]
    name = f"insertion by {test['name']}, largest ratio"
    if not test["degrees"]:
        return _gate(name, None, None, n, "not judged: one group")
    far = test["p"] < told["alpha"]
    verdict = "noted: contexts are not those of the standard log" if far else "passed"
    return _gate(name, max(ratios), None, n, verdict)


def _gate(name: str, value: float | None, limit: float | None, n: int, verdict: str | bool) -> Told:
    if isinstance(verdict, bool):
        verdict = "passed" if verdict else "failed"
    return {"name": name, "value": value, "limit": limit, "n": n, "verdict": verdict}
