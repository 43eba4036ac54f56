"""Policies and odd markets that tests of the backtest share, and the claim of the ceiling."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pandas as pd
from small_cases import make_market

from bessvpp.backtest import policies
from bessvpp.backtest.simulate import CEILING, run_backtest
from bessvpp.market.history import Market
from bessvpp.params.study import FanName
from bessvpp.settlement.day import AS_COMMITTED, HINDSIGHT

POLICIES = policies.SIMPLE | {
    f"{name}_{fan}": kind(fan)
    for name, kind in policies.ON_FAN.items()
    for fan in get_args(FanName)
}


def changed(market: Market, **edits: object) -> Market:
    """The market with ``(days, blocks, values)`` written over some of its arrays."""
    arrays = {"dam": market.dam_mcp.copy(), "rtm": market.rtm_mcp.copy()}
    no_trade = market.rtm_no_trade.copy()
    for name, (days, blocks, values) in edits.items():
        if name == "no_trade":
            no_trade[days, blocks] = values
            arrays["rtm"][days, blocks] = np.nan
        else:
            arrays[name][days, blocks] = values
    dam, rtm = arrays["dam"], arrays["rtm"]
    return Market(market.dates, dam, rtm, no_trade, market.extras, False)


def traded(rows: pd.DataFrame) -> pd.Series:
    """MWh that the tie-break of 0.01 Rs/MWh can have moved, by policy and settlement."""
    names = ["dam_sold", "dam_bought", "rtm_sold", "rtm_bought", "charged", "discharged"]
    return rows[[f"{name}_mwh" for name in names]].sum(axis=1)


def assert_never_beaten(window, ways=(AS_COMMITTED, HINDSIGHT)) -> pd.DataFrame:
    return assert_below_the_ceiling(run_backtest(window).daily, ways)


def assert_below_the_ceiling(daily, ways=(AS_COMMITTED, HINDSIGHT)) -> pd.DataFrame:
    daily["tie_rs"] = 0.01 * traded(daily)
    totals = daily.groupby(["settlement", "policy"])[["net_rs", "tie_rs"]].sum()
    for settlement in ways:
        rows = totals.loc[settlement]
        ceiling = rows.loc[CEILING]
        for name in rows.index.drop(CEILING):
            # The ceiling earns most up to the tie-break, which is part of what it maximises.
            assert rows.loc[name, "net_rs"] <= ceiling["net_rs"] + ceiling["tie_rs"], (
                settlement,
                name,
            )
    return daily


MARKETS = {
    "ordinary": make_market(12, seed=1),
    "quarter hours": make_market(11, 96, seed=2),
    "flat": changed(
        make_market(12, seed=3), dam=(slice(0, 12), slice(0, 24), 5000.0), rtm=(7, 3, 5005.0)
    ),
    "capped and free": changed(
        make_market(12, seed=4),
        dam=(slice(8, 12), slice(17, 24), 10_000.0),
        rtm=(slice(8, 12), slice(8, 15), 0.0),
    ),
    "no trade": changed(
        make_market(12, seed=5), no_trade=(slice(8, 12), np.r_[0:5, 12, 18:21], True)
    ),
}
