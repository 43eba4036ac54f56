"""A schedule is deliverable without burning energy, and the gap to the relaxed one is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from optimizer_cases import BURNING, CASES, best_directions, cheap_day_ahead, settled, strict
from small_cases import make_params, make_problem, price_scenarios

from bessvpp import battery
from bessvpp.errors import InfeasibleError
from bessvpp.optimizer.dispatch import plan_day, sweep
from bessvpp.optimizer.statement import TwoStageProgramme
from bessvpp.optimizer.strict import relaxed_and_strict, worst_burning
from bessvpp.risk import Risk


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "fin" not in name])
def test_a_physical_schedule_is_deliverable_by_the_strict_path(solved, name):
    problem, _, _, plan = solved(name)
    np.testing.assert_allclose(plan.unit_dam_mw.sum(axis=0), plan.dam_mw, atol=1e-6)
    assert strict(problem, plan) <= battery.FEASIBILITY_TOLERANCE_MWH
    done = battery.follow(
        problem.bess, plan.unit_dam_mw, problem.schedule_start_mwh, problem.block_hours
    )
    assert problem.block_hours * np.abs(done.undelivered_mw).sum() <= 0.02


@pytest.mark.parametrize(("params", "n_blocks"), BURNING)
def test_energy_is_not_burnt_to_make_a_false_schedule_look_deliverable(params, n_blocks):
    problem = make_problem(params, n_blocks)
    programme = TwoStageProgramme(problem, cheap_day_ahead(n_blocks))
    relaxed, plan = relaxed_and_strict(programme, Risk(0.3, 0.4))
    assert strict(problem, relaxed) > 1.0  # it would have been
    assert strict(problem, plan) <= battery.FEASIBILITY_TOLERANCE_MWH
    assert plan.restricted_blocks > 0
    lost = relaxed.objective_rs - plan.objective_rs
    assert plan.relaxation_gap_rs == pytest.approx(lost, abs=0.01)
    assert plan.relaxation_gap_rs > 0


def test_the_blocks_that_burn_most_are_barred_first_by_hand():
    """Those that burn at least half of what the worst one does, and none of a good schedule."""
    charge = np.array([[9.0, 4.0, 0.0, 1.9], [6.0, 50.0, 2.0, 3.0]])
    discharge = np.array([[4.0, 9.0, 30.0, 1.9], [0.0, 2.1, 2.0, 1.7]])
    worst = worst_burning(1.0, charge, discharge, "a day")
    assert np.argwhere(worst).tolist() == [[0, 0], [0, 1], [1, 1], [1, 2]]
    tolerance = battery.FEASIBILITY_TOLERANCE_MWH
    assert not worst_burning(tolerance, charge, discharge, "a day").any()
    with pytest.raises(InfeasibleError, match=r"2024-03-09: .* without burning energy"):
        worst_burning(1.0, charge, 0 * discharge, "2024-03-09")


def test_on_an_ordinary_day_no_choice_of_directions_earns_more():
    problem, scenarios = make_problem(make_params()), price_scenarios(3, seed=8)
    plan = plan_day(problem, scenarios)
    assert plan.objective_rs == pytest.approx(best_directions(problem, scenarios), rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_the_gap_told_bounds_what_a_better_choice_of_directions_could_earn(seed):
    problem, scenarios = make_problem(make_params()), cheap_day_ahead(24, seed)
    plan = plan_day(problem, scenarios)
    best = best_directions(problem, scenarios)
    assert plan.objective_rs <= best + 1
    assert best <= plan.objective_rs + plan.relaxation_gap_rs + 1


@pytest.mark.slow
@pytest.mark.parametrize(("params", "n_blocks"), BURNING)
def test_cbc_and_highs_agree_where_blocks_lose_a_direction(params, n_blocks):
    problem, scenarios = make_problem(params, n_blocks), cheap_day_ahead(n_blocks)
    plan = plan_day(problem, scenarios, Risk(0.3, 0.4))
    other = plan_day(replace(problem, solver="cbc"), scenarios, Risk(0.3, 0.4))
    assert other.objective_rs == pytest.approx(plan.objective_rs, rel=1e-6)
    np.testing.assert_allclose(other.dam_mw, plan.dam_mw, atol=1e-4)


def test_a_sweep_agrees_with_cold_plans_where_blocks_lose_a_direction_too():
    """What one lambda gives up is given back before the next."""
    problem, scenarios = make_problem(make_params()), cheap_day_ahead(24)
    lambdas = (0.0, 0.2, 1.0, 4.0)
    plans = sweep(problem, scenarios, lambdas, 0.4)
    for risk_aversion, plan in zip(lambdas, plans, strict=True):
        alone = plan_day(problem, scenarios, Risk(risk_aversion, 0.4))
        assert plan.restricted_blocks == alone.restricted_blocks > 0
        assert plan.objective_rs == pytest.approx(alone.objective_rs, rel=1e-7)
        assert plan.relaxation_gap_rs == pytest.approx(alone.relaxation_gap_rs, abs=0.1)
        np.testing.assert_allclose(plan.dam_mw, alone.dam_mw, atol=1e-4)
        assert strict(problem, plan) <= battery.FEASIBILITY_TOLERANCE_MWH
        np.testing.assert_allclose(settled(problem, scenarios, plan), plan.profit_rs, atol=0.01)


@pytest.mark.parametrize("seed", range(4))
def test_planned_cvar_falls_by_no_more_than_the_gaps_explain(seed):
    """Each plan is within its gap of the best for its lambda, and no plan beats that best.

    So (l2 - l1) (CVaR2 - CVaR1) >= -(gap1 + gap2); without gaps it never falls.
    """
    problem, scenarios = make_problem(make_params()), cheap_day_ahead(24, seed)
    lambdas = (0.0, 0.2, 1.0, 4.0)
    plans = sweep(problem, scenarios, lambdas, 0.4)
    for k in range(3):
        first, second = plans[k], plans[k + 1]
        gained = (lambdas[k + 1] - lambdas[k]) * (second.cvar_rs - first.cvar_rs)
        assert gained >= -(first.relaxation_gap_rs + second.relaxation_gap_rs) - 0.02
