"""Plans, sweeps and the ceiling: arithmetic by hand, recourse, and what risk aversion does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from optimizer_cases import (
    CASES,
    NARROW,
    best_directions,
    cheap_day_ahead,
    settled,
    tied,
    with_values,
)
from small_cases import CAP, UNIT, fleet, make_params, make_problem, price_scenarios

from bessvpp import battery
from bessvpp.errors import InfeasibleError
from bessvpp.optimizer import dispatch
from bessvpp.optimizer.dispatch import plan_day, sweep
from bessvpp.prices import PriceScenarios
from bessvpp.risk import Risk

# ------------------------------------------------------------------------------ risk


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


# ------------------------------------------------------------------------------ solvers


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


@pytest.mark.parametrize("solver", ["highs", "cbc"])
def test_a_programme_without_solution_says_what_to_check(solver):
    problem = make_problem(make_params(solver=solver), e_start_mwh=np.array([-5000.0]))
    with pytest.raises(InfeasibleError, match=r"Unit A starts with -5000 MWh, outside its usable"):
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


@pytest.mark.parametrize("solver", ["engine", "highs", "cbc"])
def test_a_battery_that_charges_at_half_its_power_by_hand(solver):
    # As above, but 6600 elsewhere, where a MWh sold costs (6600 + 20) / .72 + 120 = 9314: too
    # dear for any block. 5 MW in each cheap block store 8 MWh, which give 7.2 in block 10.
    dam = np.full(24, 6600.0)
    dam[[2, 3, 10, 11, 23]] = 1000.0, 2000.0, 9000.0, 8000.0, 500.0
    problem = make_problem(plain({"p_charge_max_mw": 5.0}, solver=solver), rtm_allowed=False)
    plan = plan_day(problem, PriceScenarios.single(dam, dam))
    expected = np.zeros(24)
    expected[[2, 3, 10]] = -5.0, -5.0, 7.2
    np.testing.assert_allclose(plan.dam_mw, expected, atol=1e-6)
    assert plan.mean_rs == pytest.approx(7.2 * 8880 - 5 * 1020 - 5 * 2020, abs=0.01)


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


# ------------------------------------------------------------------------------ odd prices


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


@pytest.mark.parametrize("solver", ["engine", "highs"])
@pytest.mark.parametrize("name", ["two units", "financial", "valued end"])
def test_a_sweep_from_several_energies_is_that_of_each_alone(name, solver):
    params, n_blocks, prices = CASES[name]
    problem = with_values(replace(make_problem(params, n_blocks), solver=solver))
    scenarios = price_scenarios(5, n_blocks, **prices)
    n_units, lambdas = len(params.bess.units), (0.0, 5.0, 0.4)
    starts = [problem.e_start_mwh + 7.0 * k * np.ones(n_units) for k in (0, 1, 2)]
    plans = sweep(problem, scenarios, lambdas, 0.3, starts)
    for start, aversion, plan in zip(starts, lambdas, plans, strict=True):
        changed = replace(problem, e_start_mwh=start)
        if problem.schedule_start_mwh is not None:
            changed = replace(changed, schedule_start_mwh=start)
        alone = plan_day(changed, scenarios, Risk(aversion, 0.3))
        assert plan.objective_rs == pytest.approx(alone.objective_rs, rel=1e-7)
        np.testing.assert_allclose(plan.dam_mw, alone.dam_mw, atol=1e-4)
    assert np.abs(plans[0].dam_mw - plans[2].dam_mw).max() > 1


@pytest.mark.parametrize("limit_mwh", [0.0, 30.0])
@pytest.mark.parametrize("n_blocks", [24, 96])
def test_no_scenario_leaves_more_of_the_dam_trade_unrun_than_the_limit(limit_mwh, n_blocks):
    """A DAM 3,000 above the RTM pays for selling what is bought back; the limit bounds that."""
    params = fleet(unbacked_max_mwh_per_day=limit_mwh, midnight="plan", terminal="free")
    problem = make_problem(params, n_blocks)
    scenarios = price_scenarios(4, n_blocks, seed=2)
    scenarios = replace(scenarios, rtm=np.maximum(scenarios.dam - 3000.0, 0))
    plan = plan_day(problem, scenarios, Risk(0.2, 0.4))
    sold, bought = np.maximum(plan.dam_mw, 0), np.maximum(-plan.dam_mw, 0)
    run, charged = plan.discharge_mw.sum(axis=1), plan.charge_mw.sum(axis=1)
    unrun = np.maximum(sold - run, 0) + np.maximum(bought - charged, 0)
    unrun_mwh = problem.block_hours * unrun.sum(axis=1)
    assert unrun_mwh.max() == pytest.approx(limit_mwh, abs=1e-5)
    free = plan_day(replace(problem, unbacked_max_mwh=None), scenarios, Risk(0.2, 0.4))
    assert free.objective_rs > plan.objective_rs + 10_000
