"""An off-policy evaluation from a store to its records: audit, log, agents, estimators, groups, differences, truth."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from svsim.agents.base import Agent
from svsim.agents.registry import blamed, make_agent
from svsim.data.atomic import write_file
from svsim.data.result_folder import claimed
from svsim.data.store import FeedStore
from svsim.data.truth import TRUTH_FILE
from svsim.envs.contexts import Contexts
from svsim.errors import AgentError, CheckFailed, OptionError, OutputError
from svsim.ope.audit import Audit, propensity_audit
from svsim.ope.estimates import Estimate, estimate_rows
from svsim.ope.logs.action_groups import GROUPINGS, video_groups
from svsim.ope.logs.choices import Asked, PolicyRows, Progress, checked_others
from svsim.ope.logs.logged import OFFER, LoggedBandit, random_log, standard_log
from svsim.ope.logs.reward_model import RewardModel, fold_of, variance_fit
from svsim.ope.logs.shards import ask_in_shards
from svsim.ope.records import FORMAT, VERSION, finite, policy_record, utility_records, value_record
from svsim.ope.rows import Rows, checked_rows
from svsim.ope.slope import GUARD
from svsim.ope.spec import OPESpec
from svsim.ope.truth.halves import held_out, split_users
from svsim.world.presets import find_store

__all__ = [
    "AUDIT_FILE",
    "HEADLINE",
    "RESULT_FILE",
    "Evaluated",
    "evaluate",
    "policies_of",
    "policy_estimates",
    "read_evaluation",
]

RESULT_FILE, AUDIT_FILE, SHARDS = "ope.json", "audit.json", "shards"
HEADLINE = "dr"
"""The estimator that groups and differences go by."""
PLAIN = ("replay", "dm", "ips", "ips_slope", "snips", "dr", "dr_slope", "sndr", "switch_dr_slope", "dros_slope")
"""Estimators of every policy; `mrdr` and `mips-…` come after them."""


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation found.

    Attributes:
        document: What `ope.json` holds.
        estimates: By policy, then estimator; empty when read from a folder.
    """

    document: dict[str, Any]
    estimates: Mapping[str, Mapping[str, Estimate]]

    @property
    def failed(self) -> list[str]:
        """What went wrong, an agent each."""
        return [record["error"] for record in self.document["policies"] if "error" in record]


def evaluate(
    spec: OPESpec,
    out: str | Path | None = None,
    *,
    despite_audit: bool = False,
    progress: Progress | None = None,
) -> Evaluated:
    """Evaluate agents off-policy, or go on with an evaluation that was stopped.

    Args:
        spec: What is asked.
        out: Folder of `spec.json`, `audit.json` and `ope.json`; None keeps all in memory.
        despite_audit: Whether to go on when the propensity audit failed.
        progress: Told of the rows.

    Raises:
        CheckFailed: The propensity audit failed.
        OptionError: The store has no such log.
        SvsimError: An agent cannot be made, or `out` holds something else.
    """
    spec.check_agents()
    store = find_store(spec.store)
    if spec.truth and not (store.path / TRUTH_FILE).is_file():
        raise OptionError(
            "expected a world's store, found one without truth", where=f"--truth, {store.path}", remedy=OFFER
        )
    audit = propensity_audit(store) if spec.log == "random" else None
    logged = _log(spec, store, audit)
    if logged.sets is None:
        # What cannot be should show before a folder is.
        checked_others(logged, spec.candidates, spec.others)
    if out is None:
        _check_audit(audit, spec, despite_audit)
        return _run(spec, logged, audit, None, progress)
    folder = Path(out)
    with claimed(folder, spec.json(), "an off-policy evaluation"):
        if audit is not None:
            write_file(folder / AUDIT_FILE, _json(audit.record()))
        _check_audit(audit, spec, despite_audit)
        finished = folder / RESULT_FILE
        if finished.is_file() and not (folder / SHARDS).exists():
            return Evaluated(read_evaluation(finished), {})
        (folder / SHARDS).mkdir(exist_ok=True)
        found = _run(spec, logged, audit, folder / SHARDS, progress)
        write_file(finished, _json(found.document))
        if not found.failed:
            # Kept while an agent has failed: the next run tries that one again.
            shutil.rmtree(folder / SHARDS)
        return found


def read_evaluation(file: Path) -> dict[str, Any]:
    """Read a finished evaluation's `ope.json`.

    Raises:
        OutputError: It is damaged, or was written by another version.
    """
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        if document["format"] != FORMAT or document["version"] != VERSION:
            raise ValueError(f"{document['format']} {document['version']}")
    except (ValueError, KeyError, TypeError) as error:
        raise OutputError(
            f"expected a finished evaluation ({FORMAT} {VERSION}), found {error}",
            where=str(file),
            remedy="remove it and run the same command again",
        ) from error
    return dict(document)


def _json(document: Any) -> bytes:
    return (json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _check_audit(audit: Audit | None, spec: OPESpec, despite: bool) -> None:
    if audit is None or despite or audit.passes(spec.propensities):
        return
    raise CheckFailed(
        f"the propensity audit failed: {'; '.join((*audit.failures, *audit.warnings))}",
        where="random log",
        remedy="look at its table; --despite-audit prints estimates all the same",
    )


def _log(spec: OPESpec, store: FeedStore, audit: Audit | None) -> LoggedBandit:
    if audit is None:
        return standard_log(store, split=spec.split, reward=spec.kind, most=spec.rows, seed=spec.seed)
    return random_log(
        store,
        split=spec.split,
        reward=spec.kind,
        audit=audit,
        propensities=spec.propensities,
        most=spec.rows,
        seed=spec.seed,
    )


def _run(
    spec: OPESpec, logged: LoggedBandit, audit: Audit | None, shards: Path | None, progress: Progress | None
) -> Evaluated:
    agents, errors = _fitted(spec, logged.store)
    contexts = Contexts(logged.store, spec.history)
    groups = {} if logged.log == "standard" else {
        name: video_groups(logged.store, logged.pool, name, seed=spec.seed) for name in GROUPINGS
    }  # fmt: skip
    asked = ask_in_shards(
        logged,
        agents,
        contexts,
        lambda: RewardModel(logged, contexts, fit_rows=spec.fit_rows, seed=spec.seed),
        shards,
        progress=progress,
        candidates=spec.candidates,
        others=spec.others,
        draws=spec.draws,
        groups=groups,
        seed=spec.seed,
    )
    estimates = policies_of(logged, asked, seed=spec.seed)
    closed = {name: own.closed_form for name, own in asked.policies.items() if isinstance(own, PolicyRows)}
    errors |= {name: own for name, own in asked.policies.items() if isinstance(own, AgentError)}
    document = _document(spec, logged, audit, estimates, closed, errors)
    document["held_out"] = _held_out(spec, logged, asked)
    if spec.truth and estimates:
        from svsim.ope.truth.values import true_values

        if progress is not None:
            progress("true values", 0, None)
        document["truth"] = true_values(
            logged,
            {name: agents[name] for name in estimates},
            {record["agent"]: record["estimates"] for record in document["policies"] if "estimates" in record},
            candidates=spec.candidates,
            history=spec.history,
            seed=spec.seed,
        )
    return Evaluated(document, estimates)


def _fitted(spec: OPESpec, store: FeedStore) -> tuple[dict[str, Agent], dict[str, AgentError]]:
    agents: dict[str, Agent] = {}
    errors: dict[str, AgentError] = {}
    for name in spec.all_agents:
        try:
            with blamed(name):
                agent = make_agent(name, reward_weights=dict(spec.kind.weights))
                if hasattr(agent, "fit"):
                    agent.fit(store, seed=spec.seed)
                agents[name] = agent
        except AgentError as error:
            errors[name] = error
    return agents, errors


def policy_estimates(logged: LoggedBandit, asked: Asked, own: PolicyRows, *, seed: int = 0) -> dict[str, Estimate]:
    """Every estimator of one policy.

    Args:
        logged: n rows.
        asked: What was learnt at them.
        own: The policy's part.
        seed: Of the reward model, whose folds the variance fit takes.

    Returns:
        By name: `PLAIN`, `mrdr`, and `mips-GROUPING` for each grouping.
    """
    common: dict[str, Any] = {"reward": logged.reward, "user": logged.user, "reward_range": logged.kind.range}
    rows = checked_rows(
        **common, weight=own.weight, q_logged=asked.q_logged, q_expected=own.q_expected, match=own.match
    )
    found = {name: _estimate(name, rows) for name in PLAIN}
    more_logged, more_expected = variance_fit(
        logged.reward - asked.q_logged,
        own.weight,
        logged.propensity,
        asked.form_logged,
        own.form_expected,
        fold_of(logged.user, seed=seed),
    )
    refitted = checked_rows(
        **common,
        weight=own.weight,
        q_logged=asked.q_logged + more_logged,
        q_expected=own.q_expected + more_expected,
    )
    found["mrdr"] = _estimate("mrdr", refitted)
    for grouping, weight in own.group_weight.items():
        found[f"mips-{grouping}"] = _estimate("mips", checked_rows(**common, weight=weight))
    return found


def _estimate(name: str, rows: Rows) -> Estimate:
    # By user alone, or every policy's rows would be held.
    return replace(estimate_rows(name, rows, guard=GUARD), terms=None)


def _held_out(spec: OPESpec, logged: LoggedBandit, asked: Asked) -> dict[str, Any] | None:
    """Estimators from one half of the users, judged by `HEADLINE` of the other half; None where there are too few."""
    first = split_users(logged.user, spec.seed)
    sides = [
        policies_of(logged.take(chosen), asked.take(chosen), seed=spec.seed)
        for chosen in (first, ~first)
        if chosen.any()
    ]
    if len(sides) < 2 or len(sides[0]) < 2:
        return None
    judged, noise = held_out(sides[0], {name: own[HEADLINE] for name, own in sides[1].items()}, spec.level)
    return {
        "judged_by": HEADLINE,
        "noise": finite(noise),
        "judgement": {name: judgement.record() for name, judgement in judged.items()},
    }


def policies_of(logged: LoggedBandit, asked: Asked, *, seed: int = 0) -> dict[str, dict[str, Estimate]]:
    """`policy_estimates` of every policy that did not fail, by name."""
    return {
        name: policy_estimates(logged, asked, own, seed=seed)
        for name, own in asked.policies.items()
        if isinstance(own, PolicyRows)
    }


def _document(
    spec: OPESpec,
    logged: LoggedBandit,
    audit: Audit | None,
    estimates: Mapping[str, Mapping[str, Estimate]],
    closed: Mapping[str, bool],
    errors: Mapping[str, AgentError],
) -> dict[str, Any]:
    from svsim.ope.differences import compare

    store = logged.store
    headline = {name: own[HEADLINE] for name, own in estimates.items()}
    against = next((name for name in ("random", *spec.all_agents) if name in headline), None)
    differences = compare(headline, against, spec.level) if against is not None else {}
    records = []
    for name in spec.all_agents:
        if name in errors:
            records.append({"agent": name, "error": str(errors[name])})
            continue
        record = policy_record(name, estimates[name], spec.level, closed_form=closed[name])
        record["groups"] = utility_records(headline[name], store.influencer, spec.level)
        if name in differences:
            record["difference"] = {"against": against, **differences[name].record()}
        records.append(record)
    on_policy = estimate_rows("ips", checked_rows(reward=logged.reward, weight=np.ones(len(logged)), user=logged.user))
    return {
        "format": FORMAT,
        "version": VERSION,
        "question": _question(spec, logged),
        "spec": spec.content(),
        "log": {
            "log": logged.log,
            "rows": len(logged),
            "users": len(np.unique(logged.user)),
            "pool": len(logged.pool),
            # What policies may choose of what was retrieved; whatever else is there they do not see.
            "choosable": None if logged.sets is None else float((logged.sets > 0).mean()),
            "reward": logged.kind.name,
            "mean_reward": value_record(on_policy, spec.level),
        },
        "audit": None if audit is None else audit.record(),
        "policies": records,
    }


def _question(spec: OPESpec, logged: LoggedBandit) -> str:
    if logged.log == "standard":
        return "one-step value of re-ranking what was retrieved, at the first place of requests"
    return f"one-step value of the best of {spec.candidates} videos drawn from the pool of {len(logged.pool):,}"
