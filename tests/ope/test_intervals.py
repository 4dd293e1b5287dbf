"""Intervals against closed forms, an independent library's values, and simulations whose truth is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from svsim.errors import OptionError
from svsim.ope import Estimate, OPEWarning, estimate
from svsim.ope.estimates import estimate_rows
from svsim.ope.intervals.bernstein import empirical_bernstein
from svsim.ope.intervals.betting import betting
from svsim.ope.intervals.bootstrap import bootstrap_interval
from svsim.ope.intervals.counts import clopper_pearson, wilson
from svsim.ope.intervals.delta import delta_interval, standard_error
from svsim.ope.rows import checked_rows
from svsim.ope.sums import UserSums

FIXTURES = Path(__file__).parents[1] / "fixtures" / "ope"
EXPECTED = json.loads((FIXTURES / "expected.json").read_text())
"""Values of Open Bandit Pipeline 0.5.7."""
LOGS = [name for name in EXPECTED if name != "meta"]
FIVE = 5.0
"""Standard errors that a simulated share may be off by."""


def within(share: float, level: float, trials: int) -> bool:
    return bool(abs(share - level) <= FIVE * np.sqrt(level * (1 - level) / trials))


def ratio_sums(user: np.ndarray | None, seed: int = 0, n: int = 600) -> UserSums:
    """Of SNIPS: Σ w r / Σ w."""
    rng = np.random.default_rng(seed)
    weight = rng.exponential(size=n)
    return estimate("snips", reward=rng.random(n) + 0.3 * weight, weight=weight, user=user).sums


class TestDelta:
    @pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
    def test_of_a_plain_mean_of_independent_rows_it_is_students(self, level: float) -> None:
        rng = np.random.default_rng(0)
        reward, weight = rng.random(50), rng.random(50)
        terms = reward * weight
        expected = stats.t.interval(level, 49, loc=terms.mean(), scale=stats.sem(terms))
        assert estimate("ips", reward=reward, weight=weight).interval(level) == pytest.approx(expected)
        # Users of one row each, in whatever order.
        users = rng.permutation(50)
        assert estimate("ips", reward=reward, weight=weight, user=users).interval(level) == pytest.approx(expected)

    def test_three_users_by_hand(self) -> None:
        """Rows 1, 2 | 3 | 0 by user: V = 3/2; ψ = (3 − 3, 3 − 3/2, 0 − 3/2) / 4; s² = 3/2 · (9/4 + 9/4) / 16 = 27/64.

        With two degrees of freedom P(|t| ≤ x) = x / √(2 + x²): .5 at x = √(2/3).
        """
        found = estimate("ips", reward=[1.0, 2.0, 3.0, 0.0], weight=np.ones(4), user=[7, 7, 2, 5])
        assert found.value == 1.5
        assert found.standard_error == pytest.approx(np.sqrt(27) / 8)
        half = np.sqrt(2 / 3) * np.sqrt(27) / 8
        assert found.interval(0.5) == pytest.approx((1.5 - half, 1.5 + half))

    def test_a_ratio_of_three_users_by_hand(self) -> None:
        """w = 1, 1 | 2 | 4 and r = 1, 0 | 1 | 0: V = 3/8; ψ = (1 − 2 · 3/8, 2 − 2 · 3/8, −4 · 3/8) / 8 = (1, 5, −6) / 32.

        s² = 3/2 · 62 / 1024.
        """
        found = estimate("snips", reward=[1.0, 0.0, 1.0, 0.0], weight=[1.0, 1.0, 2.0, 4.0], user=[0, 0, 1, 2])
        assert found.value == 3 / 8
        assert found.standard_error == pytest.approx(np.sqrt(93 / 1024))

    def test_rows_repeated_within_users_tell_nothing_new(self) -> None:
        rng = np.random.default_rng(1)
        reward, weight, user = rng.random(40), rng.random(40), np.arange(40)
        once = estimate("sndr", reward=reward, weight=weight, q_logged=reward / 2, q_expected=weight / 3, user=user)
        many = estimate(
            "sndr",
            reward=np.repeat(reward, 5),
            weight=np.repeat(weight, 5),
            q_logged=np.repeat(reward / 2, 5),
            q_expected=np.repeat(weight / 3, 5),
            user=np.repeat(user, 5),
        )
        assert many.interval() == pytest.approx(once.interval())

    @given(st.integers(0, 100))
    def test_the_order_of_rows_does_not_matter(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        reward, weight, user = rng.random(30), rng.random(30), rng.integers(0, 6, 30)
        order = rng.permutation(30)
        one = estimate("snips", reward=reward, weight=weight, user=user)
        other = estimate("snips", reward=reward[order], weight=weight[order], user=user[order])
        assert other.interval() == pytest.approx(one.interval(), rel=1e-9)

    @given(st.integers(0, 100), st.integers(1, 29))
    def test_merged_shards_are_the_whole(self, seed: int, cut: int) -> None:
        rng = np.random.default_rng(seed)
        reward, weight, user = rng.random(30), rng.random(30), rng.integers(0, 6, 30)
        parts = [
            estimate("snips", reward=reward[part], weight=weight[part], user=user[part]).sums
            for part in (slice(cut), slice(cut, None))
        ]
        whole = estimate("snips", reward=reward, weight=weight, user=user).sums
        merged = parts[0].merge(parts[1])
        assert delta_interval(merged) == pytest.approx(delta_interval(whole), rel=1e-9)
        assert bootstrap_interval(merged, resamples=50) == pytest.approx(bootstrap_interval(whole, resamples=50))

    def test_clustered_it_covers_where_rows_taken_as_independent_do_not(self) -> None:
        """400 logs of 400 users with 1 to 8 rows, whose effects are most of what varies.

        A row-independent interval is too narrow by about √5.
        """
        rng = np.random.default_rng(3)
        logs, users = 400, 400
        covered = {"clustered": 0, "independent": 0}
        for _ in range(logs):
            user = np.repeat(np.arange(users), rng.integers(1, 9, users))
            n = len(user)
            reward = 0.4 + rng.normal(size=users)[user] + 0.3 * rng.normal(size=n)
            weight = rng.choice([0.5, 1.5], n)
            for name, cluster in (("clustered", user), ("independent", None)):
                low, high = estimate("snips", reward=reward, weight=weight, user=cluster).interval()
                covered[name] += low <= 0.4 <= high
        assert within(covered["clustered"] / logs, 0.95, logs)
        assert covered["independent"] / logs < 0.8

    @pytest.mark.parametrize("level", [0.0, 1.0, 95.0, float("nan")])
    @pytest.mark.parametrize("method", ["delta", "bootstrap", "bernstein", "betting"])
    def test_what_is_no_level_is_refused(self, level: float, method: str) -> None:
        found = estimate("ips", reward=[1.0, 0.0], weight=[1.0, 1.0])
        with pytest.raises(OptionError, match="level"):
            found.interval(level, method, term_range=(0, 1))  # type: ignore[arg-type]


class TestBootstrap:
    def test_of_a_ratio_it_agrees_with_the_delta_method(self) -> None:
        """Over 400 users the value is all but normal: ends lie within the error of a percentile of 4,000 draws.

        A percentile's error is √(p (1 − p) / R) / density: .042 sd at p = .025; the rest is skewness and Student's t.
        """
        user = np.random.default_rng(5).integers(0, 400, 2_000)
        sums = ratio_sums(user, n=2_000)
        error = standard_error(sums)
        assert bootstrap_interval(sums, resamples=4_000) == pytest.approx(delta_interval(sums), abs=0.2 * error)

    def test_the_same_seed_gives_the_same_interval(self) -> None:
        sums = ratio_sums(np.arange(600) % 50)
        assert bootstrap_interval(sums, seed=3) == bootstrap_interval(sums, seed=3)
        assert bootstrap_interval(sums, seed=3) != bootstrap_interval(sums, seed=4)

    def test_where_nothing_varies_it_is_the_value(self) -> None:
        found = estimate("ips", reward=np.full(20, 0.25), weight=np.ones(20))
        assert found.interval(method="bootstrap") == (0.25, 0.25)

    def test_resamples_without_a_match_are_left_out(self) -> None:
        """One of three users has a match: (2/3)³ of the resamples have none, and all the others its value."""
        found = estimate("snips", reward=[0.7, 1.0, 0.0], weight=[2.0, 0.0, 0.0], user=[0, 1, 2])
        assert found.interval(method="bootstrap") == pytest.approx((0.7, 0.7))

    def test_one_user_alone_or_no_estimate_has_none(self) -> None:
        alone = estimate("ips", reward=[1.0, 0.0], weight=[1.0, 1.0], user=[4, 4])
        assert np.isnan(alone.interval(method="bootstrap")).all()
        with pytest.warns(OPEWarning):
            none = estimate("snips", reward=[1.0, 0.0], weight=[0.0, 0.0])
        assert np.isnan(none.interval(method="bootstrap")).all()

    def test_no_resamples_are_refused(self) -> None:
        with pytest.raises(OptionError, match="expected at least one resample, found 0"):
            bootstrap_interval(ratio_sums(None), resamples=0)


class TestCounts:
    @given(st.integers(0, 60), st.integers(1, 60), st.sampled_from([0.5, 0.9, 0.95]))
    def test_wilson_is_its_closed_form(self, successes: int, trials: int, level: float) -> None:
        successes = min(successes, trials)
        p, z = successes / trials, stats.norm.ppf(0.5 + level / 2)
        middle = (p + z * z / (2 * trials)) / (1 + z * z / trials)
        half = z / (1 + z * z / trials) * np.sqrt(p * (1 - p) / trials + z * z / (4 * trials**2))
        assert wilson(successes, trials, level) == pytest.approx((middle - half, middle + half), abs=1e-12)

    def test_exact_ends_without_a_success_or_a_failure(self) -> None:
        """Of 0 in n the upper end p has (1 − p)^n = α/2."""
        upper = 1 - 0.025 ** (1 / 10)
        assert clopper_pearson(0, 10) == pytest.approx((0, upper))
        assert clopper_pearson(10, 10) == pytest.approx((1 - upper, 1))

    @given(st.integers(1, 39))
    def test_exact_ends_are_where_the_test_turns(self, successes: int) -> None:
        low, high = clopper_pearson(successes, 40, 0.9)
        assert stats.binom.sf(successes - 1, 40, low) == pytest.approx(0.05)
        assert stats.binom.cdf(successes, 40, high) == pytest.approx(0.05)

    def test_no_trial_is_no_interval(self) -> None:
        assert np.isnan([*wilson(0, 0), *clopper_pearson(0, 0)]).all()

    @pytest.mark.parametrize("interval", [wilson, clopper_pearson])
    @pytest.mark.parametrize(
        ("counts", "message"),
        [
            ((3, 2), "successes: expected a whole number from 0 to 2"),
            ((-1, 2), "successes: expected a whole number from 0 to 2"),
            ((0.5, 2), "successes: expected a whole number from 0 to 2"),
            ((0, -1), "trials: expected a whole number, 0 or more"),
            ((1, 2.5), "trials: expected a whole number, 0 or more"),
            ((1, float("inf")), "trials: expected a whole number, 0 or more"),
            ((float("nan"), 3), "successes: expected a whole number from 0 to 3"),
        ],
    )
    def test_counts_that_cannot_be_are_refused(self, interval: object, counts: tuple[int, int], message: str) -> None:
        with pytest.raises(OptionError, match=message):
            interval(*counts)  # type: ignore[operator]


class TestBernstein:
    @pytest.mark.parametrize("log", LOGS)
    def test_lower_bounds_are_the_independent_librarys(self, log: str) -> None:
        with np.load(FIXTURES / f"{log}.npz") as held:
            row = np.arange(len(held["action"]))
            terms = held["action_dist"][row, held["action"]] / held["pscore"] * held["reward"]
        low, high = empirical_bernstein(terms, 0, terms.max(), 0.95, side="lower")
        assert low == pytest.approx(EXPECTED[log]["ips_lower_bounds_delta0.05"]["bernstein"], rel=1e-10)
        assert high == terms.max()

    def test_by_hand(self) -> None:
        """0, 1, 0, 1 in [0, 2] at 1 − δ = 1 − 2/e³: V = 1/3, half √(2 · 1/3 · 3 / 4) + 7 · 2 · 3 / 9."""
        half = np.sqrt(0.5) + 14 / 3
        values, level = [0.0, 1.0, 0.0, 1.0], 1 - 2 / np.e**3
        assert empirical_bernstein(values, 0, 2, level, side="lower") == pytest.approx((0.5 - half, 2))
        assert empirical_bernstein(values, 0, 2, level, side="upper") == pytest.approx((0, 0.5 + half))
        # Both sides at once: δ / 2 each.
        assert empirical_bernstein(values, 0, 2, 1 - 4 / np.e**3) == pytest.approx((0.5 - half, 0.5 + half))

    @given(st.lists(st.floats(0, 1), min_size=2, max_size=20), st.floats(-5, 5), st.floats(0.1, 10))
    def test_it_moves_with_the_scale(self, values: list[float], shift: float, scale: float) -> None:
        low, high = empirical_bernstein(values, 0, 1)
        moved = empirical_bernstein(np.array(values) * scale + shift, shift, shift + scale)
        assert moved == pytest.approx((low * scale + shift, high * scale + shift), rel=1e-6, abs=1e-6)

    @pytest.mark.parametrize("n", [2, 30, 1_000])
    def test_it_covers(self, n: int) -> None:
        """Skewed values, of which few are large: no more than α of 400 samples lose the mean, .1."""
        rng = np.random.default_rng(4)
        samples, level = 400, 0.9
        ends = np.array([empirical_bernstein(rng.beta(0.2, 1.8, n), 0, 1, level) for _ in range(samples)])
        missed = int(((ends[:, 0] > 0.1) | (ends[:, 1] < 0.1)).sum())
        assert missed / samples <= 1 - level + 3 * np.sqrt(level * (1 - level) / samples)

    def test_one_value_is_not_enough(self) -> None:
        assert np.isnan(empirical_bernstein([0.5], 0, 1)).all()

    def test_an_unknown_side_is_refused(self) -> None:
        with pytest.raises(OptionError, match="expected both, lower or upper, found 'left'"):
            empirical_bernstein([0.0, 1.0], 0, 1, side="left")  # type: ignore[arg-type]


class TestBetting:
    def test_a_value_of_one_by_hand(self) -> None:
        """At α = ½ the stake is λ = √(2 ln 4 / ¼); K⁺ = 1 + λ (1 − m) reaches 2/α = 4 at m = 1 − 3/λ."""
        bound = 1 - 3 / np.sqrt(8 * np.log(4))
        low, high = betting([1.0], 0, 1, 0.5)
        assert low == pytest.approx(bound, abs=1e-6)
        assert low <= bound
        assert high == 1
        assert betting([0.0], 0, 1, 0.5) == pytest.approx((0, 1 - bound), abs=1e-6)

    def test_values_of_one_by_hand_at_all_times(self) -> None:
        """Stakes are cut to c / m there: K⁺_t = (½ (1 + 1/m))^t reaches 4 at m = 1 / (2 · 4^(1/t) − 1): 1/7, 1/3, …"""
        low, high = betting(np.ones(3), 0, 1, 0.5, grid=10_000, running=True)
        assert low == pytest.approx([1 / (2 * 4 ** (1 / t) - 1) for t in (1, 2, 3)], abs=1e-4)
        assert (low <= [1 / (2 * 4 ** (1 / t) - 1) for t in (1, 2, 3)]).all()
        assert (high == 1).all()

    def test_it_covers_at_all_times(self) -> None:
        """Of 300 sequences of 500 Bernoulli(.1) values no more than α lose the mean at any time whatever."""
        rng = np.random.default_rng(0)
        sequences, level, missed = 300, 0.9, 0
        for _ in range(sequences):
            low, high = betting(rng.random(500) < 0.1, 0, 1, level, grid=128, running=True)
            missed += not ((low <= 0.1) & (high >= 0.1)).all()
        assert missed / sequences <= 1 - level + 3 * np.sqrt(level * (1 - level) / sequences)

    def test_it_covers_after_n_values(self) -> None:
        rng = np.random.default_rng(1)
        sequences, level, missed = 300, 0.9, 0
        for _ in range(sequences):
            low, high = betting(rng.beta(0.2, 1.8, 300), 0, 1, level, grid=100)
            missed += not low <= 0.1 <= high
        assert missed / sequences <= 1 - level + 3 * np.sqrt(level * (1 - level) / sequences)

    @pytest.mark.parametrize("seed", range(5))
    def test_it_is_narrower_than_empirical_bernstein(self, seed: int) -> None:
        values = np.random.default_rng(seed).random(2_000) < 0.1
        low, high = betting(values, 0, 1)
        other = empirical_bernstein(values, 0, 1)
        assert high - low < 0.8 * (other[1] - other[0])
        assert low < values.mean() < high

    @pytest.mark.parametrize("constant", [-2.0, 0.0, 1.3, 5.0])
    def test_constants_are_found(self, constant: float) -> None:
        """Bets on a constant lose nothing; the interval shrinks about as 1 / n."""
        widths = []
        for n in (100, 1_000, 10_000):
            low, high = betting(np.full(n, constant), -2, 5)
            assert low <= constant <= high
            widths.append(high - low)
        assert widths[0] > 3 * widths[1] > 9 * widths[2]

    def test_running_ends_only_close_in(self) -> None:
        values = np.random.default_rng(2).random(3_000)
        low, high = betting(values, 0, 1, running=True)
        assert len(low) == len(high) == len(values)
        assert (np.diff(low) >= 0).all()
        assert (np.diff(high) <= 0).all()
        # What came after is not known before, whatever is taken at a time.
        early = betting(values[:1_234], 0, 1, running=True)
        np.testing.assert_array_equal(early[0], low[:1_234])
        np.testing.assert_array_equal(early[1], high[:1_234])

    def test_a_finer_grid_is_no_wider(self) -> None:
        values = np.random.default_rng(3).random(400)
        rough, fine = (betting(values, 0, 1, grid=grid, running=True) for grid in (50, 1_000))
        assert (rough[0] <= fine[0]).all()
        assert (fine[0] - rough[0] < 1 / 50).all()
        assert (rough[1] >= fine[1]).all()

    @given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
    def test_mirrored_values_have_the_mirrored_interval(self, values: list[float]) -> None:
        low, high = betting(values, 0, 1, 0.5)
        mirrored = betting(1 - np.array(values), 0, 1, 0.5)
        assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-5)

    def test_a_seed_shuffles(self) -> None:
        """The order of values matters; of sorted ones the interval is wrong."""
        values = np.linspace(0, 1, 2_001)
        low, high = betting(values, 0, 1, seed=0)
        assert low < 0.5 < high
        assert betting(values, 0, 1, seed=0) == (low, high)
        wrong = betting(values, 0, 1)
        assert not wrong[0] < 0.5 < wrong[1]

    def test_a_grid_of_one_cell_is_refused(self) -> None:
        with pytest.raises(OptionError, match="expected at least two cells, found 1"):
            betting([0.5], 0, 1, grid=1)


@pytest.mark.parametrize("interval", [empirical_bernstein, betting])
@pytest.mark.parametrize(
    ("values", "ends", "message"),
    [
        ([0.0, 2.0, 3.0], (0, 1), r"expected values from 0 to 1, found 2 in row 1 \(2 such rows\)"),
        ([0.0, -0.1], (0, 1), "found -0.1 in row 1"),
        ([0.0, np.nan], (0, 1), "expected finite numbers"),
        ([], (0, 1), "expected at least one number"),
        ([[0.5]], (0, 1), "expected at least one number"),
        ([0.5], (1, 1), "expected a range"),
        ([0.5], (0, np.inf), "expected a range"),
        ([0.5], (0, np.nan), "expected a range"),
        (["a"], (0, 1), "expected an array of numbers"),
    ],
)
def test_values_out_of_a_declared_range_are_refused(
    interval: object, values: list[float], ends: tuple[float, float], message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        interval(values, *ends)  # type: ignore[operator]


class TestOfEstimates:
    """Intervals that take an estimate's rows."""

    @staticmethod
    def made(name: str = "ips", **more: object) -> Estimate:
        rng = np.random.default_rng(6)
        arrays = {
            "reward": (rng.random(500) < 0.3).astype(float),
            "weight": rng.choice([0.0, 0.5, 2.0], 500),
            "q_logged": rng.random(500),
            "q_expected": rng.random(500),
            "match": rng.random(500) < 0.2,
            "user": np.arange(500) % 40,
        }
        return estimate(name, **(arrays | more))  # type: ignore[arg-type]

    def test_a_plain_mean_s_are_those_of_its_terms(self) -> None:
        found = self.made()
        assert found.terms is not None
        terms = found.terms().numerator
        assert terms.mean() == pytest.approx(found.value)
        assert found.interval(0.9, "bernstein", term_range=(0, 2)) == pytest.approx(
            empirical_bernstein(terms, 0, 2, 0.9)
        )
        assert found.interval(0.9, "betting", term_range=(0, 2), seed=7) == betting(terms, 0, 2, 0.9, seed=7)

    @pytest.mark.parametrize("name", ["dm", "ips_clip", "dr", "dr_slope", "dros"])
    @pytest.mark.parametrize("method", ["bernstein", "betting"])
    def test_every_plain_mean_has_them(self, name: str, method: str) -> None:
        found = self.made(name)
        low, high = found.interval(method=method, term_range=(-2, 3))  # type: ignore[arg-type]
        assert -2 <= low < found.value < high <= 3

    def test_ends_are_clipped_to_the_range(self) -> None:
        found = estimate("ips", reward=[0.0, 1.0, 0.0, 1.0], weight=np.ones(4))
        assert found.interval(method="bernstein", term_range=(0, 1)) == (0, 1)
        assert empirical_bernstein([0.0, 1.0, 0.0, 1.0], 0, 1)[0] < 0

    @pytest.mark.parametrize("method", ["bernstein", "betting"])
    def test_what_they_cannot_be_of_is_refused(self, method: str) -> None:
        options = {"method": method, "term_range": (0, 2)}
        with pytest.raises(OptionError, match="found snips, a ratio of sums"):
            self.made("snips").interval(**options)  # type: ignore[arg-type]
        with pytest.raises(OptionError, match="found none; declare term_range"):
            self.made().interval(method=method)  # type: ignore[arg-type]
        with pytest.raises(OptionError, match="expected values from 0 to 1, found 2"):
            self.made().interval(method=method, term_range=(0, 1))  # type: ignore[arg-type]
        with pytest.raises(OptionError, match="found sums by user alone"):
            Estimate("ips", self.made().sums).interval(**options)  # type: ignore[arg-type]

    def test_replay_counts_what_matched(self) -> None:
        """Rows 1, 0, 1, 1 of which all but the last match: 2 of 3."""
        arrays = {"reward": [1.0, 0.0, 1.0, 1.0], "match": [True, True, True, False]}
        found = estimate("replay", **arrays)  # type: ignore[arg-type]
        assert found.interval(method="wilson") == wilson(2, 3)
        assert found.interval(0.8, "exact") == clopper_pearson(2, 3, 0.8)

    def test_without_a_match_there_is_no_interval(self) -> None:
        with pytest.warns(OPEWarning):
            found = estimate("replay", reward=[1.0, 0.0], match=[False, False])
        assert np.isnan([*found.interval(method="wilson"), *found.interval(method="exact")]).all()

    @pytest.mark.parametrize("method", ["wilson", "exact"])
    def test_only_replay_of_rewards_of_0_and_1_counts(self, method: str) -> None:
        with pytest.raises(OptionError, match="expected replay, found ips"):
            self.made().interval(method=method)  # type: ignore[arg-type]
        with pytest.raises(OptionError, match="expected rewards of 0 and 1"):
            self.made("replay", reward=np.linspace(0, 1, 500)).interval(method=method)  # type: ignore[arg-type]
        with pytest.raises(OptionError, match="found sums by user alone"):
            Estimate("replay", self.made("replay").sums).interval(method=method)  # type: ignore[arg-type]

    def test_an_unknown_method_is_refused(self) -> None:
        with pytest.raises(OptionError, match="wilson or exact, found 'normal'"):
            self.made().interval(method="normal")  # type: ignore[arg-type]

    def test_terms_are_not_copied(self) -> None:
        rows = checked_rows(reward=np.ones(3), q_expected=np.arange(3.0))
        make = estimate_rows("dm", rows).terms
        assert make is not None
        terms = make()
        assert rows.q_expected is not None
        assert np.shares_memory(terms.numerator, rows.q_expected)
