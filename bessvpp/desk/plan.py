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

from bessvpp.battery import start_energy
from bessvpp.desk.bids import bid_sheet, in_bid_steps, worth_sheet
from bessvpp.desk.fan import fan_of_day
from bessvpp.errors import DataError
from bessvpp.forecasting.quantiles import QuantileForecast
from bessvpp.market.history import Market, week_mean, whole_days
from bessvpp.optimizer import dispatch
from bessvpp.optimizer.bid_worth import bids_at_worth
from bessvpp.optimizer.energy_value import with_energy_value
from bessvpp.optimizer.foresight import foreseen
from bessvpp.optimizer.problem import Plan, Problem, day_problem
from bessvpp.optimizer.recovery import Start, accommodated
from bessvpp.params.fields import block_clock
from bessvpp.params.load import Params
from bessvpp.params.market import MarketParams
from bessvpp.params.study import FanName
from bessvpp.prices import PriceScenarios
from bessvpp.risk import cvar
from bessvpp.runs.folder import RunFolder
from bessvpp.runs.inherited import run_parameters
from bessvpp.settlement.day import SettledDay, nets_of, settle_as_committed
from bessvpp.settlement.promise import trade_along_fan
from bessvpp.settlement.recourse import Traded
from bessvpp.settlement.warranty import told_of_prices, with_warranty_prices


@dataclass(frozen=True)
class DayAheadPlan:
    """A day planned at its gate: T blocks, L levels, S scenarios, U units."""

    date: np.datetime64
    fan: FanName
    forecasts: Mapping[str, QuantileForecast]  # of both markets, on that day alone
    scenarios: PriceScenarios
    plan: Plan  # before rounding to bid steps
    unit_mw: np.ndarray | None  # (U, T) deliverable schedule in bid steps; None: financial
    bid_mw: np.ndarray  # (T,) in bid steps, positive sells
    profit_rs: np.ndarray  # (S,) of the rounded schedule, with hindsight recourse
    expected_profit_rs: float
    cvar_rs: float
    causal: Traded  # of the rounded schedule, every RTM session traded at its gate
    causal_cvar_rs: float
    alone_rs: np.ndarray  # (S,) of the rounded schedule, as committed, without any RTM trade
    hindsight_end_mwh: np.ndarray  # (U,) expected at the end with hindsight recourse
    alone_end_mwh: np.ndarray  # (U,) left by the schedule as committed
    e_start_mwh: np.ndarray  # (U,) planned for the midnight before
    sheet: pd.DataFrame  # of bids at any price, so that what clears is the plan
    worth_sheet: pd.DataFrame  # of the same bids at the prices where they stop being worth it
    own: tuple[str, ...] = ()  # what is to be said of a user's own forecasts
    notes: tuple[str, ...] = ()  # what is out of the ordinary about where the day starts and ends

    @property
    def causal_rs(self) -> np.ndarray:
        """(S,) profit of the rounded schedule with causal recourse [Rs]."""
        return self.causal.ledger.net_rs

    @property
    def levels(self) -> tuple[float, ...]:
        """The L levels of the forecasts."""
        return self.forecasts["dam"].levels

    @property
    def quantiles(self) -> dict[str, np.ndarray]:
        """(T, L) by market, Rs/MWh."""
        return {name: forecast.values[0] for name, forecast in self.forecasts.items()}


def next_delivery_day(market: Market) -> np.datetime64:
    """The day after the last one with DAM prices, which must have them all.

    Raises
    ------
    DataError
        where some are missing: the day that can be planned would be one long past its gate.
    """
    known = np.isfinite(market.dam_mcp)
    last = np.flatnonzero(known.any(axis=1) | np.isfinite(market.rtm_mcp).any(axis=1))[-1]
    if not known[last].all():
        block = int(np.flatnonzero(~known[last])[0])
        raise DataError(
            f"the DAM prices of {market.dates[last]} are incomplete, the first one missing is "
            f"that of {block_clock(block, market.n_blocks)}: {market.dates[last] + 1} cannot be "
            "planned without them. Add them, or name another day with --date"
        )
    return market.dates[last] + 1


def plan_day_ahead(
    run: RunFolder,
    market: Market,
    params: Params,
    date: np.datetime64 | None = None,
    fan: FanName = "recalibrated",
    e_start_mwh: np.ndarray | None = None,
) -> DayAheadPlan:
    """Forecast, draw scenarios, commit and round, all from what is known at the gate.

    Energy outside the window and a target out of reach are planned for, and told in ``notes``.

    Parameters
    ----------
    run : folder with the trained models
    market : prices at least to the day before delivery
    date : delivery day; the day after the data by default
    e_start_mwh : (U,) energy planned for the midnight before; the start energy by default

    Raises
    ------
    DataError
        where the data end before the day before delivery, where their blocks are not as long as
        those of the run, where the models were trained on the delivery day or later and the
        run has no forecast of that day out of sample, or where own forecasts lack that day.
    """
    date = next_delivery_day(market) if date is None else date
    rules = params.market
    known = market.known_at_dam_gate(date, rules)
    _check_reach(known, date)
    forecasts, scenarios, told = fan_of_day(run, known, params, date, fan)
    if e_start_mwh is None:
        e_start_mwh = start_energy(params.bess)
    problem = problem_at_gate(known, params, date, e_start_mwh)
    problem, notes = accommodated(problem, Start(e_start_mwh), rules.bid_step_mw)
    risk, expected = params.risk.risk, foreseen(scenarios, params.backtest.foresight)
    plan = dispatch.plan_day(problem, expected, risk)
    unit_mw, bid_mw = in_bid_steps(problem, plan, rules.bid_step_mw)
    followed_mw = problem.share_by_power(bid_mw) if unit_mw is None else unit_mw
    final = dispatch.plan_day(replace(problem, fixed_dam_mw=bid_mw), expected, risk)
    alone = _as_committed(problem, scenarios, followed_mw)
    causal = trade_along_fan(problem, scenarios, followed_mw, rules, params.backtest.recourse)
    return DayAheadPlan(
        date=date,
        fan=fan,
        forecasts=forecasts,
        scenarios=scenarios,
        plan=plan,
        unit_mw=unit_mw,
        bid_mw=bid_mw,
        profit_rs=final.profit_rs,
        expected_profit_rs=final.mean_rs,
        cvar_rs=cvar(final.profit_rs, risk.alpha, scenarios.weights),
        causal=causal,
        causal_cvar_rs=cvar(causal.ledger.net_rs, risk.alpha, scenarios.weights),
        alone_rs=nets_of(alone),
        hindsight_end_mwh=final.e_end_mwh,
        alone_end_mwh=alone[0].e_end_mwh,
        e_start_mwh=e_start_mwh,
        sheet=bid_sheet(date, bid_mw, rules),
        own=told,
        notes=(*told_of_prices(params.bess, problem.bess), *notes),
        worth_sheet=_at_worth(date, problem, scenarios, followed_mw, rules, bid_mw),
    )


def problem_at_gate(
    known: Market, params: Params, date: np.datetime64, e_start_mwh: np.ndarray
) -> Problem:
    """A day's problem with the prices of its warranties and V(e), as the DAM's gate knows them.

    Parameters
    ----------
    known : the market as known at that gate
    e_start_mwh : (U,) energy planned for the midnight before
    """
    problem = day_problem(params, known.block_hours, e_start_mwh).on(date)
    problem = with_warranty_prices(replace(problem, name=str(date)), whole_days(known))
    return with_energy_value(problem, week_mean(known))


def _at_worth(
    date: np.datetime64,
    problem: Problem,
    scenarios: PriceScenarios,
    unit_mw: np.ndarray,
    rules: MarketParams,
    bid_mw: np.ndarray,
) -> pd.DataFrame:
    """The bids of a day, each block's at a few prices."""
    cap = rules.cap_rs_per_mwh(date.astype(dt.date))
    bids = bids_at_worth(problem, scenarios, unit_mw, rules, cap)
    return worth_sheet(date, bid_mw, bids, rules)


def plan_tomorrow(run: RunFolder, market: Market, **choices: object) -> DayAheadPlan:
    """Plan the day after the data, with the models and the parameters of a run.

    Parameters
    ----------
    run : folder with the trained models, see ``open_run``
    market : prices at least to the day before delivery
    choices : ``date``, ``fan`` or ``e_start_mwh``, as ``plan_day_ahead`` takes them

    Examples
    --------
    >>> run = bv.open_run("outputs/quick")
    >>> tomorrow = bv.plan_tomorrow(run, run.market)
    >>> tomorrow.date, len(tomorrow.bid_mw)
    (np.datetime64('2024-05-10'), 24)
    """
    return plan_day_ahead(run, market, run_parameters(run, None), **choices)


def _as_committed(
    problem: Problem, scenarios: PriceScenarios, unit_mw: np.ndarray
) -> list[SettledDay]:
    """The bids in each scenario if the RTM is never used."""
    days = zip(scenarios.dam, scenarios.rtm, strict=True)
    return [
        settle_as_committed(problem, PriceScenarios.single(dam, rtm), unit_mw) for dam, rtm in days
    ]


def _check_reach(known: Market, date: np.datetime64) -> None:
    next_day = next_delivery_day(known)
    if next_day < date:
        raise DataError(
            f"the DAM prices end on {next_day - 1}, but the plan for {date} needs those of "
            f"{date - 1}: add that day's download, or plan {next_day} with --date"
        )
