"""Ranks, directions and coverage of the recalibration."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from bessvpp.conformal import day_shifts, shift_rank, shifted
from bessvpp.errors import DataError

LEVELS = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)


@pytest.mark.parametrize(
    ("level", "n", "rank"),
    [
        (0.9, 9, 9),  # .9 * 10 = 9 exactly
        (0.9, 10, 10),  # 9.9, up
        (0.9, 19, 18),  # 18 exactly
        (0.9, 20, 19),  # 18.9, up
        (0.5, 10, 6),  # 5.5, up
        (0.5, 9, 5),
        (0.1, 9, 1),  # 1 exactly
        (0.1, 18, 1),  # 1.9, down
        (0.1, 19, 2),
        (0.25, 10, 2),  # 2.75, down
        (0.75, 10, 9),  # 8.25, up
        (0.7, 9, 7),  # .7 * 10 is 7.000000000000001 or 6.999999999999999 in binary
        (0.57, 99, 57),
        (0.29, 99, 29),  # .29 * 100 is 28.999999999999996 in binary
        (0.99, 99, 99),
        (0.01, 99, 1),
    ],
)
def test_ranks_by_hand(level, n, rank):
    assert shift_rank(level, n) == rank


@pytest.mark.parametrize(("level", "n"), [(0.9, 8), (0.99, 98), (0.1, 8), (0.01, 98), (0.5, 0)])
def test_a_rank_that_does_not_exist_is_an_error_that_names_n_and_the_level(level, n):
    with pytest.raises(DataError, match=rf"\b{n} residuals .* level {level:g}\b"):
        shift_rank(level, n)


def test_levels_are_mirrored():
    """The shift of 1 - tau on turned residuals is the turned shift of tau."""
    for n in (40, 99, 100, 137):
        for level in (0.05, 0.1, 0.25, 0.4):
            assert shift_rank(level, n) == n + 1 - shift_rank(1 - level, n)


def by_slow_loop(residuals, levels, min_group_size):
    """The same from the definition, a block and a level at a time, sorting whole groups."""
    _, n_blocks, _ = residuals.shape
    result = np.zeros((4, n_blocks, len(levels)))
    for t in range(n_blocks):
        for k, level in enumerate(levels):
            for hours in (1, 4, 24):
                group_of = np.arange(n_blocks) * 24 // n_blocks // hours
                group = residuals[:, group_of == group_of[t], k].ravel()
                ordered = sorted(group[~np.isnan(group)])
                n = len(ordered)
                exact = round(level * (n + 1), 9)
                rank = int(np.ceil(exact) if level >= 0.5 else np.floor(exact))
                if 1 <= rank <= n and (n >= min_group_size or hours == 24):
                    result[:, t, k] = ordered[rank - 1], n, rank, hours
                    break
    return result


@pytest.mark.parametrize("n_blocks", [24, 96])
@pytest.mark.parametrize(("n_days", "min_group_size"), [(5, 1), (12, 20), (40, 60), (30, 500)])
def test_shifts_agree_with_the_slow_loop(n_blocks, n_days, min_group_size):
    rng = np.random.default_rng(n_days)
    residuals = rng.normal(size=(n_days, n_blocks, len(LEVELS)))
    unknown = rng.random((n_days, n_blocks)) < 0.1
    residuals[unknown] = np.nan
    shifts = day_shifts(residuals, LEVELS, min_group_size)
    delta, n, rank, hours = by_slow_loop(residuals, LEVELS, min_group_size)
    np.testing.assert_array_equal(shifts.delta, delta)
    np.testing.assert_array_equal(shifts.n, n)
    np.testing.assert_array_equal(shifts.rank, rank)
    np.testing.assert_array_equal(shifts.group_hours, hours)


def test_a_level_too_far_out_falls_back_to_a_larger_group_by_itself():
    # 10 days of hours: an hour has 10 residuals, four hours 40, the day 240.
    residuals = np.random.default_rng(0).normal(size=(10, 24, 4))
    shifts = day_shifts(residuals, (0.01, 0.05, 0.5, 0.99), min_group_size=10)
    # .01: ranks .11, .41 do not exist, 2.41 does. .05: .55 does not, 2.05 does.
    # .99: ranks 11 of 10 and 41 of 40 do not, 239 of 240 does.
    assert set(shifts.group_hours[:, 0]) == set(shifts.group_hours[:, 3]) == {24}
    assert set(shifts.group_hours[:, 1]) == {4}
    assert set(shifts.group_hours[:, 2]) == {1}
    assert shifts.rank[0].tolist() == [2, 2, 6, 239]
    assert shifts.n[0].tolist() == [240, 40, 10, 240]


def test_a_group_that_is_too_small_falls_back_and_the_whole_day_is_the_last_resort():
    residuals = np.random.default_rng(0).normal(size=(10, 24, 1))
    assert set(day_shifts(residuals, (0.5,), 10).group_hours.ravel()) == {1}
    assert set(day_shifts(residuals, (0.5,), 11).group_hours.ravel()) == {4}
    assert set(day_shifts(residuals, (0.5,), 41).group_hours.ravel()) == {24}
    with pytest.raises(DataError, match=r"240 residuals are too few to shift level 0\.999"):
        day_shifts(residuals, (0.999,), 10)
    with pytest.raises(DataError, match=r"\b0 residuals"):
        day_shifts(np.full((10, 24, 1), np.nan), (0.5,), 10)


@pytest.mark.parametrize("level", [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95])
@pytest.mark.parametrize("n_days", [19, 23, 40])
def test_on_exchangeable_days_a_level_covers_exactly_its_rank_over_n_plus_one(level, n_days):
    """P(Y <= q) = k / (n + 1) to the letter; the number of hits is binomial."""
    rng = np.random.default_rng(n_days)
    hits, trials = 0, 0
    for _ in range(400):
        scores = rng.gumbel(size=(n_days + 1, 24, 1))
        shifts = day_shifts(scores[:-1], (level,), min_group_size=n_days)
        assert set(shifts.group_hours.ravel()) == {1}
        hits += int((scores[-1] <= shifts.delta).sum())
        trials += 24
    rank = shift_rank(level, n_days)
    low, high = binom.interval(1 - 1e-5, trials, rank / (n_days + 1))
    assert low <= hits <= high
    # The interval is narrow enough to tell the rank from its neighbours.
    for other in (rank - 1, rank + 1):
        assert not low <= trials * other / (n_days + 1) <= high
    # And the promise of each side, upper or lower, holds for the rank itself.
    covered = rank / (n_days + 1)
    assert covered >= level - 1e-12 if level >= 0.5 else covered <= level + 1e-12
    assert abs(covered - level) < 1 / (n_days + 1)


@pytest.mark.parametrize("level", [0.1, 0.25, 0.75, 0.9])
def test_where_outcomes_sit_on_atoms_each_side_keeps_its_promise(level):
    """Upper levels: P(Y <= q) >= tau. Lower ones: P(Y < q) <= tau."""
    rng = np.random.default_rng(5)
    below, at_or_below, trials = 0, 0, 0
    for _ in range(300):
        scores = rng.integers(0, 3, size=(30, 24, 1)).astype(float)
        delta = day_shifts(scores[:-1], (level,), min_group_size=29).delta
        below += int((scores[-1] < delta).sum())
        at_or_below += int((scores[-1] <= delta).sum())
        trials += 24
    if level >= 0.5:
        assert at_or_below >= binom.ppf(1e-5, trials, level)
    else:
        assert below <= binom.ppf(1 - 1e-5, trials, level)


def test_a_forecast_that_is_off_by_a_constant_is_brought_back():
    rng = np.random.default_rng(6)
    outcome = rng.normal(5000, 300, (60, 24))
    wrong = np.full((60, 24, 3), 4000.0)  # 1000 too low at every level
    delta = day_shifts(outcome[:, :, None] - wrong, (0.1, 0.5, 0.9), 60).delta
    repaired = shifted(wrong[0], delta, 0.0, 10_000.0)
    expected = 5000 + 300 * np.array([-1.2816, 0.0, 1.2816])
    assert repaired.mean(axis=0) == pytest.approx(expected, abs=40)


def test_shifted_forecasts_rise_and_stay_within_floor_and_cap():
    quantiles = np.array([[100.0, 200.0, 300.0], [9000.0, 9500.0, 9900.0]])
    delta = np.array([[250.0, -150.0, -400.0], [0.0, 0.0, 500.0]])
    # First row: 350, 50, -100, sorted and floored.
    np.testing.assert_array_equal(
        shifted(quantiles, delta, 0.0, 10_000.0),
        [[0.0, 50.0, 350.0], [9000.0, 9500.0, 10_000.0]],
    )
