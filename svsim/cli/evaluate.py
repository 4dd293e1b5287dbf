"""`svsim evaluate`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tyro.conf import Positional

from svsim.cli.output import console, print_json

__all__ = ["Evaluate"]


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Score a run on held-out rows, under both protocols, beside baselines refitted on the same training rows."""

    run_folder: Positional[Path]
    """Folder of the run."""
    store: str
    """The store that it was trained on."""
    split: Literal["valid", "test"] = "test"
    """What is scored."""
    k: int = 3
    """Places of WTG@k and DCWTG@k; users with more rows than that count."""
    resamples: int = 200
    """Of the bootstrap over users."""
    seed: int = 0
    """Of the resamples and of boosting."""
    groups: Literal["influencer", "activity", "history", "register", "author"] = "influencer"
    """How users are told apart in the table of groups: by fans, activity, training rows, days since registration, or whether
    they upload videos."""
    out: Path | None = None
    """A file for the JSON document."""
    json: bool = False
    """Print the result as one JSON document."""

    def run(self) -> None:
        """Evaluate and print."""
        from svsim.data.atomic import as_output_error, write_file
        from svsim.errors import OptionError
        from svsim.models.checkpoints import load_run
        from svsim.models.evaluation import evaluate
        from svsim.world import find_store

        if self.k < 1:
            raise OptionError(f"expected at least 1, found {self.k}", where="--k")
        if self.resamples < 20:
            raise OptionError(f"expected at least 20 resamples, found {self.resamples}", where="--resamples")
        result = evaluate(
            load_run(self.run_folder),
            find_store(self.store),
            split=self.split,
            resamples=self.resamples,
            seed=self.seed,
            k=self.k,
            groups=self.groups,
        )
        if self.out is not None:
            with as_output_error(self.out):
                self.out.parent.mkdir(parents=True, exist_ok=True)
                write_file(self.out, (json.dumps(result, indent=1) + "\n").encode())
        if self.json:
            print_json(result)
        else:
            from svsim.report.evaluation import evaluation_tables

            screen = console()
            for part in evaluation_tables(result):
                screen.print(part)
