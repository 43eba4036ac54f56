"""Files on one calendar: they agree, or are refused by name."""

import numpy as np
import pytest
from price_cases import (
    DAY,
    FIRST,
    GREEN_PRICES,
    HOURLY,
    PRICE,
    RULES,
    both_markets,
    green,
    prices,
    refused,
    snapshot,
    tidy,
    tidy_frame,
    write,
)
from stand_in import BOTH, HOURS

from bessvpp.market.read import read_market

# --- quarters and hours --------------------------------------------------------------------


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


# --- files that agree ----------------------------------------------------------------------


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


# --- files that do not agree ---------------------------------------------------------------


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


# --- the exchange's own files, or what stands in for them ----------------------------------


def test_files_that_disagree_are_not_mixed(downloads):
    refused([downloads / HOURS, downloads / BOTH], HOURS, BOTH, "disagree on the DAM price")
