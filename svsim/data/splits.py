"""Which dates train, validate and test."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from svsim.errors import OptionError
from svsim.names import SPLITS

__all__ = ["PAPER", "SPLIT_CODES", "DateSplit", "SplitRule", "choose_split", "parse_date"]

SplitRule = Literal["auto", "paper", "dates"]

SPLIT_CODES = {name: number for number, name in enumerate(SPLITS, start=1)}
"""Value of the event column `split`; 0 is a row of no split (it can still be history)."""


@dataclass(frozen=True)
class DateSplit:
    """Dates (YYYYMMDD) of each split, both ends inclusive, by the log's `date` column.

    `valid` may be empty: then its first date lies after its last.
    """

    rule: SplitRule
    train: tuple[int, int]
    valid: tuple[int, int]
    test: tuple[int, int]

    def codes(self, dates: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
        """Split code of each date."""
        codes = np.zeros(len(dates), dtype=np.uint8)
        for name, (first, last) in (("train", self.train), ("valid", self.valid), ("test", self.test)):
            codes[(dates >= first) & (dates <= last)] = SPLIT_CODES[name]
        return codes

    def rows(self, counts: dict[int, int]) -> dict[str, int]:
        """Rows of each split, from rows by date."""
        spans = {"train": self.train, "valid": self.valid, "test": self.test}
        return {name: sum(n for day, n in counts.items() if low <= day <= high) for name, (low, high) in spans.items()}


PAPER = DateSplit("paper", (20220409, 20220420), (20220421, 20220421), (20220422, 20220422))
"""The SASRec4SV paper: train 9–20 April 2022, validate on 21 April, test on 22 April."""


def parse_date(value: str | int, option: str) -> int:
    """A date as YYYYMMDD, from `20220504` or `2022-05-04`.

    Raises:
        OptionError: It is no date.
    """
    text = str(value).replace("-", "")
    try:
        day = dt.datetime.strptime(text, "%Y%m%d")
    except ValueError as error:
        raise OptionError(f"expected a date such as 20220504, found {value!r}", where=option) from error
    return day.year * 10_000 + day.month * 100 + day.day


def choose_split(
    counts: dict[int, int],
    rule: SplitRule = "auto",
    *,
    train_until: int | None = None,
    valid_until: int | None = None,
    test_until: int | None = None,
) -> DateSplit:
    """Decide the dates of the splits.

    `auto` takes the paper's dates where they leave rows to train and to test on, else the last date tests and the one
    before it validates. Naming any `*_until` means `dates`; of those not named, `test_until` is the last date, and one
    date validates.

    Args:
        counts: Rows by date (YYYYMMDD).
        rule: The rule asked for.
        train_until: Last date that trains.
        valid_until: Last date that validates.
        test_until: Last date that tests.

    Raises:
        OptionError: The dates are out of order, or nothing is left to train or to test on.
    """
    if rule not in get_args(SplitRule):
        raise OptionError(f"expected {', '.join(get_args(SplitRule))}, found {rule!r}", where="--split")
    days = sorted(day for day, n in counts.items() if n)
    if (train_until, valid_until, test_until) != (None, None, None):
        split = _by_dates(days, train_until, valid_until, test_until)
    elif rule == "dates":
        raise OptionError(
            "expected at least one of --train-until, --valid-until, --test-until, found none", where="--split dates"
        )
    elif rule == "paper" or (rule == "auto" and _usable(PAPER, counts)):
        split = PAPER
    else:
        split = _by_dates(days, None, None, None, rule="auto")
    rows = split.rows(counts)
    for name in ("train", "test"):
        if not rows[name]:
            low, high = getattr(split, name)
            raise OptionError(
                f"no row is left to {name} on: that split has dates {low} to {high}, the logs {days[0]} to {days[-1]}",
                where=f"--split {split.rule}",
                remedy="choose other dates with --train-until, --valid-until, --test-until",
            )
    return split


def _usable(split: DateSplit, counts: dict[int, int]) -> bool:
    rows = split.rows(counts)
    return rows["train"] > 0 and rows["test"] > 0


def _by_dates(
    days: list[int],
    train_until: int | None,
    valid_until: int | None,
    test_until: int | None,
    rule: SplitRule = "dates",
) -> DateSplit:
    test_until = days[-1] if test_until is None else test_until
    if valid_until is None:
        valid_until = _day_before(days, test_until, rule) if train_until is None else _day_after(days, train_until)
    if train_until is None:
        train_until = _day_before(days, valid_until, rule)
    if not train_until <= valid_until < test_until:
        raise OptionError(
            f"expected --train-until ≤ --valid-until < --test-until, found {train_until}, {valid_until}, {test_until}",
            where=f"--split {rule}",
        )
    first = min(days[0], train_until)
    valid = (_next_day(train_until), valid_until)
    return DateSplit(rule, (first, train_until), valid, (_next_day(valid_until), test_until))


def _next_day(day: int) -> int:
    following = dt.date(day // 10_000, day // 100 % 100, day % 100) + dt.timedelta(days=1)
    return following.year * 10_000 + following.month * 100 + following.day


def _day_before(days: list[int], day: int, rule: SplitRule) -> int:
    # The last logged date up to `day` is the split's own; the one before it ends the split before.
    before = [other for other in days if other < max([d for d in days if d <= day], default=day)]
    if not before:
        raise OptionError(
            f"expected logs of at least three dates, found {len(days)} ({', '.join(map(str, days[:3]))})",
            where=f"--split {rule}",
            remedy="name --train-until, --valid-until and --test-until",
        )
    return before[-1]


def _day_after(days: list[int], day: int) -> int:
    return next((other for other in days if other > day), day)
