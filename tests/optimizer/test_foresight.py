"""What a plan counts on of the RTM keeps means and DAM, and scales what surprises."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_cases import make_params, make_problem, price_scenarios

from bessvpp.optimizer.dispatch import plan_day
from bessvpp.optimizer.foresight import foreseen, rtm_given_dam
from bessvpp.prices import PriceScenarios


def test_the_rtm_expected_given_the_dam_by_hand():
    """Block 0: DAM 4000 +- 1000, RTM 3000 +- 700; block 1: DAM sure. One slope, 700 / 1000."""
    dam = np.array([[3000.0, 6000.0], [5000.0, 6000.0]])
    rtm = np.array([[2300.0, 5000.0], [3700.0, 5400.0]])
    fan = PriceScenarios(dam, rtm, np.array([0.5, 0.5]))
    np.testing.assert_allclose(rtm_given_dam(fan), [[2300.0, 5200.0], [3700.0, 5200.0]])
    np.testing.assert_allclose(foreseen(fan, 0.25).rtm, [[2300.0, 5150.0], [3700.0, 5250.0]])
    uneven = replace(fan, weights=np.array([0.8, 0.2]))
    # DAM mean 3400, RTM mean 2580: -400 and 1600 against -280 and 1120, again .7
    np.testing.assert_allclose(rtm_given_dam(uneven)[:, 0], [2300.0, 3700.0])
    np.testing.assert_allclose(rtm_given_dam(uneven)[:, 1], 5080.0)


@pytest.mark.parametrize("foresight", [0.0, 0.5, 1.0])
def test_mean_prices_and_the_dam_stay_as_they_are(foresight):
    fan = price_scenarios(9, seed=4, weighted=True)
    fan = replace(fan, dam=np.full_like(fan.dam, 5000.0) + fan.dam / 10)  # no price at an edge
    found = foreseen(fan, foresight)
    np.testing.assert_array_equal(found.dam, fan.dam)
    inside = np.abs(fan.weights @ rtm_given_dam(fan) - fan.weights @ fan.rtm) < 1e-6
    assert inside.mean() > 0.5
    np.testing.assert_allclose((found.weights @ found.rtm)[inside], (fan.weights @ fan.rtm)[inside])
    if foresight == 1:
        np.testing.assert_allclose(found.rtm, fan.rtm)


def test_blocks_without_an_rtm_stay_without_one():
    fan = price_scenarios(5, seed=2)
    rtm = fan.rtm.copy()
    rtm[2, 7], rtm[:, 8] = np.nan, np.nan
    found = foreseen(replace(fan, rtm=rtm), 0.5)
    np.testing.assert_array_equal(np.isnan(found.rtm), np.isnan(rtm))
    sure = PriceScenarios.single(fan.dam[0], rtm[2])
    np.testing.assert_array_equal(foreseen(sure, 0.3).rtm, sure.rtm)


def test_without_foresight_a_plan_is_that_of_mean_prices():
    """Where the DAM is the same on every path, what is left of the RTM is its mean."""
    problem = make_problem(make_params(midnight="plan"))
    fan = price_scenarios(6, seed=8)
    fan = replace(fan, dam=np.tile(fan.dam[:1], (6, 1)))
    blind = plan_day(problem, foreseen(fan, 0.0))
    np.testing.assert_allclose(blind.dam_mw, plan_day(problem, fan.mean).dam_mw, atol=1e-4)
    assert blind.mean_rs < plan_day(problem, fan).mean_rs - 1000
