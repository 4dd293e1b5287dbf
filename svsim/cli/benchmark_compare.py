"""`svsim benchmark compare`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from tyro.conf import Positional

from svsim.cli.output import console, print_json
from svsim.errors import OptionError

__all__ = ["CompareBenchmarks"]


@dataclass(frozen=True, kw_only=True)
class CompareBenchmarks:
    """Compare two benchmarks, or two runs of a suite: `svsim benchmark compare A B`.

    Agents that both have are compared by reward, paired where seeds and sessions match.
    """

    first: Positional[Path]
    """Folder of a benchmark's results, or of a suite's."""
    second: Positional[Path]
    """Another one."""
    json: bool = False
    """Print the comparisons as one JSON document, by benchmark."""

    def run(self) -> None:
        """Compare and print."""
        from svsim.benchmark.compare import compare_benchmarks, finished_benchmarks
        from svsim.report.benchmark import comparison_table

        folders = [finished_benchmarks(folder) for folder in (self.first, self.second)]
        names = set(folders[0]) & set(folders[1])
        if not names:
            raise OptionError(
                "expected two benchmarks, or two suites with a benchmark in common, found"
                f" {', '.join(filter(None, folders[0])) or 'one'} and {', '.join(filter(None, folders[1])) or 'one'}",
                where=f"{self.first} and {self.second}",
            )
        found = {name: compare_benchmarks(folders[0][name], folders[1][name]) for name in sorted(names)}
        if self.json:
            print_json({name: asdict(own) for name, own in found.items()} if "" not in found else asdict(found[""]))
            return
        screen = console()
        for name, own in found.items():
            screen.print(comparison_table(own, name, str(self.first), str(self.second)))
