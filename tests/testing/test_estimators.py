"""The check of estimators finds what it says it finds, and nothing in those that are right."""

from __future__ import annotations

import re
import sys
from typing import Any

import numpy as np
import pytest

from svsim.errors import CheckFailed, UnknownNameError
from svsim.ope.estimates import TUNED
from svsim.ope.estimators import ESTIMATORS, Estimator
from svsim.ope.estimators.doubly_robust import SNDR, ClippedDR, DoublyRobust, DoublyRobustShrinkage, SwitchDR
from svsim.ope.estimators.inverse import IPS, MIPS, SNIPS, ClippedIPS
from svsim.ope.estimators.replay import Replay
from svsim.ope.rows import Rows
from svsim.ope.sums import Terms
from svsim.testing import check_estimator


@pytest.mark.parametrize("name", [*ESTIMATORS, *TUNED])
def test_svsims_own_pass(name: str) -> None:
    check_estimator(name)


class SelfNormalisedClip(Estimator):
    """A user's own, with a constant and a ratio: Σ min(w, λ) r / Σ min(w, λ)."""

    name = "sn_clip"
    needs = ("weight",)
    grid = (1.0, 10.0, np.inf)

    def _terms(self, rows: Rows, constant: float) -> Terms:
        clipped = np.minimum(rows.weight, constant)
        return Terms(clipped * rows.reward, clipped)


class HarmonicDR(Estimator):
    """A user's own: weights λ w / (w + λ), infinity included."""

    name = "dr_harmonic"
    needs = ("weight", "q_logged", "q_expected")
    grid = (1.0, np.inf)

    def _terms(self, rows: Rows, constant: float) -> Terms:
        weight = rows.weight / (rows.weight / constant + 1) if constant else 0.0 * rows.weight
        return Terms(rows.q_expected + weight * (rows.reward - rows.q_logged))


class IPSAsARatio(IPS):
    """IPS with its number of rows written out."""

    def _terms(self, rows: Rows, constant: float) -> Terms:
        return Terms(rows.weight * rows.reward, np.ones(len(rows)))


class CappedAtTen(MIPS):
    """A cap that few logs reach, and no claim to be unbiased."""

    def _terms(self, rows: Rows, constant: float) -> Terms:
        return Terms(np.minimum(rows.weight, 10.0) * rows.reward)


@pytest.mark.parametrize("own", [SelfNormalisedClip, SelfNormalisedClip(), HarmonicDR, IPSAsARatio, CappedAtTen])
def test_a_users_own_passes(own: Any) -> None:
    check_estimator(own)


class ForgetsTheModel(DoublyRobust):
    def _terms(self, rows: Rows, constant: float) -> Terms:
        return Terms(rows.weight * (rows.reward - rows.q_logged))


class ModelOfTheLog(DoublyRobust):
    """What the model says of the logged action in place of what it expects of the target."""

    def _terms(self, rows: Rows, constant: float) -> Terms:
        return Terms(rows.q_logged + rows.weight * (rows.reward - rows.q_logged))


class SquaredIPS(IPS):
    def _terms(self, rows: Rows, constant: float) -> Terms:
        return Terms(rows.weight**2 * rows.reward)


class SquaredMIPS(MIPS):
    def _terms(self, rows: Rows, constant: float) -> Terms:
        return Terms(rows.weight**2 * rows.reward)


class SquaredSNIPS(SNIPS):
    """Still a mean of rewards, but of another policy."""

    def _terms(self, rows: Rows, constant: float) -> Terms:
        return Terms(rows.weight**2 * rows.reward, rows.weight**2)


class ClipsUnsaid(MIPS):
    def _terms(self, rows: Rows, constant: float) -> Terms:
        return Terms(np.minimum(rows.weight, 2.0) * rows.reward)


class CutsSmallWeights(ClippedIPS):
    """No bound at all where the constant is inf."""

    def _terms(self, rows: Rows, constant: float) -> Terms:
        return Terms(np.maximum(rows.weight, constant) * rows.reward)


class SwitchesTheWrongWay(SwitchDR):
    def _terms(self, rows: Rows, constant: float) -> Terms:
        weight = rows.weight * (rows.weight >= constant)
        return Terms(rows.q_expected + weight * (rows.reward - rows.q_logged))


class ShrinksBackwards(DoublyRobustShrinkage):
    """Right at both ends, the wrong way round between them."""

    def _terms(self, rows: Rows, constant: float) -> Terms:
        turned = constant if constant in (0.0, np.inf) else 1 / constant
        return super()._terms(rows, turned)


class NeverAll(ClippedDR):
    """An infinite constant cut at a number of its own."""

    def _terms(self, rows: Rows, constant: float) -> Terms:
        return super()._terms(rows, min(constant, 1.0))


class ByPlace(IPS):
    """Rewards of one row beside the weights of another."""

    def _terms(self, rows: Rows, constant: float) -> Terms:
        return Terms(rows.weight * np.sort(rows.reward))


class MeanOfMatches(Replay):
    """Over all rows, not over the matches."""

    def _terms(self, rows: Rows, constant: float) -> Terms:
        return Terms(rows.match * rows.reward)


class MeanOfPositives(SNIPS):
    """Over the number of matches, not over their weights."""

    def _terms(self, rows: Rows, constant: float) -> Terms:
        return Terms(rows.weight * rows.reward, (rows.weight > 0) * 1.0)


class NormalisedByRow(SNIPS):
    """The right value of a whole log, of no use to its shards."""

    def _terms(self, rows: Rows, constant: float) -> Terms:
        return Terms(rows.weight * rows.reward / max(rows.weight.mean(), 1e-9))


class NeverDividesByZero(SNIPS):
    def _terms(self, rows: Rows, constant: float) -> Terms:
        return Terms(rows.weight * rows.reward, rows.weight + 1e-8)


class ZeroWithoutAMatch(Replay):
    def _terms(self, rows: Rows, constant: float) -> Terms:
        terms = super()._terms(rows, constant)
        return terms if rows.match.any() else Terms(terms.numerator)


class ClipsRewards(SNDR):
    def _terms(self, rows: Rows, constant: float) -> Terms:
        error = np.clip(rows.reward - rows.q_logged, -1.5, 1.5)
        return Terms(rows.weight * error, rows.weight, rows.q_expected)


class AddsOne(IPS):
    def _terms(self, rows: Rows, constant: float) -> Terms:
        return Terms(rows.weight * (rows.reward + 1.0))


class Undeclared(IPS):
    def _terms(self, rows: Rows, constant: float) -> Terms:
        return Terms(rows.weight * (rows.reward - rows.q_logged) + rows.q_expected)


class Scribbles(IPS):
    def _terms(self, rows: Rows, constant: float) -> Terms:
        np.multiply(rows.weight, rows.reward, out=rows.reward)
        return Terms(rows.reward)


class OneNumber(IPS):
    def _terms(self, rows: Rows, constant: float) -> Terms:
        return Terms(np.array([(rows.weight * rows.reward).mean()]))


class DividesByWeights(IPS):
    def _terms(self, rows: Rows, constant: float) -> Terms:
        return Terms(rows.reward / (1 / rows.weight - 1 / rows.weight))


@pytest.mark.parametrize(
    ("broken", "identity"),
    [
        (ForgetsTheModel, "exact reward model"),
        (ModelOfTheLog, "exact reward model"),
        (SquaredIPS, "complete log|expectation over all logs"),
        (SquaredMIPS, "complete log"),
        (SquaredSNIPS, "complete log"),
        (ClipsUnsaid, "complete log"),
        (CutsSmallWeights, "terms"),
        (SwitchesTheWrongWay, "target equals behaviour|limit of the constant 0"),
        (ShrinksBackwards, "a larger constant does not go back"),
        (NeverAll, "limit of the constant inf"),
        (ByPlace, "order of rows"),
        (MeanOfMatches, "constant rewards"),
        (MeanOfPositives, "constant rewards"),
        (NormalisedByRow, "shards"),
        (NeverDividesByZero, "target equals behaviour|constant rewards"),
        (ZeroWithoutAMatch, "no match"),
        (ClipsRewards, "target equals behaviour|scale by .*"),
        (AddsOne, "target equals behaviour"),
        (Undeclared, "declared needs"),
        (Scribbles, "rows as they were|declared needs"),
        (OneNumber, "terms"),
        (DividesByWeights, "terms"),
    ],
)
def test_faults_are_found_and_named(broken: type[Estimator], identity: str) -> None:
    with pytest.raises(CheckFailed, match=rf"^estimator {broken.name}, ({identity}): expected .* of reward \["):
        check_estimator(broken)


def test_the_example_is_a_small_log() -> None:
    with pytest.raises(CheckFailed) as caught:
        check_estimator(SquaredSNIPS)
    told = str(caught.value)
    assert "\n" not in told
    weights = re.search(r"weight \[([^]]*)\]", told)
    assert weights is not None
    # Two contexts of two actions, seen once or twice each.
    assert 4 <= len(weights[1].split()) <= 8


def test_faults_are_found_without_hypothesis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    check_estimator("dros")
    with pytest.raises(CheckFailed, match="complete log"):
        check_estimator(SquaredSNIPS)


class Nameless(IPS):
    name = None  # type: ignore[assignment]


class NeedsMore(IPS):
    needs = ("weight", "pscore")


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (object(), "expected a subclass of svsim.ope.estimators.Estimator"),
        (int, "expected a subclass of svsim.ope.estimators.Estimator, found 0"),
        (Nameless, "estimator Nameless: expected a name"),
        (NeedsMore, "needs among weight, q_logged, q_expected, match, found 'ips' and .*pscore"),
    ],
)
def test_what_is_no_estimator_is_refused(what: Any, message: str) -> None:
    with pytest.raises(CheckFailed, match=message):
        check_estimator(what)


def test_an_unknown_name_is_told_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"expected one of replay, dm, .*, dros_slope, found 'drr'"):
        check_estimator("drr")
