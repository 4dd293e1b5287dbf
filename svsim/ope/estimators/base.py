"""What every estimator is: a formula for its terms by row."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from svsim.errors import OptionError
from svsim.ope.rows import Floats, Rows
from svsim.ope.sums import Terms

__all__ = ["Estimator"]


class Estimator(ABC):
    """A formula that turns rows into terms; see `svsim.ope.sums` for how terms become a value.

    A subclass writes `_terms`, which finds what it `needs`, checked.
    """

    name: ClassVar[str]
    """What it is called by."""
    needs: ClassVar[tuple[str, ...]]
    """Fields of `Rows` that it cannot do without."""
    grid: ClassVar[tuple[float, ...]] = ()
    """Constants that SLOPE chooses among; empty for an estimator without one."""
    unbiased: ClassVar[bool] = False
    """Whether its expectation is the target's value whatever q̂ says, given true propensities."""

    def terms(self, rows: Rows, constant: float | None = None) -> Terms:
        """Terms by row.

        Args:
            rows: n rows.
            constant: Clip, switch or shrinkage, from 0 to infinity, of an estimator that has one.

        Raises:
            OptionError: Something that it needs is missing, or a constant that cannot be.
        """
        for field in self.needs:
            if getattr(rows, field) is None:
                raise OptionError(f"expected {field}, found none", where=f"estimator {self.name}")
        if not self.grid:
            if constant is not None:
                raise OptionError(f"expected no constant, found {constant}", where=f"estimator {self.name}")
            return self._terms(rows, float("nan"))
        if constant is None or not constant >= 0:
            raise OptionError(f"expected a constant from 0 to inf, found {constant}", where=f"estimator {self.name}")
        return self._terms(rows, float(constant))

    @abstractmethod
    def _terms(self, rows: Rows, constant: float) -> Terms: ...


def given(values: Floats | None) -> Floats:
    """What `needs` has checked to be there."""
    assert values is not None, "needs is checked first"
    return values
