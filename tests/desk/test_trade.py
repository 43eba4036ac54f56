"""The next RTM session at its gate: the backtest's own settlement, stopped there."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from other_values import write_params
from small_cases import (
    FIELDS,
    REAL_UNIT,
    SECOND_UNIT,
    UNIT,
    fleet,
    make_market,
    make_params,
    make_study,
    write_study,
)

from bessvpp import battery, ledger
from bessvpp.__main__ import main
from bessvpp.backtest import policies, simulate
from bessvpp.backtest.window import load_window, with_expected_rtm
from bessvpp.desk.bids import price_steps
from bessvpp.desk.gate import models_of_day, session_of
from bessvpp.desk.own_outlook import OwnFile, mean_of_quantiles
from bessvpp.desk.plan import problem_at_gate
from bessvpp.desk.position import read_position, read_trades, schedule_of_plan
from bessvpp.desk.trade import trade_session
from bessvpp.desk.trade_report import describe_session, rest_of_day, write_session
from bessvpp.errors import DataError, MissingArtefactError, ParameterError
from bessvpp.forecasting import intraday
from bessvpp.market import clock
from bessvpp.market.history import Market
from bessvpp.params.load import load_params
from bessvpp.runs import contents
from bessvpp.runs.folder import RunFolder
from bessvpp.settlement.day import CAUSAL

RULES = make_params().market


def with_models(run: RunFolder, study) -> RunFolder:
    """A study's run with models of the RTM within the day, as chapter 2 makes them."""
    write_study(run, study)
    spreads = intraday.spread_training_set(study.market, study.splits.train, RULES)
    often = study.params.forecast.model_copy(update={"retrain_every_days": 3})
    models = intraday.walk_forward_spreads(study.market, study.splits, often, RULES)
    contents.save_intraday(run, models)
    quantiles = intraday.train_quantiles(*spreads, study.params.forecast)
    contents.save_intraday_quantiles(run, quantiles)
    return run


@pytest.fixture(scope="module")
def desk(study, tmp_path_factory) -> RunFolder:
    """The run of ``study``, to trade from."""
    return with_models(RunFolder(tmp_path_factory.mktemp("desk")), study)


def ruled(params, **rules: object):
    """The parameters under other rules of planning and settlement."""
    return params.model_copy(update={"backtest": params.backtest.model_copy(update=rules)})


def gate_of(date: np.datetime64, block: int, n_blocks: int) -> dt.datetime:
    """When the gate of the session that delivers from a block on closes."""
    start = date.astype("M8[m]") + np.timedelta64(block * 24 * 60 // n_blocks - 60, "m")
    return start.astype(dt.datetime)


def traded_at_every_gate(run, market, params, date, unit_mw, midnight_mwh) -> np.ndarray:
    """(U, T) what bids at every gate of a day trade at the realised prices.

    Each call is given the trades that its gate knows; bids not settled yet it reads back.
    """
    n_blocks, row = market.n_blocks, market.index_of(date)
    models = models_of_day(run, market, params, date)
    traded = np.full(unit_mw.shape, np.nan)
    for first in clock.session_starts(params.market, n_blocks):
        known = np.arange(n_blocks) < first - clock.blocks_behind(params.market, n_blocks) + 1
        done = trade_session(
            run,
            market,
            params,
            gate_of(date, first, n_blocks),
            unit_mw,
            np.where(known, traded, np.nan),
            midnight_mwh=midnight_mwh,
            models=models,
        )
        assert done.view.first == first
        write_session(run, done, params.bess)
        for t in range(first, done.view.last):
            traded[:, t] = done.session.traded_mw(t, market.rtm_mcp[row, t])
    return traded


def assert_the_backtests_day(run, market, params, n_days: int) -> None:
    """Gate by gate, a day's trades and its net are those of the causal settlement."""
    window = with_expected_rtm(run, load_window(run, params))
    window = replace(window, days=window.days[:n_days])
    commitments = simulate.commit_chain(window, policies.typical_day)
    settled = simulate.settle_chain(window, commitments, CAUSAL)
    for date, commitment, day in zip(window.days, commitments, settled, strict=True):
        rtm_mw = traded_at_every_gate(
            run, market, params, date, commitment.unit_mw, day.e_start_mwh
        )
        np.testing.assert_allclose(rtm_mw.sum(axis=0), day.rtm_mw, atol=1e-5)
        assert np.abs(day.rtm_mw).max() > 10
        if len(params.bess.units) > 1 and params.backtest.recourse == "expected":
            continue  # who runs what is the programme's choice: trades alone are the desk's
        available = battery.available_share(params.bess, [date], market.n_blocks)
        net_mw = day.discharge_mw - day.charge_mw
        broken = battery.schedule_violations(
            params.bess, net_mw, day.e_start_mwh, market.block_hours, available=available
        )
        assert broken.max() < 1e-5
        done = battery.follow(
            params.bess,
            commitment.unit_mw + rtm_mw,
            day.e_start_mwh,
            market.block_hours,
            available,
        )
        row = market.index_of(date)
        books = ledger.settle(
            params.bess,
            params.market,
            market.block_hours,
            dam=market.dam_mcp[row],
            rtm=market.rtm_mcp[row],
            dam_mw=commitment.dam_mw,
            rtm_mw=rtm_mw.sum(axis=0),
            charge_mw=done.charge_mw,
            discharge_mw=done.discharge_mw,
            undelivered_mw=done.undelivered_mw,
            missing_mwh=day.missing_mwh,
        )
        assert float(books.net_rs) == pytest.approx(float(day.ledger.net_rs), abs=1.0)


# ---------------------------------------------------------------------- the backtest's own days


@pytest.mark.slow
@pytest.mark.parametrize(("recourse", "terminal"), [("dynamic", "value"), ("expected", "hard")])
def test_traded_gate_by_gate_a_day_is_the_backtests_to_the_rupee(study, desk, recourse, terminal):
    params = ruled(study.params, recourse=recourse, terminal=terminal)
    assert_the_backtests_day(desk, study.market, params, 3)


@pytest.fixture(scope="module")
def quarters(tmp_path_factory):
    """A study in quarters of an hour, and its run."""
    params = make_params(calibration_days=14, recalibration_days=14, n_scenarios=4)
    study = make_study(params, make_market(40, 96, bids=True))
    return study, with_models(RunFolder(tmp_path_factory.mktemp("quarters")), study)


@pytest.mark.slow
@pytest.mark.parametrize(("recourse", "terminal"), [("dynamic", "hard"), ("expected", "value")])
def test_so_is_a_day_of_96_blocks(quarters, recourse, terminal):
    study, run = quarters
    params = ruled(study.params, recourse=recourse, terminal=terminal)
    assert_the_backtests_day(run, study.market, params, 3)


@pytest.mark.slow
@pytest.mark.parametrize("recourse", ["dynamic", "expected"])
def test_so_is_a_day_with_all_that_a_battery_has(study, desk, recourse):
    date = study.window.days[0]
    outages = [{"start": f"{date} 18:10", "end": f"{date} 19:00", "power_share": 0.3}]
    unit = REAL_UNIT | {"outages": outages}
    bess = make_params(unit).bess
    params = ruled(study.params.model_copy(update={"bess": bess}), recourse=recourse)
    assert_the_backtests_day(desk, study.market, ruled(params, terminal="value"), 1)


@pytest.mark.slow
def test_so_is_a_day_of_two_units_behind_one_connection(study, desk):
    for recourse in ("dynamic", "expected"):
        rules = {"recourse": recourse, "terminal": "value"}
        params = ruled(study.params.model_copy(update={"bess": fleet().bess}), **rules)
        assert_the_backtests_day(desk, study.market, params, 1)


# ---------------------------------------------------------------------- what a gate knows


def test_a_warranty_has_the_backtests_price_at_a_gate(study, desk):
    params = make_params({"warranty_cycles_per_year": 60.0})
    window = load_window(desk, params)
    of_backtest = window.problem(np.array([100.0]), 1).bess
    found = problem_at_gate(window.known_at_gate(1), params, window.days[1], np.array([100.0]))
    assert found.bess == of_backtest
    assert found.bess.units[0].warranty_price_rs_per_mwh > 0


def test_a_gate_expects_what_the_runs_models_stored_for_it(study, desk):
    """Chapter 2's models, read back and asked for whole days, are what the backtest expects."""
    params, market = study.params, study.market
    window = with_expected_rtm(desk, load_window(desk, params))
    date = window.days[1]
    models = models_of_day(desk, market, params, date)
    fans = intraday.quantile_days(
        contents.load_intraday_quantiles(desk, params.forecast.levels),
        market,
        window.days,
        clock.fan_starts(RULES, 24),
        RULES,
    )
    for k in (0, 1, 14, 23):
        known = market.known_at(gate_of(date, k, 24), RULES)
        seen = models.outlook(known, RULES, k)
        stored = window.expected_rtm[1, : k + 1]
        np.testing.assert_array_equal(seen.view.expected_rtm, stored)
        if k in fans.starts:
            place = list(fans.starts).index(k)
            np.testing.assert_array_equal(seen.fan.values[0, 0], fans.values[1, place])
    np.testing.assert_array_equal(models.law.transition, window.laws[1].transition)
    np.testing.assert_array_equal(models.law.spread_rs, window.laws[1].spread_rs)


def test_nothing_after_the_gate_is_read(study, desk):
    params, market = ruled(study.params, recourse="dynamic"), study.market
    date, first = study.splits.test[1], 14
    gate, row = gate_of(date, first, 24), market.index_of(date)
    schedule = np.zeros((1, 24))
    base = trade_session(desk, market, params, gate, schedule)
    dam, rtm = market.dam_mcp.copy(), market.rtm_mcp.copy()
    rtm[row, first - 1 :], rtm[row + 1 :], dam[row + 1 :] = 1.0, 2.0, 3.0
    later = Market(market.dates, dam, rtm, market.rtm_no_trade, market.extras, False)
    this_noon = market.known_at(gate, RULES)
    for other in (later, this_noon):
        again = trade_session(desk, other, params, gate, schedule)
        np.testing.assert_array_equal(base.session.bid_mw, again.session.bid_mw)
        np.testing.assert_array_equal(base.session.rtm_mw, again.session.rtm_mw)
    rtm[row, first - 2] += 900.0  # known at the gate
    moved = Market(market.dates, dam, rtm, market.rtm_no_trade, market.extras, False)
    again = trade_session(desk, moved, params, gate, schedule)
    assert not np.array_equal(base.view.expected_rtm, again.view.expected_rtm)


def test_a_time_that_is_no_gate_is_told_the_next_one():
    date, place = session_of(dt.datetime(2024, 5, 8, 23, 0), RULES, 96)
    assert (str(date), place) == ("2024-05-09", 0)
    date, place = session_of(dt.datetime(2024, 5, 9, 12, 30), RULES, 96)
    assert (str(date), place) == ("2024-05-09", 27)
    with pytest.raises(ParameterError, match=r"12:40: no session's gate.*closes at 13:00"):
        session_of(dt.datetime(2024, 5, 9, 12, 40), RULES, 96)
    with pytest.raises(ParameterError, match=r"22:30: no session's gate.*closes at 23:00"):
        session_of(dt.datetime(2024, 5, 9, 22, 30), RULES, 24)


# ---------------------------------------------------------------------- what is done already


def at_two(study, desk, **given: object):
    """The session of two o'clock on the fourth test day, under dynamic recourse."""
    params = ruled(study.params, recourse="dynamic", terminal="value")
    gate = gate_of(study.splits.test[3], 14, 24)
    return trade_session(desk, study.market, params, gate, np.zeros((1, 24)), **given)


def test_energy_is_what_trades_leave_unless_it_was_measured(study, desk):
    trades = np.full((1, 24), np.nan)
    trades[0, :13] = 0.0
    trades[0, 3] = -20.0
    left = 100 + 0.96 * 20
    found = at_two(study, desk, trades_mw=trades)
    assert found.session.energy_mwh[0, 13] == pytest.approx(left)
    measured = at_two(study, desk, trades_mw=trades, energy_mwh=np.array([61.5]))
    assert measured.session.energy_mwh[0, 13] == 61.5
    # measured as it was worked out, nothing changes
    same = at_two(study, desk, trades_mw=trades, energy_mwh=np.array([left]))
    np.testing.assert_allclose(same.session.bid_mw, found.session.bid_mw, atol=1e-6)
    # what the midnight before held is read from the plan of the day, where there is one
    assert any("e_start_mwh" in note for note in found.notes)
    later = at_two(study, desk, trades_mw=trades, midnight_mwh=np.array([60.0]))
    assert later.session.energy_mwh[0, 13] == pytest.approx(left - 40)


def test_a_measured_energy_counts_on_expected_prices_too(study, desk):
    params = ruled(study.params, recourse="expected", terminal="value")
    gate = gate_of(study.splits.test[3], 14, 24)
    given = desk, study.market, params, gate, np.zeros((1, 24)), np.zeros((1, 24))
    base, same, low = (
        trade_session(*given, energy_mwh=energy)
        for energy in (None, np.array([100.0]), np.array([24.0]))
    )
    np.testing.assert_allclose(base.session.bid_mw, same.session.bid_mw, atol=1e-5)
    assert low.session.energy_mwh[0, 13] == pytest.approx(24.0)
    assert low.session.energy_mwh.min() >= 20 - 1e-6
    assert not np.allclose(low.session.rtm_mw, base.session.rtm_mw)


@pytest.mark.parametrize("recourse", ["dynamic", "expected"])
def test_what_was_lost_before_an_energy_was_measured_is_not_lost_again(study, desk, recourse):
    bess = make_params({"self_discharge_per_hour": 0.01}).bess
    params = ruled(study.params.model_copy(update={"bess": bess}), recourse=recourse)
    for measured in (61.5, 180.0):
        gate = gate_of(study.splits.test[3], 14, 24)
        given = desk, study.market, params, gate, np.zeros((1, 24)), np.zeros((1, 24))
        session = trade_session(*given, energy_mwh=np.array([measured])).session
        assert session.energy_mwh[0, 13] == pytest.approx(measured, abs=1e-4)


def test_what_is_not_given_is_said(study, desk):
    silent = " ".join(at_two(study, desk).notes)
    assert "No trades are given for 13 of the 13 blocks" in silent
    assert "No bids are known for the block from 13:00 on" in silent
    trades = np.zeros((1, 24))
    told = " ".join(at_two(study, desk, trades_mw=trades).notes)
    assert "No trades" not in told
    assert "left out" not in told
    trades[0, 13:16] = 5.0  # 13:00 is bid at an earlier gate, the hours from 14:00 on at none yet
    told = " ".join(at_two(study, desk, trades_mw=trades).notes)
    assert "Trades are given for 2 blocks from the session on" in told


def test_energy_before_the_day_begins_is_that_of_midnight(study, desk):
    params, gate = study.params, gate_of(study.splits.test[3], 0, 24)
    with pytest.raises(ParameterError, match=r"closes before .* begins.*--midnight"):
        trade_session(
            desk, study.market, params, gate, np.zeros((1, 24)), energy_mwh=np.array([100.0])
        )


def test_a_day_without_its_dam_or_within_training_is_refused(study, desk):
    gate = gate_of(study.splits.train[-1], 14, 24)
    with pytest.raises(DataError, match=r"models .* were trained on days up to"):
        trade_session(desk, study.market, study.params, gate, np.zeros((1, 24)))
    tomorrow = study.market.dates[-1] + 1
    with pytest.raises(DataError, match=f"DAM prices of {tomorrow} are not whole"):
        trade_session(desk, study.market, study.params, gate_of(tomorrow, 1, 24), np.zeros((1, 24)))


# ---------------------------------------------------------------------- outside the rules


@pytest.mark.parametrize("recourse", ["dynamic", "expected"])
@pytest.mark.parametrize("energy", [14.0, 190.0])
def test_energy_outside_the_window_comes_back_first(study, desk, recourse, energy):
    """Whatever the session pays: the whole power until the energy is back, and told so."""
    weak = study.params.bess.units[0].model_copy(update={"p_max_mw": 4.0})
    bess = study.params.bess.model_copy(update={"units": (weak,)})
    params = ruled(study.params.model_copy(update={"bess": bess}), recourse=recourse)
    params = ruled(params, terminal="value")
    gate = gate_of(study.splits.test[3], 14, 24)
    found = trade_session(
        desk,
        study.market,
        params,
        gate,
        np.zeros((1, 24)),
        np.zeros((1, 24)),
        energy_mwh=np.array([energy]),
    )
    back = 4.0 if energy > 180 else -4.0
    np.testing.assert_allclose(found.session.bid_mw, back, atol=1e-5)
    assert set(found.sheet["side"]) == {"sell" if back > 0 else "buy"}
    path = found.session.energy_mwh[0]
    np.testing.assert_allclose(path[13:15], energy, atol=1e-6)
    assert np.abs(path - 100).max() <= abs(energy - 100) + 1e-6  # never further out
    assert any(f"A holds {energy:g} MWh, outside" in note for note in found.notes)


@pytest.mark.parametrize("recourse", ["dynamic", "expected"])
def test_a_target_that_is_out_of_reach_is_come_near_to(study, desk, recourse):
    params = ruled(study.params, recourse=recourse, terminal="hard")
    found = trade_session(
        desk,
        study.market,
        params,
        gate_of(study.splits.test[3], 22, 24),
        np.zeros((1, 24)),
        np.zeros((1, 24)),
        energy_mwh=np.array([25.0]),
    )
    low = trade_session(
        desk,
        study.market,
        params,
        gate_of(study.splits.test[3], 23, 24),
        np.zeros((1, 24)),
        np.zeros((1, 24)),
        energy_mwh=np.array([25.0]),
    )
    assert found.session.energy_mwh[0, -1] >= 100 - 1e-4
    assert not found.session.notes
    assert low.session.energy_mwh[0, -1] == pytest.approx(25 + 50 * 0.96, abs=1e-4)
    (note,) = low.session.notes
    assert "comes as near as 73.00 MWh, 27.00 below" in note
    assert "from 01:00 on, the day after" in note


# ---------------------------------------------------------------------- bids and files


def test_the_steps_of_a_bid_trade_its_curve():
    """Whatever the price, sales at or below it and purchases at or above it add up to the curve."""
    edges = np.array([2000.5, 3000.0, 3000.0, 4500.2])
    curve = np.array([-50.0, -12.34, 0.0, 7.19, 50.0])
    steps = price_steps(edges, curve, RULES, 10_000.0)
    assert [step for step in steps if step[0] == "buy"] == [
        ("buy", 37.7, 2000.0),
        ("buy", 12.3, 3000.0),
    ]
    for price in (0.0, 2000.0, 2001.0, 3000.0, 3001.0, 4500.0, 4501.0, 10_000.0):
        sold = sum(mw for side, mw, limit in steps if side == "sell" and limit <= price)
        bought = sum(mw for side, mw, limit in steps if side == "buy" and limit >= price)
        wanted = curve[(edges < price).sum()]
        whole = np.sign(wanted) * np.floor(abs(wanted) * 10 + 1e-6) / 10
        assert sold - bought == pytest.approx(whole)


def test_a_quantity_is_bid_at_any_price():
    assert price_steps(np.zeros(0), np.array([12.38]), RULES, 9_000.0) == [("sell", 12.3, 0.0)]
    assert price_steps(np.zeros(0), np.array([-0.1]), RULES, 9_000.0) == [("buy", 0.1, 9_000.0)]
    assert price_steps(np.zeros(0), np.array([0.04]), RULES, 9_000.0) == []


def test_a_session_is_written_and_told(study, desk, tmp_path):
    params = ruled(study.params, recourse="dynamic", terminal="value")
    found = at_two(study, desk, trades_mw=np.zeros((1, 24)), energy_mwh=np.array([150.0]))
    run = RunFolder(tmp_path)
    path = write_session(run, found, params.bess)
    date = study.splits.test[3]
    assert path == tmp_path / "bids" / f"rtm_{date}_1400.csv"
    kept = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    np.testing.assert_array_equal(kept["bids"][0]["unit_rtm_mw"], found.session.bid_mw[:, 0])
    np.testing.assert_array_equal(kept["expected_rtm_rs_per_mwh"], found.view.expected_rtm[-1, 14:])
    rest = rest_of_day(found, params.bess)
    assert len(rest) == 10
    # what is planned keeps the battery's rules, and its energy is that of its flow
    unit = params.bess.units[0]
    path_mwh = battery.energy_path(
        unit, rest["A_mw"].to_numpy(), found.session.energy_mwh[0, 14], 1
    )
    np.testing.assert_allclose(rest["A_end_mwh"], path_mwh, atol=1e-2)
    net = rest["dam_mw"] + rest["rtm_mw"]
    np.testing.assert_allclose(net, rest["A_mw"], atol=1e-3)
    told = describe_session(found, study.market, params)
    assert f"Session of 14:00 to 15:00 on {date}, gate 13:00" in told
    assert "dynamic recourse" in told
    assert f"(it will hold {found.session.energy_mwh[0, 15]:.1f} MWh)" in told
    assert f"{len(found.sheet)} bids in steps of 0.1 MW, limits in Rs/MWh:" in told


def test_energy_is_worth_less_the_more_is_stored(study, desk):
    (worth,) = at_two(study, desk).session.worth
    slopes = np.diff(worth.value_rs) / np.diff(worth.energy_mwh)
    assert (np.diff(slopes) < 1e-6).all()
    assert worth.slope_rs_per_mwh(21.0) == pytest.approx(slopes[0])
    assert worth.slope_rs_per_mwh(180.0) == pytest.approx(slopes[-1])
    assert slopes[0] > slopes[-1] > 0


@pytest.fixture(scope="module")
def typed(desk, tmp_path_factory) -> RunFolder:
    """The run with a manifest, to be named on a command line."""
    files = write_params(tmp_path_factory.mktemp("files"), FIELDS)
    sections = load_params(files).model_dump(mode="json")
    parameters = {"knobs": {"data": ""}, "given": [], "folder": str(files), "sections": sections}
    desk.write_json("manifest.json", {"status": "complete", "parameters": parameters})
    return desk


def test_a_session_is_bid_from_the_command_line(study, typed, tmp_path, capsys):
    date, schedule, trades = study.splits.test[3], tmp_path / "dam.csv", tmp_path / "rtm.csv"
    starts = pd.date_range(str(date), periods=24, freq="h")
    dam = pd.DataFrame({"delivery_start": starts, "dam_mw": np.where(np.arange(24) == 19, 40, 0)})
    dam.to_csv(schedule, index=False)
    trades.write_text("delivery_start,rtm_mw\n", encoding="utf-8")
    words = ["trade", "--outputs", str(typed.path), "--gate", f"{date} 15:00"]
    given = ["--schedule", str(schedule), "--trades", str(trades), "--energy", "84"]
    assert main([*words, *given]) == 0
    told = capsys.readouterr().out
    assert f"Session of 16:00 to 17:00 on {date}, gate 15:00" in told
    assert "Outcomes known to 15:00. Stored, MWh: 84.0 at 15:00, 84.0 at 16:00, " in told
    assert "At 15:00 schedule and trades would have left 100 MWh; the 84 given count." in told
    assert "sessions of 30 minutes within the hour are bid alike, the last of them by 15:30" in told
    sheet = pd.read_csv(typed.path / "bids" / f"rtm_{date}_1600.csv")
    assert set(sheet["block"]) <= {65, 66, 67, 68}
    rest = pd.read_csv(typed.path / "bids" / f"rest_{date}_1600.csv")
    assert rest["dam_mw"].tolist() == [0, 0, 0, 40, 0, 0, 0, 0]
    # what a unit that is out cannot run is bought back
    out = ["--outage", "A", f"{date} 17:30", f"{date} 21:00"]
    assert main([*words, *given, *out]) == 0
    assert f"A: no power from {date} 17:30 to {date} 21:00." in capsys.readouterr().out
    rest = pd.read_csv(typed.path / "bids" / f"rest_{date}_1600.csv")
    assert rest["rtm_mw"][3] == pytest.approx(-40)
    assert rest["A_mw"][1:5].abs().max() == pytest.approx(0)
    assert main([*words, *given, *out[:2], "17:30", "21:00"]) == ParameterError.exit_code
    # what has no bearing on a session is said, what is wrong is refused
    other = write_params(tmp_path / "other", FIELDS | {"risk": FIELDS["risk"] | {"alpha": 0.3}})
    assert main([*words, *given, "--params", str(other)]) == 0
    assert "alpha decide on a day-ahead plan" in capsys.readouterr().err
    assert main([*words, "--energy", "84"]) == MissingArtefactError.exit_code
    assert main([*words[:-1], f"{date} 15:20", *given]) == ParameterError.exit_code
    assert main([*words[:-1], "15:00", *given]) == ParameterError.exit_code


# ---------------------------------------------------------------------- position files

DAY = np.datetime64("2024-05-09")


def rows(values, name="dam_mw", minutes=60) -> str:
    starts = [DAY.astype("M8[m]") + np.timedelta64(t * minutes, "m") for t in range(len(values))]
    lines = [f"{start}:00,{value}" for start, value in zip(starts, values, strict=True)]
    return "\n".join([f"delivery_start,{name}", *lines, ""])


def test_a_position_is_read_in_hours_and_quarters(tmp_path):
    bess, path = make_params().bess, tmp_path / "position.csv"
    path.write_text(rows(range(24)), encoding="utf-8")
    np.testing.assert_array_equal(read_position(path, DAY, 24, bess), [np.arange(24)])
    path.write_text(rows(np.repeat(range(24), 4), "A_mw", 15), encoding="utf-8")
    np.testing.assert_array_equal(read_position(path, DAY, 24, bess), [np.arange(24)])
    two = fleet().bess
    path.write_text(rows(range(24)), encoding="utf-8")
    found = read_position(path, DAY, 24, two)
    np.testing.assert_allclose(found.sum(axis=0), np.arange(24))
    # what a plant sold while one of its units is out is the other's to deliver
    out = UNIT | {"outages": [{"start": f"{DAY} 18:00", "end": f"{DAY} 19:00"}]}
    one_out = fleet(units=[out, SECOND_UNIT]).bess
    found = read_position(path, DAY, 24, one_out)
    np.testing.assert_allclose(found[:, 18], [0, 18])
    np.testing.assert_allclose(found[:, 17], [17 * 5 / 7, 17 * 2 / 7])


def test_a_plants_position_is_not_shared_to_a_unit_that_is_out(tmp_path):
    """30 MW over 50 and 20 MW; the smaller unit out from five to six."""
    out = {"outages": [{"start": f"{DAY} 05:00", "end": f"{DAY} 06:00"}]}
    bess, path = fleet(units=[UNIT, SECOND_UNIT | out]).bess, tmp_path / "position.csv"
    path.write_text(rows([30.0] * 24), encoding="utf-8")
    expected = np.tile([[30 * 5 / 7], [30 * 2 / 7]], 24)
    expected[:, 5] = 30.0, 0.0
    np.testing.assert_allclose(read_position(path, DAY, 24, bess), expected)
    path.write_text(rows([30.0] * 24, "rtm_mw"), encoding="utf-8")
    np.testing.assert_allclose(read_trades(path, DAY, 24, bess), expected)


def test_a_position_that_lacks_blocks_is_refused_with_the_first_one(tmp_path):
    bess, path = make_params().bess, tmp_path / "position.csv"
    path.write_text(rows(range(20)), encoding="utf-8")
    with pytest.raises(DataError, match=r"position.csv: 2024-05-09 has no position for 20:00"):
        read_position(path, DAY, 24, bess)
    with pytest.raises(DataError, match="has no row of 2024-05-10"):
        read_position(path, DAY + 1, 24, bess)
    path.write_text(rows(range(24), "power"), encoding="utf-8")
    with pytest.raises(DataError, match="column 'power' is unknown"):
        read_position(path, DAY, 24, bess)


def test_a_bid_sheet_is_a_position_if_it_has_one_price_a_block(tmp_path):
    bess, path = make_params().bess, tmp_path / "dam.csv"
    head = "date,block,start,end,side,mw,limit_price_rs_per_mwh\n"
    lines = [f"{DAY},{block},,,sell,30.0,0.0\n" for block in range(77, 81)]
    path.write_text(head + "".join(lines) + f"{DAY},5,,,buy,8.0,10000.0\n", encoding="utf-8")
    found = read_position(path, DAY, 24, bess)[0]
    assert (found[19], found[1], np.abs(found).sum()) == (30.0, -2.0, 32.0)
    path.write_text(head + lines[0] + lines[0].replace("0.0\n", "900.0\n"), encoding="utf-8")
    with pytest.raises(DataError, match="block 77 is bid at several prices"):
        read_position(path, DAY, 96, bess)
    with pytest.raises(DataError, match="is the sheet of 2024-05-09: give that of 2024-05-10"):
        read_position(path, DAY + 1, 96, bess)


def test_trades_may_be_empty_or_of_other_days(tmp_path):
    bess, path = make_params().bess, tmp_path / "trades.csv"
    for text in ("", "delivery_start,rtm_mw\n", rows([5.0, -3.0], "rtm_mw")):
        path.write_text(text, encoding="utf-8")
        assert np.isnan(read_trades(path, DAY + 1, 24, bess)).all()
    found = read_trades(path, DAY, 24, bess)
    np.testing.assert_array_equal(found[0, :3], [5.0, -3.0, np.nan])
    path.write_text(rows([5.0, 5.0], "rtm_mw", 15), encoding="utf-8")
    with pytest.raises(DataError, match="only some of the quarters from 00:00 on"):
        read_trades(path, DAY, 24, bess)


def test_trades_that_are_not_there_or_in_kilowatts_are_refused(tmp_path):
    bess, path = make_params().bess, tmp_path / "trades.csv"
    with pytest.raises(DataError, match=r"trades\.csv is not there: check the path"):
        read_trades(path, DAY, 24, bess)
    for read, column, mw in (
        (read_trades, "rtm_mw", [5000.0]),
        (read_position, "dam_mw", [5000.0] * 24),
    ):
        path.write_text(rows(mw, column), encoding="utf-8")
        with pytest.raises(DataError, match="goes to 5000 on a connection of 50 MW: is it in kW"):
            read(path, DAY, 24, bess)


def test_the_schedule_is_that_of_the_plan(tmp_path):
    run = RunFolder(tmp_path)
    with pytest.raises(MissingArtefactError, match=f"plan {DAY} first"):
        schedule_of_plan(run, DAY)
    sheet = run.write_text(f"bids/dam_{DAY}.csv", "")
    assert schedule_of_plan(run, DAY) == sheet
    schedule = run.write_text(f"bids/schedule_{DAY}.csv", "")
    assert schedule_of_plan(run, DAY) == schedule


# ------------------------------------------------------------------------------ own forecasts


def own_paths(date, n_blocks=24) -> pd.DataFrame:
    """Two paths of a day: the RTM 1,000 below and 3,000 above its own hour's thousand."""
    starts = np.repeat(pd.date_range(str(date), periods=n_blocks, freq="h"), 2)
    rtm = np.repeat(1000.0 + 100.0 * np.arange(n_blocks), 2) + np.tile([0.0, 400.0], n_blocks)
    told = {"delivery_start": starts, "scenario": np.tile(["a", "b"], n_blocks)}
    return pd.DataFrame(told | {"dam": 2000.0, "rtm": rtm})


def session_with(desk, study, own=None, block=14):
    date = study.splits.test[3]
    unit_mw = np.zeros((len(study.params.bess.units), 24))
    return trade_session(
        desk,
        study.market,
        study.params,
        gate_of(date, block, 24),
        unit_mw,
        midnight_mwh=battery.start_energy(study.params.bess),
        own=own,
    )


def test_own_paths_are_expected_from_the_session_on_by_hand(desk, study, tmp_path):
    frame = own_paths(study.splits.test[3])
    frame.to_csv(tmp_path / "mine.csv", index=False)
    ours = session_with(desk, study)
    own = session_with(desk, study, OwnFile(tmp_path / "mine.csv", is_paths=True))
    expected = own.view.expected_rtm
    np.testing.assert_allclose(expected[-1, 14:], 1200.0 + 100.0 * np.arange(14, 24))
    np.testing.assert_array_equal(expected[:-1], ours.view.expected_rtm[:-1])
    middle = own.outlook.fan.values[0, 0, 14:, own.outlook.fan.levels.index(0.5)]
    np.testing.assert_allclose(middle, 1200.0 + 100.0 * np.arange(14, 24))
    assert "assumed (it has no made_at)" in "".join(own.notes)
    assert not np.allclose(own.session.rtm_mw, ours.session.rtm_mw)


def test_own_quantiles_have_the_mean_of_their_lines_by_hand():
    values = np.array([[0.0, 10.0], [100.0, 10.0], [400.0, 10.0]])
    # a tenth at 0, .4 from 0 to 100, .4 from 100 to 400, a tenth at 400
    found = mean_of_quantiles(values, (0.1, 0.5, 0.9))
    np.testing.assert_allclose(found, [0.4 * 50 + 0.4 * 250 + 0.1 * 400, 10.0])


def test_own_quantiles_trade_as_the_models_that_they_are(desk, study, tmp_path):
    """Given back what the run's quantiles are, the fan is the same; the mean is theirs."""
    ours, levels = session_with(desk, study), study.params.forecast.levels
    fan = np.nan_to_num(ours.outlook.fan.values[0, 0], nan=1000.0)
    rows = []
    for t, start in enumerate(pd.date_range(str(ours.date), periods=24, freq="h")):
        named = {f"q{round(100 * level):02d}": fan[t, k] for k, level in enumerate(levels)}
        rows += [{"delivery_start": start, "market": name} | named for name in ("dam", "rtm")]
    pd.DataFrame(rows).to_parquet(tmp_path / "mine.parquet", index=False)
    own = session_with(desk, study, OwnFile(tmp_path / "mine.parquet", is_paths=False))
    np.testing.assert_array_equal(own.outlook.fan.values, ours.outlook.fan.values)
    expected = mean_of_quantiles(fan.T, levels)
    np.testing.assert_allclose(own.view.expected_rtm[-1, 14:], expected[14:])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"made_at": "2023-01-01 00:00"}, None),
        ({"made_at": "after"}, "is after its gate"),
        ({"delivery_start": "other day"}, "has no forecast of"),
    ],
)
def test_what_was_made_after_the_gate_or_lacks_the_day_is_refused(
    desk, study, tmp_path, change, told
):
    date = study.splits.test[3]
    frame = own_paths(date + 1 if "delivery_start" in change else date)
    if "made_at" in change:
        late = gate_of(date, 14, 24) + dt.timedelta(minutes=1)
        frame["made_at"] = str(late) if change["made_at"] == "after" else change["made_at"]
    frame.to_csv(tmp_path / "mine.csv", index=False)
    given = OwnFile(tmp_path / "mine.csv", is_paths=True)
    if told is None:
        assert "no row of its made_at is later" in "".join(session_with(desk, study, given).notes)
        return
    with pytest.raises(DataError, match=told):
        session_with(desk, study, given)
