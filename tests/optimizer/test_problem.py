"""The tie-break and the value of energy, by their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from small_cases import day_shape, make_params, make_problem, price_scenarios

from bessvpp.errors import ParameterError
from bessvpp.optimizer.dispatch import plan_day
from bessvpp.optimizer.energy_value import energy_values, with_energy_value
from bessvpp.optimizer.problem import TIE_BREAK_RS_PER_MWH, EnergyValue, Problem, tie_break
from bessvpp.risk import Risk
from bessvpp.settlement.promise import planned_causal


def test_the_tie_break_is_small_fixed_and_distinct():
    trade = ("dam_sale", "dam_purchase", "rtm_sale", "rtm_purchase")
    flow = [(side, unit) for side in ("charge", "discharge") for unit in range(3)]
    ties = [tie_break(side, 96) for side in trade] + [tie_break(side, 96, i) for side, i in flow]
    assert np.min(ties) > 0
    assert np.max(ties) <= TIE_BREAK_RS_PER_MWH == 0.01
    assert len(np.unique(np.round(ties, 9))) == 10 * 96
    np.testing.assert_array_equal(tie_break("charge", 24), tie_break("charge", 96)[:24])
    # Moving a trade from one block, side or unit to another is never lost in rounding.
    exchanges = np.array([[first - second for second in tie] for tie in ties for first in tie])
    assert np.abs(exchanges[exchanges != 0]).min() > 1e-8


def test_an_energy_value_is_the_least_of_its_lines():
    value = EnergyValue(np.array([10.0, 2.0]), np.array([0.0, 40.0]))
    assert value(np.array([1.0, 5.0, 10.0])).tolist() == [10.0, 50.0, 60.0]
    assert float(value(3.0)) == 30.0


def test_neutral_losses_tapers_and_outages_change_no_bit_of_a_plan():
    """No loss, a flat table, an outage of another day: as if there were none of them."""
    flat = [{"e_mwh": 20.0, "p_mw": 50.0}, {"e_mwh": 180.0, "p_mw": 50.0}]
    neutral = {
        "self_discharge_per_hour": 0.0,
        "aux_mw": 0.0,
        "charge_taper": flat,
        "discharge_taper": flat,
        "outages": [{"start": "2023-03-05", "end": "2023-03-06"}],
    }
    fan, plans = price_scenarios(3, seed=4), []
    for unit in ({}, neutral):
        problem = make_problem(make_params(unit, terminal="value", aux_rs_per_mwh=9000.0))
        problem = with_energy_value(problem, day_shape(24))
        plan = plan_day(problem, fan, Risk(0.5, 0.4))
        traded = planned_causal(problem, fan, plan.unit_dam_mw, make_params().market)
        followed = problem.follow(plan.unit_dam_mw).energy_mwh
        plans.append((plan.dam_mw, plan.rtm_mw, plan.energy_mwh, plan.profit_rs, traded, followed))
    for absent, given in zip(*plans, strict=True):
        np.testing.assert_array_equal(absent, given)


@pytest.mark.parametrize(
    ("name", "points", "told"),
    [
        ("charge_taper", [(140, 50)], "one point is no table"),
        ("charge_taper", [(160, 50), (150, 30)], "e_mwh must rise, has 160, 150"),
        ("charge_taper", [(140, 30), (180, 50)], "power may not rise from 140 MWh on"),
        ("discharge_taper", [(20, 50), (60, 30)], "power may not fall from 20 MWh on"),
        ("charge_taper", [(140, 50), (150, 20), (180, 10)], "not concave at 150 MWh"),
        ("charge_taper", [(140, 50), (150, 20)], "leads below 0 MW at e_max_mwh = 180"),
    ],
)
def test_a_table_that_is_no_taper_is_refused_with_its_place(name, points, told):
    with pytest.raises(ValueError, match=told):
        make_params({name: [{"e_mwh": float(e), "p_mw": float(p)} for e, p in points]})


def test_outages_need_a_date_and_lower_what_is_kept_for_the_day_after():
    spans = (("2024-03-06", "2024-03-06 19:00"), ("2024-03-06 20:00", "2024-03-07"))
    but_19 = [{"start": start, "end": end} for start, end in spans]
    params = make_params({"outages": but_19})
    with pytest.raises(ParameterError, match=r"this problem: .*say which day it is"):
        _ = Problem.of_day(params, block_hours=1.0).available
    worth = []
    for outages in ([], but_19, [{"start": "2024-03-06", "end": "2024-03-07"}]):
        params = make_params({"outages": outages})
        problem = Problem.of_day(params, block_hours=1.0, date=np.datetime64("2024-03-05"))
        assert problem.available is None
        (value,) = energy_values(problem, day_shape(24))
        worth.append(float(value(180.0) - value(100.0)))
    # 50 of 80 MWh more are sold in the one hour left, less wear, fees and flow costs
    price = day_shape(24)[19]
    assert worth[1] == pytest.approx(50 * (0.98 * price - 310 - 20 - 7 - 1.8), rel=1e-6)
    assert worth[0] > worth[1] + 10_000
    assert worth[2] == worth[0]  # a whole day without power is passed over
