"""A world whose gap between influencers and normal users is known, and what takes it away."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from svsim.benchmark import BenchmarkSpec, run
from svsim.data.conversion import prepare
from svsim.data.store import FeedStore
from svsim.models.config import ModelConfig, TrainingConfig
from svsim.models.training import train
from tests.kuairand import log_row, write_kuairand

DAY_MS = 86_400_000
START_MS = 1_649_390_400_000
USERS, INFLUENCERS = 240, 60
DURATION_MS = 10_000
LIKED, OTHER = 0.8, 0.3
"""Mean watch ratio of the kind of video that a group likes, and of the other kind."""
GAP = LIKED - OTHER


@pytest.fixture(scope="module")
def two_tastes(tmp_path_factory: pytest.TempPathFactory) -> FeedStore:
    """Normal users like odd videos, influencers even ones; a day's session is two of each kind, in random order.

    A watch ratio is its mean ± .2, uniformly. Three quarters of the users are normal, so that what is liked on average is
    odd videos: a policy that serves the better one on average gives normal users .8 a step and influencers .3.
    """
    rng = np.random.default_rng(0)
    rows = []
    for day in range(8):
        for user in range(1, USERS + 1):
            kinds = rng.permutation([0, 0, 1, 1])
            for place, kind in enumerate(kinds):
                video = int(2 * rng.integers(1, 31) - kind)
                liked = (video % 2 == 0) == (user <= INFLUENCERS)
                ratio = (LIKED if liked else OTHER) + rng.uniform(-0.2, 0.2)
                rows.append(
                    log_row(
                        user=user,
                        video=video,
                        time_ms=START_MS + day * DAY_MS + user * 1_000 + place * 60_000,
                        date=20220408 + day,
                        play=round(ratio * DURATION_MS),
                        duration=DURATION_MS,
                    )
                )
    folder = tmp_path_factory.mktemp("tastes")
    fans = {user: 5_000 if user <= INFLUENCERS else 10 for user in range(1, USERS + 1)}
    files = write_kuairand(folder / "files", rows, users=fans, videos=range(1, 61))
    return prepare(files, folder / "store")


def play(store: FeedStore, *agents: str, seeds: int) -> dict[str, dict]:
    """Records by agent; the reward is the watch ratio."""
    weights = {"wtr": 1.0, "wtg": 0.0, "aux": 0.0}
    spec = BenchmarkSpec(store=store, agents=agents, candidates=4, horizon=1, seeds=seeds, reward_weights=weights)
    return {record["agent"]: record for record in run(spec).records}


@pytest.fixture(scope="module")
def records(two_tastes: FeedStore) -> dict[str, dict]:
    return play(two_tastes, "random", "popularity", "user-group?of=popularity", seeds=3)


def test_the_planted_gap_is_found(records: dict[str, dict]) -> None:
    gap = records["popularity"]["gap"]["reward"]
    assert gap["low"] < GAP < gap["high"]
    assert gap["high"] - gap["low"] < GAP / 4
    within = records["popularity"]["gap_within_activity"]["reward"]
    assert within["low"] < GAP < within["high"]
    assert records["popularity"]["worst"] == "influencer"


def test_no_gap_is_found_where_there_is_none(records: dict[str, dict]) -> None:
    gap = records["random"]["gap"]["reward"]
    assert gap["low"] < 0 < gap["high"]


def test_users_differ_in_nothing_else(records: dict[str, dict]) -> None:
    """All are equally active, equally old and no authors: there is nobody to compare them with."""
    activity = records["popularity"]["groupings"]["activity"]
    assert [level for level, own in activity["groups"].items() if own["users"]] == ["fully active"]
    assert activity["gap"]["reward"] == {"mean": None, "low": None, "high": None}


def test_serving_groups_by_their_own_likings_shrinks_it(records: dict[str, dict]) -> None:
    """The worse group gains what it lost, and the others lose nothing that an interval would show."""
    before, after = records["popularity"], records["user-group?of=popularity"]
    gap = after["gap"]["reward"]
    assert gap["low"] < 0 < gap["high"]
    assert gap["high"] < before["gap"]["reward"]["low"]
    liked = after["groups"]["influencer"]["reward"]
    assert liked["low"] < LIKED < liked["high"]
    normal = [own["groups"]["normal"]["reward"] for own in (before, after)]
    assert normal[1]["high"] > normal[0]["low"]
    assert after["comparison"]["better"] is True
    assert after["winner"] is True


@pytest.mark.slow
def test_training_for_groups_shrinks_it(two_tastes: FeedStore, tmp_path: Path) -> None:
    """Six epochs of the plain mean have learned what three quarters of the users like; the same six with each group
    weighing the same, or the worse one weighing more, have learned what both like, and the normal users lose nothing."""
    seeds, names = 2, {}
    model = ModelConfig(preset="small", heads=("wtr",), width=16, blocks=1, length=8)
    for objective in ("mean", "reweight", "group-dro"):
        for seed in range(seeds):
            training = TrainingConfig(
                epochs=6, batch_events=512, learning_rate=3e-3, average=0.0, seed=seed, objective=objective
            )
            train(two_tastes, tmp_path / f"{objective}-{seed}", model, training)
        names[objective] = f"sasrec4sv?run={tmp_path}/{objective}-{{seed}}"
    found = play(two_tastes, *names.values(), seeds=seeds)
    gap = {objective: found[name]["gap"]["reward"]["mean"] for objective, name in names.items()}
    normal = {objective: found[name]["groups"]["normal"]["reward"]["mean"] for objective, name in names.items()}
    assert gap["mean"] == pytest.approx(GAP, abs=0.1)
    assert max(gap["reweight"], gap["group-dro"]) < GAP / 2
    assert min(normal["reweight"], normal["group-dro"]) > normal["mean"] - 0.05
