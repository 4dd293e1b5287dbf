"""One tree of errors: everything that svsim raises on purpose is a `SvsimError`.

A message is one line that says where, what was expected, what was found and what to do about it. The command line prints
it and ends with status 2 (`CheckFailed`: 3); anything else that escapes is a bug and ends with status 1.
"""

from __future__ import annotations

__all__ = [
    "AgentError",
    "BusyError",
    "CheckFailed",
    "DataError",
    "EnvironmentUsageError",
    "LeakError",
    "OptionError",
    "OutputError",
    "RunError",
    "StoreError",
    "SvsimError",
    "TrainingError",
    "UnknownNameError",
]


class SvsimError(Exception):
    """Base of all errors raised on purpose.

    Args:
        problem: What is wrong, in one clause ("expected an integer, found 'abc'").
        where: File and line, option or argument at fault.
        remedy: What the reader can do about it.
    """

    def __init__(self, problem: str, *, where: str | None = None, remedy: str | None = None) -> None:
        self.problem = problem
        self.where = where
        self.remedy = remedy
        text = f"{where}: {problem}" if where else problem
        super().__init__(f"{text}; {remedy}" if remedy else text)

    def __str__(self) -> str:
        # KeyError would print the repr of its argument.
        return str(self.args[0])

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process pools; keyword arguments would be lost by the default.
        return _rebuild, (type(self), self.problem, self.where, self.remedy)


def _rebuild(kind: type[SvsimError], problem: str, where: str | None, remedy: str | None) -> SvsimError:
    return kind(problem, where=where, remedy=remedy)


class DataError(SvsimError, ValueError):
    """A source file does not hold what it should."""


class StoreError(SvsimError, OSError):
    """A store is missing, damaged or of another version."""


class RunError(SvsimError, OSError):
    """A training run is missing, damaged, of another version or of another store."""


class TrainingError(SvsimError, ArithmeticError):
    """Training cannot go on."""


class OutputError(SvsimError, OSError):
    """A result could not be written, or would overwrite something else."""


class BusyError(OutputError):
    """Another process is writing there."""


class OptionError(SvsimError, ValueError):
    """An option or argument has an impossible value."""


class UnknownNameError(SvsimError, KeyError):
    """A name (of an agent, preset, column) is not known."""


class LeakError(SvsimError, ValueError):
    """Something was asked for that knows what it should not know."""


class EnvironmentUsageError(SvsimError, ValueError):
    """An environment was called in a way that it cannot answer."""


class AgentError(SvsimError, ValueError):
    """An agent broke the agent contract."""


class CheckFailed(SvsimError, AssertionError):
    """A conformance check found a fault."""
