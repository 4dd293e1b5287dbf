"""95 % delta intervals cover in about 95 % of simulated logs; scripts/ope_coverage.py is the whole of it."""

from __future__ import annotations

import numpy as np
import pytest

from scripts.ope_coverage import CONSISTENT, Design, Tally, designs, estimates

LOGS = 400
CHOSEN = ("ips", "snips", "dr", "sndr", "dros")


@pytest.fixture(scope="module")
def design() -> Design:
    return designs()["uniform_greedy"]


@pytest.fixture(scope="module")
def tallies(design: Design) -> dict[str, Tally]:
    found = {name: Tally(design.truth if name in CONSISTENT else design.limit(name)) for name in CHOSEN}
    for number in range(LOGS):
        log = design.simulate(np.random.default_rng([11, number]))
        for name, estimate in estimates(design, log, CHOSEN).items():
            found[name].add(estimate, resamples=None, seed=number)
    return found


@pytest.mark.parametrize("name", CHOSEN)
def test_delta_intervals_cover_as_often_as_they_say(tallies: dict[str, Tally], name: str) -> None:
    error = np.sqrt(0.95 * 0.05 / LOGS)
    assert abs(tallies[name].covers(tallies[name].ends) - 0.95) < 3 * error


@pytest.mark.parametrize("name", CHOSEN)
def test_estimates_are_where_they_are_held_to(tallies: dict[str, Tally], name: str) -> None:
    tally = tallies[name]
    assert abs(np.mean(tally.values) - tally.aim) < 4 * np.std(tally.values) / np.sqrt(LOGS)


def test_consistent_estimators_tend_to_the_truth_in_every_design() -> None:
    for design in designs().values():
        for name in CONSISTENT:
            if name != "replay" or design.deterministic:
                assert design.limit(name) == pytest.approx(design.truth, abs=1e-12)


def test_mips_tends_to_the_truth_where_rewards_go_by_the_group() -> None:
    known = designs()
    assert known["softmax_softmax"].limit("mips") == pytest.approx(known["softmax_softmax"].truth, abs=1e-12)
    assert known["uniform_greedy"].limit("mips") != pytest.approx(known["uniform_greedy"].truth, abs=1e-3)
