"""Bids stop where a trade stops being worth it, by hand and by the programme itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_cases import CAP, SECOND_UNIT, UNIT, fleet, make_params, make_problem, price_scenarios

from bessvpp.optimizer.bid_worth import StepBids, bids_at_worth, schedule_worth
from bessvpp.optimizer.dispatch import plan_day
from bessvpp.prices import PriceScenarios

NOON, EVENING = 12, 19


def bids(params, problem, fan, unit_mw) -> StepBids:
    return bids_at_worth(problem, fan, unit_mw, params.market, CAP)


def at(*values: tuple[int, float], rest: float) -> np.ndarray:
    """(24,) with some blocks set."""
    out = np.full(24, float(rest))
    for block, value in values:
        out[block] = value
    return out


def test_the_price_of_a_financial_trade_by_hand():
    """The RTM follows half of a DAM surprise; fee 20 and hurdle 100."""
    params = make_params(commitment="financial", hurdle_dam_rs_per_mwh=100.0)
    dam, rtm = at((NOON, 3000), rest=6000), at((NOON, 3600), rest=5000)
    up = np.array([[1000.0], [-1000.0]])
    fan = PriceScenarios(dam + up, rtm + up / 2, np.full(2, 0.5))
    mw = at((NOON, -10), (EVENING, 10), rest=0)[None]
    found = bids(params, make_problem(params), fan, mw).limit
    # sold down to 4240, where the RTM is to bring 5000 - 1760 / 2 = 4240 - 120
    assert found[EVENING].tolist() == [4240.0] * 4
    # bought up to 3960, where the RTM is to cost 3600 + 960 / 2 = 3960 + 120
    assert found[NOON].tolist() == [3960.0] * 4


def test_scheduled_energy_has_its_worth_in_what_it_can_still_be_sold_for():
    """Empty at midnight, charged at noon alone: what is bought there is sold in the evening."""
    unit = {
        "e_start_mwh": 20.0,
        "e_target_mwh": 20.0,
        "charge_windows": [{"start": "12:00", "end": "13:00"}],
    }
    params = make_params(unit, hurdle_dam_rs_per_mwh=100.0, terminal="free")
    dam, rtm = at((NOON, 3200), (EVENING, 8000), rest=5000), at((NOON, 3000), rest=5000)
    rtm[EVENING] = 6000
    fan = PriceScenarios.single(dam, rtm)
    mw = at((NOON, -50), (EVENING, 50 * 0.96 * 0.92), rest=0)[None]
    found = bids(params, make_problem(params), fan, mw).limit
    # each MWh sold in the evening earns 2000 - 120 over the RTM; later there is nothing to sell
    held = 0.92 * (2000 - 120)
    assert found[NOON].tolist() == [np.floor(3000 - 120 + 0.96 * held)] * 4
    assert found[EVENING].tolist() == [6000 + 120] * 4


def test_further_mwh_that_are_bought_have_their_own_price():
    """Two hours to buy in, two to sell in, the second less dear: 96 MWh for 54.35 and the rest."""
    unit = {"e_start_mwh": 20.0, "e_target_mwh": 20.0}
    unit["charge_windows"] = [{"start": "12:00", "end": "14:00"}]
    params = make_params(unit, terminal="free")
    dam = at((12, 3000), (13, 3000), (18, 7000), (19, 6000), rest=5000)
    fan = PriceScenarios.single(dam, at((12, 3000), (13, 3000), rest=5000))
    mw = at((12, -50), (13, -50), (18, 50), (19, 96 * 0.92 - 50), rest=0)[None]
    found = bids(params, make_problem(params), fan, mw).limit
    first, second = 0.92 * (2000 - 20), 0.92 * (1000 - 20)
    # a step stores 12 MWh; the first one at 13:00 fills up what 18:00 sells, and it and all others
    # at 12:00 stand behind what 13:00 buys as well
    filled = (50 / 0.92 - 48) / 12
    both = 3000 - 20 + 0.96 * (filled * first + (1 - filled) * second)
    rest = 3000 - 20 + 0.96 * second
    assert found[12].tolist() == found[13].tolist() == [np.floor(both), *[np.floor(rest)] * 3]
    assert found[18].tolist() == [5020.0] * 4  # what is not sold no other bid will sell


def test_scheduled_energy_is_sold_through_the_connection_and_bought_through_its_import():
    """30 MW out, and 20 in beside 10 of auxiliary load: what is stored sells what the 20 do not."""
    params = make_params({"aux_mw": 10.0}, connection_limit_mw=30.0, terminal="free")
    problem, nodes = make_problem(params), np.array([0.0, 60.0])
    sold = schedule_worth(problem, 0, at((23, 1000), rest=0), 0.0)[22]
    assert np.diff(sold.at(nodes)[0])[0] == pytest.approx(30 * 1000)
    bought = schedule_worth(problem, 0, at((22, -1000), (23, 1000), rest=0), 0.0)[21]
    left = 30 - 20 * 0.96 * 0.92
    assert np.diff(bought.at(nodes)[0])[0] == pytest.approx(left * 1000)


def test_scheduled_energy_that_discharges_by_itself_is_worth_what_is_left_of_it():
    """A tenth an hour: of 10 MWh 8.1 are left two hours on, sold at a spread of 1,000."""
    problem = make_problem(make_params({"self_discharge_per_hour": 0.1}, terminal="free"))
    worth = schedule_worth(problem, 0, at((23, 1000), rest=0), 0.0)[21]
    assert np.diff(worth.at(np.array([0.0, 10.0]))[0])[0] == pytest.approx(8.1 * 0.92 * 1000)


def test_a_fleets_idle_unit_moves_no_price_of_the_other():
    fan = price_scenarios(3, seed=2)
    of_second = at((NOON, -10), (13, -10), (EVENING, 15), rest=0)
    both, alone = fleet(terminal="free"), fleet(units=[SECOND_UNIT], terminal="free")
    mw = np.stack([np.zeros(24), of_second])
    found = bids(both, make_problem(both), fan, mw).limit[[NOON, 13, EVENING]]
    expected = bids(alone, make_problem(alone), fan, mw[1:]).limit[[NOON, 13, EVENING]]
    np.testing.assert_array_equal(found, expected)


def replanned(problem, fan, t: int, side: float):
    """What the programme, made anew, trades in a block where only its DAM price is another."""

    def traded(price: float) -> float:
        dam = fan.dam.copy()
        dam[0, t] = price
        return side * float(plan_day(problem, replace(fan, dam=dam)).dam_mw[t])

    return traded


@pytest.mark.parametrize("seed", [3, 4, 6, 8, 9, 11])
def test_the_programme_itself_stops_buying_at_that_price(seed):
    """Its first trade, for what came before would be chosen anew as well."""
    params = make_params(
        {"e_start_mwh": 30.0},
        fee_rtm_rs_per_mwh=0.0,
        hurdle_dam_rs_per_mwh=60.0,
        terminal="free",
        midnight="plan",
        bid_price_steps=50,
    )
    problem, fan = make_problem(params), price_scenarios(1, seed=seed)
    plan = plan_day(problem, fan)
    t = int(np.flatnonzero(np.abs(plan.dam_mw) > 1e-6)[0])
    limit, most = bids(params, problem, fan, plan.unit_dam_mw).limit[t], -float(plan.dam_mw[t])
    assert fan.dam[0, t] <= limit[-1] + 2.0  # at the price expected all of it is traded
    traded, steps = replanned(problem, fan, t, -1.0), [k for k in range(50) if limit[k] < CAP]
    for k in {steps[0], steps[len(steps) // 2], steps[-1]}:
        assert traded(limit[k] + 3) < most * (k + 1) / 50 + 1e-6
        assert traded(limit[k] - 3) > most * k / 50 - 1e-6


@pytest.mark.parametrize("t", [3, 12, 19])
def test_the_programme_itself_stops_a_financial_trade_at_that_price(t):
    params = make_params(
        commitment="financial", terminal="free", fee_rtm_rs_per_mwh=0.0, hurdle_dam_rs_per_mwh=60.0
    )
    problem, fan = make_problem(params), price_scenarios(1, seed=5)
    plan = plan_day(problem, fan)
    side = float(np.sign(plan.dam_mw[t]))
    (price, *_) = bids(params, problem, fan, plan.dam_mw[None]).limit[t]
    traded = replanned(problem, fan, t, side)
    assert traded(price - 3 * side) < 1e-6
    assert traded(price + 3 * side) == pytest.approx(50)


def test_what_clears_is_what_the_price_is_good_for():
    limit = np.full((24, 4), np.nan)
    limit[NOON], limit[EVENING] = [3000, 2900, 2900, 2500], [5000, 6000, 7000, 8000]
    mw = at((NOON, -8), (EVENING, 12), rest=0)
    offered = StepBids(np.stack([mw / 4, mw * 3 / 4]), limit)
    for noon, evening, bought, sold in (
        (2900.0, 7000.0, 6, 9),
        (3000.5, 4999.5, 0, 0),
        (0.0, CAP, 8, 12),
    ):
        dam = at((NOON, noon), (EVENING, evening), rest=5000)
        cleared = offered.cleared(dam)
        np.testing.assert_allclose(
            cleared.sum(axis=0), at((NOON, -bought), (EVENING, sold), rest=0)
        )
        np.testing.assert_allclose(cleared[0], cleared.sum(axis=0) / 4)


@pytest.mark.parametrize("params", [make_params(), fleet(), make_params(terminal="value")])
def test_limits_lie_on_the_tick_within_floor_and_cap_and_turn_worse_along_a_block(params):
    problem, fan = make_problem(params), price_scenarios(6, seed=4)
    plan = plan_day(problem, fan)
    found = bids(params, problem, fan, plan.unit_dam_mw)
    side = np.sign(np.round(plan.dam_mw, 6))
    traded = found.limit[side != 0]
    assert (traded == np.round(traded)).all()
    assert (traded >= 0).all()
    assert (traded <= CAP).all()
    assert (np.diff(traded, axis=1) * side[side != 0][:, None] >= 0).all()
    np.testing.assert_array_equal(found.unit_mw, plan.unit_dam_mw)


def test_a_schedule_that_must_end_somewhere_buys_its_way_there_at_any_price():
    params = make_params({"e_start_mwh": 100 - 9.6})
    problem = make_problem(params)
    assert problem.schedule_end_mwh is not None
    after = schedule_worth(problem, 0, np.zeros(24), 20.0)
    end = UNIT["e_target_mwh"] - UNIT["e_min_mwh"]
    assert np.diff(after[-1].at(np.array([end - 1, end, end + 1]))[0]).tolist() == [1e7, -1e7]
    fan = PriceScenarios.single(np.full(24, 9000.0), np.full(24, 100.0))
    found = bids(params, problem, fan, at((23, -10), rest=0)[None]).limit
    assert found[23].tolist() == [CAP] * 4
