"""The check of an estimator: identities that hold whatever the log, on drawn logs of two to five actions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise, product
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from svsim.errors import CheckFailed, UnknownNameError
from svsim.ope.estimates import TUNED, Estimate, estimate_rows
from svsim.ope.estimators import ESTIMATORS, Estimator
from svsim.ope.rows import Rows
from svsim.ope.sums import Terms, UserSums
from svsim.testing.bandit_logs import BanditLog, draw_log, search

__all__ = ["check_estimator"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

TOLERANCE = 1e-12
"""Rounding that an identity forgives, relative to 1 + the expected value."""
EXAMPLES = 30
FIELDS = tuple(field.name for field in fields(Rows))
INPUTS = tuple(name for name in FIELDS if name not in ("reward", "user"))


def check_estimator(estimator: str | Estimator | type[Estimator], *, examples: int = EXAMPLES) -> None:
    """Check an estimator by identities that hold whatever the log.

    What is asked follows from what it declares.

    - Any: it reads only what it `needs` and changes none of it; rewards and model times s give s times the value; neither
      the order of rows nor the shards that they were summed in matter; its interval is finite, holds the value and grows
      with the level.
    - `weight` or `match`, at the constant inf: a target that is the behaviour is worth the mean reward, and a log that holds
      every action as often as it is likely gives the truth.
    - `q_expected`, at every constant: a model without error gives its own value.
    - `q_expected`, `match` or a ratio of sums: a constant reward is the value, one added to all rewards is added to it.
    - `match` or a ratio of sums: without a match it is NaN.
    - A `grid`: 0 leaves the model alone (without one, 0), inf the weights as they are; a larger constant never goes back.
    - `unbiased`: over all that could have happened in a log of two actions, its mean is the truth.

    A weight cut below 10 by a number of its own fails: such a number is a constant, to be declared by a `grid`; larger ones,
    which few logs reach, pass. Logs are searched and made small by Hypothesis where it is installed, else drawn from fixed
    seeds.

    Args:
        estimator: A name that `svsim.ope.estimates` takes, or an `Estimator` of your own, an object or its class.
        examples: How many logs are drawn.

    Raises:
        CheckFailed: An identity does not hold; it is named, with the log.
        UnknownNameError: There is no such estimator.
    """
    subject = _subject(estimator)

    def body(rows: int, actions: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        case = _Case(subject, draw_log(rng, rows, actions), rng)
        for identity in _IDENTITIES if not subject.tuned else _OF_TUNED:
            identity(case)

    search(body, examples)


@dataclass(frozen=True)
class _Subject:
    """What is checked."""

    name: str
    estimator: Estimator
    tuned: bool

    def needs(self, *names: str) -> bool:
        """Whether it needs one of these."""
        return not set(names).isdisjoint(self.estimator.needs)

    @property
    def least_biased(self) -> float | None:
        """The constant that leaves weights as they are; None where it has none."""
        return np.inf if self.estimator.grid else None

    @property
    def constants(self) -> Sequence[float | None]:
        """What it is tried with, ascending."""
        return sorted({0.0, 0.5, *self.estimator.grid, np.inf}) if self.estimator.grid and not self.tuned else [None]

    def constant(self, rows: Rows, constant: float | None) -> float | None:
        """The constant that it uses of these rows: SLOPE's where it is tuned."""
        return estimate_rows(self.name, rows).constant if self.tuned else constant

    def terms(self, rows: Rows, constant: float | None) -> Terms:
        """Its terms, which are finite numbers by row."""
        with np.errstate(all="ignore"):
            terms = self.estimator.terms(rows, self.constant(rows, constant))
        for part in (terms.numerator, terms.denominator, terms.base, terms.counted):
            if part is not None and not (np.shape(part) == (len(rows),) and np.isfinite(part).all()):
                self.fail("terms", f"expected ({len(rows)},) finite numbers, found {part}", rows, constant)
        return terms

    def sums(self, rows: Rows, constant: float | None) -> UserSums:
        """Sums by user of its terms."""
        return UserSums.of(self.terms(rows, constant), rows)

    def normalises(self, rows: Rows, constant: float | None) -> bool:
        """Whether its value is a ratio of sums."""
        below = self.terms(rows, constant).denominator
        return below is not None and bool((below != 1).any())

    def moves(self, rows: Rows, constant: float | None) -> bool:
        """Whether a constant added to all rewards is added to its value."""
        return self.needs("q_expected", "match") or self.normalises(rows, constant)

    def cases(self, rows: Rows) -> Iterator[float | None]:
        """The constants that leave something below the fraction."""
        for constant in self.constants:
            below = self.terms(rows, constant).denominator
            if below is None or below.sum() != 0:
                yield constant

    def fail(self, identity: str, problem: str, rows: Rows, constant: float | None) -> NoReturn:
        """Raise `CheckFailed` with the example, on one line."""
        parts = ((name, getattr(rows, name)) for name in FIELDS)
        log = ", ".join(f"{name} {np.array2string(part, precision=4)}" for name, part in parts if part is not None)
        at = "" if constant is None else f" with the constant {constant:g}"
        raise CheckFailed(" ".join(f"{problem}{at} of {log}".split()), where=f"estimator {self.name}, {identity}")

    def hold(
        self, identity: str, rows: Rows, constant: float | None, expected: float, found: float | None = None
    ) -> None:
        """Fail unless the value, or another number that was found, is as expected."""
        if found is None:
            found = self.sums(rows, constant).value
        slack = TOLERANCE * (1 + abs(expected))
        if not (np.isnan(found) if np.isnan(expected) else abs(found - expected) <= slack):
            self.fail(identity, f"expected {expected:.13g}, found {found:.13g}", rows, constant)

    def hold_sums(self, identity: str, rows: Rows, constant: float | None, found: UserSums) -> None:
        """Fail unless sums have the value and the interval that those of the rows have."""
        own = self.sums(rows, constant)
        self.hold(identity, rows, constant, own.value, found.value)
        for end, other in zip(_interval(own), _interval(found), strict=True):
            self.hold(f"{identity}, interval", rows, constant, end, other)


def _subject(estimator: str | Estimator | type[Estimator]) -> _Subject:
    if isinstance(estimator, str):
        kind = TUNED.get(estimator, estimator)
        if kind not in ESTIMATORS:
            known = ", ".join([*ESTIMATORS, *TUNED])
            raise UnknownNameError(f"expected one of {known}, found {estimator!r}", where="estimator")
        return _Subject(estimator, ESTIMATORS[kind], estimator in TUNED)
    found = estimator() if isinstance(estimator, type) else estimator
    if not isinstance(found, Estimator):
        raise CheckFailed(f"expected a subclass of svsim.ope.estimators.Estimator, found {found!r}", where="estimator")
    name, needs = getattr(found, "name", None), getattr(found, "needs", None)
    if not isinstance(name, str) or not isinstance(needs, tuple) or not set(needs) <= set(INPUTS):
        raise CheckFailed(
            f"expected a name and needs among {', '.join(INPUTS)}, found {name!r} and {needs!r}",
            where=f"estimator {type(found).__name__}",
        )
    return _Subject(name, found, False)


@dataclass(frozen=True)
class _Case:
    """An estimator, a log, and what else is drawn."""

    subject: _Subject
    log: BanditLog
    rng: np.random.Generator


def _declared(case: _Case) -> None:
    """What it did not declare does not matter, and nothing is changed."""
    subject, rows, again = case.subject, case.log.rows(), case.log.rows()
    undeclared: dict[str, Any] = {name: None for name in INPUTS if name not in subject.estimator.needs}
    for constant in subject.constants:
        value = subject.sums(rows, constant).value
        try:
            found = subject.sums(replace(rows, **undeclared), constant).value
        except (TypeError, AttributeError, AssertionError) as error:
            if isinstance(error, CheckFailed):
                raise
            problem = f"expected no use of {', '.join(undeclared)}, found {type(error).__name__}: {error}"
            subject.fail("declared needs", problem, again, constant)
        for name in FIELDS:
            if not np.array_equal(getattr(rows, name), getattr(again, name)):
                subject.fail("rows as they were", f"expected {name} unchanged, found other numbers", again, constant)
        subject.hold("declared needs", again, constant, value, found)


def _exact_model(case: _Case) -> None:
    """Without an error of the model there is nothing to correct."""
    log, subject = case.log, case.subject
    if subject.needs("q_expected"):
        rows = replace(log, reward=log.of_logged(log.model)).rows()
        for constant in subject.cases(rows):
            subject.hold("exact reward model", rows, constant, float(log.expected(log.model).mean()))


def _target_is_behaviour(case: _Case) -> None:
    """Weights of 1, and a model that tells no actions apart, leave the mean reward."""
    log, subject = case.log, case.subject
    if subject.needs("weight", "match"):
        alike = np.repeat(log.model[:, :1], log.model.shape[1], axis=1)
        rows = replace(log, target=log.behaviour, model=alike).rows()
        rows = replace(rows, match=np.ones(len(rows), dtype=bool))
        subject.hold("target equals behaviour", rows, subject.least_biased, float(rows.reward.mean()))


def _constant_reward(case: _Case) -> None:
    """Where every reward is c, so is the value."""
    log, subject, level = case.log, case.subject, case.rng.uniform(-2, 2)
    rows = replace(log, reward=np.full(len(log.reward), level), model=np.full(log.model.shape, level)).rows()
    for constant in subject.cases(rows):
        if subject.moves(rows, constant):
            subject.hold("constant rewards", rows, constant, level)


def _shift_and_scale(case: _Case) -> None:
    """Rewards and model + c give V + c, times s they give s V."""
    log, subject, shift, scale = case.log, case.subject, case.rng.uniform(-2, 2), case.rng.uniform(0.1, 4)
    rows = log.rows()
    shifted = replace(log, reward=log.reward + shift, model=log.model + shift).rows()
    scaled = replace(log, reward=log.reward * scale, model=log.model * scale).rows()
    for constant in subject.cases(rows):
        value = subject.sums(rows, constant).value
        subject.hold(f"scale by {scale:g}", scaled, constant, scale * value)
        if subject.moves(rows, constant):
            subject.hold(f"shift by {shift:g}", shifted, constant, shift + value)


def _order(case: _Case) -> None:
    """Rows come in no order."""
    subject, rows = case.subject, case.log.rows()
    turned = _part(rows, case.rng.permutation(len(rows)))
    for constant in subject.cases(rows):
        subject.hold_sums("order of rows", rows, constant, subject.sums(turned, constant))


def _no_match(case: _Case) -> None:
    """What is a mean over matches is NaN without one, not 0."""
    subject, rows, constant = case.subject, case.log.rows(), case.subject.least_biased
    if subject.needs("match") or subject.normalises(rows, constant):
        none = replace(rows, weight=np.zeros(len(rows)), match=np.zeros(len(rows), dtype=bool))
        subject.hold("no match", none, constant, np.nan)


def _shards(case: _Case) -> None:
    """Sums of shards, of users apart or not, merge into those of the whole."""
    subject, rows = case.subject, case.log.rows()
    untuned = replace(subject, tuned=False)
    for constant in subject.cases(rows):
        used = subject.constant(rows, constant)
        for first in (case.log.user == 0, np.arange(len(rows)) % 2 == 0):
            one, other = (untuned.sums(_part(rows, chosen), used) for chosen in (first, ~first))
            subject.hold_sums("shards", rows, constant, one.merge(other))


def _intervals(case: _Case) -> None:
    """Finite, around the value, wider at a higher level."""
    subject, rows = case.subject, case.log.rows()
    for constant in subject.cases(rows):
        sums = subject.sums(rows, constant)
        (low, high), (lower, higher) = _interval(sums, 0.5), _interval(sums, 0.95)
        if not -np.inf < lower <= low <= sums.value <= high <= higher < np.inf:
            found = f"{sums.value:g} within [{low:g}, {high:g}] within [{lower:g}, {higher:g}]"
            subject.fail("interval", f"expected the value within 50 % within 95 %, found {found}", rows, constant)


def _limits(case: _Case) -> None:
    """0 leaves the model alone, inf the weights as they are; in between no row goes back."""
    subject, rows = case.subject, case.log.rows()
    if not subject.estimator.grid or not subject.needs("weight"):
        return
    modelled = subject.needs("q_expected")
    weight, logged, expected = (np.asarray(part) for part in (rows.weight, rows.q_logged, rows.q_expected))
    corrected = weight * (rows.reward - logged if modelled else rows.reward)
    base = float(expected.mean()) if modelled else 0.0
    if subject.normalises(rows, np.inf):
        subject.hold("limit of the constant inf", rows, np.inf, base + float(corrected.sum() / weight.sum()))
        return
    subject.hold("limit of the constant 0", rows, 0.0, base)
    subject.hold("limit of the constant inf", rows, np.inf, base + float(corrected.mean()))
    plain = {constant: np.asarray(subject.terms(rows, constant).plain) for constant in subject.constants}
    for low, high in pairwise(subject.constants):
        back = float(((plain[low] - plain[high]) * np.sign(corrected)).max())
        subject.hold("a larger constant does not go back", rows, high, 0.0, max(back, 0.0))


def _complete(case: _Case) -> None:
    """A log that holds each action as often as it is likely, with its mean reward, gives the truth whatever the model."""
    subject, actions = case.subject, case.log.model.shape[1]
    if not subject.needs("weight", "match"):
        return
    # Seen once or twice, five actions have weights of 9 at most.
    counts, target = case.rng.integers(1, 3, (2, actions)), case.log.target[:2]
    if subject.needs("match"):
        # Matches stand for a deterministic target and a uniform log.
        counts, target = np.ones_like(counts), np.eye(actions)[target.argmax(axis=1)]
    context, action = np.divmod(np.repeat(np.arange(counts.size), counts.ravel()), actions)
    truth = case.rng.uniform(-1, 2, counts.shape)[context]
    behaviour = (counts / counts.sum(axis=1, keepdims=True))[context]
    log = BanditLog(
        behaviour, target[context], case.log.model[context], action, np.zeros(len(action)), np.arange(len(action))
    )
    rows = replace(log, reward=log.of_logged(truth)).rows()
    subject.hold("complete log", rows, subject.least_biased, float(log.expected(truth).mean()))


def _expectation(case: _Case) -> None:
    """The mean over all actions and rewards of a log of two actions, each as likely as it is."""
    subject, log, constant = case.subject, draw_log(case.rng, 3, 2), case.subject.least_biased
    if not subject.estimator.unbiased:
        return
    n, chance, mean = len(log.action), case.rng.random(log.model.shape), 0.0
    for action, reward in product(product((0, 1), repeat=n), product((0.0, 1.0), repeat=n)):
        log = replace(log, action=np.array(action), reward=np.array(reward))
        success = log.of_logged(chance)
        probability = log.of_logged(log.behaviour) * np.where(log.reward > 0, success, 1 - success)
        mean += float(probability.prod()) * subject.sums(log.rows(), constant).value
    subject.hold("expectation over all logs", log.rows(), constant, float(log.expected(chance).mean()), mean)


def _tuned(case: _Case) -> None:
    """The value is that of a constant of the grid."""
    subject, rows = case.subject, case.log.rows()
    found = estimate_rows(subject.name, rows)
    if found.constant not in subject.estimator.grid:
        problem = f"expected one of {subject.estimator.grid}, found {found.constant}"
        subject.fail("tuned constant", problem, rows, None)
    subject.hold("value of the tuned constant", rows, None, found.value)


_OF_TUNED = (_tuned, _declared, _exact_model, _constant_reward, _shift_and_scale, _order, _shards, _intervals)
_IDENTITIES = (
    _declared,
    _exact_model,
    _target_is_behaviour,
    _constant_reward,
    _shift_and_scale,
    _order,
    _no_match,
    _shards,
    _intervals,
    _limits,
    _complete,
    _expectation,
)


def _interval(sums: UserSums, level: float = 0.95) -> tuple[float, float]:
    return Estimate("", sums).interval(level)


def _part(rows: Rows, chosen: npt.NDArray[Any]) -> Rows:
    """Some of the rows, or all in another order."""
    return Rows(**{name: getattr(rows, name)[chosen] for name in FIELDS})
