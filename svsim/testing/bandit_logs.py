"""Small logs with all that stands behind them, and the search for one that an estimator fails on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from svsim.ope.rows import Rows, checked_rows

__all__ = ["BanditLog", "draw_log", "draw_policy", "search"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def search(body: Callable[[int, int, int], None], examples: int) -> None:
    """Call a body with numbers of rows, of actions and seeds; Hypothesis looks for a small log that fails."""
    try:
        from hypothesis import HealthCheck, Phase, given, settings
        from hypothesis import strategies as st
    except ImportError:
        for seed in range(examples):
            rng = np.random.default_rng(seed)
            body(int(rng.integers(3, 13)), int(rng.integers(2, 6)), seed)
        return
    same_each_time = settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )

    @same_each_time
    @given(st.integers(3, 12), st.integers(2, 5), st.integers(0, 2**16))
    def run(rows: int, actions: int, seed: int) -> None:
        body(rows, actions, seed)

    run()


@dataclass(frozen=True)
class BanditLog:
    """n rows, K actions each: all that stands behind what estimators take."""

    behaviour: Floats
    """(n, K) probabilities above 0."""
    target: Floats
    """(n, K) probabilities."""
    model: Floats
    """(n, K) q̂."""
    action: Ints
    """(n,) what was logged."""
    reward: Floats
    """(n,) r."""
    user: Ints
    """(n,) ids of two users at least."""

    def of_logged(self, table: Floats) -> Floats:
        """(n,) what a table (n, K) says of the logged actions."""
        return table[np.arange(len(self.action)), self.action]

    def expected(self, table: Floats) -> Floats:
        """(n,) what a table (n, K) says of the target."""
        return np.asarray((self.target * table).sum(axis=1))

    def rows(self) -> Rows:
        """What estimators take."""
        return checked_rows(
            reward=self.reward,
            weight=self.of_logged(self.target) / self.of_logged(self.behaviour),
            q_logged=self.of_logged(self.model),
            q_expected=self.expected(self.model),
            match=self.action == self.target.argmax(axis=1),
            user=self.user,
        )


def draw_log(rng: np.random.Generator, rows: int, actions: int) -> BanditLog:
    """A log with a match in its first row; about half the targets are deterministic."""
    behaviour, target = draw_policy(rng, rows, actions), draw_policy(rng, rows, actions)
    if rng.random() < 0.5:
        target = np.eye(actions)[target.argmax(axis=1)]
    action = np.array([rng.choice(actions, p=chances) for chances in behaviour])
    action[0] = target[0].argmax()
    reward = rng.integers(0, 2, rows).astype(np.float64) if rng.random() < 0.5 else rng.normal(size=rows)
    user = 3 * rng.integers(0, max(rows // 2, 2), rows)
    user[:2] = 0, 3
    return BanditLog(behaviour, target, rng.uniform(-1, 2, (rows, actions)), action, reward, user)


def draw_policy(rng: np.random.Generator, rows: int, actions: int) -> Floats:
    """(rows, actions) probabilities of 1 in 20 at least."""
    return np.asarray((1 - actions / 20) * rng.dirichlet(np.ones(actions), rows) + 1 / 20)
