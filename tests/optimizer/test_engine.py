"""The programme in arrays is the programme that is written to be read."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from unittest import mock

import highspy
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_cases import UNIT, day_shape, make_params, make_problem, price_scenarios

from bessvpp import battery
from bessvpp.errors import InfeasibleError
from bessvpp.optimizer import dispatch, energy_value, engine, structure
from bessvpp.optimizer.engine import ArrayProgramme
from bessvpp.optimizer.highs import Model
from bessvpp.optimizer.statement import TwoStageProgramme
from bessvpp.prices import PriceScenarios
from bessvpp.risk import RISK_NEUTRAL, Risk

NIGHT_AND_NOON = [{"start": "00:00", "end": "07:00"}, {"start": "10:00", "end": "16:00"}]
OUTAGES = [
    {"start": "2024-03-05 18:10", "end": "2024-03-05 19:30"},
    {"start": "2024-03-04", "end": "2024-03-05 03:00", "power_share": 0.25},
]
MORNING_AND_EVENING = [{"start": "06:00", "end": "11:00"}, {"start": "16:00", "end": "24:00"}]


def taper_of(power: float, full: float, end: float, taper: float) -> list[dict]:
    """Full power up to an energy, less by a share towards the window's end, twice as steeply."""
    if not taper:
        return []
    points = [
        (full, power),
        ((full + end) / 2, power * (1 - taper / 3)),
        (end, power * (1 - taper)),
    ]
    return [{"e_mwh": e, "p_mw": p} for e, p in sorted(points)]


@st.composite
def units(draw, name: str) -> dict:
    """A battery unlike any other; its target can be reached from its start."""
    power = draw(st.sampled_from([7.0, 20.0, 50.0]))
    energy = power * draw(st.sampled_from([1.0, 2.5, 4.0]))
    start, target = (round(draw(st.floats(0.1, 0.9)) * energy, 1) for _ in range(2))
    windows = draw(st.booleans())
    taper = draw(st.sampled_from([0.0, 0.0, 0.3, 0.9]))
    return UNIT | {
        "name": name,
        "charge_taper": taper_of(power, 0.7 * energy, 0.9 * energy, taper),
        "discharge_taper": taper_of(power, 0.25 * energy, 0.1 * energy, taper),
        "p_max_mw": power,
        "e_nameplate_mwh": energy,
        "e_min_mwh": 0.1 * energy,
        "e_max_mwh": 0.9 * energy,
        "eta_charge": draw(st.sampled_from([0.85, 0.93, 0.97])),
        "eta_discharge": draw(st.sampled_from([0.88, 0.95, 1.0])),
        "wear_rs_per_mwh_discharged": draw(st.sampled_from([0.0, 90.0, 650.0])),
        "e_start_mwh": np.clip(start, 0.1 * energy, 0.9 * energy),
        "e_target_mwh": np.clip(target, 0.1 * energy, 0.9 * energy),
        "max_cycles_per_day": draw(st.sampled_from([None, 1.1, 2.0])),
        "p_charge_max_mw": draw(st.sampled_from([None, None, 0.15 * energy, 0.6 * energy])),
        "self_discharge_per_hour": draw(st.sampled_from([0.0, 0.0, 0.01])),
        "aux_mw": draw(st.sampled_from([0.0, 0.3])),
        "outages": draw(st.sampled_from([[], [], OUTAGES])),
        "charge_windows": NIGHT_AND_NOON if windows else [],
        "discharge_windows": MORNING_AND_EVENING if windows else [],
    }


@st.composite
def programmes(draw) -> tuple:
    """A problem of 24 or 96 blocks, few scenarios, and how risk is weighed."""
    n_blocks = draw(st.sampled_from([24, 24, 96]))
    n_scenarios = draw(st.integers(1, 5 if n_blocks == 24 else 3))
    fleet = [draw(units(name)) for name in ("A", "B", "C")[: draw(st.integers(1, 3))]]
    power = sum(unit["p_max_mw"] for unit in fleet)
    terminal = draw(st.sampled_from(["hard", "free", "value"]))
    params = make_params(
        units=fleet,
        connection_limit_mw=power * draw(st.sampled_from([0.7, 1.0, 1.5])),
        commitment=draw(st.sampled_from(["physical", "physical", "financial"])),
        terminal=terminal,
        off_dam_penalty_rs_per_mwh=draw(st.sampled_from([0.0, 10.0])),
        hurdle_dam_rs_per_mwh=draw(st.sampled_from([0.0, 120.0])),
        hurdle_rtm_rs_per_mwh=draw(st.sampled_from([0.0, 60.0])),
        scheduling_rs_per_day=draw(st.sampled_from([0.0, 2000.0])),
        aux_rs_per_mwh=draw(st.sampled_from([None, 6000.0])),
        unbacked_max_mwh_per_day=draw(st.sampled_from([None, None, 0.0, 12.0])),
    )
    prices = price_scenarios(
        n_scenarios,
        n_blocks,
        seed=draw(st.integers(0, 999)),
        no_trade=draw(st.sampled_from([(), (0, 7, 18)])),
        weighted=draw(st.booleans()),
    )
    problem = make_problem(params, n_blocks, rtm_allowed=draw(st.sampled_from([True, True, False])))
    if terminal == "value":
        values = energy_value.energy_values(problem, day_shape(n_blocks), n_points=4)
        problem = replace(problem, energy_values=values)
    if draw(st.booleans()):
        level = params.bess.connection_limit_mw
        turn = 2 * np.pi * np.arange(n_blocks) / n_blocks
        fixed = level * draw(st.sampled_from([0.3, 0.9])) * np.sin(2 * turn)
        problem = replace(problem, fixed_dam_mw=draw(st.sampled_from([fixed, -fixed])))
    elif draw(st.booleans()):
        problem = replace(problem, schedule_start_mwh=None)
    aversion, alpha = st.sampled_from([0.0, 0.1, 0.7, 3.0]), st.sampled_from([0.2, 0.5, 1.0])
    return problem, prices, Risk(draw(aversion), draw(alpha))


def assert_same_plan(plan, other) -> None:
    """Figures to 1e-6 relative; flows to what the solvers' tolerances leave open."""
    size = max(abs(other.objective_rs), 1e4)
    for name in ("objective_rs", "mean_rs", "cvar_rs", "relaxation_gap_rs"):
        assert getattr(plan, name) == pytest.approx(getattr(other, name), abs=1e-6 * size), name
    assert plan.restricted_blocks == other.restricted_blocks
    if other.lp_cvar_rs is None:
        assert plan.lp_cvar_rs is None
    else:
        assert plan.lp_cvar_rs == pytest.approx(other.lp_cvar_rs, abs=1e-6 * size)
    np.testing.assert_allclose(plan.profit_rs, other.profit_rs, rtol=0, atol=1e-6 * size)
    for name in ("dam_mw", "rtm_mw", "charge_mw", "discharge_mw", "undelivered_mw", "energy_mwh"):
        mine, theirs = getattr(plan, name), getattr(other, name)
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-4, err_msg=name)
    if other.unit_dam_mw is None:
        assert plan.unit_dam_mw is None
    else:
        np.testing.assert_allclose(plan.unit_dam_mw, other.unit_dam_mw, rtol=0, atol=1e-4)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(programmes())
def test_a_random_programme_has_the_plan_of_the_readable_statement(drawn):
    problem, prices, risk = drawn
    try:
        other = TwoStageProgramme(problem, prices).solve(risk)
    except InfeasibleError:
        with pytest.raises(InfeasibleError):
            ArrayProgramme(problem, prices).solve(risk)
        return
    assert_same_plan(ArrayProgramme(problem, prices).solve(risk), other)
    with mock.patch.object(engine, "PART", 2):  # begin with parts, as many scenarios do
        assert_same_plan(ArrayProgramme(problem, prices).solve(risk), other)


def test_two_units_that_could_take_turns_take_them_alike_in_both_statements():
    """In a scenario of weight 0.009 the order of two charges is worth a hundredth of a paisa."""
    losing = {"wear_rs_per_mwh_discharged": 650.0, "self_discharge_per_hour": 0.01}
    sizes = ("A", 50.0, 200.0, 62.3, 56.6, 0.97, 0.88), ("B", 20.0, 80.0, 35.2, 41.8, 0.85, 1.0)
    fleet = [
        UNIT
        | losing
        | {
            "name": name,
            "p_max_mw": power,
            "e_nameplate_mwh": energy,
            "e_min_mwh": 0.1 * energy,
            "e_max_mwh": 0.9 * energy,
            "e_start_mwh": start,
            "e_target_mwh": target,
            "eta_charge": eta_charge,
            "eta_discharge": eta_discharge,
            "charge_taper": taper_of(power, 0.7 * energy, 0.9 * energy, taper),
            "discharge_taper": taper_of(power, 0.25 * energy, 0.1 * energy, taper),
        }
        for (name, power, energy, start, target, eta_charge, eta_discharge), taper in zip(
            sizes, (0.3, 0.9), strict=True
        )
    ]
    params = make_params(units=fleet, connection_limit_mw=49.0, hurdle_rtm_rs_per_mwh=60.0)
    problem, prices = make_problem(params, 96), price_scenarios(3, 96, seed=270, weighted=True)
    other = TwoStageProgramme(problem, prices).solve(Risk(0.1, 0.2))
    assert_same_plan(ArrayProgramme(problem, prices).solve(Risk(0.1, 0.2)), other)


def two_days() -> PriceScenarios:
    days = [price_scenarios(1, seed=seed) for seed in (3, 4)]
    return PriceScenarios(
        np.hstack([day.dam for day in days]), np.hstack([day.rtm for day in days]), np.ones(1)
    )


@pytest.mark.parametrize("start", [None, np.array([100.0]), np.array([[100.0], [140.0]])])
def test_a_window_of_days_has_the_plan_of_the_readable_statement(start):
    problem = make_problem(make_params({"max_cycles_per_day": 1.2}))
    problem = replace(problem, schedule_start_mwh=start, schedule_end_mwh=None)
    other = TwoStageProgramme(problem, two_days()).solve()
    assert_same_plan(ArrayProgramme(problem, two_days()).solve(), other)


def test_a_ceiling_has_the_figures_of_the_readable_statement():
    problem = make_problem(make_params())
    mine, theirs = (
        dispatch.ceiling(replace(problem, solver=solver), two_days())
        for solver in ("engine", "highs")
    )
    assert mine.objective_rs == pytest.approx(theirs.objective_rs, rel=1e-9)


@pytest.mark.parametrize("commitment", ["physical", "financial"])
def test_a_sweep_has_the_plans_of_the_readable_statement_in_any_order(commitment):
    problem = make_problem(make_params(commitment=commitment), 96)
    prices = price_scenarios(6, 96, seed=21)
    lambdas = (1.0, 0.0, 5.0, 0.2)
    mine = dispatch.sweep(problem, prices, lambdas, 0.3)
    theirs = dispatch.sweep(replace(problem, solver="highs"), prices, lambdas, 0.3)
    for plan, other in zip(mine, theirs, strict=True):
        assert_same_plan(plan, other)
    assert mine[1].mean_rs > mine[2].mean_rs + 1000


def test_one_programme_solved_for_falling_risk_aversions_has_the_plans_of_each_alone():
    problem, prices = make_problem(make_params()), price_scenarios(5, seed=21)
    kept = ArrayProgramme(problem, prices)
    for risk in (Risk(3.0, 0.3), Risk(0.2, 0.5), RISK_NEUTRAL):
        assert_same_plan(kept.solve(risk), TwoStageProgramme(problem, prices).solve(risk))


def test_the_same_model_is_solved_whatever_was_solved_before():
    """Structures are kept between days; nothing of a day may stay in them."""
    problem = make_problem(make_params(terminal="hard"))
    prices = [price_scenarios(4, seed=seed, no_trade=(5 * seed,)) for seed in (1, 2)]
    alone = ArrayProgramme(problem, prices[1]).solve(Risk(0.4, 0.5))
    ArrayProgramme(replace(problem, e_start_mwh=np.array([60.0])), prices[0]).solve(Risk(0.4, 0.5))
    again = ArrayProgramme(problem, prices[1]).solve(Risk(0.4, 0.5))
    for name in ("dam_mw", "rtm_mw", "profit_rs", "energy_mwh"):
        np.testing.assert_array_equal(getattr(again, name), getattr(alone, name))
    low = structure.structure(ArrayProgramme(problem, prices[0]).priced.shape).column_low.copy()
    ArrayProgramme(problem, prices[1]).solve(Risk(0.4, 0.5))
    np.testing.assert_array_equal(
        structure.structure(ArrayProgramme(problem, prices[0]).priced.shape).column_low, low
    )


def solved_again(path: Path) -> str:
    """Status of a saved model, solved by itself."""
    model = highspy.Highs()
    model.silent()
    assert model.readModel(str(path)) == highspy.HighsStatus.kOk
    model.run()
    return model.modelStatusToString(model.getModelStatus())


@pytest.mark.parametrize("solver", ["engine", "highs", "cbc"])
def test_a_solve_without_an_optimum_names_day_lambda_status_and_keeps_the_model(solver):
    problem = make_problem(make_params(solver=solver), e_start_mwh=np.array([-5000.0]))
    problem = replace(problem, name="2024-03-09")
    with pytest.raises(InfeasibleError) as told:
        dispatch.plan_day(problem, price_scenarios(2), Risk(0.3, 0.5))
    message = str(told.value)
    assert "2024-03-09, lambda 0.3: " in message
    assert re.search(r"status '[Ii]nfeasible'", message)
    assert "Unit A starts with -5000 MWh, outside its usable window of 20 to 180 MWh." in message
    path = Path(re.search(r"The model is in (\S+\.mps)\.", message).group(1))
    assert solved_again(path) == "Infeasible"
    path.unlink()
    path.parent.rmdir()


@pytest.mark.parametrize("solver", ["engine", "highs"])
def test_a_solve_that_does_not_finish_says_so_and_keeps_the_model(solver):
    params = make_params(solver=solver, solver_time_limit_s=1e-4)
    with pytest.raises(InfeasibleError, match=r"Time limit.*Raise solver_time_limit_s") as told:
        dispatch.plan_day(make_problem(params, 96), price_scenarios(40, 96))
    path = Path(re.search(r"The model is in (\S+\.mps)\.", str(told.value)).group(1))
    assert solved_again(path) == "Optimal"  # given time
    path.unlink()
    path.parent.rmdir()


@pytest.mark.parametrize("params", [make_params(), make_params(terminal="value")])
def test_parts_are_a_basis_of_the_whole(params, monkeypatch):
    """Nonsingular and nearly optimal: few pivots are left."""
    problem, prices = make_problem(params), price_scenarios(40, seed=5)
    if params.backtest.terminal == "value":
        problem = replace(problem, energy_values=energy_value.energy_values(problem, day_shape(24)))
    pivots = []
    for part in (50, 10):
        monkeypatch.setattr(engine, "PART", part)
        programme = ArrayProgramme(problem, prices, is_risk_averse=False)
        programme.optimum()
        pivots.append(programme.model.highs.getInfo().simplex_iteration_count)
    assert pivots[1] < pivots[0] / 3


def test_parts_that_cannot_follow_one_schedule_are_no_basis_and_no_harm(monkeypatch):
    monkeypatch.setattr(engine, "PART", 2)
    prices = price_scenarios(6, seed=5)
    rtm = prices.rtm.copy()
    rtm[2:] = np.nan  # the first part alone can trade its way out
    prices = replace(prices, rtm=rtm)
    problem = make_problem(make_params(commitment="financial"))
    plan = ArrayProgramme(problem, prices).solve(Risk(0.3, 0.5))
    assert_same_plan(plan, TwoStageProgramme(problem, prices).solve(Risk(0.3, 0.5)))


def test_the_energy_balances_of_a_plan_hold_to_the_tolerance_told():
    problem = make_problem(make_params(), 96)
    plan = ArrayProgramme(problem, price_scenarios(5, 96)).solve(Risk(0.5, 0.4))
    unit = problem.bess.units[0]
    for s in range(5):
        net = plan.discharge_mw[s, 0] - plan.charge_mw[s, 0]
        path = battery.energy_path(unit, net, 100.0, 0.25)
        np.testing.assert_allclose(plan.energy_mwh[s, 0], path, rtol=0, atol=1e-6)


@pytest.mark.parametrize("stuck", [1, 2, 3])
def test_a_basis_that_leads_nowhere_is_thrown_away(monkeypatch, stuck):
    """HiGHS now and then ends with neither an optimum nor a proof that there is none."""
    problem, scenarios = make_problem(make_params()), price_scenarios(4, seed=5)
    expected = dispatch.sweep(problem, scenarios, [0.0, 0.5], 0.4)
    solved, runs, cleared = Model._solved, [], []

    def stuck_once(model):
        runs.append(model)
        return highspy.HighsModelStatus.kUnknown if len(runs) == stuck else solved(model)

    monkeypatch.setattr(Model, "_solved", stuck_once)
    monkeypatch.setattr(Model, "_perturb_costs", lambda model, share: cleared.append(share))
    found = dispatch.sweep(problem, scenarios, [0.0, 0.5], 0.4)
    assert cleared.count(1.0) == 1
    for one, other in zip(expected, found, strict=True):
        assert one.objective_rs == pytest.approx(other.objective_rs, abs=1e-3)
        np.testing.assert_allclose(one.dam_mw, other.dam_mw, atol=1e-4)
