"""Scores, bands and tests of coverage against definitions and known cases."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from bessvpp.calibration import coverage, gate, scores, significance
from bessvpp.calibration.coverage import mean_pinball
from bessvpp.forecasting.quantiles import QuantileForecast, promised_below, stated_chances

LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)


def normal_days(n_days: int, seed: int = 0, n_blocks: int = 24):
    """Outcomes of a standard normal, and its true fan."""
    y = np.random.default_rng(seed).normal(size=(n_days, n_blocks))
    return y, np.broadcast_to(norm.ppf(LEVELS), (n_days, n_blocks, len(LEVELS)))


def test_a_score_table_by_hand():
    y = np.array([[3.0, 8.0, np.nan]])
    fan = np.array([[[2.0, 4.0, 6.0]] * 3])
    levels = (0.1, 0.5, 0.9)
    table = scores.score_table(y, {"a": fan, "b": fan + 1}, levels, "a")
    # Pinball: y = 3: .1, .5, .3; y = 8: .6, 2, 1.8.
    assert table.loc["a", "pinball"] == pytest.approx((0.1 + 0.5 + 0.3 + 0.6 + 2 + 1.8) / 6)
    assert table.loc["a", "crps"] == pytest.approx(2 * table.loc["a", "pinball"])
    # Interval score: width 4, and 2 / .2 times the 2 by which 8 lies above 6.
    assert table.loc["a", "interval_score"] == pytest.approx((4 + 4 + 10 * 2) / 2)
    assert table.loc["a", "inside"] == 0.5
    assert table.loc["a", "width"] == 4
    assert np.isnan(table.loc["a", "dm"])


def test_diebold_and_mariano_tell_the_better_forecast_and_are_blind_to_none():
    rng = np.random.default_rng(1)
    day = rng.gamma(3, 50, 300)
    statistic, p = significance.diebold_mariano(day + rng.normal(0, 10, 300), day + 5)
    assert statistic < -5
    assert p < 1e-6
    rejected = [
        significance.diebold_mariano(*rng.normal(0, 1, (2, 200)))[1] < 0.05 for _ in range(400)
    ]
    assert 0.02 < np.mean(rejected) < 0.09


def test_correlation_from_day_to_day_makes_the_comparison_less_sure():
    rng = np.random.default_rng(2)
    rejected = []
    for _ in range(200):
        noise = rng.normal(size=260)
        drift = np.convolve(noise, np.ones(10) / 10, "valid")
        rejected.append(significance.diebold_mariano(drift, np.zeros(len(drift)))[1] < 0.05)
    naive = 0.5  # a t test that took days for independent would reject about this often
    assert np.mean(rejected) < naive / 2


def test_the_bootstrap_band_is_as_wide_as_whole_days_that_miss_together_make_it():
    """All blocks of a day alike: the standard error is that of days, not of blocks."""
    n_days = 400
    day, fan = normal_days(n_days, 3, 1)
    y, fan = np.repeat(day, 24, axis=1), np.repeat(fan, 24, axis=1)
    promised = np.broadcast_to(LEVELS, fan.shape)
    low, high = coverage.coverage_bands(y, fan, promised, np.random.default_rng(0), n_draws=2000)
    assert low.shape == (len(LEVELS),)
    width = high - low
    expected = 2 * 1.645 * np.sqrt(np.array(LEVELS) * (1 - np.array(LEVELS)) / n_days)
    np.testing.assert_allclose(width, expected, rtol=0.3)
    assert ((low <= 0) & (high >= 0)).mean() > 0.5
    # Promised less, missed by more; and a block without a price counts on neither side.
    less = coverage.coverage_bands(y, fan, promised - 0.1, np.random.default_rng(0), n_draws=2000)
    np.testing.assert_allclose(less, np.stack([low, high]) + 0.1)
    y = np.hstack([y, np.full((n_days, 1), np.nan)])
    fan, promised = (np.concatenate([x, x[:, :1]], axis=1) for x in (fan, promised))
    same = coverage.coverage_bands(y, fan, promised, np.random.default_rng(0), n_draws=2000)
    np.testing.assert_allclose(same, np.stack([low, high]))


def test_mean_miscoverage_counts_an_atom_as_kept_and_looks_at_its_group_alone():
    y = np.array([[10.0, 10.0, 1.0, 1.0]])
    fan = np.array([[[10.0]] * 2 + [[0.0]] * 2])
    assert coverage.mean_miscoverage(y, fan, (0.9,), np.array([[True, True, False, False]])) == 0
    alone = coverage.mean_miscoverage(y, fan, (0.9,), np.array([[False, False, True, True]]))
    assert alone == pytest.approx(0.9)
    assert np.isnan(coverage.mean_miscoverage(y, fan, (0.9,), np.zeros((1, 4), bool)))


CAP, FLOOR = np.array([[10.0], [10.0]]), 0.0


def a_capped_fan() -> QuantileForecast:
    """Two days of two blocks: the cap stated at .4, not stated, the floor at .3, and neither."""
    values = np.array([[[2.0, 5, 10], [2, 10, 10]], [[0, 0, 4], [1, 2, 3]]])
    p_cap = np.array([[0.4, np.nan], [np.nan, 0.0]])
    p_floor = np.array([[0.0, np.nan], [0.6, 0.0]])
    dates = np.array(["2024-05-01", "2024-05-02"], "M8[D]")
    return QuantileForecast(
        "dam", dates, np.array(["test"] * 2), (0.1, 0.5, 0.9), values, p_floor, p_cap
    )


def test_a_fan_promises_the_level_or_all_that_is_not_on_the_cap():
    fan = a_capped_fan()
    promised = promised_below(fan, FLOOR, CAP)
    # .9 is on a cap of chance .4; not stated, the cap begins at .5; below the floor is nothing.
    expected = [[[0.1, 0.5, 0.6], [0.1, 0.5, 0.5]], [[0, 0, 0.9], [0.1, 0.5, 0.9]]]
    np.testing.assert_allclose(promised, expected)
    p_floor, p_cap = stated_chances(fan, FLOOR, CAP)
    np.testing.assert_allclose(p_cap, [[0.4, 0.5], [0, 0]])
    np.testing.assert_allclose(p_floor, [[0, 0], [0.6, 0]])


def test_the_exact_promise_sees_what_the_band_forgives():
    """Always on the cap, where the fan says so in 4 of 10: every level counts as covered."""
    y, fan = np.full((50, 24), 10.0), np.tile([5.0, 10.0, 10.0], (50, 24, 1))
    levels, p_cap = (0.1, 0.7, 0.9), 0.4
    promised = np.minimum(np.broadcast_to(levels, fan.shape), 1 - p_cap)
    np.testing.assert_allclose(coverage.promise_miss(y, fan, promised), [-0.1, -0.6, -0.6])
    assert coverage.mean_promise_miss(y, fan, promised) == pytest.approx(1.3 / 3)
    assert coverage.mean_miscoverage(y, fan, levels) == pytest.approx(0.1 / 3)
    # A fan that keeps it: six in ten below the cap, a tenth below the first level.
    y = np.tile(np.array([1.0] + [7.0] * 5 + [10.0] * 4), (24, 1)).T
    fan, promised = fan[:10], promised[:10]
    np.testing.assert_allclose(coverage.promise_miss(y, fan, promised), 0, atol=1e-12)
    # Of five hours that have prices one is always on the cap.
    y[:, 0], y[:, 5:] = 10.0, np.nan
    assert coverage.hourly_promise_miss(y, fan, promised) == pytest.approx(1.3 / 3 / 5)
    nothing = np.zeros(y.shape, bool)
    assert np.isnan(coverage.mean_promise_miss(y, fan, promised, nothing))


def test_chances_of_floor_and_cap_stand_beside_what_came():
    y = np.array([[10.0, 3.0], [0.0, np.nan]])
    chance = np.array([[0.5, 0.2], [0.2, 0.9]])
    table = coverage.chance_table(y, chance, 1 - chance, FLOOR, CAP)
    assert table["floor"] == {
        "promised": pytest.approx(0.3),
        "observed": pytest.approx(1 / 3),
        "n_blocks": 3,
    }
    assert table["cap"]["promised"] == pytest.approx(0.7)
    assert table["cap"]["observed"] == pytest.approx(1 / 3)


def test_groups_are_thirds_regimes_and_sundays():
    dates = np.arange("2024-03-01", "2024-03-11", dtype="M8[D]")  # 3 and 10 March are Sundays
    fan = np.linspace(0, 1, 240).reshape(10, 24, 1) + np.array([-1.0, 0.0, 1.0])
    regimes = np.tile(np.arange(24) % 3, (10, 1))
    groups = gate.groups_over_days(dates, fan, (0.1, 0.5, 0.9), regimes)
    thirds = [groups[name] for name in ("low third", "middle", "high third")]
    assert [part.sum() for part in thirds] == [80, 80, 80]
    assert groups["high third"][-1].all()
    assert groups["cap likely"].sum() == 80
    assert np.flatnonzero(groups["Sundays"].all(axis=1)).tolist() == [2, 9]


def test_the_pit_of_the_true_fan_is_flat_and_of_a_narrow_one_high_at_the_ends():
    y, fan = normal_days(600, 4)
    np.testing.assert_allclose(scores.pit_histogram(y, fan, LEVELS), 1, atol=0.12)
    narrow = scores.pit_histogram(y, fan / 2, LEVELS)
    assert narrow[0] > 2
    assert narrow[-1] > 2
    assert narrow[3] < 0.7
    assert narrow @ np.diff([0, *LEVELS, 1]) == pytest.approx(1)


def test_the_pit_spreads_an_atom_over_what_it_may_stand_for():
    y = np.full((1, 24), 10.0)
    fan = np.broadcast_to([1.0, 10.0, 10.0], (1, 24, 3))  # the cap from the level .5 on
    np.testing.assert_allclose(scores.pit_histogram(y, fan, (0.2, 0.5, 0.9)), [0, 1.25, 1.25, 1.25])


def test_kupiec_and_christoffersen_reject_what_they_should_and_one_in_twenty_else():
    rng = np.random.default_rng(5)
    right = [rng.random(250) < 0.1 for _ in range(400)]
    assert (
        0.02 < np.mean([significance.kupiec(hits.sum(), 250, 0.1) < 0.05 for hits in right]) < 0.09
    )
    assert (
        0.02
        < np.mean([significance.christoffersen(hits[:-1], hits[1:]) < 0.05 for hits in right])
        < 0.1
    )
    assert significance.kupiec((rng.random(250) < 0.25).sum(), 250, 0.1) < 1e-4
    spells = np.repeat(rng.random(50) < 0.2, 5)
    assert significance.christoffersen(spells[:-1], spells[1:]) < 1e-4
    # By hand: 1 of 4 hits against .5: -2 ln(.0625 / (.25 * .75^3)) = 1.0465
    assert significance.kupiec(1, 4, 0.5) == pytest.approx(0.30632, abs=1e-4)
    assert significance.kupiec(0, 10, 0.1) > 0.05


def days_of(n_days: int) -> np.ndarray:
    return np.datetime64("2024-03-01") + np.arange(n_days)


def test_hours_with_too_few_days_are_not_tested():
    y, fan = normal_days(60, 6)
    table = significance.hourly_tests(y, fan, LEVELS, days_of(60))
    assert table["hours_tested"].tolist() == [24] * len(LEVELS)
    assert (table["kupiec"] < 0.3).all()
    few = significance.hourly_tests(y[:10], fan[:10], LEVELS, days_of(10))
    assert few[["kupiec", "christoffersen"]].isna().all(axis=None)
    apart = significance.hourly_tests(y, fan, LEVELS, days_of(120)[::2])  # no day follows another
    assert apart["christoffersen"].isna().all()
    np.testing.assert_array_equal(apart["kupiec"], table["kupiec"])


def test_spells_are_told_by_days_that_follow_each_other_alone():
    """Hits that come in pairs of days are found out, unless a day between is missing."""
    below = np.repeat(np.arange(60) % 5 == 0, 2)
    y = np.where(below, -1.0, 1.0)[:, None] * np.ones(24)
    fan = np.zeros((120, 24, 1))
    whole = significance.hourly_tests(y, fan, (0.2,), days_of(120))
    assert whole["christoffersen"].tolist() == [1.0]
    dates = days_of(180)[np.arange(180) % 3 != 2]  # each pair by itself
    split = significance.hourly_tests(y, fan, (0.2,), dates)
    pairs = below[::2]
    expected = significance.christoffersen(pairs, below[1::2]) < 0.05
    assert split["christoffersen"].tolist() == [float(expected)]


def capped_days(n_days: int, seed: int):
    """Outcomes of a normal held at a cap, their true fan and its chance of the cap, by day."""
    rng = np.random.default_rng(seed)
    cap = rng.uniform(0.3, 1.5, (n_days, 24))
    y = np.minimum(rng.normal(size=(n_days, 24)), cap)
    return y, np.minimum(norm.ppf(LEVELS), cap[:, :, None]), norm.sf(cap)


def test_a_true_fan_with_an_atom_is_not_rejected():
    y, fan, _ = capped_days(400, 9)
    at_cap = y == fan[:, :, -1]
    assert 0.1 < at_cap.mean() < 0.3
    table = significance.hourly_tests(y, fan, LEVELS, days_of(400)).set_index("level")
    assert (table["kupiec"] <= 4 / 24).all()
    assert (table.loc[[0.95], "kupiec"] == 0).all()
    assert table.loc[[0.75, 0.9, 0.95], "christoffersen"].isna().all()  # on the atom
    assert (table.loc[[0.05, 0.5], "christoffersen"] < 0.2).all()
    # Levels too low by half a standard deviation are still found out, the atom or not.
    low = significance.hourly_tests(y, fan - 0.5, LEVELS, days_of(400))
    assert (low["kupiec"] > 0.9).all()


def test_the_pit_of_a_true_fan_with_an_atom_is_flat_if_its_chance_is_given():
    y, fan, chance = capped_days(8000, 10)
    none = np.full(chance.shape, np.nan)
    np.testing.assert_allclose(scores.pit_histogram(y, fan, LEVELS, none, chance), 1, atol=0.03)
    assert np.abs(scores.pit_histogram(y, fan, LEVELS) - 1).max() > 0.05
    # The mirror image: an atom at the floor.
    mirrored = scores.pit_histogram(-y, -fan[:, :, ::-1], LEVELS, chance, none)
    np.testing.assert_allclose(mirrored, 1, atol=0.03)


def test_diebold_and_mariano_use_four_lags_for_64_days():
    """By hand: Bartlett weights 1 - l / 5 of the autocovariances at lags 1 to 4."""
    difference = np.random.default_rng(11).normal(0.3, 1, 64)
    u = difference - difference.mean()
    variance = u @ u + 2 * sum((1 - lag / 5) * (u[lag:] @ u[:-lag]) for lag in range(1, 5))
    expected = difference.mean() / np.sqrt(variance / 64**2)
    assert significance.diebold_mariano(difference, np.zeros(64))[0] == pytest.approx(expected)


def test_an_hour_without_any_outcome_is_missing_and_stops_nothing():
    y, fan = normal_days(30, 7, 96)
    y[:, 8:12] = np.nan
    dates = np.arange("2024-03-15", "2024-04-14", dtype="M8[D]")
    promised = np.broadcast_to(LEVELS, fan.shape)
    months, errors = coverage.promise_miss_by_hour_and_month(y, fan, promised, dates)
    assert months == ["2024-03", "2024-04"]
    assert np.isnan(errors[:, 2]).all()
    assert np.isfinite(np.delete(errors, 2, axis=1)).all()
    march_dawn = coverage.promise_miss(y[:17, 12:16], fan[:17, 12:16], promised[:17, 12:16])
    assert errors[0, 3] == pytest.approx(np.abs(march_dawn).mean())
    assert np.isfinite(coverage.hourly_promise_miss(y, fan, promised))
    assert np.isfinite(coverage.hourly_miscoverage(y, fan, LEVELS))
    by_hour = scores.pinball_by_hour(y, fan, LEVELS)
    assert np.isnan(by_hour[2])
    assert np.nanmean(by_hour) == pytest.approx(mean_pinball(y, fan, LEVELS))


def test_shares_inside_the_interval_roll_over_days():
    y, fan = normal_days(50, 8)
    rolling = scores.inside_share(y, fan, LEVELS, 10)
    inside = (y >= fan[:, :, 1]) & (y <= fan[:, :, 5])
    assert np.isnan(rolling[:9]).all()
    assert rolling[9] == pytest.approx(inside[:10].mean())
    assert rolling[-1] == pytest.approx(inside[-10:].mean())


def test_the_reliability_of_a_chance_is_that_of_its_bins():
    chance = np.array([[0.05, 0.05, 0.6, 0.6, np.nan]])
    hit = np.array([[True, False, True, True, True]])
    table = scores.chance_reliability(chance, hit)
    assert table["forecast"].tolist() == pytest.approx([0.05, 0.6])
    assert table["observed"].tolist() == [0.5, 1]
    assert table["n"].tolist() == [2, 2]


def test_a_table_shows_at_most_seven_levels():
    assert scores.shown_levels((0.01, *LEVELS, 0.99)) == [
        "q01", "q10", "q25", "q50", "q75", "q90", "q99",
    ]  # fmt: skip


def test_hours_and_months_share_out_all_blocks():
    hours = coverage.hour_groups((3, 48), width_h=4)
    assert list(hours)[:2] == ["00 to 04 h", "04 to 08 h"]
    assert np.sum(list(hours.values()), axis=0).tolist() == np.ones((3, 48)).tolist()
    assert np.flatnonzero(hours["04 to 08 h"][1]).tolist() == list(range(8, 16))
    assert len(coverage.hour_groups((1, 24))) == 24
    dates = np.array(["2024-02-29", "2024-03-01", "2025-03-01"], "M8[D]")
    months = coverage.month_groups(dates, 2)
    assert list(months) == ["2024-02", "2024-03", "2025-03"]
    assert months["2024-03"].tolist() == [[False] * 2, [True] * 2, [False] * 2]


def test_a_group_is_scored_by_its_own_blocks_alone():
    y = np.array([[0.0, 10.0, np.nan, 3.0]])
    fan = np.tile([1.0, 2.0, 5.0], (1, 4, 1))
    groups = {
        "first": np.array([[True, False, True, False]]),
        "rest": np.array([[False, True] * 2]),
    }
    groups["none"] = np.zeros((1, 4), bool)
    promised = {"fan": np.tile([0.1, 0.5, 0.6], (1, 4, 1))}
    table = scores.group_table(y, {"fan": fan}, (0.1, 0.5, 0.9), groups, promised)["fan"]
    assert list(table.index) == ["first", "rest"], "a group without an outcome has no row"
    assert table["width"].tolist() == [4, 4]
    assert table["inside"].tolist() == [0, 0.5]
    assert table.loc["first", "pinball"] == pytest.approx((0.9 + 1.0 + 0.5) / 3)
    assert table.loc["first", "missed"] == pytest.approx(100 * (0.9 + 0.5 + 0.1) / 3)
    assert table.loc["first", "promise"] == pytest.approx(100 * (0.9 + 0.5 + 0.4) / 3)
    # of 10 and 3: none below 1 or 2, one below 5
    assert table.loc["rest", "promise"] == pytest.approx(100 * (0.1 + 0.5 + 0.1) / 3)
    assert table.loc["rest", "missed"] == pytest.approx(100 * (0.1 + 0.5 + 0.4) / 3)
