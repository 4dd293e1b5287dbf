"""What an agent can do wrong: one message that says who, where, what was expected and what was found; others go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from svsim.benchmark import BenchmarkSpec, run
from svsim.data import FeedStore
from svsim.errors import OptionError

MODULE = """
import time

import numpy as np

from svsim.agents import Agent, ScoringAgent


class Illegal(Agent):
    def act(self, observation):
        return np.argmin(observation["action_mask"], axis=1)


class Floats(Agent):
    def act(self, observation):
        return np.zeros(len(observation["action_mask"]))


class OneForAll(Agent):
    def act(self, observation):
        return np.zeros(1, dtype=np.int64)


class Negative(Agent):
    def act(self, observation):
        return np.full(len(observation["action_mask"]), -1)


class NoNumbers(ScoringAgent):
    def score(self, observation):
        return np.full(observation["action_mask"].shape, np.nan)


class OneScore(ScoringAgent):
    def score(self, observation):
        return np.zeros((len(observation["action_mask"]), 1))


class Slow(ScoringAgent):
    def score(self, observation):
        time.sleep(0.02)
        return observation["candidates"][..., 0]


class Unmade(ScoringAgent):
    def __init__(self):
        raise RuntimeError("no file of weights")

    def score(self, observation):
        return observation["candidates"][..., 0]


class Forgetful(ScoringAgent):
    def score(self, observation):
        return observation["candidates"][..., 0]

    def observe(self, *step):
        self.memory.append(step)
"""


def failed(store: FeedStore, agents: tuple[str, ...], **limits: float) -> list[str]:
    """Errors of agents that all fail, beside a random one that must not."""
    settings = {"split": "train", "candidates": 5, "min_videos": 3, "horizon": 8, "seeds": 1, "rails": False}
    results = run(BenchmarkSpec(store=store, agents=(*agents, "random"), **settings), **limits)
    *errors, random = results.records
    assert random["metrics"]["reward"]["mean"] > 0
    assert len(results.failed) == len(agents)
    return [record["error"] for record in errors]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Illegal", ["expected a slot that action_mask allows, found slot", "in row"]),
        ("Floats", ["expected whole numbers of shape (64,), found float64"]),
        ("OneForAll", ["expected whole numbers of shape (64,), found int64 of shape (1,)"]),
        ("Negative", ["expected slots from 0 to 4, found -1 in row 0"]),
        ("NoNumbers", ["expected numbers, found NaN for", "row 0, slot 0"]),
        ("OneScore", ["expected scores of shape (64, 5), found (64, 1)"]),
        ("Unmade", ["could not be made: RuntimeError: no file of weights (mine.py, line"]),
        ("Forgetful", ["AttributeError", "memory", "(mine.py, line"]),
        ("Nobody", ["expected a class 'Nobody', found none"]),
    ],
)
def test_faults_of_an_agent(store: FeedStore, tmp_path: Path, name: str, words: list[str]) -> None:
    (tmp_path / "mine.py").write_text(MODULE)
    agent = f"{tmp_path}/mine.py:{name}"
    (error,) = failed(store, (agent,))
    assert error.startswith(f"agent {agent} in svsim/Replay-v0: ")
    assert "\n" not in error
    for word in words:
        assert word in error


def test_a_slow_agent_fails_and_a_patient_user_may_wait(store: FeedStore, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MODULE)
    agent = f"{tmp_path}/mine.py:Slow"
    (error,) = failed(store, (agent,), step_limit=0.005)
    assert "expected at most 0.005 s a step of 64 rows, found 0.0" in error
    assert "raise --step-limit" in error
    assert failed(store, (), step_limit=30.0) == []
    with pytest.raises(OptionError, match="expected a number above 0"):
        failed(store, (), step_limit=0.0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("1 / 0\n", "could not import: ZeroDivisionError: division by zero (broken.py, line 1)"),
        ("import no_such_module\n", "could not import: ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise SystemExit(3)\n", "could not import: SystemExit: 3 (broken.py, line 1)"),
        ("class Agent:\n    pass\n", "expected a subclass of svsim.agents.Agent"),
        (None, "expected a Python file, found nothing"),
    ],
)
def test_a_plug_in_that_is_none(store: FeedStore, tmp_path: Path, content: str | None, words: str) -> None:
    path = tmp_path / "broken.py"
    if content is not None:
        path.write_text(content)
    (error,) = failed(store, (f"{path}:Agent",))
    assert words in error
