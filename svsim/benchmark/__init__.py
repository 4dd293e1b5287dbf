"""Benchmarks: agents meet the same users, sessions and candidates, and numbers with intervals come out."""

from svsim.benchmark.executors import ProcessExecutor, SerialExecutor
from svsim.benchmark.results import Results, load_results
from svsim.benchmark.runner import run
from svsim.benchmark.spec import BenchmarkSpec

__all__ = ["BenchmarkSpec", "ProcessExecutor", "Results", "SerialExecutor", "load_results", "run"]
