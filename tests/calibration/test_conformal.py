"""Ranks, directions and coverage of the recalibration."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from bessvpp.calibration.conformal import (
    AdaptiveLevels,
    ExpertWeights,
    KnownResiduals,
    recency_weights,
    shift_rank,
    shifted,
    two_sided_shifts,
)
from bessvpp.calibration.conformal import day_shifts as shifts_of_known
from bessvpp.errors import DataError

LEVELS = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)


def one_regime(residuals) -> KnownResiduals:
    """Residuals of days that were all forecast to be alike."""
    regime = np.zeros(residuals.shape[:2], dtype=int)
    return KnownResiduals(residuals, regime, np.zeros(residuals.shape[1], dtype=int))


def day_shifts(residuals, levels, min_group_size, **options):
    return shifts_of_known(one_regime(residuals), levels, min_group_size, **options)


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


# ------------------------------------------------------------------------------ regimes, weights


def regimes_by_slow_loop(known, levels, min_group_size, weights):
    """A block and a level at a time: sort the group, walk up until the weight is reached."""
    _, n_blocks, _ = known.values.shape
    hour = np.arange(n_blocks) * 24 // n_blocks
    delta = np.full((n_blocks, len(levels)), np.nan)
    for t in range(n_blocks):
        for k, level in enumerate(levels):
            for width, of_regime in ((1, True), (4, True), (24, True), (24, False)):
                near = hour // width == hour[t] // width
                chosen = np.isfinite(known.values).all(axis=2) & near & (weights > 0)[:, None]
                if of_regime:
                    chosen &= known.regime == known.today[t]
                pairs = sorted((known.values[d, b, k], weights[d]) for d, b in np.argwhere(chosen))
                total = sum(weight for _, weight in pairs) + 1
                if of_regime and total - 1 < min_group_size - 1e-9:
                    continue
                ordered = pairs if level >= 0.5 else pairs[::-1]
                needed = (level if level >= 0.5 else 1 - level) * total - 1e-9
                reached, found = 0.0, None
                for value, weight in ordered:
                    reached += weight
                    if reached >= needed:
                        found = value
                        break
                if found is not None:
                    delta[t, k] = found
                    break
    return delta


@pytest.mark.parametrize("half_life", [None, 6.0])
@pytest.mark.parametrize("min_group_size", [1, 12, 60])
def test_shifts_by_regime_and_weight_agree_with_the_slow_loop(min_group_size, half_life):
    rng = np.random.default_rng(min_group_size)
    residuals = rng.normal(size=(25, 24, 4))
    residuals[rng.random((25, 24)) < 0.1] = np.nan
    known = KnownResiduals(residuals, rng.integers(0, 3, (25, 24)), rng.integers(0, 3, 24))
    levels = (0.05, 0.25, 0.5, 0.9)
    weights = np.ones(25) if half_life is None else recency_weights(25, half_life)
    shifts = shifts_of_known(known, levels, min_group_size, weights)
    expected = regimes_by_slow_loop(known, levels, min_group_size, weights)
    np.testing.assert_array_equal(shifts.delta, expected)
    assert (shifts.rank >= 1).all()
    assert (shifts.rank <= shifts.n).all()
    assert set(shifts.group_hours[~shifts.same_regime]) <= {24}


def test_residuals_that_were_sorted_for_another_give_the_same_shifts():
    rng = np.random.default_rng(9)
    residuals = rng.normal(size=(30, 24, len(LEVELS)))
    residuals[rng.random((30, 24)) < 0.1] = np.nan
    known = KnownResiduals(residuals, rng.integers(0, 2, (30, 24)), rng.integers(0, 2, 24))
    asked = rng.random((24, len(LEVELS)))
    cases = [{}, {"asked": asked}, {"asked": asked / 2}, {"weights": recency_weights(30, 9)}, {}]
    for days in (30, 12, 99, 12):
        for case in cases if days >= 30 else cases[:3]:
            fresh = KnownResiduals(residuals[-days:], known.regime[-days:], known.today)
            for size in (1, 40):
                shared, alone = (
                    vars(shifts_of_known(of, LEVELS, size, **case))
                    for of in (known.last(days), fresh)
                )
                for name, values in alone.items():
                    np.testing.assert_array_equal(shared[name], values)


def test_asked_levels_take_the_order_statistic_of_the_group_or_its_outermost():
    rng = np.random.default_rng(3)
    residuals = rng.normal(size=(40, 24, 1))
    asked = np.linspace(-0.1, 1.1, 24)[:, None]
    shifts = day_shifts(residuals, (0.5,), 40, asked=asked)
    for hour, level in enumerate(asked[:, 0]):
        rank = np.ceil(level * 41) if level >= 0.5 else np.floor(level * 41)
        place = int(np.clip(rank, 1, 40))
        assert shifts.rank[hour, 0] == place
        assert shifts.delta[hour, 0] == sorted(residuals[:, hour, 0])[place - 1]


def test_a_day_of_weight_nought_does_not_count_and_equal_weights_change_nothing():
    residuals = np.random.default_rng(1).normal(size=(40, 24, len(LEVELS)))
    plain = day_shifts(residuals, LEVELS, 20)
    weights = np.r_[np.zeros(15), np.ones(25)]
    weighted = day_shifts(residuals, LEVELS, 20, weights=weights)
    alone = day_shifts(residuals[15:], LEVELS, 20)
    for name in ("delta", "n", "rank", "group_hours"):
        np.testing.assert_array_equal(getattr(weighted, name), getattr(alone, name))
    equal = day_shifts(residuals, LEVELS, 20, weights=np.ones(40))
    np.testing.assert_array_equal(equal.delta, plain.delta)


def test_recency_weights_halve_and_too_little_weight_is_an_error_that_says_so():
    np.testing.assert_allclose(recency_weights(3, 1.0), [0.125, 0.25, 0.5])
    residuals = np.random.default_rng(1).normal(size=(40, 24, 1))
    with pytest.raises(DataError, match=r"960 residuals, worth 0\.8 recent ones, .* level 0\.99"):
        day_shifts(residuals, (0.99,), 20, weights=recency_weights(40, 0.2))


def test_two_sided_shifts_by_hand():
    # One hour has 9 scores; the interval .1 to .9 takes the ceil(.8 * 10) = 8th smallest.
    residuals = np.zeros((9, 24, 3))
    residuals[:, :, 0] = np.arange(9)[:, None] - 2.0  # y - q_lo: -2 .. 6, scores 2 .. -6
    residuals[:, :, 2] = np.arange(9)[:, None] - 6.0  # y - q_hi: -6 .. 2
    delta = two_sided_shifts(one_regime(residuals), (0.1, 0.5, 0.9))
    scores = sorted(max(2 - k, k - 6) for k in range(9))
    assert delta[0].tolist() == [-scores[7], 0, scores[7]]
    with pytest.raises(ValueError, match="no mirror images"):
        two_sided_shifts(one_regime(residuals), (0.1, 0.5, 0.8))


def test_two_sided_shifts_agree_with_an_independent_implementation():
    """MAPIE's conformalised quantile regression, symmetric correction, on the same scores."""
    mapie = pytest.importorskip("mapie.regression")
    rng = np.random.default_rng(2)
    n, alpha = 137, 0.2
    forecast = np.column_stack([np.full(n, -1.0), np.full(n, 0.0), np.full(n, 1.0)])
    y = rng.normal(0, 1.5, n)

    class Fixed:
        """A quantile model that says the same for every row."""

        def __init__(self, value):
            self.value, self.fitted_ = value, True

        def fit(self, x, y):
            return self

        def predict(self, x):
            return np.full(len(x), self.value)

        def __sklearn_is_fitted__(self):
            return True

    regressor = mapie.ConformalizedQuantileRegressor(
        [Fixed(-1.0), Fixed(1.0), Fixed(0.0)], confidence_level=1 - alpha, prefit=True
    )
    regressor.conformalize(np.zeros((n, 1)), y)
    _, interval = regressor.predict_interval(np.zeros((1, 1)), symmetric_correction=True)
    residuals = np.repeat((y[:, None] - forecast)[:, None], 24, axis=1)
    delta = two_sided_shifts(one_regime(residuals), (alpha / 2, 0.5, 1 - alpha / 2))
    ours = np.array([-1.0, 1.0]) + delta[0, [0, 2]]
    np.testing.assert_allclose(ours, interval[0, :, 0], atol=1e-12)


# ------------------------------------------------------------------------------ adaptive


HOURS = np.eye(24, dtype=bool)


def test_an_adaptive_level_rises_after_misses_and_an_atom_moves_nothing():
    member = np.repeat(HOURS, 2, axis=1)  # two blocks an hour
    levels = AdaptiveLevels.start(24, (0.1, 0.9), gamma=0.05)

    def observe(quantile):
        outcome = np.full(48, np.nan)
        outcome[6:8] = 5.0  # hour 3 alone
        levels.observe(member, outcome, np.full((48, 2), quantile), np.ones((48, 2), bool))
        return levels.asked(member)

    np.testing.assert_allclose(observe(4.0)[6], [0.1 + 0.05 * 0.1, 0.9 + 0.05 * 0.9])  # all above
    before = observe(6.0)  # all below both
    np.testing.assert_allclose(before[7], [0.105 - 0.045, 0.945 - 0.005])
    np.testing.assert_array_equal(observe(5.0), before)  # on both: 0 to 1 is kept
    assert (before[[5, 8]] == [0.1, 0.9]).all()


def test_an_atom_within_a_group_makes_room_for_any_share_it_may_stand_for():
    """Half below and half on the quantile: any level from .5 to 1 is kept."""
    member = np.ones((1, 4), dtype=bool)
    levels = AdaptiveLevels.start(1, (0.4, 0.9), gamma=0.1)
    free, outcome = np.ones((4, 2), bool), np.array([5.0, 5.0, 10.0, 10.0])
    levels.observe(member, outcome, np.full((4, 2), 10.0), free)
    np.testing.assert_allclose(levels.offset, [[0.1 * (0.4 - 0.5), 0.0]])


def test_levels_on_an_atom_of_a_stated_chance_neither_teach_nor_hide():
    """Two blocks on the cap, one above and one below the level: half below, and no more room."""
    member = np.ones((1, 4), dtype=bool)
    levels = AdaptiveLevels.start(1, (0.4, 0.9), gamma=np.array([0.1, 0.02]))
    free = np.array([[True, True], [True, True], [False, False], [False, False]])
    fan = np.array([[6.0, 7.0], [4.0, 4.0], [10.0, 10.0], [10.0, 10.0]])
    levels.observe(member, np.array([5.0, 5.0, 10.0, 10.0]), fan, free)
    # each level by its own step; with the cap's blocks .5 to 1 would have been kept
    np.testing.assert_allclose(levels.offset, [[0.1 * (0.4 - 0.5), 0.02 * (0.9 - 0.5)]])
    before = levels.offset.copy()
    levels.observe(member, np.full(4, 5.0), fan, np.zeros((4, 2), bool))
    np.testing.assert_array_equal(levels.offset, before)


def test_offsets_of_overlapping_groups_add_up_and_each_moves_by_its_own_share():
    member = np.array([[True, True, False, False], [False, True, True, True]])
    levels = AdaptiveLevels.start(2, (0.5,), gamma=0.1)
    outcome, fan = np.array([1.0, 1.0, 3.0, np.nan]), np.full((4, 1), 2.0)
    free = np.ones((4, 1), bool)
    levels.observe(
        member, outcome, fan, free
    )  # shares below: 2 of 2, and 1 of the 2 that are known
    np.testing.assert_allclose(levels.offset, [[0.1 * (0.5 - 1)], [0.0]])
    levels.observe(member, np.array([3.0, 3.0, 3.0, 3.0]), fan, free)
    np.testing.assert_allclose(levels.offset, [[0.0], [0.05]])
    levels.observe(member, outcome, fan, free)
    np.testing.assert_allclose(levels.asked(member)[:, 0], [0.45, 0.5, 0.55, 0.55])
    for _ in range(100):
        levels.observe(member, np.full(4, 3.0), fan, free)
    assert levels.asked(member).max() == 1, "a level beyond 1 does not exist"
    levels.observe(member, np.full(4, 1.0), fan, free)
    np.testing.assert_allclose(levels.offset, 0.45, err_msg="it comes back from its bound at once")


def test_adaptive_levels_keep_their_promise_under_drift_where_a_fixed_level_does_not():
    """Long-run error at most 2 / (gamma n) off (Gibbs and Candes, 2021, proposition 4.1)."""
    rng = np.random.default_rng(3)
    n, level, gamma, window = 600, 0.9, 0.05, 60
    scores = rng.normal(size=n) + 0.02 * np.arange(n)
    adaptive = AdaptiveLevels.start(24, (level,), gamma)
    kept, fixed = [], []
    for day in range(window, n):
        past = np.tile(scores[day - window : day, None, None], (1, 24, 1))
        asked = adaptive.asked(HOURS)
        shift = shifts_of_known(one_regime(past), (level,), 10, asked=asked).delta
        fixed.append(scores[day] <= day_shifts(past, (level,), 10).delta[0, 0])
        kept.append(scores[day] <= shift[0, 0])
        adaptive.observe(HOURS, np.full(24, scores[day]), shift, np.ones((24, 1), bool))
    assert np.mean(fixed) < 0.85
    assert np.mean(kept) == pytest.approx(level, abs=0.03)


def test_group_levels_keep_their_promise_in_groups_that_hours_cannot_see():
    """Sundays fall 1 sd lower: levels by hour miss on them, and on other days the other way."""
    rng = np.random.default_rng(5)
    n_days, level, gamma, window, settled = 600, 0.75, 0.1, 60, 250
    sunday = np.arange(n_days) % 7 == 0
    scores = rng.normal(size=(n_days, 24)) - sunday[:, None]
    missed = {}
    for name in ("hours", "hours and Sundays"):
        n_groups = 24 + (name != "hours")
        adaptive, below = AdaptiveLevels.start(n_groups, (level,), gamma), []
        for day in range(window, n_days):
            member = np.vstack([HOURS, np.full((1, 24), sunday[day])])[:n_groups]
            past = one_regime(scores[day - window : day, :, None])
            shift = shifts_of_known(past, (level,), 10, asked=adaptive.asked(member)).delta
            below.append((scores[day] < shift[:, 0]).mean())
            adaptive.observe(member, scores[day], shift, np.ones((24, 1), bool))
        below, on = np.array(below)[settled - window :], sunday[settled:]
        missed[name] = [abs(below[days].mean() - level) for days in (on, ~on)]
    assert min(missed["hours"]) > 0.02
    assert missed["hours"][0] > 0.1
    assert max(missed["hours and Sundays"]) < 0.02


def test_the_better_forecaster_gains_the_weight_and_the_weights_sum_to_one():
    experts = ExpertWeights.start(3, 2)
    np.testing.assert_allclose(experts.weights, 1 / 3)
    rng = np.random.default_rng(4)
    for _ in range(200):
        experts.observe(rng.uniform(0, 1, (3, 2)) + np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]))
        np.testing.assert_allclose(experts.weights.sum(axis=0), 1)
    assert experts.weights[0, 0] > 0.95
    assert experts.weights[1, 1] > 0.95
