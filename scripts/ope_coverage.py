"""How often intervals of off-policy estimates cover, over simulated logs of designs whose values are known.

    python scripts/ope_coverage.py > coverage.md
    python scripts/ope_coverage.py --logs 100 --few 0 --designs uniform_greedy     # a look

Users are drawn anew for every log, with a type, an activity and a leaning of their own; all they do goes into one cluster.
Values are sums over types and actions, not simulations: unbiased and consistent estimators are held to the target's value;
the others, whose bias no interval knows, to what they tend to given their q̂, and the bias is in the table. Of gated designs
(effective sample size of 400 or more, reward rate of .15 or more) 93.5 to 97 % are asked of 95 % delta intervals; misses are
told and end with status 1. Estimators whose constant SLOPE chooses are shown against the target's value, not gated.
"""

from __future__ import annotations

import os

# Before numpy is loaded.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import tyro

from svsim.ope.estimates import TUNED, Estimate, estimate_rows
from svsim.ope.estimators import ESTIMATORS
from svsim.ope.rows import Rows, checked_rows

Floats = npt.NDArray[np.float64]

GATE = (0.935, 0.97)
LEVEL = 0.95
CONSTANTS = {"ips_clip": 5.0, "dr_clip": 5.0, "switch_dr": 5.0, "dros": 10.0}
CONSISTENT = ("replay", "ips", "snips", "dr", "sndr")
"""Held to the truth; the others to what they tend to."""
BOUNDED = ("ips", "ips_clip")
"""Of which intervals of bounded rows are made: they take rows as independent, which those of a user are not."""
USERS = 400


@dataclass(frozen=True, kw_only=True)
class Options:
    """How often intervals of off-policy estimates cover."""

    logs: int = 2_000
    """Of each design."""
    few: int = 200
    """Of which the other intervals are made as well."""
    resamples: int = 500
    """Of the bootstrap."""
    designs: tuple[str, ...] = ()
    """By name; all when none is named."""
    seed: int = 0
    """Of the logs; q̂ and the designs stay."""


@dataclass(frozen=True)
class Design:
    """A world of T types of users and A actions, the log's policy and the target.

    A row's reward is 1 with probability q(type, action) plus its user's leaning, which is uniform from −lean to lean.
    """

    name: str
    gated: bool
    q: Floats
    """(T, A)."""
    log: Floats
    """(T, A) p."""
    target: Floats
    """(T, A) π."""
    activity: Floats
    """(T,) rows of a user beside the first, on average."""
    group: npt.NDArray[np.int64]
    """(A,) of MIPS."""
    spread: float = 0.5
    """Standard deviation of the logarithm of a user's activity."""
    lean: float = 0.1
    model: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    """(T, A) q̂, fitted on a log of its own."""

    @cached_property
    def cells(self) -> Floats:
        """(T × A) shares of rows."""
        rows = 1 + self.activity
        return np.asarray((rows / rows.sum())[:, None] * self.log)

    @property
    def truth(self) -> float:
        """The target's value per row."""
        return float((self.cells.sum(axis=1, keepdims=True) * self.target * self.q).sum())

    @property
    def deterministic(self) -> bool:
        """Whether the target always does the same."""
        return bool((self.target.max(axis=1) == 1).all())

    def rows(self, kind: npt.NDArray[np.int64], action: npt.NDArray[np.int64], reward: Floats, name: str) -> Rows:
        """What an estimator takes of rows of types, actions and rewards."""
        weight = self.target / self.log
        if name == "mips":
            share = np.eye(int(self.group.max()) + 1)[self.group]
            weight = ((self.target @ share) / (self.log @ share))[:, self.group]
        return checked_rows(
            reward=reward,
            weight=weight[kind, action],
            q_logged=self.model[kind, action],
            q_expected=(self.target * self.model).sum(axis=1)[kind],
            match=self.target[kind, action] == 1,
        )

    def limit(self, name: str) -> float:
        """What an estimator tends to as the log grows: its terms, summed over types and actions."""
        kind, action = np.divmod(np.arange(self.q.size), self.q.shape[1])
        # Terms are linear in the reward, so that its mean stands for it.
        rows = self.rows(kind, action, self.q.reshape(-1), name)
        terms = ESTIMATORS[name].terms(rows, CONSTANTS.get(name))
        share = self.cells.reshape(-1)
        below = 1.0 if terms.denominator is None else float(share @ terms.denominator)
        base = 0.0 if terms.base is None else float(share @ terms.base)
        return base + float(share @ terms.numerator) / below

    def simulate(self, rng: np.random.Generator, users: int = USERS) -> tuple[npt.NDArray[np.int64], ...]:
        """A log: users, their types, actions, rewards, a row each."""
        kind = rng.integers(len(self.q), size=users)
        rate = self.activity[kind] * rng.lognormal(-(self.spread**2) / 2, self.spread, users)
        user = np.repeat(np.arange(users), 1 + rng.poisson(rate))
        leaning = rng.uniform(-self.lean, self.lean, users)
        own = kind[user]
        edges = self.log.cumsum(axis=1)[:, :-1]
        action = (rng.random((len(user), 1)) > edges[own]).sum(axis=1)
        reward = rng.random(len(user)) < self.q[own, action] + leaning[user]
        return user, own, action, reward.astype(np.int64)


def softmax(scores: Floats) -> Floats:
    """(T, A) shares."""
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def greedy(scores: Floats) -> Floats:
    """(T, A) 1 for the best."""
    return np.asarray(np.eye(scores.shape[1])[scores.argmax(axis=1)])


def fitted(design: Design) -> Design:
    """The design with q̂: rates of types and actions in a log of its own, drawn towards their mean."""
    _, kind, action, reward = design.simulate(np.random.default_rng(99))
    size = design.q.size
    cell = kind * design.q.shape[1] + action
    shown = np.bincount(cell, minlength=size)
    liked = np.bincount(cell, weights=reward, minlength=size)
    model = (liked + 20 * reward.mean()) / (shown + 20)
    return replace(design, model=model.reshape(design.q.shape))


def designs() -> dict[str, Design]:
    """The designs by name."""
    rng = np.random.default_rng(7)
    types = 6

    def world(actions: int, low: float, high: float, residual: float = 0.3) -> tuple[Floats, npt.NDArray[np.int64]]:
        group = np.arange(actions) * 4 // actions
        by_group = rng.random((types, 4))[:, group]
        mixed = (1 - residual) * by_group + residual * rng.random((types, actions))
        return low + (high - low) * mixed, group

    # What is more liked is more active too, so that rows are no sample of users.
    activity = np.linspace(5, 13, types)
    made = []
    q, group = world(8, 0.15, 0.75)
    even = np.full_like(q, 1 / 8)
    made.append(Design("uniform_greedy", True, q, even, greedy(q + rng.normal(0, 0.1, q.shape)), activity, group))
    q, group = world(20, 0.1, 0.7, residual=0)
    taste = rng.normal(size=q.shape)
    made.append(Design("softmax_softmax", True, q, softmax(taste), softmax(taste + 4 * q), activity, group))
    q, group = world(8, 0.35, 0.65)
    made.append(
        Design(
            "one_mind",
            True,
            q,
            softmax(rng.normal(0, 0.5, q.shape)),
            softmax(6 * q),
            activity,
            group,
            spread=1,
            lean=0.35,
        )
    )
    q, group = world(20, 0.15, 0.7)
    taste = rng.normal(0, 1.1, q.shape)
    made.append(Design("heavy_weights", True, q, softmax(taste), softmax(3 * q - 0.3 * taste), activity, group))
    q, group = world(50, 0.005, 0.03)
    even = np.full_like(q, 1 / 50)
    made.append(Design("rare", False, q, even, greedy(q), activity, group, lean=0.005))
    return {design.name: fitted(design) for design in made}


def names(design: Design) -> list[str]:
    """Estimators that the design has something to say of."""
    plain = [name for name in ESTIMATORS if name != "mrdr" and (name != "replay" or design.deterministic)]
    return [*plain, *TUNED]


def estimates(design: Design, log: Sequence[npt.NDArray[np.int64]], chosen: Sequence[str]) -> dict[str, Estimate]:
    """Estimates of one log."""
    user, kind, action, reward = log
    plain, groups = (
        replace(design.rows(kind, action, reward.astype(np.float64), name), user=user) for name in ("", "mips")
    )
    return {name: estimate_rows(name, groups if name == "mips" else plain, CONSTANTS.get(name)) for name in chosen}


@dataclass
class Tally:
    """What came of an estimator's intervals."""

    aim: float
    values: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    ends: list[tuple[float, float]] = field(default_factory=list)
    resampled: list[tuple[float, float]] = field(default_factory=list)
    bernstein: list[tuple[float, float]] = field(default_factory=list)
    betting: list[tuple[float, float]] = field(default_factory=list)

    def add(self, estimate: Estimate, *, resamples: int | None, seed: int, highest: float | None = None) -> None:
        """One log's.

        Args:
            estimate: Of the log.
            resamples: Of the bootstrap; None leaves it out.
            seed: Of its draws.
            highest: What a term can be at most, for intervals of bounded rows; None leaves them out.
        """
        self.values.append(estimate.value)
        self.errors.append(estimate.standard_error)
        self.ends.append(estimate.interval(LEVEL))
        if resamples is not None:
            self.resampled.append(estimate.interval(LEVEL, "bootstrap", resamples=resamples, seed=seed))
        if highest is not None:
            self.bernstein.append(estimate.interval(LEVEL, "bernstein", term_range=(0, highest)))
            self.betting.append(estimate.interval(LEVEL, "betting", seed=seed, term_range=(0, highest)))

    def covers(self, ends: list[tuple[float, float]]) -> float:
        """Share of the intervals that hold the aim; NaN of none."""
        low, high = np.array(ends or [(np.nan, np.nan)]).T
        return float(np.mean((low <= self.aim) & (self.aim <= high))) if ends else float("nan")

    def line(self, design: Design, name: str) -> str:
        """Of the table."""
        low, high = np.array(self.ends).T
        aimed = "truth" if self.aim == design.truth else "its own"
        figures = [
            f"{self.aim:.4f}",
            f"{self.aim - design.truth:+.4f}" if name not in TUNED else f"{np.mean(self.values) - design.truth:+.4f}",
            f"{100 * self.covers(self.ends):.1f}",
            f"{100 * np.mean(high < self.aim):.1f}",
            f"{100 * np.mean(low > self.aim):.1f}",
            *(
                "" if not ends else f"{100 * self.covers(ends):.1f}"
                for ends in (self.resampled, self.bernstein, self.betting)
            ),
            f"{np.sqrt(np.mean(np.square(np.array(self.values) - design.truth))):.4f}",
            f"{np.std(self.values):.4f}",
            f"{np.std(self.values) / np.mean(self.errors):.3f}",
        ]
        return f"| {name} | {aimed} | " + " | ".join(figures) + " |"


COLUMNS = (
    "estimator",
    "held to",
    "which is",
    "bias",
    "delta %",
    "too low %",
    "too high %",
    "bootstrap %",
    "Bernstein %",
    "betting %",
    "r.m.s. error",
    "s.d.",
    "s.d. / s.e.",
)
HEAD = f"| {' | '.join(COLUMNS)} |\n|---|---|{'--:|' * (len(COLUMNS) - 2)}"


def covered(design: Design, options: Options, stream: int) -> tuple[dict[str, Tally], float, float, float]:
    """Tallies by estimator, the mean effective sample size and largest weight, the reward rate.

    Args:
        design: Which.
        options: How many logs.
        stream: Of random numbers, so that designs do not err together.
    """
    chosen = names(design)
    tallies = {name: Tally(design.truth if name in (*CONSISTENT, *TUNED) else design.limit(name)) for name in chosen}
    for name in CONSISTENT:
        if name in chosen:
            assert abs(design.limit(name) - design.truth) < 1e-12, f"{name} is consistent"
    heaviest = float((design.target / design.log).max())
    sizes, largest, rates = [], [], []
    for number in range(options.logs):
        log = design.simulate(np.random.default_rng([options.seed, stream, number]))
        found = estimates(design, log, chosen)
        for name, estimate in found.items():
            few = number < options.few and name not in TUNED
            tallies[name].add(
                estimate,
                resamples=options.resamples if few else None,
                seed=number,
                highest=min(heaviest, CONSTANTS.get(name, np.inf)) if few and name in BOUNDED else None,
            )
        sizes.append(found["ips"].ess)
        largest.append(found["ips"].largest_weight)
        rates.append(log[3].mean())
    return tallies, float(np.mean(sizes)), float(np.mean(largest)), float(np.mean(rates))


def main(options: Options) -> None:
    """Simulate and print."""
    known = designs()
    misses = []
    for name in options.designs or known:
        design = known[name]
        began = time.perf_counter()
        tallies, size, largest, rate = covered(design, options, list(known).index(name))
        gate = f"gated: {100 * GATE[0]:g} to {100 * GATE[1]:g} %" if design.gated else "not gated"
        print(f"\n### {name} ({gate})\n")
        print(
            f"{options.logs:,} logs of {USERS} users, effective sample size {size:.0f}, largest weight {largest:.1f}, "
            f"reward rate {rate:.3f}; the target's value is {design.truth:.4f}.\n"
        )
        print(HEAD)
        for estimator, tally in tallies.items():
            print(tally.line(design, estimator))
            share = tally.covers(tally.ends)
            if design.gated and estimator not in TUNED and not GATE[0] <= share <= GATE[1]:
                misses.append(f"{name}, {estimator}: {100 * share:.1f} %")
        sys.stdout.flush()
        print(f"{name}: {time.perf_counter() - began:.0f} s", file=sys.stderr)
        if design.gated and (size < 400 or rate < 0.15):
            misses.append(
                f"{name}: expected an effective size of 400 and a rate of .15, found {size:.0f} and {rate:.3f}"
            )
    if misses:
        raise SystemExit("outside the gate: " + "; ".join(misses))


if __name__ == "__main__":
    main(tyro.cli(Options))
