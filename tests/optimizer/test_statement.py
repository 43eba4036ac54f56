"""The programme against the accounts, the audit and other solvers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pulp
import pytest
from optimizer_cases import CASES, settled, tied
from small_cases import make_params, make_problem, price_scenarios

from bessvpp import battery
from bessvpp.optimizer.dispatch import plan_day
from bessvpp.optimizer.problem import tie_break
from bessvpp.optimizer.statement import TwoStageProgramme
from bessvpp.prices import PriceScenarios
from bessvpp.risk import RISK_NEUTRAL, Risk, cvar


@pytest.mark.parametrize("name", CASES)
def test_each_scenarios_profit_is_the_settlement_of_its_own_plan(solved, name):
    problem, scenarios, _, plan = solved(name)
    np.testing.assert_allclose(settled(problem, scenarios, plan), plan.profit_rs, atol=0.01)
    assert plan.mean_rs == pytest.approx(scenarios.weights @ plan.profit_rs, rel=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_the_objective_is_mean_and_value_and_risk_less_penalty_and_tie_break(solved, name):
    problem, scenarios, _, plan = solved(name)
    ends = plan.energy_mwh[:, :, -1]
    value = sum(
        scenarios.weights @ worth(ends[:, i]) for i, worth in enumerate(problem.energy_values)
    )
    away = problem.block_hours * scenarios.weights @ np.abs(plan.rtm_mw).sum(axis=1)
    expected = plan.mean_rs + value + 0.6 * cvar(plan.profit_rs, 0.3, scenarios.weights)
    costs = problem.costs
    expected -= (costs.off_dam_penalty_rs_per_mwh + costs.hurdle_rtm_rs_per_mwh) * away
    expected -= costs.hurdle_dam_rs_per_mwh * problem.block_hours * np.abs(plan.dam_mw).sum()
    expected -= tied(problem, scenarios, plan)
    assert plan.objective_rs == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("alpha", [0.05, 0.2, 1 / 3, 0.5, 0.9, 1.0])
def test_the_programmes_cvar_is_the_measured_cvar(alpha, weighted):
    problem = make_problem(make_params())
    scenarios = price_scenarios(9, seed=3, weighted=weighted)
    programme = TwoStageProgramme(problem, scenarios)
    for risk_aversion in (0.02, 0.5, 4.0):
        plan = programme.solve(Risk(risk_aversion, alpha))
        measured = cvar(settled(problem, scenarios, plan), alpha, scenarios.weights)
        assert plan.lp_cvar_rs == pytest.approx(measured, abs=0.02)
        assert plan.cvar_rs == pytest.approx(measured, abs=0.02)


@pytest.mark.parametrize("name", CASES)
def test_every_plan_passes_the_audit(solved, name):
    problem, scenarios, _, plan = solved(name)
    h, bess = problem.block_hours, problem.bess
    net = plan.discharge_mw - plan.charge_mw
    assert np.minimum(plan.charge_mw, plan.discharge_mw).max() < 1e-6
    for s in range(len(scenarios.weights)):
        violation = battery.schedule_violations(
            bess, net[s], problem.e_start_mwh, h, available=problem.available
        )
        assert violation.max() < 1e-4
        for i, unit in enumerate(bess.units):
            path = battery.energy_path(unit, net[s, i], problem.e_start_mwh[i], h)
            np.testing.assert_allclose(plan.energy_mwh[s, i], path, atol=1e-4)
            if problem.terminal == "hard":
                assert path[-1] >= unit.e_target_mwh - 1e-4
    assert net.sum(axis=1).max() <= bess.connection_limit_mw + 1e-5
    assert -net.sum(axis=1).min() <= bess.import_limit_mw + 1e-5
    assert np.abs(plan.dam_mw).max() <= bess.connection_limit_mw + 1e-5
    np.testing.assert_allclose(net.sum(axis=1), plan.dam_mw + plan.rtm_mw, atol=1e-5)
    assert not plan.undelivered_mw.any()
    assert not plan.rtm_mw[~np.isfinite(scenarios.rtm)].any()


def test_a_financial_position_goes_beyond_what_the_battery_could_deliver(solved):
    problem, _, _, plan = solved("financial")
    assert plan.unit_dam_mw is None
    assert plan.dam_mw.max() == pytest.approx(problem.bess.connection_limit_mw)
    violation = battery.schedule_violations(
        problem.bess, plan.dam_mw[None], problem.e_start_mwh, problem.block_hours
    )
    assert violation.max() > 10


@pytest.mark.parametrize("name", CASES)
def test_cbc_and_highs_agree_on_the_objective_and_on_the_plan(solved, name):
    problem, scenarios, _, plan = solved(name)
    other = plan_day(replace(problem, solver="cbc"), scenarios, Risk(0.6, 0.3))
    assert other.objective_rs == pytest.approx(plan.objective_rs, rel=1e-6)
    np.testing.assert_allclose(other.dam_mw, plan.dam_mw, atol=1e-4)
    np.testing.assert_allclose(other.rtm_mw, plan.rtm_mw, atol=1e-3)


@pytest.mark.parametrize("name", ["one unit", "two units, quarter hours", "financial", "free end"])
def test_simplex_and_interior_point_find_the_same_commitment(solved, name):
    problem, scenarios, _, plan = solved(name)
    programme = TwoStageProgramme(problem, scenarios)
    programme.lp.setObjective(programme._objective(Risk(0.6, 0.3)))
    status = programme.lp.solve(pulp.HiGHS(msg=False, threads=1, solver="ipm"))
    assert status == pulp.LpStatusOptimal
    assert plan.restricted_blocks == 0
    assert pulp.value(programme.lp.objective) == pytest.approx(plan.objective_rs, rel=1e-9)
    dam_mw = [
        sale.varValue - purchase.varValue
        for sale, purchase in zip(programme.v.sale, programme.v.purchase, strict=True)
    ]
    np.testing.assert_allclose(dam_mw, plan.dam_mw, atol=1e-5)


@pytest.mark.parametrize("solver", ["ipm", "simplex"])
@pytest.mark.parametrize("commitment", ["physical", "financial"])
def test_the_tie_break_alone_decides_where_prices_leave_the_plan_open(solver, commitment):
    """Flat prices: every schedule that trades the same in all is equally good."""
    problem = make_problem(make_params({"e_start_mwh": 180.0}, commitment=commitment))
    flat = PriceScenarios(np.full((2, 24), 5000.0), np.full((2, 24), 5000.0), np.full(2, 0.5))
    programme = TwoStageProgramme(problem, flat)
    programme.lp.setObjective(programme._objective(RISK_NEUTRAL))
    programme.lp.solve(pulp.HiGHS(msg=False, threads=1, solver=solver, presolve="off"))
    sold = np.array([sale.varValue for sale in programme.v.sale])
    # 80 MWh to spare are 73.6 at the grid: the two blocks whose tie-break is least.
    cost = tie_break("dam_sale", 24) + tie_break("discharge", 24)
    first, second = np.argsort(cost)[:2]
    assert sold[[first, second]] == pytest.approx([50.0, 23.6], abs=1e-6)
    assert sold.sum() == pytest.approx(73.6, abs=1e-6)
