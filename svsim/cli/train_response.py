"""`svsim train response`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from svsim.cli.output import console, print_json, task_progress
from svsim.errors import CheckFailed, OptionError

__all__ = ["Response"]


@dataclass(frozen=True, kw_only=True)
class Response:
    """Train a model of the users and make its calibration card; interrupted, the same command goes on.

    Ends with status 3 when a gate of the card fails.
    """

    store: str
    """A store's folder, or the name of a preset."""
    out: Path
    """Folder of the run."""
    accept_bad_card: bool = False
    """Keep a model whose card failed usable; the run is marked."""
    seed: int = 0
    """Of weights, order, dropout and resamples."""
    members: int = 5
    """Networks of the ensemble."""
    weights: Literal["none", "propensity"] = "none"
    """propensity weighs rows of the standard log by their odds of having been shown by chance; needs a random log."""
    rows: int = 5_000_000
    """Training rows at most: those of the first users, whole."""
    epochs: int | None = None
    """At most; by default ten, fewer for logs of more than 1.5 million training rows."""
    learning_rate: float = 4e-3
    """Of AdamW."""
    policy_test: bool = True
    """Rank policies in the learned simulation and by the truth, or in replay where none is known."""
    threads: int | None = None
    """Of torch; by default torch's own choice. The last bits of the weights depend on it."""
    json: bool = False
    """Print the card as one JSON document."""

    def run(self) -> None:
        """Train, judge, print the card."""
        import torch

        from svsim.models.response.config import ResponseConfig, ResponseTraining
        from svsim.models.response.training import train_response
        from svsim.world import find_store

        if self.threads is not None:
            if self.threads < 1:
                raise OptionError(f"expected at least 1, found {self.threads}", where="--threads")
            torch.set_num_threads(self.threads)
        training = ResponseTraining(
            seed=self.seed, weights=self.weights, rows=self.rows, epochs=self.epochs, learning_rate=self.learning_rate
        )
        store = find_store(self.store)
        with task_progress() as progress:
            run = train_response(store, self.out, ResponseConfig(members=self.members), training, progress=progress)
            card = None if run.card is None else dict(run.card)
            if card is None or (self.policy_test and "policies" not in card):
                card = self._card(run, store, progress)
        if self.accept_bad_card and not card["passed"] and not card.get("accepted"):
            card = {**card, "accepted": True}
            _write(self.out, card)
        if self.json:
            print_json(card)
        else:
            from svsim.report.card import card_tables

            screen = console()
            for table in card_tables(card):
                screen.print(table)
            screen.print(f"{self.out}: card.json, card.png, {run.manifest['store'][:16]}", soft_wrap=True)
        if not card["passed"] and not card.get("accepted"):
            failed = [gate["name"] for gate in card["gates"] if gate["verdict"] == "failed"]
            raise CheckFailed(
                f"expected a calibration card whose judged gates pass, found {len(failed)} failed: {'; '.join(failed)}",
                where=str(self.out),
                remedy="train otherwise, or name --accept-bad-card: Feed-v0 refuses the run else",
            )

    def _card(self, run: Any, store: Any, progress: Any) -> dict[str, Any]:
        from svsim.report.card import card_figure
        from svsim.response.card import make_card

        card = make_card(run, store, progress=progress)
        if run.card is not None and run.card.get("accepted"):
            card["accepted"] = True
        if self.policy_test:
            card["policies"] = _policies(run, store, card, progress)
        _write(self.out, card)
        card_figure(card, self.out / "card.png")
        return card


def _policies(run: Any, store: Any, card: dict[str, Any], progress: Any) -> dict[str, Any]:
    """The policy test, played on a copy that opens whatever its card says; the run itself is not marked for it."""
    import shutil
    import tempfile

    from svsim.benchmark.policy_test import policy_test

    with tempfile.TemporaryDirectory(prefix="svsim-") as folder:
        copy = Path(folder) / "run"
        shutil.copytree(run.path, copy, ignore=shutil.ignore_patterns("tensorboard", ".*"))
        _write(copy, {**card, "accepted": True})
        return policy_test(store, copy, progress=progress)


def _write(folder: Path, card: Any) -> None:
    from svsim.data.atomic import as_output_error, write_file
    from svsim.models.response.runs import CARD

    with as_output_error(folder):
        write_file(folder / CARD, (json.dumps(card, indent=1, ensure_ascii=False) + "\n").encode())
