"""A session at its gate on paper: its files, and in words."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bessvpp.desk.report import describe_battery
from bessvpp.desk.trade import SessionTrade, session_file
from bessvpp.market.clock import delivery_starts
from bessvpp.market.history import Market
from bessvpp.params.bess import BessParams
from bessvpp.params.fields import MINUTES_PER_DAY
from bessvpp.params.forecast import level_name
from bessvpp.params.load import Params
from bessvpp.params.market import MarketParams
from bessvpp.runs.folder import RunFolder

SHOWN_LEVELS = (0.1, 0.5, 0.9)


def write_session(run: RunFolder, trade: SessionTrade, bess: BessParams) -> Path:
    """Write a session's bids, the plan for the rest of the day and all that both rest on.

    ``bids/rtm_<date>_<hhmm>.csv``, the bids in whole steps, whose path is given back;
    ``bids/rest_<date>_<hhmm>.csv``, a row a block; ``bids/rtm_<date>_<hhmm>.json``, in full, which
    the gates after it read their open bids from. The time is the start of delivery.
    """
    first, n_blocks = trade.view.first, trade.n_blocks
    rest = session_file(trade.date, first, n_blocks, "csv").replace("/rtm_", "/rest_")
    run.write_csv(rest, rest_of_day(trade, bess))
    run.write_json(session_file(trade.date, first, n_blocks), _as_json(trade, bess))
    return run.write_csv(session_file(trade.date, first, n_blocks, "csv"), trade.sheet)


def rest_of_day(trade: SessionTrade, bess: BessParams) -> pd.DataFrame:
    """A row a block from the session on: prices and fan, schedule, planned trade, flow, energy."""
    view, session = trade.view, trade.session
    blocks = slice(view.first, trade.n_blocks)
    starts = delivery_starts(trade.date, trade.n_blocks).tz_localize(None)
    frame = {
        "delivery_start": starts[blocks],
        "dam_mcp_rs_mwh": view.dam[blocks],
        "rtm_expected_rs_mwh": view.expected_rtm[-1, blocks],
    }
    fan = trade.outlook.fan
    for place, level in enumerate(fan.levels):
        frame[f"rtm_{level_name(level)}"] = fan.values[0, 0, blocks, place]
    frame["dam_mw"] = trade.unit_dam_mw.sum(axis=0)[blocks]
    frame["rtm_mw"] = session.rtm_mw[blocks]
    for i, unit in enumerate(bess.units):
        frame[f"{unit.name}_mw"] = session.net_mw[i, blocks]
        frame[f"{unit.name}_end_mwh"] = session.energy_mwh[i, 1:][blocks]
    table = pd.DataFrame(frame)
    numbers = table.columns[1:]
    return table.assign(**table[numbers].round(4))


def describe_session(trade: SessionTrade, market: Market, params: Params) -> str:
    """The session in words and an hourly table of the rest of the day, for a terminal."""
    view, rules = trade.view, params.market
    source = "SYNTHETIC market" if market.is_synthetic else "exchange data"
    expected = view.expected_rtm[-1, view.first : view.last].mean()
    lines = [
        f"Session of {trade.clock(view.first)} to {trade.clock(view.last)} on {trade.date}, gate "
        f"{trade.gate:%H:%M} on {trade.gate:%Y-%m-%d}, {source}.",
        f"Terminal rule {params.backtest.terminal}, {trade.recourse} recourse, hurdle of Rs "
        f"{rules.hurdle_rtm_rs_per_mwh:g}/MWh in the RTM.",
        describe_battery(params.bess, trade.date),
        *_sessions_within(trade, rules),
        "",
        f"Outcomes known to {trade.clock(view.n_known)}. Stored, MWh: {_energies(trade)}.",
        *trade.notes,
        "",
        _bids_in_words(trade, rules),
        f"The RTM is expected at Rs {expected:,.0f}/MWh in the session.",
        *_worth_in_words(trade, params.bess),
        "",
        _hourly(trade).to_string(),
        "",
        "Prices in Rs/MWh, the RTM's expected beside its quantiles as this gate has them. Trades "
        "are those\nplanned now, energy that at the end of the hour; each session is bid anew at "
        "its own gate.",
    ]
    if trade.recourse == "dynamic":
        spread = trade.outlook.law.spread_rs[view.first : view.last].mean()
        lines.append(
            f"Bids count with an RTM that strays from what is expected by Rs {spread:,.0f}/MWh "
            "(root mean square in the session)."
        )
    return "\n".join(lines)


def _sessions_within(trade: SessionTrade, rules: MarketParams) -> list[str]:
    """That hourly prices make one session of several; nothing where they do not."""
    minutes = MINUTES_PER_DAY // trade.n_blocks
    if minutes <= rules.rtm_session_minutes:
        return []
    later = trade.gate + dt.timedelta(minutes=minutes - rules.rtm_session_minutes)
    return [
        f"Prices are hourly: the exchange's sessions of {rules.rtm_session_minutes} minutes within "
        f"the hour are bid alike, the last of them by {later:%H:%M}."
    ]


def _energies(trade: SessionTrade) -> str:
    view, energy = trade.view, trade.session.energy_mwh.sum(axis=0)
    places = dict.fromkeys((view.n_known, view.first, view.last, trade.n_blocks))
    return ", ".join(f"{energy[place]:.1f} at {trade.clock(place)}" for place in places)


def _bids_in_words(trade: SessionTrade, rules: MarketParams) -> str:
    """The bids of the sheet, those of blocks alike once."""
    if trade.sheet.empty:
        return "No bids: no trade is worth it in this session."
    told = [f"{len(trade.sheet)} bids in steps of {rules.bid_step_mw:g} MW, limits in Rs/MWh:"]
    for (block, start, end), rows in trade.sheet.groupby(["block", "start", "end"], sort=True):
        bids = ", ".join(
            f"{row.side} {row.mw:g} MW at {row.limit_price_rs_per_mwh:,.0f}"
            for row in rows.itertuples()
        )
        told.append(f"  block {block}, {start} to {end}: {bids}")
    return "\n".join(told)


def _worth_in_words(trade: SessionTrade, bess: BessParams) -> list[str]:
    """What one more MWh stored after the session is worth, a line a unit."""
    last = trade.view.last
    return [
        f"A further MWh stored in {unit.name} after the session is worth Rs "
        f"{worth.slope_rs_per_mwh(energy[last]):,.0f} (it will hold {energy[last]:.1f} MWh)."
        for unit, worth, energy in zip(
            bess.units, trade.session.worth, trade.session.energy_mwh, strict=True
        )
    ]


def _hourly(trade: SessionTrade) -> pd.DataFrame:
    """Means by hour of the rest of the day, and energy at each hour's end."""
    per_hour = trade.n_blocks // 24
    hour = np.arange(trade.view.first, trade.n_blocks) // per_hour
    fan, view = trade.outlook.fan, trade.view
    columns = {"DAM": view.dam, "RTM": view.expected_rtm[-1]}
    for level in SHOWN_LEVELS:
        if level in fan.levels:
            values = fan.values[0, 0, :, fan.levels.index(level)]
            columns[f"RTM {level_name(level)}"] = values
    prices = pd.DataFrame(columns)[view.first :].groupby(hour).mean().round(0).astype(int)
    flows = pd.DataFrame(
        {
            "DAM MW": trade.unit_dam_mw.sum(axis=0),
            "RTM MW": trade.session.rtm_mw,
            "net MW": trade.session.net_mw.sum(axis=0),
        }
    )[view.first :]
    table = prices.join(flows.groupby(hour).mean().round(1) + 0.0)
    energy = pd.Series(trade.session.energy_mwh.sum(axis=0)[view.first + 1 :])
    table["MWh"] = energy.groupby(hour).last().round(1)
    table.index = pd.Index([f"{h:02d}" for h in table.index], name="hour")
    return table


def _as_json(trade: SessionTrade, bess: BessParams) -> dict[str, Any]:
    view, session, law = trade.view, trade.session, trade.outlook.law
    fan, first = trade.outlook.fan, view.first
    return {
        "date": str(trade.date),
        "gate": f"{trade.gate:%Y-%m-%d %H:%M}",
        "session": [trade.clock(first), trade.clock(view.last)],
        "recourse": trade.recourse,
        "notes": list(trade.notes),
        "units": [unit.name for unit in bess.units],
        "bids": [
            {
                "start": trade.clock(first + place),
                "above_rs_per_mwh": session.edges[place],
                "unit_rtm_mw": session.bid_mw[:, place],
            }
            for place in range(view.last - first)
        ],
        "energy_mwh": session.energy_mwh,
        "net_mw": session.net_mw,
        "rtm_mw": session.rtm_mw,
        "value_of_energy": [
            {"energy_mwh": worth.energy_mwh, "value_rs": worth.value_rs} for worth in session.worth
        ],
        "expected_rtm_rs_per_mwh": view.expected_rtm[-1, first:],
        "fan": {
            level_name(level): fan.values[0, 0, first:, place]
            for place, level in enumerate(fan.levels)
        },
        "surprise": {
            "spread_rs_per_mwh": law.spread_rs[first:],
            "nodes": law.nodes,
            "transition": law.transition,
        },
    }
