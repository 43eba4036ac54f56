"""Reading the exchange's files, and what is known when."""

import datetime as dt
import pickle

import numpy as np
import openpyxl
import pandas as pd
import pytest
from price_cases import (
    DAY,
    FIRST,
    GREEN_PRICES,
    HOURLY,
    PRICE,
    RULES,
    as_csv,
    both_markets,
    clock,
    green,
    prices,
    refused,
    snapshot,
    tidy,
    tidy_frame,
    write,
    write_xlsx,
)
from small_cases import calls_of
from stand_in import BOTH, DAM, GDAM, HOURS, QUARTERS, RTM, prices_in, summary_of

from bessvpp.errors import DataError, ParameterError
from bessvpp.market.history import EXTRAS, Market
from bessvpp.market.read import read_market
from bessvpp.params.load import load_params
from bessvpp.price_files.judge import read_price_tables

# --- a snapshot, built by hand -------------------------------------------------------------


# --- the two layouts -----------------------------------------------------------------------


@pytest.mark.parametrize("writer", [write, write_xlsx])
def test_one_day_is_read_block_by_block(tmp_path, day, writer):
    rows, values = day
    market = read_market(writer(tmp_path, rows), RULES)
    assert market.dates.tolist() == [dt.date(2025, 8, 7)]
    assert market.dam_mcp[0].tolist() == values.tolist()
    assert set(market.extras) == {"dam_purchase_bid_mw", "dam_sell_bid_mw", "dam_mcv_mw"}
    assert market.extras["dam_sell_bid_mw"][0, 5] == 400
    assert (market.n_blocks, market.block_minutes, market.block_hours) == (96, 15, 0.25)
    assert market.excluded.tolist() == [True]  # no RTM price
    assert any("RTM" in note for note in market.notes)


def test_a_folder_of_monthly_files_becomes_one_calendar(tmp_path):
    june = [f"{d:02d}-06-2025" for d in range(1, 31)]
    july = [f"{d:02d}-07-2025" for d in range(1, 32)]
    values = prices(61 * 96)
    write(tmp_path, snapshot(june, values[:2880]), "DAM_Market Snapshot (1).csv")
    write_xlsx(tmp_path, snapshot(july, values[2880:]), "DAM_Market Snapshot.xlsx")
    for name, days in (("a", june), ("b", july)):
        rows = snapshot(days, prices(len(days) * 96, 1), market="RTM")
        write(tmp_path, rows, f"RTM_Market Snapshot-{name}.csv")
    (tmp_path / "readme.md").write_text("notes")
    (tmp_path / "~$DAM.xlsx").write_text("lock")
    market = read_market(tmp_path, RULES)
    assert market.dam_mcp.ravel().tolist() == values.tolist()
    assert not market.excluded.any()
    assert set(market.extras) == set(EXTRAS) - {"gdam_mcp"}
    assert not market.is_synthetic
    assert any("readme.md" in note for note in market.notes)


def test_the_marker_makes_a_folder_synthetic(tmp_path, day):
    path = write(tmp_path, day[0])
    assert not read_market(tmp_path, RULES).is_synthetic
    (tmp_path / "SYNTHETIC.txt").write_text("made up")
    assert read_market(tmp_path, RULES).is_synthetic
    assert read_market(path, RULES).is_synthetic


def test_tidy_csv_gives_both_markets_and_day_ahead_volumes(tmp_path):
    frame = tidy_frame()
    market = read_market(tidy(tmp_path, frame), RULES)
    assert market.dam_mcp.ravel().tolist() == frame["dam_mcp_rs_mwh"].tolist()
    assert market.rtm_mcp.ravel().tolist() == frame["rtm_mcp_rs_mwh"].tolist()
    assert list(market.extras) == ["dam_purchase_bid_mw"]
    assert not market.excluded.any()
    assert market.notes == ()


def test_a_tidy_workbook_with_real_date_times_is_read(tmp_path):
    frame = tidy_frame()
    frame["delivery_start"] = pd.to_datetime(frame["delivery_start"])
    path = tmp_path / "prices.xlsx"
    frame.to_excel(path, index=False)
    market = read_market(path, RULES)
    assert market.dates.astype(str).tolist() == ["2024-03-01", "2024-03-02"]
    assert market.dam_mcp.ravel().tolist() == frame["dam_mcp_rs_mwh"].tolist()


def test_hourly_files_give_24_blocks_and_are_refused_for_15_minutes(tmp_path):
    path = tidy(tmp_path, tidy_frame(freq="h"))
    assert read_market(path, RULES).n_blocks == 24
    quarter = RULES.model_copy(update={"block_minutes": 15})
    refused(path, "prices.csv", "hourly", "block_minutes", rules=quarter)
    hourly = snapshot([DAY], prices(24), length=60)
    assert read_market(write(tmp_path, hourly), RULES).block_hours == 1.0


def test_hours_are_means_of_their_blocks_without_those_that_had_no_trade(tmp_path):
    dam, rtm = prices(96), prices(96, 1)
    write(tmp_path, snapshot([DAY], dam), "DAM.csv")
    rows = snapshot([DAY], rtm, market="RTM", summary=False)
    for block in (0, 1, *range(8, 12)):  # half of hour 0, all of hour 2
        rows[FIRST + block][4:] = ["0"] * 5
    write(tmp_path, rows, "RTM.csv")
    market = read_market(tmp_path, HOURLY)
    assert market.dam_mcp[0] == pytest.approx(dam.reshape(24, 4).mean(axis=1))
    assert market.rtm_mcp[0, 0] == pytest.approx(rtm[2:4].mean())
    assert market.rtm_mcp[0, 1] == pytest.approx(rtm[4:8].mean())
    assert np.isnan(market.rtm_mcp[0, 2])
    assert np.flatnonzero(market.rtm_no_trade[0]).tolist() == [2]
    assert not market.excluded[0]


def test_an_hour_with_a_missing_quarter_has_no_price(tmp_path, day):
    rows, _ = day
    del rows[FIRST + 6]
    market = read_market(write(tmp_path, rows), HOURLY)
    assert np.flatnonzero(np.isnan(market.dam_mcp[0])).tolist() == [1]


def test_15_minute_and_hourly_files_of_one_market_must_agree(tmp_path):
    values = prices(96)
    write(tmp_path, snapshot([DAY], values), "a.csv")
    hours = values.reshape(24, 4).mean(axis=1).round(2)
    write(tmp_path, snapshot([DAY], hours, length=60), "b.csv")
    assert read_market(tmp_path, HOURLY).dam_mcp[0] == pytest.approx(hours, abs=0.01)
    refused(tmp_path, "b.csv", "block_minutes to 60")
    hours[3] += 1
    write(tmp_path, snapshot([DAY], hours, length=60), "b.csv")
    refused(tmp_path, "disagree", "2025-08-07, hour 3", rules=HOURLY)


# --- traps that are understood -------------------------------------------------------------


def test_dirty_cells_are_understood(tmp_path, day):
    rows, values = day
    rows[FIRST][PRICE] = f"{values[0]:,.2f}"  # 6,999.43
    rows[FIRST + 1][PRICE] = f" {values[1]:.2f} *"
    rows[FIRST + 2][PRICE] = f"\u200b{values[2]:.2f}\u00a0"
    rows[FIRST + 3][3] = "1,00,300.50"  # Indian grouping
    rows[4][0] = "\ufeffDate"
    rows[4][-1] = "MCP  (Rs/MWh)"
    rows.append(["* prices are provisional"])
    market = read_market(write(tmp_path, rows), RULES)
    assert market.dam_mcp[0].tolist() == values.tolist()
    assert market.extras["dam_purchase_bid_mw"][0, 3] == 100300.5


@pytest.mark.parametrize(
    ("encoding", "separator"),
    [("utf-8-sig", ","), ("utf-16", "\t"), ("utf-16-le", ","), ("utf-8", ";")],
)
def test_encodings_and_separators_are_recognised(tmp_path, day, encoding, separator):
    rows, values = day
    path = write(tmp_path, rows, encoding=encoding, separator=separator)
    assert read_market(path, RULES).dam_mcp[0].tolist() == values.tolist()


def test_the_other_label_style_and_midnight_as_00_00_are_understood(tmp_path, day):
    rows, values = day
    for row in rows[FIRST : FIRST + 96]:
        row[2] = row[2].replace(" ", "").replace("24:00", "00:00")
    assert read_market(write(tmp_path, rows), RULES).dam_mcp[0].tolist() == values.tolist()


def test_excel_dates_and_numbers_are_understood(tmp_path, day):
    rows, values = day
    for row in rows[FIRST : FIRST + 96]:
        row[0], row[1], row[PRICE] = dt.datetime(2025, 8, 7), int(row[1]), float(row[PRICE])
    assert read_market(write_xlsx(tmp_path, rows), RULES).dam_mcp[0].tolist() == values.tolist()


@pytest.mark.parametrize("cell", ["-", "", "NA", "–"])
def test_no_price_is_missing_and_excludes_the_day(tmp_path, day, cell):
    rows, values = day
    rows[FIRST + 40][PRICE] = cell
    market = read_market(write(tmp_path, rows), RULES)
    assert np.flatnonzero(np.isnan(market.dam_mcp[0])).tolist() == [40]
    assert market.dam_mcp[0, 41] == values[41]  # nothing moved, nothing filled
    assert market.excluded[0]


def test_missing_blocks_and_days_stay_missing(tmp_path):
    days = ["01-06-2025", "02-06-2025", "03-06-2025", "04-06-2025"]
    for market in ("DAM", "RTM"):
        rows = snapshot(days, prices(384), market=market, summary=False)
        del rows[FIRST + 96 : FIRST + 192]  # the second day
        if market == "RTM":
            del rows[FIRST + 96 + 30 : FIRST + 96 + 32]  # 94 blocks on the third
        write(tmp_path, rows, f"{market}.csv")
    read = read_market(tmp_path, RULES)
    assert read.excluded.tolist() == [False, True, True, False]
    assert np.isnan(read.dam_mcp).sum(axis=1).tolist() == [0, 96, 0, 0]
    assert np.isnan(read.rtm_mcp).sum(axis=1).tolist() == [0, 96, 2, 0]
    assert any("2025-06-02, 2025-06-03" in note for note in read.notes)


def test_a_day_cut_off_at_noon_is_history_but_excluded(tmp_path):
    days = ["01-06-2025", "02-06-2025"]
    write(tmp_path, snapshot(days, prices(192)), "DAM.csv")
    write(tmp_path, snapshot(days, prices(96 + 46), market="RTM"), "RTM.csv")
    market = read_market(tmp_path, RULES)
    assert market.excluded.tolist() == [False, True]
    assert np.isfinite(market.rtm_mcp[1]).sum() == 46
    assert not market.rtm_no_trade.any()


def test_zeros_are_no_trade_but_zero_with_volume_is_a_price(tmp_path, day):
    write(tmp_path, day[0], "DAM.csv")
    values = prices(96, 1)
    values[[10, 11, 20]] = 0
    rows = snapshot([DAY], values, market="RTM")
    for block in (10, 11):
        rows[FIRST + block][4:] = ["0.00"] * 5
    write(tmp_path, rows, "RTM.csv")
    market = read_market(tmp_path, RULES)
    assert np.flatnonzero(market.rtm_no_trade[0]).tolist() == [10, 11]
    assert np.isnan(market.rtm_mcp[0, [10, 11]]).all()
    assert market.rtm_mcp[0, 20] == 0
    assert not market.excluded[0]


def test_rows_and_files_that_agree_are_merged(tmp_path, day):
    rows, values = day
    rows.insert(FIRST + 3, list(rows[FIRST + 3]))
    rows = rows[: FIRST + 97]  # without the summary
    write(tmp_path, rows, "DAM_Market Snapshot.csv")
    write(tmp_path, rows, "DAM_Market Snapshot (1).csv")
    assert read_market(tmp_path, RULES).dam_mcp[0].tolist() == values.tolist()


def test_revised_final_volumes_do_not_make_files_disagree(tmp_path, day):
    rows, values = day
    write(tmp_path, rows, "a.csv")
    rows[FIRST + 3][6] = "93.00"
    write(tmp_path, rows, "b.csv")
    assert read_market(tmp_path, RULES).dam_mcp[0].tolist() == values.tolist()


def test_volumes_that_differ_between_files_are_noted_and_the_first_stays(tmp_path, day):
    rows, _ = day
    write(tmp_path, rows, "a.csv")
    again = [list(row) for row in rows[: FIRST + 96]]
    for block in (7, 9):
        again[FIRST + block][4] = "410.00"
    write(tmp_path, again, "b.csv")
    market = read_market(tmp_path, RULES)
    assert market.extras["dam_sell_bid_mw"][0, 7] == 400
    (note,) = [note for note in market.notes if "differ between" in note]
    for words in ("DAM sell_bid_mw of 2 blocks from 2025-08-07T01:45", "a.csv", "b.csv", "stay"):
        assert words in note


def test_a_day_with_94_blocks_is_set_apart_wherever_they_are_missing(tmp_path, day):
    for lost in (slice(FIRST, FIRST + 2), slice(FIRST + 50, FIRST + 52)):
        rows = list(day[0][: FIRST + 96])
        del rows[lost]
        market = read_market(write(tmp_path, rows), RULES)
        assert np.isnan(market.dam_mcp).sum() == 2
        assert market.excluded[0]
        assert any("missing DAM price, excluded: 2025-08-07" in note for note in market.notes)


def test_sessions_that_occur_twice_are_understood_with_either_kind_of_summary(tmp_path, day):
    write(tmp_path, day[0], "DAM.csv")
    values = prices(96, 1)
    rows = snapshot([DAY], values, market="RTM")
    doubled = [*rows[: FIRST + 10], *rows[FIRST + 8 : FIRST + 10], *rows[FIRST + 10 :]]
    read = read_market(write(tmp_path, doubled, "RTM.csv").parent, RULES)
    assert read.rtm_mcp[0].tolist() == values.tolist()
    doubled[-1][-1] = f"{np.mean([*values, *values[8:10]]):.2f}"
    read = read_market(write(tmp_path, doubled, "RTM.csv").parent, RULES)
    assert read.rtm_mcp[0].tolist() == values.tolist()


def test_a_price_of_0_without_a_cleared_volume_is_missing_and_never_a_price(tmp_path, day):
    write(tmp_path, day[0], "DAM.csv")
    values = prices(96, 1)
    values[[10, 20]] = 0
    rows = snapshot([DAY], values, market="RTM", summary=False)
    rows[FIRST + 10][4:] = ["0.00"] * 5
    for row in rows[4:]:
        del row[6]  # the MCV
    market = read_market(write(tmp_path, rows, "RTM.csv").parent, RULES)
    assert np.flatnonzero(market.rtm_no_trade[0]).tolist() == [10]  # its bids are zeros
    assert np.isnan(market.rtm_mcp[0, [10, 20]]).all()
    assert market.excluded[0]
    assert any("1 prices of 0 without a cleared volume" in note for note in market.notes)


def test_a_file_that_ends_within_a_line_loses_that_line_and_says_so(tmp_path):
    frame = tidy_frame()
    text = frame.drop(columns=["purchase_bid_mw", "final_scheduled_volume_mw"]).to_csv(index=False)
    path = tmp_path / "prices.csv"
    for cut in (2, 1):  # within the last price; only the end of the line is missing
        path.write_text(text[:-cut])
        market = read_market(path, RULES)
        assert np.isnan(market.rtm_mcp[-1]).sum() == 1
        assert np.isfinite(market.rtm_mcp[-1, :95]).all()
        assert any("row 193 ends without an end of line" in note for note in market.notes)


def test_dates_that_may_be_month_first_are_mentioned(tmp_path):
    mention = "nothing here rules out month-first"

    def notes(*days):
        rows = snapshot(list(days), prices(96 * len(days)), summary=False)
        return " ".join(read_market(write(tmp_path, rows), RULES).notes)

    assert mention in notes("07-08-2025")
    assert "07 August 2025" in notes("07-08-2025")
    assert mention not in notes("08-08-2025")  # the same either way
    assert mention not in notes("13-08-2025")
    assert mention not in notes("2025-08-07")
    assert mention not in notes("07-08-2025", "08-08-2025")  # in a row when read day-first


def test_columns_are_found_by_name_wherever_they_stand(tmp_path, day):
    rows, values = day
    width = len(rows[4])
    for order in (range(width)[::-1], [5, 0, 7, 2, 6, 1, 4, 3]):
        moved = [[(row + [""] * width)[place] for place in order] for row in rows]
        assert read_market(write(tmp_path, moved), RULES).dam_mcp[0].tolist() == values.tolist()


def test_a_copy_with_names_of_its_own_is_read_by_the_mapping(tmp_path, day):
    rows, values = day
    rows[4] = ["Delivery Day", "Hr", "Period", "Buy", "Sell", "Cleared", "Final", "Price"]
    path = write(tmp_path, rows[: FIRST + 96])
    refused(path, "neither a 'Date' column", "column_names in params/market.yaml")
    names = {"delivery  day": "Date", "Hr": "Hour", "PERIOD": "Time Block", "Cleared": "MCV (MW)"}
    names |= {"Price": "MCP (Rs/MWh)"}
    rules = load_params(column_names=names).market
    market = read_market(path, rules)
    assert market.dam_mcp[0].tolist() == values.tolist()
    assert set(market.extras) == {"dam_mcv_mw"}
    frame = tidy_frame().rename(columns={"delivery_start": "from", "dam_mcp_rs_mwh": "spot"})
    rules = load_params(column_names={"From": "delivery_start", "Spot": "dam_mcp_rs_mwh"}).market
    market = read_market(tidy(tmp_path, frame), rules)
    assert market.dam_mcp.ravel().tolist() == frame["spot"].tolist()
    for bad, word in (({"Price": "price"}, "column_names.Price"), ({"Price": 3}, "column_names")):
        with pytest.raises(ParameterError, match=word):
            load_params(column_names=bad)


def test_the_green_price_joins_beside_the_dam_and_is_never_its_price(tmp_path, day):
    path = write(tmp_path, green(), "GDAM_Market Snapshot.csv")
    refused(path, "GDAM", "add the files of the day-ahead market")
    write(tmp_path, day[0])
    market = read_market(tmp_path, RULES)
    assert market.dam_mcp[0].tolist() == day[1].tolist()
    assert market.extras["gdam_mcp"][0].tolist() == GREEN_PRICES.tolist()
    volumes = {"dam_purchase_bid_mw", "dam_sell_bid_mw", "dam_mcv_mw"}
    assert set(market.extras) == {"gdam_mcp"} | volumes
    assert any("GDAM" in note and "no DAM price" in note for note in market.notes)
    pd.testing.assert_frame_equal(
        Market.from_frame(market.to_frame()).to_frame(), market.to_frame()
    )


def test_a_missing_green_price_excludes_no_day(tmp_path):
    both_markets(tmp_path, ["14-08-2025", "15-08-2025"])
    rows = green("15-08-2025", summary=False)
    rows[FIRST + 3][PRICE] = "-"
    del rows[FIRST + 50 :]
    write(tmp_path, rows, "GDAM.csv")
    market = read_market(tmp_path, RULES)
    assert not market.excluded.any()
    there = np.isfinite(market.extras["gdam_mcp"])
    assert there.sum(axis=1).tolist() == [0, 49]
    assert not there[1, 3]


def test_green_prices_of_other_days_are_told_and_lengthen_no_history(tmp_path):
    both_markets(tmp_path, ["14-08-2025", "15-08-2025"])
    for d in (13, 15, 16, 17):
        write(tmp_path, green(f"{d}-08-2025", prices(96, d)), f"GDAM-{d}.csv")
    market = read_market(tmp_path, RULES)
    assert market.dates.astype(str).tolist() == ["2025-08-14", "2025-08-15"]
    assert np.isnan(market.extras["gdam_mcp"][0]).all()
    assert market.extras["gdam_mcp"][1].tolist() == prices(96, 15).tolist()
    assert any("of 3 days, 2025-08-13 to 2025-08-17, lie outside" in n for n in market.notes)
    (tmp_path / "GDAM-15.csv").unlink()
    assert "gdam_mcp" not in read_market(tmp_path, RULES).extras


def test_green_files_that_disagree_are_refused_naming_both(tmp_path, day):
    write(tmp_path, day[0])
    write(tmp_path, green(), "GDAM-a.csv")
    write(tmp_path, green(), "GDAM-b.csv")
    read_market(tmp_path, RULES)
    other = GREEN_PRICES.copy()
    other[7] += 1
    write(tmp_path, green(mcp=other), "GDAM-b.csv")
    refused(tmp_path, "GDAM-a.csv", "GDAM-b.csv", "GDAM price of 2025-08-07T01:45")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda mcp: mcp / 1000, ["GDAM price", "Rs/kWh"]),
        (lambda mcp: np.where(np.arange(96) == 4, 10_001, mcp), ["row 10", "GDAM", "the cap"]),
        (lambda mcp: np.where(np.arange(96) == 4, -1, mcp), ["row 10", "GDAM", "the floor"]),
    ],
)
def test_green_prices_are_judged_as_those_of_the_dam(tmp_path, day, spoil, words):
    write(tmp_path, day[0])
    write(tmp_path, green(mcp=spoil(GREEN_PRICES)), "GDAM.csv")
    refused(tmp_path, "GDAM.csv", *words)


def test_a_changed_green_price_contradicts_its_summary(tmp_path, day):
    write(tmp_path, day[0])
    rows = green()
    rows[FIRST + 9][PRICE] = "2345.67"
    write(tmp_path, rows, "GDAM.csv")
    refused(tmp_path, "GDAM.csv", "contradicts")


def test_green_blocks_of_zeros_are_no_price_and_a_zero_with_volume_is_one(tmp_path, day):
    write(tmp_path, day[0])
    rows = green(summary=False)
    rows[FIRST + 8][3:] = ["0.00"] * 5
    rows[FIRST + 9][PRICE] = "0.00"  # with the volume in "Total MCV (MW)"
    write(tmp_path, rows, "GDAM.csv")
    market = read_market(tmp_path, RULES)
    found = market.extras["gdam_mcp"][0]
    assert np.flatnonzero(np.isnan(found)).tolist() == [8]
    assert found[9] == 0
    assert any("GDAM.csv: 1 blocks of zeros, taken as no price" in n for n in market.notes)
    assert not market.rtm_no_trade.any()


def test_hourly_green_prices_never_stop_a_plan_in_quarters(tmp_path, day):
    write(tmp_path, day[0])
    hours = GREEN_PRICES.reshape(24, 4).mean(axis=1).round(2)
    write(tmp_path, green(mcp=hours, length=60), "GDAM_hours.csv")
    market = read_market(tmp_path, RULES)
    assert market.n_blocks == 96
    assert "gdam_mcp" not in market.extras
    assert any("GDAM_hours.csv" in n and "set apart" in n for n in market.notes)
    write(tmp_path, green(), "GDAM_quarters.csv")
    market = read_market(tmp_path, RULES)
    assert market.extras["gdam_mcp"][0].tolist() == GREEN_PRICES.tolist()
    # In hours both are read, and have to agree.
    market = read_market(tmp_path, HOURLY)
    np.testing.assert_allclose(market.extras["gdam_mcp"][0], hours, atol=0.011)
    write(tmp_path, green(mcp=hours + 1, length=60), "GDAM_hours.csv")
    refused(tmp_path, "hourly files and the 15-minute files disagree", rules=HOURLY)


def test_green_quarters_beside_hourly_prices_are_averaged(tmp_path):
    write(tmp_path, snapshot([DAY], prices(24), length=60), "DAM.csv")
    rows = green(summary=False)
    rows[FIRST + 5][PRICE] = "-"
    write(tmp_path, rows, "GDAM.csv")
    found = read_market(tmp_path, RULES).extras["gdam_mcp"][0]
    expected = GREEN_PRICES.reshape(24, 4).mean(axis=1)
    expected[1] = np.nan  # of an hour that lacks a quarter there is no mean
    np.testing.assert_allclose(found, expected)


def test_a_tidy_file_may_hold_the_green_price(tmp_path):
    frame = tidy_frame()
    frame["gdam_mcp_rs_mwh"] = frame["dam_mcp_rs_mwh"] + 17
    market = read_market(tidy(tmp_path, frame), RULES)
    np.testing.assert_allclose(market.extras["gdam_mcp"], market.dam_mcp + 17)


# --- traps that are refused ----------------------------------------------------------------


def test_files_that_disagree_are_refused_naming_both(tmp_path, day):
    rows, values = day
    write(tmp_path, rows, "a.csv")
    values = values.copy()
    values[7] += 1
    write(tmp_path, snapshot([DAY], values), "b.csv")
    refused(tmp_path, "a.csv", "b.csv", "row 13", "2025-08-07T01:45", f"{values[7]:g}")


def test_a_doubled_row_with_another_price_is_refused(tmp_path):
    rows = snapshot([DAY], prices(96), market="RTM", summary=False)
    rows.insert(FIRST + 3, [*rows[FIRST + 3][:-1], "1234.00"])
    write(tmp_path, snapshot([DAY], prices(96)), "DAM.csv")
    write(tmp_path, rows, "RTM.csv")
    refused(tmp_path, "disagree on the RTM price", "1234", "row 9", "row 10")


def test_a_missing_price_yields_to_one_that_is_there_and_hides_no_disagreement(tmp_path, day):
    rows, values = day[0][: FIRST + 96], day[1]
    rows.insert(FIRST + 3, [*rows[FIRST + 3][:-1], "-"])
    assert read_market(write(tmp_path, rows), RULES).dam_mcp[0].tolist() == values.tolist()
    rows.insert(FIRST + 3, [*rows[FIRST + 3][:-1], "1234.00"])
    refused(write(tmp_path, rows), "disagree", "1234", "row 9", "row 11")


def test_no_trade_in_one_file_and_a_price_in_another_is_refused(tmp_path, day):
    write(tmp_path, day[0], "DAM.csv")
    rows = snapshot([DAY], prices(96), market="RTM", summary=False)
    write(tmp_path, rows, "RTM (1).csv")
    rows[FIRST][4:] = ["0"] * 5
    write(tmp_path, rows, "RTM.csv")
    refused(tmp_path, "no trade", "RTM (1).csv")


def test_no_trade_in_hours_and_a_price_in_quarters_is_refused_and_the_other_way_round(tmp_path):
    def pair(hour_idle: bool, quarters_idle: bool):
        values = prices(96)
        quarters = snapshot([DAY], values, market="RTM", summary=False)
        hours = values.reshape(24, 4).mean(axis=1)
        hourly = snapshot([DAY], hours, length=60, summary=False)
        hourly = [[*row[:2], *row[3:]] if len(row) > 3 else row for row in hourly]
        if hour_idle:
            hourly[FIRST + 2][2:] = ["0"] * 5
        for block in range(8, 12) if quarters_idle else ():
            quarters[FIRST + block][4:] = ["0"] * 5
        write(tmp_path, quarters, "RTM quarters.csv")
        write(tmp_path, hourly, "RTM hours.csv")
        write(tmp_path, snapshot([DAY], values), "DAM.csv")

    pair(True, True)
    assert np.flatnonzero(read_market(tmp_path, HOURLY).rtm_no_trade[0]).tolist() == [2]
    pair(True, False)
    refused(tmp_path, "2025-08-07, hour 2: no trade and ", rules=HOURLY)
    pair(False, True)
    refused(tmp_path, "2025-08-07, hour 2: ", "Rs/MWh and no trade", rules=HOURLY)


def test_a_price_that_contradicts_the_summary_is_refused(tmp_path, day):
    rows, _ = day
    rows[FIRST + 50][PRICE] = "5000.00"  # within Max and Min, so that only Avg tells
    refused(write(tmp_path, rows), "Avg", "contradicts", "row 106")


def test_one_missing_price_does_not_switch_the_checksum_off(tmp_path):
    days = ["07-08-2025", "08-08-2025", "09-08-2025"]
    values = np.tile(prices(96), 3)
    rows = snapshot(days, values)
    rows[FIRST + 250][PRICE] = "-"
    market = read_market(write(tmp_path, rows), RULES)
    assert np.flatnonzero(np.isnan(market.dam_mcp.ravel())).tolist() == [250]
    assert any("Avg row checks the others only in part" in note for note in market.notes)
    for row in rows[FIRST : FIRST + 96]:
        row[PRICE] = "9000.00"
    refused(write(tmp_path, rows), "Avg", "contradicts")


def test_a_missing_price_that_did_not_count_in_the_average_is_no_contradiction(tmp_path):
    values = prices(96)
    rows = snapshot([DAY], values)
    rows[FIRST + 40][PRICE] = "-"
    others = np.delete(values, 40)
    for row, reduce in zip(rows[-3:], (np.max, np.min, np.mean), strict=True):
        row[PRICE] = f"{reduce(others):.2f}"
    assert np.isfinite(read_market(write(tmp_path, rows), RULES).dam_mcp).sum() == 95


def test_a_changed_price_is_found_in_a_partial_day_but_a_trimmed_day_is_not_one(tmp_path):
    write(tmp_path, snapshot([DAY], prices(96)), "DAM.csv")
    rows = snapshot([DAY], prices(46), market="RTM")
    rows[FIRST + 5][PRICE] = "5000.00"
    write(tmp_path, rows, "RTM.csv")
    refused(tmp_path, "RTM.csv", "contradicts")
    whole = snapshot([DAY], prices(96), market="RTM")
    del whole[FIRST + 46 : FIRST + 96]
    write(tmp_path, whole, "RTM.csv")
    market = read_market(tmp_path, RULES)
    assert np.isfinite(market.rtm_mcp).sum() == 46
    assert any("other rows" in note for note in market.notes)
    whole[FIRST + 5][PRICE] = "9999.00"  # above the Max of the whole day
    write(tmp_path, whole, "RTM.csv")
    refused(tmp_path, "RTM.csv", "Max", "contradicts")


@pytest.mark.parametrize(
    ("row", "column", "cell", "words"),
    [
        (FIRST + 9, PRICE, "abc", ["row 15", "MCP", "'abc'", "is no number"]),
        (FIRST + 9, PRICE, "28*50", ["'28*50'", "is no number"]),
        (FIRST + 9, PRICE, "6999,43", ["'6999,43'", "is no number"]),
        (FIRST + 9, PRICE, "12000.00", ["row 15", "above the cap", "10000", "2025-08-07"]),
        (FIRST + 9, PRICE, "-5", ["row 15", "below the floor"]),
        (FIRST + 9, 2, "noon", ["row 15", "Time Block", "'noon'"]),
        (FIRST + 9, 2, "02:20 - 02:35", ["row 15", "Time Block"]),
        (FIRST + 9, 0, "08-25-2025", ["row 15", "Date", "month-first"]),
        (FIRST + 9, 0, "31-02-2025", ["row 15", "Date", "correct the date"]),
        (FIRST + 9, 0, "09-08-2025", ["row 3", "does not match the rows"]),
        (FIRST + 9, 0, "", ["row 15", "Date", "is no date"]),
        (2, 0, "Date: 08-07-2025", ["row 3", "does not match the rows", "month-first"]),
        (2, 0, f"Date: {DAY} to 09-08-2025", ["row 3", "2025-08-07 to 2025-08-07"]),
        (4, PRICE, "Weighted MCP (Rs/MWh)", ["row 5", "no price column", "weighted mcp"]),
        (4, PRICE, "MCP (Rs/kWh)", ["row 5", "not in Rs/MWh"]),
        (4, 3, "MCP (Rs/MWh)", ["row 5", "twice"]),
    ],
)
def test_a_wrong_cell_is_refused_with_its_place(tmp_path, day, row, column, cell, words):
    rows = day[0][: FIRST + 96]
    rows[row][column] = cell
    if row == 4 and column == 3:
        rows[4][column] = rows[4][PRICE]
    refused(write(tmp_path, rows), "DAM_Market Snapshot.csv", *words)


def test_the_sheet_is_named_where_there_are_sheets(tmp_path, day):
    rows = day[0]
    rows[FIRST + 9][PRICE] = "abc"
    refused(write_xlsx(tmp_path, rows), "[Sheet]", "row 15", "'abc'")


def test_the_cap_is_that_of_the_date(tmp_path):
    values = prices(192)
    values[50] = 12000
    read_market(write(tmp_path, snapshot(["02-04-2023", "03-04-2023"], values)), RULES)
    values[150] = 12000
    path = write(tmp_path, snapshot(["03-04-2023", "04-04-2023"], values))
    refused(path, "above the cap of 10000", "2023-04-04", "price_caps")


def test_labels_that_run_late_by_an_hour_are_refused(tmp_path):
    rows = snapshot([DAY], prices(96), summary=False)
    for block, row in enumerate(rows[FIRST:]):
        start, end = 60 + 15 * block, 60 + 15 * (block + 1)
        row[2] = (
            f"{clock(start)}-{clock(end if end <= 1440 else end - 1440 if end > 1500 else end)}"
        )
    rows[-1][2] = "24:45-01:00"
    for row in rows[FIRST:]:
        row[1] = str(int(row[2][:2]) + 1)
    refused(write(tmp_path, rows), "row 98", "late by an hour")
    for block, row in enumerate(rows[FIRST:]):  # the same, wrapped: only the hour tells
        start = (60 + 15 * block) % 1440
        row[1], row[2] = str(block // 4 + 1), f"{clock(start)}-{clock(start + 15)}"
    refused(write(tmp_path, rows), "row 6", "'Hour'", "late by an hour")


def test_sessions_that_contradict_their_blocks_are_refused(tmp_path, day):
    write(tmp_path, day[0], "DAM.csv")
    rows = snapshot([DAY], prices(96), market="RTM")
    rows[FIRST + 8][2] = "9"
    refused(write(tmp_path, rows, "RTM.csv").parent, "RTM.csv", "row 14", "Session ID")


@pytest.mark.parametrize("lost", [0, 5])
@pytest.mark.parametrize("shift", ["15min", "1h", "-1h", "-5h30min"])
def test_days_that_start_as_shifted_labels_do_are_refused(tmp_path, shift, lost):
    frame = tidy_frame()[: 192 - lost]
    starts = pd.to_datetime(frame["delivery_start"]) + pd.Timedelta(shift)
    frame["delivery_start"] = starts.dt.strftime("%Y-%m-%d %H:%M")
    refused(tidy(tmp_path, frame), "prices.csv", "instead of 00:00", "shifted")


@pytest.mark.parametrize(
    ("cell", "word"),
    [
        ("2024-03-01 24:00", "next day"),
        ("2024-03-01 01:15+00:00", "Indian time"),
        ("2024-03-01 01:20", "15-minute"),
        ("03/01/2024 01:15", "YYYY-MM-DD"),
        ("", "YYYY-MM-DD"),
    ],
)
def test_a_wrong_start_is_refused_with_its_place(tmp_path, cell, word):
    frame = tidy_frame()
    frame.loc[5, "delivery_start"] = cell
    refused(tidy(tmp_path, frame), "row 7", "delivery_start", word)


def test_prices_in_rs_per_kwh_are_refused(tmp_path):
    path = write(tmp_path, snapshot([DAY], prices(96) / 1000))
    refused(path, "Rs/kWh", "multiply them by 1000")


def test_some_days_in_rs_per_kwh_are_found_in_a_year_that_is_not(tmp_path):
    frame = tidy_frame(5)
    frame["dam_mcp_rs_mwh"] = frame["dam_mcp_rs_mwh"].where(frame.index < 3 * 96, 0)
    frame["mcv_mw"] = 10.0
    assert read_market(tidy(tmp_path, frame), RULES).dam_mcp[4].tolist() == [0.0] * 96
    frame.loc[96:191, "rtm_mcp_rs_mwh"] /= 1000
    frame.loc[[97, 98], "rtm_mcp_rs_mwh"] = 6000.0
    words = ("prices.csv, row 98", "RTM price of 2024-03-02", "Rs/kWh", "1 of 5 days")
    assert "multiply" not in refused(tidy(tmp_path, frame), *words)


def test_month_first_dates_are_refused_where_they_leave_gaps(tmp_path):
    days = [f"06-{d:02d}-2025" for d in range(1, 6)]  # 1 to 5 June, month first
    rows = snapshot(days, prices(480), summary=False)
    rows[2] = []  # no header to contradict them
    refused(write(tmp_path, rows), "month-first", "2025-06-01 to 2025-06-05")


def test_dates_that_a_spreadsheet_half_converted_are_refused(tmp_path):
    rows = snapshot(["12-06-2025", "13-06-2025"], prices(192), summary=False)
    for row in rows[FIRST : FIRST + 96]:
        row[0] = dt.datetime(2025, 12, 6)
    refused(write_xlsx(tmp_path, rows), "Date", "mixes text and Excel dates")


def test_a_name_that_contradicts_the_columns_is_refused(tmp_path, day):
    refused(write(tmp_path, day[0], "RTM_Market Snapshot.csv"), "named RTM", "DAM")
    refused(write(tmp_path, green(), "DAM_Market Snapshot.csv"), "named DAM", "GDAM")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("HP-DAM_Market Snapshot.csv", ["HP-DAM", "another market", "remove it"]),
        ("hpdam.csv", ["HP-DAM"]),
        ("High Price Day Ahead Market.csv", ["HP-DAM"]),
        ("Green-DAM_Market Snapshot.csv", ["is named GDAM"]),
        ("Green Market DAM.csv", ["is named GDAM"]),
    ],
)
def test_names_of_the_other_day_ahead_markets_are_never_the_dam(tmp_path, day, name, words):
    refused(write(tmp_path, day[0], name), *words)


def test_a_green_download_named_in_full_is_no_dam_price(tmp_path, day):
    write(tmp_path, green(), "Green-DAM_Market Snapshot.csv")
    write(tmp_path, day[0])
    assert read_market(tmp_path, RULES).dam_mcp[0].tolist() == day[1].tolist()


def test_unquoted_thousands_commas_are_refused(tmp_path, day):
    path = write(tmp_path, day[0])
    text = path.read_text().replace(",300.00,", ",1,300.00,", 1)
    path.write_text(text)
    refused(path, "row 6", "more values than the 8 columns")


def test_real_time_prices_without_their_sessions_are_never_day_ahead_prices(tmp_path):
    rows = snapshot([DAY], prices(96), market="RTM")
    rows[4][2] = "No."
    refused(write(tmp_path, rows, "download.csv"), "summary rows of the RTM", "Session ID")
    bare = [[*row[:2], *row[3:]] for row in rows[: FIRST + 96]]
    refused(write(tmp_path, bare, "download.csv"), "does not tell its market", "start with DAM")
    (table,) = read_price_tables(write(tmp_path, bare, "RTM (3).csv"), RULES)
    assert table.market == "rtm"


def test_rows_that_step_back_in_time_are_refused(tmp_path, day):
    rows = day[0][: FIRST + 96]
    rows[FIRST + 8], rows[FIRST + 9] = rows[FIRST + 9], rows[FIRST + 8]
    refused(write(tmp_path, rows), "row 14", "comes later", "changed date or label")
    frame = tidy_frame()
    refused(tidy(tmp_path, frame[::-1]), "prices.csv", "comes later", "sort the rows by time")


def test_rows_too_short_or_values_below_no_name_are_refused(tmp_path, day):
    rows = day[0]
    short = [*rows[: FIRST + 9], rows[FIRST + 9][:3] + rows[FIRST + 9][4:], *rows[FIRST + 10 :]]
    refused(write(tmp_path, short), "row 15", "7 values below a header of 8")
    rows[4][3] = ""
    refused(write(tmp_path, rows), "row 6", "stands below no name")


def test_a_resolution_that_the_rows_do_not_show_is_refused(tmp_path, day):
    frame = tidy_frame()
    refused(tidy(tmp_path, frame[:1]), "1 rows, too few to tell hourly")
    refused(tidy(tmp_path, frame[:12:4][:2]), "2 rows, too few")
    assert read_market(tidy(tmp_path, frame[:12:4]), RULES).n_blocks == 24
    refused(tidy(tmp_path, frame[1::4]), "only at minute 15 of the hour")
    refused(tidy(tmp_path, frame[::2]), "half-hourly")
    rows = [[*row[:2], *row[3:]] for row in day[0][: FIRST + 96]]
    refused(write(tmp_path, rows), "no column 'Time Block'")


def test_a_block_above_the_header_is_refused(tmp_path, day):
    rows = day[0][: FIRST + 96]
    rows[4], rows[8] = rows[8], rows[4]
    rows[2] = []
    refused(write(tmp_path, rows), "row 5", "block above the header")
    text = tidy_frame().to_csv(index=False).splitlines(keepends=True)
    (tmp_path / "prices.csv").write_text("".join([*text[1:3], text[0], *text[3:]]))
    refused(tmp_path / "prices.csv", "row 1", "block above the header")


def test_two_downloads_in_one_sheet_are_refused(tmp_path, day):
    refused(write(tmp_path, day[0] + day[0][FIRST:]), "below the summary")


def test_what_is_no_price_file_is_refused_with_a_remedy(tmp_path, day):
    refused(tmp_path / "none.csv", "none.csv", "is not there")
    refused(tmp_path, "no price file", "Market Snapshot")
    for name, content in (
        ("a.xlsx", b"PK\x03\x04 not a zip"),
        ("b.xlsx", b"\x00\x01\x02\xff"),
        ("c.csv", b""),
        ("d.csv", b"<html>login</html>"),
        ("e.csv", b"a,b\n1,2\n"),
        ("f.csv", as_csv(day[0][:FIRST]).encode()),
        ("g.csv", b"delivery_start,price\n2024-01-01 00:00,5\n"),
        ("h.csv", b"Date,\xff\xfe\xfa\n"),
    ):
        (tmp_path / name).write_bytes(content)
        refused(tmp_path / name, name, ":")


def test_real_time_prices_alone_are_no_market_but_can_be_checked(tmp_path):
    path = write(tmp_path, snapshot([DAY], prices(96), market="RTM"), "RTM.csv")
    refused(path, "only RTM prices", "day-ahead")
    (table,) = read_price_tables(path, RULES)
    assert (table.market, table.block_minutes, len(table.starts)) == ("rtm", 15, 96)


def test_a_history_without_one_day_ahead_price_is_refused(tmp_path):
    frame = tidy_frame()
    frame["dam_mcp_rs_mwh"] = np.nan
    refused(tidy(tmp_path, frame), "not one DAM price")


# --- what is known when --------------------------------------------------------------------


def numbered(n_days: int = 5, blocks: int = 96) -> Market:
    """A market of which every value is different."""
    shape = (n_days, blocks)
    n_arrays = 2 + len(EXTRAS)
    values = np.arange(n_arrays * n_days * blocks, dtype=float).reshape(n_arrays, *shape) + 1
    no_trade = np.zeros(shape, bool)
    no_trade[:, blocks // 3] = no_trade[:, -1] = True
    return Market(
        np.datetime64("2024-03-01") + np.arange(n_days),
        values[0],
        np.where(no_trade, np.nan, values[1]),
        no_trade,
        dict(zip(EXTRAS, values[2:], strict=True)),
        is_synthetic=False,
    )


def slow_known(market: Market, now: dt.datetime, rules) -> dict:
    """Block by block: {(date, block): what is known}, from the sentences of the design."""
    known = {}
    for i, date in enumerate(market.dates.tolist()):
        midnight = dt.datetime.combine(date, dt.time())
        results = midnight - dt.timedelta(days=1) + dt.timedelta(minutes=rules.dam_results)
        for b in range(market.n_blocks):
            end = midnight + dt.timedelta(minutes=(b + 1) * market.block_minutes)
            session = midnight
            while session + dt.timedelta(minutes=rules.rtm_session_minutes) < end:
                session += dt.timedelta(minutes=rules.rtm_session_minutes)
            dam, rtm = now >= results, now >= session
            known[date, b] = (
                market.dam_mcp[i, b] if dam else np.nan,
                market.rtm_mcp[i, b] if rtm else np.nan,
                bool(market.rtm_no_trade[i, b]) and rtm,
                *(
                    values[i, b] if (rtm if name.startswith("rtm") else dam) else np.nan
                    for name, values in market.extras.items()
                ),
            )
    return known


@pytest.mark.parametrize("blocks", [24, 96])
@pytest.mark.parametrize("session", [15, 30, 45, 60])
def test_known_at_is_the_slow_loop_over_blocks(blocks, session):
    market = numbered(4, blocks)
    rules = RULES.model_copy(update={"rtm_session_minutes": session, "dam_results": 13 * 60 + 20})
    start = dt.datetime(2024, 2, 29, 13, 20)
    times = [start + dt.timedelta(minutes=m) for m in range(0, 5 * 1440, 97)]
    times += [
        dt.datetime(2024, 3, d, h, m) for d in (1, 3) for h, m in ((0, 0), (13, 19), (13, 20))
    ]
    for now in times:
        view, expected = market.known_at(now, rules), slow_known(market, now, rules)
        arrays = (view.dam_mcp, view.rtm_mcp, view.rtm_no_trade, *view.extras.values())
        for i, date in enumerate(view.dates.tolist()):
            got = np.array([array[i] for array in arrays]).T
            want = np.array([expected.pop((date, b)) for b in range(blocks)], dtype=float)
            np.testing.assert_array_equal(got, want, err_msg=f"{now} {date}")
        for left in expected.values():  # the days that were cut
            assert not left[2]
            assert np.isnan([left[0], left[1], *left[3:]]).all()
        assert not np.isnan(view.dam_mcp[-1]).any()  # and no day too many


def test_the_gates_of_the_design():
    quarter, hour = numbered(), numbered(blocks=24)

    def rtm_known(market, hh, mm):
        view = market.known_at(dt.datetime(2024, 3, 3, hh, mm), RULES)
        return int((~np.isnan(view.rtm_mcp[2]) | view.rtm_no_trade[2]).sum()), len(view.dates)

    assert rtm_known(quarter, 11, 0) == (46, 3)  # DAM gate: block 46, nothing of tomorrow
    assert rtm_known(quarter, 10, 59) == (44, 3)
    assert rtm_known(hour, 10, 29) == (10, 3)
    assert rtm_known(hour, 10, 30) == (11, 3)
    assert rtm_known(quarter, 13, 0) == (54, 4)  # with tomorrow's DAM results


def test_prices_after_the_gate_are_not_visible():
    market = numbered()
    now = dt.datetime(2024, 3, 3, 11)
    view = market.known_at(now, RULES)
    future = {market.rtm_mcp[2, 46], market.dam_mcp[3, 0], market.extras["rtm_mcv_mw"][2, 46]}
    future |= {market.extras["gdam_mcp"][3, 0]}
    for array in (view.dates, view.dam_mcp, view.rtm_mcp, view.rtm_no_trade, *view.extras.values()):
        assert array.base is None  # no larger array behind it
        assert not future & set(array.ravel().tolist())
    assert not future & set(np.ravel([v for v in vars(view).values() if isinstance(v, float)]))
    assert view.notes == ()
    assert not view.rtm_no_trade[2, 95]


def test_changing_the_future_changes_no_view():
    market, now = numbered(), dt.datetime(2024, 3, 3, 11)
    rtm, dam, no_trade = market.rtm_mcp.copy(), market.dam_mcp.copy(), market.rtm_no_trade.copy()
    rtm[2, 46:] = rtm[3:] = dam[3:] = -1
    no_trade[2, 46:] = True
    other = Market(market.dates, dam, rtm, no_trade, market.extras, False)
    one, two = market.known_at(now, RULES), other.known_at(now, RULES)
    pd.testing.assert_frame_equal(one.to_frame(), two.to_frame())


def test_before_the_first_result_there_is_nothing_to_know():
    market = numbered()
    assert len(market.known_at(dt.datetime(2024, 2, 29, 13), RULES).dates) == 1
    with pytest.raises(DataError, match="nothing is known"):
        market.known_at(dt.datetime(2024, 2, 29, 12, 59), RULES)
    with pytest.raises(ValueError, match="naive"):
        market.known_at(dt.datetime(2024, 3, 2, tzinfo=dt.UTC), RULES)


def test_a_view_of_two_years_takes_no_more_steps_than_one_of_a_month():
    month, years = numbered(30), numbered(730)
    early, late = dt.datetime(2024, 3, 25, 11), dt.datetime(2026, 2, 25, 11)
    few = calls_of(lambda: month.known_at(early, RULES))
    assert calls_of(lambda: years.known_at(late, RULES)) == few < 1000


# --- the object ----------------------------------------------------------------------------


def test_the_frame_comes_back_as_the_market_it_was(tmp_path):
    for market in (numbered(), numbered(blocks=24).days(1, 3)):
        market.to_frame().to_parquet(tmp_path / "market.parquet", index=False)
        frame = pd.read_parquet(tmp_path / "market.parquet")
        assert str(frame["delivery_start"].dt.tz) == "Asia/Kolkata"
        assert len(frame) == len(market.dates) * market.n_blocks
        back = Market.from_frame(frame)
        assert back.dates.tolist() == market.dates.tolist()
        pd.testing.assert_frame_equal(back.to_frame(), market.to_frame())
        assert back.is_synthetic == market.is_synthetic
        with pytest.raises(DataError, match="calendar"):
            Market.from_frame(frame.drop(index=7))


def test_a_market_is_read_only_and_travels_to_workers():
    market = pickle.loads(pickle.dumps(numbered()))
    for array in (market.dates, market.dam_mcp, market.rtm_mcp, market.excluded):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = array[1]
    with pytest.raises(TypeError):
        market.extras["dam_mcv_mw"] = market.dam_mcp
    pd.testing.assert_frame_equal(market.to_frame(), numbered().to_frame())


def test_the_caller_keeps_his_own_arrays():
    values = np.ones((1, 24))
    market = Market(np.array(["2024-01-01"], "M8[D]"), values, values, values > 2, {}, False)
    values[0, 0] = 7
    assert market.dam_mcp[0, 0] == 1


def test_no_trade_does_not_exclude_a_day_but_a_missing_price_does():
    market = numbered()
    assert not market.excluded.any()
    dam, rtm = market.dam_mcp.copy(), market.rtm_mcp.copy()
    dam[1, 3] = rtm[3, 5] = np.nan
    holes = Market(market.dates, dam, rtm, market.rtm_no_trade, {}, False)
    assert holes.excluded.tolist() == [False, True, False, True, False]


def test_a_day_outside_the_history_is_an_error_that_names_the_history():
    market = numbered()
    assert market.index_of(dt.date(2024, 3, 3)) == 2
    for date in ("2024-02-29", "2024-03-06"):
        with pytest.raises(DataError, match="2024-03-01 to 2024-03-05"):
            market.index_of(date)


def test_days_that_are_not_consecutive_are_no_market():
    market = numbered()
    with pytest.raises(DataError, match="consecutive"):
        Market(market.dates[[0, 2]], *[market.dam_mcp[:2]] * 2, market.rtm_no_trade[:2], {}, False)


# --- the exchange's own files, or what stands in for them ----------------------------------


def test_the_day_ahead_download_is_read(downloads):
    market = read_market(downloads / DAM, RULES)
    assert market.dates.tolist() == [dt.date(2025, 8, 7)]
    assert market.dam_mcp[0].tolist() == prices_in(downloads / DAM)
    assert market.dam_mcp.mean() == pytest.approx(
        float(summary_of(downloads / DAM, "Avg")), abs=0.01
    )
    if downloads.is_real:
        assert market.dam_mcp[0, :2].tolist() == [6999.43, 5999.11]
        assert market.extras["dam_purchase_bid_mw"][0, 95] == 15387.70


def test_the_half_day_of_real_time_prices_is_history(downloads):
    market = read_market([downloads / DAM, downloads / RTM], RULES)
    assert np.isfinite(market.rtm_mcp).sum(axis=1).tolist() == [0, 0, 0, 0, 0, 46]
    assert market.rtm_mcp[5, :46].tolist() == prices_in(downloads / RTM)
    assert market.excluded.all()
    if downloads.is_real:
        assert market.rtm_mcp[5, 45] == 557.56


@pytest.mark.filterwarnings("ignore:DrawingML:UserWarning")
def test_a_changed_cell_of_the_download_is_refused(downloads, tmp_path):
    book = openpyxl.load_workbook(downloads / RTM)
    book.active.cell(row=20, column=9).value = "2000.00"
    book.save(tmp_path / "RTM_Market Snapshot.xlsx")
    refused(tmp_path, "[Sheet1]", "contradicts")


def test_the_green_download_is_read_beside_the_others_and_alone_is_no_price(downloads):
    refused(downloads / GDAM, "GDAM")
    market = read_market([downloads / DAM, downloads / GDAM], RULES)
    assert market.dates.tolist() == [dt.date(2025, 8, 7)]
    assert "gdam_mcp" not in market.extras
    market = read_market([downloads / name for name in (DAM, GDAM, RTM)], RULES)
    assert market.extras["gdam_mcp"][5].tolist() == prices_in(downloads / GDAM)
    assert np.isnan(market.dam_mcp[5]).all()
    if downloads.is_real:
        assert market.extras["gdam_mcp"][5].mean() == pytest.approx(4748.87, abs=0.01)


def test_the_tidy_files_are_read_in_full(downloads):
    year = read_market(downloads / QUARTERS, RULES)
    assert year.dam_mcp.shape == (366, 96)
    if downloads.is_real:
        assert year.dam_mcp.mean() == pytest.approx(4585, abs=0.5)
    hours = read_market(downloads / HOURS, RULES)
    gaps = hours.dates[np.isnan(hours.dam_mcp).any(axis=1)]
    assert gaps.astype(str).tolist() == ["2022-09-04", "2022-09-08"]
    both = read_market(downloads / BOTH, RULES)
    assert both.rtm_mcp.shape == (62, 24)
    assert not both.excluded.any()


def test_files_that_disagree_are_not_mixed(downloads):
    refused([downloads / HOURS, downloads / BOTH], HOURS, BOTH, "disagree on the DAM price")
