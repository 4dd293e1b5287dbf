"""Calibration finds a slope and shifts that were put in, leaves alone what it knows little of, and only improves."""

from __future__ import annotations

import numpy as np
import pytest

from svsim.models.response.calibration import Calibration
from svsim.models.response.forward import FLAG_OUTPUTS, N_OUTPUTS
from svsim.models.response.watch import N_PHASES

FLAGS = len(FLAG_OUTPUTS)
SLOPE, SHIFT, BY_CHANCE = 0.7, 0.4, -0.8


def case(n: int, rng: np.random.Generator, base: float = 0.0) -> dict[str, np.ndarray]:
    """Rows whose truth is slope · output + shift, another shift where chance chose the video."""
    outputs = rng.normal(0, 1, (n, N_OUTPUTS))
    outputs[:, N_PHASES:] += base
    chance = rng.random(n) < 0.5
    true = SLOPE * outputs + np.where(chance, BY_CHANCE, SHIFT)[:, None]
    # Each play meets one phase alone, of as much baseline hazard as it lives through.
    phase = rng.integers(0, N_PHASES, n)
    own = true[np.arange(n), phase]
    ended_after, over = rng.exponential(np.exp(-own)), rng.uniform(0.5, 2, n)
    lived = np.zeros((n, N_PHASES))
    lived[np.arange(n), phase] = np.minimum(ended_after, over)
    extra = rng.normal(0, 0.5, (n, FLAGS))
    quiet = rng.random(n) < 1 / (1 + np.exp(-true[:, N_PHASES]))
    flags = rng.random((n, FLAGS)) < 1 / (1 + np.exp(-(true[:, N_PHASES + 1 :] + extra)))
    # What outlasts the phase is told to end nowhere.
    ended = np.where(ended_after < over, phase, -1)
    return {
        "outputs": outputs, "chance": chance, "lived": lived, "ended": ended, "quiet": quiet,
        "flags": flags.astype(float), "extra": extra, "true": true,
    }  # fmt: skip


def fit(told: dict[str, np.ndarray]) -> Calibration:
    return Calibration.fit(*(told[name] for name in ("outputs", "chance", "lived", "ended", "flags", "extra")))


@pytest.fixture(scope="module")
def many() -> dict[str, np.ndarray]:
    return case(210_000, np.random.default_rng(0))


def test_log_hazards_find_their_slope_and_shifts(many: dict[str, np.ndarray]) -> None:
    """Poisson: 30,000 rows a phase, an error of some 1/√events; the ridges are worth 300 events at most."""
    found = fit(many)
    for phase in range(N_PHASES):
        own = many["lived"][:, phase] > 0
        for kind, shift in ((0, SHIFT), (1, BY_CHANCE)):
            events = (own & (many["chance"] == kind) & (many["ended"] == phase)).sum()
            assert events > 3_000
            tolerance = 4 / np.sqrt(events) + 300 / events * abs(BY_CHANCE - SHIFT)
            assert found.shift[kind, phase] == pytest.approx(shift, abs=tolerance)
        assert found.slope[phase] == pytest.approx(SLOPE, abs=4 / np.sqrt(events) + 30 / events)


def test_logits_find_their_slope_and_shifts(many: dict[str, np.ndarray]) -> None:
    found = fit(many)
    # Information of a logit is at least .15 a row here.
    information = 0.15 * len(many["chance"]) / 2
    for at in range(N_PHASES + 1, N_OUTPUTS):
        for kind, shift in ((0, SHIFT), (1, BY_CHANCE)):
            tolerance = 4 / np.sqrt(information) + 300 / information * abs(BY_CHANCE - SHIFT)
            assert found.shift[kind, at] == pytest.approx(shift, abs=tolerance)
        assert found.slope[at] == pytest.approx(SLOPE, abs=4 / np.sqrt(information) + 30 / information)


def test_no_play_finds_its_slope_and_shifts(many: dict[str, np.ndarray]) -> None:
    """The rows of `quiet` have no play: they live through nothing and end nowhere; the others do."""
    told = dict(many)
    told["ended"] = np.where(many["quiet"], -1, 0)
    told["lived"] = np.where(many["quiet"], 0.0, 1.0)[:, None] * np.ones(N_PHASES)
    found = fit(told)
    information = 0.15 * len(many["chance"]) / 2
    for kind, shift in ((0, SHIFT), (1, BY_CHANCE)):
        tolerance = 4 / np.sqrt(information) + 300 / information * abs(BY_CHANCE - SHIFT)
        assert found.shift[kind, N_PHASES] == pytest.approx(shift, abs=tolerance)


def test_calibrated_outputs_are_the_true_ones(many: dict[str, np.ndarray]) -> None:
    found = fit(many)
    calibrated = found(many["outputs"].astype(np.float32), many["chance"])
    error = np.abs(calibrated - many["true"])
    assert np.delete(error, N_PHASES, axis=1).mean() < 0.05
    assert np.delete(np.abs(many["outputs"] - many["true"]), N_PHASES, axis=1).mean() > 0.5
    assert calibrated.shape == many["outputs"].shape


def test_plays_that_end_where_a_phase_begins_are_its_events() -> None:
    """4,000 rows live through 1 each of phase 4, a quarter end there; another 3,000 end at its very beginning.

    With no output to go by the shift maximises 4,000 a − 4,000 e^a − 15 a², the ridge being 30.
    """
    n = 7_000
    lived = np.zeros((n, N_PHASES))
    lived[:4_000, 4] = 1.0
    ended = np.where((np.arange(n) < 1_000) | (np.arange(n) >= 4_000), 4, 5)
    found = Calibration.fit(
        np.zeros((n, N_OUTPUTS)), np.zeros(n, dtype=bool), lived, ended, np.zeros((n, FLAGS)), np.zeros((n, FLAGS))
    )
    assert found.shift[0, 4] == pytest.approx(0, abs=1e-6)


def test_few_positives_hardly_move_it() -> None:
    """Five likes of 4,000, where 22 were expected, and the truth of each flag elsewhere: the ridge is worth thirty."""
    rng = np.random.default_rng(1)
    told = case(4_000, rng)
    told["outputs"][:, N_PHASES + 1] = -5.2
    told["extra"][:, 0] = 0
    told["flags"][:, 0] = 0
    told["flags"][:5, 0] = 1
    found = fit(told)
    at = N_PHASES + 1
    expected = 4_000 / (1 + np.exp(5.2))
    assert expected == pytest.approx(22, abs=1)
    assert -0.6 < found.shift[0, at] < 0
    assert abs(found.shift[1, at] - found.shift[0, at]) < 0.05
    assert found.slope[at] == pytest.approx(1, abs=0.25)


def test_nothing_to_learn_from_changes_nothing() -> None:
    none = Calibration.fit(
        np.zeros((0, N_OUTPUTS)), np.zeros(0, dtype=bool), np.zeros((0, N_PHASES)), np.zeros(0, dtype=int),
        np.zeros((0, FLAGS)), np.zeros((0, FLAGS)),
    )  # fmt: skip
    np.testing.assert_allclose(none.slope, 1)
    np.testing.assert_allclose(none.shift, 0)
    outputs = np.random.default_rng(2).normal(size=(3, 7, N_OUTPUTS)).astype(np.float32)
    for calibration in (none, Calibration.none(N_OUTPUTS)):
        np.testing.assert_allclose(calibration(outputs, np.ones((3, 7), dtype=bool)), outputs, rtol=1e-6)


@pytest.mark.parametrize("n", [300, 3_000])
def test_it_fits_no_worse_than_before(n: int) -> None:
    """On the rows that it was fitted to: the likelihood rises by at least what the ridges cost, for each output."""
    told = case(n, np.random.default_rng(n), base=-1.0)
    found = fit(told)
    for at in range(N_OUTPUTS):
        if at < N_PHASES:
            rows = told["lived"][:, at] > 0
            event, lived = told["ended"][rows] == at, told["lived"][rows, at]
        else:
            rows = np.ones(n, dtype=bool)
            event = told["ended"] < 0 if at == N_PHASES else told["flags"][:, at - N_PHASES - 1]
            lived = None
        before, after = told["outputs"][rows, at], found(told["outputs"], told["chance"])[rows, at]
        likelihood = []
        for eta in (before, after):
            if lived is None:
                logit = eta + (told["extra"][:, at - N_PHASES - 1] if at > N_PHASES else 0)
                likelihood.append((event * logit - np.logaddexp(0, logit)).sum())
            else:
                likelihood.append((event * eta - np.exp(eta) * lived).sum())
        assert likelihood[1] >= likelihood[0], at
