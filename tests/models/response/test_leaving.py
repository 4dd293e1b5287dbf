"""Leaving and coming back: features by hand, coefficients found again, gaps that are log-normal, rows of a log by hand."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from svsim.data import prepare
from svsim.models.response.leaving import FEATURES, LEAST_GAP_H, Leaving, leaving_features, repeated_shares
from svsim.models.response.leaving_rows import leaving_rows
from svsim.models.response.material import Material
from tests.kuairand import log_row, video_row, write_kuairand

MIDNIGHT = 1_649_347_200_000
HOUR, MINUTE, DAY = 3_600_000, 60_000, 86_400_000


def test_repeated_shares_by_hand() -> None:
    """Rings of videos, authors, first tags: what stands there for the second time is repeated, none of it is not counted."""
    rings = np.full((4, 3, 16), -1)
    rings[0, 1, -4:], rings[0, 2, -4:] = [4, 5, 4, 4], [2, 2, 3, 3]
    # Twelve of one author: of the last ten all but one are repeated; videos without a tag repeat nothing.
    rings[1, 1, -12:], rings[1, 2, -12:] = 9, [3] * 2 + [0] * 8 + [5, 5]
    rings[2, 1, -1], rings[2, 2, -1] = 4, 2
    found = repeated_shares(rings)
    # Tags first, then authors.
    np.testing.assert_allclose(found, [[2 / 4, 2 / 4], [1 / 2, 9 / 10], [0, 0], [0, 0]])


def test_features_by_hand() -> None:
    found = leaving_features(
        np.array([0.25, -0.5]), np.array([[0.1, 0.2], [0, 0]]), np.array([7.0, -1.0]), np.array([3, 1]),
        np.array([MIDNIGHT + 6 * HOUR, MIDNIGHT]),
    )  # fmt: skip
    assert found.shape == (2, len(FEATURES))
    expected = [[1, 0.25, 0.1, 0.2, np.log(8), np.log(4), 1, 0, 0, -1], [1, -0.5, 0, 0, 0, np.log(2), 0, 1, 0, 1]]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.fixture(scope="module")
def simulated() -> tuple[Leaving, dict[str, np.ndarray]]:
    """A log of 60,000 videos whose users leave and come back by known coefficients."""
    rng = np.random.default_rng(0)
    n = 60_000
    features = leaving_features(
        rng.normal(0, 0.2, n), rng.random((n, 2)), rng.exponential(5, n), rng.integers(1, 30, n),
        MIDNIGHT + rng.integers(0, DAY, n),
    )  # fmt: skip
    leave = np.array([-3.0, 1.5, 0.4, -0.6, 0.3, 0.2, 0.1, -0.2, 0.05, 0.1])
    gap = np.array([1.5, 0.5, 0.3, -0.2, 0.1, 0.05, -0.1, 0.2, 0.0, 0.1])
    left = rng.random(n) < 1 / (1 + np.exp(-features @ leave))
    # None so short that the least gap would cut it.
    gap_h = np.where(left, np.exp(features @ gap + 0.25 * rng.normal(size=n)), np.nan)
    click = rng.random(n) < 0.4
    goes_on = ~left & (rng.random(n) < np.where(click, 0.8, 0.3))
    truth = Leaving.fit(features, left, gap_h, goes_on, click)
    truth = dataclasses.replace(truth, leave=leave, gap=gap, gap_sd=0.25, follows=np.array([0.3, 0.8]))
    return truth, {"features": features, "left": left, "gap_h": gap_h, "goes_on": goes_on, "click": click}


def test_coefficients_are_found_again(simulated: tuple[Leaving, dict[str, np.ndarray]]) -> None:
    truth, log = simulated
    found = Leaving.fit(**log)
    x, left = log["features"], log["left"]
    p = truth.probability(x)
    error = np.sqrt(np.diag(np.linalg.inv((x * (p * (1 - p))[:, None]).T @ x)))
    np.testing.assert_array_less(np.abs(found.leave - truth.leave), 4 * error)
    error = 0.25 * np.sqrt(np.diag(np.linalg.inv(x[left].T @ x[left])))
    np.testing.assert_array_less(np.abs(found.gap - truth.gap), 4 * error)
    assert found.gap_sd == pytest.approx(0.25, abs=4 * 0.25 / np.sqrt(2 * left.sum()))
    stays = ~left
    for value in (0, 1):
        n = (stays & (log["click"] == value)).sum()
        assert found.follows[value] == pytest.approx(truth.follows[value], abs=4 * 0.5 / np.sqrt(n))
    # Probabilities are calibrated: over the rows that it was fitted to the intercept sees to it.
    assert found.probability(x).mean() == pytest.approx(left.mean(), abs=1e-4)


def test_disappointment_that_drives_users_away_is_told_from_chance(
    simulated: tuple[Leaving, dict[str, np.ndarray]],
) -> None:
    truth, _ = simulated
    calm, bored = (
        leaving_features(np.array([d]), np.zeros((1, 2)), np.ones(1), np.ones(1), np.array([MIDNIGHT]))
        for d in (0, 0.5)
    )
    odds = [p / (1 - p) for p in (truth.probability(calm)[0], truth.probability(bored)[0])]
    assert odds[1] / odds[0] == pytest.approx(np.exp(1.5 * 0.5))


def test_gaps_are_log_normal(simulated: tuple[Leaving, dict[str, np.ndarray]]) -> None:
    """Median e^{γ·f}, σ; none below half an hour and a minute."""
    truth, _ = simulated
    n = 40_000
    features = np.tile(np.eye(len(FEATURES))[0], (n, 1))
    uniform = np.random.default_rng(1).random(n)
    drawn = np.log(truth.gap_h(features, uniform))
    assert drawn.mean() == pytest.approx(1.5, abs=4 * 0.25 / np.sqrt(n))
    assert drawn.std() == pytest.approx(0.25, abs=4 * 0.25 / np.sqrt(2 * n))
    assert np.percentile(drawn, 97.72499) == pytest.approx(2.0, abs=0.02)
    assert truth.gap_h(features[:1], np.array([0.5]))[0] == pytest.approx(np.exp(1.5))
    ends = truth.gap_h(features[:2], np.array([0.0, 1 - 2.0**-53]))
    assert np.isfinite(ends).all()
    wide = dataclasses.replace(truth, gap_sd=3.0)
    assert wide.gap_h(features, uniform).min() == LEAST_GAP_H


def test_quantiles_of_gaps_are_of_both(simulated: tuple[Leaving, dict[str, np.ndarray]]) -> None:
    """Those of the log, and beside them those that the fit draws for the same rows: the log is drawn from a log-normal."""
    truth, log = simulated
    logged, drawn = truth.gap_quantiles
    gap = log["gap_h"][log["left"]]
    np.testing.assert_allclose(logged, np.percentile(gap, [10, 25, 50, 75, 90]), rtol=1e-9)
    np.testing.assert_allclose(drawn, logged, rtol=0.05)


def test_a_log_in_which_nobody_left_has_finite_coefficients() -> None:
    features = np.zeros((50, len(FEATURES)))
    features[:, 0] = 1
    none = np.zeros(50, dtype=bool)
    found = Leaving.fit(features, none, np.full(50, np.nan), ~none, none)
    assert found.probability(features).max() < 0.01
    assert np.isfinite(found.gap_h(features, np.full(50, 0.5))).all()
    assert found.follows.tolist() == [1, 0]


# --- rows of a log ----------------------------------------------------------------------------------------------------


def test_rows_of_a_log_by_hand(tmp_path: Path) -> None:
    """User 1: a request of two videos, five minutes later one, two hours later one; its next day is another split's.

    User 2 plays one video at the log's very end, whose session may have gone on; user 3 one in good time, never again.
    """
    start = MIDNIGHT + 36 * HOUR
    rows = [
        log_row(user=1, video=1, time_ms=start, date=20220409, play=5_000, is_click=1),
        log_row(user=1, video=2, time_ms=start, date=20220409, play=10_000),
        log_row(user=1, video=1, time_ms=start + 5 * MINUTE, date=20220409, play=60_000),
        log_row(user=1, video=3, time_ms=start + 125 * MINUTE, date=20220409, play=0),
        log_row(user=3, video=1, time_ms=start, date=20220409, play=5_000),
        log_row(user=3, video=1, time_ms=start + 12 * DAY, date=20220421, play=5_000),
        log_row(user=3, video=1, time_ms=start + 13 * DAY, date=20220422, play=5_000),
        log_row(user=2, video=1, time_ms=start + 13 * DAY + MINUTE, date=20220422, play=5_000),
    ]
    videos = [video_row(v, author=a, tag=t) for v, a, t in ((1, 7, "4"), (2, 7, "9"), (3, 8, "4"))]
    write_kuairand(tmp_path / "files", rows, users={1: 0, 2: 0, 3: 0}, videos=videos)
    store = prepare(tmp_path / "files", tmp_path / "store")
    assert store.users["user_id"][store.events["user"]].tolist() == [1, 1, 1, 1, 2, 3, 3, 3]
    found = leaving_rows(Material(store), np.arange(8), np.full(8, 0.75))

    # The last rows of users 2 and 3 lie within half an hour of the log's end.
    assert found.rows.tolist() == [0, 1, 2, 3, 5, 6]
    assert found.left.tolist() == [False, False, True, True, True, True]
    assert found.goes_on.tolist() == [True, False, False, False, False, False]
    assert found.click.tolist() == [True, False, False, False, False, False]
    # From the end of the play to the next row: 2 h less a minute; user 1 is not seen again.
    gaps = [np.nan, np.nan, 2 - 1 / 60, np.nan, 12 * 24 - 5 / 3_600, 24 - 5 / 3_600]
    np.testing.assert_allclose(found.gap_h, gaps, rtol=1e-9)
    told = dict(zip(FEATURES, found.features.T, strict=True))
    # Watch ratios .5, 1, 1 (60 s of 10 s), 0 against .75: a tenth of the surprise comes in, nine tenths of the old stay.
    surprise = [0.025, 0.9 * 0.025 - 0.025, 0.9 * (0.9 * 0.025 - 0.025) - 0.025, 0.075, 0.025, 0.025]
    np.testing.assert_allclose(told["disappointment"], surprise, atol=1e-7)
    # Of user 1's first session the authors are 7, 7, 7, the tags 4, 9, 4.
    np.testing.assert_allclose(told["repeated_authors"], [0, 1 / 2, 2 / 3, 0, 0, 0])
    np.testing.assert_allclose(told["repeated_tags"], [0, 0, 1 / 3, 0, 0, 0])
    minutes = [5 / 60, 10 / 60, 6, 0, 5 / 60, 5 / 60]
    np.testing.assert_allclose(told["log_minutes"], np.log1p(minutes), rtol=1e-6)
    np.testing.assert_allclose(told["log_videos"], np.log1p([1, 2, 3, 1, 1, 1]))
    # Noon in Beijing; 12:05; 14:05.
    np.testing.assert_allclose(told["cos_hour"][[0, 4, 5]], -1, atol=1e-6)
    assert told["sin_hour"][3] == pytest.approx(-np.sin(2 * np.pi * 125 / 1_440), abs=1e-6)
