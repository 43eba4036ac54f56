"""A question asked again is the same work with other values."""

from dataclasses import replace

import numpy as np
import pytest
from small_cases import UNIT, fleet, foreseeing, make_market, make_params, make_window

from bessvpp.backtest import what_if
from bessvpp.backtest.frontier import sweep_frontier
from bessvpp.battery import start_energy
from bessvpp.errors import ParameterError
from bessvpp.optimizer.dispatch import plan_day
from bessvpp.settlement.promise import planned_causal

OWN = {"risk_aversion": 0.3, "battery_mwh": 200.0, "hurdle_dam_rs_per_mwh": 40.0}


@pytest.fixture(scope="module")
def window():
    params = make_params(hurdle_dam_rs_per_mwh=40.0)
    return foreseeing(make_window(params, make_market(10), first=6))


def test_other_values_reach_battery_hurdle_and_lambda_and_nothing_else(window):
    asked = {"risk_aversion": 2.0, "battery_mwh": 100.0, "hurdle_dam_rs_per_mwh": 0.0}
    changed = what_if.with_values(window.params, asked)
    assert what_if.own_values(changed) == asked
    assert window.params.differing(changed) == [
        "hurdle_dam_rs_per_mwh",
        "units",
        "risk_aversion",
        "lambdas",
    ]
    (unit,) = changed.bess.units
    for key, value in UNIT.items():
        assert getattr(unit, key) == (value / 2 if key.startswith("e_") else value) or value == []
    assert what_if.with_values(window.params, OWN).differing(window.params) == ["lambdas"]


def test_a_fleet_grows_by_the_same_share_and_a_target_out_of_reach_is_refused():
    units = fleet().bess.with_energy(120.0).units
    assert [unit.e_nameplate_mwh for unit in units] == [100.0, 20.0]
    assert [unit.e_max_mwh for unit in units] == [90.0, 19.0]
    with pytest.raises(ParameterError, match=r"a battery of 40000 MWh: .*cannot be reached"):
        make_params({"e_target_mwh": 120.0}).bess.with_energy(40_000.0)


def test_an_answer_about_a_day_is_the_plan_of_that_day_with_these_values(window):
    question = what_if.of_day(window, 2, "original")
    values = {"risk_aversion": 1.0, "battery_mwh": 100.0, "hurdle_dam_rs_per_mwh": 0.0}
    (answer,) = question.answers([values])
    half = {key: value / 2 for key, value in UNIT.items() if key.startswith("e_")}
    params = make_params(half, risk_aversion=1.0)
    problem = replace(window, params=params).problem(start_energy(params.bess), 2)
    fan = window.fans["original"][2]
    plan = plan_day(problem, fan, params.risk.risk)
    assert answer["dam_traded_mwh"] == pytest.approx(np.abs(plan.dam_mw).sum())  # blocks of an hour
    assert answer["e_end_mwh"] == pytest.approx(fan.weights @ plan.energy_mwh[:, 0, -1])
    rs = planned_causal(problem, fan, plan.unit_dam_mw, params.market, "expected")
    assert answer["mean_rs"] == pytest.approx(fan.weights @ rs)
    assert rs.min() <= answer["cvar_rs"] <= answer["mean_rs"]


def test_an_answer_about_the_frontier_is_its_point_over_the_first_days(window):
    question = what_if.of_frontier(window, "recalibrated")
    assert len(window.days) == what_if.DAYS
    twice = {**OWN, "battery_mwh": 400.0}
    found = sweep_frontier(window).points.set_index(["fan", "lambda"]).loc[("recalibrated", 0.3)]
    own, larger = question.answers([OWN, twice])
    for kind, value in own.items():
        assert value == pytest.approx(found[kind])
    assert larger["realised_mean_rs"] > own["realised_mean_rs"]


def test_only_the_first_days_are_asked_about(window):
    short = what_if.first_days(window, 2, "original")
    assert list(short.fans) == ["original"]
    assert len(short.days) == len(short.fans["original"]) == len(short.medians) == 2
    np.testing.assert_array_equal(short.expected_rtm, window.expected_rtm[:2])


def test_what_is_tried_starts_with_the_run_and_changes_one_thing_at_a_time(window):
    question = what_if.of_day(window, 0, "original")
    first, *others = question.tried
    assert first == question.own == OWN
    assert [[key for key in OWN if tried[key] != OWN[key]] for tried in others] == [
        ["risk_aversion"],
        ["battery_mwh"],
        ["hurdle_dam_rs_per_mwh"],
    ]
    for name, options in question.options.items():
        assert list(options) == sorted(set(options))
        assert OWN[name] in options
