"""The condensed programme has the plans of the engine and of the readable statement."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_cases import SECOND_UNIT, TAPER, UNIT, day_shape, make_params, make_problem
from small_cases import price_scenarios as small_prices

from bessvpp.errors import InfeasibleError
from bessvpp.optimizer import cells, condensed, dispatch, energy_value, scenario_paths
from bessvpp.optimizer.condensed import CondensedProgramme, is_condensable
from bessvpp.optimizer.engine import ArrayProgramme
from bessvpp.optimizer.problem import Past
from bessvpp.optimizer.statement import TwoStageProgramme
from bessvpp.risk import RISK_NEUTRAL, Risk

FLOWS = ("dam_mw", "rtm_mw", "charge_mw", "discharge_mw", "energy_mwh", "undelivered_mw")
OUTAGE = [{"start": "2024-03-05 18:00", "end": "2024-03-05 19:00"}]
WINDOWS = [{"start": "00:00", "end": "07:00"}, {"start": "10:00", "end": "16:00"}]


@pytest.fixture(autouse=True)
def few_scenarios(monkeypatch):
    """Small programmes are condensed, too, and begin with three of their scenarios."""
    monkeypatch.setattr(condensed, "LEAST_SCENARIOS", 1)
    monkeypatch.setattr(condensed, "SAMPLE", 3)


def assert_same(plan, other, flow_mw: float = 1e-6) -> None:
    """Figures to 1e-9 relative, flows to what is left open by a solver's tolerance of 1e-9."""
    size = max(abs(other.objective_rs), 1e4)
    for name in ("objective_rs", "mean_rs", "cvar_rs", "lp_cvar_rs", "relaxation_gap_rs"):
        mine, theirs = getattr(plan, name), getattr(other, name)
        assert (mine is None) == (theirs is None), name
        if mine is not None:
            assert mine == pytest.approx(theirs, abs=1e-9 * size), name
    assert plan.restricted_blocks == other.restricted_blocks
    for name in FLOWS:
        np.testing.assert_allclose(
            getattr(plan, name), getattr(other, name), rtol=0, atol=flow_mw, err_msg=name
        )
    np.testing.assert_allclose(plan.profit_rs, other.profit_rs, rtol=0, atol=1e-8 * size)


@st.composite
def programmes(draw) -> tuple:
    """What the condensed programme states, of any kind, and how risk is weighed."""
    n_blocks = draw(st.sampled_from([24, 24, 96]))
    windows = draw(st.booleans())
    unit = UNIT | {
        "eta_charge": draw(st.sampled_from([0.85, 0.93, 0.97])),
        "eta_discharge": draw(st.sampled_from([0.88, 0.95, 1.0])),
        "wear_rs_per_mwh_discharged": draw(st.sampled_from([90.0, 650.0])),
        "e_start_mwh": draw(st.sampled_from([20.0, 63.7, 180.0])),
        "e_target_mwh": draw(st.sampled_from([20.0, 81.3, 118.0])),
        "p_charge_max_mw": draw(st.sampled_from([None, 31.0])),
        "charge_windows": WINDOWS if windows else [],
        "aux_mw": draw(st.sampled_from([0.0, 0.3])),
    }
    terminal = draw(st.sampled_from(["hard", "hard", "free", "value"]))
    params = make_params(
        unit,
        commitment=draw(st.sampled_from(["physical", "physical", "financial"])),
        terminal=terminal,
        connection_limit_mw=draw(st.sampled_from([50.3, 61.0])),
        fee_rtm_rs_per_mwh=draw(st.sampled_from([0.0, 33.0, 200.0])),
        off_dam_penalty_rs_per_mwh=draw(st.sampled_from([0.0, 10.0])),
        hurdle_dam_rs_per_mwh=draw(st.sampled_from([0.0, 120.0])),
        hurdle_rtm_rs_per_mwh=draw(st.sampled_from([0.0, 60.0])),
        aux_rs_per_mwh=draw(st.sampled_from([None, 6000.0])),
    )
    prices = small_prices(
        draw(st.integers(1, 8)),
        n_blocks,
        seed=draw(st.integers(0, 999)),
        weighted=draw(st.booleans()),
    )
    problem = make_problem(params, n_blocks)
    aversion = draw(st.sampled_from([0.0, 0.1, 0.7, 3.0]))
    if terminal == "value":
        values = energy_value.energy_values(problem, day_shape(n_blocks), n_points=4)
        problem, aversion = replace(problem, energy_values=values), 0.0
    if draw(st.booleans()):
        problem = replace(problem, schedule_start_mwh=None)
    return problem, prices, Risk(aversion, draw(st.sampled_from([0.2, 0.5, 1.0])))


@pytest.mark.slow
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(programmes())
def test_a_random_programme_has_the_plan_of_the_engine_and_of_the_readable_statement(drawn):
    problem, prices, risk = drawn
    assert is_condensable(problem, prices, risk.aversion > 0)
    try:
        other = ArrayProgramme(problem, prices).solve(risk)
    except InfeasibleError:
        with pytest.raises(InfeasibleError):
            CondensedProgramme(problem, prices).solve(risk)
        return
    plan = CondensedProgramme(problem, prices).solve(risk)
    assert_same(plan, other)
    stated = TwoStageProgramme(problem, prices).solve(risk)
    assert plan.objective_rs == pytest.approx(stated.objective_rs, rel=1e-8)
    np.testing.assert_allclose(plan.dam_mw, stated.dam_mw, rtol=0, atol=1e-4)


@pytest.mark.parametrize("terminal", ["hard", "free"])
def test_a_sweep_has_the_plans_of_the_engine_from_one_start_and_from_several(terminal):
    problem = make_problem(make_params(terminal=terminal), 96)
    prices, lambdas = small_prices(40, 96, seed=5), (0.3, 0.0, 5.0, 1.0)
    for starts in (None, [np.array([e]) for e in (100.0, 43.0, 100.0, 171.0)]):
        mine = dispatch.sweep(problem, prices, lambdas, 0.2, starts)
        day = ArrayProgramme(problem, prices)
        for k in np.argsort(lambdas).tolist():
            if starts is not None:
                day.start_with(starts[k])
            assert_same(mine[k], day.solve(Risk(lambdas[k], 0.2)))


def test_cells_that_were_closed_wrongly_are_found_and_opened(monkeypatch):
    """With a margin below 0 nearly every cell is closed as it is best against no schedule."""
    problem, prices = make_problem(make_params(terminal="hard"), 96), small_prices(12, 96, seed=8)
    risk = Risk(2.0, 0.3)
    other = ArrayProgramme(problem, prices).solve(risk)
    monkeypatch.setattr(cells, "MARGIN_RS_PER_MWH", -500.0)
    models = []
    state = cells.CellModel._state
    monkeypatch.setattr(
        cells.CellModel, "_state", lambda model: (models.append(model), state(model))
    )
    assert_same(CondensedProgramme(problem, prices).solve(risk), other)
    assert len(models) > 2  # the sample's, that of all, and at least one more
    assert models[1].is_open.mean() < models[-1].is_open.mean() < 0.9


def test_few_cells_are_open():
    """What the programme is condensed for: most cells stay closed, and the proof needs no more."""
    problem, prices = make_problem(make_params(terminal="hard"), 96), small_prices(40, 96, seed=8)
    programme = CondensedProgramme(problem, prices)
    programme.solve(Risk(0.5, 0.2))
    assert programme._solved.is_open.mean() < 0.6


def test_a_path_against_a_schedule_is_the_recourse_of_the_engine():
    problem, prices = make_problem(make_params(terminal="hard"), 96), small_prices(5, 96, seed=3)
    dam_mw = 30 * np.sin(np.arange(96) / 9)
    rates = scenario_paths.rates_of(problem, prices)
    paths = scenario_paths.paths_to(problem, rates, prices.weights, dam_mw, np.zeros(5))
    recourse = replace(problem, fixed_dam_mw=dam_mw, commitment="financial")
    other = ArrayProgramme(recourse, prices, is_risk_averse=False).solve()
    (unit,), h = problem.bess.units, problem.block_hours
    for mine, theirs in (
        (paths.charge_mwh / (h * unit.eta_charge), other.charge_mw),
        (paths.discharge_mwh * unit.eta_discharge / h, other.discharge_mw),
        (paths.energy_mwh, other.energy_mwh),
    ):
        np.testing.assert_allclose(mine, theirs[:, 0], rtol=0, atol=1e-6)


def test_bars_of_the_schedule_are_kept_and_those_of_a_scenario_are_left_to_the_engine():
    problem, prices = make_problem(make_params(terminal="hard"), 24), small_prices(6, seed=4)
    programme, engine = CondensedProgramme(problem, prices), ArrayProgramme(problem, prices)
    plan = programme.optimum()
    sold = int(np.argmax(plan.dam_mw))
    for path in (condensed.SCHEDULE, 2):
        bars = frozenset({condensed.Bar(path, 0, sold, "discharge")})
        assert_same(programme.optimum(Risk(0.4, 0.5), bars), engine.optimum(Risk(0.4, 0.5), bars))
    assert_same(programme.optimum(), plan)


def test_the_engine_is_left_what_the_condensed_programme_does_not_state(monkeypatch):
    plain, prices = make_problem(make_params(terminal="hard"), 24), small_prices(6)
    assert isinstance(dispatch.programme(plain, prices), CondensedProgramme)
    valued = make_problem(make_params(terminal="value"), 24)
    assert isinstance(dispatch.programme(valued, prices, False), CondensedProgramme)
    dear = prices.rtm.copy()
    dear[2, 7] = -30_000.0  # doing both there would pay

    def of(*unit, **values):
        return make_problem(make_params(*unit, terminal="hard", **values), 24)

    others = [
        (valued, prices),
        (of(units=[UNIT, SECOND_UNIT]), prices),
        (of(UNIT | TAPER), prices),
        (of(UNIT | {"max_cycles_per_day": 1.5}), prices),
        (of(UNIT | {"self_discharge_per_hour": 1e-3}, connection_limit_mw=61.0), prices),
        (of(UNIT | {"outages": OUTAGE}), prices),
        (of(connection_limit_mw=40.0), prices),
        (of(unbacked_max_mwh_per_day=9.0), prices),
        (replace(plain, rtm_allowed=False), prices),
        (replace(plain, fixed_dam_mw=np.zeros(24)), prices),
        (replace(plain, past=Past(np.zeros(2), np.zeros((1, 2)), np.zeros((1, 2)))), prices),
        (replace(plain, energy_limits=(np.full((1, 24), 20.0), np.full((1, 24), 170.0))), prices),
        (plain, small_prices(6, no_trade=(3,))),
        (plain, replace(prices, rtm=dear)),
        (plain, replace(prices, weights=np.array([0.0, 0.2, 0.2, 0.2, 0.2, 0.2]))),
    ]
    for problem, fan in others:
        assert isinstance(dispatch.programme(problem, fan), ArrayProgramme)
    monkeypatch.setattr(condensed, "LEAST_SCENARIOS", 7)
    assert isinstance(dispatch.programme(plain, prices), ArrayProgramme)


def test_a_target_out_of_reach_is_said_as_the_engine_says_it():
    unit = UNIT | {"e_target_mwh": 180.0, "p_charge_max_mw": 5.0}
    problem, prices = make_problem(make_params(unit, terminal="hard"), 24), small_prices(4)
    problem = replace(problem.starting_with(np.array([20.0])), name="5 March")
    for programme in (CondensedProgramme, ArrayProgramme):
        with pytest.raises(InfeasibleError, match="5 March"):
            programme(problem, prices).solve(RISK_NEUTRAL)
