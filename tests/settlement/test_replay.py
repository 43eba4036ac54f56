"""Somebody's schedule, settled by hand and by an independent programme."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import yaml
from edge_cases import edge_params
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from other_values import OTHER, fields_with
from scipy.optimize import linprog
from small_cases import (
    DAY,
    FIELDS,
    REAL_UNIT,
    UNIT,
    fleet,
    make_market,
    make_params,
    make_problem,
    make_window,
    price_scenarios,
)

from bessvpp import battery
from bessvpp.__main__ import main
from bessvpp.backtest import policies
from bessvpp.backtest.simulate import commit_chain, settle_chain
from bessvpp.errors import DataError, ParameterError
from bessvpp.files import PROJECT_ROOT
from bessvpp.optimizer.bid_steps import round_to_steps
from bessvpp.optimizer.dispatch import plan_day
from bessvpp.optimizer.problem import Problem
from bessvpp.params.load import DeskParams, load_desk
from bessvpp.params.market import Costs
from bessvpp.prices import PriceScenarios
from bessvpp.settlement.day import HINDSIGHT
from bessvpp.settlement.replay import replay
from bessvpp.settlement.schedule import read_schedule

STUDY = PROJECT_ROOT / "params" / "desks" / "public_study.yaml"
ETA = 0.9487
ENDS = ("e_min_mwh", "e_max_mwh")
CONSTANT = (("fee_dam", "mwh"), ("scheduling", "day"), ("aux", "mwh"))


def write_prices(path, dam, rtm, first="2025-03-01"):
    """Hourly prices (D, 24) as a tidy CSV."""
    starts = pd.date_range(first, periods=np.size(dam), freq="h").strftime("%Y-%m-%d %H:%M")
    columns = {"dam_mcp_rs_mwh": np.ravel(dam), "rtm_mcp_rs_mwh": np.ravel(rtm)}
    pd.DataFrame({"delivery_start": starts} | columns).to_csv(path, index=False)
    return path


def write_schedule(path, dam_mw, first="2025-03-01", **columns):
    """Hourly schedule (D, 24) as a CSV."""
    starts = pd.date_range(first, periods=np.size(dam_mw), freq="h").strftime("%Y-%m-%d %H:%M")
    columns = {name: np.ravel(values) for name, values in columns.items()}
    frame = pd.DataFrame({"delivery_start": starts, "dam_mw": np.ravel(dam_mw)} | columns)
    frame.to_csv(path, index=False)
    return path


def desk_of(params, terminal="free") -> DeskParams:
    """Desk with the costs of some parameters, booked and planned alike."""
    costs = {key: getattr(params.market, key) for key in Costs.model_fields}
    return DeskParams(bess=params.bess, booked=costs, planned=costs, terminal=terminal)


@pytest.fixture
def files(tmp_path):
    def make(dam, rtm, dam_mw, first="2025-03-01", **columns):
        prices = write_prices(tmp_path / "prices.csv", dam, rtm, first)
        schedule = write_schedule(tmp_path / "schedule.csv", dam_mw, first, **columns)
        return prices, schedule

    return make


def two_days(seed=0):
    scenarios = price_scenarios(2, 24, seed=seed)
    return np.round(scenarios.dam, 2), np.round(scenarios.rtm, 2)


def one_sale():
    """(1, 24): 30 MW bought at noon, 20 MW sold in the evening."""
    dam_mw = np.zeros((1, 24))
    dam_mw[0, 12], dam_mw[0, 19] = -30.0, 20.0
    return dam_mw


def study_recourse(dam, rtm, dam_mw, e_start_mwh):
    """(net flow (24,), end energy) of the study's recourse, stated afresh with scipy.

    Columns: RTM sale, RTM purchase, charge, discharge, 24 each; energy by cumulated sums.
    """
    n, fee, flat, wear, off = 24, 200.0, 135.0, 650.0, 10.0
    cost = np.concatenate(
        [-rtm + off, rtm + off, np.full(n, fee + flat), np.full(n, fee + flat + wear)]
    )
    eye, zero, cumulated = np.eye(n), np.zeros((n, n)), np.tri(n)
    balance = np.hstack([-eye, eye, -eye, eye])  # discharge - charge - sale + purchase = DAM
    stored = np.hstack([zero, zero, ETA * cumulated, -cumulated / ETA])
    solved = linprog(
        cost,
        A_ub=np.vstack([stored, -stored]),
        b_ub=np.concatenate([np.full(n, 180 - e_start_mwh), np.full(n, e_start_mwh - 20)]),
        A_eq=balance,
        b_eq=dam_mw,
        bounds=[(0, None)] * (2 * n) + [(0, 50)] * (2 * n),
    )
    assert solved.status == 0
    sale, purchase, charge, discharge = np.split(solved.x, 4)
    return sale - purchase, charge, discharge, e_start_mwh + (stored @ solved.x)[-1]


def test_the_public_study_is_reproduced_by_an_independent_programme(files):
    """Two chained days: the study's recourse and its accounts, stated without this package."""
    dam, rtm = two_days()
    dam_mw = np.zeros((2, 24))
    dam_mw[:, 3:5], dam_mw[:, 18:20] = -35.0, 40.0
    prices, schedule = files(dam, rtm, dam_mw)
    report = replay(read_schedule(schedule), prices, make_params().market, load_desk(STUDY))
    energy, net = 100.0, []
    for day in range(2):
        rtm_mw, charge, discharge, energy = study_recourse(dam[day], rtm[day], dam_mw[day], energy)
        flow = charge + discharge
        deviation = 0.03 * flow * np.minimum((dam[day] + rtm[day] + 5000) / 3, 8000)
        gross = dam[day] @ dam_mw[day] + rtm[day] @ rtm_mw
        costs = 200 * flow.sum() + 650 * discharge.sum() + deviation.sum()
        net.append(gross - costs - 2000 - 1.8 * flow.sum())
        entry = report["days"][day]
        assert entry["gross_rs"] == pytest.approx(gross, rel=1e-6)
        assert entry["deviation_rs"] == pytest.approx(deviation.sum(), rel=1e-5)
        assert entry["physical_mwh"] == pytest.approx(flow.sum(), rel=1e-6)
        assert entry["e_end_mwh"] == pytest.approx(energy, abs=1e-4)
        assert entry["net_rs"] == pytest.approx(net[-1], rel=1e-6)
    assert report["total"]["net_rs"] == pytest.approx(sum(net), rel=1e-6)
    assert report["days"][1]["e_start_mwh"] == report["days"][0]["e_end_mwh"]
    assert "hindsight" in report["rules"]["recourse"]


def test_a_power_that_was_run_is_settled_by_hand(files):
    dam, rtm = np.full((1, 24), 3000.0), np.full((1, 24), 4000.0)
    physical = np.zeros((1, 24))
    physical[0, 12], physical[0, 19] = -30.0, 25.0  # 5 MW more than committed, by the RTM
    prices, schedule = files(dam, rtm, one_sale(), physical_mw=physical)
    params = make_params()
    report = replay(read_schedule(schedule), prices, params.market, desk_of(params))
    day, costs = report["days"][0], params.market
    gross = 3000 * (20 - 30) + 4000 * 5
    assert day["gross_rs"] == pytest.approx(gross)
    fees = costs.fee_dam_rs_per_mwh * 50 + costs.fee_rtm_rs_per_mwh * 5
    assert day["fee_dam_rs"] + day["fee_rtm_rs"] == pytest.approx(fees)
    assert day["wear_rs"] == pytest.approx(25 * params.bess.units[0].wear_rs_per_mwh_discharged)
    assert day["traded_mwh"] == pytest.approx(55)
    assert day["physical_mwh"] == pytest.approx(55)
    assert day["cycles"] == pytest.approx(25 / 200)  # of the nameplate
    assert day["e_end_mwh"] == pytest.approx(100 + 30 * 0.96 - 25 / 0.92)
    assert day["net_rs"] == pytest.approx(
        gross - sum(v for k, v in day.items() if k.startswith(("fee", "sch", "wear", "dev")))
    )
    assert "hindsight" not in report["rules"]["recourse"]


def test_what_is_sold_in_one_market_and_bought_in_the_other_is_traded_twice(files):
    """5 MW of the sale are bought back in the RTM, and 8 of the purchase sold there."""
    physical = np.zeros((1, 24))
    physical[0, 12], physical[0, 19] = -22.0, 15.0
    prices, schedule = files(
        np.full((1, 24), 3000.0), np.full((1, 24), 4000.0), one_sale(), physical_mw=physical
    )
    params = make_params()
    report = replay(read_schedule(schedule), prices, params.market, desk_of(params))
    for entry in (report["days"][0], report["total"]):
        assert entry["traded_mwh"] == pytest.approx(30 + 20 + 8 + 5)
        assert entry["physical_mwh"] == pytest.approx(22 + 15)
        assert entry["fee_rtm_rs"] == pytest.approx(params.market.fee_rtm_rs_per_mwh * 13)
        assert entry["gross_rs"] == pytest.approx(3000 * (20 - 30) + 4000 * (8 - 5))


def test_a_difference_without_rtm_trade_is_a_deviation_from_the_schedule(tmp_path):
    starts = pd.date_range("2025-03-01", periods=96, freq="15min")
    quiet = np.zeros(96)
    idle = np.arange(96) // 2 == 30  # one session without trade: all zeros
    rtm = pd.DataFrame({"delivery_start": starts.strftime("%Y-%m-%d %H:%M")})
    rtm["dam_mcp_rs_mwh"] = 3000.0
    rtm["rtm_mcp_rs_mwh"], rtm["rtm_mcv_mw"] = np.where(idle, 0, 4000.0), np.where(idle, 0, 90.0)
    rtm.to_csv(tmp_path / "prices.csv", index=False)
    rtm["dam_mw"], rtm["physical_mw"] = np.where(idle, 20.0, 0.0), quiet
    rtm[["delivery_start", "dam_mw", "physical_mw"]].to_csv(tmp_path / "s.csv", index=False)
    params = make_params()
    report = replay(
        read_schedule(tmp_path / "s.csv"), tmp_path / "prices.csv", params.market, desk_of(params)
    )
    day = report["days"][0]
    assert day["undelivered_mwh"] == pytest.approx(10.0)
    assert day["rtm_revenue_rs"] == 0
    fee = max(params.market.fee_dam_rs_per_mwh, params.market.fee_rtm_rs_per_mwh)
    assert day["deviation_rs"] == pytest.approx(10 * (3000 + fee))


def test_a_schedule_that_no_battery_could_follow_is_counted_with_its_first_block(files):
    dam, rtm = two_days()
    dam_mw = np.zeros((2, 24))
    dam_mw[0, 1:3] = 40.0  # 80 MWh of 73.6 that can be sold from 100
    dam_mw[1, 5] = -10.0
    prices, schedule = files(
        dam, rtm, dam_mw, soc_start_mwh=[100.0] + [""] * 23 + [60.0] + [""] * 23
    )
    params = make_params()
    report = replay(read_schedule(schedule), prices, params.market, desk_of(params))
    assert [day["dam_feasible"] for day in report["days"]] == [False, True]
    assert report["days"][0]["dam_first_breach"] == "02:00"
    assert report["total"]["infeasible_dam_days"] == 1
    assert report["days"][1]["e_start_mwh"] == 60.0
    # Under 'hard' the schedule alone must come back to the target of 100.
    report = replay(read_schedule(schedule), prices, params.market, desk_of(params, "hard"))
    assert report["days"][1]["dam_first_breach"] == "23:00"


def test_units_share_a_schedule_that_none_could_follow_alone(files):
    dam, rtm = two_days()
    dam_mw = np.zeros((2, 24))
    dam_mw[0, 8], dam_mw[0, 9] = 58.0, 20.0  # A sells 50 and 20, B 8: its stock has 12 to give
    dam_mw[1, 8] = 61.0  # more than the connection of 60
    prices, schedule = files(dam, rtm, dam_mw)
    params = fleet()
    report = replay(read_schedule(schedule), prices, params.market, desk_of(params))
    assert [day["dam_feasible"] for day in report["days"]] == [True, False]
    assert report["days"][1]["dam_first_breach"] == "08:00"


def test_a_power_that_breaks_the_battery_is_refused_with_its_first_block(files):
    dam, rtm = np.full((1, 24), 3000.0), np.full((1, 24), 4000.0)
    physical = np.zeros((1, 24))
    physical[0, 6:9] = 45.0  # 73.6 MWh can be sold from 100: the second hour has 28.6 left
    prices, schedule = files(dam, rtm, one_sale(), physical_mw=physical)
    params = make_params()
    with pytest.raises(DataError, match=r"physical_mw 45 on 2025-03-01 at 07:00 .* 28\.6 MW"):
        replay(read_schedule(schedule), prices, params.market, desk_of(params))


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edge_params(["physical"]), st.sampled_from(["hard", "free"]), st.integers(0, 99))
def test_bids_of_a_battery_on_its_edges_are_replayed_without_a_breach(
    files, params, terminal, seed
):
    dam, rtm = (np.maximum(price, 1.0) for price in two_days(seed))  # 0 is no price by itself
    params = params.model_copy(
        update={
            "backtest": params.backtest.model_copy(update={"terminal": terminal, "midnight": "own"})
        }
    )
    problem = Problem.of_day(params, block_hours=1.0)
    plan = plan_day(problem, PriceScenarios.single(dam[0], rtm[0]))
    bids = round_to_steps(problem, plan.unit_dam_mw.round(6), 0.1).sum(axis=0).round(1)
    prices, schedule = files(dam[:1], rtm[:1], bids)
    desk = desk_of(params, terminal)
    (day,) = replay(read_schedule(schedule), prices, params.market, desk)["days"]
    assert day["dam_feasible"]
    assert day["undelivered_mwh"] < 1e-6
    prices, schedule = files(dam[:1], rtm[:1], bids, physical_mw=bids)
    (day,) = replay(read_schedule(schedule), prices, params.market, desk)["days"]
    assert day["rtm_revenue_rs"] == pytest.approx(0.0, abs=1.0)
    window = [sum(getattr(unit, key) for unit in params.bess.units) for key in ENDS]
    assert window[0] - 1e-4 <= day["e_end_mwh"] <= window[1] + 1e-4


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([24, 96]),
    st.sampled_from(["free", "hard"]),
    st.floats(40.0, 160.0),
    st.integers(0, 99),
)
def test_bids_of_a_battery_with_all_that_one_has_are_replayed_without_a_breach(
    files, n_blocks, terminal, start, seed
):
    unit = REAL_UNIT | {"e_start_mwh": round(start, 1)}
    params = make_params(unit, terminal=terminal, midnight="plan")
    fan = price_scenarios(2, n_blocks, seed=seed)
    problem = make_problem(params, n_blocks)
    unit_mw = round_to_steps(problem, plan_day(problem, fan).unit_dam_mw, 0.1)
    broken = battery.schedule_violations(
        params.bess, unit_mw, problem.e_start_mwh, 24 / n_blocks, None, problem.available
    )
    assert broken.max() < battery.FEASIBILITY_TOLERANCE_MWH
    if n_blocks == 96:  # the files of these tests are hourly
        return
    dam, rtm = (np.tile(np.maximum(price[0], 1.0), (2, 1)) for price in (fan.dam, fan.rtm))
    schedule = unit_mw.sum(axis=0).round(6)
    prices, path = files(dam, rtm, np.stack([schedule, 0 * schedule]), first=DAY)
    day = replay(read_schedule(path), prices, params.market, desk_of(params))["days"][0]
    assert day["dam_feasible"], day
    assert day["undelivered_mwh"] < 1e-5
    assert day["aux_rs"] > 0


@pytest.mark.parametrize("terminal", ["value", "hard"])
def test_a_backtest_with_hindsight_is_replayed_to_the_rupee(files, terminal):
    """Energy left at midnight counts as it does there, by the days before in the price file."""
    market = make_market(12, seed=1)
    params = make_params(terminal=terminal, midnight="plan", policies=["yesterday"])
    window = make_window(params, market, first=9)
    committed = commit_chain(window, policies.yesterday)
    settled = settle_chain(window, committed, HINDSIGHT)
    prices, _ = files(market.dam_mcp, market.rtm_mcp, one_sale(), first="2024-03-01")
    _, schedule = files(
        market.dam_mcp,
        market.rtm_mcp,
        np.array([day.dam_mw for day in committed]),
        first="2024-03-10",
    )
    write_prices(prices, market.dam_mcp, market.rtm_mcp, first="2024-03-01")
    desk = desk_of(params, terminal)
    days = replay(read_schedule(schedule), prices, params.market, desk)["days"]
    assert [day["date"] for day in days] == window.days.astype(str).tolist()
    for day, own in zip(days, settled, strict=True):
        assert day["net_rs"] == pytest.approx(float(own.ledger.net_rs), abs=1.0)
        assert day["e_end_mwh"] == pytest.approx(own.e_end_mwh.sum(), abs=1e-4)


def test_the_first_days_of_a_price_file_value_energy_by_their_own_prices(files):
    """The RTM is far below the DAM: it is bought for what the DAM pays, not for nothing."""
    dam, rtm = np.full((1, 24), 3000.0), np.full((1, 24), 100.0)
    prices, schedule = files(dam, rtm, np.zeros((1, 24)))
    params = make_params()
    kept = replay(read_schedule(schedule), prices, params.market, desk_of(params, "value"))
    sold = replay(read_schedule(schedule), prices, params.market, desk_of(params, "free"))
    assert kept["days"][0]["e_end_mwh"] == pytest.approx(180.0)  # bought at 100 to be worth 3000
    assert sold["days"][0]["e_end_mwh"] < 100.1


def test_a_hurdle_is_refused_where_prices_are_known(tmp_path):
    path = tmp_path / "desk.yaml"
    text = STUDY.read_text(encoding="utf-8")
    path.write_text(text.replace("planned:", "planned:\n  hurdle_rtm_rs_per_mwh: 50.0", 1), "utf-8")
    with pytest.raises(ParameterError, match=r"desk\.yaml: .*planned: a hurdle"):
        load_desk(path)


def test_each_value_of_a_desk_changes_its_books_or_is_refused(files, tmp_path):
    dam, rtm = (np.maximum(price, 1.0) for price in two_days())
    rtm[0, 12:16], rtm[1, 12:16] = 1.0, 9000.0
    dam_mw = np.zeros((2, 24))
    dam_mw[:, 3:5], dam_mw[:, 12:15], dam_mw[:, 18:21] = -50.0, 20.0, 50.0
    prices, schedule = files(dam, rtm, dam_mw)
    path, silent = tmp_path / "desk.yaml", []

    def books(desk: dict) -> list:
        path.write_text(yaml.safe_dump(desk), "utf-8")
        return replay(read_schedule(schedule), prices, make_params().market, load_desk(path))[
            "days"
        ]

    own = [key for key in OTHER["market"] if key.partition(".")[0] in Costs.model_fields]
    idle = {"units.name"}  # a name is a name
    # of a given DAM schedule these are the same whatever its recourse does
    idle |= {f"{key}_rs_per_{of} in planned" for key, of in CONSTANT}
    cases = [("bess", key, "") for key in OTHER["bess"]]
    cases += [("market", key, part) for key in own for part in ("booked", "planned")]
    for section, key, part in cases:
        plain, other = (desk_file(fields, part) for fields in fields_with(section, key))
        try:
            if books(plain) == books(other):
                silent.append(key + (f" in {part}" if part else ""))
        except ParameterError as refusal:
            if key.partition(".")[0] not in str(refusal):
                silent.append(f"{key}: {refusal}")
    assert set(silent) == idle


def desk_file(fields: dict, part: str) -> dict:
    """A desk's file of some parameters, whose costs are those of ``part`` alone."""
    small = {key: FIELDS["market"][key] for key in Costs.model_fields if key in FIELDS["market"]}
    costs = {key: fields["market"][key] for key in Costs.model_fields if key in fields["market"]}
    parts = {"booked": small, "planned": small} | ({part: costs} if part else {})
    return {"bess": fields["bess"], "terminal": "hard"} | parts


def row_of(column, value):
    return lambda frame: frame.assign(**{column: [*frame[column][:4], value, *frame[column][5:]]})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (row_of("dam_mw", "ten"), r"row 6, column 'dam_mw': 'ten' is no number"),
        (row_of("dam_mw", "inf"), r"row 6, column 'dam_mw': 'inf' is no number"),
        (row_of("dam_mw", ""), r"row 6, column 'dam_mw': '' is no number"),
        (row_of("delivery_start", "soon"), r"row 6, column 'delivery_start': 'soon' is no start"),
        (row_of("delivery_start", "2025-03-01 04:05"), r"row 6, .* no start of a 15-minute"),
        (row_of("delivery_start", "2025-03-01T04:00Z"), r"row 6, .* is not in Indian time"),
        (row_of("delivery_start", "2025-03-01 04:00+00:00"), r"row 6, .* is not in Indian time"),
        (row_of("delivery_start", "2025-03-01 03:00"), r"row 6, .* is there twice"),
        (lambda f: f.drop(index=5), r"2025-03-01 has 23 blocks of 60 minutes"),
        (lambda f: f.rename(columns={"dam_mw": "mw"}), r"no column 'dam_mw'"),
        (lambda f: f.assign(price=1), r"column 'price' is unknown"),
        (lambda f: f.assign(soc_start_mwh=50), r"row 3, .* first block of a day alone"),
        (lambda f: f[:0], r"a header and no rows"),
        (lambda f: f[::3], r"blocks are 180 minutes apart"),
    ],
)
def test_a_schedule_that_cannot_be_trusted_is_refused(tmp_path, change, message):
    path = write_schedule(tmp_path / "s.csv", one_sale())
    change(pd.read_csv(path, dtype=str)).to_csv(path, index=False)
    with pytest.raises(DataError, match=message):
        read_schedule(path)


def test_the_order_of_rows_and_the_way_of_writing_times_change_nothing(tmp_path):
    path = write_schedule(tmp_path / "s.csv", one_sale())
    frame = pd.read_csv(path, dtype=str)
    frame["delivery_start"] = frame["delivery_start"].str.replace(" ", "T") + ":00+05:30"
    frame[::-1].to_csv(tmp_path / "t.csv", index=False)
    one, two = read_schedule(path), read_schedule(tmp_path / "t.csv")
    np.testing.assert_array_equal(one.dam_mw, two.dam_mw)
    np.testing.assert_array_equal(one.dates, two.dates)


def test_energy_at_midnight_lies_in_the_usable_window_of_the_one_unit(files):
    soc = [19.0] + [""] * 23
    prices, schedule = files(*(day[:1] for day in two_days()), one_sale(), soc_start_mwh=soc)
    params = make_params()
    with pytest.raises(DataError, match="soc_start_mwh 19 on 2025-03-01 lies outside"):
        replay(read_schedule(schedule), prices, params.market, desk_of(params))
    params = fleet()
    with pytest.raises(DataError, match="does not say how the 2 units share it"):
        replay(read_schedule(schedule), prices, params.market, desk_of(params))


def test_a_schedule_in_kw_is_not_settled(files):
    prices, schedule = files(*(day[:1] for day in two_days()), 1000 * one_sale())
    params = make_params()
    with pytest.raises(DataError, match="dam_mw goes to 30000 on a connection of 50 MW"):
        replay(read_schedule(schedule), prices, params.market, desk_of(params))


def test_a_day_without_prices_is_refused(files, tmp_path):
    prices, _ = files(*(day[:1] for day in two_days()), one_sale())
    later = write_schedule(tmp_path / "later.csv", one_sale(), first="2025-03-02")
    params = make_params()
    with pytest.raises(DataError, match="2025-03-02"):
        replay(read_schedule(later), prices, params.market, desk_of(params))


def test_the_rules_of_a_desk_are_checked_and_named(tmp_path):
    text = STUDY.read_text(encoding="utf-8")
    path = tmp_path / "desk.yaml"
    path.write_text(text.replace("fee_flow_rs_per_mwh: 335.0", "fee_flow: 335.0"), "utf-8")
    with pytest.raises(ParameterError, match=r"desk\.yaml: planned\.fee_flow: unknown key"):
        load_desk(path)
    path.write_text(text.replace("terminal: free", ""), "utf-8")
    with pytest.raises(ParameterError, match=r"desk\.yaml: terminal: missing"):
        load_desk(path)
    with pytest.raises(ParameterError, match="no such file"):
        load_desk(tmp_path / "none.yaml")
    study = load_desk(STUDY)
    assert study.planned.fee_dam_rs_per_mwh == study.booked.fee_dam_rs_per_mwh == 0
    assert (study.planned.fee_flow_rs_per_mwh, study.booked.fee_flow_rs_per_mwh) == (335, 200)
    assert load_desk().bess.units[0].p_max_mw == pytest.approx(UNIT["p_max_mw"])


def test_the_command_prints_a_row_a_day_and_writes_json(files, tmp_path, capsys):
    dam, rtm = two_days()
    prices, schedule = files(dam, rtm, np.vstack([one_sale(), one_sale()]))
    out = tmp_path / "deep" / "report.json"
    words = ["replay", str(prices), str(schedule), "--params", str(STUDY), "--json", str(out)]
    assert main(words) == 0
    printed = capsys.readouterr().out
    report = json.loads(out.read_text(encoding="utf-8"))
    assert {"gross_rs", "net_rs", "infeasible_dam_days"} <= report["total"].keys()
    assert [day["date"] for day in report["days"]] == ["2025-03-01", "2025-03-02"]
    assert f"{report['total']['net_rs']:,.0f}" in printed
    assert "hindsight" in printed
    assert main([*words[:2], str(tmp_path / "none.csv")]) == 3
    assert "none.csv is not there" in capsys.readouterr().err
