"""Tomorrow's plan: from what is known this morning to a sheet that is the plan."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from edge_cases import edge_params
from hypothesis import HealthCheck, given, settings
from small_cases import (
    CAP,
    SECOND_UNIT,
    UNIT,
    fleet,
    make_market,
    make_params,
    make_problem,
    make_study,
    write_study,
)

from bessvpp import battery
from bessvpp.backtest import policies, simulate
from bessvpp.commands.typed import parse_date, parse_energy, with_outages
from bessvpp.desk import day_forecasts
from bessvpp.desk.bids import bid_sheet, in_bid_steps, worth_sheet
from bessvpp.desk.plan import next_delivery_day, plan_day_ahead
from bessvpp.desk.report import describe_plan, track_record, write_plan, write_worth
from bessvpp.errors import DataError, MissingArtefactError, ParameterError
from bessvpp.forecasting import walk_forward
from bessvpp.forecasting.features import feature_frame
from bessvpp.market.clock import gate_time
from bessvpp.market.history import Market
from bessvpp.optimizer import dispatch
from bessvpp.optimizer.bid_worth import StepBids, bids_at_worth
from bessvpp.plots import dispatch as dispatch_plots
from bessvpp.prices import PriceScenarios
from bessvpp.risk import Risk, cvar
from bessvpp.runs import contents
from bessvpp.runs.folder import RunFolder
from bessvpp.settlement.promise import planned_causal

RULES = make_params().market


def this_morning(study, date) -> Market:
    """The market as it is on disk at the gate of ``date``, half past ten of the day before."""
    market = study.market
    place = market.index_of(date)
    rtm, no_trade = market.rtm_mcp[:place].copy(), market.rtm_no_trade[:place]
    rtm[-1, 11:] = np.nan
    extras = {name: values[:place].copy() for name, values in market.extras.items()}
    extras["rtm_sell_bid_mw"][-1, 11:] = np.nan
    return Market(market.dates[:place], market.dam_mcp[:place], rtm, no_trade, extras, False)


def read_back(text: str) -> np.ndarray:
    """(96,) what a sheet asks for in each quarter of an hour, positive sells."""
    mw = np.zeros(96)
    for row in pd.read_csv(io.StringIO(text)).itertuples():
        mw[row.block - 1] += row.mw if row.side == "sell" else -row.mw
    return mw


@pytest.fixture(scope="module")
def planned(study, study_run):
    """The plan of the day after the data."""
    return plan_day_ahead(study_run, study.market, study.params)


# ------------------------------------------------------------------------------ the plan


def test_a_plan_is_told_beside_what_such_plans_came_to(tmp_path):
    run = RunFolder(tmp_path)
    assert "has no backtest" in track_record(run, "recalibrated")
    figures = {"net_rs_causal": 4e6, "net_rs": 6e6, "net_rs_dam_only": -1e6}
    best = {"net_rs_causal": 5e6, "net_rs": 5.5e6, "net_rs_dam_only": 2e6}
    summary = {
        "rules": {"n_days": 10, "risk_aversion": 0.1},
        "policies": {"two_stage_recalibrated": figures, "yesterday": best},
        "lead": {"settlement": "with causal recourse", "policy": "yesterday", "over": {}},
    }
    run.write_json("backtest_summary.json", summary)
    told = track_record(run, "recalibrated")
    assert "400,000 with causal recourse, 600,000 with hindsight recourse" in told
    assert "-100,000 with no RTM trade" in told
    assert "The best policy there, with causal recourse: Yesterday's prices, 500,000." in told
    assert "no two-stage policy on the original fan" in track_record(run, "original")
    assert "promised" not in told
    points = [
        {"lambda": aversion, "fan_mean_rs": mean, "realised_mean_rs": mean - 1e5}
        for aversion, mean in ((0.0, 6e5), (0.1, 5e5), (0.5, 4e5))
    ]
    run.write_json("frontier.json", {"fans": {"recalibrated": points}})
    told = track_record(run, "recalibrated")
    assert "its fan promised 500,000 a day and 400,000 came of it (lambda 0.1)" in told
    del points[1]["fan_mean_rs"]  # as runs of before wrote it
    run.write_json("frontier.json", {"fans": {"recalibrated": points}})
    assert "promised" not in track_record(run, "recalibrated")


def test_the_day_planned_is_the_one_after_the_data_which_must_be_whole(study):
    market = study.market
    assert next_delivery_day(market) == market.dates[-1] + 1
    dam = market.dam_mcp.copy()
    dam[-1, 12:] = np.nan  # the download ends at noon
    cut = Market(market.dates, dam, market.rtm_mcp, market.rtm_no_trade, {}, False)
    with pytest.raises(DataError, match=f"DAM prices of {market.dates[-1]} are incomplete.*12:00"):
        next_delivery_day(cut)
    # Real-time prices that run a day further do not make that day known.
    dam[-1] = np.nan
    ahead = Market(market.dates, dam, market.rtm_mcp, market.rtm_no_trade, {}, False)
    with pytest.raises(DataError, match=r"incomplete.*00:00"):
        next_delivery_day(ahead)


def test_the_sheet_reproduces_the_plan_when_it_is_read_back(planned, study, tmp_path):
    path = write_plan(RunFolder(tmp_path), planned, study.params.bess.units)
    assert path == tmp_path / "bids" / f"dam_{planned.date}.csv"
    back = read_back(path.read_text(encoding="utf-8"))
    # Planned in hours: the same power in each of the four quarters.
    np.testing.assert_array_equal(back, np.repeat(planned.bid_mw, 4))
    np.testing.assert_allclose(planned.unit_mw.sum(axis=0), planned.bid_mw, atol=1e-6)
    assert np.abs(planned.bid_mw - planned.plan.dam_mw).max() <= 0.2 + 1e-9
    assert np.abs(planned.bid_mw).max() > 10


def test_the_sheet_is_in_steps_and_can_be_delivered(planned, study):
    steps = planned.bid_mw / 0.1
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-9)
    bess, start = study.params.bess, np.array([100.0])
    assert battery.schedule_violations(bess, planned.unit_mw, start, 1.0).max() < 1e-5
    # As bid, to the last decimal, the battery still follows it.
    done = battery.follow(bess, planned.bid_mw[None], start, 1.0)
    assert np.abs(done.undelivered_mw).sum() < 1e-4
    assert done.energy_mwh[0, -1] >= 100 - 1e-4


def test_the_expected_profit_is_that_of_the_rounded_schedule(planned, study):
    problem = replace(make_problem(study.params), fixed_dam_mw=planned.bid_mw)
    again = dispatch.plan_day(problem, planned.scenarios, Risk(0.3, 0.4))
    np.testing.assert_allclose(planned.profit_rs, again.profit_rs, atol=0.1)
    assert abs(planned.expected_profit_rs - planned.plan.mean_rs) > 1  # rounding costs something
    weights = planned.scenarios.weights
    assert planned.expected_profit_rs == pytest.approx(weights @ planned.profit_rs)
    assert planned.cvar_rs == pytest.approx(cvar(planned.profit_rs, 0.4, weights))
    # In each scenario the sheet alone, without the RTM, earns no more than with it.
    assert (planned.alone_rs <= planned.profit_rs + 0.1).all()
    # Traded at its gates it promises what the settlement's own policy earns there, no hindsight.
    assert (planned.causal_rs < planned.profit_rs).all()
    promised = planned_causal(
        make_problem(study.params),
        planned.scenarios,
        planned.unit_mw,
        study.params.market,
        "expected",
    )
    np.testing.assert_allclose(planned.causal_rs, promised, atol=0.01)
    for s, alone in enumerate(planned.alone_rs):
        day = PriceScenarios.single(planned.scenarios.dam[s], planned.scenarios.rtm[s])
        done = simulate.settle_as_committed(make_problem(study.params), day, planned.unit_mw)
        assert alone == pytest.approx(float(done.ledger.net_rs), abs=0.01)


def test_a_test_day_is_planned_as_the_backtest_plans_it(study, study_run):
    """Same forecasts, same recalibration, same scenarios, same commitment."""
    date = study.splits.test[0]
    for fan, expected in (("original", study.original), ("recalibrated", study.recalibrated)):
        found = plan_day_ahead(study_run, study.market, study.params, date, fan)
        for name in ("dam", "rtm"):
            values = expected[name].on(np.array([date])).values[0]
            np.testing.assert_array_equal(found.quantiles[name], values)
        drawn = study.window.fans[fan][0]
        np.testing.assert_array_equal(found.scenarios.dam, drawn.dam)
        np.testing.assert_array_equal(found.scenarios.rtm, drawn.rtm)
        commitment = simulate.commit_chain(study.window, policies.TwoStage(fan))[0]
        np.testing.assert_array_equal(found.plan.unit_dam_mw, commitment.unit_mw)


def test_the_outcome_of_the_day_is_not_needed_and_changes_nothing(study, study_run):
    date = study.splits.test[2]
    place = study.market.index_of(date)
    params = study.params
    base = plan_day_ahead(study_run, this_morning(study, date), params)
    assert base.date == date
    dam, rtm = study.market.dam_mcp.copy(), study.market.rtm_mcp.copy()
    dam[place:], rtm[place:], rtm[place - 1, 11:] = 1.0, 2.0, 3.0
    extras = {name: values.copy() for name, values in study.market.extras.items()}
    for values in extras.values():
        values[place:] = 4.0
    moved = Market(study.market.dates, dam, rtm, study.market.rtm_no_trade, extras, False)
    for market in (study.market, moved):
        other = plan_day_ahead(study_run, market, params, date)
        for name in ("dam", "rtm"):
            np.testing.assert_array_equal(base.quantiles[name], other.quantiles[name])
        np.testing.assert_array_equal(base.scenarios.rtm, other.scenarios.rtm)
        np.testing.assert_array_equal(base.plan.unit_dam_mw, other.plan.unit_dam_mw)
        np.testing.assert_array_equal(base.bid_mw, other.bid_mw)
    dam[place - 1, 12:] = 9900.0  # known at the gate
    known = Market(study.market.dates, dam, rtm, study.market.rtm_no_trade, extras, False)
    other = plan_day_ahead(study_run, known, params, date)
    assert not np.array_equal(base.quantiles["dam"], other.quantiles["dam"])
    assert not np.array_equal(base.bid_mw, other.bid_mw)


def test_the_two_fans_differ_in_their_marginals_alone(study, study_run):
    fans = {
        fan: plan_day_ahead(study_run, study.market, study.params, fan=fan)
        for fan in ("original", "recalibrated")
    }
    first, second = fans["original"], fans["recalibrated"]
    assert not np.array_equal(first.quantiles["dam"], second.quantiles["dam"])
    # The same draws: in each block the scenarios come in the same order.
    for name in ("dam", "rtm"):
        prices = [getattr(each.scenarios, name) for each in (first, second)]
        inside = np.all([(p > 0) & (p < 10_000) for p in prices], axis=(0, 1))
        assert inside.sum() > 12
        orders = [np.argsort(p[:, inside], axis=0) for p in prices]
        np.testing.assert_array_equal(*orders)


def test_the_energy_planned_for_midnight_is_where_the_schedule_starts(study, study_run):
    market, params = study.market, study.params
    low = plan_day_ahead(study_run, market, params, e_start_mwh=np.array([30.0]))
    path = battery.energy_path(params.bess.units[0], low.unit_mw[0], 30.0, 1.0)
    assert path.min() >= 20 - 1e-4
    assert path[-1] >= 100 - 1e-4
    assert low.bid_mw.sum() < -70 / 0.96


@pytest.mark.parametrize("energy", [14.0, 190.0])
def test_a_day_that_starts_outside_the_window_is_planned_and_told(study, study_run, energy):
    params = make_params({"p_max_mw": 5.0, "e_target_mwh": 60.0, "e_start_mwh": 60.0})
    found = plan_day_ahead(study_run, study.market, params, e_start_mwh=np.array([energy]))
    assert found.bid_mw[0] == (5.0 if energy > 180 else -5.0)
    path = battery.energy_path(params.bess.units[0], found.unit_mw[0], energy, 1.0)
    assert path[1:].min() >= 20 - 1e-5
    assert path[1:].max() <= 180 + 1e-5
    told = describe_plan(found, study.market, params)
    assert f"WARNING: A holds {energy:g} MWh, outside its usable window" in told
    assert "back by 02:00" in told
    assert np.isfinite(found.causal_rs).all()


def test_a_target_out_of_reach_is_planned_towards_and_told(study, study_run):
    params = make_params({"charge_windows": [{"start": "12:00", "end": "13:00"}]})
    found = plan_day_ahead(study_run, study.market, params, e_start_mwh=np.array([40.0]))
    assert any("comes as near as 88.00 MWh, 12.00 below" in note for note in found.notes)
    path = battery.energy_path(params.bess.units[0], found.unit_mw[0], 40.0, 1.0)
    assert path[-1] == pytest.approx(88.0, abs=1e-4)
    assert (found.plan.e_end_mwh <= 88 + 1e-5).all()


def test_a_warranty_takes_discharge_from_the_plan_and_is_told(study, study_run):
    plain = plan_day_ahead(study_run, study.market, make_params())
    params = make_params({"warranty_cycles_per_year": 60.0})
    found = plan_day_ahead(study_run, study.market, params)
    discharged = [p.plan.discharge_mw.sum(axis=(1, 2)).mean() for p in (found, plain)]
    assert discharged[0] < 0.9 * discharged[1]
    told = describe_plan(found, study.market, params)
    assert "target 100, warranty of 12,000 MWh discharged a year.\n" in told
    assert "A: its warranty of 12,000 MWh a year counts Rs " in told
    given = make_params({"warranty_price_rs_per_mwh": 850.0})
    told = describe_plan(plain, study.market, given)
    assert "target 100, Rs 850/MWh discharged beside wear in planning.\n" in told


@pytest.mark.parametrize("terminal", ["free", "value"])
@pytest.mark.parametrize("commitment", ["physical", "financial"])
def test_every_rule_can_be_planned_for(study, study_run, commitment, terminal):
    settings = {"commitment": commitment, "terminal": terminal}
    params = study.params.model_copy(
        update={"backtest": study.params.backtest.model_copy(update=settings)}
    )
    found = plan_day_ahead(study_run, study.market, params)
    assert (found.unit_mw is None) == (commitment == "financial")
    back = read_back(found.sheet.to_csv(index=False))
    np.testing.assert_array_equal(back, np.repeat(found.bid_mw, 4))
    assert np.abs(found.bid_mw).max() <= 50


@pytest.mark.slow
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edge_params())
def test_a_battery_on_its_edges_is_planned_for_tomorrow(study, study_run, params):
    found = plan_day_ahead(study_run, study.market, params)
    back = read_back(found.sheet.to_csv(index=False))
    np.testing.assert_array_equal(back, np.repeat(found.bid_mw, 4))
    assert np.isfinite(found.profit_rs).all()
    assert np.abs(found.bid_mw).max() <= params.bess.connection_limit_mw + 1e-9
    if params.backtest.commitment == "physical":
        start = battery.start_energy(params.bess)
        assert battery.schedule_violations(params.bess, found.unit_mw, start, 1.0).max() < 1e-5


@pytest.mark.slow
def test_quarter_hours_are_planned_in_96_blocks(tmp_path):
    params = make_params(calibration_days=14, recalibration_days=14, n_scenarios=4)
    study = make_study(params, make_market(40, 96, bids=True))
    run = RunFolder(tmp_path)
    write_study(run, study)
    found = plan_day_ahead(run, study.market, params)
    assert found.bid_mw.shape == (96,)
    np.testing.assert_array_equal(read_back(found.sheet.to_csv(index=False)), found.bid_mw)
    start = np.array([100.0])
    assert battery.schedule_violations(params.bess, found.unit_mw, start, 0.25).max() < 1e-5


# ------------------------------------------------------------------------------ refusals


def test_data_that_end_too_early_are_refused_with_the_day_that_is_missing(study, study_run):
    market = study.market
    after = market.dates[-1] + 2
    with pytest.raises(DataError, match=f"end on {market.dates[-1]}.*needs those of {after - 1}"):
        plan_day_ahead(study_run, market, study.params, after)


def test_a_gap_on_the_day_before_is_refused(study, study_run):
    dam = study.market.dam_mcp.copy()
    dam[-1, 7] = np.nan
    market = study.market
    holed = Market(market.dates, dam, market.rtm_mcp, market.rtm_no_trade, market.extras, False)
    with pytest.raises(DataError, match=f"{market.dates[-1]} are incomplete.*07:00"):
        plan_day_ahead(study_run, holed, study.params, market.dates[-1] + 1)


def test_a_day_that_the_models_were_trained_on_is_refused(study, study_run):
    for date in (study.splits.train[-1], study.splits.calibration[0]):
        with pytest.raises(DataError, match=f"trained on days up to {study.splits.train[-1]}"):
            plan_day_ahead(study_run, study.market, study.params, date)


@pytest.fixture(scope="module")
def refitted(tmp_path_factory):
    """A run that refits its models each week, so the saved ones know most of its days."""
    study = make_study(make_params(retrain_every_days=7, test_days=9), make_market(76, bids=True))
    run = RunFolder(tmp_path_factory.mktemp("refitted"))
    write_study(run, study)
    return study, run


def test_a_run_that_refits_is_planned_from_its_own_forecasts(refitted):
    """The saved models know the first test day: its plan and its history are the run's own."""
    study, run = refitted
    last = contents.load_models(run, "dam", study.params.forecast.levels)[0].last_train_day
    first, final = study.splits.test[[0, -1]]
    assert first < last < final
    for date in (first, final):
        for fan, expected in (("original", study.original), ("recalibrated", study.recalibrated)):
            found = plan_day_ahead(run, study.market, study.params, date, fan)
            for name in ("dam", "rtm"):
                values = expected[name].on(np.array([date])).values[0]
                np.testing.assert_array_equal(found.quantiles[name], values)
    # The day after the data is forecast by the models of the last refit.
    found = plan_day_ahead(run, study.market, study.params, fan="original")
    dates = np.array([found.date])
    known = study.market.known_at(gate_time(found.date, study.params.market.dam_gate), RULES)
    today, _ = walk_forward.forecast_days(
        study.models["dam"], feature_frame(known, dates, RULES), "dam", dates, dates, RULES
    )
    np.testing.assert_array_equal(found.quantiles["dam"], today.values[0])


def test_no_day_is_forecast_by_models_that_were_trained_on_it(refitted, tmp_path, monkeypatch):
    """Days that the run's forecasts lack are left out of the history, not made in sample."""
    study, _ = refitted
    shorter = {
        name: whole.on(whole.dates[whole.dates < study.splits.test[0]])
        for name, whole in study.original.items()
    }
    run = RunFolder(tmp_path)
    write_study(run, replace(study, original=shorter))
    made = {}

    def watched(models, features, name, dates, *rest):
        made[name] = dates
        return walk_forward.forecast_days(models, features, name, dates, *rest)

    monkeypatch.setattr(day_forecasts, "forecast_days", watched)
    plan_day_ahead(run, study.market, study.params)
    for name in ("dam", "rtm"):
        trained = study.models[name][0].last_train_day
        assert trained > study.splits.test[0]
        days = np.arange(trained + 1, study.market.dates[-1] + 2)
        np.testing.assert_array_equal(made[name], days)


def test_a_trained_day_that_the_run_did_not_forecast_is_refused(refitted, tmp_path):
    study, _ = refitted
    date = study.splits.test[0]
    shorter = {
        name: whole.on(whole.dates[whole.dates != date]) for name, whole in study.original.items()
    }
    other = RunFolder(tmp_path)
    write_study(other, replace(study, original=shorter))
    with pytest.raises(DataError, match=f"DAM models .* trained on days up to .*: {date} is not"):
        plan_day_ahead(other, study.market, study.params, date)


def test_models_without_their_last_training_day_are_to_be_made_again(study, tmp_path):
    run = RunFolder(tmp_path)
    write_study(run, study)
    listed = run.read_json("models/dam/models.json")
    for entry in listed.values():
        del entry["last_train_day"]
    run.write_json("models/dam/models.json", listed)
    with pytest.raises(MissingArtefactError, match="run 02_quantile_models again"):
        plan_day_ahead(run, study.market, study.params)


def test_prices_in_blocks_of_another_length_are_refused_with_both_lengths(
    study, study_run, tmp_path
):
    quarters = make_market(70, 96, bids=True)
    with pytest.raises(DataError, match=r"blocks of 15 minutes, .* of 60: set block_minutes to 60"):
        plan_day_ahead(study_run, quarters, study.params)
    fine = {
        name: replace(
            whole,
            **{
                key: np.repeat(getattr(whole, key), 4, axis=1)
                for key in ("values", "p_floor", "p_cap")
            },
        )
        for name, whole in study.original.items()
    }
    run = RunFolder(tmp_path)
    write_study(run, replace(study, original=fine))
    with pytest.raises(DataError, match=r"blocks of 60 minutes, .* of 15: give prices of 15"):
        plan_day_ahead(run, study.market, study.params)


def with_green(market: Market) -> Market:
    """The market with a GDAM price that foretells the DAM of the next day."""
    green = np.roll(market.dam_mcp, -1, axis=0)
    extras = dict(market.extras) | {"gdam_mcp": green}
    return Market(market.dates, market.dam_mcp, market.rtm_mcp, market.rtm_no_trade, extras, False)


def test_a_green_price_that_the_models_do_not_know_changes_no_plan(study, study_run, planned):
    found = plan_day_ahead(study_run, with_green(study.market), study.params)
    for name in ("dam", "rtm"):
        np.testing.assert_array_equal(found.quantiles[name], planned.quantiles[name])
    np.testing.assert_array_equal(found.bid_mw, planned.bid_mw)


def test_models_that_know_the_green_price_plan_without_it_too(tmp_path):
    market = with_green(make_market(70, bids=True))
    study = make_study(make_params(), market)
    run = RunFolder(tmp_path)
    write_study(run, study)
    day = market.dates[-1] + 1

    def median(prices: Market) -> np.ndarray:
        return plan_day_ahead(run, prices, study.params, day, "original").quantiles["dam"][:, 2]

    usual = median(market)
    extras = {name: values.copy() for name, values in market.extras.items()}
    extras["gdam_mcp"][-1] += 2000
    moved = median(replace(market, extras=extras))
    assert not np.allclose(usual, moved)  # the models do use it
    del extras["gdam_mcp"]
    without = median(replace(market, extras=extras))
    # Without it tomorrow is like today, as a distance of 0 says.
    latest = market.dam_mcp[-1]
    assert np.abs(without - latest).mean() < np.abs(usual - latest).mean() / 2


def test_a_run_without_models_says_what_to_run_first(study, tmp_path):
    with pytest.raises(MissingArtefactError, match="02_quantile_models"):
        plan_day_ahead(RunFolder(tmp_path), study.market, study.params)


def test_an_excluded_day_in_the_history_does_not_stop_the_plan(study, study_run):
    """A hole a week ago leaves that day out of the residuals and of the correlation."""
    market = study.market
    dam = market.dam_mcp.copy()
    dam[-8, 5] = np.nan
    holed = Market(market.dates, dam, market.rtm_mcp, market.rtm_no_trade, market.extras, False)
    found = plan_day_ahead(study_run, holed, study.params)
    assert np.isfinite(found.profit_rs).all()
    assert found.date == market.dates[-1] + 1


def test_a_gap_of_more_than_a_week_long_ago_does_not_stop_the_plan(study, study_run):
    """Days after the gap have no price of their last week; they are not needed for tomorrow."""
    market = study.market
    rtm = market.rtm_mcp.copy()
    rtm[45:55] = np.nan
    holed = Market(market.dates, market.dam_mcp, rtm, market.rtm_no_trade, market.extras, False)
    found = plan_day_ahead(study_run, holed, study.params)
    assert np.isfinite(found.profit_rs).all()


# ------------------------------------------------------------------------------ what is typed


def test_a_day_and_an_energy_that_a_user_types_are_checked():
    assert parse_date("2024-05-01") == np.datetime64("2024-05-01")
    for wrong in ("01-05-2024", "2024-13-01", "tomorrow"):
        with pytest.raises(ParameterError, match="YYYY-MM-DD"):
            parse_date(wrong)
    bess = fleet().bess
    np.testing.assert_array_equal(parse_energy([40.0, 5.0], bess), [40.0, 5.0])
    with pytest.raises(ParameterError, match="give 2 values"):
        parse_energy([40.0], bess)
    np.testing.assert_array_equal(parse_energy([40.0, 39.0], bess), [40.0, 39.0])  # window left
    with pytest.raises(ParameterError, match=r"41: B cannot hold that: give 0 to 40 MWh"):
        parse_energy([40.0, 41.0], bess)


def test_outages_that_a_user_types_join_those_of_the_files():
    before = {"start": "2024-05-01 06:00", "end": "2024-05-01 07:00", "power_share": 0.5}
    params = make_params(units=[UNIT | {"outages": [before]}, SECOND_UNIT])
    typed = [
        ["B", "2024-05-01 12:00", "2024-05-02 00:15"],
        ["A", "2024-05-01 09:00", "2024-05-01 10:00"],
    ]
    one, other = with_outages(params, typed).bess.units
    assert [out.model_dump(mode="json") for out in (*one.outages, *other.outages)] == [
        {"start": "2024-05-01T06:00:00", "end": "2024-05-01T07:00:00", "power_share": 0.5},
        {"start": "2024-05-01T09:00:00", "end": "2024-05-01T10:00:00", "power_share": 0.0},
        {"start": "2024-05-01T12:00:00", "end": "2024-05-02T00:15:00", "power_share": 0.0},
    ]
    assert with_outages(params, []) == params


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["BESS-2", "2024-05-01 12:00", "2024-05-01 15:00"], "no such unit; did you mean 'BESS-1'"),
        (["BESS-1", "12:00", "15:00"], "12:00: write it as .YYYY-MM-DD HH:MM"),
        (["BESS-1", "2024-05-01 15:00", "2024-05-01 12:00"], "15:00 is not before 2024-05-01 12"),
    ],
)
def test_an_outage_of_no_unit_or_at_no_time_is_refused(typed, told):
    params = make_params({"name": "BESS-1"})
    with pytest.raises(ParameterError, match=f"--outage {typed[0]}.*{told}"):
        with_outages(params, [typed])


def test_the_forecast_and_each_units_schedule_are_written_beside_the_sheet(
    planned, study, tmp_path
):
    write_plan(RunFolder(tmp_path), planned, study.params.bess.units)
    schedule = pd.read_csv(tmp_path / "bids" / f"schedule_{planned.date}.csv")
    np.testing.assert_allclose(schedule["A_mw"], planned.unit_mw[0], atol=6e-5)
    frame = pd.read_csv(tmp_path / "bids" / f"forecast_{planned.date}.csv")
    assert len(frame) == 24
    assert frame["delivery_start"].iloc[[0, -1]].tolist() == [
        f"{planned.date} 00:00:00",
        f"{planned.date} 23:00:00",
    ]
    np.testing.assert_allclose(frame["rtm_q75"], planned.quantiles["rtm"][:, 3], atol=0.006)
    np.testing.assert_allclose(frame["dam_q05"], planned.quantiles["dam"][:, 0], atol=0.006)


def test_a_plan_in_words_says_its_rules_and_adds_up(planned, study):
    text = describe_plan(planned, study.market, study.params)
    assert f"Delivery day {planned.date}, exchange data, recalibrated fan of 6 scenarios" in text
    assert "Commitment physical, terminal rule hard, midnight rule own, lambda 0.3" in text
    weights = planned.scenarios.weights
    told = f"{weights @ planned.causal_rs:,.0f} .*{cvar(planned.causal_rs, 0.4, weights):,.0f} "
    assert re.search(told, text)
    assert f"{planned.expected_profit_rs:,.0f}" in text
    assert "hindsight" in text
    hours = [line.split() for line in text.splitlines() if line[:2].isdigit()]
    assert len(hours) == 24
    sold = sum(float(line[-3]) - float(line[-2]) for line in hours)
    assert sold == pytest.approx(planned.bid_mw.sum(), abs=1e-6)
    traded = sum(float(line[-1]) for line in hours)
    assert traded == pytest.approx((weights @ planned.causal.rtm_mw).sum(), abs=24 * 0.05)
    width = len(hours[0])  # hour, quantiles and mean of each market, and three volumes
    for place, market in (((width - 4) // 2, "dam"), (width - 4, "rtm")):
        means = [float(line[place]) for line in hours]
        expected = weights @ getattr(planned.scenarios, market)
        np.testing.assert_allclose(means, expected, atol=0.51)
    done = battery.follow(study.params.bess, planned.unit_mw, planned.e_start_mwh, 1.0)
    left = (weights @ planned.causal.e_end_mwh, planned.hindsight_end_mwh, done.energy_mwh[:, -1])
    ways = ("session by session", "in hindsight", "no RTM trade")
    for way, mwh in zip(ways, left, strict=True):
        assert re.search(rf"{way} .* {mwh.sum():.1f}\b", text)
    assert min(mwh.sum() for mwh in left) >= 100 - 0.01  # the least that ``hard`` leaves


def test_the_picture_of_a_plan_shows_what_it_earns_without_hindsight(planned):
    axis = dispatch_plots.day_ahead(planned, synthetic=False).axes[3]
    weights, profit = planned.scenarios.weights, planned.causal_rs / 1e5
    marks = sorted(line.get_xdata()[0] for line in axis.lines)
    assert marks == pytest.approx(sorted([cvar(profit, 0.4, weights), weights @ profit]))
    bars = [bar.get_x() for bar in axis.patches]
    assert min(bars) == pytest.approx(profit.min())
    assert "at the gates" in axis.get_title(loc="left")


# ------------------------------------------------------------------------------ the sheet


def test_a_sheet_by_hand():
    caps = [
        {"effective_from": "2012-01-01", "cap_rs_per_mwh": 12_000.0},
        {"effective_from": "2024-05-02", "cap_rs_per_mwh": 10_000.0},
    ]
    rules = make_params(price_caps=caps, price_floor_rs_per_mwh=5.0).market
    mw = np.zeros(96)
    mw[[0, 50, 95]] = -12.3, 0.1, 50.0
    sheet = bid_sheet(np.datetime64("2024-05-01"), mw, rules)
    assert sheet.to_csv(index=False, lineterminator="\n") == (
        "date,block,start,end,side,mw,limit_price_rs_per_mwh\n"
        "2024-05-01,1,00:00,00:15,buy,12.3,12000.0\n"
        "2024-05-01,51,12:30,12:45,sell,0.1,5.0\n"
        "2024-05-01,96,23:45,24:00,sell,50.0,5.0\n"
    )
    later = bid_sheet(np.datetime64("2024-05-02"), mw, rules)
    assert later["limit_price_rs_per_mwh"].tolist() == [10_000.0, 5.0, 5.0]


def test_a_sheet_of_bids_at_what_they_are_worth_by_hand():
    """In steps of 0.1 MW as alike as can be, those of one price together, a quarter a row."""
    limit = np.full((24, 4), np.nan)
    limit[1], limit[19] = [3000, 2900, 2900, 2500], [4240] * 4
    mw = np.zeros(24)
    mw[[1, 19]] = -0.6, 12.3
    found = worth_sheet(np.datetime64("2024-05-01"), mw, StepBids(mw[None], limit), RULES)
    assert found["block"].tolist() == [5, 5, 5, 6, 6, 6, 7, 7, 7, 8, 8, 8, 77, 78, 79, 80]
    assert found.iloc[:3].to_csv(index=False, lineterminator="\n") == (
        "date,block,start,end,side,mw,limit_price_rs_per_mwh\n"
        "2024-05-01,5,01:00,01:15,buy,0.2,3000.0\n"
        "2024-05-01,5,01:00,01:15,buy,0.2,2900.0\n"
        "2024-05-01,5,01:00,01:15,buy,0.2,2500.0\n"
    )
    assert found.iloc[-1].tolist() == ["2024-05-01", 80, "19:45", "20:00", "sell", 12.3, 4240.0]


def test_bids_at_what_they_are_worth_are_those_of_the_plan(planned, study, tmp_path):
    path = write_worth(RunFolder(tmp_path), planned)
    assert path == tmp_path / "bids" / f"dam_worth_{planned.date}.csv"
    found = pd.read_csv(path)
    signed = found["mw"].where(found["side"] == "sell", -found["mw"])
    back = signed.groupby(found["block"]).sum().reindex(range(1, 97), fill_value=0.0)
    np.testing.assert_allclose(back, np.repeat(planned.bid_mw, 4), atol=1e-9)
    limits = bids_at_worth(
        make_problem(study.params), planned.scenarios, planned.unit_mw, RULES, CAP
    ).limit
    expected = {price for price in limits[planned.bid_mw != 0].ravel()}
    assert set(found["limit_price_rs_per_mwh"]) <= expected
    assert len(found) > len(planned.sheet) or len(expected) > 2


def test_a_day_without_bids_is_a_sheet_with_a_header_alone():
    sheet = bid_sheet(np.datetime64("2024-05-01"), np.zeros(24), make_params().market)
    text = sheet.to_csv(index=False)
    assert text.startswith("date,block,start,end,side,mw,limit_price_rs_per_mwh")
    assert not read_back(text).any()


@pytest.mark.parametrize(("limit", "largest"), [(50.0, 50.0), (49.97, 49.9), (0.3, 0.3)])
def test_a_financial_position_is_rounded_to_the_nearest_step_within_the_connection(limit, largest):
    params = make_params(commitment="financial", connection_limit_mw=limit)
    problem = make_problem(params)
    mw = np.zeros(24)
    mw[[1, 2, 3, 4, 5, 6]] = limit, -limit, 0.04, 0.06, -0.12, -0.18
    plan = dispatch.plan_day(problem, PriceScenarios.single(mw + 9, mw + 9))
    unit_mw, bid_mw = in_bid_steps(problem, replace(plan, dam_mw=mw), 0.1)
    assert unit_mw is None
    expected = np.zeros(24)
    expected[[1, 2, 3, 4, 5, 6]] = largest, -largest, 0.0, 0.1, -0.1, -0.2
    np.testing.assert_array_equal(bid_mw, expected)
    assert not np.signbit(bid_mw[bid_mw == 0]).any()
