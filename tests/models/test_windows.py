"""Which events are queried, and what each query sees."""

from __future__ import annotations

import numpy as np
import pytest

from svsim.data import FeedStore
from svsim.models.config import ModelConfig
from svsim.models.inputs import NO_HISTORY, Inputs, waiting
from svsim.models.windows import Batch, Material, Protocol, batches, count_batches, make_windows
from svsim.names import SPLITS

LENGTH = 30


@pytest.fixture(scope="module")
def material(store: FeedStore) -> Material:
    return Material(store, Inputs.fit(store, ModelConfig(length=LENGTH, buckets=16)))


def all_batches(material: Material, split: str, protocol: Protocol, **options: object) -> list[Batch]:
    cut = np.random.default_rng(7) if options.pop("training", False) else None
    windows = make_windows(material.store, split, LENGTH, protocol, training=cut)
    return list(batches(material, windows, split, protocol, **({"places": 2_000} | options)))  # type: ignore[arg-type]


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize(("protocol", "training"), [("frozen", False), ("running", False), ("running", True)])
def test_every_row_of_the_split_is_queried_once(
    material: Material, split: str, protocol: Protocol, training: bool
) -> None:
    found = all_batches(material, split, protocol, training=training)
    rows = np.concatenate([batch.rows[batch.asked] for batch in found])
    np.testing.assert_array_equal(np.sort(rows), material.store.split_rows(split))
    assert sum(batch.total for batch in found) == len(rows)


def newest_seen(material: Material, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """Queried rows, and the waiting time that tells how far back their newest event lies."""
    return batch.rows[batch.asked], batch.visible.numpy()[batch.asked]


@pytest.mark.parametrize("split", SPLITS)
def test_running_sees_all_of_the_earlier_requests_and_no_more(material: Material, split: str) -> None:
    store = material.store
    user, time = store.events["user"], store.events["time_ms"]
    for batch in all_batches(material, split, "running"):
        rows, visible = newest_seen(material, batch)
        earlier = np.array([((user == user[row]) & (time < time[row])).sum() for row in rows[:40]])
        assert (visible[:40] <= earlier).all()
        assert (visible[:40] >= np.minimum(earlier, LENGTH)).all()


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("protocol", ["frozen", "running"])
def test_windows_within_the_length_query_every_row_too(material: Material, protocol: Protocol, training: bool) -> None:
    cut = np.random.default_rng(7) if training else None
    windows = make_windows(material.store, "train", LENGTH, protocol, training=cut, within=True)
    assert windows.n_past.max() <= LENGTH
    assert windows.n_asked.sum() >= len(material.store.split_rows("train"))


def test_frozen_sees_what_lies_before_the_split(material: Material) -> None:
    store = material.store
    user, code = store.events["user"], material.split
    for batch in all_batches(material, "test", "frozen"):
        rows, visible = newest_seen(material, batch)
        for row, seen in zip(rows[:40], visible[:40], strict=True):
            before = ((user == user[row]) & (code != code[row]) & (np.arange(len(user)) < row)).sum()
            assert seen == min(before, LENGTH)


def test_history_tokens_are_the_events_just_before(material: Material) -> None:
    """What stands in a window's history is the user's log; its last visible event is the newest earlier one."""
    store = material.store
    time = store.events["time_ms"]
    for batch in all_batches(material, "test", "running"):
        for place in np.argwhere(batch.asked)[:50]:
            row, seen = batch.rows[tuple(place)], int(batch.visible[tuple(place)])
            if not seen:
                assert float(batch.queries.wait[tuple(place)]) == NO_HISTORY
                continue
            newest = material.request_start[row] - 1
            expected = material.events.take(np.arange(newest - seen + 1, newest + 1))
            shown = batch.history.take((int(place[0]), slice(0, seen)))
            np.testing.assert_array_equal(shown.video.numpy(), expected.video)
            np.testing.assert_array_equal(shown.feedback.numpy(), expected.feedback)
            minutes = (time[row] - time[newest]) / 60_000
            assert float(batch.queries.wait[tuple(place)]) == pytest.approx(np.log1p(minutes) / 5, abs=1e-5)


def test_history_knows_no_rates_and_queries_do(material: Material) -> None:
    batch = max(all_batches(material, "test", "running"), key=lambda one: one.visible.max())
    assert not batch.history.number[..., 2:].any()
    assert batch.queries.number[..., 2:].any()


def test_parts_of_a_batch_make_the_whole(material: Material) -> None:
    whole = all_batches(material, "train", "running", training=True, order=np.random.default_rng(1))
    parts = [
        all_batches(material, "train", "running", training=True, order=np.random.default_rng(1), part=(rank, 2))
        for rank in range(2)
    ]
    assert len(whole) == len(parts[0]) == len(parts[1])
    for batch, one, two in zip(whole, *parts, strict=True):
        assert batch.total == one.total == two.total
        both = np.concatenate([one.rows[one.asked], two.rows[two.asked]])
        np.testing.assert_array_equal(np.sort(both), np.sort(batch.rows[batch.asked]))


def test_order_shuffles_and_skip_goes_on(material: Material) -> None:
    options = {"training": True, "places": 4_000}
    one, again, other = (
        all_batches(material, "train", "running", order=np.random.default_rng(seed), **options) for seed in (1, 1, 2)
    )
    assert all(np.array_equal(a.rows, b.rows) for a, b in zip(one, again, strict=True))
    assert not np.array_equal(one[0].rows, other[0].rows)
    rest = all_batches(material, "train", "running", order=np.random.default_rng(1), skip=3, **options)
    assert len(rest) == len(one) - 3
    assert np.array_equal(rest[0].rows, one[3].rows)
    assert max(batch.rows.size for batch in one) <= 4_000
    windows = make_windows(material.store, "train", LENGTH, "running", training=np.random.default_rng(7))
    assert count_batches(windows, 4_000) == pytest.approx(len(one), abs=3)


def test_waiting() -> None:
    minutes = np.array([0.0, 60.0, 1e9, 5.0])
    found = waiting(minutes, np.array([True, True, True, False]))
    np.testing.assert_allclose(found, [0, np.log(61) / 5, np.log1p(31 * 1_440) / 5, NO_HISTORY], rtol=1e-6)
    assert found.dtype == np.float32
