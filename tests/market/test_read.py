"""Price files become one history, with its gaps and what is excluded."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from price_cases import (
    DAY,
    FIRST,
    GREEN_PRICES,
    PRICE,
    RULES,
    as_csv,
    both_markets,
    green,
    prices,
    refused,
    snapshot,
    tidy,
    tidy_frame,
    write,
    write_xlsx,
)
from stand_in import BOTH, DAM, GDAM, HOURS, QUARTERS, RTM, prices_in, summary_of

from bessvpp.market.history import EXTRAS, Market
from bessvpp.market.read import read_market
from bessvpp.price_files.judge import read_price_tables

# --- files that are whole ------------------------------------------------------------------


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


# --- traps that are understood -------------------------------------------------------------


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


def test_a_day_with_94_blocks_is_set_apart_wherever_they_are_missing(tmp_path, day):
    for lost in (slice(FIRST, FIRST + 2), slice(FIRST + 50, FIRST + 52)):
        rows = list(day[0][: FIRST + 96])
        del rows[lost]
        market = read_market(write(tmp_path, rows), RULES)
        assert np.isnan(market.dam_mcp).sum() == 2
        assert market.excluded[0]
        assert any("missing DAM price, excluded: 2025-08-07" in note for note in market.notes)


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


# --- traps that are refused ----------------------------------------------------------------


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
