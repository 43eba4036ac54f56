"""The simple forecasts from their formulas, and that none of them sees past its gate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import QuantileRegressor
from small_cases import CAP, HALF_TICK, make_market, make_params

from bessvpp.calibration.coverage import pinball_loss
from bessvpp.errors import DataError
from bessvpp.forecasting import baselines as simple
from bessvpp.forecasting.features import feature_frame

RULES = make_params().market
LEVELS = (0.1, 0.5, 0.9)
MARKET = make_market(130, seed=9)


def test_persistence_is_the_latest_price_and_the_quantiles_of_its_errors():
    date = MARKET.dates[[120]]
    fan = simple.persistence_forecast("dam", MARKET, date, LEVELS, RULES)
    errors = np.diff(MARKET.dam_mcp[:120], axis=0)[-90:]
    expected = MARKET.dam_mcp[119][:, None] + np.quantile(errors, LEVELS, axis=0).T
    np.testing.assert_allclose(fan.values[0], np.clip(expected, 0, 10_000), atol=HALF_TICK)
    fan = simple.persistence_forecast("rtm", MARKET, date, LEVELS, RULES)
    late = MARKET.rtm_mcp[:119, 15]  # of the day before only ten o'clock and earlier is known
    expected = late[-1] + np.quantile((late[2:] - late[:-2])[-89:], LEVELS)
    np.testing.assert_allclose(fan.values[0, 15], np.clip(expected, 0, 10_000), atol=HALF_TICK)


def test_a_block_without_trade_persists_from_its_latest_price():
    rtm = MARKET.rtm_mcp.copy()
    rtm[117:120, 3] = np.nan
    market = replace(MARKET, rtm_mcp=rtm, rtm_no_trade=np.isnan(rtm))
    fan = simple.persistence_forecast("rtm", market, MARKET.dates[[120]], LEVELS, RULES)
    errors = (rtm[2:120, 3] - rtm[:118, 3])[-90:]
    expected = rtm[116, 3] + np.nanquantile(errors, LEVELS)
    np.testing.assert_allclose(fan.values[0, 3], np.clip(expected, 0, 10_000), atol=HALF_TICK)


def test_climatology_is_the_quantiles_of_28_days():
    fan = simple.climatology("dam", MARKET, MARKET.dates[[120]], LEVELS, RULES)
    expected = np.quantile(MARKET.dam_mcp[92:120], LEVELS, axis=0).T
    np.testing.assert_allclose(fan.values[0], expected, atol=HALF_TICK)


def experts(market, name, n_days, n_test=10):
    """Point forecasts of the last days, and the fan of the last of these."""
    features = feature_frame(market, market.dates[7:], RULES)
    days = market.dates[-n_days:]
    points = simple.lear(name, features, market, days, RULES)
    fan = simple.quantile_regression_average(
        name, points, market, days[:-n_test], days[-n_test:], LEVELS, RULES
    )
    return points, fan


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dam", "rtm"])
def test_the_linear_expert_sees_nothing_after_its_gate(name):
    points, fan = experts(MARKET, name, 28)
    dam, rtm = MARKET.dam_mcp.copy(), MARKET.rtm_mcp.copy()
    dam[-10:], rtm[-10:], rtm[-11, 11:] = 1.0, 2.0, 3.0
    later = replace(MARKET, dam_mcp=dam, rtm_mcp=rtm)
    again, moved = experts(later, name, 28)
    np.testing.assert_array_equal(points[:19], again[:19])
    np.testing.assert_array_equal(fan.values[0], moved.values[0])
    assert not np.array_equal(fan.values[-1], moved.values[-1])


@pytest.mark.slow
def test_the_linear_expert_learns_a_linear_market_and_its_average_covers():
    """Each day's level goes back to the mean, which persistence does not know."""
    rng = np.random.default_rng(3)
    prices = np.full((200, 24), 4000.0)
    for day in range(1, 200):
        level = prices[day - 1].mean()
        prices[day] = 4000 + 0.1 * (level - 4000) + rng.normal(0, 500) + rng.normal(0, 60, 24)
    market = replace(make_market(200), dam_mcp=prices)
    points, fan = experts(market, "dam", 56, 20)
    outcome = prices[-56:]
    naive = np.abs(outcome - prices[-57:-1]).mean()
    assert np.abs(outcome[:, :, None] - points).mean() < 0.9 * naive
    inside = (prices[-20:] >= fan.values[:, :, 0]) & (prices[-20:] <= fan.values[:, :, 2])
    assert 0.65 < inside.mean() < 0.92
    assert (np.diff(fan.values, axis=2) >= 0).all()


def test_too_few_days_for_a_quantile_regression_are_an_error_that_counts_them():
    points = np.zeros((15, 24, 2))
    days = MARKET.dates[-15:]
    with pytest.raises(DataError, match="10 days are too few"):
        simple.quantile_regression_average(
            "dam", points, MARKET, days[:10], days[10:], LEVELS, RULES
        )


def test_hours_that_are_always_at_the_cap_are_forecast_there_without_a_warning():
    dam = MARKET.dam_mcp.copy()
    dam[:, 19:22] = 10_000.0
    market = replace(MARKET, dam_mcp=dam)
    points, _ = experts(market, "dam", 60)
    assert np.isfinite(points).all()
    np.testing.assert_allclose(points[:, 19:22], 10_000.0, rtol=0.01)


@pytest.mark.parametrize("level", [0.01, 0.25, 0.5, 0.9])
def test_a_regression_quantile_is_that_of_an_independent_implementation(level):
    rng = np.random.default_rng(8)
    x = np.minimum(rng.normal(6_000, 3_000, (300, 2)).round(2), CAP)
    y = np.minimum(x.mean(axis=1) + rng.normal(0, 900, 300).round(2), CAP)  # many on the cap
    found = simple.regression_quantile(x, y, level)
    other = QuantileRegressor(quantile=level, alpha=0.0, solver="highs").fit(x, y)
    np.testing.assert_allclose(found, [other.intercept_, *other.coef_], rtol=1e-9)
    for k in range(3):
        for step in (-1e-3, 1e-3):
            moved = found + step * (np.arange(3) == k) * [1_000, 1, 1]
            losses = [
                pinball_loss(y, np.column_stack([np.ones(300), x]) @ weights, level)
                for weights in (found, moved)
            ]
            assert losses[0] <= losses[1]
