"""A schedule in whole bid steps stays deliverable and close to the plan."""

from __future__ import annotations

import numpy as np
import pytest
from optimizer_cases import NARROW
from small_cases import fleet, make_params, make_problem, price_scenarios

from bessvpp import battery
from bessvpp.optimizer import bid_steps
from bessvpp.optimizer.dispatch import plan_day
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
