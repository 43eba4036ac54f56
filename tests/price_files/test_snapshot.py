"""The exchange's download: which cells are understood, and which are refused with their place."""

import datetime as dt

import numpy as np
import pytest
from price_cases import (
    DAY,
    FIRST,
    PRICE,
    RULES,
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

from bessvpp.errors import ParameterError
from bessvpp.market.read import read_market
from bessvpp.params.load import load_params
from bessvpp.price_files.judge import read_price_tables

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


# --- traps that are refused ----------------------------------------------------------------


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


def test_real_time_prices_without_their_sessions_are_never_day_ahead_prices(tmp_path):
    rows = snapshot([DAY], prices(96), market="RTM")
    rows[4][2] = "No."
    refused(write(tmp_path, rows, "download.csv"), "summary rows of the RTM", "Session ID")
    bare = [[*row[:2], *row[3:]] for row in rows[: FIRST + 96]]
    refused(write(tmp_path, bare, "download.csv"), "does not tell its market", "start with DAM")
    (table,) = read_price_tables(write(tmp_path, bare, "RTM (3).csv"), RULES)
    assert table.market == "rtm"
