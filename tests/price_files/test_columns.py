"""Names of columns say what they are; what another name says is not guessed."""

import pytest

from bessvpp.price_files.columns import column_of, market_named
from bessvpp.price_files.tables import label


@pytest.mark.parametrize(
    ("name", "role", "market", "unit"),
    [
        ("MCP (Rs/MWh) *", "mcp", "", "rs/mwh"),
        ("mcp_rs_mwh", "mcp", "", "rs/mwh"),
        ("MCP_Rs_MWh", "mcp", "", "rs/mwh"),
        ("mcp_rs_per_mwh", "mcp", "", "rs/mwh"),
        ("MCP (₹/MWh)", "mcp", "", "rs/mwh"),
        ("MCP [Rs./kWh]", "mcp", "", "rs/kwh"),
        ("dam_mcp", "mcp", "dam", ""),
        ("DAM Price (INR/MWh)", "mcp", "dam", "rs/mwh"),
        ("mcp_rtm_inr_per_mwh", "mcp", "rtm", "rs/mwh"),
        ("GDAM (Rs/MWh)", "mcp", "gdam", "rs/mwh"),
        ("hpdam_mcp", "mcp", "hpdam", ""),
        ("prchs_bid_mw", "purchase_bid_mw", "", "mw"),
        ("Total Sell Bid (MW)", "sell_bid_mw", "", "mw"),
        ("MCV (MWh)", "mcv_mw", "", "mwh"),
        ("final_scheduled_vol_mw", "final", "", "mw"),
        ("delivery_start", "stamp", "", ""),
        ("TimeStamp", "stamp", "", ""),
        ("Token_NO", "block", "", ""),
        ("wt_mcp_rs_mwh", "", "", "rs/mwh"),
        ("Weighted MCP (Rs/MWh)", "", "", "rs/mwh"),
        ("dam", "", "", ""),
        ("rtm_sessions", "", "", ""),
        ("a1_price_in_rs_per_mwh", "", "", "rs/mwh"),
        ("trade_date", "", "", ""),
    ],
)
def test_a_name_says_what_a_column_is(name, role, market, unit):
    column = column_of(label(name))
    assert (column.role, column.market, column.unit) == (role, market, unit)


@pytest.mark.parametrize(
    ("name", "minutes"), [("delivery_start_ist", 330), ("Timestamp (UTC)", 0), ("timestamp", None)]
)
def test_a_name_may_say_the_clock(name, minutes):
    column = column_of(label(name))
    assert (column.role, column.offset) == ("stamp", minutes)


@pytest.mark.parametrize(
    ("cell", "market"),
    [("DAM", "dam"), ("Day-Ahead Market", "dam"), ("IEX RTM", "rtm"), ("G-DAM", "gdam"),
     ("Green Day Ahead", "gdam"), ("HP-DAM", "hpdam"), ("TAM", ""), ("Madam", ""), ("", "")],
)  # fmt: skip
def test_a_cell_names_a_market_only_as_a_whole(cell, market):
    assert market_named(cell) == market
