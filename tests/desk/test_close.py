"""A closed day: its books, and why they are not what the plan promised."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import fields, replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from small_cases import SECOND_UNIT, UNIT, fleet, make_market, make_params, price_scenarios

from bessvpp import plots
from bessvpp.desk import journal
from bessvpp.desk.close import Parts, close_day
from bessvpp.desk.close_report import describe_closed, describe_journal
from bessvpp.desk.handed import Handed, read_handed
from bessvpp.desk.journal import JOURNAL, append_to_journal, read_journal
from bessvpp.desk.plan import plan_day_ahead
from bessvpp.desk.promised import Promise, promise_of, read_promise, rules_of, write_promise
from bessvpp.errors import DataError, MissingArtefactError, ParameterError, RunError, StorageError
from bessvpp.ledger import LEDGER_COLUMNS
from bessvpp.market.history import Market
from bessvpp.plots.drawn import drawn_data
from bessvpp.runs.folder import RunFolder

PARAMS = make_params(dsm_share_of_flow=0.0)
DAY = np.datetime64("2024-03-03")
NOON, EVENING = 12, 19


def blocks(*values: tuple[int, float], rest: float = 0.0) -> np.ndarray:
    """(24,) with some blocks set."""
    out = np.full(24, rest)
    for block, value in values:
        out[block] = value
    return out


def by_hand(date: np.datetime64 = DAY) -> Promise:
    """10 MW bought at noon and sold in the evening; the RTM to sell 2 more, 1,000 Rs above mean."""
    dam_mw = blocks((NOON, -10), (EVENING, 10))
    return Promise(
        date=date,
        fan="recalibrated",
        dam_mw=dam_mw,
        unit_mw=dam_mw[None],
        rtm_mw=blocks((EVENING, 2)),
        dam=blocks((NOON, 3000), (EVENING, 9000), rest=5000),
        rtm=blocks((NOON, 3500), (EVENING, 8000), rest=5000),
        e_start_mwh=np.array([100.0]),
        e_end_mwh=np.array([98.0]),
        ledger={
            "dam_revenue_rs": 60_000.0,
            "rtm_revenue_rs": 17_000.0,
            "fee_dam_rs": 400.0,
            "fee_rtm_rs": 99.0,
            "fee_flow_rs": 147.0,
            "scheduling_rs": 2037.8,
            "wear_rs": 3410.0,
            "deviation_rs": 50.0,
        },
        net_rs=70_856.2,
        rules=rules_of(PARAMS),
    )


def market(**changes: np.ndarray) -> Market:
    """Five days of which the third is the one closed."""
    dam, rtm = np.full((5, 24), 5000.0), np.full((5, 24), 5000.0)
    dam[2], rtm[2] = (
        blocks((NOON, 2800), (EVENING, 9500), rest=5000),
        blocks((NOON, 3600), (EVENING, 7000), rest=5000),
    )
    arrays = {"dam": dam, "rtm": rtm} | changes
    dates = DAY - 2 + np.arange(5)
    no_trade = np.isnan(arrays["rtm"])
    return Market(dates, arrays["dam"], arrays["rtm"], no_trade, {}, False)


def handed(run_mw: np.ndarray | None = None, **changes: object) -> Handed:
    """8 of 10 MW cleared in the evening, 3 MW sold in the RTM."""
    base = Handed(
        dam_mw=blocks((NOON, -10), (EVENING, 8)),
        rtm_mw=blocks((EVENING, 3)),
        run_mw=np.full((1, 24), np.nan) if run_mw is None else run_mw[None],
        e_end_mwh=np.array([np.nan]),
        notes=(),
    )
    return replace(base, **changes)


RUN = blocks((NOON, -10), (EVENING, 10.5))


@pytest.fixture
def closed():
    return close_day(by_hand(), market(), PARAMS, handed(RUN))


# ------------------------------------------------------------------------------ the split


def test_a_day_by_hand(closed):
    # 8 x 9500 - 10 x 2800 + 3 x 7000, fees 20 x 18 and 33 x 3, flow 20.5 MWh, wear 10.5 MWh,
    # half a MWh undelivered at the DAM's 9500 and the dearer fee
    net = 48_000 + 21_000 - 360 - 99 - 7 * 20.5 - (2000 + 1.8 * 20.5) - 310 * 10.5 - 0.5 * 9533
    assert closed.net_rs == pytest.approx(net)
    parts = closed.parts
    assert parts.price_rs == pytest.approx(10 * 200 + 10 * 500 - 2 * 1000)
    assert parts.volume_rs == pytest.approx(-2 * (9500 - 7000) + 20 * 2)
    # 4,000 more from the RTM, 2,000 of which its price had taken; 14,000 of it were the DAM's
    assert parts.forecast_rs == pytest.approx(4000 + 2000 - 2 * 7000)
    saved = 0.5 * (310 + 7 + 1.8)
    assert parts.deviation_rs == pytest.approx(-0.5 * 9533 + saved + 50)
    assert parts.total_rs == pytest.approx(net - 70_856.2, abs=1e-6)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"dam_mw": blocks((NOON, -10), (EVENING, 10))}, "volume_rs"),
        ({"run_mw": blocks((NOON, -10), (EVENING, 11))[None]}, "deviation_rs"),
    ],
)
def test_what_went_as_planned_explains_nothing(change, part):
    found = close_day(by_hand(), market(), PARAMS, replace(handed(RUN), **change)).parts
    planned = {"volume_rs": 0.0, "deviation_rs": 50.0}  # the plan's own deviation did not come
    assert getattr(found, part) == pytest.approx(planned[part])


def test_a_day_that_went_as_its_only_scenario_has_nothing_to_explain(study, study_run):
    """The fan is one path, the bids clear whole, the RTM is traded as planned and all is run."""
    planned = plan_day_ahead(study_run, study.market, study.params)
    first = promise_of(planned, study.params)
    done = planned.causal
    (s, *_) = np.flatnonzero(done.missing_mwh == 0)
    entries = {
        name: float(np.broadcast_to(getattr(done.ledger, name), len(done.rtm_mw))[s])
        for name in first.ledger
    }
    sure = replace(
        first,
        date=study.market.dates[-1],
        rtm_mw=done.rtm_mw[s],
        dam=planned.scenarios.dam[s],
        rtm=planned.scenarios.rtm[s],
        ledger=entries,
        net_rs=float(done.ledger.net_rs[s]),
    )
    dam, rtm = study.market.dam_mcp.copy(), study.market.rtm_mcp.copy()
    dam[-1], rtm[-1] = sure.dam, sure.rtm
    came = Market(study.market.dates, dam, rtm, study.market.rtm_no_trade, {}, False)
    run = (done.discharge_mw - done.charge_mw)[s]
    given = Handed(sure.dam_mw, sure.rtm_mw, run, done.e_end_mwh[s], ())
    found = close_day(sure, came, study.params, given)
    assert found.net_rs == pytest.approx(sure.net_rs, abs=0.01)
    for part in fields(Parts):
        assert getattr(found.parts, part.name) == pytest.approx(0, abs=0.01), part.name


@pytest.mark.parametrize("seed", range(3))
def test_the_four_parts_are_the_whole_difference(seed):
    """Whatever cleared, was traded and was run, with expected execution errors booked too."""
    params = fleet(dsm_share_of_flow=0.03)
    rng = np.random.default_rng(seed)
    fan, date = price_scenarios(3, seed=seed), DAY
    units = rng.uniform(-5, 5, (2, 24))
    promise = replace(
        by_hand(),
        dam_mw=units.sum(axis=0),
        unit_mw=units,
        rtm_mw=rng.normal(size=24),
        dam=fan.dam.mean(axis=0),
        rtm=fan.rtm.mean(axis=0),
        rules=rules_of(params),
    )
    # what was planned is linear in its DAM trade, which is the same on every path
    ledger = dict(promise.ledger) | {"dam_revenue_rs": float(promise.dam_mw @ promise.dam)}
    net = sum(v if name.endswith("revenue_rs") else -v for name, v in ledger.items())
    promise = replace(promise, ledger=ledger, net_rs=net)
    came = make_market(5, seed=seed, first=str(DAY - 2))
    given = Handed(
        rng.uniform(-5, 5, 24), rng.uniform(-5, 5, 24), rng.uniform(-5, 5, (2, 24)), np.ones(2), ()
    )
    found = close_day(promise, came, params, given)
    assert date in came.dates
    assert found.parts.total_rs == pytest.approx(found.net_rs - promise.net_rs, abs=1e-6)


def test_a_block_without_a_real_time_price_counts_its_day_ahead_price():
    rtm = market().rtm_mcp.copy()
    rtm[2, NOON] = np.nan
    found = close_day(by_hand(), market(rtm=rtm), PARAMS, handed(RUN))
    assert found.parts.total_rs == pytest.approx(found.net_rs - 70_856.2, abs=1e-6)
    given = handed(RUN, rtm_mw=blocks((NOON, 1.0)))
    with pytest.raises(DataError, match=r"block 13: 1 MW .* no price there"):
        close_day(by_hand(), market(rtm=rtm), PARAMS, given)


def test_without_a_real_time_price_prices_and_volumes_are_those_of_the_day_ahead_market():
    rtm = market().rtm_mcp.copy()
    rtm[2, EVENING] = np.nan
    given = handed(rtm_mw=np.zeros(24))
    parts = close_day(by_hand(), market(rtm=rtm), PARAMS, given).parts
    assert parts.price_rs == pytest.approx(10 * 200 + 10 * 500 + 2 * 1500)  # 9,500 against 8,000
    assert parts.volume_rs == pytest.approx(20 * 2)  # the fee alone


# ------------------------------------------------------------------------------ what is known


def test_what_was_not_measured_is_said_and_not_guessed(tmp_path):
    found = close_day(by_hand(), market(), PARAMS, read_handed(by_hand(), PARAMS.bess))
    dust = dict(by_hand().ledger) | {"deviation_rs": 1e-7}
    row, text = found.as_row(), describe_closed(found)
    assert row["measured_blocks"] == 0
    assert np.isnan(row["undelivered_mwh"])
    assert np.isnan(row["end_mwh"])
    assert "Not measured: 24 of 24 blocks" in text
    assert "bids count as cleared whole" in text
    assert "No RTM trades were given" in text
    assert "planned 98.0, not measured" in text
    assert "could not have run" not in text
    assert " -0\n" not in describe_closed(replace(found, promise=replace(by_hand(), ledger=dust)))
    rows = append_to_journal(RunFolder(tmp_path), found)
    kept = json.loads((tmp_path / "bids" / f"close_{DAY}.json").read_text())
    assert kept["end_mwh"] is None
    assert set(kept["by_block"]["physical_mw"]) == {None}
    told = describe_journal(rows).splitlines()
    assert told[0] == "Journal, Rs, days closed: 1"
    shown = dict(zip(told[1].split(), told[2].split()[1:], strict=True))
    assert told[2].split()[0] == str(DAY)
    assert shown["net"] == f"{found.net_rs:,.0f}"
    assert shown["forecast"] == f"{found.parts.forecast_rs:,.0f}"
    many = pd.concat([rows.assign(date=f"2025-01-{day:02d}") for day in range(1, 10)])
    assert describe_journal(many).splitlines()[0].endswith("9, the last 7")
    assert [line.split()[0] for line in describe_journal(many).splitlines()[2:]] == [
        f"2025-01-{day:02d}" for day in range(3, 10)
    ]


def test_units_follow_a_schedule_where_not_all_are_measured_and_as_outages_leave_them():
    """11 MW in the evening by 50 and 20 MW; with the smaller one out, the larger runs all."""
    hour = [{"start": f"{DAY} {EVENING}:00", "end": f"{DAY} {EVENING + 1}:00"}]
    run = np.zeros((2, 24))
    run[:, EVENING] = 1.0, np.nan
    given = replace(handed(), run_mw=run, e_end_mwh=np.full(2, np.nan))
    for outages, wear in (([], 11 * (5 * 310 + 2 * 90) / 7), (hour, 11 * 310)):
        params = make_params(units=[UNIT, SECOND_UNIT | {"outages": outages}])
        promise = replace(by_hand(), rules=rules_of(params))
        found = close_day(promise, market(), params, given)
        assert float(found.books.wear_rs) == pytest.approx(wear)


def test_what_an_outage_did_not_let_run_is_told():
    """11 MW booked where a tenth of 50 MW is left."""
    cut = {"start": f"{DAY} {EVENING}:00", "end": f"{DAY} {EVENING + 1}:00", "power_share": 0.1}
    params = make_params({"outages": [cut]}, dsm_share_of_flow=0.0)
    promise = replace(by_hand(), rules=rules_of(params))
    (told,) = close_day(promise, market(), params, handed()).notes
    assert "could not have run what is booked at 19:00" in told


def test_an_outage_may_come_after_the_plan_and_none_that_it_knew_is_forgotten():
    known, later = (
        {"start": f"{DAY} {hour}:00", "end": f"{DAY} {hour + 1}:00"} for hour in (10, EVENING)
    )
    planned, since, without = (
        make_params({"outages": outages}, dsm_share_of_flow=0.0)
        for outages in ([known], [known, later], [later])
    )
    promise = replace(by_hand(), rules=rules_of(planned))
    assert close_day(promise, market(), planned, handed()).notes == ()
    (told,) = close_day(promise, market(), since, handed()).notes
    assert "could not have run what is booked at 19:00" in told
    with pytest.raises(ParameterError, match=r"bess\.units\.A\.outages"):
        close_day(promise, market(), without, handed())


def test_what_no_battery_could_have_run_is_told():
    """Twice 50 MW sold out of 80 MWh that may be drawn, which are 73.6 at the grid."""
    given = handed(rtm_mw=np.zeros(24), dam_mw=blocks((EVENING, 50), (EVENING + 1, 50)))
    found = close_day(by_hand(), market(), PARAMS, given)
    assert "From the 100 MWh planned" in found.notes[-1]
    assert "booked at 20:00" in describe_closed(found)
    assert close_day(by_hand(), market(), PARAMS, handed(RUN)).notes == ()


def write_csv(path, name: str, values: dict[str, object]):
    rows = [f"{start},{value}" for start, value in values.items()]
    path.write_text("\n".join([f"delivery_start,{name}", *rows]) + "\n")
    return path


def hours(values: np.ndarray, date: np.datetime64 = DAY) -> dict[str, float]:
    return {f"{date} {hour:02d}:00": float(value) for hour, value in enumerate(values)}


def test_what_a_desk_hands_in_is_read_from_its_files(tmp_path):
    cleared, traded = handed().dam_mw, blocks((EVENING, 3))
    files = {
        "schedule": write_csv(tmp_path / "cleared.csv", "dam_mw", hours(cleared)),
        "trades": write_csv(tmp_path / "trades.csv", "rtm_mw", {f"{DAY} 19:00": 3}),
        "measured": write_csv(tmp_path / "meter.csv", "physical_mw", hours(RUN)),
    }
    found = read_handed(by_hand(), PARAMS.bess, **files)
    np.testing.assert_array_equal(found.dam_mw, cleared)
    np.testing.assert_array_equal(found.rtm_mw, traded)
    np.testing.assert_array_equal(found.run_mw, RUN[None])
    assert found.notes == ()


def test_quarters_of_an_hour_are_averaged_where_blocks_are_hours(tmp_path):
    quarters = {f"{DAY} 19:{minute:02d}": mw for minute, mw in ((0, 4.0), (15, 8.0), (45, -2.0))}
    trades = write_csv(tmp_path / "trades.csv", "rtm_mw", quarters)
    meter = write_csv(tmp_path / "meter.csv", "physical_mw", quarters | {f"{DAY} 19:30": 6.0})
    found = read_handed(by_hand(), PARAMS.bess, trades=trades, measured=meter)
    np.testing.assert_array_equal(found.rtm_mw, blocks((EVENING, 2.5)))
    assert found.run_mw[0, EVENING] == 4.0
    assert np.isfinite(found.run_mw).sum() == 1


def test_stored_energies_tell_what_was_run(tmp_path):
    """From 100 MWh: 9.6 stored out of 10 bought, then 11.5 drawn for 10.58 sold."""
    stored = np.full(24, 100.0)
    stored[NOON:] += 10 * UNIT["eta_charge"]
    stored[EVENING:] -= 11.5
    meter = tmp_path / "meter.csv"
    write_csv(meter, "energy_mwh", {f"{DAY - 1} 23:00": 100.0} | hours(stored))
    found = read_handed(by_hand(), PARAMS.bess, measured=meter)
    np.testing.assert_allclose(found.run_mw[0], blocks((NOON, -10), (EVENING, 11.5 * 0.92)))
    assert found.e_end_mwh[0] == pytest.approx(98.1)
    # without the midnight before, the first block is not known
    write_csv(meter, "energy_mwh", hours(stored))
    found = read_handed(by_hand(), PARAMS.bess, measured=meter)
    assert np.flatnonzero(np.isnan(found.run_mw[0])).tolist() == [0]
    assert "Not measured: 1 of 24 blocks" in found.notes[-1]


def test_what_an_idle_battery_loses_is_nothing_that_it_ran(tmp_path):
    """80 MWh above the least lose 1 % in the hour; 9.6 MWh put in on top are 10 MW bought."""
    bess = make_params({"self_discharge_per_hour": 0.01}).bess
    stored = 20 + 80 * 0.99 ** np.arange(1, 25)
    stored[NOON:] += 9.6 * 0.99 ** np.arange(24 - NOON)
    meter = tmp_path / "meter.csv"
    write_csv(meter, "energy_mwh", {f"{DAY - 1} 23:00": 100.0} | hours(stored))
    found = read_handed(by_hand(), bess, measured=meter)
    np.testing.assert_allclose(found.run_mw[0], blocks((NOON, -10)), atol=1e-9)


def test_hours_of_trades_are_no_quarters(tmp_path):
    promise = replace(by_hand(), dam_mw=np.repeat(by_hand().dam_mw, 4))
    path = write_csv(tmp_path / "trades.csv", "rtm_mw", hours(blocks((EVENING, 3))))
    with pytest.raises(DataError, match=f"{DAY} is in hours .* give each quarter"):
        read_handed(promise, PARAMS.bess, trades=path)
    write_csv(path, "rtm_mw", {f"{DAY} 19:00": 3})
    assert read_handed(promise, PARAMS.bess, trades=path).rtm_mw.sum() == 3


def test_each_unit_has_a_column_of_its_own(tmp_path):
    bess, meter = fleet().bess, tmp_path / "meter.csv"
    rows = [f"{DAY} {hour:02d}:00,{hour},{-hour}" for hour in range(24)]
    meter.write_text("\n".join(["delivery_start,A_mw,B_mw", *rows]) + "\n")
    found = read_handed(by_hand(), bess, measured=meter)
    np.testing.assert_array_equal(found.run_mw, [np.arange(24), -np.arange(24)])
    assert SECOND_UNIT["name"] == bess.units[1].name


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("delivery_start,mw\n2024-03-03 19:00,3\n", "column 'mw' is unknown: give .*rtm_mw"),
        ("delivery_start\n2024-03-03 19:00\n", "columns are missing"),
        ("block,rtm_mw\n19,3\n", "no single table with a column 'delivery_start'"),
        ("delivery_start,rtm_mw\n2024-03-03 19:00,\n", "has no power: write 0"),
        ("delivery_start,rtm_mw\n2024-03-03 19:00,3000\n", "in kW?"),
        (
            "delivery_start,rtm_mw\n2024-03-03 19:00,3\n2024-03-03 19:00,4\n",
            "row 3, .*there twice",
        ),
    ],
)
def test_a_file_that_cannot_be_trusted_is_refused(tmp_path, content, told):
    path = tmp_path / "trades.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=told):
        read_handed(by_hand(), PARAMS.bess, trades=path)


@pytest.mark.parametrize("rows", ["", "2024-03-04 19:00,3\n"])
def test_a_day_without_trades_is_noted(tmp_path, rows):
    path = tmp_path / "trades.csv"
    path.write_text("delivery_start,rtm_mw\n" + rows)
    found = read_handed(by_hand(), PARAMS.bess, trades=path)
    assert not found.rtm_mw.any()
    assert found.notes[1] == f"{path} has no trade of {DAY}: none are booked."


def test_a_schedule_that_cleared_is_given_whole(tmp_path):
    """By the plant or, as ``plan`` writes it, by unit; quarters of an hour are averaged."""
    path = tmp_path / "cleared.csv"
    write_csv(path, "A_mw", hours(RUN))
    np.testing.assert_array_equal(read_handed(by_hand(), PARAMS.bess, schedule=path).dam_mw, RUN)
    with pytest.raises(DataError, match=f"no row of {DAY + 1}"):
        read_handed(by_hand(DAY + 1), PARAMS.bess, schedule=path)
    write_csv(path, "dam_mw", dict(list(hours(RUN).items())[1:]))
    with pytest.raises(DataError, match="not whole: give every block"):
        read_handed(by_hand(), PARAMS.bess, schedule=path)


def test_a_day_without_prices_or_with_other_rules_is_not_closed():
    dam = market().dam_mcp.copy()
    dam[2, 3] = np.nan
    with pytest.raises(DataError, match=f"{DAY} lacks prices"):
        close_day(by_hand(), market(dam=dam), PARAMS, handed())
    quarters = make_market(5, 96, first=str(DAY - 2))
    with pytest.raises(DataError, match=r"blocks of 15 minutes, the plan of .* of 60"):
        close_day(by_hand(), quarters, PARAMS, handed())
    dearer = make_params(dsm_share_of_flow=0.0, fee_rtm_rs_per_mwh=34.0)
    with pytest.raises(ParameterError, match=r"costs\.fee_rtm_rs_per_mwh"):
        close_day(by_hand(), market(), dearer, handed())


def test_a_promise_is_the_mean_by_the_fans_weights_and_asks_nothing_of_a_unit_that_is_out():
    out = {"outages": [{"start": f"{DAY} {EVENING}:00", "end": f"{DAY} {EVENING + 1}:00"}]}
    params = make_params(units=[UNIT, SECOND_UNIT | out])
    paths, weights = np.array([[1.0], [5.0]]), np.array([0.75, 0.25])  # mean 2
    entries = dict.fromkeys(LEDGER_COLUMNS, paths[:, 0])
    planned = SimpleNamespace(
        date=DAY,
        fan="original",
        bid_mw=np.full(24, 14.0),
        unit_mw=None,
        scenarios=SimpleNamespace(weights=weights, dam=paths, rtm=paths * 3),
        causal=SimpleNamespace(
            rtm_mw=paths * 5,
            e_end_mwh=paths * 7,
            ledger=SimpleNamespace(**entries, net_rs=paths[:, 0] * 11),
        ),
        e_start_mwh=np.array([100.0, 15.0]),
    )
    found = promise_of(planned, params)
    means = [found.dam[0], found.rtm[0], found.rtm_mw[0], found.e_end_mwh[0], found.net_rs]
    assert means == pytest.approx([2, 6, 10, 14, 22])
    assert set(found.ledger.values()) == {2.0}
    expected = np.tile([[10.0], [4.0]], 24)
    expected[:, EVENING] = 14.0, 0.0
    np.testing.assert_allclose(found.unit_mw, expected)


def test_a_promise_is_read_as_it_was_written(study, study_run, tmp_path):
    planned = plan_day_ahead(study_run, study.market, study.params)
    run, promise = RunFolder(tmp_path), promise_of(planned, study.params)
    write_promise(run, promise)
    found = read_promise(run, planned.date)
    for field in fields(Promise):
        np.testing.assert_equal(getattr(found, field.name), getattr(promise, field.name))
    assert promise.net_rs == pytest.approx(planned.scenarios.weights @ planned.causal_rs)
    with pytest.raises(MissingArtefactError, match=f"plan {DAY} first"):
        read_promise(run, DAY)


# ------------------------------------------------------------------------------ the journal


def on(date: np.datetime64, run_mw: np.ndarray = RUN):
    """The day by hand on another date."""
    prices = replace(market(), dates=date - 2 + np.arange(5))
    return close_day(by_hand(date), prices, PARAMS, handed(run_mw))


def test_a_journal_has_a_row_for_each_day_in_order(tmp_path, closed):
    run = RunFolder(tmp_path)
    assert read_journal(run) is None
    for date in (DAY + 1, DAY, DAY + 2):
        append_to_journal(run, on(date))
    found = read_journal(run)
    assert found["date"].tolist() == [str(DAY), str(DAY + 1), str(DAY + 2)]
    assert found["net_rs"].tolist() == [closed.net_rs] * 3
    parts = found[[f"from_{part.name}" for part in fields(Parts)]].sum(axis=1)
    np.testing.assert_allclose(parts, found["difference_rs"])
    assert found["undelivered_mwh"].tolist() == [0.5] * 3


def test_a_day_is_closed_once_unless_it_is_to_be_overwritten(tmp_path):
    run = RunFolder(tmp_path)
    for date in (DAY, DAY + 1):
        append_to_journal(run, on(date))
    file = tmp_path / "bids" / f"close_{DAY}.json"
    before = read_journal(run), file.read_text()
    better = on(DAY, blocks((NOON, -10), (EVENING, 11)))
    with pytest.raises(RunError, match=f"{DAY} is closed already: add --overwrite"):
        append_to_journal(run, better)
    pd.testing.assert_frame_equal(read_journal(run), before[0])
    assert file.read_text() == before[1]
    append_to_journal(run, better, overwrite=True)
    found = read_journal(run)
    assert found["date"].tolist() == [str(DAY), str(DAY + 1)]
    assert found["net_rs"].tolist() == [better.net_rs, before[0]["net_rs"][1]]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a copy of this process")
@pytest.mark.parametrize("file", ["close_2024-03-04.json", JOURNAL])
def test_a_close_that_is_killed_loses_no_row(tmp_path, file):
    """Killed when all is written aside, before the rename; the next one goes on."""
    run, put_in_place = RunFolder(tmp_path), os.replace
    append_to_journal(run, on(DAY))

    def killed(source, target):
        if str(target).endswith(file):
            os.kill(os.getpid(), signal.SIGKILL)
        put_in_place(source, target)

    child = os.fork()
    if child == 0:
        os.replace = killed
        append_to_journal(run, on(DAY + 1))
        os._exit(0)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    assert read_journal(run)["date"].tolist() == [str(DAY)]
    append_to_journal(run, on(DAY + 1))
    assert read_journal(run)["date"].tolist() == [str(DAY), str(DAY + 1)]


def test_two_that_close_at_once_wait_for_each_other(tmp_path, monkeypatch):
    run = RunFolder(tmp_path)
    monkeypatch.setattr(journal, "PATIENCE_S", 0.01)
    with (
        journal.sole_user(run.path, name=".journal.lock"),
        pytest.raises(RunError, match="another close is at work"),
    ):
        append_to_journal(run, on(DAY))
    append_to_journal(run, on(DAY))


def test_a_full_disk_leaves_the_journal_as_it_was(tmp_path, monkeypatch):
    run = RunFolder(tmp_path)
    append_to_journal(run, on(DAY))

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        append_to_journal(run, on(DAY + 1))
    monkeypatch.undo()
    assert read_journal(run)["date"].tolist() == [str(DAY)]


def test_the_journal_is_drawn_from_planned_to_realised(tmp_path):
    run = RunFolder(tmp_path)
    for date in (DAY, DAY + 1):
        rows = append_to_journal(run, on(date))
    picture = plots.closed_days(rows, synthetic=True)
    data = drawn_data(picture).set_index("x")["y"]
    assert data["planned"] == pytest.approx(2 * 0.708562)
    assert data["realised"] == pytest.approx(rows["net_rs"].sum() / 1e5)
    assert picture.says.startswith("2 closed days")


def test_a_plan_that_is_no_json_is_named_with_its_remedy(tmp_path):
    run = RunFolder(tmp_path)
    run.write_text("bids/plan_2024-03-01.json", '{"date": ')
    with pytest.raises(
        DataError, match=r"plan_2024-03-01\.json is no JSON .* plan 2024-03-01 anew"
    ):
        read_promise(run, np.datetime64("2024-03-01"))
