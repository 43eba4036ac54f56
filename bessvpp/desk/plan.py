"""Tomorrow: from whatever data end this morning to a bid sheet, before the gate closes.

Needs a run's models and market data that reach to the day before delivery; no price of the
day itself. This is what is run at half past ten.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from bessvpp.backtest.simulate import day_problem, with_energy_value
from bessvpp.battery import share_by_power, start_energy
from bessvpp.calibration.recalibration import recalibrate_day, recorded_method
from bessvpp.errors import DataError, ParameterError
from bessvpp.forecasting.boosting import (
    MARKETS,
    MarketModels,
    QuantileForecast,
    forecast_days,
    load_models,
    read_forecasts,
)
from bessvpp.forecasting.features import delivery_starts, feature_frame, gate_time
from bessvpp.market.history import GREEN_PRICE, Market, read_market
from bessvpp.optimizer import dispatch
from bessvpp.optimizer.problem import Plan, PriceScenarios, Problem
from bessvpp.optimizer.statement import whole_steps
from bessvpp.params.load import (
    FIELDS,
    MINUTES_PER_DAY,
    BessParams,
    Fan,
    MarketParams,
    Params,
    UnitParams,
    level_name,
    load_params,
)
from bessvpp.risk import cvar
from bessvpp.runs.folder import RunFolder, user_path
from bessvpp.scenarios.copula import copula_correlation, draw_day, joint_uniforms
from bessvpp.settlement.day import CAUSAL, settle_as_committed

BID_BLOCKS = 96
"""The exchange takes bids by the quarter of an hour."""


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
    profit_rs: np.ndarray  # (S,) of the rounded schedule, with hindsight recourse
    expected_profit_rs: float
    cvar_rs: float
    alone_rs: np.ndarray  # (S,) of the rounded schedule, as committed, without any RTM trade
    e_start_mwh: np.ndarray  # (U,) planned for the midnight before
    sheet: pd.DataFrame


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
        minutes = block * market.block_minutes
        raise DataError(
            f"the DAM prices of {market.dates[last]} are incomplete, the first one missing is "
            f"that of {minutes // 60:02d}:{minutes % 60:02d}: {market.dates[last] + 1} cannot be "
            "planned without them. Add them, or name another day with --date"
        )
    return market.dates[last] + 1


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
        where the data end before the day before delivery, where their blocks are not as long as
        those of the run, or where the models were trained on the delivery day or later and the
        run has no forecast of that day out of sample.
    """
    date = next_delivery_day(market) if date is None else date
    rules = params.market
    known = market.known_at(gate_time(date, rules.dam_gate), rules)
    _check_reach(known, date)
    forecasts = _forecasts(run, known, date, params)
    history = {
        name: forecast.on(forecast.dates[forecast.dates < date])
        for name, forecast in forecasts.items()
    }
    quantiles, chances = {}, {}
    for name, forecast in forecasts.items():
        today = forecast.on(np.array([date]))
        if fan == "recalibrated":
            method = recorded_method(run, name, params.forecast)
            today, _ = recalibrate_day(history[name], today, known, method, params.forecast, rules)
        quantiles[name], chances[name] = today.values[0], today.chances_on(date)
    levels = params.forecast.levels
    correlation = copula_correlation(history, known, rules, params.scenarios)
    both = quantiles["dam"], quantiles["rtm"]
    uniforms = joint_uniforms(correlation, known, date, params.scenarios)
    scenarios = draw_day(uniforms, *both, levels, date, rules, chances)
    if e_start_mwh is None:
        e_start_mwh = start_energy(params.bess)
    problem = with_energy_value(day_problem(params, known.block_hours, e_start_mwh), known)
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
        alone_rs=_profit_alone(problem, scenarios, unit_mw, bid_mw),
        e_start_mwh=e_start_mwh,
        sheet=bid_sheet(date, bid_mw, rules),
    )


def in_bid_steps(
    problem: Problem, plan: Plan, step_mw: float
) -> tuple[np.ndarray | None, np.ndarray]:
    """A plan's schedule in whole bid steps: (U, T) by unit if physical, and (T,) in all."""
    if plan.unit_dam_mw is None:
        most = whole_steps(problem.bess.connection_limit_mw, step_mw)
        steps = np.clip(np.round(plan.dam_mw / step_mw), -most, most)
        return None, _clean(steps * step_mw)
    unit_mw = dispatch.round_to_steps(problem, plan.unit_dam_mw, step_mw)
    return unit_mw, _clean(np.round(unit_mw.sum(axis=0) / step_mw) * step_mw)


def bid_sheet(date: np.datetime64, bid_mw: np.ndarray, rules: MarketParams) -> pd.DataFrame:
    """The sheet to submit: a row per 15-minute block with a bid.

    A plan made in hours bids the same in each quarter. Bids are price-taking, so that what
    clears is the plan: sales at the floor, purchases at the cap.
    """
    bid_mw = np.repeat(bid_mw, BID_BLOCKS // len(bid_mw))
    minutes = 24 * 60 // BID_BLOCKS
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


def write_plan(run: RunFolder, planned: DayAheadPlan, units: Sequence[UnitParams]) -> Path:
    """Write the bid sheet, the forecast and each unit's schedule; path of the sheet.

    ``bids/dam_<date>.csv``, ``bids/forecast_<date>.csv``, ``bids/schedule_<date>.csv``.
    """
    starts = delivery_starts(planned.date, len(planned.bid_mw))
    forecast = pd.DataFrame({"delivery_start": starts.tz_localize(None)})
    for name in MARKETS:
        for k, level in enumerate(planned.levels):
            forecast[f"{name}_{level_name(level)}"] = planned.quantiles[name][:, k].round(2)
    run.write_text(f"bids/forecast_{planned.date}.csv", _csv(forecast))
    if planned.unit_mw is not None:
        schedule = pd.DataFrame({"delivery_start": starts.tz_localize(None)})
        for unit, mw in zip(units, planned.unit_mw, strict=True):
            schedule[f"{unit.name}_mw"] = mw.round(4)
        run.write_text(f"bids/schedule_{planned.date}.csv", _csv(schedule))
    return run.write_text(f"bids/dam_{planned.date}.csv", _csv(planned.sheet))


def describe(planned: DayAheadPlan, market: Market, params: Params) -> str:
    """The plan in words and an hourly table, for a terminal."""
    per_hour = len(planned.bid_mw) // 24
    hourly = pd.DataFrame(index=pd.Index([f"{hour:02d}" for hour in range(24)], name="hour"))
    shown = [level for level in (0.1, 0.5, 0.9) if level in planned.levels]
    for name in MARKETS:
        for level in shown:
            values = planned.quantiles[name][:, planned.levels.index(level)]
            hourly[f"{name.upper()} {level_name(level)}"] = values.reshape(24, per_hour).mean(
                axis=1
            )
    hourly = hourly.round(0).astype(int)
    bids = planned.bid_mw.reshape(24, per_hour)
    hourly["sell MWh"] = np.maximum(bids, 0).mean(axis=1).round(1)
    hourly["buy MWh"] = np.maximum(-bids, 0).mean(axis=1).round(1)
    source = "SYNTHETIC market" if market.is_synthetic else "exchange data"
    alpha, weight = params.cvar.alpha, params.backtest.risk_aversion
    weights = planned.scenarios.weights
    return (
        f"Delivery day {planned.date}, {source}, {planned.fan} fan of "
        f"{len(planned.scenarios.weights)} scenarios, {params.backtest.commitment} commitment, "
        f"terminal rule {params.backtest.terminal}, lambda {weight:g}\n\n"
        f"{hourly.to_string()}\n\n"
        f"Prices in Rs/MWh. {len(planned.sheet)} bids in steps of "
        f"{params.market.bid_step_mw:g} MW.\n"
        f"Energy planned for midnight: {', '.join(f'{e:g}' for e in planned.e_start_mwh)} MWh.\n"
        "Profit in Rs                       expected      CVaR "
        f"{alpha:.0%}\n"
        f"  with RTM recourse in hindsight {planned.expected_profit_rs:10,.0f} "
        f"{planned.cvar_rs:12,.0f}   (an upper bound: no trader knows the RTM)\n"
        f"  as committed, no RTM trade     {weights @ planned.alone_rs:10,.0f} "
        f"{cvar(planned.alone_rs, alpha, weights):12,.0f}"
    )


def track_record(run: RunFolder, fan: Fan) -> str:
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
    best, most = lead["policy"].replace("_", " "), policies[lead["policy"]][key] / n_days
    return (
        f"In the run's backtest of {n_days} days such plans earned, in Rs a day: {earned}.\n"
        f"The best policy there, {lead['settlement']}, was {best} with {most:,.0f}."
    )


def run_parameters(run: RunFolder, folder: str | None) -> Params:
    """Parameters of the run that trained the models, or of other parameter files.

    The notebook parameters are always the run's: the models rest on them.
    """
    recorded = run.read_json("manifest.json")["parameters"]
    knobs = {key: value for key, value in recorded["knobs"].items() if key in FIELDS}
    return load_params(recorded["folder"] if folder is None else user_path(folder), **knobs)


def run_market(run: RunFolder, params: Params, data: str | None) -> Market:
    """Prices to plan from: files given, else what the run read, as it is now."""
    if data is None:
        data = run.read_json("manifest.json")["parameters"]["knobs"]["data"]
    if not data:
        return Market.from_frame(run.read_frame("market.parquet"))
    return read_market(user_path(data), params.market)


def parse_date(text: str) -> np.datetime64:
    """A delivery day that a user typed."""
    try:
        return np.datetime64(dt.date.fromisoformat(text))
    except ValueError:
        raise ParameterError(f"--date {text}: write it as YYYY-MM-DD") from None


def parse_energy(energy_mwh: list[float], bess: BessParams) -> np.ndarray:
    """(U,) energies that a user typed, within each unit's usable window."""
    if len(energy_mwh) != len(bess.units):
        raise ParameterError(f"--energy: give {len(bess.units)} values, one a unit")
    for unit, energy in zip(bess.units, energy_mwh, strict=True):
        if not unit.e_min_mwh <= energy <= unit.e_max_mwh:
            raise ParameterError(
                f"--energy {energy:g}: {unit.name} holds {unit.e_min_mwh:g} to "
                f"{unit.e_max_mwh:g} MWh"
            )
    return np.array(energy_mwh)


def _csv(frame: pd.DataFrame) -> str:
    return frame.to_csv(index=False, lineterminator="\n")


def _profit_alone(
    problem: Problem, scenarios: PriceScenarios, unit_mw: np.ndarray | None, bid_mw: np.ndarray
) -> np.ndarray:
    """(S,) profit of the bids in each scenario if the RTM is never used."""
    if unit_mw is None:
        unit_mw = share_by_power(problem.bess, bid_mw)
    days = zip(scenarios.dam, scenarios.rtm, strict=True)
    settled = [
        settle_as_committed(problem, PriceScenarios.single(dam, rtm), unit_mw) for dam, rtm in days
    ]
    return np.array([float(day.ledger.net_rs) for day in settled])


def _check_reach(known: Market, date: np.datetime64) -> None:
    next_day = next_delivery_day(known)
    if next_day < date:
        raise DataError(
            f"the DAM prices end on {next_day - 1}, but the plan for {date} needs those of "
            f"{date - 1}: add that day's download, or plan {next_day} with --date"
        )


def _forecasts(
    run: RunFolder, known: Market, date: np.datetime64, params: Params
) -> dict[str, QuantileForecast]:
    """Original forecasts of the day (last) and of all earlier days out of sample.

    Of the days that the run forecast they are the run's own, since the saved models, those of
    its last refit, were trained on many of them. Only days after both are forecast here.
    """
    whole = read_forecasts(run, "original", params.forecast.levels)
    of_run = MINUTES_PER_DAY // whole["dam"].values.shape[1]
    if of_run != known.block_minutes:
        remedy = (
            "set block_minutes to 60 in market.yaml"
            if of_run == 60
            else "give prices of 15 minutes"
        )
        raise DataError(
            f"the prices are in blocks of {known.block_minutes} minutes, the models in {run.path} "
            f"in blocks of {of_run}: {remedy}, or make a run on these data"
        )
    return {name: _forecast(run, whole[name], known, date, params) for name in MARKETS}


def _forecast(
    run: RunFolder,
    whole: QuantileForecast,
    known: Market,
    date: np.datetime64,
    params: Params,
) -> QuantileForecast:
    name = whole.market
    models = load_models(run, name, params.forecast.levels)
    trained = max(fitted.last_train_day for fitted in models.values())
    made = whole.on(whole.dates[whole.dates <= date])
    if not (made.dates < date).any() or (date not in made.dates and date <= trained):
        raise DataError(
            f"the {name.upper()} models in {run.path} were trained on days up to {trained}, and "
            f"its forecasts out of sample begin on {whole.dates[0]}: {date} is not among them "
            "with a day before it. Plan a later day with --date"
        )
    if date in made.dates:
        return made
    first = max(made.dates[-1], trained)
    dates = np.append(known.dates[(known.dates > first) & (known.dates < date)], date)
    later, _ = forecast_days(
        models,
        feature_frame(_as_trained(known, models), dates, params.market),
        name,
        dates,
        np.repeat("test", len(dates)),
        params.market,
    )
    return made.followed_by(later)


def _as_trained(known: Market, models: Mapping[int, MarketModels]) -> Market:
    """The market with a GDAM price if the models were trained on one, missing or not.

    Its files are optional, so one that comes or goes between training and a plan stops nothing.
    """
    seen = next(iter(next(iter(models.values())).quantiles.values())).feature_name()
    wanted = any(name.startswith("gdam_") for name in seen)
    if wanted == (GREEN_PRICE in known.extras):
        return known
    extras = {name: values for name, values in known.extras.items() if name != GREEN_PRICE}
    if wanted:
        extras[GREEN_PRICE] = np.full(known.dam_mcp.shape, np.nan)
    return replace(known, extras=extras)


def _clean(mw: np.ndarray) -> np.ndarray:
    """Steps as decimals without binary dust, and no negative zero."""
    return np.round(mw, 6) + 0.0
