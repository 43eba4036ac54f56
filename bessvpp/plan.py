"""Tomorrow: from whatever data end this morning to a bid sheet, before the gate closes.

Needs a run's models and market data that reach to the day before delivery; no price of the
day itself. This is what is run at half past ten.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from bessvpp import dispatch
from bessvpp.artefacts import RunFolder
from bessvpp.backtest import day_problem, with_energy_value
from bessvpp.dispatch import Plan, PriceScenarios, Problem
from bessvpp.errors import DataError
from bessvpp.features import feature_frame, gate_time
from bessvpp.forecast import (
    MARKETS,
    QuantileForecast,
    forecast_days,
    load_models,
    recalibrate_day,
)
from bessvpp.market import Market
from bessvpp.metrics import cvar
from bessvpp.params import Fan, MarketParams, Params
from bessvpp.scenarios import copula_correlation, draw_day


@dataclass(frozen=True)
class DayAheadPlan:
    """A day planned at its gate: T blocks, L levels, S scenarios, U units."""

    date: np.datetime64
    fan: Fan
    levels: tuple[float, ...]
    quantiles: Mapping[str, np.ndarray]  # per market (T, L), Rs/MWh
    scenarios: PriceScenarios
    plan: Plan  # before rounding to bid steps
    unit_mw: np.ndarray | None  # (U, T) deliverable schedule in bid steps; None: financial
    bid_mw: np.ndarray  # (T,) in bid steps, positive sells
    profit_rs: np.ndarray  # (S,) of the rounded schedule
    expected_profit_rs: float
    cvar_rs: float
    sheet: pd.DataFrame


def next_delivery_day(market: Market) -> np.datetime64:
    """The day after the last one whose DAM prices are all there."""
    complete = np.flatnonzero(np.isfinite(market.dam_mcp).all(axis=1))
    if not len(complete):
        raise DataError("no day has all its DAM prices: there is nothing to plan from")
    return market.dates[complete[-1]] + 1


def plan_day_ahead(
    run: RunFolder,
    market: Market,
    params: Params,
    date: np.datetime64 | None = None,
    fan: Fan = "recalibrated",
    e_start_mwh: np.ndarray | None = None,
) -> DayAheadPlan:
    """Forecast, draw scenarios, commit and round, all from what is known at the gate.

    Parameters
    ----------
    run : folder with the trained models
    market : prices at least to the day before delivery
    date : delivery day; the day after the data by default
    e_start_mwh : (U,) energy planned for the midnight before; the start energy by default

    Raises
    ------
    DataError
        where the data end before the day before delivery, or were used to train the models.
    """
    date = next_delivery_day(market) if date is None else date
    rules = params.market
    known = market.known_at(gate_time(date, rules.dam_gate), rules)
    _check_reach(known, date)
    forecasts = _forecasts(run, known, date, params)
    history = {name: forecast.on(forecast.dates[:-1]) for name, forecast in forecasts.items()}
    quantiles = {}
    for name, forecast in forecasts.items():
        today = forecast.on(np.array([date]))
        quantiles[name] = today.values[0]
        if fan == "recalibrated":
            quantiles[name], _ = recalibrate_day(
                history[name], today, known, params.forecast, rules
            )
    levels = params.forecast.levels
    correlation = copula_correlation(history, known, rules, params.scenarios)
    scenarios = draw_day(
        correlation, quantiles["dam"], quantiles["rtm"], levels, date, rules, params.scenarios
    )
    if e_start_mwh is None:
        e_start_mwh = np.array([unit.e_start_mwh for unit in params.bess.units])
    problem = _problem(known, params, e_start_mwh)
    weight, alpha = params.backtest.risk_aversion, params.cvar.alpha
    plan = dispatch.plan_day(problem, scenarios, weight, alpha)
    unit_mw, bid_mw = in_bid_steps(problem, plan, rules.bid_step_mw)
    final = dispatch.plan_day(replace(problem, fixed_dam_mw=bid_mw), scenarios, weight, alpha)
    return DayAheadPlan(
        date=date,
        fan=fan,
        levels=levels,
        quantiles=quantiles,
        scenarios=scenarios,
        plan=plan,
        unit_mw=unit_mw,
        bid_mw=bid_mw,
        profit_rs=final.profit_rs,
        expected_profit_rs=final.mean_rs,
        cvar_rs=cvar(final.profit_rs, alpha, scenarios.weights),
        sheet=bid_sheet(date, bid_mw, rules),
    )


def in_bid_steps(
    problem: Problem, plan: Plan, step_mw: float
) -> tuple[np.ndarray | None, np.ndarray]:
    """A plan's schedule in whole bid steps: (U, T) by unit if physical, and (T,) in all."""
    if plan.unit_dam_mw is None:
        limit = problem.bess.connection_limit_mw
        steps = np.clip(np.round(plan.dam_mw / step_mw), -limit // step_mw + 1, limit // step_mw)
        return None, _clean(steps * step_mw)
    unit_mw = dispatch.round_to_steps(problem, plan.unit_dam_mw, step_mw)
    return unit_mw, _clean(np.round(unit_mw.sum(axis=0) / step_mw) * step_mw)


def bid_sheet(date: np.datetime64, bid_mw: np.ndarray, rules: MarketParams) -> pd.DataFrame:
    """The sheet to submit: a row per block with a bid.

    Bids are price-taking, so that what clears is the plan: sales at the floor, purchases at
    the cap.
    """
    minutes = 24 * 60 // len(bid_mw)
    clock = [f"{m // 60:02d}:{m % 60:02d}" for m in range(0, 24 * 60 + 1, minutes)]
    cap = rules.cap_rs_per_mwh(date.astype(dt.date))
    rows = [
        {
            "date": str(date),
            "block": t + 1,
            "start": clock[t],
            "end": clock[t + 1],
            "side": "sell" if mw > 0 else "buy",
            "mw": abs(mw),
            "limit_price_rs_per_mwh": rules.price_floor_rs_per_mwh if mw > 0 else cap,
        }
        for t, mw in enumerate(bid_mw)
        if mw != 0
    ]
    columns = ["date", "block", "start", "end", "side", "mw", "limit_price_rs_per_mwh"]
    return pd.DataFrame(rows, columns=columns)


def write_sheet(run: RunFolder, planned: DayAheadPlan) -> str:
    """Write ``bids/dam_<date>.csv``; returns its path."""
    text = planned.sheet.to_csv(index=False, lineterminator="\n")
    return str(run.write_text(f"bids/dam_{planned.date}.csv", text))


def _problem(known: Market, params: Params, e_start_mwh: np.ndarray) -> Problem:
    problem = day_problem(params, known.block_hours, e_start_mwh)
    return with_energy_value(problem, known)


def _check_reach(known: Market, date: np.datetime64) -> None:
    last = next_delivery_day(known) - 1
    if last < date - 1:
        raise DataError(
            f"the DAM prices end on {last}, but the plan for {date} needs those of {date - 1}: "
            f"add that day's download, or plan {last + 1} with --date"
        )


def _forecasts(
    run: RunFolder, known: Market, date: np.datetime64, params: Params
) -> dict[str, QuantileForecast]:
    """Original forecasts of the day (last) and of all earlier days out of sample."""
    first = np.datetime64(run.read_json("models/splits.json")["first_out_of_sample_day"])
    earlier = known.dates[(known.dates >= first) & (known.dates < date)]
    if not len(earlier):
        raise DataError(
            f"the models in {run.path} were trained on days up to {first - 1}: the day to plan "
            "must come after the calibration days that follow them"
        )
    dates = np.append(earlier, date)
    features = feature_frame(known, dates, params.market)
    split = np.append(np.repeat("calibration", len(earlier)), "test")
    return {
        name: forecast_days(
            load_models(run, name, params.forecast.levels),
            features,
            name,
            dates,
            split,
            params.market,
        )[0]
        for name in MARKETS
    }


def _clean(mw: np.ndarray) -> np.ndarray:
    """Steps as decimals without binary dust, and no negative zero."""
    return np.round(mw, 6) + 0.0
