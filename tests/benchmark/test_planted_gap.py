"""A world whose gap between influencers and normal users is known, and what takes it away."""

from __future__ import annotations

import numpy as np
import pytest

from svsim.benchmark import BenchmarkSpec, run
from svsim.data.conversion import prepare
from svsim.data.store import FeedStore
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


@pytest.fixture(scope="module")
def records(two_tastes: FeedStore) -> dict[str, dict]:
    agents = ("random", "popularity", "user-group?of=popularity")
    spec = BenchmarkSpec(
        store=two_tastes,
        agents=agents,
        candidates=4,
        horizon=1,
        seeds=3,
        reward_weights={"wtr": 1.0, "wtg": 0.0, "aux": 0.0},
    )
    return {record["agent"]: record for record in run(spec).records}


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
