"""A download is held against its own Max, Min and Avg."""

import numpy as np
import openpyxl
import pytest
from price_cases import DAY, FIRST, PRICE, RULES, green, prices, refused, snapshot, write
from stand_in import RTM

from bessvpp.market.read import read_market


def test_a_changed_green_price_contradicts_its_summary(tmp_path, day):
    write(tmp_path, day[0])
    rows = green()
    rows[FIRST + 9][PRICE] = "2345.67"
    write(tmp_path, rows, "GDAM.csv")
    refused(tmp_path, "GDAM.csv", "contradicts")


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


@pytest.mark.filterwarnings("ignore:DrawingML:UserWarning")
def test_a_changed_cell_of_the_download_is_refused(downloads, tmp_path):
    book = openpyxl.load_workbook(downloads / RTM)
    book.active.cell(row=20, column=9).value = "2000.00"
    book.save(tmp_path / "RTM_Market Snapshot.xlsx")
    refused(tmp_path, "[Sheet1]", "contradicts")
