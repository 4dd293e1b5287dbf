"""The audit of the random log: closed forms against enumeration, level and power, planted faults, propensities."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from svsim.data.conversion import PrepareOptions, prepare
from svsim.data.store import FeedStore
from svsim.errors import OptionError
from svsim.names import LOG_COLUMNS
from svsim.ope.audit import Audit, propensity_audit
from svsim.ope.audit.insertion import stratified_test
from svsim.ope.audit.pool import known_pool
from svsim.ope.audit.propensity import Propensities
from svsim.ope.audit.uniformity import (
    collision_test,
    distinct_moments,
    even_pool,
    truncated_test,
    unevenness_error,
    unseen_videos,
)
from tests.kuairand import log_row, write_kuairand

SAMPLE = Path(__file__).parents[3] / "shared/data/kuairand-1k-sample"


# --- closed forms -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "pool"), [(1, 1), (2, 2), (3, 4), (5, 3), (6, 2), (4, 5)])
def test_moments_are_those_of_all_equally_likely_logs(n: int, pool: int) -> None:
    logs = [np.bincount(log, minlength=pool) for log in itertools.product(range(pool), repeat=n)]
    distinct = np.array([np.count_nonzero(counts) for counts in logs])
    assert distinct_moments(n, pool) == pytest.approx((distinct.mean(), distinct.std()), abs=1e-7)
    pairs = np.array([(counts * (counts - 1)).sum() / 2 for counts in logs])
    test = collision_test(logs[0], pool)
    assert (test.expected, test.sd) == pytest.approx((pairs.mean(), pairs.std()))
    uneven = pairs * pool / (n * (n - 1) / 2) - 1 if n > 1 else pairs
    assert uneven.mean() == pytest.approx(0)
    if n > 1:
        assert unevenness_error(n, pool) == pytest.approx(uneven.std())


def test_the_p_value_uses_the_exact_third_moment() -> None:
    from scipy import stats

    n, pool = 6, 4
    pairs = []
    for log in itertools.product(range(pool), repeat=n):
        counts = np.bincount(log)
        pairs.append((counts * (counts - 1)).sum() / 2)
    counts = np.array([3, 2, 1, 0])
    z = (4 - 0.5 - np.mean(pairs)) / np.std(pairs)
    assert collision_test(counts, pool).p == pytest.approx(stats.pearson3.sf(z, stats.skew(pairs)))


def test_the_figure_of_kuairand_1k() -> None:
    mean, sd = distinct_moments(43_028, 7_583)
    assert round(mean) == 7_557
    assert round(sd) == 5


def test_given_what_was_drawn_a_uniform_log_draws_each_of_it_alike() -> None:
    logs = np.array(list(itertools.product(range(4), repeat=3)))
    for seen in ([0, 1], [1, 2, 3]):
        first = [log[0] for log in logs if sorted(set(log)) == seen]
        assert len(set(np.bincount(first)[seen])) == 1


@pytest.mark.parametrize(("n", "pool"), [(60, 300), (900, 300), (3_000, 40)])
def test_p_values_of_uniform_logs_are_uniform(n: int, pool: int) -> None:
    rng = np.random.default_rng(n)
    logs = [np.bincount(rng.integers(0, pool, n), minlength=pool) for _ in range(300)]
    rejected = np.mean([collision_test(counts, pool).p < 0.05 for counts in logs])
    # Pairs are whole numbers, so that few of them reject less often.
    assert rejected < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)
    if n > 60:
        assert rejected > 0.05 - 3 * np.sqrt(0.05 * 0.95 / 300)


def test_without_a_pool_the_test_keeps_its_level_and_finds_uneven_videos() -> None:
    rng = np.random.default_rng(1)
    logs = [np.bincount(rng.integers(0, 400, 900)) for _ in range(300)]
    rejected = np.mean([truncated_test(counts[counts > 0]).p < 0.05 for counts in logs])
    assert abs(rejected - 0.05) < 3 * np.sqrt(0.05 * 0.95 / 300)
    weight = np.where(np.arange(400) < 40, 4.0, 1.0)
    uneven = np.bincount(rng.choice(400, 3_000, p=weight / weight.sum()))
    assert truncated_test(uneven[uneven > 0]).p < 1e-4


def test_unseen_videos_are_estimated() -> None:
    rng = np.random.default_rng(2)
    counts = np.bincount(rng.integers(0, 7_344, 14_000), minlength=7_344)
    seen = np.count_nonzero(counts)
    assert abs(seen + unseen_videos(counts) - 7_344) < 200
    assert abs(even_pool(14_000, seen) - 7_344) < 150
    assert even_pool(5, 5) == float("inf")
    assert unseen_videos(np.array([3, 4])) == 0


def test_a_stratified_test_of_one_table_is_pearsons() -> None:
    from scipy import stats

    table = np.array([[20, 35, 15], [80, 65, 105]])
    group = np.repeat([0, 1, 2, 0, 1, 2], table.ravel())
    taken = np.repeat([True, True, True, False, False, False], table.ravel())
    statistic, degrees, p, _ = stratified_test(np.zeros(len(group), dtype=int), group, taken)
    n = len(group)
    expected = stats.chi2_contingency(table, correction=False)
    assert statistic == pytest.approx(expected.statistic * (n - 1) / n)
    assert degrees == expected.dof
    assert p == pytest.approx(stats.chi2.sf(statistic, degrees))


def test_strata_take_out_what_differs_between_them() -> None:
    rng = np.random.default_rng(3)
    day = rng.integers(0, 2, 20_000)
    group = (rng.random(20_000) < np.where(day == 1, 0.8, 0.2)).astype(int)
    taken = rng.random(20_000) < np.where(day == 1, 0.1, 0.02)
    assert stratified_test(np.zeros(20_000, dtype=int), group, taken)[2] < 1e-9
    assert stratified_test(day, group, taken)[2] > 0.001


# --- propensities -----------------------------------------------------------------------------------------------------


def fitted(place: np.ndarray, size: int, day: np.ndarray | None = None) -> tuple[Propensities, np.ndarray]:
    day = np.zeros(len(place), dtype=int) if day is None else day
    return Propensities.fit(place, day, np.zeros(size, dtype=int), int(day.max()) + 1, 0.001), day


def test_of_a_uniform_log_the_estimate_is_one_over_the_pool() -> None:
    place = np.random.default_rng(4).integers(0, 500, 3_000)
    found, day = fitted(place, 500)
    assert found.variance == 0
    assert found.of(place, day) == pytest.approx(np.full(3_000, 1 / 500))


def test_left_out_of_its_own_estimate_a_row_has_an_unbiased_weight() -> None:
    rng = np.random.default_rng(5)
    size, n, left_out, naive = 400, 2_400, [], []
    for _ in range(200):
        rate = rng.gamma(2.0, 0.5, size)
        place = rng.choice(size, n, p=rate / rate.sum())
        found, day = fitted(place, size)
        left_out.append(np.mean(1 / (size * found.of(place, day))))
        naive.append(np.mean(found.rates.sum() / (size * found.rates[place])))
    error = np.std(left_out) / np.sqrt(200)
    assert abs(np.mean(left_out) - 1) < 0.005 + 3 * error
    assert np.mean(naive) < 0.96


def test_estimated_propensities_bring_a_value_nearer_to_the_truth() -> None:
    rng = np.random.default_rng(6)
    size, n, quality = 300, 3_000, np.linspace(0, 1, 300)
    weight = np.where(quality > 0.9, 3.0, 1.0)
    errors = []
    for _ in range(30):
        place = rng.choice(size, n, p=weight / weight.sum())
        reward = rng.random(n) < quality[place]
        found, day = fitted(place, size)
        truth = quality.mean()
        errors.append((np.mean(reward) - truth, np.mean(reward / (size * found.of(place, day))) - truth))
    plain, estimated = np.abs(np.mean(errors, axis=0))
    assert plain > 0.06
    assert estimated < plain / 2


def test_a_withdrawn_video_is_not_of_the_later_pools() -> None:
    rng = np.random.default_rng(7)
    early, late = rng.integers(0, 100, 10_000), rng.integers(10, 100, 9_000)
    place, day = np.r_[early, late], np.repeat([0, 1], [10_000, 9_000])
    found, _ = fitted(place, 100, day)
    assert found.there.sum(axis=1).tolist() == [100, 90]
    assert found.variance == 0
    assert found.of(place, day) == pytest.approx(np.where(day == 0, 1 / 100, 1 / 90))


# --- stores -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def audit(chance_store: FeedStore) -> Audit:
    return propensity_audit(chance_store)


def test_a_world_passes(chance_store: FeedStore, audit: Audit) -> None:
    record = audit.record()
    assert audit.passed
    assert record["passed"]
    assert not audit.failures
    assert not audit.warnings
    assert audit.passes("uniform")
    assert json.loads(json.dumps(record)) == record
    assert record["pool"]["source"] == "truth"
    assert record["pool"]["world"] == 300
    # Videos without a duration are in the world's pool, and not in the store's log.
    assert record["pool"]["seen"] <= record["pool"]["videos"] < 300
    notes = {gate["name"]: gate["verdict"].split(":")[0] for gate in record["gates"]}
    assert notes["insertion by tab, largest ratio"] == "noted"
    assert notes["insertion by hour, largest ratio"] == "passed"
    assert notes["insertion by click before, largest ratio"] == "passed"


def test_propensities_of_a_world_are_one_over_its_pool(audit: Audit) -> None:
    uniform = audit.propensity(audit.rows, "uniform")
    assert uniform == pytest.approx(np.full(len(audit.rows), 1 / len(audit.pool)))
    assert audit.propensity(audit.rows[::-3]) == pytest.approx(uniform[::-3], rel=0.05)


def test_a_part_of_the_rows_can_be_audited(chance_store: FeedStore, audit: Audit) -> None:
    part = propensity_audit(chance_store, rows=chance_store.split_rows("train"))
    assert 0 < len(part.rows) < len(audit.rows)
    assert (part.pool == audit.pool).all()
    chance_alone = propensity_audit(chance_store, rows=audit.rows)
    assert chance_alone.record()["insertion"] is None
    assert chance_alone.passed


def test_what_is_not_of_the_audit_is_refused(chance_store: FeedStore, audit: Audit) -> None:
    standard = np.flatnonzero(chance_store.events["is_rand"] == 0)[:1]
    with pytest.raises(OptionError, match="that the audit read"):
        audit.propensity(standard)
    with pytest.raises(OptionError, match="estimated or uniform"):
        audit.propensity(audit.rows[:1], "exact")
    with pytest.raises(OptionError, match="between 0 and 1"):
        propensity_audit(chance_store, alpha=1.0)
    with pytest.raises(OptionError, match=r"is_rand = 1.*log_random_4_22_to_5_08_pure.csv.*--preset small") as error:
        propensity_audit(chance_store, rows=standard)
    assert "\n" not in str(error.value)


def drawn_store(
    folder: Path, video: np.ndarray, user: np.ndarray, days: np.ndarray | None = None, pool: int = 200
) -> FeedStore:
    """A store whose random log holds given draws on 22 to 25 April, and whose standard log begins before."""
    rng = np.random.default_rng(0)
    days = rng.integers(0, 4, len(video)) if days is None else days
    base = 1_650_600_000_000
    logs = [
        log_row(user=u, video=v, time_ms=base - 86_400_000 * 2 + 1_000 * v, date=20220420, play=5_000)
        for u in range(40)
        for v in (0, 1)
    ]
    chance = [
        log_row(
            user=int(u), video=int(v), time_ms=base + 86_400_000 * int(d) + 7 * i, date=20220422 + int(d), is_rand=1
        )
        for i, (u, v, d) in enumerate(zip(user, video, days, strict=True))
    ]
    logs += [log_row(user=3, video=2, time_ms=base + 9_000, date=20220422, play=5_000)]
    source = write_kuairand(
        folder / "files", logs, users=dict.fromkeys(range(40), 0), videos=range(pool), random_logs=chance
    )
    split = PrepareOptions(train_until="20220423", valid_until="20220424", test_until="20220425")
    return prepare(source, folder / "store", split)


def verdicts(audit: Audit) -> dict[str, str]:
    return {gate["name"].split(" (")[0]: gate["verdict"].split(":")[0] for gate in audit.record()["gates"]}


def test_an_even_log_of_an_unknown_pool_passes(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    found = propensity_audit(drawn_store(tmp_path, rng.integers(0, 200, 500), rng.integers(0, 40, 500)))
    assert found.passed
    assert not found.warnings
    assert found.record()["pool"]["source"] == "seen"
    assert found.record()["uniformity"][0]["distinct_expected"] is None


def test_a_tenth_of_the_pool_three_times_as_often_warns_against_one_over_k(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    weight = np.where(np.arange(200) % 10 == 0, 3.0, 1.0)
    video = rng.choice(200, 2_500, p=weight / weight.sum())
    store = drawn_store(tmp_path, video, rng.integers(0, 40, 2_500))
    found = propensity_audit(store)
    assert verdicts(found)["unevenness"] == "warned"
    assert found.passed
    assert not found.passes("uniform")
    drawn = store.videos["video_id"][store.events["video"][found.rows]]
    ratio = found.propensity(found.rows) * len(found.pool)
    # Of the mean rate 1.2, shrunk towards it.
    assert 1.8 < ratio[drawn % 10 == 0].mean() < 2.6
    assert 0.7 < ratio[drawn % 10 > 0].mean() < 0.95


def test_videos_shown_by_popularity_fail(tmp_path: Path) -> None:
    rng = np.random.default_rng(10)
    weight = 1 / np.arange(1, 201)
    video = rng.choice(200, 1_500, p=weight / weight.sum())
    found = propensity_audit(drawn_store(tmp_path, video, rng.integers(0, 40, 1_500)))
    assert verdicts(found)["unevenness"] == "failed"
    assert "unevenness" in found.failures


def test_a_video_shown_to_a_user_again_and_again_fails(tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    user = np.repeat(np.arange(40), 25)
    # Each user's draws come from a quarter of the pool, all of which is drawn alike.
    video = (user * 5 + rng.integers(0, 50, len(user))) % 200
    found = propensity_audit(drawn_store(tmp_path, video, user))
    assert verdicts(found)["repeats by a user, ratio"] == "failed"
    assert verdicts(found)["unevenness"] == "passed"


def test_a_day_without_any_fails(tmp_path: Path) -> None:
    rng = np.random.default_rng(12)
    days = rng.choice([0, 1, 3], 400)
    found = propensity_audit(drawn_store(tmp_path, rng.integers(0, 200, 400), rng.integers(0, 40, 400), days))
    assert found.failures == ("days without any",)
    assert found.record()["days_without"] == [20220424]


def test_few_rows_fail_and_nothing_else_is_judged(tmp_path: Path) -> None:
    found = propensity_audit(drawn_store(tmp_path, np.arange(24), np.arange(24)))
    assert found.failures == ("random rows",)
    assert {gate["verdict"] for gate in found.record()["gates"][1:]} == {"not judged: fewer than 100 rows"}
    assert (found.propensity(found.rows) > 0).all()


def test_the_sample_of_kuairand_1k_has_too_few_rows(tmp_path: Path) -> None:
    if not SAMPLE.is_dir():
        pytest.skip(f"no sample in {SAMPLE}")
    lines = next(SAMPLE.glob("data/*.csv")).read_text().splitlines()
    assert lines[0].split(",") == list(LOG_COLUMNS)
    rows = [dict(zip(LOG_COLUMNS, map(int, line.split(",")), strict=True)) for line in lines[1:]]
    users, videos = {row["user_id"] for row in rows}, {row["video_id"] for row in rows}
    before = [
        log_row(user=u, video=rows[0]["video_id"], time_ms=1_650_000_000_000 + u, date=day, play=5_000)
        for u in users
        for day in (20220415, 20220501)
    ]
    source = write_kuairand(
        tmp_path / "files", before, users=dict.fromkeys(users, 0), videos=sorted(videos), random_logs=rows
    )
    found = propensity_audit(prepare(source, tmp_path / "store", PrepareOptions(train_until="20220420")))
    assert found.failures == ("random rows",)
    assert len(found.rows) <= 24


def test_a_pool_is_known_from_the_truth_or_is_what_was_drawn(chance_store: FeedStore, store: FeedStore) -> None:
    pool, source = known_pool(chance_store)
    assert source == "truth"
    assert (chance_store.videos["video_duration"][pool] > 0).all()
    drawn, source = known_pool(store)
    assert source == "seen"
    assert (drawn == np.unique(store.events["video"][store.events["is_rand"] == 1])).all()


def test_a_video_outside_the_worlds_pool_fails(chance_store: FeedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    import svsim.ope.audit.audit as module

    pool, source = known_pool(chance_store)
    monkeypatch.setattr(module, "known_pool", lambda _: (pool[10:], source))
    found = propensity_audit(chance_store)
    assert "rows of videos outside the pool" in found.failures
    assert (found.propensity(found.rows) > 0).all()
