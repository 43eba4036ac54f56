"""What energy left at the end of a day is worth, and what a plan keeps of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from optimizer_cases import settled, tied
from small_cases import day_shape, fleet, make_params, make_problem, price_scenarios

from bessvpp.optimizer import energy_value
from bessvpp.optimizer.dispatch import plan_day
from bessvpp.optimizer.problem import EnergyValue, Problem
from bessvpp.prices import PriceScenarios

EARLY = {"start": "00:00", "end": "01:00"}


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


def test_a_battery_too_slow_to_reach_its_target_from_empty_still_has_a_value():
    # 3 MW at .96 bring at most 69 MWh in a day: the target of 100 is out of reach from 20.
    params = make_params({"p_max_mw": 3.0}, terminal="value")
    (value,) = energy_value.energy_values(make_problem(params), day_shape(24))
    assert (np.diff(value.slope_rs_per_mwh) <= 0).all()
    # So it is behind a connection that lets no more through.
    params = make_params(connection_limit_mw=3.0, terminal="value")
    (behind,) = energy_value.energy_values(make_problem(params), day_shape(24))
    np.testing.assert_allclose(behind(np.linspace(40, 170, 9)), value(np.linspace(40, 170, 9)))


def test_a_battery_whose_target_drains_away_still_has_a_value():
    drained = {"self_discharge_per_hour": 0.01, "charge_windows": [EARLY]}
    params = make_params(drained | {"e_target_mwh": 140.0, "e_start_mwh": 180.0})
    (unit,) = params.bess.units
    unit = unit.model_copy(update={"e_target_mwh": 170.0})  # in reach of no energy
    problem = make_problem(params, 24)
    problem = replace(problem, bess=params.bess.model_copy(update={"units": (unit,)}))
    (value,) = energy_value.energy_values(problem, day_shape(24))
    assert (np.diff(value.slope_rs_per_mwh) <= 1e-6).all()
    assert value(170.0) > value(120.0) > value(60.0)


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
