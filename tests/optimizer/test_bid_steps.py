"""A schedule in whole bid steps stays deliverable and close to the plan."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from edge_cases import edge_params
from hypothesis import given, settings
from hypothesis import strategies as st
from optimizer_cases import NARROW, with_values
from small_cases import SECOND_UNIT, UNIT, fleet, make_params, make_problem, price_scenarios

from bessvpp import battery
from bessvpp.errors import InfeasibleError
from bessvpp.optimizer import bid_steps
from bessvpp.optimizer.dispatch import plan_day
from bessvpp.optimizer.problem import Problem
from bessvpp.risk import Risk


@pytest.mark.parametrize(
    ("params", "n_blocks", "step"),
    [
        pytest.param(make_params(), 24, 0.1, id="hard end"),
        pytest.param(make_params(), 96, 0.1, id="hard end, quarter hours"),
        pytest.param(fleet(), 24, 0.1, id="two units, hard end"),
        pytest.param(make_params(terminal="free"), 24, 0.1, id="free end"),
        pytest.param(fleet(terminal="free"), 96, 0.1, id="two units, free end"),
        pytest.param(make_params(NARROW, terminal="free"), 96, 0.1, id="windows and cycles"),
        pytest.param(make_params(terminal="free"), 24, 2.0, id="large steps"),
    ],
)
def test_a_schedule_in_steps_is_deliverable_and_close_to_the_plan(params, n_blocks, step):
    problem = make_problem(params, n_blocks)
    plan = plan_day(problem, price_scenarios(4, n_blocks, seed=12), Risk(0.2, 0.5))
    rounded = bid_steps.round_to_steps(problem, plan.unit_dam_mw, step)
    total = rounded.sum(axis=0)
    np.testing.assert_allclose(total, step * np.round(total / step), atol=1e-6)
    h = problem.block_hours
    violation = battery.schedule_violations(params.bess, rounded, problem.schedule_start_mwh, h)
    assert violation.max() < 1e-5
    if params.backtest.terminal == "hard":
        for i, unit in enumerate(params.bess.units):
            start = problem.schedule_start_mwh[i]
            end = battery.energy_path(unit, rounded[i], start, h)[-1]
            assert end >= unit.e_target_mwh - 1e-4
    away = np.abs(total - plan.dam_mw)
    assert away.max() <= 2 * step + 1e-6
    assert away.mean() <= step
    # A block keeps its side.
    assert (total * plan.dam_mw >= -1e-9).all()


def test_a_schedule_that_is_already_in_steps_stays_as_it_is():
    problem = make_problem(make_params(terminal="free"))
    mw = np.zeros((1, 24))
    mw[0, [3, 4, 18, 19]] = -20.0, -12.3, 40.0, 7.1
    np.testing.assert_allclose(bid_steps.round_to_steps(problem, mw, 0.1), mw, atol=1e-6)


def test_steps_two_away_are_taken_where_nearer_ones_cannot_be_delivered_by_hand():
    """Charging at a limit of 4.9 MW becomes 4: what that lacks is made up in one other block."""
    limit, eta, per_sale = 4.9, 0.96, 1 / 0.92
    sale, purchase = np.zeros(24), np.zeros(24)
    sale[[2, 3, 4, 19]] = -limit, -limit, -limit, limit  # lacks 3 * .9 * .96 = 2.59 MWh stored
    purchase[[2, 3, 4]] = -limit, -limit, -1.0  # lacks 2 * .9 * .96 = 1.73
    ends = 100 + 3 * eta * limit - per_sale * limit, 100 + eta * (2 * limit + 1)
    for mw, end, block, steps in ((sale, ends[0], 19, 2.0), (purchase, ends[1], 4, -3.0)):
        problem = make_problem(make_params({"p_max_mw": limit, "e_target_mwh": end}))
        (found,) = bid_steps.round_to_steps(problem, mw[None], 1.0)
        expected = np.trunc(mw)
        expected[block] = steps
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_steps_never_exceed_the_power_nor_the_connection():
    problem = make_problem(fleet(terminal="free"))
    scenarios = price_scenarios(3, seed=13)
    plan = plan_day(problem, scenarios)
    assert np.abs(plan.dam_mw).max() == pytest.approx(60.0)
    total = bid_steps.round_to_steps(problem, plan.unit_dam_mw, 0.7).sum(axis=0)
    assert np.abs(total).max() <= 60.0 + 1e-6


@settings(max_examples=40)
@given(edge_params(["physical"]), st.sampled_from([24, 96]), st.integers(0, 99))
def test_a_battery_on_its_edges_is_bid_in_steps_that_it_can_deliver(params, n_blocks, seed):
    problem = Problem.of_day(params, block_hours=24 / n_blocks)
    h, starts = problem.block_hours, problem.schedule_start_mwh
    problem = with_values(problem)
    plan = plan_day(problem, price_scenarios(2, n_blocks, seed=seed))
    unit_mw = bid_steps.round_to_steps(problem, plan.unit_dam_mw.round(6), 0.1)
    total = unit_mw.sum(axis=0)
    np.testing.assert_allclose(total, 0.1 * np.round(total / 0.1), atol=1e-6)
    assert battery.schedule_violations(params.bess, unit_mw, starts, h).max() < 1e-5
    if problem.schedule_end_mwh is not None:
        for i, unit in enumerate(params.bess.units):
            end = battery.energy_path(unit, unit_mw[i], starts[i], h)[-1]
            assert end >= unit.e_target_mwh - 0.1 * h * unit.eta_charge - 1e-4


@pytest.mark.parametrize("leaking", [0, 1])
def test_units_of_which_one_leaks_a_little_are_delivered_and_bid_in_steps(leaking):
    """Energy off the schedule would save much flow; and half the blocks lie between two steps."""
    units = [UNIT | {"e_start_mwh": 20.0, "e_target_mwh": 20.0}]
    units.append(SECOND_UNIT | {"e_start_mwh": 2.0, "e_target_mwh": 2.0})
    lossless = {"eta_charge": 1.0, "eta_discharge": 1.0}
    units[leaking] = units[leaking] | {"self_discharge_per_hour": 1e-4} | lossless
    params = make_params(units=units, connection_limit_mw=70.0)
    problem = make_problem(params, 96)
    plan = plan_day(problem, price_scenarios(2, 96, seed=97))
    np.testing.assert_allclose(plan.unit_dam_mw.sum(axis=0), plan.dam_mw, atol=1e-6)
    unit_mw = bid_steps.round_to_steps(problem, plan.unit_dam_mw.round(6), 0.1)
    total = unit_mw.sum(axis=0)
    np.testing.assert_allclose(total, 0.1 * np.round(total / 0.1), atol=1e-6)
    starts = problem.schedule_start_mwh
    assert battery.schedule_violations(params.bess, unit_mw, starts, 0.25).max() < 1e-5
    assert np.abs(total - plan.dam_mw).max() < 0.2 + 1e-6


def test_most_sales_between_two_steps_and_one_unit_that_could_help_with_any_of_them_are_bid():
    """Which sales it helps with hardly matters, but to prove the best of them takes for ever."""
    full = {"e_min_mwh": 0.0, "e_max_mwh": 200.0, "e_start_mwh": 200.0, "e_target_mwh": 200.0}
    helps = UNIT | full | {"p_max_mw": 49.97, "p_charge_max_mw": 60.0, "aux_mw": 0.2}
    helps |= {"eta_charge": 1.0, "eta_discharge": 1.0, "max_cycles_per_day": 0.1}
    helps["charge_windows"] = [{"start": "12:00", "end": "13:00"}]
    sells = SECOND_UNIT | {"e_start_mwh": 38.0, "e_target_mwh": 38.0, "p_max_mw": 19.988}
    sells |= {"p_charge_max_mw": 60.0, "self_discharge_per_hour": 1e-4, "aux_mw": 0.2}
    params = make_params(units=[helps, sells], connection_limit_mw=69.958, midnight="plan")
    problem = with_values(make_problem(params, 96))
    plan = plan_day(problem, price_scenarios(2, 96, seed=57))
    between = np.isclose(plan.dam_mw, 19.988, atol=1e-3)
    assert between.sum() > 40
    total = bid_steps.round_to_steps(problem, plan.unit_dam_mw.round(6), 0.1).sum(axis=0)
    np.testing.assert_allclose(total, 0.1 * np.round(total / 0.1), atol=1e-6)
    assert np.abs(total - plan.dam_mw).max() < 0.3 + 1e-6  # no need to be loose
    assert np.abs(total - plan.dam_mw).sum() < 1.06 * 4.51  # no schedule is nearer than 4.51


@pytest.mark.parametrize("n_blocks", [24, 96])
def test_a_battery_to_be_filled_ends_less_than_a_step_below_by_hand(n_blocks):
    """A sale of 9.2 MWh takes 10 out of a full battery; 10.4 MWh bring back 9.984 of them."""
    problem = make_problem(make_params({"e_start_mwh": 180.0, "e_target_mwh": 180.0}), n_blocks)
    per_hour = n_blocks // 24
    mw = np.zeros((1, n_blocks))
    mw[0, :per_hour], mw[0, -per_hour:] = 9.2, -10 / 0.96
    (found,) = bid_steps.round_to_steps(problem, mw, 0.1)
    np.testing.assert_allclose(found[:per_hour], 9.2, atol=1e-6)
    assert found[-per_hour:].sum() / per_hour == pytest.approx(-10.4, abs=0.05)
    end = battery.energy_path(problem.bess.units[0], found, 180.0, problem.block_hours)[-1]
    assert 180 - 0.096 / per_hour - 1e-6 <= end <= 180 + 1e-6


def test_a_power_limit_between_two_steps_ends_short_where_nothing_else_can_be_done():
    """Ten hours at 4.97 MW become 4.9: the target that they just reach is missed by 0.672 MWh."""
    unit = {"p_max_mw": 4.97, "e_target_mwh": 147.712}
    unit["charge_windows"] = [{"start": "02:00", "end": "12:00"}]
    problem = make_problem(make_params(unit))
    mw = np.zeros((1, 24))
    mw[0, 2:12] = -4.97
    (found,) = bid_steps.round_to_steps(problem, mw, 0.1)
    np.testing.assert_allclose(found[2:12], -4.9, atol=1e-6)
    assert np.abs(found[[0, 1, *range(12, 24)]]).max() < 1e-6


def test_a_schedule_that_no_bids_can_follow_is_told_with_its_day_and_rule():
    problem = make_problem(make_params(terminal="free"), name="2024-03-09")
    problem = replace(problem, schedule_start_mwh=np.array([5.0]), e_start_mwh=np.array([5.0]))
    with pytest.raises(InfeasibleError, match=r"2024-03-09: no bids.*5 MWh, outside its usable"):
        bid_steps.round_to_steps(problem, np.zeros((1, 24)), 0.1)
