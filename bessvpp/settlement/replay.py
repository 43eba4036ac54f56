"""Settle somebody's DAM schedule against realised prices, under that desk's own rules.

The physics and the money are those of ``battery`` and ``ledger``, as everywhere; only the
parameters are the desk's. Where the schedule comes with the power that was really run, that is
settled as it was; otherwise the RTM recourse is optimised with the day's prices known, which is
hindsight. Under ``value`` energy left at midnight counts in it as in a backtest: by the week's mean
DAM prices, as far as the price files hold the days before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from bessvpp import battery, ledger
from bessvpp.battery import FEASIBILITY_TOLERANCE_MWH
from bessvpp.errors import DataError, InfeasibleError
from bessvpp.ledger import COST_COLUMNS, LEDGER_COLUMNS
from bessvpp.market.history import Market, whole_days
from bessvpp.market.read import read_market
from bessvpp.optimizer import dispatch
from bessvpp.optimizer.energy_value import with_energy_value
from bessvpp.optimizer.problem import Problem
from bessvpp.params.fields import clock_text
from bessvpp.params.load import DeskParams
from bessvpp.params.market import MarketParams
from bessvpp.prices import PriceScenarios
from bessvpp.settlement.day import settle_with_recourse
from bessvpp.settlement.schedule import Schedule, check_size
from bessvpp.settlement.warranty import with_warranty_prices

RECOURSE_IN_HINDSIGHT = "RTM recourse optimised with the day's prices known (hindsight)"
AS_RUN = "power as it was run; the RTM trade is what it adds to the DAM schedule"
TOTALS = (
    "gross_rs",
    *LEDGER_COLUMNS,
    "net_rs",
    "traded_mwh",
    "physical_mwh",
    "undelivered_mwh",
    "cycles",
)


# ---------------------------------------------------------------------- settlement


def replay(schedule: Schedule, prices: str | Path, rules: MarketParams, desk: DeskParams) -> dict:
    """Settle every day of a schedule in order.

    Parameters
    ----------
    prices : file or folder of both markets' prices
    rules : of the exchange, for reading the prices
    desk : the battery, what is booked, and what the recourse plans with

    Returns
    -------
    ``{"rules": {...}, "total": {...}, "days": [{"date": ..., "gross_rs": ..., ...}, ...]}``,
    money in Rs, energies in MWh.

    Raises
    ------
    DataError
        where a day lacks prices, or a power that is said to have been run could not have been.

    Examples
    --------
    >>> rules, desk = bv.load_params().market, bv.load_desk()
    >>> report = bv.replay(bv.read_schedule("schedule.csv"), "data/raw", rules, desk)
    >>> report["total"]["n_days"], report["total"]["infeasible_dam_days"]
    (1, 0)
    """
    rules = rules.model_copy(update={"block_minutes": schedule.block_minutes})
    market = read_market(prices, rules).require_both()
    rows = [market.index_of(date) for date in schedule.dates]
    for date, row in zip(schedule.dates, rows, strict=True):
        if market.excluded[row]:
            raise DataError(f"{prices}: {date} lacks prices of the DAM or the RTM: add them")
    check_size(schedule, desk)
    energy = battery.start_energy(desk.bess)
    days = []
    for day, row in enumerate(rows):
        energy = _start_energy(schedule, day, desk, energy)
        problem = Problem(
            bess=desk.bess,
            costs=desk.planned,
            block_hours=market.block_hours,
            e_start_mwh=energy,
            terminal=desk.terminal,
            dates=(schedule.dates[day],),
            name=str(schedule.dates[day]),
        )
        known = _known_days(market, rules, row)
        problem = with_warranty_prices(problem, known)
        problem = with_energy_value(problem, known[-7:].mean(axis=0))
        day_prices = PriceScenarios.single(market.dam_mcp[row], market.rtm_mcp[row])
        entry, energy = _settled(problem, day_prices, schedule, day, desk, rules.bid_step_mw)
        days.append(entry)
    total = {name: sum(day[name] for day in days) for name in TOTALS}
    total["n_days"] = len(days)
    total["infeasible_dam_days"] = sum(not day["dam_feasible"] for day in days)
    return {"rules": _rules(schedule, desk, market.is_synthetic), "total": total, "days": days}


def _known_days(market: Market, rules: MarketParams, row: int) -> np.ndarray:
    """(D, T) DAM prices of whole days, known at a day's gate; its own where none is known."""
    if not np.isfinite(market.dam_mcp[:row]).all(axis=1).any():
        return market.dam_mcp[[row]]
    return whole_days(market.known_at_dam_gate(market.dates[row], rules))


def _start_energy(
    schedule: Schedule, day: int, desk: DeskParams, left_mwh: np.ndarray
) -> np.ndarray:
    given = schedule.e_start_mwh[day]
    if np.isnan(given):
        return left_mwh
    if len(desk.bess.units) > 1:
        raise DataError(
            f"{schedule.source}: soc_start_mwh on {schedule.dates[day]} does not say how the "
            f"{len(desk.bess.units)} units share it: leave it out, and set each e_start_mwh"
        )
    unit = desk.bess.units[0]
    if not unit.e_min_mwh <= given <= unit.e_max_mwh:
        raise DataError(
            f"{schedule.source}: soc_start_mwh {given:g} on {schedule.dates[day]} lies outside "
            f"the usable window {unit.e_min_mwh:g} to {unit.e_max_mwh:g} MWh of {unit.name}"
        )
    return np.array([given])


def _settled(
    problem: Problem,
    prices: PriceScenarios,
    schedule: Schedule,
    day: int,
    desk: DeskParams,
    step_mw: float,
) -> tuple[dict, np.ndarray]:
    """A day's entry, and the energy (U,) that it leaves."""
    dam_mw, h = schedule.dam_mw[day], problem.block_hours
    breach = _first_breach(problem, prices, dam_mw, step_mw)
    if schedule.physical_mw is None:
        done = settle_with_recourse(problem, prices, dam_mw)
        flows = {
            name: getattr(done, name)
            for name in ("rtm_mw", "charge_mw", "discharge_mw", "undelivered_mw")
        }
        left = done.e_end_mwh
    else:
        flows, left = _as_run(problem, prices, schedule, day)
    books = ledger.settle(
        desk.bess, desk.booked, h, dam=prices.dam[0], rtm=prices.rtm[0], dam_mw=dam_mw, **flows
    )
    money = {name: float(getattr(books, name)) for name in LEDGER_COLUMNS}
    discharged = h * float(flows["discharge_mw"].sum())
    nameplate = sum(unit.e_nameplate_mwh for unit in desk.bess.units)
    entry = {
        "date": str(schedule.dates[day]),
        "gross_rs": money["dam_revenue_rs"] + money["rtm_revenue_rs"],
        **money,
        "net_rs": float(books.net_rs),
        "traded_mwh": h * float((np.abs(dam_mw) + np.abs(flows["rtm_mw"])).sum()),
        "physical_mwh": h * float(flows["charge_mw"].sum()) + discharged,
        "undelivered_mwh": h * float(np.abs(flows["undelivered_mw"]).sum()),
        "cycles": discharged / nameplate,
        "e_start_mwh": float(problem.e_start_mwh.sum()),
        "e_end_mwh": float(left.sum()),
        "dam_feasible": breach is None,
        "dam_first_breach": None if breach is None else clock_text(breach * schedule.block_minutes),
    }
    return entry, left


def _as_run(
    problem: Problem, prices: PriceScenarios, schedule: Schedule, day: int
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Flows of a power that was run; in a block without RTM trade it deviates from the DAM."""
    run_mw = schedule.physical_mw[day]
    done = _followed(replace(problem, terminal="free"), prices, run_mw)
    missed = np.abs(done.undelivered_mw) * problem.block_hours
    for block in np.flatnonzero(missed > FEASIBILITY_TOLERANCE_MWH)[:1]:
        raise DataError(
            f"{schedule.source}: physical_mw {run_mw[block]:g} on {schedule.dates[day]} at "
            f"{clock_text(block * schedule.block_minutes)} breaks the battery: from "
            f"{problem.e_start_mwh.sum():g} MWh at midnight it could do "
            f"{run_mw[block] - done.undelivered_mw[block]:g} MW there. Correct the power, or the "
            "battery's parameters"
        )
    apart = (done.discharge_mw - done.charge_mw).sum(axis=0) - schedule.dam_mw[day]
    traded = np.isfinite(prices.rtm[0])
    flows = {
        "rtm_mw": np.where(traded, apart, 0.0),
        "charge_mw": done.charge_mw,
        "discharge_mw": done.discharge_mw,
        "undelivered_mw": np.where(traded, 0.0, -apart),
    }
    return flows, done.energy_mwh[:, -1]


def _first_breach(
    problem: Problem, prices: PriceScenarios, dam_mw: np.ndarray, step_mw: float
) -> int | None:
    """First block in which the DAM schedule alone cannot be followed; None where all can.

    Under ``hard`` a day that cannot end at its target by the schedule alone fails in its last.
    """
    done = _followed(replace(problem, terminal="free"), prices, dam_mw)
    missed = _missed(problem, done)
    if problem.terminal == "hard" and not missed.any():
        missed[-1] = not _may_end_at_target(problem, prices, dam_mw, step_mw)
    return int(np.argmax(missed)) if missed.any() else None


def _missed(problem: Problem, done: battery.Followed) -> np.ndarray:
    """(T,) whether a block's schedule was not followed."""
    return np.abs(done.undelivered_mw) * problem.block_hours > FEASIBILITY_TOLERANCE_MWH


def _may_end_at_target(
    problem: Problem, prices: PriceScenarios, dam_mw: np.ndarray, step_mw: float
) -> bool:
    """Whether the units can share a schedule so that each ends at its target, to a bid step."""
    h, units = problem.block_hours, problem.bess.units
    ends = np.array([battery.least_end_mwh(unit, step_mw, h) for unit in units])
    ends -= FEASIBILITY_TOLERANCE_MWH
    aims = [
        unit.model_copy(update={"e_target_mwh": max(end, unit.e_min_mwh)})
        for unit, end in zip(units, ends, strict=True)
    ]
    bess = problem.bess.model_copy(update={"units": tuple(aims)})
    try:
        done = _followed(replace(problem, bess=bess), prices, dam_mw)
    except InfeasibleError:  # out of reach, whatever the schedule
        return False
    return not _missed(problem, done).any() and bool((done.energy_mwh[:, -1] >= ends).all())


def _followed(problem: Problem, prices: PriceScenarios, mw: np.ndarray) -> battery.Followed:
    """What the plant does that follows a power (T,) without the RTM, strictly.

    One unit has no choice. How several share it is a programme of its own.
    """
    if len(problem.bess.units) == 1:
        return problem.follow(mw[None])
    plan = dispatch.plan_day(replace(problem, fixed_dam_mw=mw, rtm_allowed=False), prices)
    return battery.Followed(
        plan.charge_mw[0], plan.discharge_mw[0], plan.energy_mwh[0], plan.undelivered_mw[0]
    )


# ---------------------------------------------------------------------- report


def _rules(schedule: Schedule, desk: DeskParams, is_synthetic: bool) -> dict[str, object]:
    return {
        "schedule": schedule.source,
        "recourse": RECOURSE_IN_HINDSIGHT if schedule.physical_mw is None else AS_RUN,
        "terminal": desk.terminal,
        "block_minutes": schedule.block_minutes,
        "synthetic_market": is_synthetic,
        "booked": desk.booked.model_dump(mode="json"),
        "planned": desk.planned.model_dump(mode="json"),
        "bess": desk.bess.model_dump(mode="json"),
    }


def describe_audit(report: dict) -> str:
    """The report of ``replay`` as text: a row a day, the total, and its rules."""
    days, total, rules = report["days"], report["total"], report["rules"]
    shown = pd.DataFrame([*days, total | {"date": "total"}])
    table = pd.DataFrame(
        {
            "date": shown["date"],
            "gross Rs": _thousands(shown["gross_rs"]),
            "costs Rs": _thousands(shown["gross_rs"] - shown["net_rs"]),
            "net Rs": _thousands(shown["net_rs"]),
            "traded MWh": shown["traded_mwh"].round(1),
            "physical MWh": shown["physical_mwh"].round(1),
            "cycles": shown["cycles"].round(2),
            "DAM alone": [_verdict(day) for day in days]
            + [f"breaks on {total['infeasible_dam_days']} of {total['n_days']}"],
        }
    )
    costs = ", ".join(
        f"{name.removesuffix('_rs').replace('_', ' ')} {total[name]:,.0f}" for name in COST_COLUMNS
    )
    source = "SYNTHETIC market. " if rules["synthetic_market"] else ""
    return (
        f"{table.to_string(index=False)}\n\n"
        f"Costs in Rs: {costs}.\n"
        f"{source}{rules['recourse']}; terminal rule {rules['terminal']}, blocks of "
        f"{rules['block_minutes']} minutes.\n"
        "'DAM alone' says whether the DAM schedule could be followed without any RTM trade, "
        "from the energy really there at midnight."
    )


def _thousands(values: Sequence[float]) -> list[str]:
    return [f"{value:,.0f}" for value in values]


def _verdict(day: dict) -> str:
    return "feasible" if day["dam_feasible"] else f"breaks at {day['dam_first_breach']}"
