"""A warranty's budget over the days of a backtest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from backtest_cases import MARKETS
from small_cases import make_params, make_window

from bessvpp.backtest.simulate import CEILING, run_backtest
from bessvpp.backtest.summary import summarise
from bessvpp.backtest.warranty import daily_prices
from bessvpp.compute.cache import Cache
from bessvpp.settlement.day import AS_COMMITTED, HINDSIGHT
from bessvpp.settlement.warranty import warranty_price

FEW = {"policies": ["nothing_committed", "seven_day_mean"], "terminal": "value"}
BUDGET = {"warranty_cycles_per_year": 120.0}


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    made = make_window(make_params(BUDGET, **FEW), MARKETS["ordinary"])
    return replace(made, cache=Cache(tmp_path_factory.mktemp("cache")))


def test_each_days_price_is_that_of_the_whole_days_its_gate_knows(window):
    prices = daily_prices(window)
    assert prices.shape == (len(window.days), 1)
    row = window.market.index_of(window.days[2])
    (unit,) = window.params.bess.units
    expected = warranty_price(window.problem(np.array([100.0])), unit, window.market.dam_mcp[:row])
    assert prices[2, 0] == expected > 0


def test_later_prices_leave_the_price_as_it_was(window):
    row = window.market.index_of(window.days[1])
    later = window.market.dam_mcp.copy()
    later[row:] = 1.0
    moved = replace(window, market=replace(window.market, dam_mcp=later))
    np.testing.assert_array_equal(daily_prices(moved)[:2], daily_prices(window)[:2])


def test_the_summary_tells_discharge_of_a_year_its_budget_and_the_price(window):
    result = run_backtest(window)
    found, prices = summarise(window, result)["warranty"], daily_prices(window)
    assert found["units"] == {
        "A": {
            "budget_mwh_per_year": 120 * 200,
            "price_mean_rs_per_mwh": pytest.approx(prices.mean()),
            "price_least_rs_per_mwh": prices.min(),
            "price_most_rs_per_mwh": prices.max(),
        }
    }
    of_year = found["discharged_mwh_per_year"]
    for (policy, way), rows in result.daily.groupby(["policy", "settlement"]):
        assert of_year[policy][way]["A"] == pytest.approx(rows["discharged_mwh"].mean() * 365)

    plain = make_window(make_params(**FEW), MARKETS["ordinary"])
    without = run_backtest(plain)
    assert "warranty" not in summarise(plain, without)
    for way in (AS_COMMITTED, HINDSIGHT):
        ceiling, free = (run.ceilings[way].days for run in (result, without))
        assert [day.ledger.net_rs for day in ceiling] == [day.ledger.net_rs for day in free]
        spent = without.daily.query("policy == 'seven_day_mean' and settlement == @way")
        assert of_year["seven_day_mean"][way]["A"] < 0.8 * spent["discharged_mwh"].mean() * 365
    assert set(of_year) == {"nothing_committed", "seven_day_mean", CEILING}
