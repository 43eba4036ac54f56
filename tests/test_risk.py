"""Risk and forecast measures against definitions written out slowly."""

from __future__ import annotations

import numpy as np
import pytest

from bessvpp.calibration.coverage import (
    coverage,
    coverage_table,
    daily_pinball,
    mean_pinball,
    miscoverage,
    miscoverage_by_hour,
    pinball_loss,
)
from bessvpp.risk import bootstrap_band, cvar, cvars, value_at_risk


def cvar_by_definition(profit, alpha, weights) -> float:
    """max_z z - E[(z - profit)+] / alpha: piecewise linear and concave, best at a profit."""
    return max(z - weights @ np.maximum(z - profit, 0) / alpha for z in profit)


def test_cvar_of_a_case_done_by_hand():
    # Worst first: -10, 0, 20, 30, each a quarter. Tail .4: all of -10 and .15 of 0:
    # (.25 * -10 + .15 * 0) / .4 = -6.25. Tail .6: (-2.5 + 0 + .1 * 20) / .6 = -.8333.
    profit = np.array([20.0, -10.0, 30.0, 0.0])
    assert cvar(profit, 0.4) == pytest.approx(-6.25, abs=1e-12)
    assert cvar(profit, 0.6) == pytest.approx(-0.5 / 0.6, abs=1e-12)
    assert cvar(profit, 0.25) == -10
    # Weighted: -10 has .1, 0 has .5. Tail .4: (.1 * -10 + .3 * 0) / .4 = -2.5.
    weights = np.array([0.2, 0.1, 0.2, 0.5])
    assert cvar(profit, 0.4, weights) == pytest.approx(-2.5, abs=1e-12)


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.3, 1 / 3, 0.7, 0.95, 1.0])
@pytest.mark.parametrize("n", [1, 7, 60])
def test_cvar_is_the_maximum_that_rockafellar_and_uryasev_define(alpha, n):
    rng = np.random.default_rng(n)
    profit = rng.normal(1e5, 1e6, n)
    for weights in (np.full(n, 1 / n), rng.dirichlet(np.full(n, 0.5))):
        expected = cvar_by_definition(profit, alpha, weights)
        assert cvar(profit, alpha, weights) == pytest.approx(expected, rel=1e-9)


def test_cvar_at_tail_one_is_the_mean_and_at_a_tiny_tail_the_worst_case():
    rng = np.random.default_rng(0)
    profit, weights = rng.normal(size=40), rng.dirichlet(np.ones(40))
    assert cvar(profit, 1.0, weights) == pytest.approx(weights @ profit, rel=1e-12)
    assert cvar(profit, 1.0) == pytest.approx(profit.mean(), rel=1e-12)
    assert cvar(profit, 1e-6, weights) == profit.min()


def test_cvar_rises_with_the_tail_and_never_exceeds_the_value_at_risk():
    profit = np.random.default_rng(1).normal(size=50)
    tails = np.linspace(0.01, 1, 60)
    values = np.array([cvar(profit, alpha) for alpha in tails])
    assert (np.diff(values) >= -1e-12).all()
    assert all(cvar(profit, alpha) <= value_at_risk(profit, alpha) + 1e-12 for alpha in tails)


def test_equal_weights_are_what_no_weights_mean_and_order_does_not_matter():
    profit = np.random.default_rng(2).normal(size=30)
    equal = np.full(30, 1 / 30)
    for alpha in (0.05, 0.1, 0.5):
        assert cvar(profit, alpha) == pytest.approx(cvar(profit, alpha, equal), rel=1e-12)
        assert cvar(profit[::-1], alpha) == pytest.approx(cvar(profit, alpha), rel=1e-12)


def test_value_at_risk_is_the_first_profit_to_fill_the_tail():
    profit = np.array([5.0, 1.0, 4.0, 2.0, 3.0])
    tails = (0.1, 0.2, 0.21, 0.4, 0.6, 0.61, 1.0)
    assert [value_at_risk(profit, alpha) for alpha in tails] == [1, 1, 2, 2, 3, 4, 5]
    assert value_at_risk(profit, 0.3, np.array([0.1, 0.1, 0.1, 0.1, 0.6])) == 3


def test_pinball_loss_weighs_the_two_sides_by_the_level():
    # Above the forecast by 10: .9 * 10. Below by 10: .1 * 10.
    assert pinball_loss(np.array([110.0]), np.array([100.0]), 0.9) == pytest.approx(9)
    assert pinball_loss(np.array([90.0]), np.array([100.0]), 0.9) == pytest.approx(1)
    both = pinball_loss(np.array([110.0, 90.0, np.nan]), np.full(3, 100.0), 0.9)
    assert both == pytest.approx(5)
    y = np.array([[100.0, 110.0]])
    quantiles = np.array([[[100.0, 100.0], [100.0, 100.0]]])
    assert mean_pinball(y, quantiles, (0.1, 0.9)) == pytest.approx((0.5 + 4.5) / 2)


def test_the_pinball_loss_is_least_at_the_quantile():
    y = np.random.default_rng(3).gamma(2.0, 1000.0, 4001)
    for level in (0.1, 0.5, 0.9):
        at = np.quantile(y, level)
        loss = pinball_loss(y, np.full(y.size, at), level)
        for other in (0.97 * at, 1.03 * at):
            assert loss < pinball_loss(y, np.full(y.size, other), level)


def test_coverage_counts_an_outcome_on_the_quantile_apart():
    y = np.array([[1.0, 2.0, 2.0, 3.0, np.nan]])
    assert coverage(y, np.full((1, 5, 1), 2.0)) == (0.25, 0.75, 4)
    with pytest.raises(ValueError, match="at least one outcome"):
        coverage_table(np.array([[np.nan]]), np.ones((1, 1, 1)), (0.5,), np.ones((1, 1, 1)))


def test_miscoverage_is_the_distance_from_the_band():
    assert miscoverage(0.9, 0.85, 0.95) == 0  # an atom on the quantile covers any level inside
    assert miscoverage(0.9, 0.92, 0.95) == pytest.approx(0.02)
    assert miscoverage(0.9, 0.70, 0.86) == pytest.approx(0.04)


def test_the_coverage_table_says_nominal_shares_blocks_and_days():
    y = np.array([[1.0, 2.0], [3.0, np.nan], [np.nan, np.nan]])
    quantiles = np.stack([np.full(y.shape, 1.0), np.full(y.shape, 2.5)], axis=-1)
    promised = np.full(quantiles.shape, [0.1, 0.6])
    promised[0, 0] = 0.1, 0.3
    promised[2] = np.nan  # without a price nothing is promised
    table = coverage_table(y, quantiles, (0.1, 0.75), promised)
    assert table["q10"] == {
        "nominal": 0.1,
        "promised": pytest.approx(0.1),
        "below": 0.0,
        "at_or_below": pytest.approx(1 / 3),
        "n_blocks": 3,
        "n_days": 2,
    }
    assert table["q75"]["promised"] == pytest.approx(0.5)
    assert table["q75"]["below"] == table["q75"]["at_or_below"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("n_blocks", [24, 96])
def test_miscoverage_by_hour_looks_at_its_own_hour_alone(n_blocks):
    y = np.full((10, n_blocks), 5.0)
    quantiles = np.full((10, n_blocks, 1), 4.0)  # never covers
    hour = slice(7 * n_blocks // 24, 8 * n_blocks // 24)
    quantiles[:, hour] = 6.0  # always covers
    errors = miscoverage_by_hour(y, quantiles, (0.9,))
    assert errors.shape == (1, 24)
    assert errors[0, 7] == pytest.approx(0.1)
    assert np.delete(errors[0], 7) == pytest.approx(0.9)


def test_the_bootstrap_band_is_the_middle_ninety_per_cent():
    days = np.random.default_rng(4).normal(10, 2, 400)
    low, high = bootstrap_band(days, daily_mean, np.random.default_rng(0))
    error = days.std() / np.sqrt(len(days))  # 90 % of a normal lies within 1.645 errors
    assert low == pytest.approx(days.mean() - 1.645 * error, abs=0.1 * error)
    assert high == pytest.approx(days.mean() + 1.645 * error, abs=0.1 * error)
    assert (low, high) == bootstrap_band(days, daily_mean, np.random.default_rng(0))


def daily_mean(days):
    return days.mean(axis=-1)


def test_days_that_hang_together_widen_the_band():
    """Runs of eight like days among 512: as many free days as runs, so a band of root 8."""
    runs = np.random.default_rng(5).normal(0, 1, 64)
    alike = bootstrap_band(np.repeat(runs, 8), daily_mean, np.random.default_rng(0))
    error = runs.std() / np.sqrt(64)
    # of runs drawn at random eight days long, two thirds of the covariance of a run is kept
    assert alike[1] - alike[0] == pytest.approx(2 * 1.645 * np.sqrt(2 / 3) * error, rel=0.15)


def test_the_band_of_a_tail_is_that_of_each_draw_by_itself():
    days = np.random.default_rng(6).normal(0, 1, (5, 30))
    for alpha in (0.05, 0.3, 1.0):
        assert cvars(days, alpha) == pytest.approx([cvar(row, alpha) for row in days])


def test_an_hour_without_an_outcome_is_missing_from_the_miscoverage_by_hour():
    y = np.full((10, 24), 5.0)
    y[:, 4] = np.nan
    errors = miscoverage_by_hour(y, np.full((10, 24, 1), 6.0), (0.9,))
    assert np.isnan(errors[0, 4])
    assert np.delete(errors[0], 4) == pytest.approx(0.1)


def test_daily_pinball_averages_to_the_mean_pinball():
    rng = np.random.default_rng(8)
    y, quantiles = rng.normal(size=(6, 24)), np.sort(rng.normal(size=(6, 24, 3)))
    daily = daily_pinball(y, quantiles, (0.1, 0.5, 0.9))
    assert daily.shape == (6,)
    assert daily.mean() == pytest.approx(mean_pinball(y, quantiles, (0.1, 0.5, 0.9)))
