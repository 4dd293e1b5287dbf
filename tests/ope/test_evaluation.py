"""From a store to records: what is in them, what is refused, what is taken up again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from svsim.agents import Agent, ScoringAgent, register
from svsim.data.store import FeedStore
from svsim.errors import AgentError, CheckFailed, OptionError, OutputError
from svsim.ope import Evaluated, OPESpec, evaluate, random_log
from svsim.ope.evaluation import PLAIN
from svsim.ope.logs import shards

HERE = __name__


class Longest(ScoringAgent):
    """Serves the longest video."""

    def score(self, observation: dict[str, np.ndarray]) -> np.ndarray:
        return observation["candidates"][..., 0]


class Untold(Agent):
    """Tells no probabilities."""

    def act(self, observation: dict[str, np.ndarray]) -> np.ndarray:
        return np.zeros(len(observation["action_mask"]), dtype=np.int64)


class Broken(ScoringAgent):
    """Fails when it is asked."""

    def score(self, observation: dict[str, np.ndarray]) -> np.ndarray:
        raise ZeroDivisionError("a fault of its own")


@pytest.fixture(scope="module")
def spec(chance_store: FeedStore) -> OPESpec:
    return OPESpec(store=chance_store, agents=(f"{HERE}:Longest",), candidates=10, others=20, history=5, fit_rows=300)


@pytest.fixture(scope="module")
def found(spec: OPESpec) -> Evaluated:
    return evaluate(spec)


def record_of(found: Evaluated, name: str) -> dict[str, Any]:
    (record,) = [own for own in found.document["policies"] if own["agent"] == name]
    return record


def test_every_policy_has_every_estimator_with_an_interval(found: Evaluated) -> None:
    names = [record["agent"] for record in found.document["policies"]]
    assert names == [f"{HERE}:Longest", "random", "popularity"]
    for record in found.document["policies"]:
        assert set(record["estimates"]) == {*PLAIN, "mrdr", "mips-tag", "mips-author", "mips-duration", "mips-cluster"}
        for name, own in record["estimates"].items():
            assert own["low"] < own["value"] < own["high"], name
            assert own["label"] == ("model-based" if name == "dm" else "one-step")
        assert 0 < record["ess"] <= 1.000_001 * found.document["log"]["rows"]
        assert 0 < record["largest_weight"] <= 10
    json.dumps(found.document, allow_nan=False)


def test_the_random_agent_is_worth_what_was_logged(found: Evaluated, chance_store: FeedStore) -> None:
    logged = random_log(chance_store)
    own = record_of(found, "random")
    assert own["estimates"]["ips"]["value"] == pytest.approx(logged.reward.mean(), rel=0.02)
    assert found.document["log"]["mean_reward"]["value"] == pytest.approx(logged.reward.mean())
    assert own["ess"] == pytest.approx(len(logged), rel=0.02)
    # Against itself there is no difference.
    assert own["difference"]["value"] == 0


def test_groups_are_means_over_users(found: Evaluated, chance_store: FeedStore) -> None:
    logged = random_log(chance_store)
    own = record_of(found, "random")
    users = np.unique(logged.user)
    influencers = users[chance_store.influencer[users]]
    assert own["groups"]["influencer"]["users"] == len(influencers)
    assert own["groups"]["gap"]["value"] == pytest.approx(
        own["groups"]["normal"]["value"] - own["groups"]["influencer"]["value"]
    )


def test_estimators_are_judged_by_the_other_half_of_the_users(found: Evaluated, chance_store: FeedStore) -> None:
    told = found.document["held_out"]
    assert set(told["judgement"]) == set(found.document["policies"][0]["estimates"])
    assert told["judged_by"] == "dr"
    # Two halves of one log: what IPS says of the one is what DR says of the other, but for both their errors.
    assert told["judgement"]["ips"]["rmse"] < 5 * told["noise"]
    assert evaluate(OPESpec(store=chance_store, agents=("random",), rails=False, candidates=5, others=9, history=2,
                            fit_rows=10, rows=200)).document["held_out"] is None  # fmt: skip


def test_what_was_stopped_goes_on_and_ends_in_the_same_bytes(
    spec: OPESpec, found: Evaluated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "SHARD_ROWS", 512)
    ask, calls = shards.ask, []

    def stopped(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return ask(*arguments, **options)

    monkeypatch.setattr(shards, "ask", stopped)
    with pytest.raises(KeyboardInterrupt):
        evaluate(spec, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith(".")) == [
        "audit.json",
        "shards",
        "spec.json",
    ]
    assert len(list((tmp_path / "shards").iterdir())) == 1
    again = evaluate(spec, tmp_path)
    assert again.document == found.document
    assert json.loads((tmp_path / "ope.json").read_text()) == found.document
    assert not (tmp_path / "shards").exists()
    # Finished, it is read and not run.
    calls.clear()
    assert evaluate(spec, tmp_path).document == found.document
    assert not calls
    with pytest.raises(OutputError, match=r"the same arguments, found another \(candidates: now 5, there 10\)"):
        evaluate(
            OPESpec(store=spec.store, agents=spec.agents, candidates=5, others=20, history=5, fit_rows=300), tmp_path
        )


def test_a_damaged_shard_is_asked_again_and_a_damaged_result_is_told(
    spec: OPESpec, found: Evaluated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "SHARD_ROWS", 512)
    kept = tmp_path / "shards"
    with monkeypatch.context() as patch:
        # Stopped after all was asked.
        patch.setattr("svsim.ope.evaluation.policies_of", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            evaluate(spec, tmp_path)
    first, second, third = sorted(kept.iterdir())
    first.write_bytes(first.read_bytes()[:1_000])
    second.write_bytes(b"")
    assert evaluate(spec, tmp_path).document == found.document
    assert third.name == "00002.npz"
    result = tmp_path / "ope.json"
    for damaged in (result.read_bytes()[:500], b"", b"[]", b'{"format": "svsim-ope", "version": 99}'):
        result.write_bytes(damaged)
        with pytest.raises(OutputError, match="expected a finished evaluation"):
            evaluate(spec, tmp_path)
    result.unlink()
    assert evaluate(spec, tmp_path).document == found.document


class Moody(ScoringAgent):
    """Cannot be fitted at first."""

    fails = True

    def fit(self, store: FeedStore, *, seed: int) -> None:
        if self.fails:
            raise MemoryError("not today")

    def score(self, observation: dict[str, np.ndarray]) -> np.ndarray:
        return -observation["candidates"][..., 0]


def test_an_agent_that_failed_is_tried_again_and_takes_nobodys_place(
    chance_store: FeedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = OPESpec(
        store=chance_store, agents=(f"{HERE}:Moody",), candidates=5, others=9, history=2, fit_rows=10, rows=200
    )
    first = evaluate(asked, tmp_path)
    assert first.failed == [
        f"agent {HERE}:Moody: MemoryError: not today (test_evaluation.py, line {_line_of('not today')})"
    ]
    assert (tmp_path / "shards").is_dir()
    monkeypatch.setattr(Moody, "fails", False)
    second = evaluate(asked, tmp_path)
    assert not second.failed
    assert second.document == evaluate(asked).document
    # What the others are worth does not depend on who failed beside them.
    assert record_of(second, "popularity")["estimates"] == record_of(first, "popularity")["estimates"]


def _line_of(text: str) -> int:
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return 1 + next(number for number, line in enumerate(lines) if f'MemoryError("{text}")' in line)


def test_an_agent_that_fails_is_named_and_the_others_are_kept(chance_store: FeedStore) -> None:
    failing = OPESpec(store=chance_store, agents=(f"{HERE}:Broken",), candidates=10, history=5, fit_rows=50, rows=300)
    result = evaluate(failing)
    (error,) = result.failed
    assert "a fault of its own" in error
    assert set(result.estimates) == {"random", "popularity"}


def test_one_user_alone_has_estimates_and_no_intervals(chance_store: FeedStore) -> None:
    # The first user of the hash is kept whole, however many rows are asked for.
    result = evaluate(
        OPESpec(store=chance_store, agents=("random",), candidates=10, history=5, fit_rows=50, rows=1, rails=False)
    )
    assert result.document["log"]["users"] == 1
    (record,) = result.document["policies"]
    assert record["estimates"]["ips"]["value"] is not None
    assert record["estimates"]["ips"]["low"] is None
    assert "one user alone: there is no interval" in record["estimates"]["ips"]["warnings"]


def test_a_log_that_is_not_chance_is_not_asked(chance_store: FeedStore, spec: OPESpec, tmp_path: Path) -> None:
    from svsim.ope import audit, evaluation

    class Failed(audit.Audit):
        @property
        def failures(self) -> tuple[str, ...]:
            return ("videos alike",)

    real = audit.propensity_audit(chance_store)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "propensity_audit", lambda _: Failed(**real.__dict__))
        with pytest.raises(CheckFailed, match=r"the propensity audit failed: videos alike; .*--despite-audit"):
            evaluate(spec, tmp_path)
        assert (tmp_path / "audit.json").is_file()
        assert not (tmp_path / "ope.json").exists()
        assert evaluate(spec, tmp_path, despite_audit=True).document["policies"]
    assert (tmp_path / "ope.json").is_file()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"agents": ("oracle",)}, "goes by observations, found a privileged one"),
        ({"agents": (f"{HERE}:Untold",)}, r"with probabilities\(observation\), found none"),
    ],
)
def test_agents_that_cannot_be_asked_are_refused_at_once(
    chance_store: FeedStore, bad: dict[str, Any], message: str
) -> None:
    with pytest.raises(AgentError, match=message):
        evaluate(OPESpec(store=chance_store, **bad))


@pytest.mark.parametrize(
    "bad",
    [
        {"candidates": 0},
        {"others": 0},
        {"draws": 0},
        {"rows": 0},
        {"level": 1.0},
        {"log": "none"},
        {"split": "dev"},
        {"propensities": "guessed"},
        {"reward": "joy"},
        {"reward_weights": "joy=1"},
        {"agents": (), "rails": False},
    ],
)
def test_impossible_questions_are_refused(chance_store: FeedStore, bad: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="expected"):
        OPESpec(store=chance_store, **{"agents": ("random",), **bad})


def test_a_store_without_truth_has_none(store: FeedStore) -> None:
    with pytest.raises(OptionError, match="expected a world's store, found one without truth"):
        evaluate(OPESpec(store=store, agents=("random",), truth=True))


def test_registered_names_are_agents_too(chance_store: FeedStore) -> None:
    register("the-longest", f"{HERE}:Longest")
    OPESpec(store=chance_store, agents=("the-longest",)).check_agents()
