"""The programme against the accounts, the audit, other solvers, and arithmetic by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pulp
import pytest
from small_cases import (
    CAP,
    UNIT,
    day_shape,
    fleet,
    make_params,
    make_problem,
    price_scenarios,
)

from bessvpp import battery, ledger
from bessvpp.errors import InfeasibleError
from bessvpp.optimizer import bid_steps, dispatch, energy_value
from bessvpp.optimizer.dispatch import plan_day, sweep
from bessvpp.optimizer.problem import TIE_BREAK_RS_PER_MWH, EnergyValue, Problem, tie_break
from bessvpp.optimizer.statement import TwoStageProgramme
from bessvpp.optimizer.strict import relaxed_and_strict, worst_burning
from bessvpp.prices import PriceScenarios
from bessvpp.risk import RISK_NEUTRAL, Risk, cvar

NARROW = {
    "charge_windows": [{"start": "01:00", "end": "06:00"}, {"start": "10:00", "end": "15:00"}],
    "discharge_windows": [{"start": "06:00", "end": "10:00"}, {"start": "17:00", "end": "23:00"}],
    "max_cycles_per_day": 0.4,
}
CASES = {
    "one unit": (make_params(), 24, {}),
    "quarter hours": (make_params(), 96, {}),
    "two units": (fleet(), 24, {}),
    "two units, quarter hours": (fleet(), 96, {}),
    "windows and cycles": (make_params(NARROW), 96, {}),
    "start off target": (make_params({"e_start_mwh": 60.0, "e_target_mwh": 130.0}), 24, {}),
    "no trade": (make_params(), 24, {"no_trade": (0, 7, 18, 19)}),
    "weighted": (fleet(), 24, {"weighted": True}),
    "financial": (make_params(commitment="financial"), 24, {"no_trade": (7, 18)}),
    "financial, two units": (fleet(commitment="financial"), 96, {}),
    "free end": (fleet(terminal="free"), 24, {}),
    "valued end": (fleet(terminal="value"), 24, {"weighted": True}),
    "off-DAM penalty": (make_params(off_dam_penalty_rs_per_mwh=210.0), 24, {}),
}


def with_values(problem):
    if problem.terminal != "value":
        return problem
    dam = day_shape(problem.blocks_per_day)
    return replace(problem, energy_values=energy_value.energy_values(problem, dam))


@pytest.fixture(scope="module")
def solved():
    """Problem, scenarios, programme and plan of each case, solved once."""
    found = {}

    def solve(name: str):
        if name not in found:
            params, n_blocks, prices = CASES[name]
            problem = with_values(make_problem(params, n_blocks))
            scenarios = price_scenarios(5, n_blocks, **prices)
            programme = TwoStageProgramme(problem, scenarios)
            found[name] = problem, scenarios, programme, programme.solve(Risk(0.6, 0.3))
        return found[name]

    return solve


def settled(problem, scenarios, plan, **changes):
    """Profits of a plan by the accounts, (S,)."""
    flows = {
        "dam_mw": np.tile(plan.dam_mw, (len(scenarios.weights), 1)),
        "rtm_mw": plan.rtm_mw,
        "charge_mw": plan.charge_mw,
        "discharge_mw": plan.discharge_mw,
        "undelivered_mw": plan.undelivered_mw,
    }
    return ledger.settle(
        problem.bess,
        problem.costs,
        problem.block_hours,
        dam=scenarios.dam,
        rtm=scenarios.rtm,
        **(flows | changes),
    ).net_rs


def tied(problem, scenarios, plan) -> float:
    """What the published tie-break takes from the objective [Rs]."""
    n_blocks, n_units = plan.dam_mw.size, len(problem.bess.units)

    def taken(side: str, mw: np.ndarray) -> np.ndarray:
        return np.maximum(mw, 0) @ tie_break(side, n_blocks)

    rest = taken("rtm_sale", plan.rtm_mw) + taken("rtm_purchase", -plan.rtm_mw)
    for i in range(n_units):
        rest += plan.charge_mw[:, i] @ tie_break("charge", n_blocks, i)
        rest += plan.discharge_mw[:, i] @ tie_break("discharge", n_blocks, i)
    dam = taken("dam_sale", plan.dam_mw) + taken("dam_purchase", -plan.dam_mw)
    return float(problem.block_hours * (dam + scenarios.weights @ rest))


# ------------------------------------------------------------------------------ money


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
    expected -= problem.costs.off_dam_penalty_rs_per_mwh * away
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


def test_at_tail_one_cvar_is_the_mean_and_at_a_tiny_tail_the_worst_case():
    problem = make_problem(make_params())
    scenarios = price_scenarios(7, seed=4, weighted=True)
    whole = plan_day(problem, scenarios, Risk(2.0, 1.0))
    assert whole.lp_cvar_rs == pytest.approx(whole.mean_rs, abs=0.02)
    # Weighing the mean three times instead of once changes no plan.
    neutral = plan_day(problem, scenarios)
    assert whole.mean_rs == pytest.approx(neutral.mean_rs, abs=1.0)
    worst = plan_day(problem, scenarios, Risk(2.0, 0.5 * scenarios.weights.min()))
    assert worst.lp_cvar_rs == pytest.approx(worst.profit_rs.min(), abs=0.02)
    assert worst.profit_rs.min() > neutral.profit_rs.min() + 1000


@pytest.mark.parametrize("name", ["one unit", "two units", "financial"])
def test_without_risk_aversion_the_plan_is_the_one_that_earns_most_on_average(solved, name):
    problem, scenarios, _, risk_averse = solved(name)
    neutral = plan_day(problem, scenarios, Risk(0.0, 0.3))
    assert neutral.lp_cvar_rs is None
    assert neutral.objective_rs == pytest.approx(
        neutral.mean_rs - tied(problem, scenarios, neutral), abs=0.02
    )
    assert neutral.mean_rs > risk_averse.mean_rs
    assert neutral.cvar_rs < risk_averse.cvar_rs


def test_more_risk_aversion_never_lowers_the_planned_cvar_nor_raises_the_mean():
    lambdas = (0.0, 0.05, 0.2, 0.5, 1.0, 3.0, 10.0)
    spread = []
    for name in ("one unit", "weighted", "financial", "free end"):
        params, n_blocks, prices = CASES[name]
        problem = make_problem(params, n_blocks)
        scenarios = price_scenarios(8, n_blocks, seed=5, **prices)
        plans = sweep(problem, scenarios, lambdas, 0.25)
        planned = np.array([plan.cvar_rs for plan in plans])
        # The tie-break is part of what is traded against risk, so it is part of the mean here.
        mean = np.array([plan.mean_rs - tied(problem, scenarios, plan) for plan in plans])
        assert (np.diff(planned) >= -0.02).all()
        assert (np.diff(mean) <= 0.02).all()
        spread.append(planned[-1] - planned[0])
    assert min(spread) > 10_000  # lambda mattered


# ------------------------------------------------------------------------------ physics


@pytest.mark.parametrize("name", CASES)
def test_every_plan_passes_the_audit(solved, name):
    problem, scenarios, _, plan = solved(name)
    h, bess = problem.block_hours, problem.bess
    net = plan.discharge_mw - plan.charge_mw
    assert np.minimum(plan.charge_mw, plan.discharge_mw).max() < 1e-6
    for s in range(len(scenarios.weights)):
        violation = battery.schedule_violations(bess, net[s], problem.e_start_mwh, h)
        assert violation.max() < 1e-4
        for i, unit in enumerate(bess.units):
            path = battery.energy_path(unit, net[s, i], problem.e_start_mwh[i], h)
            np.testing.assert_allclose(plan.energy_mwh[s, i], path, atol=1e-4)
            if problem.terminal == "hard":
                assert path[-1] >= unit.e_target_mwh - 1e-4
    assert np.abs(net.sum(axis=1)).max() <= bess.connection_limit_mw + 1e-5
    assert np.abs(plan.dam_mw).max() <= bess.connection_limit_mw + 1e-5
    np.testing.assert_allclose(net.sum(axis=1), plan.dam_mw + plan.rtm_mw, atol=1e-5)
    assert not plan.undelivered_mw.any()
    assert not plan.rtm_mw[~np.isfinite(scenarios.rtm)].any()


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "fin" not in name])
def test_a_physical_schedule_is_deliverable_by_the_strict_path(solved, name):
    problem, _, _, plan = solved(name)
    np.testing.assert_allclose(plan.unit_dam_mw.sum(axis=0), plan.dam_mw, atol=1e-6)
    assert strict(problem, plan) <= battery.FEASIBILITY_TOLERANCE_MWH
    done = battery.follow(
        problem.bess, plan.unit_dam_mw, problem.schedule_start_mwh, problem.block_hours
    )
    assert problem.block_hours * np.abs(done.undelivered_mw).sum() <= 0.02


def strict(problem, plan) -> float:
    """Greatest violation of the DAM schedule's strict path [MWh]."""
    return battery.schedule_violations(
        problem.bess,
        plan.unit_dam_mw,
        problem.schedule_start_mwh,
        problem.block_hours,
        problem.schedule_end_mwh,
    ).max()


def test_a_limit_that_binds_is_reached_and_one_that_is_lifted_earns_more():
    """The audit above would pass on a plant that stands still."""
    scenarios = price_scenarios(4, seed=6)
    tight = make_params({"max_cycles_per_day": 0.4} | NARROW)
    plan = plan_day(make_problem(tight), scenarios)
    assert plan.discharge_mw.sum(axis=(1, 2)).max() == pytest.approx(0.4 * 200)
    assert plan.discharge_mw.max() == pytest.approx(50.0)
    assert plan.energy_mwh.max() == pytest.approx(180.0)
    quarters = plan_day(make_problem(tight, 96), price_scenarios(4, 96, seed=6))
    assert quarters.discharge_mw.sum(axis=(1, 2)).max() / 4 == pytest.approx(0.4 * 200)
    loose = plan_day(make_problem(make_params()), scenarios)
    assert loose.energy_mwh.min() == pytest.approx(20.0)
    assert loose.mean_rs > 1.2 * plan.mean_rs
    both = plan_day(make_problem(fleet()), scenarios)
    apart = plan_day(make_problem(fleet(connection_limit_mw=70.0)), scenarios)
    net = (both.discharge_mw - both.charge_mw).sum(axis=1)
    assert np.abs(net).max() == pytest.approx(60.0)
    assert apart.mean_rs > both.mean_rs + 1000


def test_a_financial_position_goes_beyond_what_the_battery_could_deliver(solved):
    problem, _, _, plan = solved("financial")
    assert plan.unit_dam_mw is None
    assert plan.dam_mw.max() == pytest.approx(problem.bess.connection_limit_mw)
    violation = battery.schedule_violations(
        problem.bess, plan.dam_mw[None], problem.e_start_mwh, problem.block_hours
    )
    assert violation.max() > 10


def cheap_day_ahead(n_blocks: int, seed: int = 0) -> PriceScenarios:
    """The RTM is dearer all day, so the programme would buy in the DAM without end."""
    rng = np.random.default_rng(seed)
    dam = 2500 + 200 * rng.normal(size=(4, n_blocks))
    return PriceScenarios(dam, dam + 3000 + 300 * rng.normal(size=dam.shape), np.full(4, 0.25))


BURNING = [
    pytest.param(make_params(), 24, id="one unit"),
    pytest.param(make_params(), 96, id="quarter hours"),
    pytest.param(fleet(), 24, id="two units"),
    pytest.param(fleet(terminal="free"), 96, id="free end"),
]


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
    worst = worst_burning(1.0, charge, discharge)
    assert np.argwhere(worst).tolist() == [[0, 0], [0, 1], [1, 1], [1, 2]]
    tolerance = battery.FEASIBILITY_TOLERANCE_MWH
    assert not worst_burning(tolerance, charge, discharge).any()
    with pytest.raises(InfeasibleError, match="without burning energy"):
        worst_burning(1.0, charge, 0 * discharge)


def best_directions(problem, scenarios) -> float:
    """Objective of the best plan over all choices of one direction a block (exact, slow)."""
    programme = TwoStageProgramme(problem, scenarios)
    lp, v = programme.lp, programme.v
    lp.setObjective(programme._objective(RISK_NEUTRAL))
    for i, unit in enumerate(problem.bess.units):
        for t in range(programme.n_blocks):
            charging = pulp.LpVariable(f"charging_{i}_{t}", cat=pulp.LpBinary)
            lp.addConstraint(v.schedule_charge[i][t] <= unit.p_max_mw * charging)
            lp.addConstraint(v.schedule_discharge[i][t] <= unit.p_max_mw * (1 - charging))
    assert lp.solve(pulp.HiGHS(msg=False, threads=1, gapRel=1e-6)) == pulp.LpStatusOptimal
    return pulp.value(lp.objective)


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


# ------------------------------------------------------------------------------ solvers


@pytest.mark.parametrize("name", CASES)
def test_cbc_and_highs_agree_on_the_objective_and_on_the_plan(solved, name):
    problem, scenarios, _, plan = solved(name)
    other = plan_day(replace(problem, solver="cbc"), scenarios, Risk(0.6, 0.3))
    assert other.objective_rs == pytest.approx(plan.objective_rs, rel=1e-6)
    np.testing.assert_allclose(other.dam_mw, plan.dam_mw, atol=1e-4)
    np.testing.assert_allclose(other.rtm_mw, plan.rtm_mw, atol=1e-3)


@pytest.mark.parametrize(("params", "n_blocks"), BURNING)
def test_cbc_and_highs_agree_where_blocks_lose_a_direction(params, n_blocks):
    problem, scenarios = make_problem(params, n_blocks), cheap_day_ahead(n_blocks)
    plan = plan_day(problem, scenarios, Risk(0.3, 0.4))
    other = plan_day(replace(problem, solver="cbc"), scenarios, Risk(0.3, 0.4))
    assert other.objective_rs == pytest.approx(plan.objective_rs, rel=1e-6)
    np.testing.assert_allclose(other.dam_mw, plan.dam_mw, atol=1e-4)


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


@pytest.mark.parametrize("name", ["one unit", "two units", "weighted", "financial", "valued end"])
@pytest.mark.parametrize("solver", ["highs", "cbc"])
def test_a_sweep_agrees_with_each_lambda_solved_from_cold(solver, name):
    params, n_blocks, prices = CASES[name]
    problem = with_values(replace(make_problem(params, n_blocks), solver=solver))
    scenarios = price_scenarios(5, n_blocks, **prices)
    lambdas = (0.0, 0.4, 0.1, 5.0, 0.0)  # not in order, and back to the first
    plans = sweep(problem, scenarios, lambdas, 0.3)
    for risk_aversion, plan in zip(lambdas, plans, strict=True):
        alone = plan_day(problem, scenarios, Risk(risk_aversion, 0.3))
        assert plan.restricted_blocks == alone.restricted_blocks == 0
        assert plan.objective_rs == pytest.approx(alone.objective_rs, rel=1e-7)
        np.testing.assert_allclose(plan.dam_mw, alone.dam_mw, atol=1e-4)
        np.testing.assert_allclose(
            settled(problem, scenarios, plan), settled(problem, scenarios, alone), atol=1.0
        )


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


@pytest.mark.parametrize("solver", ["highs", "cbc"])
def test_a_programme_without_solution_says_what_to_check(solver):
    problem = make_problem(make_params(solver=solver), e_start_mwh=np.array([-5000.0]))
    with pytest.raises(InfeasibleError, match=r"ended with status .*target energy"):
        plan_day(problem, price_scenarios(2))


# ------------------------------------------------------------------------------ by hand


def plain(unit: dict | None = None, **changes):
    """A battery of 20 MWh and 10 MW, .8 in and .9 out, wear 100; fees 20 and 50 alone."""
    small = {
        "p_max_mw": 10.0,
        "e_nameplate_mwh": 20.0,
        "e_min_mwh": 0.0,
        "e_max_mwh": 20.0,
        "e_start_mwh": 0.0,
        "e_target_mwh": 0.0,
        "eta_charge": 0.8,
        "eta_discharge": 0.9,
        "wear_rs_per_mwh_discharged": 100.0,
    }
    costs = {
        "fee_dam_rs_per_mwh": 20.0,
        "fee_rtm_rs_per_mwh": 50.0,
        "fee_flow_rs_per_mwh": 0.0,
        "scheduling_rs_per_day": 0.0,
        "scheduling_rs_per_mwh": 0.0,
        "dsm_share_of_flow": 0.0,
        "connection_limit_mw": 10.0,
    }
    return make_params(small | (unit or {}), **(costs | changes))


@pytest.mark.parametrize("solver", ["highs", "cbc"])
def test_five_blocks_solved_by_hand(solver):
    # Prices are 6000, but 1000 in block 2, 2000 in 3, 9000 in 10, 8000 in 11, 500 in 23.
    #
    # Charging 10 MW for an hour stores 8 MWh; both cheap blocks store 16 of 20 MWh, which
    # give 16 * .9 = 14.4 MWh at the grid: 10 in block 10 and 4.4 in block 11.
    # More at 6000 would cost (6000 + 20) / .72 + 100 + 20 = 8481 a MWh sold: not for 8000.
    # Block 23 is the cheapest, and too late.
    #
    # Paid:     10 * 1020 + 10 * 2020                        =  30,400
    # Received: 10 * (9000 - 20 - 100) + 4.4 * (8000 - 120)  = 123,472
    dam = np.full(24, 6000.0)
    dam[[2, 3, 10, 11, 23]] = 1000.0, 2000.0, 9000.0, 8000.0, 500.0
    problem = make_problem(plain(solver=solver), rtm_allowed=False)
    plan = plan_day(problem, PriceScenarios.single(dam, dam))
    expected = np.zeros(24)
    expected[[2, 3, 10, 11]] = -10.0, -10.0, 10.0, 4.4
    np.testing.assert_allclose(plan.dam_mw, expected, atol=1e-6)
    assert plan.mean_rs == pytest.approx(123_472 - 30_400, abs=0.01)
    np.testing.assert_allclose(plan.energy_mwh[0, 0, [2, 3, 10, 11]], [8, 16, 16 - 10 / 0.9, 0])


def test_the_same_five_blocks_with_a_dearer_real_time_market_by_hand():
    # As above, committed as found. The RTM trades in blocks 10, 11 and 12 alone, at 9000, 8000
    # and 9500: block 12 takes 10 MW.
    #
    # The 4.4 MWh of block 11 are bought back at 8000 + 50 and sold in block 12 at 9500 - 50,
    # 1400 better. 5.6 of block 10's are bought back at 9000 + 50, 400 better.
    dam = np.full(24, 6000.0)
    dam[[2, 3, 10, 11, 23]] = 1000.0, 2000.0, 9000.0, 8000.0, 500.0
    rtm = np.full(24, np.nan)
    rtm[[10, 11, 12]] = 9000.0, 8000.0, 9500.0
    committed = np.zeros(24)
    committed[[2, 3, 10, 11]] = -10.0, -10.0, 10.0, 4.4
    problem = make_problem(plain(), fixed_dam_mw=committed)
    plan = plan_day(problem, PriceScenarios.single(dam, rtm))
    expected = np.zeros(24)
    expected[[10, 11, 12]] = -5.6, -4.4, 10.0
    np.testing.assert_allclose(plan.rtm_mw[0], expected, atol=1e-6)
    assert plan.mean_rs == pytest.approx(93_072 + 4.4 * 1400 + 5.6 * 400, abs=0.01)
    assert not plan.undelivered_mw.any()


@pytest.mark.parametrize(("risk_aversion", "bought"), [(0.0, 10.0), (0.40, 10.0), (0.41, 0.0)])
def test_the_lambda_at_which_a_risk_stops_paying_by_hand(risk_aversion, bought):
    # Financial, one block that matters: DAM 5000; RTM 4000 or 7000, equally likely.
    # A MWh bought and sold on earns 4000 - 5000 - 70 = -1070 or 7000 - 5000 - 70 = 1930:
    # 430 on average, -1070 in the worse half. 430 - 1070 lambda turns negative at .4019.
    # (Sold and bought back it loses 570 on average.) Elsewhere both markets are at 5000.
    dam = np.full((2, 24), 5000.0)
    rtm = dam.copy()
    rtm[:, 14] = 4000.0, 7000.0
    scenarios = PriceScenarios(dam, rtm, np.array([0.5, 0.5]))
    problem = make_problem(plain(commitment="financial", terminal="hard"))
    plan = plan_day(problem, scenarios, Risk(risk_aversion, 0.5))
    expected = np.zeros(24)
    expected[14] = -bought
    np.testing.assert_allclose(plan.dam_mw, expected, atol=1e-6)
    assert plan.mean_rs == pytest.approx(43.0 * bought * 10, abs=0.01)
    assert plan.cvar_rs == pytest.approx(-107.0 * bought * 10, abs=0.01)


# ------------------------------------------------------------------------------ recourse


def test_a_block_without_rtm_trade_carries_none_and_its_dam_trade_is_delivered():
    params = make_params()
    scenarios = price_scenarios(4, seed=9, no_trade=(3, 12, 19))
    plan = plan_day(make_problem(params), scenarios)
    assert not plan.rtm_mw[:, [3, 12, 19]].any()
    net = (plan.discharge_mw - plan.charge_mw).sum(axis=1)
    for t in (3, 12, 19):
        np.testing.assert_allclose(net[:, t], plan.dam_mw[t], atol=1e-6)
    assert np.abs(plan.dam_mw[[3, 12, 19]]).max() > 1  # those blocks are used
    assert not plan.undelivered_mw.any()


def test_without_the_rtm_every_scenario_follows_the_schedule():
    problem = make_problem(make_params(), rtm_allowed=False)
    plan = plan_day(problem, price_scenarios(4))
    assert not plan.rtm_mw.any()
    net = (plan.discharge_mw - plan.charge_mw).sum(axis=1)
    np.testing.assert_allclose(net, np.tile(plan.dam_mw, (4, 1)), atol=1e-6)


def test_what_cannot_be_delivered_is_the_least_possible_and_priced_by_hand():
    # 100 MWh stored, 20 the least: 80 * .92 = 73.6 MWh for a sale of 3 * 50 = 150 MWh.
    # 76.4 MWh are missing. Nothing can be bought: no RTM trade in this day at all.
    params = make_params(terminal="free", dsm_share_of_flow=0.0)
    dam = np.full(24, 4000.0)
    dam[6], dam[7] = 6000.0, 9000.0
    fixed = np.zeros(24)
    fixed[[5, 6, 7]] = 50.0
    problem = make_problem(params, fixed_dam_mw=fixed)
    plan = plan_day(problem, PriceScenarios.single(dam, np.full(24, np.nan)))
    # A missing MWh costs the DAM price of its block, so block 5 goes short first.
    assert plan.undelivered_mw[0, [5, 6, 7]] == pytest.approx([50.0, 26.4, 0.0], abs=1e-5)
    assert np.abs(plan.undelivered_mw).sum() == pytest.approx(76.4, abs=1e-4)
    revenue = 50 * (4000 + 6000 + 9000) - 150 * 20
    costs = 2000 + 73.6 * (7 + 1.8 + 310) + 50 * 4033 + 26.4 * 6033
    assert plan.mean_rs == pytest.approx(revenue - costs, abs=0.1)
    np.testing.assert_allclose(
        settled(problem, PriceScenarios.single(dam, np.full(24, np.nan)), plan), plan.profit_rs
    )


def test_what_cannot_be_taken_is_undelivered_with_the_other_sign_and_priced():
    # 80 MWh of room take 80 / .96 = 83.333 MWh of a purchase of 100: 16.667 too many. Nothing
    # can make room before: discharging is allowed in the evening alone.
    evening = {"discharge_windows": [{"start": "18:00", "end": "24:00"}]}
    params = make_params(evening, terminal="free", dsm_share_of_flow=0.0)
    dam, rtm = np.full(24, 4000.0), np.full(24, 7000.0)
    fixed = np.zeros(24)
    fixed[[5, 6]] = -50.0
    problem = make_problem(params, fixed_dam_mw=fixed, rtm_allowed=False)
    plan = plan_day(problem, PriceScenarios.single(dam, rtm))
    assert plan.undelivered_mw.sum() == pytest.approx(-100 + 80 / 0.96, abs=1e-4)
    flow = 80 / 0.96
    costs = 2000 + 100 * 20 + flow * 8.8 + (100 - flow) * 7033  # the dearer market, and the fee
    assert plan.mean_rs == pytest.approx(-100 * 4000 - costs, abs=0.1)


@pytest.mark.parametrize("solver", ["highs", "cbc"])
def test_a_full_battery_does_not_burn_energy_to_take_a_purchase(solver):
    """Charging and discharging at once would take 3 MW; it takes none, and says so."""
    params = make_params({"e_start_mwh": 180.0}, terminal="free", solver=solver)
    fixed = np.zeros(24)
    fixed[0] = -50.0
    problem = make_problem(params, fixed_dam_mw=fixed, rtm_allowed=False)
    prices = PriceScenarios.single(np.full(24, 4000.0), np.full(24, 7000.0))
    plan = plan_day(problem, prices)
    assert np.minimum(plan.charge_mw, plan.discharge_mw).max() < 1e-5
    assert plan.undelivered_mw[0, 0] == pytest.approx(-50.0)
    assert plan.restricted_blocks > 0
    np.testing.assert_allclose(settled(problem, prices, plan), plan.profit_rs, atol=0.01)


def test_a_recourse_never_fails_to_deliver_where_it_could_buy():
    """Even where the deviation rate is below the price of buying it back."""
    cheap = {"rule": "highest", "ancillary_rs_per_mwh": 0.0, "max_rs_per_mwh": 100.0}
    params = make_params(dsm_rate=cheap)
    fixed = np.full(24, 30.0)
    problem = make_problem(params, fixed_dam_mw=fixed)
    plan = plan_day(problem, price_scenarios(3))
    assert not plan.undelivered_mw.any()
    np.testing.assert_allclose(plan.dam_mw, fixed, atol=1e-9)


def test_knowing_the_prices_is_worth_something_and_ignoring_their_spread_costs():
    """Wait-and-see >= the two-stage plan >= the plan of the mean prices, all with recourse."""
    for params, weighted in (
        (make_params(), True),
        (make_params(commitment="financial"), False),
        (make_params(terminal="free"), True),
        (fleet(commitment="financial", terminal="free"), False),
    ):
        problem = make_problem(params)
        scenarios = price_scenarios(6, seed=11, weighted=weighted)
        weights = scenarios.weights
        plan = plan_day(problem, scenarios)
        days = [
            plan_day(problem, PriceScenarios.single(*path))
            for path in zip(scenarios.dam, scenarios.rtm, strict=True)
        ]
        known = [day.mean_rs + day.relaxation_gap_rs for day in days]
        centre = PriceScenarios.single(weights @ scenarios.dam, weights @ scenarios.rtm)
        naive = plan_day(problem, centre)
        follow_up = plan_day(replace(problem, fixed_dam_mw=naive.dam_mw), scenarios)
        assert weights @ known > plan.mean_rs + 1000
        # A financial position earns the same at the mean prices: it has no recourse to spoil.
        settings = params.backtest.commitment, params.backtest.terminal
        worth = 500 if settings == ("physical", "hard") else -1
        assert plan.mean_rs + plan.relaxation_gap_rs > follow_up.mean_rs + worth
        assert plan.relaxation_gap_rs < 0.002 * plan.mean_rs
        # Its own recourse, solved again, earns what the plan said.
        again = plan_day(replace(problem, fixed_dam_mw=plan.dam_mw), scenarios)
        assert again.mean_rs == pytest.approx(plan.mean_rs, abs=1.0)


def test_the_ceiling_lies_above_every_choice_of_directions():
    """On a day on which the programme would burn energy, a plan that may not falls short."""
    day = cheap_day_ahead(24)
    scenarios = PriceScenarios.single(day.dam[0], day.rtm[0])
    problem = make_problem(make_params())
    bound, plan = dispatch.ceiling(problem, scenarios), plan_day(problem, scenarios)
    best = best_directions(problem, scenarios)
    assert plan.objective_rs <= best + 1
    assert best < bound.objective_rs - 1000
    assert bound.relaxation_gap_rs == pytest.approx(bound.objective_rs - plan.objective_rs)
    np.testing.assert_allclose(settled(problem, scenarios, bound), bound.profit_rs, atol=0.01)


def test_the_ceiling_of_two_days_is_at_least_the_two_days_one_by_one():
    params = make_params(terminal="hard")
    problem = make_problem(params)
    days = [price_scenarios(1, seed=seed) for seed in (1, 2)]
    both = PriceScenarios(
        np.hstack([d.dam for d in days]), np.hstack([d.rtm for d in days]), np.ones(1)
    )
    apart = sum(plan_day(problem, day).mean_rs for day in days)
    bound = dispatch.ceiling(problem, both)
    assert bound.mean_rs >= apart - 1
    # Energy is carried over midnight where that pays, so the bound is strictly above.
    assert bound.energy_mwh[0, 0, 23] > params.bess.units[0].e_target_mwh + 1
    assert bound.mean_rs > apart + 1000
    # Each day pays its daily charge.
    np.testing.assert_allclose(
        settled(problem, both, bound), bound.profit_rs + params.market.scheduling_rs_per_day
    )


def test_limits_of_a_day_hold_on_each_day_of_a_longer_window():
    params = make_params(NARROW)
    problem = make_problem(params)
    days = [price_scenarios(1, seed=seed) for seed in (1, 2)]
    both = PriceScenarios(
        np.hstack([d.dam for d in days]), np.hstack([d.rtm for d in days]), np.ones(1)
    )
    plan = plan_day(problem, both)
    for net in (plan.discharge_mw - plan.charge_mw)[0], plan.unit_dam_mw:
        start = problem.e_start_mwh
        for day in (net[:, :24], net[:, 24:]):
            path = battery.energy_path(params.bess.units[0], day[0], start[0], 1.0)
            assert battery.schedule_violations(params.bess, day, start, 1.0).max() < 0.01
            start = path[-1:]
    # The schedule starts each day anew from the target.
    for day in (plan.unit_dam_mw[:, :24], plan.unit_dam_mw[:, 24:]):
        end = battery.energy_path(params.bess.units[0], day[0], 100.0, 1.0)[-1]
        assert end == pytest.approx(100.0, abs=0.01)


# ------------------------------------------------------------------------------ energy value


@pytest.mark.parametrize("params", [make_params(), fleet()], ids=["one", "two"])
def test_the_value_of_energy_is_concave_rising_and_a_days_worth_at_its_points(params):
    problem = make_problem(params, 24, terminal="value")
    dam = day_shape(24)
    values = energy_value.energy_values(problem, dam, n_points=7)
    assert len(values) == len(params.bess.units)
    for unit, value in zip(params.bess.units, values, strict=True):
        assert (np.diff(value.slope_rs_per_mwh) <= 0).all()
        assert (value.slope_rs_per_mwh > 0).all()
        energies = np.linspace(unit.e_min_mwh, unit.e_max_mwh, 7)
        alone = params.bess.model_copy(update={"units": (unit,)})
        for energy in energies:
            # A day of this unit alone in the DAM, from that energy to its target.
            day = Problem(
                alone,
                params.market,
                1.0,
                np.array([energy]),
                commitment="physical",
                schedule_start_mwh=np.array([energy]),
                rtm_allowed=False,
            )
            worth = plan_day(day, PriceScenarios.single(dam, dam)).mean_rs
            assert value(energy) == pytest.approx(worth, abs=1.0)
        middle = (energies[1:] + energies[:-1]) / 2
        assert (value(middle) >= (value(energies[1:]) + value(energies[:-1])) / 2 - 1e-6).all()


def test_an_energy_value_is_the_least_of_its_lines():
    value = EnergyValue(np.array([10.0, 2.0]), np.array([0.0, 40.0]))
    assert value(np.array([1.0, 5.0, 10.0])).tolist() == [10.0, 50.0, 60.0]
    assert float(value(3.0)) == 30.0


def test_a_battery_too_slow_to_reach_its_target_from_empty_still_has_a_value():
    # 3 MW at .96 bring at most 69 MWh in a day: the target of 100 is out of reach from 20.
    params = make_params({"p_max_mw": 3.0}, terminal="value")
    (value,) = energy_value.energy_values(make_problem(params), day_shape(24))
    assert (np.diff(value.slope_rs_per_mwh) <= 0).all()
    # So it is behind a connection that lets no more through.
    params = make_params(connection_limit_mw=3.0, terminal="value")
    (behind,) = energy_value.energy_values(make_problem(params), day_shape(24))
    np.testing.assert_allclose(behind(np.linspace(40, 170, 9)), value(np.linspace(40, 170, 9)))


def test_valued_energy_is_kept_where_it_is_worth_more_than_the_price():
    """V decides what is kept, is counted once, and is not in any profit."""
    params = make_params(terminal="value")
    flat = np.full(24, 5000.0)
    scenarios = PriceScenarios.single(flat, flat)
    ends = []
    for slope in (0.0, 4000.0, 5400.0, 6000.0):
        line = EnergyValue(np.array([slope]), np.array([123.0]))
        plan = plan_day(make_problem(params, energy_values=(line,)), scenarios)
        ends.append(plan.e_end_mwh[0])
        np.testing.assert_allclose(
            settled(make_problem(params), scenarios, plan), plan.profit_rs, atol=0.01
        )
        tie = tied(make_problem(params), scenarios, plan)
        value = slope * plan.e_end_mwh[0] + 123
        assert plan.objective_rs == pytest.approx(plan.mean_rs + value - tie, abs=0.02)
    # Sold, a MWh stored earns .92 * (5000 - 20 - 310 - 8.8 - 100) = 4192;
    # bought, it costs (5000 + 20 + 8.8 + 100) / .96 = 5342.
    assert ends == pytest.approx([20.0, 20.0, 180.0, 180.0])
    line = EnergyValue(np.array([5000.0]), np.array([0.0]))
    kept = plan_day(make_problem(params, energy_values=(line,)), scenarios)
    assert kept.e_end_mwh[0] == pytest.approx(100.0)


def test_the_energy_planned_for_the_end_is_the_probable_one():
    """A plan's end energy weighs its scenarios by their probability."""
    params = make_params(terminal="free")
    scenarios = price_scenarios(3, seed=1)
    scenarios = replace(scenarios, weights=np.array([0.8, 0.1, 0.1]))
    line = EnergyValue(np.array([4600.0]), np.array([0.0]))
    problem = make_problem(params, terminal="value", energy_values=(line,))
    plan = plan_day(problem, scenarios)
    ends = plan.energy_mwh[:, 0, -1]
    assert np.ptp(ends) > 1
    assert plan.e_end_mwh[0] == pytest.approx(scenarios.weights @ ends)


# ------------------------------------------------------------------------------ bid steps


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


def test_prices_at_the_cap_and_at_zero_are_ordinary_prices():
    dam = np.full(24, CAP)
    dam[:12] = 0.0
    params = make_params()
    plan = plan_day(make_problem(params), PriceScenarios.single(dam, dam))
    assert np.minimum(plan.charge_mw, plan.discharge_mw).max() < 1e-6
    assert plan.dam_mw[:12].max() <= 0
    assert plan.mean_rs == pytest.approx(
        float(settled(make_problem(params), PriceScenarios.single(dam, dam), plan)[0])
    )


def test_units_of_a_fleet_share_the_work_by_their_own_costs():
    """Alike but for the wear: the one that wears less works first."""
    units = [UNIT | {"name": "A", "wear_rs_per_mwh_discharged": 900.0}, UNIT | {"name": "B"}]
    params = make_params(units=units, connection_limit_mw=50.0)
    plan = plan_day(make_problem(params), price_scenarios(1, seed=2))
    done = plan.discharge_mw[0].sum(axis=1)
    assert done[1] > done[0] + 50
