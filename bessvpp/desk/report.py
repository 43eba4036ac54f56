"""A plan on paper: its files, and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bessvpp.desk.plan import DayAheadPlan
from bessvpp.market.clock import delivery_starts
from bessvpp.market.history import MARKETS, Market
from bessvpp.params.bess import BessParams, UnitParams
from bessvpp.params.forecast import level_name
from bessvpp.params.load import Params
from bessvpp.params.study import FanName
from bessvpp.risk import cvar
from bessvpp.runs.folder import RunFolder
from bessvpp.runs.names import policy_name
from bessvpp.settlement.day import CAUSAL


def write_plan(run: RunFolder, planned: DayAheadPlan, units: Sequence[UnitParams]) -> Path:
    """Write the bid sheet, the forecast and each unit's schedule; path of the sheet.

    ``bids/dam_<date>.csv``, ``bids/forecast_<date>.csv``, ``bids/schedule_<date>.csv``.
    """
    starts = delivery_starts(planned.date, len(planned.bid_mw))
    forecast = pd.DataFrame({"delivery_start": starts.tz_localize(None)})
    for name in MARKETS:
        for k, level in enumerate(planned.levels):
            forecast[f"{name}_{level_name(level)}"] = planned.quantiles[name][:, k].round(2)
    run.write_csv(f"bids/forecast_{planned.date}.csv", forecast)
    if planned.unit_mw is not None:
        schedule = pd.DataFrame({"delivery_start": starts.tz_localize(None)})
        for unit, mw in zip(units, planned.unit_mw, strict=True):
            schedule[f"{unit.name}_mw"] = mw.round(4)
        run.write_csv(f"bids/schedule_{planned.date}.csv", schedule)
    return run.write_csv(f"bids/dam_{planned.date}.csv", planned.sheet)


def write_worth(run: RunFolder, planned: DayAheadPlan) -> Path:
    """Write ``bids/dam_worth_<date>.csv``, the sheet of bids at what they are worth; its path."""
    return run.write_csv(f"bids/dam_worth_{planned.date}.csv", planned.worth_sheet)


def describe_plan(planned: DayAheadPlan, market: Market, params: Params) -> str:
    """The plan in words and an hourly table, for a terminal."""
    own = "".join(line + "\n" for line in planned.own)
    source = "SYNTHETIC market" if market.is_synthetic else "exchange data"
    return (
        f"Delivery day {planned.date}, {source}, {planned.fan} fan of "
        f"{len(planned.scenarios.weights)} scenarios.\n"
        f"{own}{params.rules_in_force()}\n"
        f"{describe_battery(params.bess, planned.date)}\n"
        + "".join(f"{note}\n" for note in planned.notes)
        + f"\n{_hourly(planned).to_string()}\n\n"
        "Prices in Rs/MWh; a plan goes by the means of the fan. RTM MWh is the trade expected in "
        "the RTM,\npositive sells: where it undoes a bid, that bid is a position between the two "
        "markets.\n"
        f"The sheet has {len(planned.sheet)} bids, each of a quarter of an hour, in steps of "
        f"{params.market.bid_step_mw:g} MW.\n"
        f"Energy planned for the midnight before: {listed(planned.e_start_mwh)} MWh.\n"
        f"{_profits(planned, params.risk.alpha)}"
    )


def _hourly(planned: DayAheadPlan) -> pd.DataFrame:
    """Quantiles and means of both markets, bids and expected RTM trade, by hour."""
    n_hours, weights = 24, planned.scenarios.weights
    hourly = pd.DataFrame(index=pd.Index([f"{h:02d}" for h in range(n_hours)], name="hour"))
    shown = [level for level in (0.1, 0.5, 0.9) if level in planned.levels]
    for name in MARKETS:
        columns = {
            level_name(level): planned.quantiles[name][:, planned.levels.index(level)]
            for level in shown
        }
        columns["mean"] = weights @ getattr(planned.scenarios, name)
        for column, values in columns.items():
            hourly[f"{name.upper()} {column}"] = values.reshape(n_hours, -1).mean(axis=1)
    hourly = hourly.round(0).astype(int)
    bids = planned.bid_mw.reshape(n_hours, -1)
    rtm_mw = (weights @ planned.causal.rtm_mw).reshape(n_hours, -1)
    hourly["sell MWh"] = np.maximum(bids, 0).mean(axis=1).round(1)
    hourly["buy MWh"] = np.maximum(-bids, 0).mean(axis=1).round(1)
    hourly["RTM MWh"] = rtm_mw.mean(axis=1).round(1) + 0.0
    return hourly


def _profits(planned: DayAheadPlan, alpha: float) -> str:
    """What the plan promises, traded in three ways, and the energy that each leaves."""
    weights = planned.scenarios.weights
    ways = (
        ("RTM traded session by session", planned.causal_rs, weights @ planned.causal.e_end_mwh),
        ("with RTM recourse in hindsight", planned.profit_rs, planned.hindsight_end_mwh),
        ("as committed, no RTM trade", planned.alone_rs, planned.alone_end_mwh),
    )
    remarks = ("what the fan promises", "an upper bound: no trader knows the RTM", "")
    lines = [f"Profit in Rs                       expected      CVaR {alpha:.0%}  MWh left"]
    for (way, profit_rs, left_mwh), remark in zip(ways, remarks, strict=True):
        told = f"   ({remark})" if remark else ""
        lines.append(
            f"  {way:<30} {weights @ profit_rs:10,.0f} {cvar(profit_rs, alpha, weights):12,.0f} "
            f"{left_mwh.sum():9,.1f}{told}"
        )
    return "\n".join([*lines, "Energy left at the end of the day is in none of these profits."])


def listed(values: np.ndarray) -> str:
    """Values with commas between, one a unit."""
    return ", ".join(f"{value:g}" for value in values)


def describe_battery(bess: BessParams, date: np.datetime64 | None = None) -> str:
    """The units and their connection, a line each, and the outages that touch a day."""
    lines = [f"Connection of {bess.connection_limit_mw:g} MW."]
    for unit in bess.units:
        charge = "" if unit.p_charge_max_mw is None else f", charge {unit.p_charge_max_mw:g} MW"
        cycles = unit.max_cycles_per_day
        lines.append(
            f"{unit.name}: {unit.p_max_mw:g} MW{charge}, {unit.e_min_mwh:g} to {unit.e_max_mwh:g} "
            f"of {unit.e_nameplate_mwh:g} MWh, target {unit.e_target_mwh:g}"
            + ("" if cycles is None else f", at most {cycles:g} cycles a day")
            + _losses(unit)
            + _warranty(unit)
            + "."
        )
        for out in unit.outages if date is not None else ():
            if out.touches(date.astype(object)):
                left = f"{out.power_share:.0%} of its power" if out.power_share else "no power"
                lines.append(
                    f"{unit.name}: {left} from {out.start:%F %H:%M} to {out.end:%F %H:%M}."
                )
    return "\n".join(lines)


def _losses(unit: UnitParams) -> str:
    """What a unit loses and draws while it stands."""
    lost, drawn = unit.self_discharge_per_hour, unit.aux_mw
    told = f", loses {lost:.4%} an hour of what is above its least" if lost else ""
    told += f", auxiliary load {drawn:g} MW" if drawn else ""
    return told + (", power tapers with stored energy" if unit.is_tapered else "")


def _warranty(unit: UnitParams) -> str:
    """What a unit's warranty allows, and the price on it where one is given."""
    allowed, price = unit.warranty_mwh_per_year, unit.warranty_price_rs_per_mwh
    told = f", warranty of {allowed:,.0f} MWh discharged a year" if allowed else ""
    return told + (f", Rs {price:g}/MWh discharged beside wear in planning" if price else "")


def track_record(run: RunFolder, fan: FanName) -> str:
    """What plans like this one earned in the run's backtest, a day, beside its best policy.

    An expected profit is that of a perfect second stage on the fan; this is what came of it.
    """
    if not (run.path / "backtest_summary.json").is_file():
        return "This run has no backtest: what such plans came to is not known."
    summary = run.read_json("backtest_summary.json")
    policies, n_days = summary["policies"], summary["rules"]["n_days"]
    own = policies.get(f"two_stage_{fan}")
    if own is None:
        return f"The run's backtest has no two-stage policy on the {fan} fan."
    ways = {
        "causal recourse": "net_rs_causal",
        "hindsight recourse": "net_rs",
        "no RTM trade": "net_rs_dam_only",
    }
    earned = ", ".join(
        f"{own[key] / n_days:,.0f} with {way}" for way, key in ways.items() if own[key] is not None
    )
    lead = summary["lead"]
    key = "net_rs_causal" if lead["settlement"] == CAUSAL else "net_rs"
    best, most = policy_name(lead["policy"]), policies[lead["policy"]][key] / n_days
    return (
        f"In the run's backtest of {n_days} days such plans earned, in Rs a day: {earned}.\n"
        f"The best policy there, {lead['settlement']}: {best}, {most:,.0f}."
        f"{_promise_kept(run, fan, summary['rules'])}"
    )


def _promise_kept(run: RunFolder, fan: FanName, rules: Mapping[str, Any]) -> str:
    """What the fan promised on the run's days, and what came of it; nothing where none is told."""
    if not (run.path / "frontier.json").is_file():
        return ""
    points = run.read_json("frontier.json")["fans"].get(fan, [])
    point = min(points, key=lambda each: abs(each["lambda"] - rules["risk_aversion"]), default=None)
    if point is None or "fan_mean_rs" not in point:  # runs of before did not tell the fan's apart
        return ""
    return (
        f"\nThere its fan promised {point['fan_mean_rs']:,.0f} a day and "
        f"{point['realised_mean_rs']:,.0f} came of it (lambda {point['lambda']:g})."
    )
