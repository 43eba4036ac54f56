"""Energy outside its window and targets out of reach, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_cases import (
    DAY,
    REAL_UNIT,
    TAPER,
    day_shape,
    fleet,
    make_params,
    make_problem,
    price_scenarios,
)

from bessvpp import battery
from bessvpp.errors import InfeasibleError
from bessvpp.optimizer.bid_steps import round_to_steps
from bessvpp.optimizer.dispatch import plan_day
from bessvpp.optimizer.recovery import (
    Start,
    _met_at,
    accommodated,
    nearest_ends,
    window_limits,
)
from bessvpp.prices import PriceScenarios
from bessvpp.risk import Risk
from bessvpp.settlement.promise import trade_along_fan

WEAK = {"p_max_mw": 5.0, "max_cycles_per_day": None}
ETA_IN, ETA_OUT = 0.96, 0.92


def starting(params, energy: float, n_blocks: int = 24, **changes: object):
    """A day's problem that starts with an energy, in or out of the window."""
    start = np.array([energy])
    at = {"e_start_mwh": start, "schedule_start_mwh": start}
    return make_problem(params, n_blocks, **(at | changes))


def test_within_the_window_and_its_target_in_reach_nothing_changes():
    for terminal in ("hard", "free"):
        problem = starting(make_params(terminal=terminal), 60.0)
        found, notes = accommodated(problem, Start(problem.e_start_mwh), 0.1)
        assert found is problem
        assert notes == ()


@pytest.mark.parametrize("solver", ["engine", "highs"])
@pytest.mark.parametrize("energy", [14.0, 190.0])
def test_energy_outside_is_brought_back_at_full_power_by_hand(energy, solver):
    """Five MW bring 4.8 MWh back in an hour from below, and take 5.43 from above."""
    params = make_params(WEAK, terminal="free")
    strict = starting(params, energy, solver=solver)
    fan = price_scenarios(3)
    with pytest.raises(InfeasibleError, match="outside its usable window"):
        plan_day(strict, fan)
    problem, (note,) = accommodated(strict, Start(strict.e_start_mwh))
    plan = plan_day(problem, fan, Risk(0.1, 0.4))
    first = plan.discharge_mw[:, 0, 0] - plan.charge_mw[:, 0, 0]
    if energy < 20:
        np.testing.assert_allclose(first, -5.0, atol=1e-5)
        assert (plan.energy_mwh[:, 0, 1] >= 20 - 1e-5).all()
        assert (plan.charge_mw[:, 0, 1] >= (6 - 5 * ETA_IN) / ETA_IN - 1e-5).all()
    else:
        np.testing.assert_allclose(first, 5.0, atol=1e-5)
        assert (plan.energy_mwh[:, 0, 1] <= 180 + 1e-5).all()
        assert (plan.discharge_mw[:, 0, 1] >= 10 * ETA_OUT - 5 - 1e-5).all()
    # the DAM schedule does the same by itself
    assert np.abs(plan.dam_mw[0]) == pytest.approx(5.0, abs=1e-5)
    assert f"A holds {energy:g} MWh, outside its usable window of 20 to 180 MWh" in note
    assert "back by 02:00" in note


def test_engine_and_statement_agree_outside_the_window():
    params = make_params(WEAK)
    fan = price_scenarios(3, seed=4)
    found = []
    for solver in ("engine", "highs"):
        strict = starting(params, 15.0, solver=solver)
        problem, _ = accommodated(strict, Start(strict.e_start_mwh))
        found.append(plan_day(problem, fan, Risk(0.3, 0.4)))
    assert found[0].objective_rs == pytest.approx(found[1].objective_rs, rel=1e-6)
    np.testing.assert_allclose(found[0].dam_mw, found[1].dam_mw, atol=1e-3)


def test_before_it_may_charge_a_unit_is_taken_no_further_out():
    windows = [{"start": "10:00", "end": "16:00"}]
    params = make_params(WEAK | {"charge_windows": windows}, terminal="free")
    strict = starting(params, 14.0)
    problem, (note,) = accommodated(strict, Start(strict.e_start_mwh))
    dear = PriceScenarios.single(np.full(24, 9000.0), np.full(24, 9000.0))
    energy = plan_day(problem, dear).energy_mwh[0, 0]
    np.testing.assert_allclose(energy[:10], 14.0, atol=1e-5)
    assert energy[10] == pytest.approx(14 + 5 * ETA_IN, abs=1e-5)
    assert energy[11] >= 20 - 1e-5
    assert "back by 12:00" in note


@pytest.mark.parametrize("energy", [14.0, 190.0])
def test_the_schedule_in_whole_steps_comes_back_too(energy):
    params = make_params(WEAK | {"p_max_mw": 4.97}, terminal="free")
    strict = starting(params, energy)
    problem, _ = accommodated(strict, Start(strict.e_start_mwh), 0.1)
    plan = plan_day(problem, price_scenarios(3))
    unit_mw = round_to_steps(problem, plan.unit_dam_mw, 0.1)
    assert abs(unit_mw[0, 0]) == pytest.approx(4.9)
    path = battery.energy_path(params.bess.units[0], unit_mw[0], energy, 1.0)
    assert path[2:].min() >= 20 - 1e-5
    assert path[2:].max() <= 180 + 1e-5


@pytest.mark.parametrize("recourse", ["dynamic", "expected"])
@pytest.mark.parametrize("energy", [14.0, 190.0])
def test_traded_at_its_gates_energy_comes_back_as_soon_as_power_allows(energy, recourse):
    """Whatever prices say: cheap ones do not keep it above, nor dear ones below."""
    params = make_params(WEAK, terminal="free", recourse=recourse)
    problem = starting(params, energy)
    fan = price_scenarios(4, seed=6)
    prices = 200.0 if energy > 180 else 9000.0
    fan = replace(fan, dam=0 * fan.dam + prices, rtm=prices + 0.01 * fan.rtm)
    done = trade_along_fan(problem, fan, np.zeros((1, 24)), params.market, recourse)
    net = done.discharge_mw[:, 0] - done.charge_mw[:, 0]
    np.testing.assert_allclose(net[:, 0], 5.0 if energy > 180 else -5.0, atol=1e-6)
    path = energy + np.cumsum(ETA_IN * np.maximum(-net, 0) - np.maximum(net, 0) / ETA_OUT, axis=1)
    assert path[:, 1:].min() >= 20 - 1e-6
    assert path[:, 1:].max() <= 180 + 1e-6


# ---------------------------------------------------------------------- targets out of reach

ONE_HOUR = {"charge_windows": [{"start": "12:00", "end": "13:00"}]}


def out_of_reach(n_blocks=24, **rules: object):
    """A unit with 40 MWh that must hold 100 at midnight, and may charge for one hour."""
    params = make_params(ONE_HOUR, **rules)
    return starting(params, 40.0, n_blocks)


@pytest.mark.parametrize(("midnight", "solver"), [("own", "engine"), ("plan", "highs")])
def test_a_target_out_of_reach_is_come_as_near_to_as_can_be_by_hand(midnight, solver):
    strict = replace(out_of_reach(midnight=midnight), solver=solver)
    with pytest.raises(InfeasibleError):
        plan_day(strict, price_scenarios(2))
    problem, (note,) = accommodated(strict, Start(strict.e_start_mwh))
    plan = plan_day(problem, price_scenarios(2))
    np.testing.assert_allclose(plan.energy_mwh[:, 0, -1], 40 + 50 * ETA_IN, atol=1e-4)
    assert "comes as near as 88.00 MWh, 12.00 below" in note
    # the day after charges 48 MWh from noon on, more than the 12 that lack
    assert "could be met from 13:00 on, the day after" in note


def test_in_quarters_the_time_is_that_of_the_quarter():
    strict = out_of_reach(96)
    _, (note,) = accommodated(strict, Start(strict.e_start_mwh))
    assert "could be met from 12:15 on, the day after" in note  # 12 MWh are one quarter's


def test_the_rest_of_a_day_has_less_reach():
    params = make_params(terminal="hard")
    problem = starting(params, 100.0)
    assert nearest_ends(problem, Start(np.array([30.0]), 20))[0] == pytest.approx(100.0)
    late = Start(np.array([30.0]), 23)
    assert nearest_ends(problem, late)[0] == pytest.approx(30 + 50 * ETA_IN)
    _, (note,) = accommodated(problem, late)
    assert "could be met from 01:00 on, the day after" in note


def test_units_share_what_the_connection_lets_in():
    """Both need 60 MW for the last hour, behind 40: the fleet comes as near as that leads."""
    params = fleet(connection_limit_mw=40.0)
    start = np.array([60.0, 5.0])
    problem = make_problem(params, e_start_mwh=start, schedule_start_mwh=start)
    ends = nearest_ends(problem, Start(start, 23))
    assert ends[0] - 60 <= 40 * ETA_IN + 1e-6
    drawn = (ends[0] - 60) / 0.96 + (ends[1] - 5) / 0.90
    assert drawn == pytest.approx(40.0, abs=1e-5)
    missed = (100 - ends[0]) + (15 - ends[1])
    assert missed == pytest.approx(40 + 10 - 40 * 0.96, abs=1e-5)  # the better efficiency first


def test_a_schedule_that_must_end_at_its_target_may_miss_it_from_above():
    windows = [{"start": "18:00", "end": "19:00"}]
    params = make_params({"discharge_windows": windows}, midnight="own")
    strict = starting(params, 170.0)
    problem, (note,) = accommodated(strict, Start(strict.e_start_mwh))
    plan = plan_day(problem, PriceScenarios.single(day_shape(24), day_shape(24)))
    path = battery.energy_path(params.bess.units[0], plan.unit_dam_mw[0], 170.0, 1.0)
    assert path[-1] == pytest.approx(170 - 50 / ETA_OUT, abs=1e-3)
    assert f"{70 - 50 / ETA_OUT:.2f} above" in note
    assert "from 19:00 on, the day after" in note


@pytest.mark.parametrize("n_blocks", [24, 96])
@pytest.mark.parametrize("energy", [14.0, 100.0, 190.0])
def test_outside_with_all_that_a_battery_has_the_plan_keeps_every_rule(energy, n_blocks):
    params = make_params(REAL_UNIT, terminal="free", midnight="plan")
    strict = starting(params, energy, n_blocks)
    problem, notes = accommodated(strict, Start(strict.e_start_mwh), 0.1)
    assert len(notes) == (energy != 100.0)
    fan, plans = price_scenarios(2, n_blocks, seed=3), []
    for solver in ("engine", "highs"):
        plans.append(plan_day(replace(problem, solver=solver), fan, Risk(0.3, 0.4)))
    assert plans[0].objective_rs == pytest.approx(plans[1].objective_rs, rel=1e-6)
    unit_mw = round_to_steps(problem, plans[0].unit_dam_mw, 0.1)
    broken = battery.schedule_violations(
        params.bess,
        unit_mw,
        problem.e_start_mwh,
        problem.block_hours,
        available=problem.available,
        energy_limits=problem.energy_limits,
    )
    assert broken.max() < 1e-5
    assert np.abs(problem.follow(unit_mw).undelivered_mw).max() < 1e-5


def test_the_way_back_waits_for_the_end_of_an_outage_by_hand():
    outages = [{"start": f"{DAY} 00:00", "end": f"{DAY} 02:00"}]
    strict = starting(make_params(WEAK | {"outages": outages}, terminal="free"), 183.0)
    problem, (note,) = accommodated(strict, Start(strict.e_start_mwh))
    # 5 MW take 5.43 MWh out in the first hour with power
    assert "back by 03:00" in note
    assert problem.energy_limits[1][0, :4].tolist() == [183.0, 183.0, 180.0, 180.0]
    plan = plan_day(problem, price_scenarios(2))
    assert np.abs(plan.dam_mw[:2]).max() == 0


def test_what_was_lost_before_the_start_is_not_lost_again():
    """From 101.5 MWh at 20:00 four hours at 0.1 % leave 101.17: more than the target."""
    lossy = {
        "self_discharge_per_hour": 0.001,
        "charge_windows": [{"start": "10:00", "end": "15:00"}],
    }
    problem = replace(starting(make_params(lossy), 100.0), fixed_dam_mw=np.zeros(24))
    found, notes = accommodated(problem, Start(np.array([101.5]), 20))
    assert found is problem
    assert notes == ()
    found, (note,) = accommodated(problem, Start(np.array([100.2]), 20))
    left = 20 + 80.2 * 0.999**4
    assert found.bess.units[0].e_target_mwh == pytest.approx(left, abs=1e-5)
    assert f"as near as {left:.2f} MWh" in note


def test_a_full_unit_comes_back_at_the_power_of_the_top_of_its_window():
    """190 MWh of at most 180: its discharge tapers only where it is nearly empty."""
    (_, high), _ = window_limits(make_problem(make_params(TAPER)), Start(np.array([190.0])))
    assert high[0].tolist() == [180.0] * 24


@pytest.mark.parametrize(
    ("unit", "connection_mw", "e_mwh", "told"),
    [
        # 19.2 MWh an hour by the 20 MW that 10 of auxiliary load leave, 60 in all
        ({"aux_mw": 10.0}, 30.0, 40.0, "from 04:00 on"),
        # a tenth leaks of what is above 20: 66.2, 80.78, 93.90
        ({"self_discharge_per_hour": 0.1, "p_max_mw": 20.0}, 50.0, 50.0, "from 04:00 on"),
        # out today, 48 MWh an hour tomorrow
        (
            {"outages": [{"start": f"{DAY} 00:00", "end": "2024-03-06 00:00"}]},
            50.0,
            50.0,
            "from 02:00 on, the day after",
        ),
    ],
)
def test_when_a_target_could_be_met_by_hand(unit, connection_mw, e_mwh, told):
    problem = make_problem(make_params(unit, connection_limit_mw=connection_mw))
    assert _met_at(problem, Start(np.array([e_mwh]))) == [told]
