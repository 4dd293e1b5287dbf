"""What is remembered of users: three events by hand; carried along it equals the sums over the log's past."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from svsim.data import FeedStore
from svsim.models.response.kinds import duration_class
from svsim.models.response.memory import EVENT_SUMS, RATIO, SCALES, SESSION, Memory, event_signals
from svsim.models.response.past_sums import SESSION_GAP_MS, PastSums, session_starts
from svsim.names import FLAGS

LIFE, SLOW, RECENT = (SCALES.index(name) for name in ("life", "slow", "recent"))
X = np.array([[1, 0.5, 0, 0.25, 0, 0, 0], [1, -0.5, 1, 0.5, 0, 1, 0], [1, 0, 0, -1.0, 1, 0, 1]], dtype=np.float32)


def added(memory: Memory, number: int, video: int, author: int, tag: int, kind: int) -> None:
    n = len(memory.last_ms)
    memory.add(
        np.tile(X[number], (n, 1)), np.tile([video, author, tag], (n, 1)), np.tile([tag, kind], (n, 1)),
        np.full(n, 1_000 * (number + 1)),
    )  # fmt: skip


def test_sums_of_three_events_by_hand() -> None:
    memory = Memory.empty(1, n_tags=3)
    memory.open_session(np.array([0]), np.array([500]))
    for number, (video, author, tag, kind) in enumerate(((7, 4, 2, 3), (8, 4, 1, 5), (7, 4, 2, 5))):
        added(memory, number, video, author, tag, kind)
    # Clicks are .5, −.5, 0; ratios .25, .5, −1.
    click, ratio = memory.sums[0, :, EVENT_SUMS.index("click")], memory.sums[0, :, RATIO]
    assert memory.sums[0, :, 0] == pytest.approx([3, 1 + 0.98 + 0.9604, 1 + 0.9 + 0.81, 3])
    assert click == pytest.approx([0, 0.5 * 0.9604 - 0.5 * 0.98, 0.5 * 0.81 - 0.5 * 0.9, 0])
    assert ratio[[LIFE, RECENT]] == pytest.approx([-0.25, 0.25 * 0.81 + 0.5 * 0.9 - 1])
    np.testing.assert_allclose(memory.by_kind[0], [[0, 0], [1, 0.5], [2, -0.75], [1, 0.25], [0, 0], [2, -0.5],
                                                   [0, 0], [0, 0], [0, 0], [0, 0], [0, 0]])  # fmt: skip
    assert memory.rings[0, :, -4:].tolist() == [[-1, 7, 8, 7], [-1, 4, 4, 4], [-1, 2, 1, 2]]
    assert (memory.last_ms[0], memory.session_ms[0]) == (3_000, 500)


def test_a_session_is_forgotten_where_the_next_one_opens() -> None:
    memory = Memory.empty(2, n_tags=3)
    added(memory, 0, 7, 4, 2, 3)
    before = {name: values.copy() for name, values in memory.arrays().items()}
    memory.open_session(np.array([1]), np.array([9_000]))
    assert (memory.sums[1, SESSION] == 0).all()
    assert (memory.rings[1] == -1).all()
    np.testing.assert_array_equal(memory.sums[:, :SESSION], before["sums"][:, :SESSION])
    np.testing.assert_array_equal(memory.by_kind, before["by_kind"])
    np.testing.assert_array_equal(memory.last_ms, before["last_ms"])
    for name, values in memory.arrays().items():
        np.testing.assert_array_equal(values[0], before[name][0], err_msg=name)
    added(memory, 1, 8, 4, 1, 5)
    np.testing.assert_allclose(memory.sums[:, SESSION, 0], [2, 1])
    np.testing.assert_allclose(memory.sums[:, LIFE, 0], [2, 2])


def test_a_ring_holds_the_last_sixteen() -> None:
    memory = Memory.empty(1, n_tags=1)
    for video in range(1, 21):
        memory.add(X[:1], np.array([[video, 1, 0]]), np.array([[0, 1]]), np.array([video]))
    assert memory.rings[0, 0].tolist() == list(range(5, 21))


def test_rows_that_are_not_served_stay() -> None:
    memory = Memory.empty(3, n_tags=3)
    added(memory, 0, 7, 4, 2, 3)
    before = {name: values.copy() for name, values in memory.arrays().items()}
    served = np.array([True, False, True])
    arguments = np.tile(X[1], (3, 1)), np.tile([8, 4, 1], (3, 1)), np.tile([1, 5], (3, 1)), np.full(3, 2_000)
    memory.add(*arguments, served)
    every = Memory(**{name: values.copy() for name, values in before.items()})
    every.add(*arguments)
    for name, values in memory.arrays().items():
        np.testing.assert_array_equal(values[1], before[name][1], err_msg=name)
        np.testing.assert_array_equal(values[served], every.arrays()[name][served], err_msg=name)


def test_signals_of_events_by_hand() -> None:
    """Like counts for itself; comment, share and follow are one signal, which is there or is not."""
    flags = {name: np.zeros(3) for name in FLAGS}
    flags["click"], flags["like"] = np.array([1, 0, 1]), np.array([1, 0, 0])
    flags["comment"], flags["follow"] = np.array([0, 1, 0]), np.array([0, 1, 0])
    flags["hate"] = np.array([0, 0, 1])
    found = event_signals(flags, np.array([0.5, 1.0, 0.0]), np.array([True, False, False]))
    assert found.tolist() == [[1, 0, 0.5, 1, 1, 0], [0, 0, 1, 0, 0, 1], [1, 0, 0, 0, 0, 0]]


@pytest.fixture(scope="module")
def past(store: FeedStore) -> PastSums:
    return PastSums(store)


def test_sessions_begin_after_half_an_hour_without_a_request(store: FeedStore) -> None:
    user, time = store.events["user"], store.events["time_ms"]
    found = session_starts(store)
    start = 0
    for row in range(store.n_events):
        if row and (user[row] != user[row - 1] or time[row] - time[row - 1] > SESSION_GAP_MS):
            start = row
        assert found[row] == start
    assert 100 < len(np.unique(found)) < store.n_events / 2


def test_half_an_hour_to_the_millisecond_is_still_the_same_session() -> None:
    time = np.array([0, SESSION_GAP_MS, 2 * SESSION_GAP_MS + 1, 2 * SESSION_GAP_MS + 2])
    log = SimpleNamespace(events={"user": np.array([1, 1, 1, 2]), "time_ms": time}, n_events=4)
    assert session_starts(cast(FeedStore, log)).tolist() == [0, 0, 2, 3]


def test_what_events_count_with_is_what_came_less_what_is_usual(store: FeedStore, past: PastSums) -> None:
    x = past.events
    assert (x[:, 0] == 1).all()
    train = store.split_rows("train")
    for name, column in (("click", "is_click"), ("like", "is_like"), ("long_view", "long_view")):
        usual = store.events[column] - x[:, EVENT_SUMS.index(name)]
        assert -1e-6 <= usual.min() <= usual.max() <= 1 + 1e-6
        # Least squares with a constant: over the rows that it was fitted to nothing is left over on average.
        assert abs(x[train, EVENT_SUMS.index(name)].mean()) < 2e-3, name


def test_carried_along_it_equals_the_sums_over_the_past(store: FeedStore, past: PastSums) -> None:
    """All users side by side, event by event, those who have no more not served."""
    users = np.arange(1, store.n_users + 1)
    first, count = store.users["first_event"][users], store.users["n_events"][users]
    rows = np.arange(store.n_events)
    user, session = store.events["user"].astype(np.int64), session_starts(store)
    scales = past.scales(user, rows, session)
    tag, kind = past.tag[store.events["video"]], duration_class(store.events["duration_ms"])
    excess = [np.stack(past.excess(kinds, kinds, user, rows), axis=1) for kinds in (tag, kind)]
    author = store.videos["author"][store.events["video"]]
    shown = np.stack([store.events["video"], author, tag], axis=1)
    kinds = np.stack([tag, past.n_tags + kind], axis=1)
    time, x = store.events["time_ms"], past.events

    memory = Memory.empty(len(users), past.n_tags)
    steps = int(min(count.max(), 220))
    assert (count < steps).any()
    for step in range(steps):
        served = step < count
        row = np.where(served, first + step, 0)
        opens = np.flatnonzero(served & (session[row] == row))
        memory.open_session(opens, time[row[opens]])
        own = row[served]
        np.testing.assert_allclose(memory.sums[served], scales[own], rtol=2e-4, atol=2e-4)
        for number in range(2):
            known = memory.by_kind[served, kinds[own, number]]
            np.testing.assert_allclose(known, excess[number][own], rtol=2e-4, atol=2e-4)
        memory.add(x[row], shown[row], kinds[row], time[row], served)
    # Nobody was served more often than they have events.
    np.testing.assert_array_equal(memory.sums[:, LIFE, 0], np.minimum(count, steps))


@pytest.mark.parametrize("back", [0, 1, 40])
def test_a_memory_that_begins_somewhere_equals_the_sums_there(store: FeedStore, past: PastSums, back: int) -> None:
    """At users' sessions' first rows, and past all their events; with nothing before it is empty but for habits."""
    users = np.arange(1, store.n_users + 1)
    first, count = store.users["first_event"][users].astype(np.int64), store.users["n_events"][users]
    event = first + np.maximum(count - back, 0)
    memory = past.memory(users, event)
    expected = past.scales(users, event, event)
    np.testing.assert_allclose(memory.sums, expected, rtol=2e-4, atol=2e-4)
    assert (memory.sums[:, SESSION] == 0).all()
    np.testing.assert_allclose(memory.habits, past.habits(users, event), rtol=1e-4, atol=1e-6)
    kind = duration_class(store.events["duration_ms"])
    for tags, asked, column in ((past.tag[store.events["video"]], 1, 1), (kind, 4, past.n_tags + 4)):
        found = np.stack(past.excess(tags, np.full(len(users), asked), users, event), axis=1)
        np.testing.assert_allclose(memory.by_kind[:, column], found, rtol=2e-4, atol=2e-4)
    np.testing.assert_array_equal(memory.last_ms, np.where(count > back, store.events["time_ms"][event - 1], 0))
    assert (memory.rings == -1).all()


def test_habits_are_shrunk_to_the_populations(store: FeedStore, past: PastSums) -> None:
    """Ten events of everybody are added; of all events equally, and of the later ones."""
    train = store.split_rows("train")
    mean = np.array([store.events["is_click"][train].mean(), (store.events["tab"][train] != 1).mean()])
    users = np.array([3, 3, 3])
    first = int(store.users["first_event"][3])
    found = past.habits(users, first + np.array([0, 1, 3]))[:, :, [0, 4]]
    np.testing.assert_allclose(found[0], np.tile(mean, (2, 1)), rtol=1e-5)
    click = store.events["is_click"][first : first + 3].astype(float)
    other = (store.events["tab"][first : first + 3] != 1).astype(float)
    one = [(click[0] + 10 * mean[0]) / 11, (other[0] + 10 * mean[1]) / 11]
    np.testing.assert_allclose(found[1], [one, one], rtol=1e-5)
    weight = np.array([0.98**2, 0.98, 1.0])
    np.testing.assert_allclose(
        found[2, 0], [(click.sum() + 10 * mean[0]) / 13, (other.sum() + 10 * mean[1]) / 13], rtol=1e-5
    )
    slow = [(weight @ own + 10 * m) / (weight.sum() + 10) for own, m in ((click, mean[0]), (other, mean[1]))]
    np.testing.assert_allclose(found[2, 1], slow, rtol=1e-5)
