"""`svsim ope`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from svsim.cli.output import console, print_json, task_progress
from svsim.errors import OptionError

__all__ = ["Ope"]


@dataclass(frozen=True, kw_only=True)
class Ope:
    """Evaluate agents off-policy: what they would be worth, from a log alone, with intervals.

    An interrupted evaluation goes on when started again with the same arguments.
    """

    agents: str
    """Agents with commas between them (see `svsim agents`): name, module:Class or file.py:Class, each with
    ?key=value&key=value."""
    out: Path
    """Folder of the results."""
    store: str = "small"
    """A store, or the name of a synthetic preset."""
    log: Literal["random", "standard"] = "random"
    """Videos that chance showed; or the platform's own, whose propensities a synthetic world alone knows."""
    split: Literal["train", "valid", "test"] = "test"
    """Split of the rows; agents are fitted on the training split."""
    candidates: int = 20
    """Videos that an agent chooses among, drawn from the random log's pool."""
    others: int = 99
    """Videos drawn beside each logged one to tell how it ranks; more make intervals narrower, up to a point."""
    draws: int = 4
    """Sets of candidates shown to an agent that is no plain scorer."""
    history: int = 50
    """Past events that an observation shows."""
    fit_rows: int = 30_000
    """Rows of the training split that the reward model learns from, at most, of either log."""
    reward: str = "reward"
    """What counts: reward, the weighed sum of the signals, or one signal: wtr, wtg, aux, click, long_view, like, …"""
    reward_weights: str = "wtr=1,wtg=1,aux=1"
    """Weight of each signal in the reward."""
    propensities: Literal["estimated", "uniform"] = "estimated"
    """Of the random log: as the audit estimates them, or one over the pool."""
    rails: bool = True
    """Add the rails that are not named: random, popularity."""
    rows: int | None = None
    """Rows at most, of whole users; by default all."""
    level: float = 0.95
    """Of the intervals."""
    truth: bool = False
    """Of a synthetic world: print its true values beside the estimates."""
    despite_audit: bool = False
    """Go on when the propensity audit fails."""
    seed: int = 0
    """Of everything that is drawn."""
    json: bool = False
    """Print ope.json."""

    def run(self) -> None:
        """Evaluate and print."""
        from svsim.agents.registry import split_names
        from svsim.data.atomic import as_output_error
        from svsim.errors import CheckFailed
        from svsim.ope.evaluation import AUDIT_FILE, evaluate
        from svsim.ope.spec import OPESpec
        from svsim.report.audit import audit_table
        from svsim.report.ope import ope_figures, ope_tables

        spec = OPESpec(
            store=self.store,
            agents=tuple(split_names(self.agents)),
            log=self.log,
            split=self.split,
            candidates=self.candidates,
            others=self.others,
            draws=self.draws,
            history=self.history,
            fit_rows=self.fit_rows,
            reward=self.reward,
            reward_weights=self.reward_weights,
            propensities=self.propensities,
            rails=self.rails,
            rows=self.rows,
            level=self.level,
            truth=self.truth,
            seed=self.seed,
        )
        screen = console()
        try:
            with task_progress() as progress:
                found = evaluate(spec, self.out, despite_audit=self.despite_audit, progress=progress)
        except CheckFailed:
            if not self.json:
                for part in audit_table(json.loads((self.out / AUDIT_FILE).read_text(encoding="utf-8"))):
                    screen.print(part)
            raise
        with as_output_error(self.out):
            ope_figures(found.document, self.out)
        if self.json:
            print_json(found.document)
        else:
            if found.document["audit"] is not None:
                gates, *_, verdict = audit_table(found.document["audit"])
                screen.print(gates)
                screen.print(verdict)
                screen.print("")
            for part in ope_tables(found.document):
                screen.print(part)
            made = sorted(file.name for file in self.out.iterdir() if file.suffix in (".json", ".png"))
            screen.print(f"{self.out}: {', '.join(made)}", soft_wrap=True)
        if found.failed:
            raise OptionError("; ".join(found.failed), where="--agents", remedy="the other agents' results were kept")
