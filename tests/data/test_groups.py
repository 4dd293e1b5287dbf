"""Groups of users, against users written by hand."""

from __future__ import annotations

import numpy as np
import pytest

from svsim.data.conversion import prepare
from svsim.data.groups import GROUPINGS, user_groups
from svsim.data.store import FeedStore
from svsim.errors import UnknownNameError
from tests.kuairand import log_row, write_kuairand

DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def six_users(tmp_path_factory: pytest.TempPathFactory) -> FeedStore:
    """User u (1 to 6) has u training rows, and one in each of the other splits."""
    start = 1_649_390_400_000
    rows = [
        log_row(user=u, video=1 + n % 3, time_ms=start + n * 60_000 + u, date=20220408, play=1_000 * u)
        for u in range(1, 7)
        for n in range(u)
    ]
    rows += [
        log_row(user=u, video=1, time_ms=start + day * DAY_MS + u, date=20220408 + day, play=500)
        for day in (1, 2)
        for u in range(1, 7)
    ]
    fans = {1: 0, 2: 999, 3: 1_000, 4: 5, 5: 10_000, 6: 0}
    folder = tmp_path_factory.mktemp("groups")
    files = write_kuairand(folder / "files", rows, users=fans, videos=[1, 2, 3])
    return prepare(files, folder / "store")


def test_influencers_have_a_thousand_fans(six_users: FeedStore) -> None:
    groups = user_groups(six_users, "influencer")
    assert groups.levels == ("influencer", "normal")
    assert groups.code[1:].tolist() == [1, 1, 0, 1, 0, 1]


def test_histories_are_thirds_of_training_rows(six_users: FeedStore) -> None:
    assert user_groups(six_users, "history").code[1:].tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("name", GROUPINGS)
def test_every_user_is_in_one_group(store: FeedStore, name: str) -> None:
    groups = user_groups(store, name)
    assert groups.code.shape == (store.n_users + 1,)
    assert groups.code[0] == 0
    assert set(np.unique(groups.code)) <= set(range(len(groups.levels)))


def test_registration_and_activity_and_authors(store: FeedStore) -> None:
    days = store.users["register_days"][1:]
    assert (user_groups(store, "register").code[1:] == np.digitize(days, [365, 1095])).all()
    degree = np.array(store.texts["user_active_degree"])[store.users["user_active_degree"][1:]]
    full = user_groups(store, "activity")
    assert ((full.code[1:] == full.levels.index("fully active")) == (degree == "full_active")).all()
    assert ((user_groups(store, "author").code[1:] == 0) == (store.users["is_video_author"][1:] == 1)).all()


def test_an_unknown_grouping_is_refused(store: FeedStore) -> None:
    with pytest.raises(UnknownNameError, match="influencer, activity"):
        user_groups(store, "height")
